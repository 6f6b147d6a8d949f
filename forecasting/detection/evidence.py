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
QUIET = 3  # days between two episodes that make one of them


def score(observed: np.ndarray, mean: np.ndarray, dispersion: np.ndarray) -> np.ndarray:
    """Evidence at the end of each day that more came than was to be expected.

    Args:
        observed: [..., D] counts of consecutive days; NaN where missing: such a day says nothing, in no window.
        mean, dispersion: [..., D] as forecast.

    Returns:
        [..., D] finite, >= 0. The first days have shorter windows. A day without data has the evidence of the days before it.
    """
    parts = _known(observed, mean, dispersion)
    return of_tails(np.stack([_tail(*(_sum(part, days) for part in parts)) for days in WINDOWS]))


def newest(observed: np.ndarray, mean: np.ndarray, dispersion: np.ndarray) -> np.ndarray:
    """Evidence at the end of the last day alone, as `score` has it: [..., D] -> [...]."""
    return of_tails(newest_tails(observed, mean, dispersion))


def newest_tails(observed: np.ndarray, mean: np.ndarray, dispersion: np.ndarray, rare: bool = False) -> np.ndarray:
    """Mid-tails of the sums of the last days, one of each of `WINDOWS`: [..., D] -> [5, ...]; 1 where nothing was to be expected.

    Args:
        rare: whether only those below one in a hundred are wanted, for a third of the time; others may be 1.
    """
    parts = _known(observed, mean, dispersion)
    return np.stack([_tail(*(part[..., -days:].sum(axis=-1) for part in parts), rare=rare) for days in WINDOWS])


def of_tails(tails: np.ndarray) -> np.ndarray:
    """Evidence of the tails of several windows: [5, ...] -> [...]."""
    return np.asarray(_told(tails).sum(axis=0))


def episodes(above: np.ndarray) -> int:
    """Episodes of days above a limit, [M, D] booleans; days with no more than `QUIET` others between them are one."""
    count = np.concatenate([np.zeros((len(above), 1), int), above.cumsum(axis=1)], axis=1)
    day = np.arange(above.shape[1])
    return int((above & (count[:, day] == count[:, np.maximum(day - QUIET - 1, 0)])).sum())


def episodes_a_year(score: np.ndarray | float) -> np.ndarray:
    """Episodes a year in which one usual node reaches a score by chance."""
    return np.asarray(10.0 ** ((ONCE_A_YEAR - np.asarray(score)) / DECADE))


def p_value(score: np.ndarray) -> np.ndarray:
    """Probability that an episode in which a usual node reaches such a score begins on a given day."""
    return np.asarray(np.minimum(episodes_a_year(score) / DAYS_A_YEAR, 1.0))


def threshold(each: np.ndarray | float) -> np.ndarray:
    """The score from which on a usual node brings `each` episodes a day."""
    return np.asarray(ONCE_A_YEAR - DECADE * np.log10(np.maximum(each, 1e-12) * DAYS_A_YEAR))


def _known(observed: np.ndarray, mean: np.ndarray, dispersion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What came, what was expected, and its variance beyond the Poisson's; all 0 on a missing day."""
    there = ~np.isnan(observed)
    return np.where(there, observed, 0.0), np.where(there, mean, 0.0), np.where(there, dispersion * mean**2, 0.0)


def _tail(came: np.ndarray, expected: np.ndarray, scatter: np.ndarray, *, rare: bool = False) -> np.ndarray:
    """Mid-tails of sums over some days. Where less came than half of what was expected there is no need to look; for a rare one, where less than
    a standard deviation more came.
    """
    tail = np.ones(came.shape)
    look = (expected > 0) & (came >= (expected + np.sqrt(expected + scatter) if rare else expected / 2))
    mean = expected[look]
    dispersion, count = scatter[look] / np.maximum(mean, distribution.LEAST_MEAN) ** 2, came[look]
    # As `distribution.mid_tail`, in two thirds of the time: one tail, and half of what is between it and the next.
    tail[look] = distribution.tail(mean, dispersion, count + 1.0) + np.exp(distribution.log_likelihood(mean, dispersion, count)) / 2.0
    return tail


def _told(tail: np.ndarray) -> np.ndarray:
    """Logarithm of a tail."""
    return np.asarray(np.minimum(-np.log10(np.maximum(tail, 10**-MOST)), MOST))


def _sum(values: np.ndarray, days: int) -> np.ndarray:
    """Sums of the last days, of fewer at the beginning: [..., D] -> [..., D]."""
    total = np.cumsum(values, axis=-1)
    before = np.concatenate([np.zeros((*values.shape[:-1], min(days, values.shape[-1]))), total[..., :-days]], axis=-1)
    return np.asarray(total - before)
