"""The category map: from which day on which code's tickets are filed under which other one."""

import pandas as pd
from sqlalchemy import Connection, select

from forecasting.recoding import CategoryMap
from service.store import bulk, whole_tables
from service.store.ingests import Totals
from service.store.schema import category_map


def read(conn: Connection) -> CategoryMap:
    """All recodings."""
    c = category_map.c
    return CategoryMap.of(bulk.read(conn, select(c.old, c.new, c.valid_from, c.share)))


def put(conn: Connection, rows: pd.DataFrame, ingest_id: int) -> Totals:
    """Makes the map equal to a table `old, new, valid_from, share`: what it does not name is gone and counts as changed."""
    return whole_tables.put(conn, category_map, rows, ingest_id)
