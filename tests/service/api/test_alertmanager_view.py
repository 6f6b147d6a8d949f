"""`/v1/alerts/alertmanager`: what Alertmanager takes, and a watchdog that ends when nobody looks any longer."""

import re
from datetime import datetime, timedelta
from typing import Any

from api_city import NOW, Ask, City
from fastapi.testclient import TestClient

from service.store import jobs
from service.store.engine import writing

PATH = "/v1/alerts/alertmanager"


def watched(city: City, ago: timedelta = timedelta()) -> None:
    at = NOW - ago
    with writing(city.engine) as conn:
        jobs.succeed(conn, jobs.WATCH, at, at + timedelta(minutes=10), at + timedelta(minutes=20))


def posted(client: TestClient) -> dict[str, dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(PATH).json()
    return {one["labels"]["alertname"]: one for one in found}


def test_an_alert_has_the_labels_that_it_is_routed_by_and_tells_the_rest_beside_them(city: City, ask: TestClient) -> None:
    watched(city)
    city.alert("a", level="orange", kind="FIRST_SEEN")
    dog, alert = ask.get(PATH).json()
    assert dog["labels"]["alertname"] == "Watchdog"
    (told,) = ask.get("/v1/alerts").json()["items"]
    assert alert == {
        "labels": {"alertname": "WeisuFirstSeen", "severity": "orange", "area": "110108", "category": "HEAT"},
        "annotations": {
            "summary": told["short_en"],
            "summary_zh": told["short_zh"],
            "description": told["reason_en"],
            "description_zh": told["reason_zh"],
            "alert_id": "a",
            "status": "open",
        },
        "startsAt": told["raised_at"],
        "endsAt": (NOW + timedelta(minutes=15)).isoformat(),
        "generatorURL": "http://testserver/v1/alerts/a",
    }


def test_every_element_is_as_alertmanager_wants_it(city: City, ask: TestClient) -> None:
    city.alert("a")
    city.alert("b", area="ALL", category="HEAT->*")
    for one in ask.get(PATH).json():
        assert one.keys() == {"labels", "annotations", "startsAt", "endsAt", "generatorURL"}
        for name, value in (one["labels"] | one["annotations"]).items():
            assert re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name)
            assert isinstance(value, str)
            assert value
        start, end = (datetime.fromisoformat(one[name]) for name in ("startsAt", "endsAt"))
        assert start.tzinfo is not None
        assert start <= end


def test_what_is_resolved_is_told_with_its_end_for_an_hour_and_what_is_silenced_not_at_all(city: City, ask: TestClient) -> None:
    watched(city)
    for alert_id, hours in (("lately", 0.5), ("long ago", 2)):
        at = NOW - timedelta(hours=hours)
        city.alert(alert_id, status="resolved", resolved_at=at, changed_at=NOW, category=alert_id)
    city.alert("acknowledged", status="acknowledged", area="110105")
    city.alert("silenced", category="NOISE")
    city.silence(category="NOISE")
    found = {one["annotations"].get("alert_id"): one["endsAt"] for one in ask.get(PATH).json()}
    assert found.keys() == {None, "lately", "acknowledged"}
    assert found["lately"] == (NOW - timedelta(hours=0.5)).isoformat()


def test_of_two_alerts_with_the_same_labels_the_newer_one_is_told(city: City, ask: TestClient) -> None:
    city.alert("old", raised_at=NOW - timedelta(days=2))
    city.alert("new")
    found = [one["annotations"]["alert_id"] for one in ask.get(PATH).json() if "alert_id" in one["annotations"]]
    assert found == ["new"]


def test_the_watchdog_fires_until_detection_is_late_and_then_another_alert_does(city: City, ask: TestClient) -> None:
    assert posted(ask).keys() == {"WatchdogLate"}  # it has never looked
    watched(city, timedelta(minutes=10))
    dog = posted(ask)["Watchdog"]
    assert (dog["startsAt"], dog["endsAt"]) == ((NOW - timedelta(minutes=10)).isoformat(), (NOW + timedelta(minutes=10)).isoformat())
    watched(city, timedelta(minutes=21))
    late = posted(ask)
    assert late.keys() == {"WatchdogLate"}
    assert late["WatchdogLate"]["labels"]["severity"] == "critical"
    assert late["WatchdogLate"]["startsAt"] == (NOW - timedelta(minutes=1)).isoformat()


def job(city: City, name: str, late_ago: timedelta, error: str | None = None) -> None:
    """A job that has been late for some time, or, if it is negative, is not yet."""
    begun = NOW - late_ago - timedelta(hours=2)
    with writing(city.engine) as conn:
        jobs.expect(conn, name, begun, NOW - late_ago)
        if error is not None:
            jobs.fail(conn, name, begun, error, NOW)


def late(client: TestClient) -> dict[str, dict[str, Any]]:
    """Late jobs by name."""
    return {one["labels"]["job"]: one for one in client.get(PATH).json() if one["labels"]["alertname"] == "JobLate"}


def test_every_job_that_is_late_is_an_alert_until_it_succeeds(city: City, ask: TestClient) -> None:
    watched(city)
    job(city, "nightly", timedelta(hours=3), "no space left\n  at line 3")
    job(city, "housekeeping", timedelta(minutes=1))
    job(city, "scoring", -timedelta(minutes=1))
    found = late(ask)
    assert found == {
        "nightly": {
            "labels": {"alertname": "JobLate", "severity": "critical", "job": "nightly"},
            "annotations": {
                "summary": "the job nightly has not succeeded in time",
                "summary_zh": "任务 nightly 未按时完成",
                "description": "no space left",
            },
            "startsAt": (NOW - timedelta(hours=3)).isoformat(),
            "endsAt": (NOW + timedelta(minutes=15)).isoformat(),
            "generatorURL": "http://testserver/v1/status",
        },
        "housekeeping": {
            "labels": {"alertname": "JobLate", "severity": "warning", "job": "housekeeping"},
            "annotations": {"summary": "the job housekeeping has not succeeded in time", "summary_zh": "任务 housekeeping 未按时完成"},
            "startsAt": (NOW - timedelta(minutes=1)).isoformat(),
            "endsAt": (NOW + timedelta(minutes=15)).isoformat(),
            "generatorURL": "http://testserver/v1/status",
        },
    }
    assert found.keys() == {one["name"] for one in ask.get("/v1/status").json()["jobs"] if one["late"]}
    with writing(city.engine) as conn:
        jobs.succeed(conn, "nightly", NOW, NOW + timedelta(days=1), NOW + timedelta(days=1, hours=2))
    assert late(ask).keys() == {"housekeeping"}


def test_a_late_detection_is_told_by_the_watchdog_alone_and_a_late_scheduler_is_critical(city: City, ask: TestClient) -> None:
    watched(city, timedelta(hours=1))
    job(city, "scheduler", timedelta(minutes=30))
    found = ask.get(PATH).json()
    assert [one["labels"].get("job", one["labels"]["alertname"]) for one in found] == ["WatchdogLate", "scheduler"]
    assert late(ask)["scheduler"]["labels"]["severity"] == "critical"


def test_late_jobs_are_told_to_whom_status_tells_them(city: City, ask_as: Ask) -> None:
    job(city, "nightly", timedelta(hours=3))
    limited = ask_as("alerts:read", districts=["110108"])
    assert [one["name"] for one in limited.get("/v1/status").json()["jobs"]] == [*late(limited)] == ["nightly"]
    assert ask_as("forecasts:read").get(PATH).status_code == 403


def test_a_limited_key_sees_its_own(city: City, ask_as: Ask) -> None:
    city.alert("own")
    city.alert("foreign", area="110105")
    found = ask_as("alerts:read", districts=["110108"]).get(PATH).json()
    assert [one["annotations"].get("alert_id") for one in found] == [None, "own"]
