"""Tickets in the body of a request, as rows of a table. A further form of body is a function of bytes and its line in `READERS`."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.errors import InputError
from service.intake.columns import KINDS, LONGEST, SHORT, find
from service.intake.files import Batch
from service.intake.privacy import CALLER_NAME

ROWS = 10_000  # of a batch: some tens of milliseconds, between which other requests are answered
_NEEDED = ("ticket_id", "created_at", "category")
_TICKETS = next(kind for kind in KINDS if kind.name == "tickets")
_SPACE = re.compile(r"[ \t\n\r]*")

Row = tuple[int, Any]  # line, value


@dataclass(frozen=True)
class Form:
    """A form of body: how it is read, and whether its rows are told by their place (`lines` begins at 1) or by their line."""

    read: Callable[[bytes], Iterator[Batch]]
    by_index: bool


def read_json(body: bytes) -> Iterator[Batch]:
    """One ticket, or an array of tickets.

    Raises:
        InputError: the body is no JSON; names the line.
    """
    return _batches(_elements(_text(body)))


def read_lines(body: bytes) -> Iterator[Batch]:
    """A ticket a line (NDJSON); blank lines are skipped.

    Raises:
        InputError: a line is no JSON; names it.
    """
    return _batches(_lines(body))


READERS = {
    "application/json": Form(read_json, by_index=True),
    "application/x-ndjson": Form(read_lines, by_index=False),
    "application/ndjson": Form(read_lines, by_index=False),
    "application/jsonl": Form(read_lines, by_index=False),
}


class _NoJson(ValueError):
    """Text that is no JSON, from a place on."""

    def __init__(self, what: str, at: int) -> None:
        self.what, self.at = what, at


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


# Numbers stay as they are written: an id of twenty digits must not lose any.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse)


def _bad_line(line: int, what: str) -> InputError:
    return InputError(f"line {line} {what}", "body", "correct it and send the whole body again; nothing of it was taken")


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad_line(body.count(b"\n", 0, error.start) + 1, "is no UTF-8") from None


def _elements(text: str) -> Iterator[Row]:
    """The one object of a text, or the elements of its array with their number, each read when it is its turn."""
    try:
        at = _skip(text, 0)
        if text[at : at + 1] == "[":
            at = _skip(text, at + 1)
            number = 0
            while number or text[at : at + 1] != "]":
                value, at = _decode(text, at)
                number += 1
                yield number, value
                at = _skip(text, at)
                if text[at : at + 1] == "]":
                    break
                if text[at : at + 1] != ",":
                    raise _NoJson("expecting ',' or ']'", at)
                at = _skip(text, at + 1)
            at += 1
        else:
            value, at = _decode(text, at)
            yield 1, value
        if _skip(text, at) < len(text):
            raise _NoJson("nothing may follow the end", _skip(text, at))
    except _NoJson as error:
        line, column = text.count("\n", 0, error.at) + 1, error.at - text.rfind("\n", 0, error.at)
        raise _bad_line(line, f"is no JSON (column {column}: {error.what})") from None


def _lines(body: bytes) -> Iterator[Row]:
    """The lines of a body with their number, blank ones left out."""
    for number, raw in enumerate(BytesIO(body.removeprefix(b"\xef\xbb\xbf")), 1):
        try:
            text = raw.decode().strip(" \t\r\n")
            if not text:
                continue
            value, end = _decode(text, 0)
            if end < len(text):
                raise _NoJson("one ticket a line", end)
        except UnicodeDecodeError:
            raise _bad_line(number, "is no UTF-8") from None
        except _NoJson as error:
            raise _bad_line(number, f"is no JSON (column {error.at + 1}: {error.what})") from None
        yield number, value


def _decode(text: str, at: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise _NoJson(error.msg, error.pos) from None
    except RecursionError:
        raise _NoJson("nested too deeply", at) from None
    except ValueError as error:
        raise _NoJson(str(error), at) from None


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _batches(rows: Iterator[Row]) -> Iterator[Batch]:
    lines: list[int] = []
    tickets: list[dict[str, Any]] = []
    broken: list[tuple[int, str]] = []
    for line, value in rows:
        if isinstance(value, dict):
            lines.append(line)
            tickets.append(value)
        else:
            broken.append((line, "is no object"))
        if len(lines) + len(broken) >= ROWS:
            yield _batch(lines, tickets, broken)
            lines, tickets, broken = [], [], []
    if lines or broken:
        yield _batch(lines, tickets, broken)


def _batch(lines: list[int], tickets: list[dict[str, Any]], broken: list[tuple[int, str]]) -> Batch:
    headers = list(dict.fromkeys(name for ticket in tickets for name in ticket))
    found = find(headers)
    known = {ours for group in _TICKETS.needs for ours in group} | set(_TICKETS.may)
    values = {ours: [ticket.get(headers[place]) for ticket in tickets] for ours, place in found.items() if ours in known}
    if CALLER_NAME in values:  # whatever it is, it is no reason to reject a ticket
        values[CALLER_NAME] = [cell if isinstance(cell, str) and not _fault("", cell) else None for cell in values[CALLER_NAME]]
    for ours in _NEEDED:
        if ours not in values and not (ours == "category" and "path_1" in values):
            values[ours] = [None] * len(tickets)
    wrong = np.zeros(len(lines), bool)
    columns: dict[str, Any] = {}
    for ours, cells in values.items():
        columns[ours], reasons = _column(ours, cells)
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
        if not (ours in SHORT and longest > LONGEST) and not pc.any(pc.match_substring(column, "\0")).as_py():
            return column, []
    except (pa.ArrowTypeError, pa.ArrowInvalid, UnicodeEncodeError):  # a list, true, half a character: found below
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
    return f"{ours} is longer than {LONGEST} characters" if ours in SHORT and len(cell) > LONGEST else ""
