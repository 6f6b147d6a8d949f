"""Scores side by side, and the paired block bootstrap."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from experiments import bootstrap
from experiments.benchmarks.accuracy import bars, scores
from experiments.benchmarks.accuracy.scores import ALL_LEVELS, AVERAGE
from experiments.bootstrap import Estimate
from forecasting import metrics
from forecasting.errors import InputError
from forecasting.forecast_set import with_quantiles
from forecasting.panel import from_counts

WINDOWS, HORIZON = 6, 7
DAYS = pd.date_range("2024-01-01", periods=120)
CUTOFFS = [DAYS[-1] - pd.Timedelta(days=HORIZON * k) for k in range(WINDOWS, 0, -1)]
MEAN = {("d1", "a"): 8.0, ("d1", "b"): 2.0, ("d2", "a"): 4.0}


@pytest.fixture(scope="module")
def truth() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    parts = [pd.DataFrame({"district": d, "category": c, "date": DAYS, "count": rng.poisson(m, len(DAYS))}) for (d, c), m in MEAN.items()]
    return metrics.actuals(from_counts(pd.concat(parts)))


@pytest.fixture(scope="module")
def forecast(truth: pd.DataFrame) -> Callable[..., pd.DataFrame]:
    """Forecasts that are off by a factor."""

    def make(model: str, factor: float) -> pd.DataFrame:
        nodes = truth[["district", "category"]].drop_duplicates()
        days = pd.DataFrame([(c, c + pd.Timedelta(days=h)) for c in CUTOFFS for h in range(1, HORIZON + 1)], columns=["cutoff", "date"])
        f = nodes.merge(days, how="cross")
        mean = [sum(m for (d, c), m in MEAN.items() if row.district in (d, "ALL") and row.category in (c, "ALL")) for row in f.itertuples()]
        return with_quantiles(f.assign(mean=np.array(mean) * factor, dispersion=0.0, model=model))

    return make


def test_a_draw_takes_as_many_cutoffs_as_there_are_and_the_first_is_as_measured() -> None:
    weights = bootstrap.circular_blocks(13, draws=50)
    assert (weights[0] == 1).all()
    assert (weights.sum(axis=1) == 13).all()
    assert weights.shape == (51, 13)
    assert (bootstrap.circular_blocks(13, draws=50) == weights).all()
    assert (bootstrap.circular_blocks(13, draws=50, seed=1) != weights).any()


def test_blocks_are_neighbours_in_a_ring() -> None:
    weights = bootstrap.circular_blocks(9, draws=300, block=9)
    assert (weights == 1).all()  # one block as long as the ring is all of it, wherever it begins
    pairs = bootstrap.circular_blocks(2 * 5, draws=300, block=5)[1:]
    for row in pairs:
        assert (row + np.roll(row, -5)).sum() == 20
        assert any((np.roll(row, -s)[:5] >= 1).all() for s in range(10))


@pytest.mark.parametrize("block", [1, 2, 3, 4])
def test_the_spread_of_a_mean_is_the_one_that_theory_gives(block: int) -> None:
    x = np.cumsum(np.random.default_rng(3).normal(size=12))  # neighbours are alike
    ring = np.concatenate([x, x])
    means = np.array([ring[i : i + block].mean() for i in range(12)])
    expected = ((means - x.mean()) ** 2).mean() / (12 / block)  # Politis & Romano 1992: k blocks, each start equally likely
    drawn = bootstrap.circular_blocks(12, draws=40_000, block=block)[1:] @ x / 12
    assert drawn.mean() == pytest.approx(x.mean(), abs=0.03)
    assert drawn.var() == pytest.approx(expected, rel=0.03)


def test_what_does_not_vary_over_the_cutoffs_has_no_noise() -> None:
    e = bootstrap.estimate(bootstrap.circular_blocks(13) @ np.full(13, 0.5) / 13)
    assert (e.value, e.low, e.high) == pytest.approx((0.5, 0.5, 0.5))


def test_scores_as_measured_are_those_of_the_product(truth: pd.DataFrame, forecast: Callable[..., pd.DataFrame]) -> None:
    frames = {"one": forecast("one", 1.1), "two": forecast("two", 0.8)}
    made = scores.table(scores.resampled(scores.summed(frames, truth)))
    plain = metrics.score(pd.concat(frames.values()), truth)
    plain = pd.concat([plain, metrics.mean_of_levels(plain)])
    both = made.merge(plain, on=["model", "level"], suffixes=("", "_plain"), validate="1:1")
    assert len(both) == len(made) == 10
    for name in ("WRMSSE", "WAPE", "WQL", "bias", "cover80", "cover90"):
        np.testing.assert_allclose(both[name], both[f"{name}_plain"], rtol=1e-12)


def test_what_is_hard_for_both_cancels_in_a_difference(truth: pd.DataFrame, forecast: Callable[..., pd.DataFrame]) -> None:
    draws = scores.resampled(scores.summed({"one": forecast("one", 1.5), "same": forecast("same", 1.5)}, truth))
    own = bootstrap.estimate(draws["one", "city"]["WRMSSE"].to_numpy())
    assert own.high > own.low
    assert scores.relative(draws, "one", "same", "city", "WRMSSE") == Estimate(0.0, 0.0, 0.0)


def test_the_average_of_two_is_the_plain_one(forecast: Callable[..., pd.DataFrame]) -> None:
    frames = scores.with_average({"Prophet": forecast("Prophet", 1.0), "AutoETS": forecast("AutoETS", 1.5)})
    keys = ["district", "category", "date"]
    one, two, mean = (frames[name].sort_values(keys, ignore_index=True) for name in ("Prophet", "AutoETS", AVERAGE))
    np.testing.assert_allclose(mean["q90"], (one["q90"] + two["q90"]) / 2)
    np.testing.assert_allclose(mean["mean"], one["mean"] * 1.25)
    assert AVERAGE not in scores.with_average({"Prophet": frames["Prophet"]})


def test_models_are_compared_on_the_same_rows_alone(truth: pd.DataFrame, forecast: Callable[..., pd.DataFrame]) -> None:
    frames = {"one": forecast("one", 1.0), "two": forecast("two", 1.0).iloc[1:]}
    with pytest.raises(InputError, match="other nodes or days"):
        scores.summed(frames, truth)
    with pytest.raises(InputError, match="without a number"):
        scores.summed({"one": forecast("one", 1.0).assign(q05=np.nan)}, truth)


def test_a_mean_over_panels_is_plain_and_of_what_all_have(truth: pd.DataFrame, forecast: Callable[..., pd.DataFrame]) -> None:
    one = scores.resampled(scores.summed({"a": forecast("a", 1.0), "b": forecast("b", 2.0)}, truth), 0)
    two = scores.resampled(scores.summed({"a": forecast("a", 3.0)}, truth), 1)
    mean = scores.mean_over([one, two])
    assert {model for model, _ in mean} == {"a"}
    expected = (one["a", ALL_LEVELS]["WQL"] + two["a", ALL_LEVELS]["WQL"]) / 2
    np.testing.assert_allclose(mean["a", ALL_LEVELS]["WQL"], expected)


def test_a_bar_holds_only_if_it_is_reached(truth: pd.DataFrame, forecast: Callable[..., pd.DataFrame]) -> None:
    frames = {"champion": forecast("champion", 1.0), "AutoETS": forecast("AutoETS", 1.6), "MSTL": forecast("MSTL", 3.0)}
    draws = scores.resampled(scores.summed(frames, truth))
    assert scores.best(draws, bars.PEER_NAMES, ALL_LEVELS, "WRMSSE") == "AutoETS"
    near = bars.against_best(draws, "here", ALL_LEVELS, "WRMSSE", -0.04)
    assert near.holds
    assert "AutoETS" in near.what
    assert bars.against_best(draws, "here", ALL_LEVELS, "WRMSSE", -0.99).holds is False
    assert bars.against_best(draws, "here", ALL_LEVELS, "WRMSSE", None).holds
    worse = scores.resampled(scores.summed({"champion": forecast("champion", 3.0), "AutoETS": forecast("AutoETS", 1.0)}, truth))
    assert bars.against_best(worse, "here", ALL_LEVELS, "WRMSSE", None).holds is False
    assert bars.against(draws, "here", AVERAGE, ALL_LEVELS, "WRMSSE", None).holds is None
