"""Frames as Arrow tables."""

import pandas as pd
import pyarrow as pa


def table(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """A frame with the columns of a schema, in its types; what is missing is null. Moments are aware."""
    return pa.Table.from_arrays([_array(frame[field.name], field.type) for field in schema], schema=schema)


def _array(column: pd.Series, kind: pa.DataType) -> pa.Array:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert(None)  # Arrow takes moments in UTC
    found = pa.Array.from_pandas(column, type=kind)
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
