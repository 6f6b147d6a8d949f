"""Counts: by day as they stand now, as they were known at a moment, by hour; and counts that came without tickets.

`count_changes` is the journal, `daily_counts` its sum. Whoever writes to the one calls `add_up` in the same transaction.
"""

from collections.abc import Collection
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Select, func, select, union_all

from service.store import baseline, bulk
from service.store.baseline import BY_DAYS, BY_HOURS, TICKETS
from service.store.ingests import Totals
from service.store.schema import areas, count_changes, daily_counts, ingests

WHOLE_DAYS = "whole days"  # the note of an ingest of counts that say nothing about hours

_CELL = ["day", "area", "category"]
_WITH_HOURS = (TICKETS, BY_HOURS, ~TICKETS, ~BY_HOURS)


def daily(
    conn: Connection,
    areas: Collection[str] | None = None,
    categories: Collection[str] | None = None,
    start: date | None = None,
    end: date | None = None,
) -> pd.DataFrame:
    """Counts by day as they stand now.

    Args:
        areas, categories: codes exactly as tickets carry them (nothing is summed over the trees); None: all.
        start, end: first and last day; None: no bound.
    Returns:
        `area, category, date, count`, sorted by date, area, category; a cell of 0 has no row.
    """
    cells = _stored(conn, areas, categories, start, end)
    keys = [cells[name].cat.codes.to_numpy() for name in ("category", "area", "date")]
    return cells.iloc[np.lexsort(keys)].reset_index(drop=True).astype({"area": "str", "category": "str", "date": bulk.DAY})


def by_district(conn: Connection, end: date | None = None, newest_change: int | None = None) -> pd.DataFrame:
    """Counts by day with the streets summed into their districts: what a count panel is made of.

    Args:
        end: last day; None: no bound.
        newest_change: id of the last change that counts, see `last_change`; None: as they stand now.
    Returns:
        `district, category, date, count`, sorted by date, district, category; a cell of 0 has no row.
    """
    cells = _stored(conn, end=end, newest_change=newest_change)
    parents = {row.code: row.parent for row in conn.execute(select(areas.c.code, areas.c.parent).where(areas.c.level == "street"))}
    names = [parents.get(code, code) for code in cells["area"].cat.categories]
    districts, of_area = np.unique(np.array(names, dtype=object), return_inverse=True)
    topics, dates = cells["category"].cat.categories, cells["date"].cat.categories
    place = of_area[cells["area"].cat.codes.to_numpy()]
    days = cells["date"].cat.codes.to_numpy().astype("int64")
    joint = (days * len(districts) + place) * len(topics) + cells["category"].cat.codes.to_numpy()  # a number a cell, in the order asked for
    sums = pa.table({"cell": joint, "count": cells["count"].to_numpy()}).group_by("cell").aggregate([("count", "sum")]).sort_by("cell")
    sums = sums.filter(pc.field("count_sum") != 0)
    day_and_place, topic = np.divmod(sums["cell"].to_numpy(), max(len(topics), 1))
    day, place = np.divmod(day_and_place, max(len(districts), 1))
    of_cell = {"district": pd.Series(districts[place], dtype="str"), "category": topics.take(topic), "date": dates.take(day)}
    return pd.DataFrame({**of_cell, "count": sums["count_sum"].to_numpy()})


def span(conn: Connection) -> tuple[date, date] | None:
    """First and last day with a count; None if there is none."""
    c = daily_counts.c
    days = select(c.day).where(c.count != 0).limit(1)  # the key begins with the day: no more than the ends of it are read
    first = conn.execute(days.order_by(c.day)).scalar()
    last = conn.execute(days.order_by(c.day.desc())).scalar()
    return None if first is None or last is None else (first, last)


def newest_received(conn: Connection) -> datetime | None:
    """When the newest ticket was received; None: no ticket has come."""
    c = count_changes.c
    return conn.execute(select(c.received_at).where(c.part == TICKETS).order_by(c.received_at.desc()).limit(1)).scalar()


def as_of(
    conn: Connection,
    moment: datetime,
    areas: Collection[str] | None = None,
    categories: Collection[str] | None = None,
    start: date | None = None,
    end: date | None = None,
) -> pd.DataFrame:
    """Counts by day as they were known at a moment. Arguments and result as in `daily`."""
    now, change = daily_counts.c, count_changes.c
    # The sum that stands now, less what became known later: for a recent moment that reads a few changes and not all of them.
    today = _chosen(select(now.area, now.category, now.day, now.count), daily_counts, areas, categories, start, end)
    later = _chosen(
        select(change.area, change.category, change.day, (-change.delta).label("count")), count_changes, areas, categories, start, end
    ).where(change.received_at > moment)
    known = union_all(today, later).subquery()
    total = func.sum(known.c.count)
    cell = (known.c.day, known.c.area, known.c.category)
    query = select(known.c.area, known.c.category, known.c.day.label("date"), total.label("count"))
    query = query.group_by(*cell).having(total != 0).order_by(*cell)
    return bulk.read(conn, query)


def hourly(
    conn: Connection,
    start: date,
    end: date,
    areas: Collection[str] | None = None,
    categories: Collection[str] | None = None,
    moment: datetime | None = None,
) -> pd.DataFrame:
    """Counts by hour of the days from `start` to `end`, as known at a moment (None: as they stand now).

    Returns:
        `area, category, date, hour, count`: the local date and the moment (UTC) at which the hour begins, sorted by hour, area, category. Counts
        that came by whole days are left out.
    """
    c = count_changes.c
    total = func.sum(c.delta)
    cell = (c.hour, c.area, c.category, c.day)
    query = (
        _chosen(select(c.area, c.category, c.day.label("date"), c.hour, total.label("count")), count_changes, areas, categories, start, end)
        .where(c.part.in_(_WITH_HOURS))
        .group_by(*cell)
        .having(total != 0)
        .order_by(*cell)
    )
    return bulk.read(conn, query if moment is None else query.where(c.received_at <= moment))


def hours(conn: Connection, start: date, end: date) -> pd.DataFrame:
    """Counts by hour of the whole city as they stand now.

    Returns:
        `category, date, hour, count` as in `hourly`, summed over areas, in any order.
    """
    c = count_changes.c
    query = select(c.category, c.day.label("date"), c.hour, func.sum(c.delta).label("count"))
    return bulk.read(conn, query.where(c.part.in_(_WITH_HOURS), c.day >= start, c.day <= end).group_by(c.category, c.day, c.hour))


def set_baseline(conn: Connection, ingest_id: int, cells: pd.DataFrame, now: datetime) -> Totals:
    """Makes the baseline of some cells equal to a file that brings counts without tickets; see `baseline` for when it counts.

    A cell is an area, a category and a day; hours that the file does not name in one of its cells become 0, other cells stay as they
    are. Only differences are written, so that a second time changes nothing. Call it for a few hundred thousand rows at a time.

    Args:
        cells: `area, category, day, hour, count, received_at`, one row each hour (or one a day, at its first hour). `received_at` is
            when a count became known that was not there before; a correction becomes known `now`.
    """
    c = count_changes.c
    by_days = conn.execute(select(ingests.c.note).where(ingests.c.id == ingest_id)).scalar() == WHOLE_DAYS
    key = [*_CELL, "hour", "part"]
    query = select(c.day, c.area, c.category, c.hour, c.part, func.sum(c.delta).label("stored")).where(c.part > TICKETS)
    query = query.where(c.day >= cells["day"].min().date(), c.day <= cells["day"].max().date())
    stored = bulk.read(conn, query.group_by(c.day, c.area, c.category, c.hour, c.part))
    stored = stored.merge(cells[_CELL].drop_duplicates(), on=_CELL)

    given = cells.assign(part=BY_DAYS if by_days else BY_HOURS)
    both = given.merge(stored, on=key, how="outer", indicator="where").fillna({"count": 0, "stored": 0})
    both["delta"] = (both["count"] - both["stored"]).astype("int64")
    known = both[_CELL].merge(stored[_CELL].drop_duplicates(), on=_CELL, how="left", indicator="known")["known"].eq("both").to_numpy()
    both["received_at"] = both["received_at"].mask(known | both["received_at"].isna(), pd.Timestamp(now)).astype(bulk.UTC_MOMENT)
    differs = both["delta"].ne(0)

    before = last_change(conn)
    bulk.insert(conn, count_changes, both.loc[differs, [*key, "delta", "received_at"]].assign(ingest_id=ingest_id))
    baseline.note(conn, cells)
    add_up(conn, ingest_id, before)
    named = both["where"].ne("right_only")
    return Totals(added=int((named & differs & ~known).sum()), changed=int((named & differs & known).sum()), unchanged=int((named & ~differs).sum()))


def last_change(conn: Connection) -> int:
    """Id of the newest change, 0 if there is none."""
    return int(conn.execute(select(func.coalesce(func.max(count_changes.c.id), 0))).scalar_one())


def add_up(conn: Connection, ingest_id: int, after: int) -> None:
    """Adds the changes that an ingest appended after a given one to `daily_counts`, and appends what gives way to them."""
    c = count_changes.c
    newest = last_change(conn)
    if newest == after:
        return
    baseline.settle(conn, ingest_id, after, newest)
    newest = last_change(conn)
    # Both bounds: with one alone SQLite's planner walks through the whole journal by its index on days.
    rows = (
        select(c.day, c.area, c.category, func.sum(c.delta))
        .where(c.id.between(after + 1, newest), c.ingest_id == ingest_id)
        .group_by(c.day, c.area, c.category)
    )
    statement = bulk.upsert(conn, daily_counts).from_select([*_CELL, "count"], rows)
    conn.execute(statement.on_conflict_do_update(index_elements=_CELL, set_={"count": daily_counts.c.count + statement.excluded.count}))


def _stored(
    conn: Connection,
    areas: Collection[str] | None = None,
    categories: Collection[str] | None = None,
    start: date | None = None,
    end: date | None = None,
    newest_change: int | None = None,
) -> pd.DataFrame:
    """The rows of `daily_counts`, in any order, dates, areas and categories as categoricals; with `newest_change` those of later changes, too,
    taken back.
    """
    c, change = daily_counts.c, count_changes.c
    query = _chosen(select(c.day.label("date"), c.area, c.category, c.count), daily_counts, areas, categories, start, end)
    if newest_change is not None:
        later = select(change.day.label("date"), change.area, change.category, (-change.delta).label("count"))
        later = later.where(change.id.between(newest_change + 1, last_change(conn)))  # both bounds: see `add_up`
        known = union_all(query, _chosen(later, count_changes, areas, categories, start, end)).subquery()
        query = select(known.c.date, known.c.area, known.c.category, known.c.count)
    return bulk.read_groups(conn, query.where(query.selected_columns.count != 0))[["area", "category", "date", "count"]]


def _chosen(
    query: Select[Any],
    table: Any,
    areas: Collection[str] | None,
    categories: Collection[str] | None,
    start: date | None,
    end: date | None,
) -> Select[Any]:
    if areas is not None:
        query = query.where(table.c.area.in_(list(areas)))
    if categories is not None:
        query = query.where(table.c.category.in_(list(categories)))
    if start is not None:
        query = query.where(table.c.day >= start)
    if end is not None:
        query = query.where(table.c.day <= end)
    return query
