"""Cells of text and numbers as files write them."""

from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc


def texts(column: Any) -> Any:
    """An Arrow column as trimmed strings; null where there is nothing."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):  # whole numbers beside missing ones: a code must not become '61.0'
        column = pc.if_else(pc.is_finite(column), column, None)
        if pc.all(pc.equal(pc.floor(column), column)).as_py() is not False:
            column = column.cast(pa.int64(), safe=False)
    trimmed = pc.utf8_trim_whitespace(_without_nul(column.cast(pa.string())))
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def _without_nul(column: Any) -> Any:
    """PostgreSQL keeps no text with a zero byte. To look for one is much quicker than to replace it."""
    data = column.buffers()[2] if isinstance(column, pa.Array) else None
    if data is not None and b"\0" not in data.to_pybytes():
        return column
    return pc.replace_substring(column, "\0", "")


def numbers(column: Any) -> pd.Series:
    """An Arrow column as floats; NaN where there is nothing or no number."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return pd.Series(column.cast(pa.float64(), safe=False).to_pandas(), dtype="float64")
    return pd.to_numeric(pd.Series(texts(column).to_pandas(), dtype="str"), errors="coerce").astype("float64")


def coded(column: Any) -> pd.Series:
    """An Arrow column as a categorical of its trimmed strings; missing where there is nothing."""
    encoded = texts(column).dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index(encoded.dictionary.to_pandas(), dtype="str")))
