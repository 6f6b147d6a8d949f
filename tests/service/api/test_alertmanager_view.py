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


def test_a_limited_key_sees_its_own(city: City, ask_as: Ask) -> None:
    city.alert("own")
    city.alert("foreign", area="110105")
    found = ask_as("alerts:read", districts=["110108"]).get(PATH).json()
    assert [one["annotations"].get("alert_id") for one in found] == [None, "own"]
