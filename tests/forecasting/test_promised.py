"""What was promised against what came, from plain arrays."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from forecasting import promised
from forecasting.forecast_set import ForecastSet
from forecasting.hierarchy import ALL, Tree
from forecasting.models.base import Known
from forecasting.models.baselines import SameWeekday
from forecasting.panel import from_counts


@pytest.mark.parametrize("mean", [0.0, 0.01, 0.5, 1.0, 3.7, 40.0, 2500.0])
def test_what_chance_makes_is_the_mean_deviation_of_a_poisson_count(mean: float) -> None:
    k = np.arange(0, int(mean + 20 * np.sqrt(mean + 1)) + 20)
    assert promised.chance(np.array([mean]))[0] == pytest.approx((np.abs(k - mean) * stats.poisson.pmf(k, mean)).sum(), abs=1e-9)


def test_the_baseline_is_the_seasonal_naive_forecast_made_at_the_cutoff() -> None:
    days = pd.date_range("2025-01-06", periods=60)
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"district": "D", "category": "C", "date": days, "count": rng.poisson(40, 60)})
    table.loc[table["date"].isin(days[[43, 44, 50]]), "count"] = 0  # where forty are usual that is a hole
    known = Known(from_counts(table), Tree.flat(["D"]), Tree())
    assert np.isnan(known.counts[0]).sum() == 3
    cutoff = 52
    expected = SameWeekday(1).forecast(known.at(days[cutoff].date()), 7)
    for horizon in range(1, 8):
        np.testing.assert_array_equal(promised.naive(known.counts, cutoff + horizon, horizon), expected[:, horizon - 1])
    column = 59  # ten days ahead the weekday of a week ago is not known yet
    np.testing.assert_array_equal(promised.naive(known.counts, column, 10), known.counts[:, column - 14])
    assert promised.naive(np.full((1, 20), np.nan), 19, 3) == 0


def test_the_level_of_series_is_there_by_district_and_by_category_and_both_give_the_whole() -> None:
    rng = np.random.default_rng(2)
    nodes = [(area, category) for area in (ALL, "D1", "D2") for category in (ALL, "A", "B", "C")]
    mean = rng.uniform(1, 30, len(nodes))
    rows = promised.row_sums(mean, np.full(len(nodes), 0.1), rng.poisson(mean).astype(float), rng.poisson(mean).astype(float))
    found = promised.at_levels(pd.concat([pd.DataFrame(nodes, columns=["area", "category"]), rows], axis=1))
    assert found["level"].value_counts().to_dict() == {"series": 3 + 2, "category": 3, "district": 2, "city": 1}
    series = found[found["level"] == "series"]
    bottom = rows[[ALL not in node for node in nodes]].sum()
    for whole in (series[series["area"] == ALL], series[series["category"] == ALL]):
        pd.testing.assert_series_equal(whole[list(promised.SUMS)].sum().astype(float), bottom.astype(float))


def test_categories_above_others_are_no_leaves() -> None:
    tree = Tree({"HEAT": "UTILITY", "UTILITY": ALL, "NOISE": ALL, "UTILITY->*": "UTILITY"})
    assert promised.leaves([ALL, "UTILITY", "HEAT", "NOISE"], tree) == {"HEAT", "NOISE"}
    assert promised.leaves([ALL, "UTILITY", "NOISE"], tree) == {"UTILITY", "NOISE"}, "in a set that has nothing below it, it is one"


def test_where_nothing_came_there_is_no_ratio() -> None:
    added = promised.row_sums(np.array([0.4]), np.array([0.1]), np.array([0.0]), np.array([0.0]))
    found = promised.ratios(added).iloc[0]
    assert found[["wape", "bias", "wql", "skill", "chance"]].isna().all()
    assert (found["cover80"], found["cover90"]) == (1.0, 1.0)


def test_days_are_taken_out_of_a_set_with_their_nodes() -> None:
    days = [date(2025, 1, 1) + timedelta(days=k) for k in range(4)]
    rows = [(area, "C", pd.Timestamp(at), k + 1, 1.0 + k, 0.1, "m") for area in ("A", "B") for k, at in enumerate(days)]
    blob = ForecastSet(pd.DataFrame(rows, columns=["area", "category", "date", "horizon", "mean", "dispersion", "model"])).to_parquet()
    found = ForecastSet.of_days(blob, [days[1], days[3], date(2030, 1, 1)])
    assert sorted(zip(found["area"], found["date"].dt.date, found["mean"], strict=True)) == [
        ("A", days[1], 2.0), ("A", days[3], 4.0), ("B", days[1], 2.0), ("B", days[3], 4.0),
    ]  # fmt: skip
