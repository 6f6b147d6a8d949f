"""Drivers as public weather services give them: JSON with parallel lists or lists of objects, or CSV."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

from forecasting.errors import InputError
from service.intake.files import Batch
from service.intake.moments import days, moments, to_utc
from service.pull_settings import DriverPull

_EPOCH_DIGITS = (9, 10)  # a number of so many digits counts seconds since 1970: no date is written so
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Weather:
    """What an answer holds.

    Attributes:
        batch: its values as rows of drivers.
        newest: when the newest of it was issued, or the last observed day ended; None: nothing of it is known yet.
    """

    batch: Batch
    newest: datetime | None


def read(content: bytes, pull: DriverPull, now: datetime, zone: ZoneInfo) -> Weather:
    """Reads an answer. Values that are missing in it are left out, and so are days before the issue of a forecast.

    Args:
        now: when it was fetched.
    Raises:
        InputError: it is not written as the pull says; names what is missing.
    """
    columns = _of_json(content, pull) if pull.format == "json" else _of_csv(content, pull)
    dates = [_moment(cell) for cell in columns.dates]
    issued = [_moment(cell) for cell in columns.issued] or [now.replace(microsecond=0).isoformat()] * len(dates)
    rows = [
        (line, name, dates[line], issued[line], cell)
        for name, cells in columns.values.items()
        for line, cell in enumerate(cells)
        if cell is not None and cell != ""
    ]
    if not rows:
        raise InputError("holds no value", pull.name, "see whether the service still answers as the pull says")
    lines, names, of_day, of_issue, values = (list(column) for column in zip(*rows, strict=True))
    day = days(pa.array(of_day, pa.string()), zone)
    known = to_utc(day + pd.Timedelta(days=1), zone) if pull.observed else moments(pa.array(of_issue, pa.string()), zone)
    past = np.zeros(len(rows), bool) if pull.observed else (day < known.dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()).to_numpy(bool)
    _refuse_several(pd.DataFrame({"name": names, "day": day, "issued": known, "value": values})[~past], pull)
    found = {"name": names, "date": of_day, "value": values}
    if not pull.observed:
        found["issued_at"] = of_issue
    if pull.district:
        found["district"] = [pull.district] * len(rows)
    keep = pa.array(~past)
    batch = Batch(np.array(lines, np.int64)[~past] + 1, {name: pa.array(cells, pa.string()).filter(keep) for name, cells in found.items()}, [])
    newest = known[known <= pd.Timestamp(now)].max()
    return Weather(batch, None if pd.isna(newest) else newest.to_pydatetime())


@dataclass(frozen=True)
class _Columns:
    """Cells as texts, None where there is nothing; all of the same length, `issued` may be empty."""

    dates: list[str | None]
    issued: list[str | None]
    values: dict[str, list[str | None]]


def _of_json(content: bytes, pull: DriverPull) -> _Columns:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise InputError("is no JSON", pull.name, "see whether the service answers with an error page, or set format") from None
    dates = _listed(document, pull.date, pull)
    found = {name: _listed(document, path, pull) for name, path in pull.values.items()}
    for name, cells in found.items():
        if len(cells) != len(dates):
            what = f"'{pull.values[name]}' has {len(cells)} values for the {len(dates)} dates of '{pull.date}'"
            raise InputError(what, pull.name, "name values and dates of the same list")
    issued = _listed(document, pull.issued_at, pull) if pull.issued_at else []
    if len(issued) not in (0, 1, len(dates)):
        raise InputError(f"'{pull.issued_at}' has {len(issued)} values for {len(dates)} dates", pull.name, "name one moment, or one for each date")
    return _Columns(dates, issued * len(dates) if len(issued) == 1 else issued, found)


def _listed(document: Any, path: str, pull: DriverPull) -> list[str | None]:
    """What a path leads to, as a list of texts. What goes through a list is taken of each of its elements."""
    found = document
    for step in path.split("."):
        found = _step(found, step)
    cells = found if isinstance(found, list) else [found]
    if all(cell is None for cell in cells):
        raise InputError(f"has no '{path}'", pull.name, "the service may answer otherwise than before: correct the path")
    if any(isinstance(cell, dict | list | bool) for cell in cells):
        raise InputError(f"'{path}' leads to no plain values", pull.name, "let the path lead to texts or numbers")
    return [None if cell is None else str(cell) for cell in cells]


def _step(found: Any, step: str) -> Any:
    if isinstance(found, list):
        if step.isdecimal():
            return found[int(step)] if int(step) < len(found) else None
        return [_step(one, step) for one in found]
    return found.get(step) if isinstance(found, dict) else None


def _of_csv(content: bytes, pull: DriverPull) -> _Columns:
    rows = list(_csv_rows(content, pull))
    headers = [cell.strip() for cell in rows[0]] if rows else []
    for wanted in (pull.date, *pull.values.values(), *([pull.issued_at] if pull.issued_at else [])):
        if wanted not in headers:
            raise InputError(f"has no column '{wanted}'", pull.name, f"it has {', '.join(headers)[:200]}")

    def column(header: str) -> list[str | None]:
        place = headers.index(header)
        return [row[place].strip() or None if place < len(row) else None for row in rows[1:] if row]

    return _Columns(column(pull.date), column(pull.issued_at) if pull.issued_at else [], {name: column(at) for name, at in pull.values.items()})


def _csv_rows(content: bytes, pull: DriverPull) -> Iterator[list[str]]:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise InputError("is neither UTF-8 nor GB18030", pull.name, "see whether the service answers with CSV")
    first = text.splitlines()[0] if text.strip() else ""
    try:
        yield from csv.reader(io.StringIO(text), delimiter=max(_DELIMITERS, key=first.count))
    except csv.Error:
        raise InputError("is no CSV", pull.name, "see whether the service answers with an error page, or set format") from None


def _moment(cell: str | None) -> str | None:
    """A date or moment; where it counts seconds since 1970, written out."""
    if cell is not None and len(cell) in _EPOCH_DIGITS and cell.isdecimal():
        return datetime.fromtimestamp(int(cell), UTC).isoformat()
    return cell


def _refuse_several(rows: pd.DataFrame, pull: DriverPull) -> None:
    """Raises InputError if an answer has several values of a driver for one day: hours are no days."""
    repeated = rows[rows.duplicated(["name", "day", "issued"], keep=False) & rows["day"].notna()]
    several = repeated.groupby(["name", "day", "issued"], dropna=False)["value"].nunique()
    if (several > 1).any():
        name = several[several > 1].index[0][0]
        raise InputError(f"has several values of '{name}' for one day", pull.name, "ask the service for values of whole days")
