"""Excluded spans: days, of all or a part of the city, that are no days like others."""

import pandas as pd
from sqlalchemy import Connection, select

from service.store import bulk, whole_tables
from service.store.ingests import Totals
from service.store.schema import excluded_spans


def frame(conn: Connection) -> pd.DataFrame:
    """All spans: `start, end, area, category, reason`, by start."""
    c = excluded_spans.c
    return bulk.read(conn, select(c.start, c.end, c.area, c.category, c.reason).order_by(c.start, c.end, c.area, c.category))


def put(conn: Connection, rows: pd.DataFrame, ingest_id: int) -> Totals:
    """Makes the spans equal to a table `start, end, area, category, reason`: what it does not name is gone and counts as changed."""
    return whole_tables.put(conn, excluded_spans, rows, ingest_id)
