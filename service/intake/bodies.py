"""Rows in the body of a request, as those of a table. A further form of body is a function that reads it, and its line in `READERS`."""

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.errors import InputError
from service.intake import files, json_stream
from service.intake.columns import KINDS, LONGEST, SHORT, find
from service.intake.files import Batch
from service.intake.json_stream import Row
from service.intake.mapping import Mapping
from service.intake.normalise import NOWHERE
from service.intake.privacy import CALLER_NAME, Privacy

ROWS = 10_000  # of a batch: some tens of milliseconds, between which other requests are answered
LETTERS = 8 << 20  # of a batch, where its rows are long
MOST_ROWS = 5_000_000  # of a Parquet body: a few kilobytes can hold any number of rows that say nothing
_BODY = "body"
_KINDS = {kind.name: kind for kind in KINDS}
_NEEDED = {"tickets": ("ticket_id", "created_at", "category"), "drivers": ("name", "date", "value")}
_NUMBERS = frozenset({"lat", "lon"})  # the value of a driver is looked at wherever it comes from
_UTF8 = frozenset({"", "utf-8", "utf8"})
_CHINESE = frozenset({"gb18030", "gbk", "gb2312"})


@dataclass(frozen=True)
class Form:
    """A form of body.

    Attributes:
        read: reads the rows of a kind of table (`tickets`, `drivers`) from a stream that can be read anew, as a Privacy allows.
        by_index: rows are told by their place (`lines` begins at 1), and not by their line.
        charsets: in which it may be said to be written.
    """

    read: Callable[[BinaryIO, str, Privacy], Iterator[Batch]]
    by_index: bool = False
    charsets: Collection[str] = _UTF8


def read_json(stream: BinaryIO, kind: str, privacy: Privacy) -> Iterator[Batch]:
    """One object, or an array of objects.

    Raises:
        InputError: the body is no JSON; names the line.
    """
    return from_objects(json_stream.elements(stream), kind, privacy)


def read_lines(stream: BinaryIO, kind: str, privacy: Privacy) -> Iterator[Batch]:
    """An object a line (NDJSON); blank lines are skipped.

    Raises:
        InputError: a line is no JSON; names it.
    """
    return from_objects(json_stream.lines(stream), kind, privacy)


def read_table(form: str, stream: BinaryIO, kind: str, privacy: Privacy) -> Iterator[Batch]:
    """A table with a header, read as a file of the same form (`CSV`, `Parquet`) is.

    Raises:
        InputError: the body is not readable as such, or a table of another kind.
    """
    how = Mapping()
    with files.readable(_BODY):
        head, layout = files.header(stream, form, _BODY, how, privacy)
        if layout.kind != kind:
            raise InputError(f"is a table of {layout.kind}, not of {kind}", _BODY, "see docs/files.md for the columns of each")
        if (head.total or 0) > MOST_ROWS:
            raise InputError(f"holds more than {MOST_ROWS:,} rows", _BODY, "send it in several requests")
        stream.seek(0)
        for batch in files.rows(stream, form, head, layout, _BODY, how):
            yield from _pieces(batch)


READERS = {
    "application/json": Form(read_json, by_index=True),
    "application/x-ndjson": Form(read_lines),
    "application/ndjson": Form(read_lines),
    "application/jsonl": Form(read_lines),
    "text/csv": Form(partial(read_table, "CSV"), charsets=_UTF8 | _CHINESE),  # which of them it is, its bytes tell
    "application/vnd.apache.parquet": Form(partial(read_table, "Parquet")),
    "application/x-parquet": Form(partial(read_table, "Parquet")),
}


def _pieces(batch: Batch) -> Iterator[Batch]:
    for start in range(0, max(len(batch.lines), 1), ROWS):
        columns = {name: column.slice(start, ROWS) for name, column in batch.columns.items()}
        first = start == 0
        yield Batch(batch.lines[start : start + ROWS], columns, batch.broken if first else [], batch.left_out if first else 0)


def from_objects(rows: Iterator[Row], kind: str, privacy: Privacy) -> Iterator[Batch]:
    """Objects, each with its line, as rows of a kind of table; what is none is broken."""
    lines: list[int] = []
    objects: list[dict[str, Any]] = []
    broken: list[tuple[int, str]] = []
    letters = 0
    for line, value, length in rows:
        if isinstance(value, dict):
            lines.append(line)
            objects.append(value)
        else:
            broken.append((line, "is no object"))
        letters += length
        if len(lines) + len(broken) >= ROWS or letters >= LETTERS:
            yield _batch(lines, objects, broken, kind, privacy)
            lines, objects, broken, letters = [], [], [], 0
    if lines or broken:
        yield _batch(lines, objects, broken, kind, privacy)


def _batch(lines: list[int], objects: list[dict[str, Any]], broken: list[tuple[int, str]], kind: str, privacy: Privacy) -> Batch:
    headers = list(dict.fromkeys(name for one in objects for name in one))
    found = find(headers)
    known = {ours for group in _KINDS[kind].needs for ours in group} | set(_KINDS[kind].may)
    values = {ours: [one.get(headers[place]) for one in objects] for ours, place in found.items() if ours in known}
    if CALLER_NAME in values:  # whatever it is, it is no reason to reject a ticket
        values[CALLER_NAME] = [cell if isinstance(cell, str) and not _fault("", cell) else None for cell in values[CALLER_NAME]]
    for ours in _NEEDED[kind]:
        if ours not in values and not (ours == "category" and "path_1" in values):
            values[ours] = [None] * len(objects)
    wrong = np.zeros(len(lines), bool)
    columns: dict[str, Any] = {}
    for ours, cells in values.items():
        column, reasons = _column(ours, cells)
        if ours not in privacy.unread:  # what is not kept is refused all the same, if it is none: a body is right or wrong wherever it is sent
            columns[ours] = column
        for place, reason in reasons:
            if not wrong[place]:
                broken.append((lines[place], reason))
            wrong[place] = True
    keep = pa.array(~wrong)
    return Batch(np.array(lines, np.int64)[~wrong], {ours: column.filter(keep) for ours, column in columns.items()}, sorted(broken))


def _column(ours: str, cells: list[Any]) -> tuple[Any, list[tuple[int, str]]]:
    """Cells as an Arrow array of strings, and what is wrong with which of them: place and reason."""
    try:
        column = pa.array(cells, pa.string())
        longest = pc.max(pc.utf8_length(column)).as_py() or 0
        plain = not (ours in SHORT and longest > LONGEST) and not pc.any(pc.match_substring(column, "\0")).as_py()
        if plain and (ours not in _NUMBERS or pc.all(pc.is_finite(column.cast(pa.float64()))).as_py() is not False):
            return column, []
    except (pa.ArrowTypeError, pa.ArrowInvalid, UnicodeEncodeError):  # a list, true, half a character, no number: found below
        pass
    wrong = [(place, reason) for place, cell in enumerate(cells) if (reason := _fault(ours, cell))]
    bad = {place for place, _ in wrong}
    return pa.array([None if place in bad else cell for place, cell in enumerate(cells)], pa.string()), wrong


def _fault(ours: str, cell: Any) -> str:
    if cell is None:
        return ""
    if not isinstance(cell, str):
        return f"{ours} is neither text nor number"
    if "\0" in cell or (not cell.isascii() and any("\ud800" <= letter <= "\udfff" for letter in cell)):
        return f"{ours} holds what is no character"
    if ours in _NUMBERS and not NOWHERE.fullmatch(cell.strip()) and not _is_finite(cell):
        return f"{ours} is no number"
    return f"{ours} is longer than {LONGEST} characters" if ours in SHORT and len(cell) > LONGEST else ""


def _is_finite(text: str) -> bool:
    try:
        return not text.strip() or math.isfinite(float(text))
    except ValueError:
        return False
