"""Detectors that know the mean and the dispersion: what could be reached at best.

In simulated counts both are known. In real ones nobody knows them: a two-sided estimate from the clean copy stands in, which sees the weeks after a
day as well as those before it and no planted ticket. What it misses there are real events as well, so it is no upper limit, only a mark.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats
from scipy.ndimage import convolve1d

DETECTORS = ("day", "3 days", "windows", "CUSUM")
TRUTH, ESTIMATE = "truth", "two-sided"
WINDOWS = (1, 2, 3, 5, 7)  # days whose sums are put together
SLACK = 0.5  # of the CUSUM, in standard deviations: best against a shift by one (Page 1954)
CEILING = 6.0  # of the CUSUM, above every threshold of interest: without it, it rings on for weeks after a large event
RUN_IN = 28  # days before the first that is scored, so that sums are full
WIDTH = 14.0  # days, standard deviation of the bell that smooths from both sides: a month's level, yearly seasons kept
REACH = 4  # widths after which the bell is cut off
HOLE = 2  # days beside a day that do not speak for it: none that is summed with it
SHRINK = 28.0  # tickets that pull a weekday's factor towards 1
WEEK = 7

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """The distribution of each count: negative binomial with variance mean + dispersion x mean^2.

    Attributes:
        mean: days x series.
        dispersion: [S].
    """

    mean: pd.DataFrame
    dispersion: Floats


def score(counts: pd.DataFrame, known: Known, days: pd.DatetimeIndex, detector: str) -> pd.DataFrame:
    """How unusual each count is to whoever knows its distribution: days x series, higher = more unusual.

    `day` and `3 days` are -log10 of the probability of so many tickets or more on the day, or in three days. `windows` adds up those of the last 1 to
    7 days (mid-probabilities, Fisher 1932). `CUSUM` sums the day's normal scores (of mid-probabilities) above 0.5, up to a ceiling (Page 1954).
    """
    part = counts.loc[days[0] - pd.Timedelta(days=RUN_IN) : days[-1]]
    y, mean = part.to_numpy(float), known.mean.reindex(part.index).to_numpy(float)
    if detector == "day":
        made = _surprise(y, mean, known.dispersion * mean**2)
    elif detector == "3 days":
        made = _surprise(*(_sums(x, 3) for x in (y, mean, known.dispersion * mean**2)))
    elif detector == "windows":
        parts = [_middle(*(_sums(x, length) for x in (y, mean, known.dispersion * mean**2))) for length in WINDOWS]
        made = -np.log10(np.stack(parts)).sum(axis=0)
    else:
        made = _cusum(y, mean, known.dispersion)
    return pd.DataFrame(made, part.index, part.columns).loc[days]


def _sums(x: Floats, days: int) -> Floats:
    """Of each day and those before it, `days` in all."""
    total = x.cumsum(axis=0)
    total[days:] -= total[:-days].copy()
    return total


def _surprise(y: Floats, mean: Floats, extra: Floats) -> Floats:
    """-log10 P(Y >= y) for a variance of mean + extra; Poisson where nothing is extra."""
    with np.errstate(divide="ignore", invalid="ignore"):
        number = mean**2 / extra
        upper = np.where(extra > 0, stats.nbinom.logsf(y - 1, number, number / (number + mean)), stats.poisson.logsf(y - 1, mean))
    return np.asarray(-upper / np.log(10))


def _middle(y: Floats, mean: Floats, extra: Floats) -> Floats:
    """P(Y > y) and half of P(Y = y)."""
    return np.maximum((10 ** -_surprise(y, mean, extra) + 10 ** -_surprise(y + 1, mean, extra)) / 2, 1e-300)


def _cusum(y: Floats, mean: Floats, dispersion: Floats) -> Floats:
    z = stats.norm.isf(np.minimum(_middle(y, mean, dispersion * mean**2), 1 - 1e-16))
    total = np.zeros_like(z)
    for day in range(1, len(z)):  # each day's sum stands on the day before
        total[day] = np.clip(total[day - 1] + z[day] - SLACK, 0, CEILING)
    return total


def two_sided(clean: pd.DataFrame) -> Known:
    """Mean and dispersion of real counts, estimated from both sides: a bell over the weeks before and after, without the days next to it, times
    weekday.

    The weekday's factors are those of the whole history, pulled to 1; the dispersion follows from the variance around that mean (moments).
    """
    y = clean.to_numpy(float)
    weekday = np.asarray(pd.DatetimeIndex(clean.index).day_of_week)
    reach = int(REACH * WIDTH)
    bell = np.exp(-((np.arange(-reach, reach + 1) / WIDTH) ** 2) / 2)
    bell[reach - HOLE : reach + HOLE + 1] = 0
    mode: Literal["constant"] = "constant"
    weight = convolve1d(np.ones(len(y)), bell, mode=mode)[:, None]
    smooth = convolve1d(y, bell, axis=0, mode=mode) / weight
    came = np.stack([y[weekday == d].sum(axis=0) for d in range(WEEK)])
    usual = np.stack([smooth[weekday == d].sum(axis=0) for d in range(WEEK)])
    factor = ((came + SHRINK) / (usual + SHRINK))[weekday]
    level = convolve1d(y / factor, bell, axis=0, mode=mode) / weight
    mean = np.maximum(level * factor, y.sum(axis=0) / len(y) / 10)  # after silent months a ticket is rare, not impossible
    dispersion = np.maximum(((y - mean) ** 2 - mean).sum(axis=0) / (mean**2).sum(axis=0), 0.0)
    return Known(pd.DataFrame(mean, clean.index, clean.columns), dispersion)
