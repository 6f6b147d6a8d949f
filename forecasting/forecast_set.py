"""One night's forecasts: immutable, one Parquet blob, distributions and not only numbers."""

import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from forecasting import distribution, explanation
from forecasting.errors import InputError

COLUMNS = ("area", "category", "date", "horizon", "mean", "dispersion", "model")
_META = b"weisu"


@dataclass(frozen=True)
class ForecastSet:
    """All forecasts made at one cutoff.

    Attributes:
        frame: `area`, `category`, `date`, `horizon` (days after the cutoff, from 1), `mean`, `dispersion` (see `distribution`), `model`;
            a set that is explained has `explanation.COLUMNS` as well.
        meta: what else is worth knowing (cutoff, family of the distribution, …); plain values.
    """

    frame: pd.DataFrame
    meta: Mapping[str, Any] = field(default_factory=dict)

    def to_parquet(self) -> bytes:
        """The set as one Parquet file, the same bytes for the same set."""
        columns = [*COLUMNS, *(name for name in explanation.COLUMNS if name in self.frame)]
        table = pa.Table.from_pandas(self.frame[columns], preserve_index=False)
        table = table.replace_schema_metadata({_META: json.dumps(dict(self.meta), sort_keys=True).encode()})
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd")
        return sink.getvalue()

    @staticmethod
    def of_day(blob: bytes, day: date) -> pd.DataFrame:
        """`area`, `category`, `mean`, `dispersion` of one day, of what `to_parquet` wrote: a set holds many days."""
        columns = ["area", "category", "mean", "dispersion"]
        frame: pd.DataFrame = pq.read_table(io.BytesIO(blob), columns=columns, filters=pc.field("date") == pd.Timestamp(day)).to_pandas()
        return frame

    @staticmethod
    def of_days(blob: bytes, days: Collection[date]) -> pd.DataFrame:
        """`area`, `category` (categoricals), `date`, `mean`, `dispersion` of some days, of what `to_parquet` wrote."""
        columns = ["area", "category", "date", "mean", "dispersion"]
        table = pq.read_table(io.BytesIO(blob), columns=columns, read_dictionary=["area", "category"])
        wanted = pc.is_in(table["date"], pa.array([pd.Timestamp(day) for day in days]).cast(table["date"].type))
        frame: pd.DataFrame = table.filter(wanted).to_pandas()
        return frame

    @staticmethod
    def of_nodes(blob: bytes, areas: Collection[str], categories: Collection[str]) -> pd.DataFrame:
        """The rows of some nodes, all columns, of what `to_parquet` wrote."""
        wanted = pc.field("area").isin(list(areas)) & pc.field("category").isin(list(categories))
        frame: pd.DataFrame = pq.read_table(io.BytesIO(blob), filters=wanted).to_pandas()
        return frame

    @classmethod
    def from_parquet(cls, blob: bytes) -> "ForecastSet":
        """Reads what `to_parquet` wrote.

        Raises:
            InputError: the bytes are no forecast set.
        """
        try:
            table = pq.read_table(io.BytesIO(blob))
        except pa.ArrowInvalid as error:
            raise InputError(f"not a forecast set: {error}", "forecast set", "train again") from None
        meta = (table.schema.metadata or {}).get(_META)
        if meta is None or not set(COLUMNS) <= set(table.column_names):
            raise InputError("not a forecast set: columns are missing", "forecast set", "train again")
        return cls(table.replace_schema_metadata(None).to_pandas(), json.loads(meta))


def with_quantiles(frame: pd.DataFrame) -> pd.DataFrame:
    """Adds `q05 … q95`, derived from `mean` and `dispersion`, to rows of a forecast set."""
    values = distribution.quantiles(frame["mean"].to_numpy(float), frame["dispersion"].to_numpy(float))
    return frame.assign(**dict(zip(distribution.QUANTILE_NAMES, np.moveaxis(values, -1, 0), strict=True)))


def pack(frame: pd.DataFrame) -> bytes:
    """A table that belongs to a forecast set (outlook, shares of hours) as one Parquet file, the same bytes for the same table."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None), sink, compression="zstd")
    return sink.getvalue()


def unpack(blob: bytes, columns: Sequence[str]) -> pd.DataFrame:
    """Reads what `pack` wrote: these columns, and what else the night had.

    Raises:
        InputError: the bytes are no such table.
    """
    try:
        table = pq.read_table(io.BytesIO(blob))
    except pa.ArrowInvalid as error:
        raise InputError(f"not a table of a forecast set: {error}", "forecast set", "train again") from None
    if not set(columns) <= set(table.column_names):
        raise InputError("not a table of a forecast set: columns are missing", "forecast set", "train again")
    frame: pd.DataFrame = table.to_pandas()
    return frame
