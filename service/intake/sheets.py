"""Workbooks of Excel: the sheet with the header, its cells as strings."""

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetTypeEnum

from forecasting.errors import InputError
from service.intake.parts import ROWS_ABOVE, Head, Part, Score

SHEET_ROWS = 50_000  # of a part
_OLD = b"\xd0\xcf\x11\xe0"  # how a file of Excel 97 begins, and one that a password protects


def head(stream: BinaryIO, where: str, score: Score, chosen: str = "") -> Head:
    """Finds the header: among the first rows of all sheets, the row with the most known names; of several, the first.

    Args:
        chosen: name of the sheet; empty: look at all.
    Raises:
        InputError: the file is no workbook, is protected, has no such sheet, or two sheets hold a table of the same kind.
    """
    book = _open(stream, where)
    if chosen and chosen not in book.sheet_names:
        raise InputError(f"has no sheet '{chosen}'", where, f"it has {', '.join(book.sheet_names)}")
    best: list[tuple[int, str, int, tuple[str, ...]]] = []
    for name in [chosen] if chosen else [sheet.name for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]:
        top = _first_rows(book, name, where)
        if top:
            line, headers = max(top, key=lambda row: score(row[1]))
            best.append((score(headers), name, line, headers))
    if not best:
        raise InputError("is empty", where)
    known, name, line, headers = max(best, key=lambda sheet: sheet[0])
    others = [sheet[1] for sheet in best if sheet[1] != name and sheet[0] == known > 0]
    if others:
        both = "', '".join((name, *others))
        raise InputError(f"sheets '{both}' hold the same kind of table", where, "save each as a file of its own, or name one as sheet in a mapping")
    return Head(headers, line, None, sheet=name)


def rows(stream: BinaryIO, head: Head, places: Sequence[int], where: str) -> Iterator[Part]:
    """The rows below the header.

    Raises:
        InputError: the sheet cannot be read.
    """
    book = _open(stream, where)
    try:
        below = islice(_all_rows(book, head.sheet), head.line, None)
        line = head.line + 1
        while part := list(islice(below, SHEET_ROWS)):
            columns = {place: pa.array([_cell(row[place]) if place < len(row) else None for row in part], pa.string()) for place in places}
            yield Part(np.arange(line, line + len(part)), columns, [])
            line += len(part)
    except CalamineError:
        raise InputError(f"sheet '{head.sheet}' cannot be read", where, "save the workbook again") from None


def _open(stream: BinaryIO, where: str) -> CalamineWorkbook:
    start = stream.read(len(_OLD))
    stream.seek(0)
    try:
        return CalamineWorkbook.from_object(stream)
    except PasswordError:
        raise InputError("is protected by a password", where, "save it without one") from None
    except CalamineError:
        if start == _OLD:
            raise InputError("is protected by a password or was saved by an old Excel", where, "save it as .xlsx without a password") from None
        raise InputError("cannot be read as a workbook", where, "save it again as .xlsx") from None


def _all_rows(book: CalamineWorkbook, name: str) -> Iterator[list[Any]]:
    """Every row from the first line of the sheet on, empty ones included, one at a time: a sheet of a million rows is not held in Python."""
    yield from book.get_sheet_by_name(name).iter_rows()


def _first_rows(book: CalamineWorkbook, name: str, where: str) -> list[tuple[int, tuple[str, ...]]]:
    """The first rows that are not empty, each with its line."""
    try:
        rows = islice(_all_rows(book, name), 200)
        named = [(line, tuple(_cell(cell) or "" for cell in row)) for line, row in enumerate(rows, start=1)]
    except CalamineError:
        raise InputError(f"sheet '{name}' cannot be read", where, "save the workbook again") from None
    return [(line, headers) for line, headers in named if any(headers)][: ROWS_ABOVE + 1]


def _cell(value: Any) -> str | None:
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # Excel keeps fifteen digits: what is longer is no longer what was written, and is shown as such.
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value) if abs(value) < 1e15 else f"{value:.14E}"
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return None if value is None else str(value)
