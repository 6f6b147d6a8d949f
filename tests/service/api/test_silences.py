"""`/v1/silences`: what nobody need hear of for a while."""

from datetime import timedelta
from typing import Any

import pytest
from api_city import NOW, Ask, City
from fastapi.testclient import TestClient

from service.store import audit
from service.store.engine import reading, writing

WORKS = {"area": "110108", "category": "UTILITY", "comment": "供热管网计划检修", "ends": "2025-11-12"}


def silenced(client: TestClient, **params: Any) -> set[str]:
    found = client.get("/v1/alerts", params=params).json()["items"]
    return {alert["alert_id"] for alert in found if alert["silenced_by"] or params}


def test_a_silence_is_told_as_it_was_made(city: City, ask_as: Ask) -> None:
    client = ask_as("alerts:write", name="海淀值班长")
    answer = client.post("/v1/silences", json=WORKS)
    assert answer.status_code == 201, answer.text
    assert answer.json() == {
        "silence_id": 1,
        "state": "active",
        "area": "110108",
        "category": "UTILITY",
        "kind": None,
        "level": "orange",
        "author": "海淀值班长",
        "comment": "供热管网计划检修",
        "created_at": NOW.isoformat(),
        "starts_at": NOW.isoformat(),
        "ends_at": "2025-11-13T00:00:00+08:00",
        "ended_at": None,
        "ended_by": None,
        "area_label": {"zh": "海淀区", "en": "Haidian"},
        "category_label": {"zh": "UTILITY", "en": "UTILITY"},
    }
    assert client.get("/v1/silences/1").json() == answer.json()
    assert client.get("/v1/silences").json() == {"items": [answer.json()], "next": None}


@pytest.mark.parametrize(
    ("silence", "covered"),
    [
        ({}, {"heat", "own", "noise", "street", "city"}),
        ({"level": "red"}, {"heat", "own", "noise", "street", "city", "red"}),
        ({"level": "yellow"}, {"heat", "own", "noise", "street"}),
        ({"area": "110105"}, {"street"}),
        ({"area": "110108"}, {"heat", "own", "noise"}),
        ({"category": "UTILITY"}, {"heat", "own", "street"}),
        ({"category": "NOISE"}, {"noise"}),
        ({"kind": "EMERGING"}, {"noise"}),
        ({"kind": "DATA"}, {"data"}),
        ({"area": "110108", "category": "HEAT", "kind": "EMERGING"}, set()),
    ],
)
def test_it_covers_what_lies_at_its_nodes_and_below_up_to_its_level(city: City, ask: TestClient, silence: dict[str, Any], covered: set[str]) -> None:
    city.alert("heat")
    city.alert("own", category="UTILITY->*")
    city.alert("noise", category="NOISE", kind="EMERGING")
    city.alert("street", area="110105A", category="WATER")
    city.alert("city", area="ALL", category="ALL", level="orange")
    city.alert("red", level="red")
    city.alert("safety", level="red", category="WATER")
    city.alert("data", kind="DATA", category="ALL")
    with writing(city.engine) as conn:
        conn.exec_driver_sql("update categories set safety = 1 where code = 'WATER'")
    city.silence(**silence)
    assert silenced(ask) == silenced(ask, silenced="true") == covered
    everything = {"heat", "own", "noise", "street", "city", "red", "safety", "data"}
    assert silenced(ask, silenced="false") == everything - covered


def test_a_silenced_alert_goes_on_living_and_its_changes_are_told_with_the_mark(city: City, ask: TestClient) -> None:
    number = city.silence()
    city.alert("a")
    ask.post("/v1/alerts/a/ack").raise_for_status()
    changes = ask.get("/v1/alerts/changes", params={"after": 0}).json()["items"]
    assert [(change["action"], change["alert"]["silenced_by"]) for change in changes] == [("raised", [number]), ("acknowledged", [number])]
    assert ask.get("/v1/alerts/a").json()["silenced_by"] == [number]


def test_sending_it_again_makes_no_second_one(city: City, ask: TestClient) -> None:
    first, second = (ask.post("/v1/silences", json=WORKS) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert ask.post("/v1/silences", json={**WORKS, "comment": "another"}).status_code == 201


def test_ending_it_twice_ends_it_once_and_both_stand_in_the_audit_log(city: City, ask: TestClient) -> None:
    ask.post("/v1/silences", json=WORKS)
    once, twice = (ask.delete("/v1/silences/1") for _ in range(2))
    assert (once.status_code, once.json()) == (twice.status_code, twice.json())
    assert (once.json()["state"], once.json()["ended_by"], once.json()["ended_at"]) == ("expired", "值班长", NOW.isoformat())
    assert ask.get("/v1/silences").json()["items"] == []
    assert [one["silence_id"] for one in ask.get("/v1/silences", params={"state": "expired"}).json()["items"]] == [1]
    with reading(city.engine) as conn:
        entries = audit.entries(conn)
    assert [(entry.actor, entry.action, entry.subject) for entry in entries] == [
        ("值班长", "silence_ended", "silence 1"),
        ("值班长", "silenced", "silence 1"),
    ]
    assert ask.post("/v1/silences", json=WORKS).status_code == 201  # one that was ended is over


def test_what_people_do_to_an_alert_stands_in_the_audit_log_once(city: City, ask: TestClient) -> None:
    city.alert("a")
    for _ in range(2):
        ask.post("/v1/alerts/a/ack")
        ask.post("/v1/alerts/a/feedback", json={"verdict": "acted"})
    for _ in range(2):
        ask.post("/v1/alerts/a/resolve")
    with reading(city.engine) as conn:
        entries = audit.entries(conn)
    assert [(entry.actor, entry.action, entry.subject) for entry in reversed(entries)] == [
        ("值班长", "alert_acknowledged", "alert a"),
        ("值班长", "alert_judged", "alert a"),
        ("值班长", "alert_resolved", "alert a"),
    ]


def test_one_that_is_to_come_covers_nothing_yet(city: City, ask: TestClient) -> None:
    city.alert("a")
    answer = ask.post("/v1/silences", json={**WORKS, "starts": "2025-11-10"}).json()
    assert (answer["state"], answer["starts_at"]) == ("pending", "2025-11-10T00:00:00+08:00")
    assert silenced(ask) == set()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"area": "nowhere"}, "area"),
        ({"category": "nothing"}, "category"),
        ({"kind": "OTHER"}, "body.kind"),
        ({"level": "pink"}, "body.level"),
        ({"comment": " "}, "body.comment"),
        ({"comment": None}, "body.comment"),
        ({"comment": "x\x00"}, "body.comment"),
        ({"ends": "soon"}, "ends"),
        ({"ends": "2025-11-08"}, "ends"),
        ({"ends": NOW.isoformat()}, "ends"),
        ({"ends": "2025-12-31"}, "ends"),
        ({"ends": "9999-12-31"}, "ends"),
        ({"starts": "2025-11-30", "ends": "2025-11-20"}, "ends"),
        ({"starts": "2025-12-20", "ends": "2025-12-21"}, "ends"),
        ({"starts": "never"}, "starts"),
        ({"until": "2025-11-20"}, "body.until"),
    ],
)
def test_what_cannot_be_silenced_is_refused_and_nothing_is_stored(city: City, ask: TestClient, change: dict[str, Any], where: str) -> None:
    answer = ask.post("/v1/silences", json=WORKS | change)
    assert (answer.status_code, answer.json()["where"]) == (422, where), answer.text
    assert ask.get("/v1/silences", params={"state": ["pending", "active", "expired"]}).json()["items"] == []


def test_a_limited_key_silences_its_own_districts_and_no_other(city: City, ask_as: Ask) -> None:
    numbers = [city.silence(area=area, level="red") for area in ("110108", "110105A", "ALL")]
    client = ask_as("alerts:write", districts=["110105"])
    assert client.post("/v1/silences", json=WORKS | {"area": "110105B"}).status_code == 201
    for area in ("110108", "ALL"):
        assert client.post("/v1/silences", json=WORKS | {"area": area}).status_code == 403
    assert {one["area"] for one in client.get("/v1/silences").json()["items"]} == {"110105A", "110105B", "ALL"}
    assert [client.get(f"/v1/silences/{number}").status_code for number in numbers] == [403, 200, 200]
    assert [client.delete(f"/v1/silences/{number}").status_code for number in numbers] == [403, 200, 403]
    assert client.delete("/v1/silences/99").status_code == 404


def test_the_list_comes_in_pages_the_newest_first(city: City, ask: TestClient) -> None:
    for k in range(5):
        city.silence(hours=1 + k)
    found, following = [], None
    for _ in range(3):
        answer = ask.get("/v1/silences", params={"limit": 2, **({"next": following} if following else {})}).json()
        found += [one["silence_id"] for one in answer["items"]]
        following = answer["next"]
    assert (found, following) == ([5, 4, 3, 2, 1], None)


def test_a_silence_is_over_at_its_end() -> None:
    from service.store.silences import Matchers, Silence

    silence = Silence(1, Matchers("ALL", "ALL", None, "orange"), "x", "y", NOW, NOW, NOW + timedelta(hours=1), None, None)
    states = [silence.state(NOW + timedelta(hours=hours)) for hours in (-1, 0, 0.5, 1)]
    assert states == ["pending", "active", "active", "expired"]
