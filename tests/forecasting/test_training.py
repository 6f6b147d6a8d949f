"""What the champion's parts are worth on windows that it has not learnt from: the blend against its members, coherence against sums."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from forecasting import city, metrics, panel, training
from forecasting.drivers import from_frame
from forecasting.hierarchy import Tree
from forecasting.models.base import Known
from forecasting.models.baselines import UsualWeeks
from forecasting.models.boosting import Boosting
from forecasting.models.loglinear import Loglinear
from forecasting.models.prophet_model import ProphetModel
from forecasting.training import Backtested

HORIZON, WINDOWS = 28, 6
DISTRICTS = ("110101", "110102", "110105", "110106", "110107", "110108")
CATEGORIES = ("HEAT", "WATER", "POWER", "NOISE_C", "VENDOR", "PARK", "EDU", "CONSUM")
LEVELS = ("series", "category", "district", "city")


@pytest.fixture(scope="module")
def backtested() -> Backtested:
    """A small simulated city whose weather, holidays and incidents each member sees in its own way."""
    made = city.simulate(5, 0.03, date(2023, 9, 1), date(2025, 6, 30))
    part = made.counts[made.counts["district"].isin(DISTRICTS) & made.counts["category"].isin(CATEGORIES)]
    counts = part.groupby(["district", "category", "date"], as_index=False)["count"].sum()
    known = Known(panel.from_counts(counts), Tree(), Tree(), from_frame(made.drivers), "CN")
    members = (UsualWeeks(), ProphetModel(), Loglinear(), Boosting(rows=40_000, trees=100, threads=1))
    return training.backtest_members(known, members, HORIZON, WINDOWS, 0)


@pytest.fixture(scope="module")
def held_out(backtested: Backtested) -> tuple[np.ndarray, np.ndarray]:
    """[M, W, H] means of champions that have not seen the window they forecast: coherent, and with every sum added up from the series."""
    coherent, summed = (np.full(backtested.counts.shape, np.nan) for _ in range(2))
    n = backtested.known.hierarchy.n_series
    for w in range(WINDOWS):
        champion = training.assemble(backtested, leave_out=w)
        coherent[:, w] = champion.in_windows[:, w]
        of_series = replace(champion, variances=np.where(np.arange(len(coherent)) < n, 1.0, 1e12))  # sums are not listened to
        summed[:, w] = of_series.in_windows[:, w]
    return coherent, summed


def wrmsse(backtested: Backtested, means: np.ndarray) -> dict[str, np.ndarray]:
    """[W] by level: root mean squared errors of each window against those of last week's numbers, weighted by volume."""
    hierarchy = backtested.known.hierarchy
    by = metrics.yardstick(hierarchy.total(np.nan_to_num(backtested.known.panel.counts))[:, : backtested.origins[0] + 1])
    use = np.isfinite(means).all(axis=(1, 2)) & ~np.isnan(by.scale) & (by.weight > 0)
    squared = (means - backtested.counts) ** 2
    there = np.isfinite(squared)
    error = np.sqrt(np.where(there, squared, 0.0).sum(axis=2) / np.maximum(there.sum(axis=2), 1) / by.scale[:, None])
    level = hierarchy.nodes["level"].to_numpy()
    return {name: np.average(error[use & (level == name)], axis=0, weights=by.weight[use & (level == name)]) for name in LEVELS}


def test_the_blend_is_at_no_level_worse_than_its_best_member_by_more_than_noise(
    backtested: Backtested, held_out: tuple[np.ndarray, np.ndarray]
) -> None:
    blended = wrmsse(backtested, held_out[0])
    members = [wrmsse(backtested, single) for single in backtested.forecasts]
    for level in LEVELS:
        best = min((member[level] for member in members), key=np.mean)
        worse = blended[level] - best  # paired: what makes a window hard cancels
        assert worse.mean() < 2 * worse.std(ddof=1) / np.sqrt(WINDOWS), level
        assert worse.mean() < 0.01 * best.mean(), level
    means = [np.mean([scores[level].mean() for level in LEVELS]) for scores in (blended, *members)]
    assert means[0] < min(means[1:])


def test_coherent_means_are_at_no_level_worse_than_sums_of_the_series_and_better_on_the_whole(
    backtested: Backtested, held_out: tuple[np.ndarray, np.ndarray]
) -> None:
    coherent, summed = (wrmsse(backtested, means) for means in held_out)
    for level in LEVELS:
        assert coherent[level].mean() < 1.005 * summed[level].mean(), level
    assert sum(coherent[level].mean() for level in LEVELS) < sum(summed[level].mean() for level in LEVELS)
