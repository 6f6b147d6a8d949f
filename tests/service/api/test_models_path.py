"""`/v1/models`: what is published and what was, and the way back as a client of the API sees it."""

from datetime import timedelta
from typing import Any

import pytest
from api_city import NOW, YESTERDAY, Ask, City
from fastapi.testclient import TestClient

from service.store import audit, forecast_sets
from service.store.engine import reading, writing


@pytest.fixture
def two(city: City) -> tuple[int, int]:
    """The set that the city was made with, and one of a night later whose means are twice as high."""
    with reading(city.engine) as conn:
        first = forecast_sets.pointer(conn)
    assert first is not None
    return first, city.publish(YESTERDAY, NOW - timedelta(hours=1), scale=2.0, mlflow_run_id="beef")


def means(ask: TestClient, **more: str) -> list[tuple[float, str]]:
    rows = ask.get("/v1/forecasts", params={"area": "110108", "category": "HEAT", **more}).json()["items"]
    return [(row["mean"], row["run_id"]) for row in rows]


def is_problem(answer: Any, status: int) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_the_sets_are_listed_with_what_is_known_of_them(city: City, ask: TestClient, two: tuple[int, int]) -> None:
    refused = [{"name": "totals", "passed": False, "measured": 3.1, "limit": 2.5, "at_least": False, "where": "city", "vital": False}]
    with writing(city.engine) as conn:
        made = forecast_sets.get(conn, two[1])
        row = {name: getattr(made, name) for name in ("run_id", "cutoff", "horizon", "rows", "blob")}
        bad = forecast_sets.add(conn, **row, mlflow_run_id=None, issued_at=NOW, gate=refused, withdrawn_at=NOW)
        forecast_sets.note_versions(conn, {"beef": 4})
    items = ask.get("/v1/models").json()["items"]
    assert [(one["id"], one["published"], one["gate"], one["version"], one["mlflow_run_id"]) for one in items] == [
        (bad, False, "failed", None, None),
        (two[1], True, None, 4, "beef"),
        (two[0], False, None, None, "f00d"),
    ]
    (check,) = items[0]["checks"]
    assert (check["name"], check["measured"], check["limit"], check["passed"]) == ("totals", 3.1, 2.5, False)
    assert items[0]["withdrawn_at"].endswith("+08:00")
    assert (items[1]["cutoff"], items[1]["published_at"]) == (YESTERDAY.isoformat(), (NOW - timedelta(hours=1)).isoformat())
    page = ask.get("/v1/models", params={"limit": 2}).json()
    assert [one["id"] for one in ask.get("/v1/models", params={"limit": 2, "next": page["next"]}).json()["items"]] == [two[0]]


def test_a_client_sees_the_earlier_forecasts_with_its_next_request(city: City, ask: TestClient, two: tuple[int, int]) -> None:
    before = means(ask)
    answer = ask.post("/v1/models/rollback")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["before"], told["now"]["id"], told["now"]["published"], told["withdrawn"]) == (two[1], two[0], True, [two[1]])
    after = means(ask)
    assert {run for _, run in before} == {"beef"}
    assert {run for _, run in after} == {"f00d"}
    assert [mean for mean, _ in after] == pytest.approx([mean / 2 for mean, _ in before])
    assert ask.get("/v1/status").json()["forecast_set"]["id"] == two[0]
    assert means(ask, as_of=(NOW - timedelta(minutes=30)).isoformat()) == before, "what was told can be asked again"
    published = {one["id"]: (one["published"], one["withdrawn_at"] is not None) for one in ask.get("/v1/models").json()["items"]}
    assert published == {two[0]: (True, False), two[1]: (False, True)}
    with reading(city.engine) as conn:
        (entry,) = audit.entries(conn)
    assert (entry.actor, entry.action, entry.detail["from"], entry.detail["to"]) == ("值班长", "rollback", two[1], two[0])


def test_a_request_that_comes_twice_goes_back_once(ask: TestClient, two: tuple[int, int]) -> None:
    ask.post("/v1/models/rollback")
    problem = is_problem(ask.post("/v1/models/rollback"), 409)
    assert "is there by the rollback that 值班长 made" in problem["detail"]
    assert "GET /v1/models" in problem["mend"]
    assert ask.get("/v1/status").json()["forecast_set"]["id"] == two[0]


@pytest.mark.parametrize("kind", [int, str])
def test_a_named_set_is_published_again(ask: TestClient, two: tuple[int, int], kind: type) -> None:
    assert ask.post("/v1/models/rollback", json={"to": kind(two[0])}).json()["now"]["id"] == two[0]
    assert ask.post("/v1/models/rollback", json={"to": kind(two[1])}).json()["now"]["id"] == two[1]


def test_what_cannot_be_gone_back_to_is_a_problem_document(ask: TestClient, two: tuple[int, int]) -> None:
    assert is_problem(ask.post("/v1/models/rollback", json={"to": 99}), 422)["where"] == "to"
    assert "is published already" in is_problem(ask.post("/v1/models/rollback", json={"to": two[1]}), 409)["detail"]
    for wrong in ({"to": 0}, {"to": True}, {"to": [1]}, {"to": "x" * 41}, {"set": 1}, [1]):
        is_problem(ask.post("/v1/models/rollback", json=wrong), 422)


def test_a_set_too_old_for_today_is_said(city: City, ask: TestClient) -> None:
    old = city.publish(YESTERDAY - timedelta(days=9), NOW - timedelta(days=9))
    city.publish(YESTERDAY, NOW)
    problem = is_problem(ask.post("/v1/models/rollback", json={"to": old}), 409)
    assert f"forecast set {old} knows nothing after" in problem["detail"]


def test_with_nothing_before_it_the_present_set_stays(ask: TestClient) -> None:
    assert "no forecast set was published before" in is_problem(ask.post("/v1/models/rollback"), 409)["detail"]


def test_where_nothing_is_published_there_is_nothing_to_go_back_from(ask_bare: TestClient) -> None:
    assert ask_bare.get("/v1/models").json() == {"items": [], "next": None}
    assert "no forecast set is published" in is_problem(ask_bare.post("/v1/models/rollback"), 409)["detail"]


def test_only_an_administrator_of_the_whole_city_may(two: tuple[int, int], ask_as: Ask) -> None:
    for scope in ("forecasts:read", "alerts:write", "tickets:write"):
        assert ask_as(scope).get("/v1/models").status_code == 200
        is_problem(ask_as(scope).post("/v1/models/rollback"), 403)
    assert "limited to districts" in is_problem(ask_as("admin", districts=["110108"]).post("/v1/models/rollback"), 403)["detail"]
    assert ask_as("admin").post("/v1/models/rollback").status_code == 200
