"""Tables in bulk: a frame into a table, a query into a frame.

The store's one seam for how a database takes and gives many rows at once: SQLite takes them through its driver's `executemany`, PostgreSQL
through COPY, as CSV that Arrow writes; both give them through `fetchmany` (of COPY each row would come as a message of its own). For millions of
values the driver would make as many Python objects: with `read_groups` the database writes a group's values into one text, and Arrow takes it apart.
"""

import re
from collections.abc import Sequence
from contextlib import closing
from itertools import chain, islice
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from sqlalchemy import Boolean, Connection, Date, Float, Insert, Integer, Select, String, Table, Text, cast, func
from sqlalchemy import insert as insert_rows
from sqlalchemy.dialects import postgresql, sqlite

from service.store.engine import told_as_usual
from service.store.schema import Moment

UTC_MOMENT = pd.DatetimeTZDtype("us", "UTC")  # of every column of moments
DAY = np.dtype("datetime64[us]")  # of every column of local dates
_AT_ONCE = 32  # rows that one run of an INSERT brings to SQLite: a fifth quicker than one by one, more gain nothing
_FETCHED_AT_ONCE = 10_000  # rows
_SEPARATOR = "\x1f"  # between values in one text: Unicode's unit separator


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
        into = f"COPY {conn.dialect.identifier_preparer.quote(table.name)} ({quoted}) FROM STDIN (FORMAT csv)"
        with told_as_usual(conn), cursor.copy(into) as copy:
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
        with told_as_usual(conn):
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
    parts = []
    with told_as_usual(conn), closing(_cursor(conn, query)) as cursor:
        while rows := cursor.fetchmany(_FETCHED_AT_ONCE):
            parts.append([pa.array([row[i] for row in rows]).cast(kind) for i, kind in enumerate(types)])  # zip(*rows) takes ten times as long
    arrays = [pa.chunked_array([part[i] for part in parts], kind) for i, kind in enumerate(types)]
    frame: pd.DataFrame = pa.table(arrays, [str(column.key) for column in columns]).to_pandas()
    return frame.astype({str(column.key): DAY for column in columns if isinstance(column.type, Date)})


def read_groups(conn: Connection, query: Select[Any]) -> pd.DataFrame:
    """As `read`, in any order, and quick for millions of rows that share a few thousand values in their first column.

    Args:
        query: without grouping or order; after its first column come strings, and whole numbers at the end, none missing.
    Returns:
        The first column and strings as categoricals whose categories are sorted.
    """
    key, *others = query.selected_columns
    texts = [column if isinstance(column.type, String) else cast(column, Text) for column in others]
    packed = (func.aggregate_strings(text, _SEPARATOR) for text in texts)
    groups = conn.execute(query.with_only_columns(key, *packed).group_by(key).order_by(key)).all()
    lists = [pc.split_pattern(pa.array([group[i] for group in groups], pa.large_string()), _SEPARATOR) for i in range(1, len(others) + 1)]
    sizes = [pc.list_value_length(of_column).to_numpy() for of_column in lists]
    if not all(np.array_equal(size, sizes[-1]) for size in sizes):  # a separator within a string: nothing forbids it
        frame = read(conn, query)
        return frame.astype({str(column.key): "category" for column in (key, *others) if column is key or isinstance(column.type, String)})
    given = {str(key.key): pd.Categorical.from_codes(np.repeat(np.arange(len(groups)), sizes[-1]), _keys(groups, key.type))}
    for column, of_column in zip(others, lists, strict=True):
        values = pc.list_flatten(of_column)
        given[str(column.key)] = _sorted_categories(values) if isinstance(column.type, String) else values.cast(pa.int64()).to_numpy()
    return pd.DataFrame(given)


def _keys(groups: Sequence[Any], kind: Any) -> Any:
    return pd.Index([group[0] for group in groups], dtype=DAY if isinstance(kind, Date) else "str")


def _sorted_categories(values: Any) -> pd.Categorical:
    encoded = values.dictionary_encode()
    names = encoded.dictionary.to_numpy(zero_copy_only=False)
    order = np.argsort(names)
    return pd.Categorical.from_codes(np.argsort(order)[encoded.indices.to_numpy()], pd.Index(names[order], dtype="str"))


def _cursor(conn: Connection, query: Select[Any]) -> Any:
    """The driver's cursor over the rows of a query, which are not all held in memory."""
    if conn.dialect.name != "postgresql":
        return conn.execute(query).cursor
    # A cursor with a name stays at the server. SQLAlchemy would make one, too, but takes the first rows off it.
    cursor: Any = conn.connection.cursor("weisu")
    try:
        cursor.execute(str(query.compile(dialect=conn.dialect, compile_kwargs={"literal_binds": True})), ())
    except BaseException:
        cursor.close()
        raise
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
