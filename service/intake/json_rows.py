"""JSON: an object a line (NDJSON), or one list of objects. Nested objects are columns like `attributes.zone`."""

import codecs
import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from forecasting.errors import InputError
from service.intake import encoding
from service.intake.parts import Head, Part

JSON_ROWS = 50_000  # of a part
_START = 1 << 12  # bytes in which the first sign stands
_BLOCK = 1 << 20  # bytes of a list that are read at once
_GAPS = " \t\r\n,"  # between the elements of a list
_NO_OBJECT = "is no JSON object"
_Row = dict[str, Any] | None  # None: a line that is none


def head(stream: BinaryIO, where: str) -> Head:
    """Reads all names that occur, which takes the whole file: an object leaves out what it does not have.

    Raises:
        InputError: the file is empty, no text, holds no object, or is a list that breaks off.
    """
    is_list = stream.read(_START).removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"["
    stream.seek(0)
    found = encoding.Encoding("utf-8", True) if is_list else encoding.detect(stream, where)
    head = Head((), encoding=found.name, clean=found.clean, is_list=is_list)
    stream.seek(0)
    names: dict[str, None] = {}
    total = 0
    for _, row in _objects(stream, head, where):
        total += 1
        names.update(dict.fromkeys(row or ()))
    if not names:
        raise InputError("is empty" if total == 0 else "holds no JSON object", where, "write one object a line")
    return Head(tuple(names), total=total, encoding=found.name, clean=found.clean, is_list=is_list)


def rows(stream: BinaryIO, head: Head, places: Sequence[int], where: str) -> Iterator[Part]:
    """The objects' values as strings; a line that is no object, or that has no plain value in one of the columns, is broken.

    Raises:
        InputError: a list breaks off.
    """
    names = {place: head.headers[place] for place in places}
    lines: list[int] = []
    taken: list[dict[str, Any]] = []
    broken: list[tuple[int, str]] = []
    for line, row in _objects(stream, head, where):
        reason = _NO_OBJECT if row is None else _odd(row, names)
        if row is None or reason:
            broken.append((line, reason))
        else:
            lines.append(line)
            taken.append(row)
        if len(lines) + len(broken) == JSON_ROWS:
            yield _part(lines, taken, broken, names)
            lines, taken, broken = [], [], []
    if lines or broken:
        yield _part(lines, taken, broken, names)


def _part(lines: list[int], taken: list[dict[str, Any]], broken: list[tuple[int, str]], names: dict[int, str]) -> Part:
    columns = {place: pa.array([_text(row.get(name)) for row in taken], pa.string()) for place, name in names.items()}
    return Part(np.array(lines, np.int64), columns, broken)


def _odd(row: dict[str, Any], names: dict[int, str]) -> str:
    for name in names.values():
        value = row.get(name)
        if isinstance(value, list):
            return "a value is a list"
        if isinstance(value, str) and encoding.NO_TEXT in value:
            return "a value is no text in the encoding of the file"
    return ""


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value != value:  # NaN
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)


def _objects(stream: BinaryIO, head: Head, where: str) -> Iterator[tuple[int, _Row]]:
    """Every object with its line (in a list: its place, from 1)."""
    if head.is_list:
        yield from enumerate(_elements(stream, where), start=1)
        return
    line = 0
    for block in encoding.utf8_blocks(stream, encoding.Encoding(head.encoding, head.clean), where):
        for text in block.removesuffix(b"\n").split(b"\n"):
            line += 1
            if text.strip():
                yield line, flat(_parsed(text))


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _elements(stream: BinaryIO, where: str) -> Iterator[_Row]:
    """The elements of one list, of which no more than a block is held."""
    decoder, text, begun = codecs.getincrementaldecoder("utf-8-sig")(), "", False
    parse = json.JSONDecoder().raw_decode
    while block := stream.read(_BLOCK):
        try:
            text, at = text + decoder.decode(block), 0
        except UnicodeDecodeError:
            raise InputError("is a list that is not written in UTF-8", where, "save it in UTF-8") from None
        while True:
            at = _skip(text, at, _GAPS if begun else _GAPS[:-1] + "[")
            begun = begun or at > 0
            if text[at : at + 1] == "]":
                if text[at + 1 :].strip() or stream.read(_BLOCK).strip():
                    raise InputError("goes on behind the end of its list", where, "write one list, or one object a line")
                return
            try:
                value, at = parse(text, at)
            except (ValueError, RecursionError):
                break
            yield flat(value)
        text = text[at:]
        if len(text) > encoding.LONGEST_LINE:
            break
    raise InputError("is a list that breaks off or is damaged", where, "export it again, or write one object a line")


def _skip(text: str, at: int, signs: str) -> int:
    while at < len(text) and text[at] in signs:
        at += 1
    return at


def flat(value: Any, prefix: str = "") -> _Row:
    """An object whose members are no objects: those of an inner one are named `outer.inner`; None if it is no object."""
    if not isinstance(value, dict):
        return None
    found: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, dict):
            found |= flat(inner, f"{prefix}{name}.") or {}
        else:
            found[f"{prefix}{name}"] = inner
    return found
