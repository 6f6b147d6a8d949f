"""Tables in bulk: a frame into a table, a query into a frame.

The store's one seam for how a database takes many rows at once: SQLite through its own driver's `executemany`, others through
SQLAlchemy's.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import Boolean, ColumnElement, Connection, Date, Float, Insert, Integer, Select, String, Table, cast
from sqlalchemy import insert as insert_rows
from sqlalchemy.dialects import postgresql, sqlite

from service.store.schema import Moment

UTC_MOMENT = pd.DatetimeTZDtype("us", "UTC")  # of every column of moments
DAY = np.dtype("datetime64[us]")  # of every column of local dates
PARAMETERS = 10_000  # values in one IN list; SQLite takes 32,766 since 3.32, PostgreSQL 65,535
_FETCHED_AT_ONCE = 10_000


def insert(conn: Connection, table: Table, frame: pd.DataFrame) -> None:
    """Appends a frame, whose columns are columns of the table: moments aware in UTC, dates as midnights without a zone."""
    run_many(conn, insert_rows(table), table, frame)


def run_many(conn: Connection, statement: Insert, table: Table, frame: pd.DataFrame) -> None:
    """Runs an INSERT into a table once for each row of a frame."""
    if frame.empty:
        return
    names = [column.name for column in table.columns if column.name in frame.columns]  # the order in which a statement is compiled
    if conn.dialect.name == "sqlite":
        text = str(statement.compile(dialect=conn.dialect, column_keys=names))
        cursor: Any = conn.connection.cursor()
        cursor.executemany(text, zip(*(_stored(frame[name], table.c[name].type) for name in names), strict=True))
    else:
        rows = zip(*(_objects(frame[name], table.c[name].type) for name in names), strict=True)
        conn.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])


def upsert(conn: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ON CONFLICT, in the database's dialect."""
    return postgresql.insert(table) if conn.dialect.name == "postgresql" else sqlite.insert(table)


def replace(conn: Connection, table: Table, rows: Sequence[dict[str, Any]], keep: Sequence[str] = ()) -> None:
    """Inserts rows, or, where the primary key is there already, sets the given columns but those to keep."""
    if not rows:
        return
    statement = upsert(conn, table)
    keys = [column.name for column in table.primary_key]
    given = {name: statement.excluded[name] for name in rows[0] if name not in keys and name not in keep}
    conn.execute(statement.on_conflict_do_update(index_elements=keys, set_=given), rows)


def read(conn: Connection, query: Select[Any]) -> pd.DataFrame:
    """Runs a query.

    The database hands dates and moments over as text and Arrow reads them column by column: no Python object for each of them.

    Returns:
        Dates and moments as `DAY` and `UTC_MOMENT`, strings as `str`; what is missing is NaN or NaT.
    """
    columns = list(query.selected_columns)
    plain = [_plain(column).label(str(column.key)) for column in columns]
    result = conn.execute(query.with_only_columns(*plain, maintain_column_froms=True))
    parts = []
    while rows := result.cursor.fetchmany(_FETCHED_AT_ONCE):
        parts.append([pa.array(values, _arrow(column.type)) for values, column in zip(zip(*rows, strict=True), columns, strict=True)])
    result.close()
    arrays = [pa.chunked_array([part[i] for part in parts], _arrow(column.type)) for i, column in enumerate(columns)]
    table = pa.table([_typed(array, column.type) for array, column in zip(arrays, columns, strict=True)], [str(column.key) for column in columns])
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _plain(column: ColumnElement[Any]) -> ColumnElement[Any]:
    if isinstance(column.type, Date | Moment):
        return cast(column, String)
    return cast(column, Integer) if isinstance(column.type, Boolean) else column


def _arrow(kind: Any) -> Any:
    if isinstance(kind, Integer | Boolean):
        return pa.int64()
    return pa.float64() if isinstance(kind, Float) else pa.string()


def _typed(array: Any, kind: Any) -> Any:
    if isinstance(kind, Moment):
        return array.cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    if isinstance(kind, Date):
        return array.cast(pa.date32()).cast(pa.timestamp("us"))
    return array.cast(pa.bool_()) if isinstance(kind, Boolean) else array


def _stored(values: pd.Series, kind: Any) -> list[Any]:
    """A column as SQLite keeps it: moments and dates as the text that SQLAlchemy writes."""
    if isinstance(kind, Date | Moment):
        moments = values.dt.tz_convert("UTC").dt.tz_localize(None) if isinstance(kind, Moment) else values
        array = pa.array(moments.to_numpy(dtype=DAY))
        texts = (array if isinstance(kind, Moment) else array.cast(pa.date32())).cast(pa.string())
        return list(texts.to_numpy(zero_copy_only=False).tolist())
    return _objects(values, kind)


def _objects(values: pd.Series, kind: Any) -> list[Any]:
    """A column as SQLAlchemy binds it."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        labels = [*values.cat.categories, None]  # code -1 finds the None at the end
        return list(np.array(labels, dtype=object)[values.cat.codes.to_numpy()].tolist())
    if isinstance(kind, Date):
        return [None if value is pd.NaT else value.date() for value in values.dt.to_pydatetime()]
    if isinstance(kind, Moment):
        return [None if value is pd.NaT else value for value in values.dt.to_pydatetime()]
    return objects(values)


def objects(values: pd.Series) -> list[Any]:
    """A column as Python objects, None for what is missing."""
    array = values.to_numpy(dtype=object, copy=True)
    array[values.isna().to_numpy()] = None
    return list(array.tolist())
