"""From counted tickets to ticket rows: moments, callers, channels, handling; and the faults that touch single rows.

A ticket's place is its district, or its street where streets are wanted.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.city.counts import PLACES, Counts
from forecasting.city.faults import CHANNEL_SHARE, CHANNEL_SHIFT, CHANNELS, REPEAT_DAYS, REPEAT_SHARE, Fault
from forecasting.city.places import ALL_CODES, CATEGORIES, DISTRICTS, NEW_TYPES, UNKNOWN
from forecasting.city.streams import Purpose, stream
from forecasting.city.streets import STREET_CODES, middles

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SOURCE = "hotline"
DISPATCH_SECONDS, DISPATCH_SHAPE = 3.7 * 60, 2.0  # mean from the call to the dispatch, shape of its gamma distribution
PLACE_SPREAD = 0.02  # sd of a ticket's distance from its district's middle (degrees)
LIMIT_HOURS = {"2 h": 2, "2-24 h": 12, "24 h": 24, "7 d": 168, "15 d": 360}
HANDLING_MEDIAN, HANDLING_SPREAD = 0.4, 0.7  # of the time limit; sd of its log: about one in ten is late
DAY = 86_400  # seconds


@dataclass(frozen=True)
class Rows:
    """Columns of tickets, all of one length: seconds since 1970 (local) of creation, reception and handling, places in `PLACES`,
    `STREET_CODES` (-1: none), `ALL_CODES` and `CHANNELS`, the caller's number, degrees, and what decides about repeats: a uniform draw and a lag
    in seconds."""

    number: Ints
    created: Ints
    received: Ints
    handled: Ints
    district: Ints
    street: Ints
    category: Ints
    channel: Ints
    caller: npt.NDArray[np.uint64]
    lat: Floats
    lon: Floats
    repeat: npt.NDArray[np.bool_]
    lag: Ints

    def where(self, keep: npt.NDArray[np.bool_]) -> "Rows":
        """The rows that are marked."""
        return Rows(*(column[keep] for column in vars(self).values()))


def join(parts: list[Rows]) -> Rows:
    """All rows of all parts."""
    return Rows(*(np.concatenate(columns) for columns in zip(*(vars(part).values() for part in parts), strict=True)))


def month_of_rows(seed: int, days: pd.DatetimeIndex, hourly: Counts, faults: list[Fault], street: Ints | None = None) -> Rows:
    """The ticket rows of one whole month, by creation.

    Args:
        seed: the city's.
        days: the days of the month.
        hourly: [PLACES, ALL_CODES, T, 24] counted tickets.
        faults: those of single days; the late days among them delay the reception.
        street: [tickets] the street of each, in the order of the cells.
    """
    rng = stream(seed, Purpose.TICKET, days[0].year, days[0].month)
    cells = np.nonzero(hourly)
    district, category, day, hour = (np.repeat(axis, hourly[cells]) for axis in cells)
    size = len(day)
    second = rng.integers(0, 3600, size)
    order = np.argsort(day * DAY + hour * 3600 + second, kind="stable")
    district, category, day = district[order], category[order], day[order]
    street = np.full(size, -1) if street is None else street[order]
    midnight = days.to_numpy().astype("datetime64[s]").astype(np.int64)
    created = midnight[day] + (hour * 3600 + second)[order]
    stamp = (days.year * 10_000 + days.month * 100 + days.day).to_numpy().astype(np.int64)
    number = stamp[day] * 1_000_000 + np.arange(size) - np.searchsorted(day, day) + 1

    received = created + 30 + rng.gamma(DISPATCH_SHAPE, DISPATCH_SECONDS / DISPATCH_SHAPE, size).astype(np.int64)
    chance, later = rng.random(size), rng.integers(DAY, 2 * DAY, size)
    for fault in faults:
        if fault.kind == "late" and (fault.day.year, fault.day.month) == (days[0].year, days[0].month):
            received += np.where((day == fault.day.day - 1) & (chance < fault.amount), later, 0)
    limit = np.array([LIMIT_HOURS[c.limit] for c in CATEGORIES + NEW_TYPES])[category] * 3600
    handled = received + (limit * HANDLING_MEDIAN * np.exp(rng.normal(0, HANDLING_SPREAD, size))).astype(np.int64)
    channel = np.searchsorted(np.cumsum(list(CHANNELS.values())), rng.random(size), side="right").clip(max=len(CHANNELS) - 1)
    phone, app = (list(CHANNELS).index(name) for name in ("phone", "app"))
    moves = (rng.random(size) < CHANNEL_SHARE / CHANNELS["phone"]) & (channel == phone)
    channel = np.where(moves & (created >= _second(CHANNEL_SHIFT)), app, channel)
    middle = np.array([(d.lat, d.lon) for d in DISTRICTS] + [(np.nan, np.nan)])[district]
    middle += np.concatenate([middles(), [[0, 0]]])[street]
    place = (middle + rng.normal(0, PLACE_SPREAD, (size, 2))).round(4)
    return Rows(
        number,
        created,
        received,
        handled,
        district,
        street,
        category,
        channel,
        rng.integers(0, 2**63, size, dtype=np.uint64),
        place[:, 0],
        place[:, 1],
        rng.random(size) < REPEAT_SHARE,
        rng.integers(1, REPEAT_DAYS * DAY, size),
    )


def link_repeats(rows: Rows) -> Rows:
    """Gives every repeating ticket the caller and the place of an earlier one of its district (its street) and category, at most seven days before.

    A ticket marked as a repeat that has no such predecessor stays on its own.
    """
    cell = ((rows.street + 1) * len(PLACES) + rows.district) * len(ALL_CODES) + rows.category
    span = rows.created.max() + 1 - rows.created.min() + (REPEAT_DAYS + 1) * DAY if len(cell) else 1
    since = rows.created - rows.created.min(initial=np.iinfo(np.int64).max) + (REPEAT_DAYS + 1) * DAY
    key = cell * span + since
    order = np.argsort(key, kind="stable")
    sorted_key, repeats = key[order], rows.repeat[order]
    original = np.maximum.accumulate(np.where(repeats, -1, np.arange(len(order))))  # the last ticket up to here that is no repeat
    at = np.flatnonzero(repeats)
    candidate = np.searchsorted(sorted_key, sorted_key[at] - rows.lag[order][at], side="left")  # the first within the lag; never a later one
    candidate = original[np.minimum(candidate, at)]
    found = (candidate >= 0) & (sorted_key[at] - sorted_key[candidate] <= REPEAT_DAYS * DAY)
    found &= cell[order][at] == cell[order][candidate]
    target, source = order[at[found]], order[candidate[found]]
    caller, lat, lon = rows.caller.copy(), rows.lat.copy(), rows.lon.copy()
    caller[target], lat[target], lon[target] = caller[source], lat[source], lon[source]
    kept = np.zeros(len(cell), bool)
    kept[target] = True
    return Rows(**{**vars(rows), "caller": caller, "lat": lat, "lon": lon, "repeat": kept})


def ticket_table(rows: Rows, end: date, faults: list[Fault], streets: bool = False) -> pd.DataFrame:
    """The tickets of all days, as they stand at the end of the last one.

    Args:
        rows: the tickets.
        end: the last day.
        faults: the files delivered twice among them append their day's tickets once more, received a day later.
        streets: whether there is a column of streets.

    Returns:
        `ticket_id, created_at, district[, street], category, received_at, updated_at, status, source, channel, caller, lat, lon`; moments are
        local and naive; a blank district is an empty text without lat and lon; `caller` is a random number in hexadecimal digits, no person's.
    """
    closed = rows.handled <= _second(end + timedelta(days=1))
    table = pd.DataFrame(
        {
            "ticket_id": _texts(pc.cast(pa.array(rows.number), pa.string())),
            "created_at": _moments(rows.created),
            "district": _take([code if code != UNKNOWN else "" for code in PLACES], rows.district),
            "category": _take(list(ALL_CODES), rows.category),
            "received_at": _moments(rows.received),
            "updated_at": _moments(np.where(closed, rows.handled, rows.received)),
            "status": _take(["open", "closed"], closed.astype(np.int64)),
            "source": _take([SOURCE], np.zeros(len(closed), np.int64)),
            "channel": _take(list(CHANNELS), rows.channel),
            "caller": _texts(pa.array(np.frombuffer(rows.caller.astype(">u8").tobytes().hex().encode(), "S16")).cast(pa.string())),
            "lat": rows.lat,
            "lon": rows.lon,
        }
    )
    if streets:
        table.insert(3, "street", _take([*STREET_CODES, ""], rows.street))
    parts = [table]
    for fault in faults:
        if fault.kind == "duplicate_file" and fault.day < end:
            again = table[(rows.created >= _second(fault.day)) & (rows.created < _second(fault.day + timedelta(days=1)))]
            parts.append(again.assign(received_at=np.datetime64(datetime.combine(fault.day + timedelta(days=1), time(9)), "us")))
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else table


def _second(day: date) -> int:
    return int(np.datetime64(day, "s").astype(np.int64))


def _moments(seconds: Ints) -> npt.NDArray[np.datetime64]:
    return seconds.astype("datetime64[s]").astype("datetime64[us]")


def _take(texts: list[str], places: Ints) -> pd.Series:
    return pd.Series(pd.Index(texts, dtype="str").take(places))


def _texts(array: pa.Array) -> pd.Series:
    return pd.Series(pd.array(array, dtype="str"))
