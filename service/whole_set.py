"""The published forecast set as one Parquet file, every node and day with its quantiles: made once, by the night that publishes it, and kept ready.

Quantiles of half a million rows take seconds; whoever asks for the whole set wants it at once. The file lies in the data folder. Where there is
none, because the API runs on another machine than the nights or a set was gone back to, the API makes it when it is asked for.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from forecasting.distribution import QUANTILE_NAMES
from forecasting.forecast_set import ForecastSet, with_quantiles
from service import arrow
from service.settings import Settings
from service.store import forecast_sets

LAYOUT = 1  # of the file; whoever changes it counts on, so that no old file is taken for a new one
ROWS_AT_ONCE = 50_000  # of which the quantiles are derived and written: some 10 MB

COLUMNS = ("area", "category", "date", "horizon", "mean", *QUANTILE_NAMES, "model", "issued_at", "run_id")


def file_of(settings: Settings, set_id: int, issued_at: datetime, run_id: str) -> Path:
    """Where the file of a set lies, or would. Its name is different for every set, also for one of a database that was restored."""
    said = f"{set_id} {issued_at.isoformat()} {run_id} {settings.timezone} {LAYOUT}"
    return settings.data_dir / "forecasts" / f"{set_id}-{hashlib.sha256(said.encode()).hexdigest()[:16]}.parquet"


def make(settings: Settings, frame: pd.DataFrame, set_id: int, issued_at: datetime, run_id: str) -> Path:
    """Makes the file of a set unless it is there, and deletes those of other sets; returns its path.

    Args:
        frame: the set, see `ForecastSet.frame`, in the order of area, category, date.

    Raises:
        OSError: it cannot be written.
    """
    path = file_of(settings, set_id, issued_at, run_id)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    try:
        with pq.ParquetWriter(unfinished, _schema(settings.timezone), compression="zstd") as writer:
            for rows in _parts(frame):
                told = with_quantiles(rows).assign(issued_at=issued_at, run_id=run_id)[list(COLUMNS)]
                writer.write_table(arrow.table(told, _schema(settings.timezone)))
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    for other in path.parent.iterdir():  # of sets before, and what a process that was killed left behind
        if other != path:
            with suppress(OSError):  # another process may have been quicker
                other.unlink()
    return path


def of_stored(settings: Settings, stored: forecast_sets.ForecastSet) -> Path:
    """As `make`, for a set as the store gives it."""
    frame = ForecastSet.from_parquet(stored.blob).frame.sort_values(["area", "category", "date"], ignore_index=True)
    return make(settings, frame, stored.id, stored.issued_at, stored.mlflow_run_id or str(stored.run_id))


def _parts(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for start in range(0, len(frame), ROWS_AT_ONCE):
        yield frame.iloc[start : start + ROWS_AT_ONCE]


def _schema(zone: str) -> pa.Schema:
    kinds = {"date": pa.date32(), "horizon": pa.int64(), "issued_at": pa.timestamp("us", zone)}
    texts = dict.fromkeys(("area", "category", "model", "run_id"), pa.string())
    return pa.schema([(name, (kinds | texts).get(name, pa.float64())) for name in COLUMNS])
