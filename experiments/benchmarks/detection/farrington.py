"""Farrington's flexible method (Noufaily et al. 2013), all series of a panel at once.

As `farringtonFlexible` of the R package surveillance with the settings of that paper: quasi-Poisson regression of weekly counts on ten seasonal
levels and a trend; the last half year left out; past outbreaks weighted down; threshold a negative-binomial quantile. In daily use (Noufaily et al.
2019) every day ends a week: of each day and the same weekday before it, the 7-day totals that end there (`Farrington-7`), or the days alone
(`Farrington-1`). In R the same takes about fifty times as long; `peers.R` has it for a check on some series.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

YEAR = 52  # weeks
YEARS = 5  # of history, or as many as there are
HALF_WINDOW = 3  # weeks around this week in former years that share its level
LEVELS = 10
LEFT_OUT = 26  # latest weeks
OUTBREAK = 2.58  # scaled Anscombe residual above which a past week is weighted down
ALPHA = 0.01
FEWEST, IN_WEEKS = 5, 4  # cases in so many weeks without which there is no alarm
TREND_YEARS = 3  # of history without which no trend is fitted
ITERATIONS, TOLERANCE = 25, 1e-8  # as R's glm

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """Regressions of all series: expected count of this week [S], dispersion [S], fitted counts [S, n], leverage [S, n]."""

    now: Floats
    dispersion: Floats
    fitted: Floats
    leverage: Floats


def detect(counts: pd.DataFrame, days: pd.DatetimeIndex, total: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores and alarms of days.

    Args:
        counts: days x series, from the first day known.
        total: 7 for 7-day totals, 1 for the day alone.

    Returns:
        score: days x series, excess over expectation as a share of the threshold's; above 1 is an alarm.
        alarm: days x series, True for an alarm with enough cases.
    """
    y = counts.to_numpy(float).T
    sums = np.concatenate([np.zeros((len(y), 1)), y.cumsum(axis=1)], axis=1)
    score, alarm = (np.zeros((len(days), len(y))) for _ in range(2))
    for row, day in enumerate(counts.index.get_indexer(days)):
        ends = np.arange(day + 1, total - 1, -7)[::-1]  # the days after the last of each week
        week = sums[:, ends] - sums[:, ends - total]
        expected, limit = threshold(week)
        score[row] = (week[:, -1] - expected) / np.maximum(limit - expected, 1e-9)
        alarm[row] = (score[row] > 1) & (week[:, -IN_WEEKS:].sum(axis=1) >= FEWEST) & (week[:, -1] > 0)
    return pd.DataFrame(score, days, counts.columns), pd.DataFrame(alarm > 0, days, counts.columns)


def threshold(week: Floats) -> tuple[Floats, Floats]:
    """Expectation and threshold of the last of [S, weeks] counts."""
    now = week.shape[1] - 1
    years = min(YEARS, (now - HALF_WINDOW) // YEAR)
    at = np.arange(now - years * YEAR - HALF_WINDOW, now - LEFT_OUT)
    past = week[:, at]
    design = np.eye(LEVELS)[_level(now - at)]
    design[:, 0] = 1.0  # the level of this week is the intercept
    design = design[:, [0, *np.flatnonzero(design[:, 1:].any(axis=0)) + 1]]
    made = reweighted(design, np.eye(1, design.shape[1])[0], past)
    expected, dispersion = made.now, made.dispersion
    if years >= TREND_YEARS:
        trend = ((at - now) / YEAR)[:, None]
        with_trend = reweighted(np.hstack([design, trend]), np.eye(1, design.shape[1] + 1)[0], past)
        within = with_trend.now <= past.max(axis=1)  # a trend that leads beyond all that was seen is not trusted
        expected, dispersion = np.where(within, with_trend.now, expected), np.where(within, with_trend.dispersion, dispersion)
    return expected, _quantile(expected, dispersion)


def _level(ago: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """0 for weeks of this time of the year, 1 to 9 for the nine parts of the rest of it."""
    later = (-ago) % YEAR
    part = (later - HALF_WINDOW - 1) * (LEVELS - 1) // (YEAR - 2 * HALF_WINDOW - 1) + 1
    return np.where((later <= HALF_WINDOW) | (later >= YEAR - HALF_WINDOW), 0, part)


def _quantile(expected: Floats, dispersion: Floats) -> Floats:
    wild = dispersion > 1
    size = expected / np.where(wild, dispersion - 1, 1)
    negative = stats.nbinom.ppf(1 - ALPHA, np.maximum(size, 1e-9), 1 / dispersion)
    return np.maximum(np.where(wild, negative, stats.poisson.ppf(1 - ALPHA, expected)), 1.0)


def reweighted(design: Floats, now: Floats, past: Floats) -> Fit:
    """A fit, and a second in which past outbreaks count less."""
    first = regress(design, now, past, np.ones_like(past))
    residual = 1.5 * (past ** (2 / 3) * first.fitted ** (-1 / 6) - first.fitted**0.5)
    residual /= np.sqrt(first.dispersion[:, None] * np.maximum(1 - first.leverage, 1e-6))
    weight = np.where(residual > OUTBREAK, np.maximum(residual, OUTBREAK) ** -2.0, 1.0)
    return regress(design, now, past, weight * past.shape[1] / weight.sum(axis=1, keepdims=True))


def regress(design: Floats, now: Floats, y: Floats, weight: Floats) -> Fit:
    """Quasi-Poisson regressions with log link by iteratively reweighted least squares.

    Args:
        design: [n, p], shared by all series.
        now: [p], for which the expectation is wanted.
        y, weight: [S, n].
    """
    n, p = design.shape
    squares = (design[:, :, None] * design[:, None, :]).reshape(n, p * p)
    mean = y + 0.1  # where R's glm begins
    eta = np.log(mean)
    before = np.full(len(y), np.inf)
    for _ in range(ITERATIONS):
        information = ((weight * mean) @ squares).reshape(-1, p, p) + 1e-9 * np.eye(p)
        beta = np.linalg.solve(information, ((weight * (mean * eta + y - mean)) @ design)[:, :, None])[:, :, 0]
        eta = np.clip(beta @ design.T, -25, 25)
        mean = np.exp(eta)
        deviance = 2 * (weight * (np.where(y > 0, y * np.log(np.maximum(y, 1e-12) / mean), 0) - (y - mean))).sum(axis=1)
        if (np.abs(deviance - before) <= TOLERANCE * (np.abs(deviance) + 0.1)).all():
            break
        before = deviance
    inverse = np.linalg.inv(((weight * mean) @ squares).reshape(-1, p, p) + 1e-9 * np.eye(p))
    leverage = (inverse.reshape(len(y), p * p) @ squares.T) * weight * mean
    dispersion = np.maximum((weight * (y - mean) ** 2 / mean).sum(axis=1) / (n - p), 1.0)
    return Fit(np.exp(np.clip(beta @ now, -25, 25)), dispersion, mean, leverage)
