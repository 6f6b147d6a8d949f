"""`/v1/status`, `/v1/runs` and the paths for load balancers."""

import logging
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from api_city import HERE, NOW, YESTERDAY, Ask, City
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from forecasting.errors import InputError
from service.api.app import create_app
from service.settings import Settings, load_settings
from service.store import jobs, keys, runs
from service.store.engine import reading, writing


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
    told = gauges(answer)
    assert told["weisu_job_late", "scheduler"] == 1
    assert (told["weisu_job_late", "nightly"], told["weisu_job_failed", "nightly"]) == (0, 1)
    assert told["weisu_job_last_success_seconds", "scheduler"] == (NOW - hour).timestamp()
    assert ("weisu_job_last_success_seconds", "nightly") not in told, "it never succeeded"
    assert told["weisu_forecast_set_age_seconds", ""] == 18000
    assert told["weisu_store_answers", ""] == 1


def test_the_status_and_the_metrics_say_which_requests_wait_and_which_could_not_be_counted(city: City, ask: TestClient) -> None:
    minute = timedelta(minutes=1)
    calm = {"waiting": 0, "oldest_waiting": None, "set_aside": 0, "oldest_set_aside": None, "set_aside_ids": []}
    assert ask.get("/v1/status").json()["intake"] == calm
    told = requests_of(ask.get("/metrics"))
    assert told == {("weisu_intake_requests", "waiting"): 0, ("weisu_intake_requests", "set_aside"): 0}
    first, second = city.request(came=90 * minute, failed=60 * minute), city.request(came=80 * minute, failed=30 * minute)
    for came in (5 * minute, 3 * minute, minute):
        city.request(came)
    assert ask.get("/v1/status").json()["intake"] == {
        "waiting": 3,
        "oldest_waiting": "2025-11-09T07:25:00+08:00",
        "set_aside": 2,
        "oldest_set_aside": "2025-11-09T06:30:00+08:00",
        "set_aside_ids": [first, second],
    }
    assert requests_of(ask.get("/metrics")) == {
        ("weisu_intake_requests", "waiting"): 3,
        ("weisu_intake_requests", "set_aside"): 2,
        ("weisu_intake_oldest_seconds", "waiting"): (NOW - 5 * minute).timestamp(),
        ("weisu_intake_oldest_seconds", "set_aside"): (NOW - 60 * minute).timestamp(),
    }


def test_of_many_requests_set_aside_the_status_names_the_first_and_counts_all(city: City, ask: TestClient) -> None:
    failed = [city.request(came=timedelta(hours=2), failed=timedelta(hours=1)) for _ in range(22)]
    told = ask.get("/v1/status").json()["intake"]
    assert (told["set_aside"], told["set_aside_ids"]) == (22, failed[:20])


def requests_of(answer: httpx.Response) -> dict[tuple[str, str], float]:
    """What the metrics say of requests, by name and state."""
    families = text_string_to_metric_families(answer.text)
    return {(sample.name, sample.labels["state"]): sample.value for family in families for sample in family.samples if "state" in sample.labels}


def gauges(answer: httpx.Response) -> dict[tuple[str, str], float]:
    """Every sample by name and job."""
    families = text_string_to_metric_families(answer.text)
    return {(sample.name, sample.labels.get("job", "")): sample.value for family in families for sample in family.samples}


def test_an_empty_service_has_metrics_without_jobs(bare_city: City) -> None:
    with TestClient(create_app(bare_city.settings), client=HERE) as client:
        told = gauges(client.get("/metrics"))
    assert told["weisu_store_answers", ""] == 1
    assert not {name for name, _ in told if name.startswith(("weisu_job", "weisu_forecast"))}


def test_the_metrics_count_requests_by_the_template_of_their_route(city: City, ask: TestClient) -> None:
    for number in range(3):
        city.alert(f"alert-{number}")
        ask.get(f"/v1/alerts/alert-{number}")
    ask.get("/v1/alerts/v1")
    for path in ("/nothing", "/v1/nowhere", "/v1/alerts/a/b/c"):
        ask.get(path)
    ask.request("BREW", "/v1/alerts")
    samples = {
        (sample.name, *(sample.labels.get(name) for name in ("method", "route", "status"))): sample.value
        for family in text_string_to_metric_families(ask.get("/metrics").text)
        for sample in family.samples
    }
    assert samples["weisu_http_requests_total", "GET", "/v1/alerts/{alert_id}", "2xx"] == 3
    assert samples["weisu_http_requests_total", "GET", "/v1/alerts/{alert_id}", "4xx"] == 1
    assert samples["weisu_http_requests_total", "GET", "none", "4xx"] == 3
    assert sum(value for (name, method, *_), value in samples.items() if (name, method) == ("weisu_http_requests_total", "other")) == 1
    assert samples["weisu_http_request_seconds_count", "GET", "/v1/alerts/{alert_id}", None] == 4
    assert ("process_resident_memory_bytes", None, None, None) in samples


def test_a_fault_of_ours_is_counted_too(city: City, ask: TestClient) -> None:
    with writing(city.engine) as conn:
        conn.exec_driver_sql("update categories set safety = 'perhaps'")
    assert ask.get("/v1/categories").status_code == 500
    assert 'weisu_http_requests_total{method="GET",route="/v1/categories",status="5xx"} 1.0' in ask.get("/metrics").text


def test_metrics_answer_to_the_addresses_named_alone(city: City) -> None:
    named = Settings(**city.settings.model_dump() | {"metrics_from": ("10.1.0.0/16", "192.0.2.7", "2001:db8::/32")})
    addresses = {"10.1.2.3": 200, "192.0.2.7": 200, "2001:db8::1": 200, "10.2.0.1": 403, "127.0.0.1": 403, "no address": 403}
    for address, status in addresses.items():
        with TestClient(create_app(named), client=(address, 1)) as client:
            assert client.get("/metrics").status_code == status, address


def test_an_address_of_metrics_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEISU_METRICS_FROM", '["10.0.0.0/8", "the office"]')
    with pytest.raises(InputError, match="'the office'"):
        load_settings()


def test_the_log_tells_each_request_by_its_route(city: City, ask: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    city.alert("a")
    with caplog.at_level(logging.INFO, "service.api.web.request_log"):
        ask.get("/v1/alerts/a")
        ask.get("/livez")
        del ask.headers["Authorization"]
        ask.get("/v1/alerts/a")
    known, unknown = [record.__dict__ for record in caplog.records if record.getMessage() == "http.request"]
    assert (known["method"], known["route"], known["status"]) == ("GET", "/v1/alerts/{alert_id}", 200)
    with reading(city.engine) as conn:
        assert known["key_id"] == keys.list_keys(conn)[0].id
    assert known["ms"] > 0
    assert (unknown["status"], "key_id" in unknown) == (401, False)


def test_the_status_says_what_is_late_and_what_is_to_be_known_about_the_data(city: City, ask_as: Ask) -> None:
    hour = timedelta(hours=1)
    with writing(city.engine) as conn:
        jobs.succeed(conn, "nightly", NOW - 30 * hour, NOW - 6 * hour, NOW - 4 * hour)
        jobs.succeed(conn, "watch", NOW - hour / 6, NOW, NOW + hour / 3)
    city.alert("a", kind="DATA", area="110105", category="ALL", reason_en="only a tenth of the usual came in")
    city.alert("b", kind="DATA", area="110108", category="ALL", status="resolved", resolved_at=NOW)
    city.alert("c", kind="SPIKE")
    status = ask_as("alerts:read").get("/v1/status").json()
    told = {one["name"]: (one["age"], one["late"]) for one in status["freshness"]}
    assert told == {"ticket": (None, False), "ingest": (3600, False), "training": (30 * 3600, True), "detection": (600, False)}
    expected = {one["name"]: one["expected_by"] for one in status["freshness"]}
    assert expected == {
        "ticket": None,
        "ingest": (NOW + 35 * hour).isoformat(),
        "training": (NOW - 4 * hour).isoformat(),
        "detection": (NOW + hour / 3).isoformat(),
    }
    assert [(note["alert_id"], note["reason_en"]) for note in status["data_notes"]] == [("a", "only a tenth of the usual came in")]
    assert ask_as("alerts:read", districts=["110108"]).get("/v1/status").json()["data_notes"] == []


def test_the_status_tells_when_the_newest_ticket_was_received(city: City, ask: TestClient) -> None:
    row = {"ticket_id": "1", "created_at": "2025-11-07T08:00:00+08:00", "received_at": "2025-11-07T09:00:00+08:00"}
    ask.post("/v1/tickets", json=row | {"district": "110108", "category": "HEAT"})
    (ticket,) = [one for one in ask.get("/v1/status").json()["freshness"] if one["name"] == "ticket"]
    assert (ticket["last"], ticket["late"]) == ("2025-11-07T09:00:00+08:00", True)


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
