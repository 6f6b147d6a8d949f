"""Drivers over HTTP: weather in, as it was issued; and what was known of it when."""

import io
import json
from datetime import date
from typing import Any

import pandas as pd
import pytest
from api_city import Ask, City
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from service.api.app import create_app
from service.intake import requests
from service.settings import Settings
from service.store.engine import reading
from service.store.schema import drivers

CSV, PARQUET, NDJSON = "text/csv", "application/vnd.apache.parquet", "application/x-ndjson"
ISSUED = "2025-11-09T06:00:00+08:00"


def row(day: str = "2025-11-10", value: Any = 4.5, **more: Any) -> dict[str, Any]:
    return {"name": "tmax", "date": day, "value": value, "issued_at": ISSUED} | more


def stored(city: City) -> list[tuple[Any, ...]]:
    c = drivers.c
    with reading(city.engine) as conn:
        rows = conn.execute(select(c.name, c.area, c.day, c.value, c.observed).order_by(c.name, c.area, c.day, c.issued_at, c.observed))
        return [tuple(one) for one in rows]


def numbers(answer: Any) -> dict[str, int]:
    assert answer.status_code == 200, answer.text
    return {name: answer.json()[name] for name in ("rows", "added", "changed", "unchanged", "rejected", "later") if answer.json()[name]}


ROWS = [row(), row("2025-11-11", -1), row("2025-11-08", 7, issued_at=None, district="海淀区")]


def body(form: str) -> bytes:
    frame = pd.DataFrame(ROWS)
    if form == PARQUET:
        out = io.BytesIO()
        frame.to_parquet(out)
        return out.getvalue()
    if form == CSV:
        return frame.to_csv(index=False).encode("gb18030")
    lines = [json.dumps(one) for one in ROWS]
    return ("\n".join(lines) if form == NDJSON else f"[{','.join(lines)}]").encode()


@pytest.mark.parametrize("form", ["application/json", NDJSON, CSV, PARQUET])
def test_drivers_come_in_every_form_and_count_once(city: City, ask: TestClient, form: str) -> None:
    headers = {"Content-Type": form}
    tried = ask.post("/v1/drivers", content=body(form), headers=headers, params={"dry_run": True}).json()
    assert (tried["kind"], tried["rows"], tried["taken"], stored(city)) == ("drivers", 3, 3, [])
    assert numbers(ask.post("/v1/drivers", content=body(form), headers=headers)) == {"rows": 3, "added": 3}
    assert stored(city) == [
        ("tmax", "110108", date(2025, 11, 8), 7.0, True),
        ("tmax", "ALL", date(2025, 11, 10), 4.5, False),
        ("tmax", "ALL", date(2025, 11, 11), -1.0, False),
    ]
    assert numbers(ask.post("/v1/drivers", content=body(form), headers=headers)) == {"rows": 3, "unchanged": 3}


def test_a_value_of_the_same_issue_is_replaced(city: City, ask: TestClient) -> None:
    ask.post("/v1/drivers", json=row())
    assert numbers(ask.post("/v1/drivers", json=row(value=5))) == {"rows": 1, "changed": 1}
    assert [one[3] for one in stored(city)] == [5.0]


def test_wrong_rows_are_rejected_one_by_one(city: City, ask: TestClient) -> None:
    wrong = [
        row("tomorrow"),
        row(value="warm"),
        row(value=True),
        row(value="inf"),
        row(issued_at="soon"),
        row(name=""),
        row(name="x" * 201),
        row(name="a\nb"),
        row(district="火星"),
        [],
    ]
    answer = ask.post("/v1/drivers", json=[row(), *wrong])
    assert numbers(answer) == {"rows": 11, "added": 1, "rejected": 10}
    told = [(one["index"], one["field"]) for one in answer.json()["rejects"]]
    assert told == list(enumerate(["date", "value", "value", "value", "issued_at", "name", "name", "name", "district", ""], 1))
    refused = ask.post("/v1/drivers", json=wrong)
    assert (refused.status_code, len(refused.json()["rejects"])) == (422, 10)


def test_what_is_later_than_the_clock_is_left_out(ask: TestClient) -> None:
    answer = ask.post("/v1/drivers", json=[row(issued_at="2025-11-09T07:31:00+08:00"), row("2025-11-09", 3, issued_at=None), row()])
    assert numbers(answer) == {"rows": 3, "added": 1, "later": 2}


@pytest.mark.parametrize(
    ("content", "form", "status"), [(b"[", "application/json", 422), (b"", CSV, 422), (b"x", "text/plain", 415), (b"[]", "application/json", 422)]
)
def test_a_body_that_cannot_be_read_is_a_problem(city: City, ask: TestClient, content: bytes, form: str, status: int) -> None:
    answer = ask.post("/v1/drivers", content=content, headers={"Content-Type": form})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert stored(city) == []


def test_more_than_are_held_are_refused_as_a_whole(city: City, ask: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MOST_DRIVERS", 2)
    answer = ask.post("/v1/drivers", json=[row(f"2025-11-1{n}") for n in range(3)])
    assert (answer.status_code, stored(city)) == (422, [])
    assert "more than 2 drivers" in answer.json()["detail"]


def test_under_the_same_key_the_first_answer_comes_again(city: City, ask: TestClient) -> None:
    headers = {"Idempotency-Key": "k"}
    first = ask.post("/v1/drivers", json=row(), headers=headers)
    ask.post("/v1/drivers", json=row(value=9))
    assert ask.post("/v1/drivers", json=row(), headers=headers).json() == first.json()
    assert [one[3] for one in stored(city)] == [9.0]
    assert ask.post("/v1/drivers", json=row(value=1), headers=headers).status_code == 422


def test_a_limited_key_sends_and_sees_its_own_districts(city: City, ask_as: Ask) -> None:
    ask_as("tickets:write").post("/v1/drivers", json=[row(), row(district="110108")])
    client = ask_as("tickets:write", "forecasts:read", districts=["110105"])
    answer = client.post("/v1/drivers", json=[row(district="110105"), row(district="110108"), row(value=0), row(district="ALL")])
    assert numbers(answer) == {"rows": 4, "added": 1, "rejected": 3}
    assert {one["field"] for one in answer.json()["rejects"]} == {"district"}
    assert {one["area"] for one in client.get("/v1/drivers").json()["items"]} == {"110105", "ALL"}
    assert client.get("/v1/drivers", params={"area": "110108"}).status_code == 403


@pytest.mark.parametrize(("scope", "sends", "sees"), [("tickets:write", 200, 403), ("forecasts:read", 403, 200)])
def test_who_may_send_need_not_see(ask_as: Ask, scope: str, sends: int, sees: int) -> None:
    client = ask_as(scope)
    assert client.post("/v1/drivers", json=row()).status_code == sends
    assert client.get("/v1/drivers").status_code == sees


@pytest.fixture
def issues(ask: TestClient) -> TestClient:
    """The weather of the 8th, forecast on the 6th and 7th and observed; that of the 10th, forecast this morning."""
    values = [
        row("2025-11-08", 1, issued_at="2025-11-06T06:00"),
        row("2025-11-08", 2, issued_at="2025-11-07T06:00"),
        row("2025-11-08", 3, issued_at=None),
        row(),
    ]
    assert ask.post("/v1/drivers", json=[*values, row("2025-11-08", 30, name="rain", issued_at=None)]).json()["added"] == 5
    return ask


def values(client: TestClient, **params: Any) -> list[float]:
    answer = client.get("/v1/drivers", params={"name": "tmax", **params})
    assert answer.status_code == 200, answer.text
    return [one["value"] for one in answer.json()["items"]]


def test_what_counts_is_the_observation_or_the_newest_forecast(issues: TestClient) -> None:
    assert values(issues) == [3.0, 4.5]
    assert values(issues, all_issues=True) == [1.0, 2.0, 3.0, 4.5]
    assert values(issues, **{"from": "2025-11-09"}) == [4.5]
    assert values(issues, to="2025-11-08") == [3.0]
    assert values(issues, name="rain") == [30.0]
    first = issues.get("/v1/drivers", params={"name": "tmax"}).json()["items"][0]
    expected = {"name": "tmax", "area": "ALL", "date": "2025-11-08", "value": 3.0, "issued_at": "2025-11-09T00:00:00+08:00", "observed": True}
    assert first == expected


@pytest.mark.parametrize(
    ("moment", "known"),
    [
        ("2025-11-06T05:59", []),
        ("2025-11-06T06:00", [1.0]),
        ("2025-11-07", [2.0]),
        ("2025-11-08T23:59", [2.0]),
        ("2025-11-08", [3.0]),
        ("2099-01-01", [3.0, 4.5]),
    ],
)
def test_as_of_tells_what_was_known_then(issues: TestClient, moment: str, known: list[float]) -> None:
    assert values(issues, as_of=moment) == known


def test_pages_and_csv_hold_the_same_rows(issues: TestClient) -> None:
    whole = issues.get("/v1/drivers", params={"all_issues": True}).json()["items"]
    pages: list[Any] = []
    following: str | None = None
    for _ in range(len(whole)):
        params = {"all_issues": True, "limit": 2} | ({"next": following} if following else {})
        page = issues.get("/v1/drivers", params=params).json()
        pages += page["items"]
        following = page["next"]
        if following is None:
            break
    assert pages == whole
    assert len(whole) == 5
    table = pd.read_csv(io.StringIO(issues.get("/v1/drivers", params={"all_issues": True, "format": "csv"}).text))
    assert table["value"].tolist() == [one["value"] for one in whole]
    assert list(table.columns) == list(whole[0])


@pytest.mark.parametrize(
    "params", [{"as_of": "soon"}, {"from": "2025-11-10", "to": "2025-11-09"}, {"area": "x"}, {"next": "AAAA"}, {"limit": 0}, {"nme": "x"}]
)
def test_a_question_that_makes_no_sense_is_a_problem(ask: TestClient, params: dict[str, Any]) -> None:
    answer = ask.get("/v1/drivers", params=params)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_without_drivers_the_list_is_empty(ask: TestClient) -> None:
    assert ask.get("/v1/drivers").json() == {"items": [], "next": None}


def test_before_any_district_is_known_weather_may_be_loaded_first(bare_city: City) -> None:
    settings = Settings(**bare_city.settings.model_dump())
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {bare_city.key()}"}) as client:
        assert numbers(client.post("/v1/drivers", json=row(district="朝阳区"))) == {"rows": 1, "added": 1}
        assert [one["area"] for one in client.get("/v1/drivers").json()["items"]] == ["朝阳区"]
    with reading(bare_city.engine) as conn:
        assert conn.execute(select(func.count()).select_from(drivers)).scalar() == 1
