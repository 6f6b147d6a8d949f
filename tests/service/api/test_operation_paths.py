"""`/v1/status`, `/v1/runs` and the paths for load balancers."""

from datetime import timedelta

from api_city import NOW, YESTERDAY, Ask, City
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.store import jobs, runs
from service.store.engine import writing


def test_the_status_says_how_fresh_everything_is(ask: TestClient) -> None:
    status = ask.get("/v1/status").json()
    assert status["now"] == NOW.isoformat()
    assert status["business_date"] == status["data_complete_until"] == str(YESTERDAY)
    assert (status["last_ingest"]["kind"], status["last_ingest"]["status"]) == ("counts", "done")
    assert (status["last_run"]["status"], status["last_run"]["business_date"]) == ("done", str(YESTERDAY))
    assert status["forecast_set"] == {
        "id": 1,
        "cutoff": str(YESTERDAY),
        "issued_at": "2025-11-09T02:30:00+08:00",
        "first_day": "2025-11-09",
        "last_day": "2025-11-11",
        "run_id": "f00d",
    }
    assert status["ages"] == {"data": 7.5 * 3600, "ingest": 2 * 3600, "run": 5 * 3600, "forecast_set": 5 * 3600}
    assert (status["city_state"], status["data_alerts"]) == (None, 0)


def test_the_city_stands_as_its_highest_demand_alert_that_still_runs(city: City, ask: TestClient) -> None:
    city.alert("a", level="yellow")
    city.alert("b", level="yellow")
    city.alert("c", level="orange", status="acknowledged")
    city.alert("d", level="red", status="resolved", resolved_at=NOW)
    city.alert("e", level="red", kind="DATA")
    status = ask.get("/v1/status").json()
    assert status["city_state"] == "orange"
    assert status["open_alerts"] == {"blue": 0, "yellow": 2, "orange": 0, "red": 0}
    assert status["acknowledged_alerts"] == {"blue": 0, "yellow": 0, "orange": 1, "red": 0}
    assert status["data_alerts"] == 1


def test_an_empty_service_has_a_status_too(ask_bare: TestClient) -> None:
    status = ask_bare.get("/v1/status").json()
    for name in ("data_complete_until", "last_ingest", "last_run", "forecast_set", "city_state"):
        assert status[name] is None, name
    assert set(status["ages"].values()) == {None}


def test_the_status_and_the_metrics_say_how_the_scheduler_s_jobs_stand(city: City, ask: TestClient) -> None:
    hour = timedelta(hours=1)
    with writing(city.engine) as conn:
        jobs.succeed(conn, "scheduler", NOW - hour, NOW - hour / 2, NOW - hour / 2)
        jobs.expect(conn, "nightly", NOW, NOW + 2 * hour)
        jobs.begin(conn, "nightly", NOW - hour, NOW)
        jobs.fail(conn, "nightly", NOW - hour / 2, "MemoryError\nat line 3", NOW + hour)
    nightly, scheduler = ask.get("/v1/status").json()["jobs"]
    assert (scheduler["name"], scheduler["late"], scheduler["error"]) == ("scheduler", True, None)
    assert scheduler["last_success"] == "2025-11-09T06:30:00+08:00"
    assert (nightly["name"], nightly["late"], nightly["last_success"], nightly["error"]) == ("nightly", False, None, "MemoryError")
    assert (nightly["last_start"], nightly["next"]) == ("2025-11-09T06:30:00+08:00", "2025-11-09T08:30:00+08:00")
    del ask.headers["Authorization"]
    answer = ask.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert {'weisu_job_late{job="scheduler"} 1', 'weisu_job_late{job="nightly"} 0', 'weisu_job_failed{job="nightly"} 1'} <= set(lines)
    assert f'weisu_job_last_success_seconds{{job="scheduler"}} {(NOW - hour).timestamp():.0f}' in lines
    assert not [line for line in lines if line.startswith("weisu_job_last_success_seconds") and "nightly" in line], "it never succeeded"
    assert "weisu_forecast_set_age_seconds 18000" in lines


def test_an_empty_service_has_metrics_without_a_value(bare_city: City) -> None:
    with TestClient(create_app(bare_city.settings)) as client:
        answer = client.get("/metrics")
    assert answer.status_code == 200
    assert all(line.startswith("#") for line in answer.text.splitlines())


def test_any_valid_key_may_ask_for_status_and_runs(ask_as: Ask) -> None:
    client = ask_as("tickets:write")
    assert client.get("/v1/status").status_code == client.get("/v1/runs").status_code == 200


def test_runs_are_told_newest_first_page_by_page(city: City, ask: TestClient) -> None:
    for number in range(1, 4):
        city.publish(YESTERDAY + timedelta(days=number), NOW + timedelta(days=number))
    whole = ask.get("/v1/runs").json()
    assert [run["id"] for run in whole["items"]] == [4, 3, 2, 1]
    assert whole["next"] is None
    first = ask.get("/v1/runs", params={"limit": 3}).json()
    second = ask.get("/v1/runs", params={"limit": 3, "next": first["next"]}).json()
    assert first["items"] + second["items"] == whole["items"]
    assert second["next"] is None


def test_of_a_failed_run_no_traceback_is_told(city: City, ask: TestClient) -> None:
    with writing(city.engine) as conn:
        run = runs.start(conn, YESTERDAY + timedelta(days=1), "test", NOW, timedelta(hours=1))
        runs.fail(conn, run, NOW, 'the disk is full\nTraceback (most recent call last):\n  File "x.py", line 1')
    assert ask.get("/v1/runs").json()["items"][0]["error"] == "the disk is full"


def test_a_load_balancer_needs_no_key(client: TestClient) -> None:
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
    assert client.get("/").json()["openapi"] == "/openapi.json"


def test_without_forecasts_the_service_is_alive_but_not_ready(bare_city: City) -> None:
    with TestClient(create_app(bare_city.settings)) as client:
        assert client.get("/livez").status_code == 200
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    (reason,) = answer.json()["reasons"]
    assert "no forecast set" in reason


def test_without_its_database_the_service_is_alive_but_not_ready(city: City, client: TestClient) -> None:
    assert client.get("/readyz").status_code == 200
    with writing(city.engine) as conn:
        conn.exec_driver_sql("alter table published rename to lost")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    (reason,) = answer.json()["reasons"]
    assert "database" in reason
    assert client.get("/livez").status_code == 200
