"""`/v1/counts` against sums made by hand from what was put in."""

import io
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest
from api_city import NOW, YESTERDAY, City, daily_cells
from fastapi.testclient import TestClient

TODAY = NOW.date()
ABOVE = {"HEAT": "UTILITY", "WATER": "UTILITY"}
DISTRICT = {"110105A": "110105", "110105B": "110105"}


def by_hand(area: str, category: str, day: date) -> int:
    """Tickets of any node on a day, counted one by one."""
    total = 0
    for cell in daily_cells().itertuples():
        areas = {cell.area, DISTRICT.get(str(cell.area), cell.area), "ALL"}
        categories = {cell.category, ABOVE.get(str(cell.category), cell.category), "ALL"}
        if area in areas and category in categories and cell.day.date() == day:
            total += int(cell.count)
    return total


def every_page(client: TestClient, path: str, **params: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    following: str | None = None
    while True:
        answer = client.get(path, params={**params, **({"next": following} if following else {})})
        assert answer.status_code == 200, answer.text
        rows += answer.json()["items"]
        following = answer.json()["next"]
        if following is None:
            return rows


@pytest.mark.parametrize(
    ("area", "category"),
    [("ALL", "ALL"), ("ALL", "UTILITY"), ("110105", "ALL"), ("110105", "HEAT"), ("110105A", "HEAT"), ("110108", "UTILITY"), ("UNKNOWN", "NOISE")],
)
def test_any_node_of_both_trees_is_summed(ask: TestClient, area: str, category: str) -> None:
    rows = ask.get("/v1/counts", params={"area": area, "category": category, "from": "2025-11-01"}).json()["items"]
    days = [date(2025, 11, 1) + timedelta(days=number) for number in range(8)]
    assert rows == [{"area": area, "category": category, "date": str(day), "count": by_hand(area, category, day)} for day in days]


def test_without_a_question_it_tells_every_district_and_leaf_of_the_last_28_finished_days(ask: TestClient) -> None:
    rows = ask.get("/v1/counts").json()["items"]
    assert len(rows) == 3 * 3 * 28
    assert {row["category"] for row in rows} == {"HEAT", "NOISE", "WATER"}
    assert (rows[0]["date"], rows[27]["date"]) == (str(YESTERDAY - timedelta(days=27)), str(YESTERDAY))
    assert rows == sorted(rows, key=lambda row: (row["area"], row["category"], row["date"]))


def test_a_day_without_tickets_is_there_with_zero(ask: TestClient) -> None:
    rows = ask.get("/v1/counts", params={"area": "110108", "category": "WATER", "from": "2025-11-02", "to": "2025-11-03"}).json()["items"]
    assert [(row["date"], row["count"] > 0) for row in rows] == [("2025-11-02", False), ("2025-11-03", True)]  # the 2nd is a Sunday


def test_the_day_still_running_is_told_only_if_asked_for(ask: TestClient) -> None:
    asked = ask.get("/v1/counts", params={"area": "ALL", "category": "ALL", "to": str(TODAY)}).json()["items"]
    assert (asked[-1]["date"], asked[-1]["count"]) == (str(TODAY), by_hand("ALL", "ALL", TODAY))
    assert ask.get("/v1/counts", params={"area": "ALL", "category": "ALL"}).json()["items"][-1]["date"] == str(YESTERDAY)


def test_days_without_data_are_left_out(ask: TestClient) -> None:
    rows = ask.get("/v1/counts", params={"area": "ALL", "category": "ALL", "from": "2020-01-01", "to": "2030-01-01"}).json()["items"]
    assert len(rows) == 41
    assert rows[-1]["date"] == str(TODAY)


@pytest.mark.parametrize("params", [{"from": "2025-11-10"}, {"to": "2025-09-29"}])
def test_only_days_without_data_are_an_error_that_says_where_there_are_some(ask: TestClient, params: dict[str, str]) -> None:
    answer = ask.get("/v1/counts", params=params)
    assert answer.status_code == 422
    assert "2025-09-30 to 2025-11-09" in answer.json()["detail"]


@pytest.mark.parametrize("limit", [1, 7, 28, 100])
def test_pages_together_are_the_whole(ask: TestClient, limit: int) -> None:
    question = {"area": "ALL,110105", "category": "ALL,HEAT", "from": "2025-11-01"}
    whole = ask.get("/v1/counts", params=question).json()
    assert whole["next"] is None
    assert every_page(ask, "/v1/counts", **question, limit=limit) == whole["items"]


def test_a_token_of_another_question_is_refused(ask: TestClient) -> None:
    following = ask.get("/v1/counts", params={"limit": 1, "area": "110105"}).json()["next"]
    assert ask.get("/v1/counts", params={"area": "110105", "next": following, "limit": 5}).status_code == 200
    assert ask.get("/v1/counts", params={"area": "110108", "next": following}).status_code == 422
    assert ask.get("/v1/forecasts", params={"area": "110105", "next": following}).status_code == 422


def test_the_csv_twin_has_the_same_rows(ask: TestClient) -> None:
    answer = ask.get("/v1/counts", params={"format": "csv", "category": "HEAT"})
    table = pd.read_csv(io.StringIO(answer.text), dtype={"area": str})
    assert table.to_dict("records") == ask.get("/v1/counts", params={"category": "HEAT"}).json()["items"]
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"


def test_a_city_without_data_has_no_counts(bare_city: City, ask_bare: TestClient) -> None:
    assert ask_bare.get("/v1/counts").json() == {"items": [], "next": None}
    assert ask_bare.get("/v1/counts", params={"format": "csv"}).text == "area,category,date,count\r\n"


def test_the_aliases_of_area_add_up_to_one_question(ask: TestClient) -> None:
    rows = ask.get("/v1/counts", params={"district": "110108", "street": "110105A", "area": ["ALL", "UNKNOWN"], "category": "ALL"}).json()["items"]
    assert {row["area"] for row in rows} == {"110108", "110105A", "ALL", "UNKNOWN"}
