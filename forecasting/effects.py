"""What calendar and weather can do to a count: the columns of a log-linear model, each with the size that its effect is likely to have.

A column's effect is a factor: 0.1 is ten percent more. Its prior is a normal distribution around no effect, whose standard deviations
stand here in one place; they are weak opinions, which a year of some thousand tickets overrules and a sparse category does not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from forecasting.calendars import HOLIDAY, NO_HEATING, NO_LUNAR

WEEK = 0.5
HOLIDAY_EFFECT = 0.2
SEASON = 0.2  # of the year's first wave; the k-th has one k-th of it, for seasons are smooth
WAVES = 10
LUNAR = 0.3
HEATING_RUNS, HEATING_TRIAL, HEATING_FADES = 1.5, 1.0, 0.6  # heating complaints come and go by factors, not by percents
WEATHER = 0.2  # of a standard deviation of a driver that is always there, such as a temperature
DOWNPOUR = 0.4  # of a driver that comes now and then, such as rain

BUMP = 4  # days between the bumps around the lunar New Year
LUNAR_DAYS = range(-24, 25, BUMP)
LUNAR_REACH = 8.0  # days over which what the lunar New Year does is much the same: two of them tell a curve, not thirteen bumps
UNALIKE = 1e-4  # part of the variance that neighbours do not share: keeps the root of the covariance exact
FADES = (4, 8, 12, 18, 26, 40, 60)  # days in which what the start of the heating brings may fade
TRIAL_WEEK = 8  # days of the trial, 7 to 14 November: the scale of its rise
TRIAL_DAYS = 30  # days from the trial's beginning within which the season begins
AFTER_HEATING = 8  # days in which what its end brings fades
UNUSUAL = (0.15, 0.85)  # a driver beyond these quantiles acts more than in proportion: frost, heat
SOME, MUCH = 0.1, 2.0  # of a sudden driver's usual size: that it came at all, and from where on it acts more than in proportion
SEASONLESS = 10  # days' weight of the opinion that a driver has no season: some weeks of it tell little of the rest of the year
NOW_AND_THEN = 0.25  # a driver whose median is less than this part of its mean comes now and then

GROUPS = ("weekday", "holiday", "season", "weather")


@dataclass(frozen=True)
class Driver:
    """How a driver enters.

    Attributes:
        name: of the driver.
        sudden: it comes now and then and is never negative, like rain; else it is always there, like a temperature.
        centre, scale: its mean and standard deviation; of a sudden one 0 and its mean where it is there.
        low, high: the quantiles `UNUSUAL`.
        cold, fall: mean of the scaled driver, and of its fall over two days, while the heating runs. What the weather does then is told
            from these, so that the season's start is not taken for weather.
    """

    name: str
    sudden: bool
    centre: float
    scale: float
    low: float
    high: float
    cold: float = 0.0
    fall: float = 0.0

    def columns(self, values: np.ndarray, heating: np.ndarray) -> list[np.ndarray]:
        """Columns [A, n] of values [A, n] on consecutive days, `heating` [n] being 1 while the heating runs; NaN where what it needs is."""
        x = (values - self.centre) / self.scale
        if self.sudden:
            log, much = np.log1p(np.maximum(x, 0.0)), np.maximum(x / MUCH - 1.0, 0.0)
            return [log, _lag(log, 1), np.where(np.isnan(x), np.nan, x > SOME), much, _lag(much, 1)]
        fall = _fall(x)
        high, low = np.maximum(values - self.high, 0.0) / self.scale, np.maximum(self.low - values, 0.0) / self.scale
        return [x, _lag(x, 1), high, low, fall, (x - self.cold) * heating, (fall - self.fall) * heating]

    @property
    def priors(self) -> list[float]:
        """Standard deviation of the effect of each of `columns`."""
        return [DOWNPOUR] * 5 if self.sudden else [WEATHER] * 7


@dataclass(frozen=True)
class Design:
    """The columns of a model, the same for every node.

    Attributes:
        holidays: groups of holidays that the history has seen.
        chinese: whether there are columns for the lunar year and the heating season.
        drivers: how drivers enter, by name.
    """

    holidays: tuple[str, ...]
    chinese: bool
    drivers: tuple[Driver, ...]

    def calendar(self, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Columns of the calendar.

        Args:
            table: n rows of `calendars.day_table`.

        Returns:
            columns [n, P], standard deviation of each column's effect [P], position in `GROUPS` [P].
        """
        columns: list[tuple[str, float, Any]] = [("weekday", WEEK, table["shape_day"] == k) for k in range(7)]
        in_break = table["day_kind"] == HOLIDAY
        for name in self.holidays:
            inside = (table["holiday"] == name) & in_break
            columns += [("holiday", HOLIDAY_EFFECT, x) for x in (inside, inside & (table["weekday"] >= 5), inside & (table["holiday_position"] == 1))]
        around = [table["before_long_break"] > 0, table["after_long_break"] > 0, table["days_since_holiday"] == 1, table["days_to_holiday"] == 1]
        columns += [("holiday", HOLIDAY_EFFECT, x) for x in (table["day_kind"] == "makeup", *around, table["exam"], table["shopping"])]
        columns += [("season", HOLIDAY_EFFECT, table[name]) for name in ("school_term", "flood_season")]
        angle = _angle(pd.DatetimeIndex(table.index))
        columns += [("season", SEASON / k, wave(k * angle)) for k in range(1, WAVES + 1) for wave in (np.sin, np.cos)]
        if self.chinese:
            lunar = table["lunar_offset"].to_numpy(float)
            bumps = [np.where(lunar == NO_LUNAR, 0.0, np.maximum(1 - np.abs(lunar - day) / BUMP, 0.0)) for day in LUNAR_DAYS]
            columns += [("holiday", LUNAR, x) for x in _smooth(bumps, LUNAR_DAYS, LUNAR_REACH)]
            columns += [("season", sd, x) for sd, x in _heating(table)]
        groups, priors, values = zip(*columns, strict=True)
        return np.stack([np.asarray(x, float) for x in values], axis=1), np.array(priors), np.array([GROUPS.index(g) for g in groups])

    def weather(self, values: np.ndarray, heating: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns of the drivers.

        Args:
            values: [K, A, n] in the order of `drivers`, NaN where not known.
            heating: [n] 1 while the heating runs.

        Returns:
            columns [A, n, Q], NaN where what they need is; standard deviation of each column's effect [Q].
        """
        columns = [x for driver, v in zip(self.drivers, values, strict=True) for x in driver.columns(v, heating)]
        empty = np.zeros((*values.shape[1:], 0))
        return np.stack(columns, axis=-1) if columns else empty, np.array([sd for driver in self.drivers for sd in driver.priors])

    @property
    def of_drivers(self) -> list[slice]:
        """Which of the columns of `weather` are each driver's."""
        ends = np.cumsum([0, *(len(driver.priors) for driver in self.drivers)]).tolist()
        return [slice(first, end) for first, end in pairwise(ends)]

    def as_mapping(self) -> dict[str, Any]:
        """Plain values, from which `from_mapping` makes the design again."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Design":
        """Reads what `as_mapping` gave."""
        drivers = tuple(Driver(**driver) for driver in mapping["drivers"])
        return cls(tuple(mapping["holidays"]), bool(mapping["chinese"]), drivers)


def design(table: pd.DataFrame, names: tuple[str, ...], observed: np.ndarray) -> Design:
    """The columns that a history can tell something about.

    Args:
        table: `calendars.day_table` of the history.
        names: K drivers.
        observed: [K, A, T] their values, NaN where not known; each is known on a day at least.
    """
    drivers = tuple(_driver(name, values, heating_runs(table)) for name, values in zip(names, observed, strict=True))
    return Design(tuple(sorted(set(table["holiday"]) - {""})), bool((table["lunar_offset"] != NO_LUNAR).any()), drivers)


def usual(column: np.ndarray, days: pd.DatetimeIndex) -> np.ndarray:
    """What is usual at the time of the year: the first yearly wave through the days on which a column is known.

    To be filled in where it is not known, so that what the season explains there and what the weather explains elsewhere agree (a
    conditional mean, with which the effects stay unbiased: Little 1992). A constant would leave a summer's heat to the season in the years
    before the weather was recorded, and count it twice in those after.

    Args:
        column: [A, n], NaN where not known.

    Returns:
        [A, n] finite.
    """
    angle = _angle(days)
    waves = np.stack([np.ones(len(days)), np.sin(angle), np.cos(angle)], axis=1)
    known = ~np.isnan(column)
    gram = (known @ (waves[:, :, None] * waves[:, None, :]).reshape(len(days), -1)).reshape(-1, 3, 3) + np.diag([1e-6, SEASONLESS, SEASONLESS])
    effect = np.linalg.solve(gram, (np.where(known, column, 0.0) @ waves)[..., None])[..., 0]
    return np.asarray(effect @ waves.T)


def heating_runs(table: pd.DataFrame) -> np.ndarray:
    """[n] whether the heating runs, its trial weeks included."""
    day = table["heating_day"].to_numpy()
    return np.asarray(table["heating"].to_numpy(bool) | ((day >= 0) & (day < TRIAL_DAYS)))


def _driver(name: str, values: np.ndarray, heating: np.ndarray) -> Driver:
    known = _known(values)
    low, high = (float(x) for x in np.quantile(known, UNUSUAL))
    there = known[known > 0]
    sudden = bool(known.min() >= 0 and len(there) and np.median(known) < NOW_AND_THEN * known.mean())
    if sudden:
        return Driver(name, True, 0.0, float(there.mean()), low, high)
    centre, scale = float(known.mean()), float(known.std()) or 1.0
    x = (values - centre) / scale
    cold, fall = (float(_known(part[:, heating]).mean()) if _known(part[:, heating]).size else 0.0 for part in (x, _fall(x)))
    return Driver(name, False, centre, scale, low, high, cold, fall)


def _heating(table: pd.DataFrame) -> list[tuple[float, np.ndarray]]:
    """Columns of the heating season, with their priors: that it runs, its trial week, what its start and its end bring and how that fades."""
    day = table["heating_day"].to_numpy(float)
    season = day != NO_HEATING
    begun = season & (day >= 0)
    regular = table["heating"].to_numpy(bool)
    runs = heating_runs(table)
    trial = runs & ~regular
    over = begun & ~runs
    since = np.where(over, np.maximum.accumulate(np.where(~over, np.arange(len(day)), 0)), 0)
    since = np.where(over, np.arange(len(day)) - since, 0)
    fades = [np.where(runs, np.maximum(1 - np.maximum(day, 0) / span, 0.0), 0.0) for span in FADES]
    return [
        (HEATING_RUNS, runs),
        (HEATING_TRIAL, trial),
        (HEATING_TRIAL, np.where(trial, day / TRIAL_WEEK, 0.0)),
        (HEATING_FADES, season & ~begun),
        (HEATING_TRIAL, over),
        (HEATING_TRIAL, np.where(over, np.maximum(1 - since / AFTER_HEATING, 0.0), 0.0)),
        *((HEATING_FADES, fade) for fade in fades),
    ]


def _smooth(columns: Sequence[np.ndarray], places: Sequence[int], reach: float) -> np.ndarray:
    """Columns [P, n] whose independent effects make those of `columns` [P, n] alike, the more so the nearer their places are.

    A Gaussian process over the places (Rasmussen & Williams 2006) with a squared exponential kernel, by the root of its covariance.
    """
    apart = np.subtract.outer(places, places) / reach
    root = np.linalg.cholesky(np.exp(-0.5 * apart**2) + UNALIKE * np.eye(len(places)))
    return np.asarray(root.T @ np.stack(columns))


def _known(values: np.ndarray) -> np.ndarray:
    """Those that are known, in one row."""
    return np.asarray(values[~np.isnan(values)])


def _angle(days: pd.DatetimeIndex) -> np.ndarray:
    """[n] how far the year has turned."""
    return np.asarray(2 * np.pi * days.day_of_year.to_numpy() / 365.25)


def _fall(values: np.ndarray) -> np.ndarray:
    """By how much values have fallen within two days."""
    return np.asarray(np.maximum(_lag(values, 2) - values, 0.0))


def _lag(values: np.ndarray, days: int) -> np.ndarray:
    """Values of some days before; the first known one where there is none."""
    return np.concatenate([np.repeat(values[:, :1], days, axis=1), values[:, :-days]], axis=1)
