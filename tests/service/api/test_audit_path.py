"""`/v1/audit`: who did what to what is served, and when."""

from datetime import timedelta
from typing import Any, get_args

import pytest
from api_city import NOW, Ask, City
from fastapi.testclient import TestClient

from service.api.operation.audit_schemas import Action
from service.store import audit
from service.store.engine import writing


@pytest.fixture
def done(city: City) -> City:
    with writing(city.engine) as conn:
        for number, (actor, action) in enumerate(
            [("甲", audit.ROLLBACK), ("乙", audit.SILENCED), ("甲", audit.SILENCED), ("甲", audit.ACKNOWLEDGED)]
        ):
            audit.record(conn, NOW - timedelta(days=4 - number), actor, action, f"thing {number}", {"key": "k"})
    return city


def items(client: TestClient, **params: Any) -> list[dict[str, Any]]:
    answer = client.get("/v1/audit", params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_it_tells_everything_the_newest_first(done: City, ask: TestClient) -> None:
    found = items(ask)
    assert [row["subject"] for row in found] == ["thing 3", "thing 2", "thing 1", "thing 0"]
    assert found[-1] == {
        "seq": 1,
        "at": (NOW - timedelta(days=4)).isoformat(),
        "actor": "甲",
        "action": "rollback",
        "subject": "thing 0",
        "detail": {"key": "k"},
    }


@pytest.mark.parametrize(
    ("params", "subjects"),
    [
        ({"actor": "甲"}, ["thing 3", "thing 2", "thing 0"]),
        ({"action": ["silenced", "rollback"], "actor": "甲"}, ["thing 2", "thing 0"]),
        ({"subject": "thing 1"}, ["thing 1"]),
        ({"from": "2025-11-06", "to": "2025-11-07"}, ["thing 2", "thing 1"]),
        ({"actor": "丙"}, []),
    ],
)
def test_it_is_asked_by_who_what_to_what_and_when(done: City, ask: TestClient, params: dict[str, Any], subjects: list[str]) -> None:
    assert [row["subject"] for row in items(ask, **params)] == subjects


def test_pages_together_are_the_whole_though_more_is_done_meanwhile(done: City, ask: TestClient) -> None:
    first = ask.get("/v1/audit", params={"limit": 3}).json()
    with writing(done.engine) as conn:
        audit.record(conn, NOW, "乙", audit.RESOLVED, "alert a", {})
    second = ask.get("/v1/audit", params={"limit": 3, "next": first["next"]}).json()
    assert [row["seq"] for row in first["items"] + second["items"]] == [4, 3, 2, 1]
    assert second["next"] is None


def test_a_key_limited_to_districts_may_not_ask(done: City, ask_as: Ask) -> None:
    assert ask_as("admin", districts=["110108"]).get("/v1/audit").status_code == 403


def test_every_action_can_be_asked_for() -> None:
    assert get_args(Action) == audit.ACTIONS


@pytest.mark.parametrize("params", [{"from": "0001-01-01"}, {"to": "9999-12-31"}, {"from": "0001-01-01", "to": "0001-01-02"}])
def test_the_ends_of_the_calendar_are_days_like_others(done: City, ask: TestClient, params: dict[str, str]) -> None:
    assert len(items(ask, **params)) in (0, 4)


def test_an_unknown_action_is_refused(ask: TestClient) -> None:
    assert ask.get("/v1/audit", params={"action": "rolled"}).status_code == 422
