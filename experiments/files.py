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
        InputError: see `read`; a date that is none (names the row). What is no count, a panel refuses.
    """
    frame = read(path, ("district", "category", "date", "count"))
    return _keys(frame, path).assign(date=_dates(frame["date"], path).dt.normalize(), count=frame["count"])


def tickets(path: Path, zone: str) -> pd.DataFrame:
    """Counts by local day from a file of tickets: rows of `district`, `category`, `date`, `count`. A repeated ticket counts once.

    With a column `received_at` the rows of a cell are parted by the day on which they were `received`.

    Raises:
        InputError: see `moments`.
    """
    return by_day(moments(path, zone))


def by_day(rows: pd.DataFrame) -> pd.DataFrame:
    """What `moments` gives, counted by local day as `tickets` says."""
    table = rows.assign(date=rows["created"].dt.normalize())
    cell = ["district", "category", "date"]
    if "received" in rows:
        table["received"] = rows["received"].dt.normalize()
        cell.append("received")
    return table.groupby(cell).size().rename("count").reset_index()


def moments(path: Path, zone: str) -> pd.DataFrame:
    """A row per ticket: `district`, `category`, `created` and, with a column `received_at`, `received`: local moments. A repeat counts once.

    Raises:
        InputError: see `read`; a moment that is none, a ticket without a category or a ticket_id (names the row).
    """
    frame = read(path, ("ticket_id", "created_at", "district", "category"))
    number = _text(frame["ticket_id"])
    nameless = (number.isna() | (number == "")).to_numpy()
    if nameless.any():
        raise InputError("a ticket without a ticket_id", f"{path}, row {int(nameless.argmax()) + 1}", "give each its own, or a repeat cannot be told")
    created = _local(_moments(frame["created_at"], path, "created_at"), zone)
    rows = _keys(frame, path).assign(created=created, id=number)
    key = ["source", "id"] if "source" in frame else ["id"]
    rows = rows.assign(source=_text(frame["source"]).fillna("")) if "source" in frame else rows
    if "received_at" in frame:
        received = _moments(frame["received_at"].where(frame["received_at"].notna(), frame["created_at"]), path, "received_at")
        rows["received"] = _local(received, zone)
        rows["received"] = rows.groupby(key)["received"].transform("min")  # known since its first delivery
    return rows.drop_duplicates(key, keep="last").drop(columns=key)


def _local(values: pd.Series, zone: str) -> pd.Series:
    """Wall-clock moments of the zone."""
    return values.dt.tz_convert(ZoneInfo(zone)).dt.tz_localize(None) if values.dt.tz is not None else values


def drivers(path: Path, zone: str) -> pd.DataFrame:
    """Driver rows; `issued_at` as local wall-clock moments.

    Raises:
        InputError: see `read`; a date that is none (names the row).
    """
    frame = read(path, ("name", "date", "value"))
    frame = frame.assign(date=_dates(frame["date"], path))
    if "district" in frame:
        frame = frame.assign(district=_text(frame["district"]).astype(object))
    if "issued_at" in frame:
        given = frame["issued_at"].notna()
        issued = pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us]")
        told = _moments(frame.loc[given, "issued_at"], path, "issued_at")
        issued[given] = _local(told, zone)
        frame = frame.assign(issued_at=issued)
    return frame


def _keys(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    district, category = _text(frame["district"]), _text(frame["category"])
    bad = category.isna() | (category == "")
    if bad.any():
        raise InputError("a row without a category", f"{path}, row {int(bad.to_numpy().argmax()) + 1}", "give it one or leave the row out")
    district = district.mask(district == "").fillna(UNKNOWN)
    return pd.DataFrame({"district": district.astype(str), "category": category.astype(str)}, index=frame.index)


def _text(values: pd.Series) -> pd.Series:
    """Codes as text, trimmed. Whole numbers with gaps, which a table holds as floats, are written as whole numbers."""
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    return values.astype("string").str.strip()


def _dates(values: pd.Series, path: Path) -> pd.Series:
    """Days without a zone."""
    parsed = _moments(values, path, "date")
    if parsed.dt.tz is not None:
        raise InputError("date carries an offset", str(path), "write days as 2025-12-31")
    return parsed


def _moments(values: pd.Series, path: Path, column: str) -> pd.Series:
    """Moments, with UTC's offset if they carry one."""
    known = pd.api.types.is_datetime64_any_dtype(values)
    text = values if known else values.astype("string")
    offset = None if known else text.str.contains(r"[T ]\S*(?:[zZ]|[+-]\d\d(?::?\d\d)?)\s*$", regex=True).fillna(False)
    if offset is not None and offset.any() and not offset[text.notna()].all():
        raise InputError(f"{column}: some moments carry an offset and some do not", str(path), "write all with an offset or without")
    utc = bool(values.dt.tz is not None) if known else bool(offset is not None and offset.any())
    parsed = pd.to_datetime(text, errors="coerce", utc=utc, format=None if known else "ISO8601")
    bad = parsed.isna()
    if bad.any():
        at = int(bad.to_numpy().argmax())
        raise InputError(f"{column} '{values.iloc[at]}' is no date", f"{path}, row {at + 1}", "write it as 2025-12-31 or 2025-12-31T08:30:00")
    return parsed
