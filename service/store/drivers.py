"""Drivers: weather and other inputs, observed or forecast."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from sqlalchemy import Connection, Select, func, literal, select, tuple_

from service.store import bulk
from service.store.ingests import Totals
from service.store.schema import drivers

_KEY = ["name", "area", "day", "issued_at", "observed"]
_CITY = "ALL"


@dataclass(frozen=True)
class Wanted:
    """Which values are asked for.

    Attributes:
        as_of: those known at this moment.
        newest: only what counts of each name, area and day: the observation or, without one, the forecast issued last.
        names, areas: of these alone; None: of all.
        start, end: of these days alone, both included; None: open.
    """

    as_of: datetime
    newest: bool = True
    names: Collection[str] | None = None
    areas: Collection[str] | None = None
    start: date | None = None
    end: date | None = None


Place = tuple[str, str, date, datetime, bool]
"""Where a value stands in a list: name, area, day, issued_at, observed."""


def put(conn: Connection, frame: pd.DataFrame, ingest_id: int) -> Totals:
    """Inserts values or replaces those there are. Of several for the same key the last counts.

    Args:
        frame: `name, date, value, district, issued_at, observed`: `district` is missing for the whole city; `issued_at` is the moment of
            the forecast, for an observation the end of its day.
    """
    rows = frame.rename(columns={"date": "day", "district": "area"})
    rows["area"] = rows["area"].fillna(_CITY)
    rows = rows.drop_duplicates(_KEY, keep="last")
    if rows.empty:
        return Totals(unchanged=len(frame))
    c = drivers.c
    there = select(c.name, c.area, c.day, c.issued_at, c.observed, c.value.label("stored"))
    stored = bulk.read(conn, there.where(c.day.between(rows["day"].min().date(), rows["day"].max().date())))
    rows = rows.merge(stored, on=_KEY, how="left", indicator="found")
    new, differs = rows["found"].eq("left_only"), rows["found"].eq("both") & rows["value"].ne(rows["stored"])

    statement = bulk.upsert(conn, drivers)
    given = {name: statement.excluded[name] for name in ("value", "ingest_id")}
    changed = rows.loc[new | differs, [*_KEY, "value"]].assign(ingest_id=ingest_id)
    bulk.run_many(conn, statement.on_conflict_do_update(index_elements=_KEY, set_=given), drivers, changed)
    added, replaced = int(new.sum()), int(differs.sum())
    return Totals(added, replaced, len(frame) - added - replaced)


def frame(conn: Connection, zone: ZoneInfo | None = None) -> pd.DataFrame:
    """All values, sorted.

    Args:
        zone: the city's zone, in which `issued_at` comes; None: UTC.
    Returns:
        `name, date, value, district, issued_at`; `district` is missing for the whole city, `issued_at` for an observation.
    """
    c = drivers.c
    rows = bulk.read(
        conn,
        select(c.name, c.day.label("date"), c.value, c.area.label("district"), c.issued_at, c.observed).order_by(
            c.name, c.area, c.day, c.issued_at, c.observed
        ),
    )
    rows["district"] = rows["district"].mask(rows["district"] == _CITY)
    rows["issued_at"] = rows["issued_at"].mask(rows["observed"].astype(bool))
    if zone is not None:
        rows["issued_at"] = rows["issued_at"].dt.tz_convert(zone)
    return rows.drop(columns="observed")


def span(conn: Connection) -> tuple[date, date] | None:
    """The first and the last day of which any driver is stored; None: there is none."""
    first, last = conn.execute(select(func.min(drivers.c.day), func.max(drivers.c.day))).one()
    return None if first is None else (first, last)


def known(conn: Connection, wanted: Wanted, limit: int, after: Place | None = None) -> pd.DataFrame:
    """Values in the order of their places.

    Args:
        limit: at most so many.
        after: those behind this place alone.
    Returns:
        `name, area, date, value, issued_at, observed`; the area of the whole city is `ALL`, an observation has the end of its day as `issued_at`.
    """
    c = drivers.c
    asked: Select[Any] = select(c.name, c.area, c.day.label("date"), c.value, c.issued_at, c.observed)
    asked = asked.where(c.issued_at <= wanted.as_of)
    if wanted.names is not None:
        asked = asked.where(c.name.in_(list(wanted.names)))
    if wanted.areas is not None:
        asked = asked.where(c.area.in_(list(wanted.areas)))
    if wanted.start is not None:
        asked = asked.where(c.day >= wanted.start)
    if wanted.end is not None:
        asked = asked.where(c.day <= wanted.end)
    if wanted.newest:
        order = func.row_number().over(partition_by=(c.name, c.area, c.day), order_by=(c.observed.desc(), c.issued_at.desc()))
        ranked = asked.add_columns(order.label("place")).subquery()
        asked = select(*(column for column in ranked.c if column.key != "place")).where(ranked.c.place == 1)
    one = asked.subquery().c
    page = select(one.name, one.area, one.date, one.value, one.issued_at, one.observed)
    key = (one.name, one.area, one.date, one.issued_at, one.observed)
    if after is not None:
        page = page.where(tuple_(*key) > tuple_(*(literal(value, column.type) for value, column in zip(after, key, strict=True))))
    return bulk.read(conn, page.order_by(*key).limit(limit))
