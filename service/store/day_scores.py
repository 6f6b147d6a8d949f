"""Day scores: how each finished day compares with the forecast as it was published, node by node."""

from collections.abc import Collection
from datetime import date

import pandas as pd
from sqlalchemy import Connection, delete, func, select

from service.store import bulk, counters
from service.store.schema import day_scores


def put(conn: Connection, day: date, forecast_set_id: int, frame: pd.DataFrame) -> None:
    """Replaces the scores of a day.

    Args:
        frame: `area, category, observed, expected, p_value, pit`, one row a node.
    """
    conn.execute(delete(day_scores).where(day_scores.c.day == day))
    rows = frame[["area", "category", "observed", "expected", "p_value", "pit"]]
    bulk.insert(conn, day_scores, rows.assign(day=pd.Timestamp(day).as_unit("us"), forecast_set_id=forecast_set_id))
    counters.step(conn, counters.DAY_SCORES)


def read(conn: Connection, start: date, end: date, areas: Collection[str] | None = None, categories: Collection[str] | None = None) -> pd.DataFrame:
    """The scores of the days from `start` to `end`.

    Returns:
        `date, area, category, forecast_set_id, observed, expected, p_value, pit`, sorted by the first three.
    """
    c = day_scores.c
    query = select(c.day.label("date"), c.area, c.category, c.forecast_set_id, c.observed, c.expected, c.p_value, c.pit)
    query = query.where(c.day >= start, c.day <= end).order_by(c.day, c.area, c.category)
    if areas is not None:
        query = query.where(c.area.in_(list(areas)))
    if categories is not None:
        query = query.where(c.category.in_(list(categories)))
    return bulk.read(conn, query)


def of_nodes(conn: Connection, days: Collection[date], areas: Collection[str], categories: Collection[str]) -> pd.DataFrame:
    """`date, area, category, observed, expected` of some days and nodes, sorted by the first three.

    Found by key, one by one: a span of days would read the scores of every node on them.
    """
    c = day_scores.c
    query = select(c.day.label("date"), c.area, c.category, c.observed, c.expected).order_by(c.day, c.area, c.category)
    return bulk.read(conn, query.where(c.day.in_(list(days)), c.area.in_(list(areas)), c.category.in_(list(categories))))


def newest(conn: Connection) -> date | None:
    """The last day that has scores; None before the first."""
    return conn.execute(select(func.max(day_scores.c.day))).scalar()
