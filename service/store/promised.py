"""What was promised against what came: the sums of every finished day, and which days have been compared as they stand now.

What was published and what the challenger would have published (`Of`) are kept apart, in tables of the same form.
"""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Literal

import pandas as pd
from sqlalchemy import BigInteger, Connection, cast, delete, func, insert, or_, select

from forecasting.hierarchy import ALL
from forecasting.promised import COUNTED, LEVELS, SUMS
from service.store import bulk
from service.store.schema import count_changes, day_scores, forecast_sets, promised_days, promised_sums, shadow_days, shadow_sums

Of = Literal["published", "challenger"]
PUBLISHED: Of = "published"
CHALLENGER: Of = "challenger"
_TABLES = {PUBLISHED: (promised_days, promised_sums), CHALLENGER: (shadow_days, shadow_sums)}


def newest_changes(conn: Connection, start: date, end: date) -> dict[date, int]:
    """Id of the newest change of each day from `start` to `end`; days without any are left out."""
    c = count_changes.c
    rows = conn.execute(select(c.day, func.max(c.id)).where(c.day >= start, c.day <= end).group_by(c.day))
    return {row[0]: int(row[1]) for row in rows}


def compared(conn: Connection, of: Of = PUBLISHED) -> dict[date, int]:
    """The days that were compared, each with the newest change that was known of it then."""
    days, _ = _TABLES[of]
    rows = conn.execute(select(days.c.day, days.c.newest_change))
    return {row[0]: int(row[1]) for row in rows}


def span(conn: Connection, of: Of = PUBLISHED) -> tuple[date, date] | None:
    """First and last day that was compared; None before the first."""
    days, _ = _TABLES[of]
    first, last = conn.execute(select(func.min(days.c.day), func.max(days.c.day))).one()
    return None if first is None else (first, last)


def put(conn: Connection, day: date, newest_change: int, sets: int, frame: pd.DataFrame, now: datetime, of: Of = PUBLISHED) -> None:
    """Replaces the sums of a day.

    Args:
        newest_change: of the counts that it was compared with.
        sets: forecast sets that had promised something.
        frame: `level, horizon, area, category` and `promised.SUMS`.
    """
    days, sums = _TABLES[of]
    drop(conn, day, of)
    conn.execute(insert(days).values(day=day, newest_change=newest_change, sets=sets, scored_at=now))
    bulk.insert(conn, sums, frame.assign(day=pd.Timestamp(day).as_unit("us")))


def drop(conn: Connection, day: date, of: Of = PUBLISHED) -> None:
    """Forgets a day."""
    days, sums = _TABLES[of]
    conn.execute(delete(sums).where(sums.c.level.in_(LEVELS), sums.c.day == day))  # the key begins with the level
    conn.execute(delete(days).where(days.c.day == day))


def forget_challenger(conn: Connection) -> None:
    """Forgets all that a challenger would have promised: another one takes its place."""
    for table in _TABLES[CHALLENGER]:
        conn.execute(delete(table))


def read(
    conn: Connection,
    start: date,
    end: date,
    levels: Collection[str],
    by: Sequence[str] = (),
    areas: Collection[str] | None = None,
    categories: Collection[str] | None = None,
    horizons: Collection[int] | None = None,
    of: Of = PUBLISHED,
) -> pd.DataFrame:
    """Sums of the days from `start` to `end`, added up at each level over everything that is not in `by`.

    Args:
        levels: of `promised.LEVELS`; 'series' is there by district or by category, so not with both.
        by: of `day`, `horizon`, `area`, `category`.
        areas, categories, horizons: those that count; None: all.
    Returns:
        `level`, the columns `by`, and `promised.SUMS`, sorted by all but these.
    """
    c = _TABLES[of][1].c
    keys = [c.level, *(c[name] for name in by)]
    sums = [cast(func.sum(c[name]), BigInteger).label(name) if name in COUNTED else func.sum(c[name]).label(name) for name in SUMS]
    by_area = areas is not None or "area" in by
    query = select(*keys, *sums).where(c.level.in_(list(levels)), c.day >= start, c.day <= end)
    query = query.where(or_(c.level != "series", c.area != ALL if by_area else c.area == ALL))
    for column, wanted in ((c.area, areas), (c.category, categories), (c.horizon, horizons)):
        if wanted is not None:
            query = query.where(column.in_(list(wanted)))
    return bulk.read(conn, query.group_by(*keys).order_by(*keys))


def by_series(conn: Connection, start: date, end: date) -> pd.DataFrame:
    """Every series and day as the watch compared it with the newest published set that did not know it.

    Returns:
        `date, area, category, observed, expected`, in any order; sums are left out.
    """
    c, made = day_scores.c, forecast_sets.c
    query = select(c.day.label("date"), c.area, c.category, c.observed, c.expected).join(forecast_sets, made.id == c.forecast_set_id)
    return bulk.read(conn, query.where(c.day >= start, c.day <= end, c.area != ALL, c.category != ALL, made.published_at.is_not(None)))
