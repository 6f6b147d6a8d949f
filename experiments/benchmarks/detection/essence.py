"""The switch of CDC's NSSP-ESSENCE between a regression and an EWMA, all series of a panel at once.

As documented with the public R package Rnssp (`alert_switch`; Elbert & Burkom 2009): over the 28 days that end three days ago a straight line with
weekday effects is fitted; where it explains enough (adjusted R^2), the day is tested against it, otherwise two exponentially weighted means are
tested against the mean of those days. The package `surveillance` does not have it.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

BASELINE, GUARD = 28, 2  # days
WEIGHTS = (0.4, 0.9)  # of the newest day, for slow and for sudden rises
EXPLAINED = 0.60  # adjusted R^2 from which on the regression is used
ALPHA, CAUTION = 0.01, 0.05  # of a red and of a yellow alert
REGRESSORS = 8  # level, trend, six weekdays
LEAST = 0.01  # standard deviation of a regression on constant counts, as a share
RUN_IN = 60  # days before the first that is wanted, for the means to settle

Floats = npt.NDArray[np.float64]


def detect(counts: pd.DataFrame, days: pd.DatetimeIndex) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores and alarms of days.

    Args:
        counts: days x series.

    Returns:
        score: days x series, log of the probability, 1 where it is 0.01; 0 where a regression's day lies below the mean of its week.
        alarm: days x series, True where the probability is below 0.01.
    """
    y = counts.to_numpy(float)
    first, last = (int(at) for at in counts.index.get_indexer(days[[0, -1]]))
    begin = max(BASELINE + GUARD + 1, first - RUN_IN)
    mean = y[begin - GUARD - 1 : begin].mean(axis=0)
    smooth = [mean.copy() for _ in WEIGHTS]
    weekday = np.asarray(pd.DatetimeIndex(counts.index).day_of_week)
    score = np.zeros((len(counts), y.shape[1]))
    for day in range(begin, last + 1):
        base = y[day - GUARD - BASELINE : day - GUARD]
        weighted = _weighted(y[day], base, smooth)
        line, explained = _line(y[day], base, weekday[day - GUARD - BASELINE : day - GUARD], weekday[day])
        above = y[day] >= y[day - 6 : day + 1].mean(axis=0)
        probability = np.where(explained, np.where(above, line, 1.0), weighted)
        score[day] = np.log(np.maximum(probability, 1e-300)) / np.log(ALPHA)
    made = pd.DataFrame(score, counts.index, counts.columns).loc[days]
    return made, made > 1


def _weighted(now: Floats, base: Floats, smooth: list[Floats]) -> Floats:
    """[S] probability of the more unusual of the weighted means, which are moved on and held at their alert limits."""
    level, deviation = base.mean(axis=0), base.std(axis=0, ddof=1)
    red, yellow = stats.t.isf(ALPHA, BASELINE - 1), stats.t.isf(CAUTION, BASELINE - 1)
    tests = []
    for i, w in enumerate(WEIGHTS):
        smooth[i] = w * now + (1 - w) * smooth[i]
        spread = np.sqrt(w / (2 - w) + 1 / BASELINE - 2 * (1 - w) ** (GUARD + 1) * (1 - (1 - w) ** BASELINE) / BASELINE)
        sparse = (0.1289 - (0.2414 - 0.1826 * (1 - w) ** 4) * np.log(10 * CAUTION)) * w / yellow  # a correction for small counts
        sigma = np.maximum(deviation * spread + sparse, (w / yellow) * (0.01 + 0.05 * (1 - w) ** 2))
        test = (smooth[i] - level) / sigma
        smooth[i] = np.where(np.abs(test) > red, level + np.sign(test) * red * sigma, smooth[i])
        tests.append(test)
    return np.asarray(stats.t.sf(np.maximum(*tests), BASELINE - 1))


def _line(now: Floats, base: Floats, weekdays: npt.NDArray[np.int64], today: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """[S] probability under the regression, and whether it explains enough to be used."""

    def row(at: npt.NDArray[np.int64], day: npt.NDArray[np.int64]) -> Floats:
        return np.column_stack([np.ones(len(at)), at, day[:, None] == np.arange(6)]).astype(float)

    design = row(np.arange(1, BASELINE + 1), weekdays)
    beta = np.linalg.lstsq(design, base, rcond=None)[0]
    left = ((base - design @ beta) ** 2).sum(axis=0)
    whole = ((base - base.mean(axis=0)) ** 2).sum(axis=0)
    free = BASELINE - REGRESSORS
    share = 1 - np.divide(left, whole, out=np.ones_like(left), where=whole > 0)
    explained = 1 - (1 - share) * (BASELINE - 1) / free >= EXPLAINED
    expected = np.maximum((row(np.array([BASELINE + GUARD + 1]), np.array([today])) @ beta)[0], 0)
    widened = np.sqrt((BASELINE + 7) * (BASELINE - 4) / (BASELINE * (BASELINE - 7)))  # for the distance of the day from the line's middle
    sigma = np.maximum(np.sqrt(left / free) * widened, LEAST / stats.t.isf(CAUTION, free))
    return np.asarray(stats.t.sf((now - expected) / sigma, free)), explained
