"""`/v1/counts/compare`: counts beside those of comparable days."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest
from api_city import NOW, YESTERDAY, ZONE, City
from fastapi.testclient import TestClient
from test_counts_path import every_page, put_breaks

from service.store import bulk, counts, ingests
from service.store.engine import writing

FIRST = date(2024, 9, 30)
NODE = {"area": "UNKNOWN", "category": "WATER"}


def number(day: date) -> int:
    """Tickets of the node on a day, different on each."""
    return day.toordinal() % 1009 + 1


@pytest.fixture
def long(city: City, ask: TestClient) -> TestClient:
    """The API over thirteen months of counts of one node."""
    days = pd.date_range(FIRST, NOW.date())
    moments = pd.Series(days.tz_localize(ZONE).tz_convert("UTC")).astype(bulk.UTC_MOMENT)
    about = {"area": "UNKNOWN", "category": "WATER", "day": pd.Series(days).astype(bulk.DAY), "hour": moments}
    frame = pd.DataFrame({**about, "count": [number(day.date()) for day in days], "received_at": moments + pd.Timedelta(days=1)})
    with writing(city.engine) as conn:
        counts.set_baseline(conn, ingests.begin(conn, "counts", "long.csv", NOW), frame, NOW)
    return ask


def items(client: TestClient, **params: Any) -> list[dict[str, Any]]:
    answer = client.get("/v1/counts/compare", params=NODE | params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_a_day_stands_beside_last_week_and_last_year(long: TestClient) -> None:
    (row,) = items(long, **{"from": "2025-11-06", "to": "2025-11-06"})
    last_week, last_year = date(2025, 10, 30), date(2024, 11, 7)
    assert row == {
        **NODE,
        "date": "2025-11-06",
        "days": 1,
        "kind": "workday",
        "holiday": None,
        "count": number(date(2025, 11, 6)),
        "excluded": False,
        "last_week_date": str(last_week),
        "last_week": number(last_week),
        "last_week_ratio": round(number(date(2025, 11, 6)) / number(last_week), 4),
        "last_year_date": str(last_year),
        "last_year": number(last_year),
        "last_year_ratio": round(number(date(2025, 11, 6)) / number(last_year), 4),
    }


def test_a_holiday_stands_beside_the_same_day_of_it(long: TestClient) -> None:
    (row,) = items(long, **{"from": "2025-10-02", "to": "2025-10-02"})
    assert (row["kind"], row["holiday"]) == ("holiday", "national_day")
    assert (row["last_week_date"], row["last_week"], row["last_week_ratio"]) == (None, None, None)
    assert (row["last_year_date"], row["last_year"]) == ("2024-10-02", number(date(2024, 10, 2)))
    assert items(long, **{"from": "2025-10-11", "to": "2025-10-11"})[0]["kind"] == "makeup"


def test_a_day_before_the_data_is_nothing_to_compare_with(long: TestClient) -> None:
    (row,) = items(long, **{"from": "2025-09-26", "to": "2025-09-26"})
    assert (row["last_year_date"], row["last_year"], row["last_year_ratio"]) == (None, None, None)
    assert row["last_week"] == number(date(2025, 9, 19))


def test_an_excluded_day_is_nothing_to_compare_with(city: City, long: TestClient) -> None:
    put_breaks(city, [], [("2025-10-30", "2025-10-30", "UNKNOWN", "ALL"), ("2025-11-06", "2025-11-06", "ALL", "ALL")])
    (row,) = items(long, **{"from": "2025-11-06", "to": "2025-11-06"})
    assert row["excluded"]
    assert (row["last_week_date"], row["last_week"]) == ("2025-10-30", None)
    assert row["last_year"] is not None


def test_a_week_stands_beside_the_comparable_days_of_its_days(long: TestClient) -> None:
    (row,) = items(long, granularity="week", **{"from": "2025-11-05", "to": "2025-11-05"})
    assert (row["date"], row["days"], row["kind"], row["last_week_date"]) == ("2025-11-03", 6, None, None)
    days = [date(2025, 11, 3) + timedelta(days=n) for n in range(6)]
    assert row["count"] == sum(map(number, days))
    assert row["last_week"] == sum(number(day - timedelta(days=7)) for day in days)
    assert row["last_year"] == sum(number(day - timedelta(days=364)) for day in days)
    (october,) = items(long, granularity="month", **{"from": "2025-10-01", "to": "2025-10-31"})
    assert (october["days"], october["last_week"], october["last_year"]) == (31, None, None)  # holidays; the eighth had none last year


def test_sums_of_both_trees_are_compared_as_sums(long: TestClient) -> None:
    rows = long.get("/v1/counts/compare", params={"area": "ALL,110105,110108,UNKNOWN", "category": "ALL", "from": "2025-11-06"}).json()["items"]
    of = {(row["area"], row["date"]): row["last_week"] for row in rows}
    for day in ("2025-11-06", "2025-11-07", "2025-11-08"):
        assert of["ALL", day] == of["110105", day] + of["110108", day] + of["UNKNOWN", day]


def test_as_of_takes_all_three_as_they_were_known(long: TestClient) -> None:
    (row,) = items(long, **{"from": "2025-11-05", "to": "2025-11-06"}, as_of="2025-11-06T12:00")[-1:]
    assert (row["date"], row["count"]) == ("2025-11-06", 0)  # counts become known at the end of their day
    assert row["last_week"] == number(date(2025, 10, 30))
    early = long.get("/v1/counts/compare", params={"as_of": "2024-01-01"})
    assert (early.status_code, early.json()["where"]) == (422, "as_of")


def test_pages_together_are_the_whole(long: TestClient) -> None:
    question = {"area": "ALL,UNKNOWN", "category": "ALL,WATER", "from": "2025-11-01"}
    whole = long.get("/v1/counts/compare", params=question).json()["items"]
    assert len(whole) == 4 * 8
    assert every_page(long, "/v1/counts/compare", **question, limit=5) == whole


def test_a_limited_key_compares_its_own_districts(city: City, ask_as: Callable[..., TestClient]) -> None:
    client = ask_as("forecasts:read", districts=["110105"])
    assert {row["area"] for row in client.get("/v1/counts/compare").json()["items"]} == {"110105"}
    assert client.get("/v1/counts/compare", params={"area": "ALL"}).status_code == 403


def test_a_city_without_data_has_nothing_to_compare(ask_bare: TestClient) -> None:
    assert ask_bare.get("/v1/counts/compare").json() == {"items": [], "next": None}
    assert ask_bare.get("/v1/counts/compare", params={"format": "parquet"}).status_code == 200


def test_the_newest_finished_day_is_there_by_itself(long: TestClient) -> None:
    assert items(long)[-1]["date"] == str(YESTERDAY)
