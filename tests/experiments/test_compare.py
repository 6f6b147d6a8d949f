"""Paired comparison: what is a difference and what is noise, against oracles and by simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from experiments import compare
from experiments.compare import BETTER, FEW, NOISE, WORSE
from forecasting.hierarchy import ALL

HORIZON = 28


def days(n: int, gap: int = HORIZON) -> pd.DatetimeIndex:
    return pd.date_range("2024-01-01", periods=n, freq=f"{gap}D")


def frame(losses: np.ndarray, gap: int = HORIZON, category: str | None = None) -> pd.DataFrame:
    """Losses [rows, cutoffs] as a comparison takes them: levels without a name, or categories."""
    rows = [
        ("champion", f"level {i}" if category is None else "category", ALL if category is None else f"{category}{i}", "WAPE")
        for i in range(len(losses))
    ]
    return pd.DataFrame(losses, index=pd.MultiIndex.from_tuples(rows, names=compare.ROW), columns=days(losses.shape[1], gap))


@pytest.mark.parametrize("n", [2, 6, 13, 60])
def test_without_overlap_the_test_is_student_s(n: int) -> None:
    """With one step ahead the correction of Harvey, Leybourne & Newbold makes it the one-sample t test."""
    d = np.random.default_rng(n).normal(0.3, 1, n)
    assert compare.diebold_mariano(d) == pytest.approx(stats.ttest_1samp(d, 0).pvalue)


@pytest.mark.parametrize("overlap", [2, 4])
def test_with_overlap_neighbours_count_together(overlap: int) -> None:
    """Written out: the variance of a mean is the mean over all pairs of neighbours of the product of what they are off."""
    n = 40
    d = np.convolve(np.random.default_rng(overlap).normal(0.1, 1, n + overlap - 1), np.ones(overlap), "valid")
    off = d - d.mean()
    pairs = sum(off[i] * off[j] for i in range(n) for j in range(n) if abs(i - j) < overlap)
    statistic = d.mean() / np.sqrt(pairs / n**2)
    corrected = statistic * np.sqrt((n + 1 - 2 * overlap + overlap * (overlap - 1) / n) / n)
    assert compare.diebold_mariano(d, overlap) == pytest.approx(2 * (1 - stats.t.cdf(abs(corrected), n - 1)))


def test_a_variance_is_never_negative() -> None:
    d = np.array([1.0, -1, 1, -1, 1, -1, 1.5])  # neighbours cancel
    assert 0 < compare.diebold_mariano(d, 2) < 1


def test_nothing_and_one_cutoff_and_always_the_same_are_no_division_by_zero() -> None:
    assert compare.diebold_mariano(np.zeros(9)) == 1
    assert np.isnan(compare.diebold_mariano(np.array([0.2])))
    assert compare.diebold_mariano(np.full(9, -0.2)) == 0


@pytest.mark.parametrize("n", [6, 13, 26])
def test_of_recipes_that_are_equally_good_five_in_a_hundred_look_different(n: int) -> None:
    """Losses with heavy tails that both share, a thousand comparisons at once."""
    rng = np.random.default_rng(n)
    hard = rng.lognormal(0, 0.5, (1000, n))
    a, b = (frame(hard * (0.4 + 0.04 * rng.standard_t(5, hard.shape))) for _ in range(2))
    made = compare.compare(a, b, HORIZON)
    covered = ((made["low"] <= 0) & (made["high"] >= 0)).mean()
    assert 0.93 <= covered <= 0.985
    assert 0.03 <= (made["p"] < 0.05).mean() <= 0.07
    assert (made["verdict"] != NOISE).mean() <= 0.06


def test_windows_that_overlap_do_not_pass_for_independent_ones() -> None:
    rng = np.random.default_rng(2)
    n, overlap = 52, 4
    noise = rng.normal(size=(1000, n + overlap - 1))
    moving = np.lib.stride_tricks.sliding_window_view(noise, overlap, axis=1).mean(axis=2)
    a, b = np.ones((1000, n)), 1 + 0.1 * moving
    made = compare.compare(frame(a, 7), frame(b, 7), HORIZON)
    assert (made["p"] < 0.05).mean() < 0.1
    assert ((made["low"] <= 0) & (made["high"] >= 0)).mean() > 0.9
    naive = np.array([compare.diebold_mariano(d) for d in b - a])
    assert (naive < 0.05).mean() > 0.25, "as they would if each window were new"


def test_what_is_hard_for_both_cancels() -> None:
    rng = np.random.default_rng(5)
    hard = rng.lognormal(0, 0.6, (1, 13))
    better = compare.compare(frame(hard), frame(hard * (0.97 + 0.01 * rng.normal(size=hard.shape))), HORIZON).iloc[0]
    assert better["verdict"] == BETTER
    assert better["low"] < -0.03 < better["high"] < 0
    worse = compare.compare(frame(hard), frame(hard * (1.03 + 0.01 * rng.normal(size=hard.shape))), HORIZON).iloc[0]
    assert worse["verdict"] == WORSE
    assert hard.std() / hard.mean() > 0.3, "alone each is far less sure"


def test_the_same_forecasts_are_no_difference() -> None:
    a = frame(np.random.default_rng(0).uniform(1, 2, (3, 13)))
    made = compare.compare(a, a.copy(), HORIZON)
    assert (made[["difference", "low", "high"]] == 0).all(axis=None)
    assert (made["p"] == 1).all()
    assert (made["verdict"] == NOISE).all()


@pytest.mark.parametrize(("n", "gap"), [(1, HORIZON), (5, HORIZON), (30, 1)])
def test_few_windows_tell_nothing_however_clear_they_look(n: int, gap: int) -> None:
    a = frame(np.ones((1, n)), gap)
    row = compare.compare(a, a * (0.5 + 0.01 * np.arange(n) / n), HORIZON).iloc[0]
    assert row["verdict"] == FEW
    said = compare.sentence(row, a.columns, HORIZON)
    assert said.startswith(f"too few cutoffs to tell: {n} with ")
    assert "from 6 on" in said


def test_a_score_of_nothing_has_no_share() -> None:
    row = compare.compare(frame(np.zeros((1, 13))), frame(np.ones((1, 13))), HORIZON).iloc[0]
    assert np.isnan(row["difference"])
    assert row["verdict"] == NOISE


def test_of_many_categories_the_luckiest_is_not_called_better() -> None:
    rng = np.random.default_rng(8)
    losses = [frame(rng.normal(1, 0.1, (200, 13)), category="c") for _ in range(2)]
    made = compare.compare(*losses, HORIZON)
    assert (made["p"] < 0.05).sum() >= 3, "by chance"
    assert (made["verdict"] == NOISE).all()
    one_is = losses[1].copy()
    one_is.iloc[17] *= 0.6
    found = compare.compare(losses[0], one_is, HORIZON)
    assert found[found["verdict"] == BETTER]["category"].tolist() == ["c17"]


def test_windows_are_counted_that_have_no_common_day() -> None:
    assert compare.overlapping(days(13), HORIZON) == 1
    assert compare.separate_windows(days(13), HORIZON) == 13
    assert compare.overlapping(days(13, 7), HORIZON) == 4
    assert compare.separate_windows(days(13, 7), HORIZON) == 4
    uneven = pd.DatetimeIndex(["2024-01-01", "2024-01-08", "2024-03-01", "2024-06-01"])
    assert compare.overlapping(uneven, HORIZON) == 2
    assert compare.separate_windows(uneven, HORIZON) == 3


def test_the_sentence_says_which_is_better_by_how_much_and_what_could_not_be_seen() -> None:
    row = pd.Series({"difference": -0.031, "low": -0.05, "high": -0.012, "p": 0.004, "verdict": BETTER})
    assert compare.sentence(row, days(13), HORIZON, ("old", "new")) == (
        "new is better than old: WRMSSE -3.1% (-5.0% to -1.2%, p 0.004) over 13 cutoffs"
    )
    row["verdict"] = NOISE
    assert compare.sentence(row, days(13), HORIZON).endswith("; less than about 1.9% cannot be seen with these cutoffs")
