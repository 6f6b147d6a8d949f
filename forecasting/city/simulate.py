"""The simulated city as a whole: people, calendar, weather, incidents, data faults, and the truth about them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecasting.city.counts import PLACES, month_of_counts, shocks
from forecasting.city.faults import fault_table, plan_faults
from forecasting.city.incidents import event_drivers, incident_table, plan_incidents, with_incidents
from forecasting.city.places import ALL_CODES, CODES, DISTRICT_CODES, area_table, category_table
from forecasting.city.rates import expected
from forecasting.city.streets import STREET_CODES, STREETS, month_of_streets, street_table
from forecasting.city.tickets import Rows, join, link_repeats, month_of_rows, ticket_table
from forecasting.city.weather import simulate_weather, weather_drivers
from forecasting.errors import InputError

MAX_SCALE = 2.0
SHORTEST = 60  # days
ALL_TICKETS_UP_TO = 0.3  # scale; beyond it, rows of the whole history would not fit into a few gigabytes
RECENT_TICKETS = 60  # days of which ticket rows are made then; counts always cover all days
FIRST_YEAR, LAST_YEAR = 1975, 2085  # the calendar's range, with room for what is drawn before and after


@dataclass(frozen=True)
class City:
    """A simulated city. All numbers are invented; only the names of places are real.

    Attributes:
        areas: `code, parent, level, zh, en, population`, the districts, then the streets if they are wanted.
        categories: `code, parent, level, zh, en, lead_unit, supporting_units, time_limit, safety`.
        tickets: see `ticket_table`; above scale 0.3 only of the last 60 days, although `faults` tells of all days.
        counts: `district[, street], category, date, hour, count` of what was counted, rows with tickets only; UNKNOWN is the district of blank
            ones. A file delivered twice counts once.
        drivers: `name, date, value, district, issued_at`; see `weather_drivers` and `event_drivers`.
        truth_rates: `district, category, date, rate_without_incidents, rate_with_incidents`; expected tickets before any fault but with the
            recoding; kinds of complaint that appear later have rows only for their days.
        incidents: see `incident_table`.
        faults: see `fault_table`.
        start, end: first and last day.
    """

    areas: pd.DataFrame
    categories: pd.DataFrame
    tickets: pd.DataFrame
    counts: pd.DataFrame
    drivers: pd.DataFrame
    truth_rates: pd.DataFrame
    incidents: pd.DataFrame
    faults: pd.DataFrame
    start: date
    end: date


def simulate(
    seed: int = 0,
    scale: float = 0.1,
    start: date = date(2023, 1, 1),
    end: date = date(2025, 12, 31),
    progress: Callable[[str], None] | None = None,
    streets: bool = False,
    faults_before: date | None = None,
) -> City:
    """Simulates the city from one day to another.

    Args:
        seed: 0 or more; the same arguments give the same frames, and a day's tickets do not depend on where the range begins or ends.
        scale: 1 means 12,000 tickets a day in 2023; above 0 and at most 2.
        start, end: first and last day, at least 60 days.
        progress: called with one line per year.
        streets: whether tickets and counts name streets. What a district counts is the same with and without; only the callers of repeats and the
            exact places differ.
        faults_before: the first day without faults; None: the last day. Who goes on with a city's history gives the last day of that.

    Raises:
        InputError: an argument is out of range.
    """
    _check(seed, scale, start, end)
    days = pd.date_range(start.replace(day=1), end + pd.offsets.MonthEnd(0))  # chance is drawn month by month
    inside = np.asarray((days >= pd.Timestamp(start)) & (days <= pd.Timestamp(end)))
    weather = simulate_weather(seed, start.year - 1, end.year + 1)
    incidents = plan_incidents(seed, start.year - 1, end.year + 1)
    faultless = faults_before or end  # by default, what a fault leads to on its next day is still seen
    faults = [fault for fault in plan_faults(seed, start.year, end.year) if start <= fault.day < faultless]
    rates = expected(seed, scale, days, weather)
    raised = with_incidents(rates, days, incidents, scale)
    means = raised * shocks(seed, days)
    first_row = start if scale <= ALL_TICKETS_UP_TO else max(start, end - timedelta(days=RECENT_TICKETS - 1))

    counted: list[Columns] = []
    rows: list[Rows] = []
    for month in days.to_period("M").unique():
        part = np.asarray((days >= month.start_time) & (days <= month.end_time))
        if progress and (month.month == 1 or not counted):
            progress(f"simulating {month.year}")
        these = days[part]
        hourly = month_of_counts(seed, these, means[:, :, part], weather.between(these), faults)
        street = month_of_streets(seed, these, *_each_ticket(hourly)[:2]) if streets else None
        if month.end_time.date() >= first_row:
            made = month_of_rows(seed, these, hourly, faults, street)
            moment = made.created.astype("datetime64[s]").astype("datetime64[D]")
            rows.append(made.where((moment >= np.datetime64(first_row)) & (moment <= np.datetime64(end))))
        if street is not None:
            street = street[inside[part][_each_ticket(hourly)[2]]]
        hourly[:, :, ~inside[part]] = 0
        counted.append(_columns(hourly, int(part.argmax()), street))

    seen = days[inside]
    return City(
        areas=pd.concat([area_table(), street_table()], ignore_index=True) if streets else area_table(),
        categories=category_table(),
        tickets=ticket_table(link_repeats(join(rows)), end, [fault for fault in faults if fault.day >= first_row], streets),
        counts=_count_table(counted, days, streets),
        drivers=pd.concat([weather_drivers(weather, seed, start, end), event_drivers(incidents, start, end)], ignore_index=True),
        truth_rates=_truth_table(rates[:, :, inside], raised[:, :, inside], seen),
        incidents=incident_table(incidents, seen, weather),
        faults=fault_table(faults, start, end),
        start=start,
        end=end,
    )


def _check(seed: int, scale: float, start: date, end: date) -> None:
    if seed < 0:
        raise InputError(f"the seed is {seed}", "seed", "give 0 or a greater whole number")
    if not (math.isfinite(scale) and 0 < scale <= MAX_SCALE):
        raise InputError(f"the scale is {scale}", "scale", f"give a number above 0 and up to {MAX_SCALE:g}")
    if end < start:
        raise InputError(f"the end {end} lies before the start {start}", "start, end", "give the earlier day first")
    if (end - start).days + 1 < SHORTEST:
        raise InputError(f"{start} to {end} are fewer than {SHORTEST} days", "start, end", f"give at least {SHORTEST} days")
    if start.year < FIRST_YEAR or end.year > LAST_YEAR:
        raise InputError(f"{start} to {end} cannot be simulated", "start, end", f"stay within {FIRST_YEAR} to {LAST_YEAR}")


Columns = tuple[npt.NDArray[np.int32], ...]  # day, district, street, category, hour, count


def _each_ticket(hourly: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], ...]:
    """[tickets] district, category, day and hour of each ticket, in the order of the cells."""
    cells = np.nonzero(hourly)
    return tuple(np.repeat(axis, hourly[cells]) for axis in cells)


def _columns(hourly: npt.NDArray[np.int64], first_day: int, street: npt.NDArray[np.int64] | None) -> Columns:
    """The cells with tickets, by day, district, street, category and hour, as small as they can be kept."""
    if street is not None:
        place, category, day, hour = _each_ticket(hourly)
        shape = (hourly.shape[2], len(PLACES), STREETS + 1, len(ALL_CODES), 24)
        cells, count = np.unique(np.ravel_multi_index((day, place, street + 1, category, hour), shape), return_counts=True)
        day, place, street, category, hour = np.unravel_index(cells, shape)
        return tuple(axis.astype(np.int32) for axis in (day + first_day, place, street - 1, category, hour, count))
    by_day = hourly.transpose(2, 0, 1, 3)
    day, district, category, hour = np.nonzero(by_day)
    count = by_day[day, district, category, hour]
    return tuple(axis.astype(np.int32) for axis in (day + first_day, district, np.zeros_like(day), category, hour, count))


def _count_table(parts: list[Columns], days: pd.DatetimeIndex, streets: bool) -> pd.DataFrame:
    day, district, street, category, hour, count = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    table = pd.DataFrame(
        {
            "district": pd.Index(PLACES, dtype="str").take(district),
            "category": pd.Index(ALL_CODES, dtype="str").take(category),
            "date": days.to_numpy().astype("datetime64[us]")[day],
            "hour": hour.astype(np.int64),
            "count": count.astype(np.int64),
        }
    )
    if streets:
        table.insert(1, "street", pd.Index([*STREET_CODES, ""], dtype="str").take(street))
    return table


def _truth_table(rates: npt.NDArray[np.float64], raised: npt.NDArray[np.float64], days: pd.DatetimeIndex) -> pd.DataFrame:
    listed = (raised > 0) | (np.arange(len(ALL_CODES)) < len(CODES))[:, None]
    district, category, day = np.nonzero(listed)
    return pd.DataFrame(
        {
            "district": pd.Index(DISTRICT_CODES, dtype="str").take(district),
            "category": pd.Index(ALL_CODES, dtype="str").take(category),
            "date": days.to_numpy().astype("datetime64[us]")[day],
            "rate_without_incidents": rates[listed],
            "rate_with_incidents": raised[listed],
        }
    )


def write(city: City, out: Path) -> None:
    """Writes the city's files into a folder, which is made if need be.

    `tickets.parquet`, `counts.parquet`, `drivers.parquet`, `areas.csv`, `categories.csv`, and apart, in `truth/`: `truth_rates.parquet`,
    `incidents.csv`, `faults.csv`.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        truth = out / "truth"
        truth.mkdir(parents=True, exist_ok=True)
        for name in ("tickets", "counts", "drivers"):
            getattr(city, name).to_parquet(out / f"{name}.parquet", index=False, compression="zstd")
        city.truth_rates.to_parquet(truth / "truth_rates.parquet", index=False, compression="zstd")
        for name, folder in (("areas", out), ("categories", out), ("incidents", truth), ("faults", truth)):
            getattr(city, name).to_csv(folder / f"{name}.csv", index=False, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", str(out), "name a folder that you may write to") from None
