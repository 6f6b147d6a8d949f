"""Moments and dates as files write them."""

from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

UTC_MOMENT = pd.DatetimeTZDtype("us", "UTC")
DAY = np.dtype("datetime64[us]")

# What is written otherwise than in ISO 8601, most usual first. A date with two slashes and the year last is American: month first.
FORMATS = (
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y",
    "%m/%d/%y %H:%M",
    "%Y-%m-%d %H:%M:%S",  # with days and months of one digit
    "%Y-%m-%d %H:%M",
    "%Y年%m月%d日 %H:%M:%S",
    "%Y年%m月%d日 %H:%M",
    "%Y年%m月%d日%H:%M:%S",
    "%Y年%m月%d日 %H时%M分%S秒",
    "%Y年%m月%d日%H时%M分%S秒",
    "%Y年%m月%d日 %H时%M分",
    "%Y年%m月%d日%H时%M分",
    "%Y年%m月%d日",
    "%Y/%m/%d %p %I:%M:%S",  # as Excel shows it in Chinese: 2024/1/5 下午 3:04:00
    "%Y/%m/%d %p%I:%M:%S",
    "%Y.%m.%d %H:%M:%S",
    "%Y.%m.%d %H:%M",
    "%Y.%m.%d",
    "%Y%m%d",
    "%Y%m%d%H%M%S",
)
_NOON = {"上午": "AM", "下午": "PM"}

_WITH_OFFSET = r":\d{2}(?:\.\d+)?\s*(?:Z|[+-]\d{2}:?\d{2})$"
_SERIAL = r"^\d{5}(?:\.\d+)?$"  # days since the end of 1899, as spreadsheets count: 5 digits are 1927 to 2173
_SERIAL_ORIGIN = pd.Timestamp("1899-12-30")


def moments(column: Any, zone: ZoneInfo, form: str = "") -> pd.Series:
    """An Arrow column as moments in UTC; NaT where there is none or it cannot be read.

    Texts are read as `form` says (as `strptime` takes it); without it in ISO 8601, in one of `FORMATS` or as a spreadsheet's number.
    A moment without an offset is local. Of the hour that comes twice in autumn the first is meant; a time in the hour that is left out in
    spring counts as the first moment after it.
    """
    if pa.types.is_timestamp(column.type):
        return to_utc(_series(column.cast(pa.timestamp("us", column.type.tz), safe=False)), zone)
    if pa.types.is_date(column.type):
        return to_utc(_series(column.cast(pa.timestamp("us"))), zone)
    column = column.cast(pa.string()) if not pa.types.is_string(column.type) else column
    if form:
        return to_utc(_formed(_texts(column), form), zone)
    try:
        return to_utc(_series(column.cast(pa.timestamp("us"))), zone)
    except pa.ArrowInvalid:
        return _read(_texts(column), zone)


def days(column: Any, zone: ZoneInfo, form: str = "") -> pd.Series:
    """An Arrow column as local dates (midnights without a zone); NaT where there is none or it cannot be read."""
    day: pd.Series = moments(column, zone, form).dt.tz_convert(zone).dt.tz_localize(None).dt.normalize().astype(DAY)
    return day


def to_utc(local: pd.Series, zone: ZoneInfo) -> pd.Series:
    """Local times (or aware ones) as moments in UTC."""
    aware = local if local.dt.tz is not None else local.dt.tz_localize(zone, ambiguous=np.ones(len(local), bool), nonexistent="shift_forward")
    moment: pd.Series = aware.dt.tz_convert("UTC").astype(UTC_MOMENT)
    return moment


def _texts(column: Any) -> pd.Series:
    """Trimmed texts; without those that pandas takes for the present moment."""
    texts = pd.Series(column.to_pandas(), dtype="str").str.strip()
    return texts.mask(texts.str.lower().isin(["now", "today"]))


def _series(column: Any) -> pd.Series:
    series: pd.Series = column.to_pandas()
    return series


def _formed(texts: pd.Series, form: str) -> pd.Series:
    read: pd.Series = pd.to_datetime(texts, format=form, errors="coerce", utc="%z" in form)
    return read.astype(UTC_MOMENT if "%z" in form else DAY)


def _read(texts: pd.Series, zone: ZoneInfo) -> pd.Series:
    result = pd.Series(pd.NaT, index=texts.index, dtype=UTC_MOMENT)
    aware = texts.str.contains(_WITH_OFFSET, regex=True, na=False)
    if aware.any():
        result[aware] = pd.to_datetime(texts[aware], format="ISO8601", utc=True, errors="coerce").astype(UTC_MOMENT)
    local = pd.Series(pd.NaT, index=texts.index, dtype=DAY)
    left = ~aware & texts.notna() & texts.ne("")
    serial = left & texts.str.contains(_SERIAL, regex=True, na=False)
    if serial.any():
        # A serial number is a day and its fraction; in seconds it is exact again.
        local[serial] = _SERIAL_ORIGIN + pd.to_timedelta((texts[serial].astype("float64") * 86_400).round(), unit="s")
        left &= ~serial
    for noon, sign in _NOON.items():
        texts = texts.str.replace(noon, sign, regex=False)
    for form in ("ISO8601", *FORMATS):
        if not left.any():
            break
        local[left] = pd.to_datetime(texts[left], format=form, errors="coerce").astype(DAY)
        left &= local.isna()
    return result.where(aware, to_utc(local, zone))
