"""Simulated counts whose mean and dispersion are known: negative binomial, with level, weekday, yearly season and trend; no event unless planted.

Sixteen kinds of series as in Noufaily et al. (2019), from 0.1 to 100 tickets a day, smooth and wild, growing and shrinking. On top of what a
regression can hold, levels wander as those of real hotlines do: without that, a chart around a fitted mean is as good as one that knows it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.signal import lfilter

from experiments.benchmarks.detection.known import Known
from experiments.benchmarks.detection.plant import PLANTED_DAYS, name_of

END = pd.Timestamp("2024-12-31")
HISTORY = 7 * 265  # days before the planted year: the five years and some weeks that Farrington's method looks back
REPLICATES = 15  # districts; with sixteen kinds 240 series
DRIFT, DRIFT_DAYS = 0.2, 60.0  # log standard deviation of the wandering level, and days after which it has forgotten two thirds
LEVEL_SPREAD = 0.25  # log-normal, of a district's level
YEAR = 365.25

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """A kind of series.

    Attributes:
        mean: tickets a day in the middle of the history.
        trend: log growth a year.
        season: half the log range of the yearly season.
        weekend: factor of Saturdays and Sundays.
        dispersion: variance = mean + dispersion x mean^2.
        phase: of the season's height, as a share of the year.
    """

    mean: float
    trend: float
    season: float
    weekend: float
    dispersion: float
    phase: float


KINDS = (
    Kind(0.1, 0.0, 0.0, 1.0, 0.0, 0.0),
    Kind(0.2, 0.0, 0.5, 0.8, 1.0, 0.1),
    Kind(0.3, 0.1, 0.3, 0.7, 0.5, 0.5),
    Kind(0.5, -0.1, 0.0, 0.6, 0.2, 0.0),
    Kind(1.0, 0.0, 0.2, 1.0, 0.0, 0.3),
    Kind(1.0, -0.1, 0.6, 0.7, 0.5, 0.6),
    Kind(2.0, 0.0, 0.3, 0.5, 0.1, 0.9),
    Kind(3.0, 0.15, 0.0, 0.9, 0.3, 0.0),
    Kind(5.0, 0.0, 0.4, 0.7, 0.05, 0.5),
    Kind(8.0, -0.1, 0.2, 1.1, 0.15, 0.2),
    Kind(12.0, 0.0, 0.8, 0.6, 0.1, 0.7),
    Kind(20.0, 0.1, 0.1, 0.8, 0.02, 0.4),
    Kind(30.0, 0.0, 0.3, 0.3, 0.1, 0.1),
    Kind(50.0, 0.0, 0.5, 0.9, 0.05, 0.8),
    Kind(75.0, 0.05, 0.2, 0.75, 0.02, 0.5),
    Kind(100.0, 0.0, 0.3, 0.6, 0.05, 0.0),
)


def simulate(seed: int | tuple[int, ...], kinds: tuple[Kind, ...], districts: int, length: int, drift: float = 0.0) -> tuple[pd.DataFrame, Known]:
    """Counts and what they were drawn from.

    Args:
        kinds: one a category.
        districts: series of each kind, with levels of their own.
        length: days, the last of which is END.
        drift: log standard deviation of each level around its mean; it returns to it in DRIFT_DAYS (Ornstein-Uhlenbeck).

    Returns:
        counts: days x series, `D01|K01` …
        known: their distribution.
    """
    rng = np.random.default_rng(seed)
    days = pd.date_range(end=END, periods=length, name="date")
    each = np.repeat(np.array([[k.mean, k.trend, k.season, k.weekend, k.dispersion, k.phase] for k in kinds]), districts, axis=0).T
    mean, trend, season, weekend, dispersion, phase = each
    years = (np.arange(length) - length / 2)[:, None] / YEAR
    level = mean * np.exp(rng.normal(-(LEVEL_SPREAD**2) / 2, LEVEL_SPREAD, len(mean)))
    yearly = season * np.cos(2 * np.pi * (np.asarray(days.day_of_year)[:, None] / YEAR - phase))
    week = np.where((np.asarray(days.day_of_week) >= 5)[:, None], weekend, 1.0) / ((5 + 2 * weekend) / 7)
    rate = level * np.exp(trend * years + yearly + _wandering(rng, drift, length, len(mean))) * week
    with np.errstate(divide="ignore"):
        shape = np.where(dispersion > 0, 1 / dispersion, np.inf)
    wild = dispersion > 0
    drawn = rate.copy()
    drawn[:, wild] *= rng.gamma(shape[wild], dispersion[wild], (length, wild.sum()))
    names = [name_of(f"D{d + 1:03d}", f"K{k + 1:02d}") for k in range(len(kinds)) for d in range(districts)]
    counts = pd.DataFrame(rng.poisson(drawn), days, names)
    return counts, Known(pd.DataFrame(rate, days, names), dispersion)


def _wandering(rng: np.random.Generator, deviation: float, length: int, series: int) -> Floats:
    """[length, series] log level around 0."""
    kept = np.exp(-1 / DRIFT_DAYS)
    step = rng.normal(0, deviation * np.sqrt(1 - kept**2), (length, series))
    step[0] /= np.sqrt(1 - kept**2)
    return np.asarray(lfilter([1.0], [1.0, -kept], step, axis=0))


def panel(seed: int = 0) -> tuple[pd.DataFrame, Known]:
    """The simulated set: sixteen kinds in fifteen districts with wandering levels, five years and the year that is to be planted."""
    return simulate(seed, KINDS, REPLICATES, HISTORY + PLANTED_DAYS, DRIFT)
