"""Drivers: weather and other inputs, as they were known when a forecast was issued."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from forecasting.errors import InputError
from forecasting.hierarchy import ALL

STALE_AFTER = 3  # days: an older forecast than the newest one may still be used when the newest is late, but not for ever
CLIMATE_WINDOW = 15  # days around the same date of earlier years that make the climatology: smooth, yet inside a season
YEAR = 365
LONGEST_LEAD = 90 + STALE_AFTER  # days: the longest horizon, from a forecast as late as may be; an older one is read by nobody


@dataclass(frozen=True)
class Drivers:
    """Observed and forecast values on a complete calendar.

    Attributes:
        names: the K drivers of which anything is known.
        areas: [A] `ALL` and the districts that have values of their own, which are not the city's.
        days: [T] consecutive days.
        observed: [K, A, T], NaN where nothing was observed.
        forecast: [K, A, T, L]: the value for day t as issued l + 1 days before it, NaN where nothing was issued.
    """

    names: tuple[str, ...]
    areas: tuple[str, ...]
    days: pd.DatetimeIndex
    observed: np.ndarray
    forecast: np.ndarray

    def until(self, cutoff: date | pd.Timestamp) -> "Drivers":
        """What was known at the end of `cutoff`: observations up to it, forecasts issued by then (for later days too)."""
        t = np.arange(len(self.days))
        stop = int(self.days.searchsorted(pd.Timestamp(cutoff), side="right"))
        issued = t[:, None] - 1 - np.arange(self.forecast.shape[3])[None, :]  # position of the day of issue
        return _told_apart(
            Drivers(
                self.names,
                self.areas,
                self.days,
                np.where(t < stop, self.observed, np.nan),
                np.where(issued < stop, self.forecast, np.nan),
            )
        )

    def known(self, origins: pd.DatetimeIndex, back: int, ahead: int) -> tuple[np.ndarray, np.ndarray]:
        """Values around each origin as known at the end of that day.

        Days up to the origin are observations; later ones the newest forecast issued by the origin; where there is none, the mean of
        the same season in earlier years, and before a year has passed, the mean of the four weeks before the origin.

        Args:
            origins: [O] days.
            back, ahead: how many days before and after the origin.

        Returns:
            values [K, A, O, back + 1 + ahead], NaN where nothing tells them; and a mask of the same shape, true where a value is observed or
            forecast.
        """
        offsets = np.arange(-back, ahead + 1)
        start = self.days[0]
        origin = (origins - start).days.to_numpy()
        target = origin[:, None] + offsets[None, :]
        inside = (target >= 0) & (target < len(self.days))
        at = np.clip(target, 0, len(self.days) - 1)
        values = np.where(inside & (offsets <= 0), self.observed[:, :, at], np.nan)
        lead = offsets[None, :] - 1
        for late in range(STALE_AFTER):
            slot = np.broadcast_to(lead + late, target.shape)
            usable = inside & (slot >= 0) & (slot < self.forecast.shape[3])
            found = self.forecast[:, :, at, np.clip(slot, 0, self.forecast.shape[3] - 1)]
            values = np.where(np.isnan(values) & usable, found, values)
        given = ~np.isnan(values)
        climate = self._climate()
        years_back = np.stack([_shifted(climate, target - YEAR * k) for k in range(1, 4)])
        season = _mean(years_back, axis=0)
        values = np.where(given, values, season)
        recent = np.stack([_shifted(self.observed, origin[:, None] - k) for k in range(28)])
        return np.where(np.isnan(values), _mean(recent, axis=0), values), given

    def _climate(self) -> np.ndarray:
        """[K, A, T] centred means of the observations: read only a year and more after the day, when all of the window is known."""
        flat = pd.DataFrame(self.observed.reshape(-1, len(self.days)).T)
        smooth = flat.rolling(CLIMATE_WINDOW, center=True, min_periods=1).mean()
        return smooth.to_numpy().T.reshape(self.observed.shape)

    def rows(self, areas: np.ndarray) -> np.ndarray:
        """For each area code the row of its own values, or of the city's where it has none: [M] -> [M]."""
        place = {code: i for i, code in enumerate(self.areas)}
        return np.array([place.get(code, 0) for code in areas])


def _shifted(values: np.ndarray, position: np.ndarray) -> np.ndarray:
    """values[..., position], NaN outside."""
    inside = (position >= 0) & (position < values.shape[-1])
    return np.where(inside, values[..., np.clip(position, 0, values.shape[-1] - 1)], np.nan)


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of what is there; NaN where nothing is."""
    there = ~np.isnan(values)
    number = there.sum(axis=axis)
    return np.where(number > 0, np.where(there, values, 0.0).sum(axis=axis) / np.maximum(number, 1), np.nan)


def from_frame(frame: pd.DataFrame, end: date | pd.Timestamp | None = None) -> Drivers:
    """Lays driver rows out on a complete calendar.

    A driver given by district gets the districts' mean as the city's value where the city has none of its own, and a district
    without values of its own gets the city's. What was issued on its own day or later is left out, and what was issued more than
    `LONGEST_LEAD` days before.

    Args:
        frame: `name`, `date`, `value` and optional `district`, `issued_at` (local wall-clock moments or dates); DESIGN's driver file.
        end: last day to lay out; left out, the last day named.

    Raises:
        InputError: no rows, a column is missing, a value is not a number (names driver and date).
    """
    missing = {"name", "date", "value"} - set(frame.columns)
    if missing:
        raise InputError(f"no column '{sorted(missing)[0]}'", "drivers", "give name, date, value and optional district, issued_at")
    if frame.empty:
        raise InputError("no rows", "drivers", "leave the file out if there are no drivers")
    f = pd.DataFrame({"name": frame["name"].astype(str), "date": pd.to_datetime(frame["date"]).dt.normalize(), "value": frame["value"]})
    f["value"] = pd.to_numeric(f["value"], errors="coerce")
    bad = f[~np.isfinite(f["value"])]
    if len(bad):
        raise InputError(
            "value is not a number", f"driver '{bad.iloc[0]['name']}' on {bad.iloc[0]['date']:%Y-%m-%d}", "correct it or leave the row out"
        )
    district = frame["district"] if "district" in frame else pd.Series(None, index=frame.index, dtype=object)
    f["area"] = district.astype(object).where(district.notna(), ALL).astype(str).replace("", ALL)
    issued = frame["issued_at"] if "issued_at" in frame else pd.Series(pd.NaT, index=frame.index)
    moment = pd.to_datetime(issued)
    f["issued"] = (moment.dt.tz_localize(None) if moment.dt.tz is not None else moment).to_numpy()
    names = tuple(sorted(f["name"].unique()))
    areas = (ALL, *sorted(set(f["area"].unique()) - {ALL}))
    days = pd.date_range(f["date"].min(), max(f["date"].max(), pd.Timestamp(end) if end is not None else f["date"].max()), name="date")
    name = pd.Index(names).get_indexer(f["name"])
    area = pd.Index(areas).get_indexer(f["area"])
    day = (f["date"] - days[0]).dt.days.to_numpy()
    value = f["value"].to_numpy(float)
    is_forecast = f["issued"].notna().to_numpy()
    lead = np.where(is_forecast, (f["date"] - f["issued"].dt.normalize()).dt.days.fillna(0), 0).astype(int)
    # What was issued on its own day or later is no forecast ahead of it; at the end of that day the observation is known.
    ahead = is_forecast & (lead >= 1) & (lead <= LONGEST_LEAD)
    observed = np.full((len(names), len(areas), len(days)), np.nan)
    observed[name[~is_forecast], area[~is_forecast], day[~is_forecast]] = value[~is_forecast]
    forecast = np.full((*observed.shape, int(lead[ahead].max(initial=1))), np.nan)
    order = np.argsort(f["issued"].to_numpy()[ahead], kind="stable")  # of several issues on a day the last one stays
    where = np.flatnonzero(ahead)[order]
    forecast[name[where], area[where], day[where], lead[where] - 1] = value[where]
    for array in (observed, forecast):
        array[:, 0] = np.where(np.isnan(array[:, 0]), _mean(array[:, 1:], axis=1), array[:, 0]) if len(areas) > 1 else array[:, 0]
        array[:, 1:] = np.where(np.isnan(array[:, 1:]), array[:, :1], array[:, 1:])
    return _told_apart(Drivers(names, areas, days, observed, forecast))


def _told_apart(drivers: Drivers) -> Drivers:
    """Without drivers of which nothing is known, and without areas whose values are all the city's: what begins later leaves no trace."""
    both = [np.nan_to_num(x, nan=np.inf) for x in (drivers.observed, drivers.forecast)]
    named = np.any([np.isfinite(x).any(axis=tuple(range(1, x.ndim))) for x in both], axis=0)
    own = np.any([(x != x[:, :1]).any(axis=(0, *range(2, x.ndim))) for x in both], axis=0)
    own[0] = True
    names, areas = (tuple(np.array(codes, object)[use]) for codes, use in ((drivers.names, named), (drivers.areas, own)))
    return Drivers(names, areas, drivers.days, drivers.observed[named][:, own], drivers.forecast[named][:, own])
