"""Excluded spans: missing for training and scores, below the node that they name and nowhere else."""

import numpy as np
import pandas as pd
import pytest

from forecasting import excluded, metrics, training
from forecasting.hierarchy import ALL, Tree
from forecasting.models.base import Known
from forecasting.models.baselines import FourWeekMean, SeasonalNaive
from forecasting.panel import CountPanel, from_counts

AREAS, CATEGORIES = Tree.flat(["d1", "d2"]), Tree({"U": ALL, "HEAT": "U", "WATER": "U", "NOISE": ALL})
DAYS = pd.date_range("2025-01-01", periods=60)


def panel() -> CountPanel:
    cells = pd.MultiIndex.from_product([["d1", "d2"], ["HEAT", "NOISE", "WATER"], DAYS], names=["district", "category", "date"])
    return from_counts(cells.to_frame(index=False).assign(count=5.0))


def spans(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["start", "end", "area", "category"])


@pytest.mark.parametrize(
    ("area", "category", "concerned"),
    [
        (ALL, ALL, {(a, c) for a in ("d1", "d2") for c in ("HEAT", "NOISE", "WATER")}),
        ("d1", ALL, {("d1", "HEAT"), ("d1", "NOISE"), ("d1", "WATER")}),
        (ALL, "U", {("d1", "HEAT"), ("d2", "HEAT"), ("d1", "WATER"), ("d2", "WATER")}),
        ("d2", "NOISE", {("d2", "NOISE")}),
        ("elsewhere", ALL, set()),
    ],
)
def test_a_span_concerns_what_lies_below_its_nodes_on_its_days(area: str, category: str, concerned: set[tuple[str, str]]) -> None:
    whole = panel()
    found = excluded.without(whole, spans(("2025-01-10", "2025-01-12", area, category)), AREAS, CATEGORIES)
    missing = np.isnan(found.counts)
    for row, pair in enumerate(zip(whole.series["area"], whole.series["category"], strict=True)):
        assert set(whole.days[missing[row]].day) == ({10, 11, 12} if pair in concerned else set())
    np.testing.assert_array_equal(found.first, whole.first)


def test_neither_training_nor_scores_see_an_excluded_day() -> None:
    whole = panel()
    whole.counts[:, 40:50] = 500.0
    found = excluded.without(whole, spans(("2025-02-10", "2025-02-19", ALL, ALL)), AREAS, CATEGORIES)
    known = Known(found, AREAS, CATEGORIES, None, "none")
    means = FourWeekMean().fit(known, 7, 0).forecast(known, 7)
    np.testing.assert_allclose(means[: len(whole.series)], 5.0)
    truth = metrics.actuals(found)
    assert truth["date"].between("2025-02-10", "2025-02-19").sum() == 0
    assert truth["count"].max() == 30


def test_without_spans_the_panel_is_the_same() -> None:
    whole = panel()
    assert excluded.without(whole, spans(), AREAS, CATEGORIES) is whole


def test_a_forecast_exists_although_every_window_of_the_backtest_is_excluded() -> None:
    cells = pd.MultiIndex.from_product(
        [["d1", "d2"], ["HEAT", "NOISE"], pd.date_range("2024-01-01", periods=300)], names=["district", "category", "date"]
    )
    whole = from_counts(cells.to_frame(index=False).assign(count=5.0))
    found = excluded.without(whole, spans((f"{whole.days[150]:%Y-%m-%d}", f"{whole.days[-1]:%Y-%m-%d}", ALL, ALL)), AREAS, CATEGORIES)
    known = Known(found, AREAS, CATEGORIES, None, "none")
    members = training.backtest_members(known, (SeasonalNaive(), FourWeekMean()), 7, 3, 0)
    made = training.assemble(members).forecast().frame
    assert np.isfinite(made[["mean", "dispersion"]]).all(axis=None)
    np.testing.assert_allclose(made.loc[(made["area"] == ALL) & (made["category"] == ALL), "mean"], 20.0)
