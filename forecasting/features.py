"""Features of (node, origin, day ahead): one function computes them for training and for serving.

Nothing here can see past an origin: counts enter by means of windows that end at it, drivers as `Drivers.known` gives them, and the
calendar is known ahead.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecasting.hierarchy import ALL
from forecasting.models.base import Known

YEAR = 364  # whole weeks: the same weekday a year ago
LEVEL_WINDOW = 56  # eight weeks: short enough to follow, long enough for sparse series
LEVEL_PRIOR = 14  # the year's mean counts as so many days of the level: steadies sparse series
SMALL = 0.25  # added to both sides of a ratio, in tickets a day: a ratio of two near-zeros says nothing
WINDOWS = (7, 14, 28, 91, 182, 364)
WEEKS = (1, 4, 8, 16)
SEASON_HALVES = (3, 14)  # days around the same day of an earlier year
BACK = 28  # days of drivers before the origin

CALENDAR = (
    "weekday", "shape_day", "working", "holiday_code", "holiday_position", "holiday_length", "days_to_holiday", "days_since_holiday",
    "before_long_break", "after_long_break", "heating_day", "flood_season", "school_term", "exam", "shopping", "lunar_offset", "season",
)  # fmt: skip
CATEGORICAL = ("area", "category", "holiday_code")
GROUPS: dict[str, tuple[str, ...]] = {
    "recent": ("mean_7", "mean_14", "mean_28", "last_2", "last_2_category", "trend_category", "trend_area"),
    "year": ("mean_91", "mean_182", "mean_364", "growth_1", "growth_2", "zeros", "age"),
    "weekday": tuple(f"weekday_{weeks}" for weeks in WEEKS),
    "seasons": tuple(f"season_{years}_{half}{of}" for years in (1, 2) for half in SEASON_HALVES for of in ("", "_category", "_area")),
    "calendar": (*CALENDAR, "holidays_28"),
    "drivers": ("driver_",),
    "place": ("area", "category"),
}
"""What a feature tells of, by name; "driver_" stands for all that begin so. The level and the days ahead belong to no group."""


def group(name: str) -> str:
    """The group of a feature; an empty text if it has none."""
    return next((kind for kind, names in GROUPS.items() if name in names or (kind == "drivers" and name.startswith(names))), "")


@dataclass(frozen=True)
class Features:
    """Features of M nodes at P pairs of origin and day ahead.

    Attributes:
        names: [F].
        values: [M * P, F] float32, node by node; NaN where unknown.
        level: [M, P] recent tickets a day, > 0: the offset of the count likelihood.
    """

    names: tuple[str, ...]
    values: np.ndarray
    level: np.ndarray


@dataclass(frozen=True)
class _Sums:
    """Running sums of values and of what is known of them: a mean over any window costs two look-ups."""

    values: np.ndarray
    known: np.ndarray

    @classmethod
    def over(cls, counts: np.ndarray, step: int = 1) -> "_Sums":
        """Sums along each row of every `step`-th day."""
        known = ~np.isnan(counts)
        filled = np.where(known, counts, 0.0)
        pad = np.zeros((len(counts), step))

        def running(x: np.ndarray) -> np.ndarray:
            x = np.concatenate([pad, x], axis=1)
            for t in range(step):
                x[:, t::step] = np.cumsum(x[:, t::step], axis=1)
            return x

        return cls(running(filled), running(known.astype(float)))

    def number(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """How many days of the positions first … last (inclusive) are known, arrays [P] -> [M, P]; with a step of 1."""
        return np.asarray(self.known[:, last + 1] - self.known[:, np.maximum(first, 0)])

    def mean(self, first: np.ndarray, last: np.ndarray, step: int = 1) -> np.ndarray:
        """Means over the positions first … last (inclusive, every `step`-th), arrays [P] -> [M, P]; NaN where nothing is known."""
        limit = self.values.shape[1] - 1
        hi = np.clip(last + step, 0, limit)
        lo = np.clip(first, 0, limit)  # the sum up to `first - step` stands at position `first`
        below = np.where(first < 0, (last + step) % step, lo)
        use = last >= 0
        number = np.where(use, self.known[:, hi] - self.known[:, below], 0.0)
        total = self.values[:, hi] - self.values[:, below]
        return np.where(number > 0, total / np.maximum(number, 1.0), np.nan)


def target(known: Known, origins: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """[M, P] counts at the days that the pairs point to; NaN where missing, and where the node was not yet known at the origin."""
    return np.where(origins[None, :] >= known.first[:, None], known.counts[:, origins + ahead], np.nan)


def compute(known: Known, origins: np.ndarray, ahead: np.ndarray, codes: dict[str, dict[str, int]]) -> Features:
    """Features of every node for each pair of origin and day ahead.

    Args:
        known: what is known; its last day is not earlier than any origin.
        origins: [P] positions of the origins in `known.panel.days`.
        ahead: [P] days from the origin to the day meant, >= 1.
        codes: 'area', 'category' and 'holiday' -> code -> number, as learnt from; an unknown code is NaN.
    """
    counts = known.since_first
    nodes = known.hierarchy.nodes
    place = {pair: i for i, pair in enumerate(zip(nodes["area"], nodes["category"], strict=True))}
    of_category = np.array([place.get((ALL, c), i) for i, c in enumerate(nodes["category"])])
    of_area = np.array([place.get((a, ALL), i) for i, a in enumerate(nodes["area"])])
    sums, weekly = _Sums.over(counts), _Sums.over(counts, 7)
    year = sums.mean(origins - YEAR + 1, origins)
    year = np.where(np.isnan(year), sums.mean(np.zeros_like(origins), origins), year)  # a year that is excluded says nothing of the level
    near = sums.mean(origins - LEVEL_WINDOW + 1, origins)
    seen = sums.number(origins - LEVEL_WINDOW + 1, origins)
    level = np.nan_to_num((np.nan_to_num(near) * seen + np.nan_to_num(year) * LEVEL_PRIOR) / (seen + LEVEL_PRIOR)) + SMALL / 5
    columns: dict[str, np.ndarray] = {"level": np.log(level)}

    def ratio(x: np.ndarray, base: np.ndarray) -> np.ndarray:
        return np.asarray(np.log((x + SMALL) / (base + SMALL)))

    for window in WINDOWS:
        columns[f"mean_{window}"] = ratio(sums.mean(origins - window + 1, origins), level)
    day = origins + ahead
    newest = day - 7 * -(-ahead // 7)  # the newest day up to the origin that has the weekday of the day meant
    for weeks in WEEKS:
        columns[f"weekday_{weeks}"] = ratio(weekly.mean(newest - 7 * (weeks - 1), newest, 7), level)
    before = sums.mean(origins - 27, origins)
    for years in (1, 2):
        base = sums.mean(origins - YEAR * years - 27, origins - YEAR * years)
        for half in SEASON_HALVES:
            then = sums.mean(day - YEAR * years - half, day - YEAR * years + half)
            own = ratio(then, base)
            columns[f"season_{years}_{half}"] = own
            columns[f"season_{years}_{half}_category"] = own[of_category]
            if half == SEASON_HALVES[0]:
                columns[f"season_{years}_{half}_area"] = own[of_area]
        columns[f"growth_{years}"] = ratio(before, base)
    week = sums.mean(origins - 6, origins)
    trend = ratio(week, before)
    columns["trend_category"] = trend[of_category]
    columns["trend_area"] = trend[of_area]
    last = sums.mean(origins - 1, origins)
    columns["last_2"] = ratio(last, level)
    columns["last_2_category"] = ratio(last, before)[of_category]
    columns["zeros"] = _Sums.over(np.where(np.isnan(counts), np.nan, counts == 0)).mean(origins - LEVEL_WINDOW + 1, origins)
    columns["age"] = np.minimum(origins[None, :] - known.first[:, None], 2 * YEAR).astype(float)
    columns["ahead"] = np.broadcast_to(ahead.astype(float), level.shape)
    for kind in ("area", "category"):
        number = nodes[kind].map(codes[kind]).to_numpy(float)
        columns[kind] = np.broadcast_to(number[:, None], level.shape)
    columns |= {name: np.broadcast_to(x, level.shape) for name, x in _calendar(known, origins, day, codes).items()}
    columns |= _drivers(known, origins, ahead)
    values = np.empty((level.size, len(columns)), np.float32)
    for j, x in enumerate(columns.values()):
        values[:, j] = x.ravel()
    return Features(tuple(columns), values, level)


def _calendar(known: Known, origins: np.ndarray, day: np.ndarray, codes: dict[str, dict[str, int]]) -> dict[str, np.ndarray]:
    horizon = max(int(day.max()) - len(known.panel.days) + 1, 1)
    table = known.calendar(horizon)
    table = table.assign(holiday_code=table["holiday"].map(codes["holiday"]).astype(float), season=pd.DatetimeIndex(table.index).day_of_year)
    columns = {name: table[name].to_numpy(float)[day] for name in CALENDAR}
    free = np.concatenate([[0.0], np.cumsum((table["holiday"] != "").to_numpy(float))])
    columns["holidays_28"] = free[origins + 1] - free[np.maximum(origins - 27, 0)]
    return columns


def _drivers(known: Known, origins: np.ndarray, ahead: np.ndarray) -> dict[str, np.ndarray]:
    if known.drivers is None:
        return {}
    unique, which = np.unique(origins, return_inverse=True)
    values, given = known.drivers.known(known.panel.days[unique], BACK, int(ahead.max()))
    row = known.drivers.rows(known.hierarchy.nodes["area"].to_numpy())
    at = BACK + ahead
    usual = values[..., : BACK + 1].mean(axis=-1)
    columns = {}
    for k, name in enumerate(known.drivers.names):
        now, before, earlier = (values[k][:, which, at - back] for back in (0, 1, 2))
        columns[f"driver_{name}"] = now[row]
        columns[f"driver_{name}_before"] = before[row]
        columns[f"driver_{name}_change"] = (now - earlier)[row]
        columns[f"driver_{name}_unusual"] = (now - usual[k][:, which])[row]
        columns[f"driver_{name}_given"] = given[k][:, which, at][row].astype(float)
    return columns
