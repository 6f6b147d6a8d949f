"""The generator's own forecast of the simulated city."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from experiments.benchmarks import panels
from experiments.benchmarks.accuracy import floor
from forecasting import city, metrics
from forecasting.panel import from_counts


@pytest.fixture(scope="module")
def made() -> city.City:
    return city.simulate(0, 0.3, date(2024, 3, 1), date(2024, 12, 31))


@pytest.fixture(scope="module")
def rates(made: city.City) -> pd.DataFrame:
    return floor.rates(made.truth_rates).assign(level=metrics.level_of)


def test_means_add_up_over_both_trees_to_what_the_generator_expects(made: city.City, rates: pd.DataFrame) -> None:
    total = rates.pivot_table(index="date", columns="level", values="mean", aggfunc="sum")
    expected = made.truth_rates.groupby("date")["rate_without_incidents"].sum()
    for level in ("city", "category", "district", "series"):
        np.testing.assert_allclose(total[level], expected, rtol=1e-9)


@pytest.mark.parametrize("level", ["city", "district", "category", "series"])
def test_counts_scatter_around_the_rates_as_the_dispersion_says(made: city.City, rates: pd.DataFrame, level: str) -> None:
    truth = metrics.actuals(from_counts(panels.daily(made.counts)))
    part = rates[(rates["level"] == level) & (rates["mean"] > 5)].merge(truth, on=["district", "category", "date"])
    sd = np.sqrt(part["mean"] + part["dispersion"] * part["mean"] ** 2)
    z = ((part["count"] - part["mean"]) / sd).to_numpy()
    assert abs(np.median(z)) < 0.3
    assert np.median(np.abs(z)) == pytest.approx(0.6745, rel=0.2)  # of a standard normal; incidents and outages move the tails alone


def test_hindsight_has_the_right_sum_of_every_node_and_window_and_the_champion_s_days() -> None:
    days = pd.date_range("2024-01-01", periods=4)
    champion = pd.DataFrame(
        [(d, "x", c, day, m, 0.1) for d, m in (("a", 2.0), ("b", 0.0)) for c, part in (("c1", days[:2]), ("c2", days[2:])) for day in part],
        columns=["district", "category", "cutoff", "date", "mean", "dispersion"],
    )
    champion.loc[1, "mean"] = 6.0  # the second day of the first window is three times the first
    truth = pd.DataFrame(
        [("a", "x", day, count) for day, count in zip(days, (5, 3, 0, 0), strict=True)], columns=["district", "category", "date", "count"]
    )
    got = floor.hindsight(champion, truth)
    assert got["mean"].tolist() == [2.0, 6.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]  # 8 tickets in the ratio of one to three; none; a node that never was
    assert (got["q95"] >= got["q05"]).all()
    assert (got["model"] == floor.HINDSIGHT).all()
