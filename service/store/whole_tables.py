"""Small tables that a city edits and sends as a whole: the file is the table."""

import pandas as pd
from sqlalchemy import Connection, Date, Table, delete, insert, select

from service.store import bulk
from service.store.ingests import Totals


def put(conn: Connection, table: Table, rows: pd.DataFrame, ingest_id: int) -> Totals:
    """Makes a table equal to a frame of all its columns but `ingest_id`; rows that are gone count as changed."""
    names = [column.name for column in table.columns if column.name != "ingest_id"]
    keys = [column.name for column in table.primary_key]
    stored = {tuple(row._mapping[key] for key in keys): tuple(row) for row in conn.execute(select(*(table.c[name] for name in names)))}
    columns = [[d.date() for d in rows[name]] if isinstance(table.c[name].type, Date) else bulk.objects(rows[name]) for name in names]
    given = {tuple(dict(zip(names, row, strict=True))[key] for key in keys): row for row in zip(*columns, strict=True)}
    if given == stored:
        return Totals(unchanged=len(given))
    conn.execute(delete(table))
    if given:
        conn.execute(insert(table), [dict(zip(names, row, strict=True)) | {"ingest_id": ingest_id} for row in given.values()])
    same = sum(stored.get(key) == row for key, row in given.items())
    added = len(given.keys() - stored.keys())
    return Totals(added, len(given.keys() | stored.keys()) - added - same, same)
