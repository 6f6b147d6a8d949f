"""Detectors that know the distribution, and the two-sided estimate of it."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from experiments.benchmarks.detection import known, simulated
from experiments.benchmarks.detection.known import Known
from experiments.benchmarks.detection.simulated import KINDS

DAYS = pd.date_range("2024-01-01", periods=60, name="date")


def constant(mean: float, dispersion: float) -> Known:
    return Known(pd.DataFrame(mean, DAYS, ["a"]), np.array([dispersion]))


def counts(changed: dict[int, int], usual: int = 2) -> pd.DataFrame:
    frame = pd.DataFrame(usual, DAYS, ["a"])
    for day, value in changed.items():
        frame.iloc[day, 0] = value
    return frame


@pytest.mark.parametrize("dispersion", [0.0, 0.3])
def test_a_day_is_as_unusual_as_its_tail_is_improbable(dispersion: float) -> None:
    made = known.score(counts({50: 9}), constant(2.0, dispersion), DAYS[40:], "day")
    law = stats.nbinom(1 / dispersion, 1 / (1 + dispersion * 2)) if dispersion else stats.poisson(2.0)
    assert made.index.equals(DAYS[40:])
    assert made.loc[DAYS[50], "a"] == pytest.approx(-np.log10(law.sf(8)))
    assert made.loc[DAYS[51], "a"] == pytest.approx(-np.log10(law.sf(1)))


def test_three_days_are_the_day_and_the_two_before_it_and_none_after_it() -> None:
    made = known.score(counts({50: 9}), constant(2.0, 0.0), DAYS[40:], "3 days")["a"]
    assert made.loc[DAYS[50:53]].tolist() == pytest.approx([-np.log10(stats.poisson(6.0).sf(12))] * 3)
    assert made.loc[DAYS[49]] == made.loc[DAYS[53]] == pytest.approx(-np.log10(stats.poisson(6.0).sf(5)))


def test_windows_add_up_the_last_days_in_sums_of_one_to_seven() -> None:
    made = known.score(counts({50: 9}), constant(2.0, 0.0), DAYS[40:], "windows")["a"]

    def middle(days: int, y: int) -> float:
        law = stats.poisson(2.0 * days)
        return float(-np.log10(law.sf(y) + law.pmf(y) / 2))

    usual = {days: middle(days, 2 * days) for days in (1, 2, 3, 5, 7)}
    assert made.loc[DAYS[49]] == pytest.approx(sum(usual.values()))
    assert made.loc[DAYS[50]] == pytest.approx(sum(middle(days, 2 * days + 7) for days in usual))
    assert made.loc[DAYS[54]] == pytest.approx(usual[1] + usual[2] + usual[3] + middle(5, 17) + middle(7, 21))


def test_the_cusum_gathers_what_no_day_shows_and_forgets_it_again() -> None:
    made = known.score(counts(dict.fromkeys(range(40, 44), 5)), constant(2.0, 0.0), DAYS[38:], "CUSUM")["a"]
    assert made.loc[DAYS[39]] < made.loc[DAYS[40]] < made.loc[DAYS[42]] < made.loc[DAYS[43]] <= known.CEILING
    assert made.iloc[-1] == 0


@pytest.mark.parametrize("detector", known.DETECTORS)
def test_no_score_looks_ahead(detector: str) -> None:
    before = known.score(counts({}), constant(2.0, 0.1), DAYS[40:], detector)
    after = known.score(counts({55: 30}), constant(2.0, 0.1), DAYS[40:], detector)
    assert before.loc[: DAYS[54]].equals(after.loc[: DAYS[54]])
    assert (after.loc[DAYS[55]] > before.loc[DAYS[55]]).all()


def test_simulated_counts_have_the_mean_and_the_variance_that_are_said_to_be_known() -> None:
    made, law = simulated.simulate(5, KINDS, 6, 3 * 365)
    error = made - law.mean
    kind = made.columns.str.split("|").str[1]
    assert (error.sum().groupby(kind).sum() / law.mean.sum().groupby(kind).sum()).abs().max() < 0.1
    variance = (law.mean + law.dispersion * law.mean**2).sum().groupby(kind).sum()
    assert ((error**2).sum().groupby(kind).sum() / variance).to_numpy() == pytest.approx(1, abs=0.15)


def test_levels_wander_as_far_and_as_slowly_as_is_said() -> None:
    _, still = simulated.simulate(5, KINDS[8:9], 40, 6 * 365)
    _, law = simulated.simulate(5, KINDS[8:9], 40, 6 * 365, 0.3)
    path = np.log(law.mean.to_numpy() / still.mean.to_numpy())
    assert path.std() == pytest.approx(0.3, rel=0.1)
    lag = int(simulated.DRIFT_DAYS)
    assert (path[lag:] * path[:-lag]).mean() / path.var() == pytest.approx(np.exp(-1), abs=0.12)


def test_sixteen_kinds_span_a_tenth_to_a_hundred_tickets_a_day() -> None:
    means = [kind.mean for kind in KINDS]
    assert (len(means), min(means), max(means)) == (16, 0.1, 100)


def test_the_two_sided_estimate_comes_near_to_what_is_known() -> None:
    made, law = simulated.simulate(5, KINDS[8:], 4, 3 * 365)
    guess = known.two_sided(made)
    middle = guess.mean.iloc[60:-60] / law.mean.iloc[60:-60]
    assert (middle - 1).abs().mean().max() < 0.12
    assert guess.dispersion == pytest.approx(law.dispersion, abs=0.06)


def test_a_day_does_not_speak_for_itself_or_the_days_summed_with_it() -> None:
    made, _ = simulated.simulate(5, KINDS[8:10], 2, 400)
    other = made.copy()
    other.iloc[200] += 1000
    ratio = (known.two_sided(other).mean / known.two_sided(made).mean).mean(axis=1).to_numpy()
    far = ratio[198 + 98 : 209 + 98]  # the same weekdays, whose factors a thousand tickets move as well
    beside = ratio[198:209] / far
    assert beside[:5] == pytest.approx(1, abs=0.05)
    assert (beside[5:] > 1.5).all()
