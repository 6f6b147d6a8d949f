"""Table files as the contract has them (CSV or Parquet, by ending), for experiments that need no store."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa

from forecasting.errors import InputError

UNKNOWN = "UNKNOWN"  # the district of a ticket that names none: it counts for the city all the same
TEXT = ("district", "category", "street", "ticket_id", "name", "source")


def read(path: Path, needed: tuple[str, ...]) -> pd.DataFrame:
    """Reads a table.

    Raises:
        InputError: the file cannot be read, has another ending, no rows, or lacks a column.
    """
    where = str(path)
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"ending '{path.suffix}' is not known", where, "give a .csv or .parquet file")
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=dict.fromkeys(TEXT, str), encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or 'not a table'}", where, "check the path and the file") from None
    except (pa.ArrowInvalid, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"is no table: {str(error).splitlines()[0]}", where, "check the file") from None
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise InputError(f"no column '{missing[0]}'", where, f"it needs {', '.join(needed)}")
    if frame.empty:
        raise InputError("has no rows", where, "check the file")
    return frame


def counts(path: Path) -> pd.DataFrame:
    """Rows of `district`, `category`, `date`, `count` from a file of counts.

    Raises:
        InputError: see `read`; a date that is none (names the row).
    """
    frame = read(path, ("district", "category", "date", "count"))
    return _keys(frame, path).assign(date=_moments(frame["date"], path, "date").dt.normalize(), count=pd.to_numeric(frame["count"], errors="coerce"))


def tickets(path: Path, zone: str) -> pd.DataFrame:
    """Counts by local day from a file of tickets: rows of `district`, `category`, `date`, `count`. A repeated ticket counts once.

    Raises:
        InputError: see `read`; a moment that is none or a ticket without a category (names the row).
    """
    frame = read(path, ("ticket_id", "created_at", "district", "category"))
    created = _moments(frame["created_at"], path, "created_at")
    if created.dt.tz is not None:
        created = created.dt.tz_convert(ZoneInfo(zone)).dt.tz_localize(None)
    rows = _keys(frame, path).assign(date=created.dt.normalize(), id=frame["ticket_id"].astype(str))
    key = ["source", "id"] if "source" in frame else ["id"]
    rows = rows.assign(source=frame["source"].astype(str)) if "source" in frame else rows
    rows = rows.drop_duplicates(key, keep="last")
    return rows.groupby(["district", "category", "date"]).size().rename("count").reset_index()


def drivers(path: Path, zone: str) -> pd.DataFrame:
    """Driver rows; `issued_at` as local wall-clock moments.

    Raises:
        InputError: see `read`; a date that is none (names the row).
    """
    frame = read(path, ("name", "date", "value"))
    frame = frame.assign(date=_moments(frame["date"], path, "date"))
    if "issued_at" in frame:
        given = frame["issued_at"].notna()
        issued = pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us]")
        moments = _moments(frame.loc[given, "issued_at"], path, "issued_at")
        issued[given] = moments.dt.tz_convert(ZoneInfo(zone)).dt.tz_localize(None) if moments.dt.tz is not None else moments
        frame = frame.assign(issued_at=issued)
    return frame


def _keys(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    district = frame["district"].astype("string").str.strip()
    category = frame["category"].astype("string").str.strip()
    bad = category.isna() | (category == "")
    if bad.any():
        raise InputError("a row without a category", f"{path}, row {int(bad.to_numpy().argmax()) + 1}", "give it one or leave the row out")
    district = district.mask(district == "").fillna(UNKNOWN)
    return pd.DataFrame({"district": district.astype(str), "category": category.astype(str)}, index=frame.index)


def _moments(values: pd.Series, path: Path, column: str) -> pd.Series:
    try:
        parsed = pd.to_datetime(values, errors="coerce", format=None if pd.api.types.is_datetime64_any_dtype(values) else "ISO8601")
    except ValueError as error:
        raise InputError(f"{column}: {str(error).splitlines()[0]}", str(path), "write all moments alike, with an offset or without") from None
    bad = parsed.isna()
    if bad.any():
        at = int(bad.to_numpy().argmax())
        raise InputError(f"{column} '{values.iloc[at]}' is no date", f"{path}, row {at + 1}", "write it as 2025-12-31 or 2025-12-31T08:30:00")
    return parsed
