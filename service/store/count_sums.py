"""Counts by day and by hour summed over groups of areas and categories, in the database: a page of sums must not read every street first."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, Connection, FromClause, Integer, Select, case, func, literal, select, union_all

from service.store import bulk
from service.store.baseline import BY_DAYS
from service.store.schema import count_changes, daily_counts

Group = Collection[str] | None  # codes as tickets carry them; None: every code there is


def daily(
    conn: Connection, areas: Sequence[Group], categories: Sequence[Group], start: date, end: date, moment: datetime | None = None
) -> pd.DataFrame:
    """Counts by day of every pair of a group of areas and a group of categories.

    Args:
        areas, categories: groups without a code in common; None can only stand alone.
        start, end: first and last day.
        moment: as known then; None: as they stand now.
    Returns:
        `area_group, category_group` (places in the arguments), `date, count`; a sum of 0 has no row.
    """
    c = (daily_counts if moment is None else _known(start, end, moment)).c
    query = select(_group(c.area, areas).label("area_group"), _group(c.category, categories).label("category_group"), c.day.label("date"))
    query = query.add_columns(func.sum(c.count).label("count")).where(c.day >= start, c.day <= end, c.count != 0)
    query = _of(query, c, areas, categories)
    return bulk.read(conn, query.group_by("area_group", "category_group", c.day).having(func.sum(c.count) != 0))


def hourly(
    conn: Connection, areas: Sequence[Group], categories: Sequence[Group], start: date, end: date, moment: datetime | None = None
) -> pd.DataFrame:
    """Counts by hour of every pair of a group of areas and a group of categories. Arguments as in `daily`.

    Returns:
        `area_group, category_group, date, hour` (the moment, UTC, at which it begins), `timed` (0: it came as counts by whole days, which tell no
        hour, 1: all else), `count`; a sum of 0 has no row.
    """
    c = count_changes.c
    query = select(_group(c.area, areas).label("area_group"), _group(c.category, categories).label("category_group"), c.day.label("date"))
    timed = case((c.part.in_((BY_DAYS, ~BY_DAYS)), 0), else_=1).label("timed")
    query = query.add_columns(c.hour, timed, func.sum(c.delta).label("count")).where(c.day >= start, c.day <= end)
    if moment is not None:
        query = query.where(c.received_at <= moment)
    query = _of(query, c, areas, categories).group_by("area_group", "category_group", c.day, c.hour, "timed")
    return bulk.read(conn, query.having(func.sum(c.delta) != 0))


def _of(query: Select[Any], c: Any, areas: Sequence[Group], categories: Sequence[Group]) -> Select[Any]:
    """Of these groups alone."""
    for column, groups in ((c.area, areas), (c.category, categories)):
        if None not in groups:
            query = query.where(column.in_([code for group in groups for code in group or ()]))
    return query


def _known(start: date, end: date, moment: datetime) -> FromClause:
    """`daily_counts` of some days as they were known at a moment: what stands now, less what became known later."""
    now, change = daily_counts.c, count_changes.c
    today = select(now.day, now.area, now.category, now.count).where(now.day >= start, now.day <= end)
    later = select(change.day, change.area, change.category, (-change.delta).label("count"))
    later = later.where(change.day >= start, change.day <= end, change.received_at > moment)
    return union_all(today, later).subquery()


def _group(column: Any, groups: Sequence[Group]) -> ColumnElement[int]:
    """The place of the group that a code belongs to."""
    if len(groups) == 1:
        return literal(0, Integer)
    return case(*((column.in_(list(group or ())), place) for place, group in enumerate(groups)))
