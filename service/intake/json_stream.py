"""JSON as it streams in: the elements of one array, or a value a line, of which no more than a block and one value are held.

Numbers stay as they are written: an id of twenty digits must not lose any.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from forecasting.errors import InputError

LONGEST_VALUE = 8 << 20  # bytes; a longer one is no row of a table
_BLOCK = 1 << 20  # bytes read at once
_BOM = codecs.BOM_UTF8
_SPACE = re.compile(r"[ \t\n\r]*")

Row = tuple[int, Any, int]  # line, value, and how many letters it has


class _NoJson(ValueError):
    """Text that is no JSON, from a place on."""

    def __init__(self, what: str, at: int) -> None:
        self.what, self.at = what, at


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse)


def elements(stream: BinaryIO) -> Iterator[Row]:
    """The one value of a text, or the elements of its array with their number from 1, each read when it is its turn.

    Raises:
        InputError: it is no JSON or no UTF-8; names the line.
    """
    text = _Text(stream)
    try:
        if text.sign() != "[":
            yield 1, *text.value()
        else:
            text.at += 1
            number = 0
            while number or text.sign() != "]":
                text.sign()
                number += 1
                yield number, *text.value()
                sign = text.sign()
                if sign == "]":
                    break
                if sign != ",":
                    raise _NoJson("expecting ',' or ']'", text.at)
                text.at += 1
            text.at += 1
        if text.sign():
            raise _NoJson("nothing may follow the end", text.at)
    except _NoJson as error:
        line, column = text.place(error.at)
        raise _bad_line(line, f"is no JSON (column {column}: {error.what})") from None


def lines(stream: BinaryIO) -> Iterator[Row]:
    """The values of lines with their number, blank ones left out.

    Raises:
        InputError: a line is no JSON or no UTF-8; names it.
    """
    number = 0
    while raw := stream.readline(LONGEST_VALUE + 1):
        number += 1
        if len(raw) > LONGEST_VALUE:
            raise _bad_line(number, f"is longer than {LONGEST_VALUE >> 20} MB")
        try:
            text = (raw.removeprefix(_BOM) if number == 1 else raw).decode().strip(" \t\r\n")
            if not text:
                continue
            value, end = _decode(text, 0)
            if end < len(text):
                raise _NoJson("one object a line", end)
        except UnicodeDecodeError:
            raise _bad_line(number, "is no UTF-8") from None
        except _NoJson as error:
            raise _bad_line(number, f"is no JSON (column {error.at + 1}: {error.what})") from None
        yield number, value, end


class _Text:
    """The part of a text that is being read.

    Attributes:
        at: the place in `text` up to which it is read.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.text, self.at = "", 0
        self._stream, self._decoder = stream, codecs.getincrementaldecoder("utf-8-sig")()
        self._line, self._column = 1, 1  # of the first letter of `text`

    def sign(self) -> str:
        """The next letter that is no blank; empty at the end."""
        while True:
            found = _SPACE.match(self.text, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.text) or not self._more():
                return self.text[self.at : self.at + 1]

    def value(self) -> tuple[Any, int]:
        """The value that begins here, and how many letters it has."""
        while True:
            try:
                value, end = _decode(self.text, self.at)
            except _NoJson:  # unless it goes on in the next block
                if len(self.text) - self.at > LONGEST_VALUE:
                    raise _NoJson(f"no value that is shorter than {LONGEST_VALUE >> 20} MB", self.at) from None
                if not self._more():
                    raise
                continue
            if end == len(self.text) and self._more():  # a number may go on
                continue
            letters, self.at = end - self.at, end
            return value, letters

    def place(self, at: int) -> tuple[int, int]:
        """Line and column, from 1, of a place in `text`."""
        before = self.text[:at]
        newlines = before.count("\n")
        return self._line + newlines, len(before) - before.rfind("\n") if newlines else self._column + at

    def _more(self) -> bool:
        """Reads a block, and drops what was read before; False at the end."""
        block = self._stream.read(_BLOCK)
        try:
            further = self._decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            line = self.place(len(self.text))[0] + error.object.count(b"\n", 0, error.start)
            raise _bad_line(line, "is no UTF-8") from None
        if not block:
            return False
        self._line, self._column = self.place(self.at)
        self.text, self.at = self.text[self.at :] + further, 0
        return True


def _decode(text: str, at: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise _NoJson(error.msg, error.pos) from None
    except RecursionError:
        raise _NoJson("nested too deeply", at) from None
    except ValueError as error:
        raise _NoJson(str(error), at) from None


def _bad_line(line: int, what: str) -> InputError:
    return InputError(f"line {line} {what}", "body", "correct it and send the whole body again; nothing of it was taken")
