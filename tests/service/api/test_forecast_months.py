"""`/v1/forecasts?granularity=month` and the heat-map: sums of weeks and days that are taken to be wrong together."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from api_city import HORIZON, NOW, PLACES, YESTERDAY, City, forecast_frame, nodes
from fastapi.testclient import TestClient
from scipy import stats
from test_counts_path import by_hand, put_breaks
from test_forecast_horizons import shares, weeks

from service.api.forecasts.span_law import law

LEVELS = {"q05": 0.05, "q50": 0.50, "q95": 0.95}
FIRST = YESTERDAY + timedelta(days=1)  # Sunday, 9 November


@pytest.fixture
def full(city: City, ask: TestClient) -> TestClient:
    """The API over a set with weeks and hours."""
    city.publish(YESTERDAY, NOW - timedelta(hours=1), mlflow_run_id="full", outlook=weeks(YESTERDAY), hours=shares(YESTERDAY))
    return ask


def items(client: TestClient, **params: Any) -> list[dict[str, Any]]:
    answer = client.get("/v1/forecasts", params={"granularity": "month", **params})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def week_mean(node: tuple[str, str], ahead: int) -> float:
    return 10.0 + nodes().index(node) + ahead / 4


def tables(horizon: int, n_weeks: int, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Days and weeks of two nodes, the first weeks being the sums of their days."""
    rng = np.random.default_rng(seed)
    days = [
        (area, "X", pd.Timestamp(FIRST) + pd.Timedelta(days=k), rng.uniform(1, 50), rng.uniform(0, 0.5), "near")
        for area in "AB"
        for k in range(horizon)
    ]
    near = pd.DataFrame(days, columns=["area", "category", "date", "mean", "dispersion", "model"])
    rows = []
    for area in "AB":
        own = near.loc[near["area"] == area, "mean"].to_numpy()
        for k in range(n_weeks):
            mean = own[7 * k : 7 * k + 7].sum() if 7 * k + 7 <= horizon else rng.uniform(50, 200)
            rows.append((area, "X", pd.Timestamp(FIRST) + pd.Timedelta(weeks=k), mean, rng.uniform(0, 0.3), "far"))
    return near, pd.DataFrame(rows, columns=["area", "category", "date", "mean", "dispersion", "model"])


BOTH = pd.MultiIndex.from_tuples([("A", "X"), ("B", "X")])


def span(first: int, last: int) -> tuple[date, date]:
    return FIRST + timedelta(days=first), FIRST + timedelta(days=last)


def test_one_day_and_one_week_have_their_own_law() -> None:
    near, far = tables(28, 13)
    found = law(near, far, BOTH, [span(9, 9), span(14, 20), span(70, 76)])
    days, of_weeks = near.set_index(["area", "date"]), far.set_index(["area", "date"])
    for n, area in enumerate("AB"):
        for s, (table, at) in enumerate([(days, 9), (of_weeks, 14), (of_weeks, 70)]):
            row = table.loc[(area, pd.Timestamp(FIRST) + pd.Timedelta(days=at))]
            assert found.mean[n, s] == pytest.approx(row["mean"])
            assert found.dispersion[n, s] == pytest.approx(row["dispersion"])
    assert found.model[0].tolist() == ["near", "near", "far"]  # of the last day


def test_means_of_spans_add_up_and_days_of_a_far_week_follow_its_weekdays() -> None:
    near, far = tables(28, 13)
    parts = law(near, far, BOTH, [span(k, k) for k in range(91)])
    whole = law(near, far, BOTH, [span(0, 90), span(3, 50), span(28, 34)])
    np.testing.assert_allclose(parts.mean.sum(axis=1), whole.mean[:, 0])
    np.testing.assert_allclose(parts.mean[:, 3:51].sum(axis=1), whole.mean[:, 1])
    own = near.loc[near["area"] == "A", "mean"].to_numpy().reshape(4, 7).mean(axis=0)
    np.testing.assert_allclose(parts.mean[0, 28:35] / whole.mean[0, 2], own / own.sum())


def test_a_sum_scatters_as_one_factor_that_moves_all_of_it() -> None:
    near, far = tables(28, 13)
    found = law(near, far, BOTH, [span(5, 36)])  # two days, four weeks, two days of a far week
    rng = np.random.default_rng(1)
    days = near[near["area"] == "A"].reset_index(drop=True)
    of_weeks = far[far["area"] == "A"].reset_index(drop=True)
    late = days["mean"].to_numpy().reshape(4, 7).mean(axis=0)
    pieces = [(days["mean"][k], days["dispersion"][k]) for k in (5, 6)]
    pieces += [(of_weeks["mean"][k], of_weeks["dispersion"][k]) for k in (1, 2, 3, 4)]
    pieces += [(of_weeks["mean"][5] * late[k] / late.sum(), of_weeks["dispersion"][5]) for k in (0, 1)]
    push = rng.standard_normal(200_000)  # one factor: each piece lies as many of its own deviations from its mean
    spread = sum(mean * np.sqrt(scatter) * push for mean, scatter in pieces)
    total = sum(mean for mean, _ in pieces)
    assert found.mean[0, 0] == pytest.approx(total)
    assert found.mean[0, 0] ** 2 * found.dispersion[0, 0] == pytest.approx(spread.var(), rel=0.02)


def test_a_set_without_an_outlook_has_the_law_of_its_days() -> None:
    near, _ = tables(28, 0)
    found = law(near, None, BOTH, [span(0, 6), span(27, 27)])
    first = near[near["area"] == "A"].head(7)
    assert found.mean[0, 0] == pytest.approx(first["mean"].sum())
    assert found.dispersion[0, 0] == pytest.approx(((first["mean"] * np.sqrt(first["dispersion"])).sum() / first["mean"].sum()) ** 2)
    assert found.mean[0, 1] == near.loc[27, "mean"]


def test_a_horizon_that_ends_within_a_week_and_a_node_without_tickets_are_told() -> None:
    near, far = tables(10, 3)
    near.loc[near["area"] == "B", "mean"] = 0.0
    far.loc[far["area"] == "B", "mean"] = 0.0
    found = law(near, far, BOTH, [span(0, 20), span(8, 12)])
    assert np.isfinite(found.mean).all()
    assert found.mean[0, 0] == pytest.approx(far.loc[far["area"] == "A", "mean"].sum())
    assert found.mean[1].tolist() == found.dispersion[1].tolist() == [0.0, 0.0]


def test_months_are_those_that_the_outlook_reaches_and_say_how_many_days_they_have(full: TestClient) -> None:
    rows = items(full, area="110108", category="HEAT")
    assert [(row["date"], row["days"]) for row in rows] == [("2025-11-01", 22), ("2025-12-01", 31), ("2026-01-01", 31), ("2026-02-01", 7)]
    total = sum(week_mean(("110108", "HEAT"), ahead) for ahead in range(1, 14))
    near = forecast_frame(YESTERDAY).query("area == '110108' and category == 'HEAT'")["mean"].sum()
    near_of_week = week_mean(("110108", "HEAT"), 1)
    assert sum(row["mean"] for row in rows) == pytest.approx(total, abs=abs(near_of_week - near) + near_of_week)
    assert {(row["run_id"], row["model"]) for row in rows} == {("full", "outlook")}


def test_the_last_days_of_the_outlook_are_a_whole_week_with_its_law(full: TestClient) -> None:
    (row,) = items(full, area="110105", category="NOISE", **{"from": "2026-02-01"})  # from Sunday to Saturday: the thirteenth week
    mean = week_mean(("110105", "NOISE"), 13)
    assert (row["date"], row["days"]) == ("2026-02-01", 7)
    assert row["mean"] == pytest.approx(mean)
    distribution = stats.nbinom(10, 10 / (10 + mean))
    for name, level in LEVELS.items():
        assert distribution.cdf(row[name]) >= level > distribution.cdf(row[name] - 1)


def test_days_choose_the_months_that_have_one_of_them(full: TestClient) -> None:
    assert [row["date"] for row in items(full, area="ALL", category="ALL", **{"from": "2025-12-31", "to": "2026-01-01"})] == [
        "2025-12-01",
        "2026-01-01",
    ]
    assert [row["days"] for row in items(full, area="ALL", category="ALL", **{"from": "2025-12-31", "to": "2025-12-31"})] == [31]
    answer = full.get("/v1/forecasts", params={"granularity": "month", "from": "2026-02-08"})
    assert (answer.status_code, answer.json()["where"]) == (422, "from, to")


def test_months_add_up_over_both_trees_as_their_weeks_do(full: TestClient) -> None:
    frame, outlook = forecast_frame(YESTERDAY), weeks(YESTERDAY)
    assert len(frame) == len(nodes()) * HORIZON
    assert outlook
    rows = items(full, nodes="all")
    assert len(rows) == len(nodes()) * 4
    assert rows == sorted(rows, key=lambda row: (row["area"], row["category"], row["date"]))


@pytest.mark.parametrize("limit", [1, 7, 30])
def test_pages_together_are_the_whole(full: TestClient, limit: int) -> None:
    whole, paged, following = items(full), [], None
    while True:
        page = full.get("/v1/forecasts", params={"granularity": "month", "limit": limit, **({"next": following} if following else {})}).json()
        paged += page["items"]
        following = page["next"]
        if following is None:
            break
    assert paged == whole
    assert len(whole) == 9 * 4


def test_months_of_an_older_set_are_an_error_and_those_of_as_of_are_told(city: City, ask: TestClient) -> None:
    answer = ask.get("/v1/forecasts", params={"granularity": "month"})
    assert (answer.status_code, answer.json()["where"]) == (404, "granularity")
    earlier = YESTERDAY - timedelta(days=1)
    city.publish(earlier, NOW - timedelta(days=1), mlflow_run_id="early", outlook=weeks(earlier))
    rows = items(ask, as_of=(NOW - timedelta(hours=20)).isoformat())
    assert {row["run_id"] for row in rows} == {"early"}
    assert rows[0]["days"] == 23
    assert ask.get("/v1/forecasts", params={"granularity": "month", "as_of": "2025-01-01"}).status_code == 404


def heat(client: TestClient, **params: Any) -> dict[str, Any]:
    answer = client.get("/v1/forecasts/heatmap", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_map_has_every_district_by_every_category_of_a_level(full: TestClient) -> None:
    found = heat(full)
    assert (found["first_day"], found["last_day"], found["known_until"]) == ("2025-11-09", "2025-11-15", "2025-11-08")
    assert [node["code"] for node in found["areas"]] == sorted(PLACES)
    assert {node["code"]: node["zh"] for node in found["areas"]}["110108"] == "海淀区"
    assert [node["code"] for node in found["categories"]] == ["NOISE", "UTILITY"]
    assert [(cell["area"], cell["category"]) for cell in found["items"]] == [(a, c) for a in sorted(PLACES) for c in ("NOISE", "UTILITY")]
    for cell in found["items"]:
        assert cell["expected"] == pytest.approx(week_mean((cell["area"], cell["category"]), 1))
        assert cell["lower"] < cell["expected"] < cell["upper"]
    assert [node["code"] for node in heat(full, level="city", depth=0)["areas"]] == ["ALL"]
    assert {cell["area"] for cell in heat(full, level="street", depth=2)["items"]} == {"110105A"}


def test_one_day_of_the_map_is_the_day_of_the_list(full: TestClient) -> None:
    cells = heat(full, depth=2, **{"from": "2025-11-10", "to": "2025-11-10"})["items"]
    rows = full.get("/v1/forecasts", params={"category": "HEAT,WATER", "from": "2025-11-10", "to": "2025-11-10"}).json()["items"]
    assert [(c["area"], c["category"], c["expected"], c["lower"], c["upper"]) for c in cells] == [
        (row["area"], row["category"], pytest.approx(row["mean"]), row["q05"], row["q95"]) for row in rows
    ]


def test_what_is_usual_is_the_last_four_weeks_weekday_by_weekday(city: City, full: TestClient) -> None:
    def usual(first: date, last: date) -> float:
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        before = [YESTERDAY - timedelta(days=n) for n in range(28)]
        return sum(np.mean([by_hand("110108", "UTILITY", b) for b in before if b.weekday() == day.weekday()]) for day in days)

    for first, last in ((date(2025, 11, 9), date(2025, 11, 15)), (date(2025, 11, 12), date(2025, 11, 20))):
        cells = heat(full, **{"from": str(first), "to": str(last)})["items"]
        (cell,) = [cell for cell in cells if (cell["area"], cell["category"]) == ("110108", "UTILITY")]
        assert cell["last_weeks"] == pytest.approx(usual(first, last), abs=1e-3)
        assert cell["last_weeks_ratio"] == pytest.approx(cell["expected"] / cell["last_weeks"], abs=1e-3)
        assert (cell["last_year"], cell["last_year_ratio"]) == (None, None)  # there are no counts of last year
    put_breaks(city, [], [("2025-10-01", "2025-11-08", "110108", "HEAT")])
    cells = {(cell["area"], cell["category"]): cell for cell in heat(full)["items"]}
    assert cells["110108", "UTILITY"]["last_weeks"] is None
    assert cells["110105", "UTILITY"]["last_weeks"] is not None


def test_a_limited_key_sees_its_rows_of_the_map(full: TestClient, ask_as: Callable[..., TestClient]) -> None:
    client = ask_as("forecasts:read", districts=["110105"])
    assert {cell["area"] for cell in heat(client)["items"]} == {"110105"}
    assert heat(client, level="city")["items"] == []


@pytest.mark.parametrize(
    ("params", "status", "where"),
    [
        ({"from": "2026-02-08"}, 422, "from, to"),
        ({"to": "2025-11-08"}, 422, "from, to"),
        ({"level": "moon"}, 422, "level"),
        ({"depth": "-1"}, 422, "depth"),
        ({"as_of": "2020-01-01"}, 404, "as_of"),
    ],
)
def test_a_map_that_cannot_be_drawn_is_an_error(full: TestClient, params: dict[str, str], status: int, where: str) -> None:
    answer = full.get("/v1/forecasts/heatmap", params=params)
    assert (answer.status_code, answer.json()["where"]) == (status, where)


def test_a_map_of_a_set_without_an_outlook_reaches_its_last_day(ask: TestClient) -> None:
    found = heat(ask)
    assert (found["first_day"], found["last_day"]) == ("2025-11-09", "2025-11-11")
    mean = forecast_frame(YESTERDAY).query("area == '110108' and category == 'NOISE'")["mean"].sum()
    (cell,) = [cell for cell in found["items"] if (cell["area"], cell["category"]) == ("110108", "NOISE")]
    assert cell["expected"] == pytest.approx(mean)
