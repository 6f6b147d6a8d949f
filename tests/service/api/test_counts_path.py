"""`/v1/counts` against sums made by hand from what was put in."""

import base64
import io
import json
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from api_city import NOW, YESTERDAY, ZONE, City, daily_cells
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.settings import Settings
from service.store import bulk, category_map, compaction, counts, excluded_spans, ingests
from service.store.engine import writing

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
    plain = {"area": area, "category": category, "excluded": False, "recoded": None}
    assert rows == [{**plain, "date": str(day), "count": by_hand(area, category, day)} for day in days]


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
    rows = ask.get("/v1/counts", params={"category": "HEAT"}).json()["items"]
    assert table.to_dict("records") == [{name: value for name, value in row.items() if name != "recoded"} for row in rows]
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"


def test_a_city_without_data_has_no_counts(bare_city: City, ask_bare: TestClient) -> None:
    assert ask_bare.get("/v1/counts").json() == {"items": [], "next": None}
    assert ask_bare.get("/v1/counts", params={"format": "csv"}).text == "area,category,date,count,excluded\r\n"


def test_the_aliases_of_area_add_up_to_one_question(ask: TestClient) -> None:
    rows = ask.get("/v1/counts", params={"district": "110108", "street": "110105A", "area": ["ALL", "UNKNOWN"], "category": "ALL"}).json()["items"]
    assert {row["area"] for row in rows} == {"110108", "110105A", "ALL", "UNKNOWN"}


def put_breaks(city: City, recodings: list[tuple[str, str, str, float]], spans: list[tuple[str, str, str, str]]) -> None:
    with writing(city.engine) as conn:
        ingest = ingests.begin(conn, "category_map", "category_map.csv", NOW)
        moves = pd.DataFrame(recodings, columns=["old", "new", "valid_from", "share"]).astype({"valid_from": "datetime64[us]"})
        category_map.put(conn, moves, ingest)
        days = pd.DataFrame(spans, columns=["start", "end", "area", "category"]).astype({"start": "datetime64[us]", "end": "datetime64[us]"})
        excluded_spans.put(conn, days.assign(reason="停电"), ingest)


def test_counts_in_todays_codes_stand_beside_those_that_were_filed(city: City, ask: TestClient) -> None:
    put_breaks(city, [("HEAT", "NOISE", "2025-11-04", 0.25), ("HEAT", "WATER", "2025-11-06", 0.5)], [])

    def told(category: str, area: str = "ALL") -> list[tuple[int, float]]:
        question = {"area": area, "category": category, "from": "2025-11-03", "to": "2025-11-06", "recoded": "true"}
        return [(row["count"], row["recoded"]) for row in ask.get("/v1/counts", params=question).json()["items"]]

    heat = [by_hand("ALL", "HEAT", date(2025, 11, day)) for day in (3, 4, 5, 6)]
    assert told("HEAT") == [(heat[0], heat[0] * 0.375), (heat[1], heat[1] * 0.5), (heat[2], heat[2] * 0.5), (heat[3], heat[3])]
    assert [b - a for a, b in told("NOISE")] == [heat[0] * 0.25, 0, 0, 0]
    assert [b - a for a, b in told("UTILITY")] == [-heat[0] * 0.25, 0, 0, 0]  # HEAT and WATER are both below it
    assert [b - a for a, b in told("ALL")] == [0, 0, 0, 0]
    own = [by_hand("110105A", "HEAT", date(2025, 11, day)) for day in (3, 4, 5, 6)]
    assert [a for a, _ in told("HEAT", "110105A")] == own


def test_days_of_an_excluded_span_are_marked_on_every_node_that_has_a_part_in_it(city: City, ask: TestClient) -> None:
    put_breaks(city, [], [("2025-11-04", "2025-11-05", "110105", "UTILITY")])

    def marked(area: str, category: str) -> list[bool]:
        question = {"area": area, "category": category, "from": "2025-11-03", "to": "2025-11-06"}
        return [row["excluded"] for row in ask.get("/v1/counts", params=question).json()["items"]]

    inside = [False, True, True, False]
    nodes = [("110105", "UTILITY"), ("110105A", "HEAT"), ("ALL", "ALL"), ("110105", "NOISE"), ("110108", "HEAT")]
    assert [marked(*node) for node in nodes] == [inside, inside, inside, [False] * 4, [False] * 4]


def test_as_of_tells_what_was_known_then(city: City, ask: TestClient) -> None:
    question = {"area": "110108", "category": "HEAT", "from": "2025-11-05", "to": "2025-11-06"}
    before = ask.get("/v1/counts", params=question).json()["items"]
    with writing(city.engine) as conn:
        ingest = ingests.begin(conn, "counts", "more.csv", NOW)
        late = pd.DataFrame(
            {
                "area": "110108",
                "category": "HEAT",
                "day": pd.Series([pd.Timestamp("2025-11-05")], dtype=bulk.DAY),
                "hour": pd.Series([pd.Timestamp("2025-11-04T16:00Z")], dtype=bulk.UTC_MOMENT),
                "count": [before[0]["count"] + 7],
                "received_at": pd.Series([NOW], dtype=bulk.UTC_MOMENT),
            }
        )
        counts.set_baseline(conn, ingest, late, NOW - timedelta(hours=1))

    def at(moment: str) -> list[int]:
        return [row["count"] for row in ask.get("/v1/counts", params=question | {"as_of": moment}).json()["items"]]

    assert ask.get("/v1/counts", params=question).json()["items"][0]["count"] == before[0]["count"] + 7
    assert at(f"{YESTERDAY}") == [row["count"] for row in before]
    assert at(NOW.isoformat()) == [before[0]["count"] + 7, before[1]["count"]]
    assert at("2025-11-05T12:00:00+08:00") == [0]  # the 6th was not known at all


def test_what_was_known_before_the_history_that_is_kept_is_an_error_and_what_was_known_since_is_told(city: City, ask: TestClient) -> None:
    horizon = datetime.combine(YESTERDAY - timedelta(days=9), datetime.min.time(), ZONE)
    question = {"as_of": horizon.isoformat()}
    before = ask.get("/v1/counts", params=question).json()
    compaction.run(city.engine, horizon)
    assert ask.get("/v1/counts", params=question).json() == before
    problem = ask.get("/v1/counts", params={"as_of": (horizon - timedelta(seconds=1)).isoformat()})
    assert problem.status_code == 422
    assert "are not kept" in problem.json()["detail"]


@pytest.mark.parametrize(("as_of", "says"), [("soon", "neither a date nor a moment"), ("2020-01-01", "nothing was known")])
def test_a_moment_that_is_none_or_before_the_data_is_an_error(ask: TestClient, as_of: str, says: str) -> None:
    answer = ask.get("/v1/counts", params={"as_of": as_of})
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/counts", "/v1/counts/compare"])
def test_a_list_goes_on_as_it_began_although_a_day_has_ended_and_a_district_has_come_since(city: City, ask: TestClient, path: str) -> None:
    whole = ask.get(path).json()["items"]
    first = ask.get(path, params={"limit": 100}).json()
    new = {"ticket_id": "1", "created_at": f"{YESTERDAY}T07:00", "district": "110101", "category": "FIRE"}  # it stands before all others
    assert ask.post("/v1/tickets", json=new).json()["new_areas"] == ["110101"]
    later = Settings(**city.settings.model_dump() | {"as_of": (NOW + timedelta(days=1)).isoformat()})
    with TestClient(create_app(later), headers=ask.headers) as tomorrow:
        assert tomorrow.get(path).json()["items"][-1]["date"] == str(TODAY)
        rows, following = first["items"], first["next"]
        while following:
            page = tomorrow.get(path, params={"limit": 100, "next": following}).json()
            rows, following = rows + page["items"], page["next"]
    keys = [(row["area"], row["category"], row["date"]) for row in rows if row["category"] != "FIRE"]
    assert keys == [(row["area"], row["category"], row["date"]) for row in whole]


def test_a_forged_token_asks_for_no_more_than_there_is(ask: TestClient) -> None:
    following = ask.get("/v1/counts", params={"limit": 1}).json()["next"]
    question, *_ = json.loads(base64.urlsafe_b64decode(following + "=="))
    for days, numbers in ((["0001-01-01", "9999-12-31"], 3 * 3 * 41), (["2025-11-08", "2025-11-01"], 0)):
        forged = base64.urlsafe_b64encode(json.dumps([question, "", "", "2025-11-01", 0, *days]).encode()).decode().rstrip("=")
        answer = ask.get("/v1/counts", params={"next": forged, "limit": 20_000})
        assert (answer.status_code, len(answer.json()["items"])) == (200, numbers)
