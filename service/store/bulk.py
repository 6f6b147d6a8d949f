"""Tables in bulk: a frame into a table, a query into a frame.

The store's one seam for how a database takes and gives many rows at once: SQLite takes them through its driver's `executemany`, PostgreSQL
through COPY, as CSV that Arrow writes; both give them through `fetchmany` (of COPY each row would come as a message of its own).
"""

import re
from collections.abc import Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
from sqlalchemy import Boolean, Connection, Date, Float, Insert, Integer, Select, Table
from sqlalchemy import insert as insert_rows
from sqlalchemy.dialects import postgresql, sqlite

from service.store.schema import Moment

UTC_MOMENT = pd.DatetimeTZDtype("us", "UTC")  # of every column of moments
DAY = np.dtype("datetime64[us]")  # of every column of local dates
_AT_ONCE = 32  # rows that one run of an INSERT brings to SQLite: a fifth quicker than one by one, more gain nothing
_FETCHED_AT_ONCE = 10_000  # rows


def insert(conn: Connection, table: Table, frame: pd.DataFrame) -> None:
    """Appends a frame, whose columns are columns of the table: moments aware in UTC, dates as midnights without a zone."""
    if conn.dialect.name != "postgresql":
        run_many(conn, insert_rows(table), table, frame)
    elif not frame.empty:
        names = [column.name for column in table.columns if column.name in frame.columns]
        cells = pa.table([_cells(frame[name], table.c[name].type) for name in names], names)
        text = pa.BufferOutputStream()
        pa.csv.write_csv(cells, text, pa.csv.WriteOptions(include_header=False))
        quoted = ", ".join(conn.dialect.identifier_preparer.quote(name) for name in names)
        cursor: Any = conn.connection.cursor()
        with cursor.copy(f"COPY {conn.dialect.identifier_preparer.quote(table.name)} ({quoted}) FROM STDIN (FORMAT csv)") as copy:
            copy.write(text.getvalue())


def run_many(conn: Connection, statement: Insert, table: Table, frame: pd.DataFrame) -> None:
    """Runs an INSERT into a table once for each row of a frame."""
    if frame.empty:
        return
    names = [column.name for column in table.columns if column.name in frame.columns]  # the order in which a statement is compiled
    if conn.dialect.name == "sqlite":
        text = str(statement.compile(dialect=conn.dialect, column_keys=names))
        rows = zip(*(_stored(frame[name], table.c[name].type) for name in names), strict=True)
        cursor: Any = conn.connection.cursor()
        head, values, tail = re.split(r"VALUES (\([?, ]+\))", text, maxsplit=1)
        whole, rest = divmod(len(frame), _AT_ONCE)
        cells = chain.from_iterable(rows)
        if whole:
            chunks = (tuple(islice(cells, _AT_ONCE * len(names))) for _ in range(whole))
            cursor.executemany(f"{head}VALUES {', '.join([values] * _AT_ONCE)}{tail}", chunks)
        if rest:
            cursor.execute(f"{head}VALUES {', '.join([values] * rest)}{tail}", tuple(cells))
    else:
        given = zip(*(_objects(frame[name], table.c[name].type) for name in names), strict=True)
        conn.execute(statement, [dict(zip(names, row, strict=True)) for row in given])


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

    The driver's own values go to Arrow column by column, past SQLAlchemy's Python object for each date and row.

    Returns:
        Dates and moments as `DAY` and `UTC_MOMENT`, strings as `str`; what is missing is NaN or NaT.
    """
    columns = list(query.selected_columns)
    types = [_arrow(column.type) for column in columns]
    cursor = _cursor(conn, query)
    parts = []
    while rows := cursor.fetchmany(_FETCHED_AT_ONCE):
        parts.append([pa.array([row[i] for row in rows]).cast(kind) for i, kind in enumerate(types)])  # zip(*rows) takes ten times as long
    cursor.close()
    arrays = [pa.chunked_array([part[i] for part in parts], kind) for i, kind in enumerate(types)]
    frame: pd.DataFrame = pa.table(arrays, [str(column.key) for column in columns]).to_pandas()
    return frame.astype({str(column.key): DAY for column in columns if isinstance(column.type, Date)})


def _cursor(conn: Connection, query: Select[Any]) -> Any:
    """The driver's cursor over the rows of a query, which are not all held in memory."""
    if conn.dialect.name != "postgresql":
        return conn.execute(query).cursor
    # A cursor with a name stays at the server. SQLAlchemy would make one, too, but takes the first rows off it.
    cursor: Any = conn.connection.cursor("weisu")
    cursor.execute(str(query.compile(dialect=conn.dialect, compile_kwargs={"literal_binds": True})), ())
    return cursor


def _arrow(kind: Any) -> Any:
    names = {Moment: pa.timestamp("us", "UTC"), Date: pa.date32(), Integer: pa.int64(), Float: pa.float64(), Boolean: pa.bool_()}
    return next((arrow for base, arrow in names.items() if isinstance(kind, base)), pa.string())


def _cells(values: pd.Series, kind: Any) -> Any:
    """A column as Arrow writes it for PostgreSQL: moments in UTC without a zone."""
    if isinstance(kind, Moment):
        values = values.astype(UTC_MOMENT).dt.tz_localize(None)
    cells = pa.array(values, from_pandas=True)
    return cells.cast(pa.timestamp("us") if isinstance(kind, Moment) else _arrow(kind))


def _stored(values: pd.Series, kind: Any) -> list[Any]:
    """A column as SQLite keeps it: dates as text, moments as microseconds."""
    if isinstance(kind, Date):
        days = pa.array(values.to_numpy(dtype=DAY)).cast(pa.date32()).cast(pa.string())
        return list(days.to_numpy(zero_copy_only=False).tolist())
    if isinstance(kind, Moment):
        moments = values.astype(UTC_MOMENT)
        return objects(moments.astype("int64").mask(moments.isna()).astype("Int64")) if moments.hasnans else list(moments.astype("int64").tolist())
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
