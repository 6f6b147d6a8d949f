"""How unusual the last days of a node are: one number a day, comparable between nodes of every size, and how often chance alone reaches it.

A single day shows a burst soonest; a week shows a build-up that no single day does. So the tails of the sums of the last 1, 2, 3, 5 and 7
days are put together as Fisher (1932) puts independent tests together: by adding the logarithms of their probabilities. Recent days are in
every sum and so count most. Of the combinations tried on simulated incidents (the largest one, the mean probability, CUSUM, likelihood
ratios over up to 21 days) this one detects most at equal false alarms, whatever their number.

The sums share days, so that Fisher's chi-square does not hold. What chance does was simulated instead: negative binomial counts of means
from 0.03 to 100 a day and dispersions from 0.001 to 1 all reach a score about equally often, and each half as many episodes need the same
step. Two numbers therefore turn a score into the episodes that a year of one usual node brings, and back.
"""

import numpy as np

from forecasting import distribution

WINDOWS = (1, 2, 3, 5, 7)  # days whose sums are tested
ONCE_A_YEAR = 10.0  # the score that a usual node reaches in one episode a year, days with no more than three quiet ones between them being one
DECADE = 4.25  # by how much the score is higher that is reached a tenth as often
MOST = 60.0  # of one logarithm: nobody can tell 1e-60 from 1e-70
DAYS_A_YEAR = 365.25


def score(observed: np.ndarray, mean: np.ndarray, dispersion: np.ndarray) -> np.ndarray:
    """Evidence at the end of each day that more came than was to be expected.

    Args:
        observed: [..., D] counts of consecutive days; NaN where missing: such a day says nothing, in no window.
        mean, dispersion: [..., D] as forecast.

    Returns:
        [..., D] finite, >= 0. The first days have shorter windows. A day without data has the evidence of the days before it.
    """
    came, expected, scatter = _known(observed, mean, dispersion)
    total = np.zeros(observed.shape)
    for days in WINDOWS:
        total += _of_sums(_sum(came, days), _sum(expected, days), _sum(scatter, days))
    return total


def newest(observed: np.ndarray, mean: np.ndarray, dispersion: np.ndarray) -> np.ndarray:
    """Evidence at the end of the last day alone, as `score` has it: [..., D] -> [...]."""
    parts = _known(observed, mean, dispersion)
    total = np.zeros(observed.shape[:-1])
    for days in WINDOWS:
        came, expected, scatter = (part[..., -days:].sum(axis=-1) for part in parts)
        total += _of_sums(came, expected, scatter)
    return total


def episodes_a_year(score: np.ndarray | float) -> np.ndarray:
    """Episodes a year in which one usual node reaches a score by chance."""
    return np.asarray(10.0 ** ((ONCE_A_YEAR - np.asarray(score)) / DECADE))


def p_value(score: np.ndarray) -> np.ndarray:
    """Probability that an episode in which a usual node reaches such a score begins on a given day."""
    return np.asarray(np.minimum(episodes_a_year(score) / DAYS_A_YEAR, 1.0))


def threshold(budget: float, nodes: int) -> float:
    """The score from which on `nodes` usual nodes together bring `budget` episodes a day."""
    return float(ONCE_A_YEAR - DECADE * np.log10(max(budget, 1e-12) * DAYS_A_YEAR / max(nodes, 1)))


def _known(observed: np.ndarray, mean: np.ndarray, dispersion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What came, what was expected, and its variance beyond the Poisson's; all 0 on a missing day."""
    there = ~np.isnan(observed)
    return np.where(there, observed, 0.0), np.where(there, mean, 0.0), np.where(there, dispersion * mean**2, 0.0)


def _of_sums(came: np.ndarray, expected: np.ndarray, scatter: np.ndarray) -> np.ndarray:
    """Evidence of sums over some days."""
    tail = distribution.mid_tail(expected, scatter / np.maximum(expected, distribution.LEAST_MEAN) ** 2, came)
    return np.asarray(np.where(expected > 0, np.minimum(-np.log10(np.maximum(tail, 10**-MOST)), MOST), 0.0))


def _sum(values: np.ndarray, days: int) -> np.ndarray:
    """Sums of the last days, of fewer at the beginning: [..., D] -> [..., D]."""
    total = np.cumsum(values, axis=-1)
    before = np.concatenate([np.zeros((*values.shape[:-1], min(days, values.shape[-1]))), total[..., :-days]], axis=-1)
    return np.asarray(total - before)
