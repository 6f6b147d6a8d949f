"""`/v1/counts?granularity=`: weeks, months and hours against sums made by hand."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from api_city import NOW, YESTERDAY, ZONE, City
from fastapi.testclient import TestClient
from test_counts_path import by_hand, every_page, put_breaks

from service.api.counts.count_grid import CountGrid
from service.api.counts.node_sums import NodeSums
from service.store import bulk, counts, ingests
from service.store.engine import writing

TODAY = NOW.date()


def items(client: TestClient, granularity: str, **params: Any) -> list[dict[str, Any]]:
    answer = client.get("/v1/counts", params={"granularity": granularity, **params})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def of_days(area: str, category: str, first: date, last: date) -> int:
    return sum(by_hand(area, category, first + timedelta(days=n)) for n in range((last - first).days + 1))


def send(client: TestClient, *moments: str, area: str = "UNKNOWN") -> None:
    rows = [{"ticket_id": moment, "created_at": moment, "district": area, "category": "WATER"} for moment in moments]
    assert client.post("/v1/tickets", json=rows).json()["added"] == len(rows)


def test_a_week_is_seven_days_from_monday(ask: TestClient) -> None:
    rows = items(ask, "week", area="ALL", category="ALL", **{"from": "2025-10-22", "to": "2025-10-29"})
    assert [(row["date"], row["days"]) for row in rows] == [("2025-10-20", 7), ("2025-10-27", 7)]
    assert [row["count"] for row in rows] == [
        of_days("ALL", "ALL", date(2025, 10, 20), date(2025, 10, 26)),
        of_days("ALL", "ALL", date(2025, 10, 27), date(2025, 11, 2)),
    ]


def test_weeks_and_months_at_the_ends_of_the_data_say_how_many_days_they_have(ask: TestClient) -> None:
    weeks = items(ask, "week", area="110105", category="HEAT", **{"from": "2020-01-01"})
    assert [row["days"] for row in weeks] == [6, 7, 7, 7, 7, 6]  # from Tuesday 30 September to Saturday 8 November
    months = items(ask, "month", area="110105", category="HEAT", **{"from": "2020-01-01"})
    assert [(row["date"], row["days"]) for row in months] == [("2025-09-01", 1), ("2025-10-01", 31), ("2025-11-01", 8)]
    assert sum(row["count"] for row in weeks) == sum(row["count"] for row in months) == of_days("110105", "HEAT", date(2025, 9, 30), YESTERDAY)


def test_the_day_still_running_is_in_its_month_only_if_asked_for(ask: TestClient) -> None:
    whole = {"area": "ALL", "category": "ALL", "from": "2025-11-01"}
    assert items(ask, "month", **whole)[0]["days"] == 8
    assert items(ask, "month", **whole, to=str(YESTERDAY))[0]["days"] == 8
    asked = items(ask, "month", **whole, to=str(TODAY))[0]
    assert (asked["days"], asked["count"]) == (9, of_days("ALL", "ALL", date(2025, 11, 1), TODAY))


def test_an_excluded_day_marks_its_week_and_recoded_days_add_up(city: City, ask: TestClient) -> None:
    put_breaks(city, [("HEAT", "NOISE", "2025-11-04", 0.25)], [("2025-10-22", "2025-10-22", "110105", "HEAT")])
    asked = {"area": "110105", "category": "HEAT", "from": "2025-10-20", "to": "2025-11-02"}
    assert [row["excluded"] for row in items(ask, "week", **asked)] == [True, False]
    days = items(ask, "day", **asked, recoded="true")
    weeks = items(ask, "week", **asked, recoded="true")
    assert [row["recoded"] for row in weeks] == [pytest.approx(sum(day["recoded"] for day in days[k : k + 7])) for k in (0, 7)]
    assert ask.get("/v1/counts", params={"granularity": "hour", "recoded": "true"}).json()["where"] == "recoded"


@pytest.mark.parametrize("granularity", ["week", "month", "hour"])
def test_pages_together_are_the_whole(ask: TestClient, granularity: str) -> None:
    question = {"granularity": granularity, "area": "ALL,110105", "category": "ALL,HEAT,NOISE", "from": "2025-11-06"}
    whole = ask.get("/v1/counts", params=question).json()["items"]
    assert every_page(ask, "/v1/counts", **question, limit=5) == whole
    keys = [(row["area"], row["category"], row["date"], row.get("hour")) for row in whole]
    assert keys == sorted(set(keys))


def test_hours_are_those_of_the_city_s_clock_and_add_up_to_their_day(ask: TestClient) -> None:
    send(ask, "2025-11-05T00:10", "2025-11-05T17:00", "2025-11-05T17:59:59", "2025-11-05T23:30", "2025-11-04T17:30")
    rows = items(ask, "hour", area="ALL", category="WATER", **{"from": "2025-11-05", "to": "2025-11-05"})
    assert [row["hour"] for row in rows] == list(range(24))
    before = {0: by_hand("ALL", "WATER", date(2025, 11, 5))}  # the counts of the city carry midnight
    assert {row["hour"]: row["count"] for row in rows if row["count"]} == {0: before[0] + 1, 17: 2, 23: 1}
    day = items(ask, "day", area="ALL", category="WATER", **{"from": "2025-11-05", "to": "2025-11-05"})[0]
    assert sum(row["count"] for row in rows) + rows[0]["without_hour"] == day["count"]


def test_counts_by_whole_days_are_in_no_hour_and_are_told_beside(city: City, ask: TestClient) -> None:
    with writing(city.engine) as conn:
        ingest = ingests.begin(conn, "counts", "days.csv", NOW, note=counts.WHOLE_DAYS)
        frame = pd.DataFrame(
            {
                "area": "110108",
                "category": "NOISE",
                "day": pd.Series([pd.Timestamp("2025-11-05")], dtype=bulk.DAY),
                "hour": pd.Series([pd.Timestamp("2025-11-04T16:00Z")], dtype=bulk.UTC_MOMENT),
                "count": [9],
                "received_at": pd.Series([NOW - timedelta(days=3)], dtype=bulk.UTC_MOMENT),
            }
        )
        counts.set_baseline(conn, ingest, frame, NOW)
    asked = {"category": "NOISE", "from": "2025-11-05", "to": "2025-11-05"}
    rows = items(ask, "hour", area="110108", **asked)
    assert {(row["count"], row["without_hour"]) for row in rows} == {(0, 9)}
    assert items(ask, "day", area="110108", **asked)[0]["count"] == 9
    of_city = items(ask, "hour", area="ALL", **asked)
    assert {row["without_hour"] for row in of_city} == {9}
    assert sum(row["count"] for row in of_city) == by_hand("ALL", "NOISE", date(2025, 11, 5))


def test_hours_of_too_many_days_are_an_error(ask: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.counts.count_paths.MOST_DAYS_BY_HOURS", 8)
    assert ask.get("/v1/counts", params={"granularity": "hour", "from": "2025-11-01", "to": "2025-11-08"}).status_code == 200
    answer = ask.get("/v1/counts", params={"granularity": "hour", "from": "2025-10-31", "to": "2025-11-08"})
    assert (answer.status_code, answer.json()["where"]) == (422, "from, to")


@pytest.mark.parametrize("granularity", ["day", "week", "month", "hour"])
def test_as_of_tells_what_was_known_then(city: City, ask: TestClient, granularity: str) -> None:
    first, last = date(2025, 11, 3), date(2025, 11, 5)
    moment = datetime(2025, 11, 5, 12, tzinfo=ZONE)  # counts become known at the end of their day
    rows = items(ask, granularity, area="110108", category="HEAT", **{"from": str(first), "to": str(last)}, as_of=moment.isoformat())
    begin = {"week": date(2025, 11, 3), "month": date(2025, 11, 1)}.get(granularity, first)
    assert sum(row["count"] for row in rows) == of_days("110108", "HEAT", begin, date(2025, 11, 4))
    now = items(ask, granularity, area="110108", category="HEAT", **{"from": str(first), "to": str(last)})
    assert sum(row["count"] for row in now) > sum(row["count"] for row in rows)
    early = ask.get("/v1/counts", params={"granularity": granularity, "as_of": "2020-01-01"})
    assert (early.status_code, early.json()["where"]) == (422, "as_of")


def test_where_clocks_are_shifted_a_day_has_the_hours_that_pass() -> None:
    sums = NodeSums(None, None, ["X"], pd.DataFrame(), None)  # type: ignore[arg-type]
    for day, hours in ((date(2025, 3, 9), [h for h in range(24) if h != 2]), (date(2025, 11, 2), list(range(24)))):
        grid = CountGrid(sums, ["A"], (day, day), "hour", None, ZoneInfo("America/New_York"))
        assert grid.times["hour"].tolist() == hours
