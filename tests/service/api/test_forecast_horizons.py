"""`/v1/forecasts?granularity=`: weeks of the outlook and hours of today and tomorrow, from the published set."""

import io
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from api_city import NOW, PLACES, TOPICS, YESTERDAY, ZONE, City, nodes
from fastapi.testclient import TestClient
from scipy import stats

from forecasting.forecast_set import pack
from forecasting.hierarchy import ALL, Tree
from forecasting.intraday import COLUMNS as SHARES
from forecasting.intraday import Profiles

LAW = ["mean", "q05", "q10", "q25", "q50", "q75", "q90", "q95", "model", "issued_at", "run_id"]
LEAVES = ["HEAT", "NOISE", "WATER"]
TREE = Tree({leaf: top for top, leaves in TOPICS.items() for leaf in leaves} | dict.fromkeys(TOPICS, ALL))


def weeks(cutoff: date) -> bytes:
    first = pd.Timestamp(cutoff) + pd.Timedelta(days=1)
    rows = [
        (area, category, first + pd.Timedelta(weeks=ahead - 1), ahead, 10.0 + place + ahead / 4, 0.1, "outlook")
        for place, (area, category) in enumerate(nodes())
        for ahead in range(1, 14)
    ]
    frame = pd.DataFrame(rows, columns=["area", "category", "date", "week_ahead", "mean", "dispersion", "model"])
    return pack(frame.sample(frac=1, random_state=2))


def shares(cutoff: date) -> bytes:
    """Heat in the morning, noise at night, on three days."""
    drawn = np.random.default_rng(0).dirichlet(np.ones(24), (len(LEAVES), 2))
    days = pd.Series([True, False, True], index=pd.date_range(pd.Timestamp(cutoff) + pd.Timedelta(days=1), periods=3))
    return pack(Profiles({leaf: TREE.path(leaf) for leaf in LEAVES}, drawn).of_days(days, ZONE))


@pytest.fixture
def full(city: City, ask: TestClient) -> TestClient:
    """The API over a set with weeks and hours."""
    city.publish(YESTERDAY, NOW - timedelta(hours=1), mlflow_run_id="full", outlook=weeks(YESTERDAY), hours=shares(YESTERDAY))
    return ask


def items(client: TestClient, granularity: str, **params: Any) -> list[dict[str, Any]]:
    answer = client.get("/v1/forecasts", params={"granularity": granularity, **params})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_days_are_what_is_told_unless_something_else_is_asked(full: TestClient) -> None:
    days = full.get("/v1/forecasts").json()["items"]
    assert days == items(full, "day")
    assert list(days[0]) == ["area", "category", "date", "horizon", *LAW]


def test_weeks_have_their_first_day_and_their_number(full: TestClient) -> None:
    rows = items(full, "week", area="110108", category="HEAT")
    assert list(rows[0]) == ["area", "category", "date", "week_ahead", *LAW]
    assert [row["week_ahead"] for row in rows] == list(range(1, 14))
    assert [row["date"] for row in rows] == [f"{YESTERDAY + timedelta(days=1 + 7 * k)}" for k in range(13)]
    place = nodes().index(("110108", "HEAT"))
    for row in rows:
        mean = 10.0 + place + row["week_ahead"] / 4
        assert row["mean"] == mean
        law = stats.nbinom(10, 10 / (10 + mean))  # dispersion 0.1
        assert law.cdf(row["q90"]) >= 0.9 > law.cdf(row["q90"] - 1)
    assert {(row["run_id"], row["issued_at"]) for row in rows} == {("full", "2025-11-09T06:30:00+08:00")}


def test_weeks_without_a_question_are_those_of_every_bottom_series(full: TestClient) -> None:
    rows = items(full, "week")
    assert {(row["area"], row["category"]) for row in rows} == {(area, category) for area in PLACES for category in LEAVES}
    assert rows == sorted(rows, key=lambda row: (row["area"], row["category"], row["date"]))
    assert len(rows) == 9 * 13


@pytest.mark.parametrize(
    ("start", "end", "ahead"),
    [
        ("2025-11-09", "2025-11-09", [1]),  # the first day of the first week
        ("2025-11-15", "2025-11-15", [1]),  # its last
        ("2025-11-15", "2025-11-16", [1, 2]),
        ("2026-02-01", None, [13]),
        ("2026-02-07", "2027-01-01", [13]),  # the last day of all
        (None, "2025-11-22", [1, 2]),
        ("2025-01-01", "2025-11-10", [1]),
    ],
)
def test_days_choose_the_weeks_that_have_one_of_them(full: TestClient, start: str | None, end: str | None, ahead: list[int]) -> None:
    period = {name: value for name, value in (("from", start), ("to", end)) if value}
    assert [row["week_ahead"] for row in items(full, "week", area="ALL", category="ALL", **period)] == ahead


@pytest.mark.parametrize("period", [{"from": "2026-02-08"}, {"to": "2025-11-08"}])
def test_days_beyond_all_weeks_are_an_error_that_says_which_there_are(full: TestClient, period: dict[str, str]) -> None:
    answer = full.get("/v1/forecasts", params={"granularity": "week", **period})
    assert answer.status_code == 422
    assert "2025-11-09 to 2026-02-07" in answer.text


def test_hours_are_those_of_today_and_tomorrow(full: TestClient) -> None:
    rows = items(full, "hour", area="110108", category="HEAT")
    assert list(rows[0]) == ["area", "category", "date", "hour", *LAW]
    assert [(row["date"], row["hour"]) for row in rows] == [(day, hour) for day in ("2025-11-09", "2025-11-10") for hour in range(24)]
    assert {row["date"] for row in items(full, "hour", **{"from": "2025-11-10"})} == {"2025-11-10"}
    assert {row["date"] for row in items(full, "hour", to="2025-11-09")} == {"2025-11-09"}


def test_hours_add_up_to_their_day(full: TestClient) -> None:
    days = {(row["category"], row["date"]): row["mean"] for row in full.get("/v1/forecasts", params={"area": "110105"}).json()["items"]}
    rows = pd.DataFrame(items(full, "hour", area="110105"))
    for (category, day), mean in rows.groupby(["category", "date"])["mean"].sum().items():
        assert mean == pytest.approx(days[(category, day)])


def test_hours_of_a_sum_are_the_sums_of_its_leaves(full: TestClient) -> None:
    rows = pd.DataFrame(items(full, "hour", area="110108", category="UTILITY,HEAT,WATER"))
    means = rows.pivot_table(index=["date", "hour"], columns="category", values="mean")
    np.testing.assert_allclose(means["UTILITY"], means["HEAT"] + means["WATER"])


def test_an_hour_scatters_as_its_day(full: TestClient) -> None:
    for row in items(full, "hour", area="ALL", category="HEAT"):
        law = stats.nbinom(20, 20 / (20 + row["mean"]))  # dispersion 0.05, as the day's
        assert law.cdf(row["q95"]) >= 0.95 > law.cdf(row["q95"] - 1)


def test_hours_of_days_that_are_not_near_are_an_error(full: TestClient) -> None:
    answer = full.get("/v1/forecasts", params={"granularity": "hour", "from": "2025-11-11"})
    assert answer.status_code == 422
    assert "2025-11-09 to 2025-11-10" in answer.text


def test_as_of_tells_the_hours_that_lay_ahead_then(city: City, full: TestClient) -> None:
    earlier = YESTERDAY - timedelta(days=1)
    city.publish(earlier, NOW - timedelta(days=1), mlflow_run_id="early", outlook=weeks(earlier), hours=shares(earlier))
    rows = items(full, "hour", area="ALL", category="ALL", as_of=(NOW - timedelta(hours=20)).isoformat())
    assert {row["run_id"] for row in rows} == {"early"}
    assert {row["date"] for row in rows} == {"2025-11-08", "2025-11-09"}
    assert {row["run_id"] for row in items(full, "week", as_of=(NOW - timedelta(hours=20)).isoformat())} == {"early"}


def test_a_set_that_ends_before_today_has_no_hours(city: City, ask: TestClient) -> None:
    old = YESTERDAY - timedelta(days=9)
    city.publish(old, NOW - timedelta(minutes=1), outlook=weeks(old), hours=shares(old))
    answer = ask.get("/v1/forecasts", params={"granularity": "hour"})
    assert (answer.status_code, answer.json()["where"]) == (404, "granularity")
    assert "2025-11-02" in answer.json()["detail"]


@pytest.mark.parametrize("granularity", ["week", "hour"])
def test_an_older_set_says_what_it_lacks_and_still_tells_its_days(ask: TestClient, granularity: str) -> None:
    answer = ask.get("/v1/forecasts", params={"granularity": granularity})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["where"] == "granularity"
    assert f"before there were forecasts by {granularity}" in answer.json()["detail"]
    assert items(ask, "day")


def test_where_no_ticket_tells_its_hour_there_are_none(city: City, ask: TestClient) -> None:
    city.publish(YESTERDAY, NOW - timedelta(hours=1), outlook=weeks(YESTERDAY), hours=pack(pd.DataFrame(columns=list(SHARES))))
    answer = ask.get("/v1/forecasts", params={"granularity": "hour"})
    assert (answer.status_code, answer.json()["where"]) == (404, "granularity")
    assert "date alone" in answer.json()["detail"]
    assert items(ask, "week")


@pytest.mark.parametrize("granularity", ["week", "hour"])
def test_a_limited_key_sees_its_districts(city: City, full: TestClient, ask_as: Callable[..., TestClient], granularity: str) -> None:
    client = ask_as("forecasts:read", districts=["110105"])
    assert {row["area"] for row in items(client, granularity)} == {"110105"}
    assert client.get("/v1/forecasts", params={"granularity": granularity, "area": "ALL"}).status_code == 403


@pytest.mark.parametrize("granularity", ["week", "hour"])
def test_pages_together_are_the_whole_and_the_csv_has_the_same_rows(full: TestClient, granularity: str) -> None:
    whole, paged, following = items(full, granularity), [], None
    while True:
        page = full.get("/v1/forecasts", params={"granularity": granularity, "limit": 50, **({"next": following} if following else {})}).json()
        paged += page["items"]
        following = page["next"]
        if following is None:
            break
    assert paged == whole
    answer = full.get("/v1/forecasts", params={"granularity": granularity, "format": "csv"})
    assert f"forecasts-{granularity}s-2025-11-08.csv" in answer.headers["content-disposition"]
    table = pd.read_csv(io.StringIO(answer.text), dtype={"area": str})
    assert list(table.columns) == list(whole[0])
    assert table["mean"].to_numpy() == pytest.approx([row["mean"] for row in whole])


def test_another_granularity_is_refused(full: TestClient) -> None:
    assert full.get("/v1/forecasts", params={"granularity": "year"}).status_code == 422


def test_the_hours_as_of_a_day_that_still_runs_are_those_of_today_and_tomorrow(full: TestClient) -> None:
    asked = {"area": "ALL", "category": "ALL"}
    assert items(full, "hour", **asked, as_of=str(NOW.date())) == items(full, "hour", **asked)
