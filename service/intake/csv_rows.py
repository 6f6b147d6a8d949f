"""CSV, read by Arrow in blocks."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from forecasting.errors import InputError
from service.intake import encoding
from service.intake.parts import ROWS_ABOVE, Head, Part, Score

DELIMITERS = (",", ";", "\t", "|")
CSV_BLOCK = 1 << 20  # bytes of a part, and the most that one row may have; Arrow reads some thirty of them ahead, whoever is waited for
_HEAD = 1 << 16  # bytes in which the header is looked for
# A row of our own behind the last one: if it does not come out whole, a quotation mark before it was never closed.
_END = "\x1eend of file\x1e"


def head(stream: BinaryIO, where: str, score: Score) -> Head:
    """Finds the header: the one of the first rows with the most known names; of several, the first.

    Raises:
        InputError: the file is empty, binary or no text in a known encoding.
    """
    found = encoding.detect(stream, where)
    stream.seek(0)
    text = next(encoding.utf8_blocks(stream, found, where)).decode("utf-8")[:_HEAD]
    if not text.strip():
        raise InputError("is empty", where)
    candidates = [(delimiter, line, headers) for delimiter in DELIMITERS for line, headers in _first_rows(text, delimiter)]
    if not candidates:
        raise InputError("cannot be read as CSV", where, "save it as CSV with commas, in UTF-8 or GB18030")
    delimiter, line, headers = max(candidates, key=lambda candidate: score(candidate[2]))
    if encoding.NO_TEXT in "".join(headers):
        raise InputError(f"holds binary data or another encoding in line {line}", where, "save it as CSV in UTF-8 or GB18030")
    return Head(tuple(headers), line, None, found.name, found.clean, delimiter)


def rows(stream: BinaryIO, head: Head, places: Sequence[int], where: str) -> Iterator[Part]:
    """The rows, as strings.

    A row of another width than the header's, or in which one of the columns holds bytes that are no text, is broken.

    Raises:
        InputError: a row has no end.
    """
    names = [f"c{place}" for place in range(len(head.headers))]  # theirs may be blank or repeated
    broken: list[tuple[int, str]] = []
    unclosed: list[int] = []

    def refuse(row: Any) -> str:
        over = f" over {row.text.count(chr(10)) + 1} lines: a quotation mark may be missing" if "\n" in row.text.strip() else ""
        if _END in row.text:
            unclosed.append(row.number)
        broken.append((row.number, f"has {row.actual_columns} cells instead of {row.expected_columns}{over}"))
        return "skip"

    found = encoding.Encoding(head.encoding, head.clean)
    last_row = head.delimiter.join([_END] * len(names)) + "\n"
    reader = pa.csv.open_csv(
        pa.PythonFile(_Blocks(encoding.utf8_blocks(stream, found, where), last_row.encode()), "r"),
        pa.csv.ReadOptions(use_threads=False, block_size=CSV_BLOCK, skip_rows=head.line, column_names=names),
        pa.csv.ParseOptions(delimiter=head.delimiter, newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=refuse),
        pa.csv.ConvertOptions(
            include_columns=[names[place] for place in places],
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )
    line, ended = head.line + 1, False
    while (block := _next(reader, line, where)) is not None:
        # Lines that were refused stand between those that were read; the reader may be a block ahead of us.
        lines = np.setdiff1d(np.arange(line, line + block.num_rows + len(broken)), [number for number, _ in broken])[: block.num_rows]
        last = int(lines[-1]) if len(lines) else line - 1
        done = [entry for entry in broken if entry[0] <= last]
        broken[:] = broken[len(done) :]
        line = last + 1
        if len(lines) and all(block.column(at)[-1].as_py() == _END for at in range(len(places))):
            lines, block, ended = lines[:-1], block.slice(0, block.num_rows - 1), True
        columns = {place: block.column(at) for at, place in enumerate(places)}
        yield _without_damage(Part(lines, columns, done), head) if not head.clean else Part(lines, columns, done)
    if not ended:
        at = unclosed[0] if unclosed else line - 1
        raise InputError(f"a quotation mark in line {at} or before it is not closed", where, "export the file again")


def _next(reader: Any, line: int, where: str) -> Any:
    try:
        return reader.read_next_batch()
    except StopIteration:
        return None
    except pa.ArrowInvalid:  # its message would show the row
        what = f"a row after line {line - 1} is longer than {CSV_BLOCK >> 20} MB, or a quotation mark is not closed"
        raise InputError(what, where, "export the file again") from None


def _without_damage(part: Part, head: Head) -> Part:
    damaged = np.zeros(len(part.lines), bool)
    for column in part.columns.values():
        damaged |= pc.match_substring(column, encoding.NO_TEXT).to_numpy(zero_copy_only=False).astype(bool)
    if not damaged.any():
        return part
    reason = f"a cell is no text in {head.encoding} as the rest of the file is"
    keep = pa.array(~damaged)
    broken = sorted([*part.broken, *((int(line), reason) for line in part.lines[damaged])])
    return Part(part.lines[~damaged], {place: column.filter(keep) for place, column in part.columns.items()}, broken)


def _first_rows(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """The first rows, each with the number of lines up to its end."""
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    rows: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            rows.append((reader.line_num, row))
            if len(rows) > ROWS_ABOVE:
                break
    except csv.Error:  # a cell without an end
        pass
    return rows


class _Blocks(io.RawIOBase):
    """Blocks of bytes, and one more at their end, as a file that Arrow can read."""

    def __init__(self, blocks: Iterator[bytes], end: bytes) -> None:
        self._blocks, self._end, self._left, self._last = blocks, end, memoryview(b""), b"\n"

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        while not self._left:
            block = next(self._blocks, None)
            if block is not None:
                self._last = block[-1:] or self._last
            elif self._end:
                block, self._end = (b"" if self._last in (b"\n", b"\r") else b"\n") + self._end, b""
            else:
                return b""
            self._left = memoryview(block)
        piece, self._left = (self._left, memoryview(b"")) if size < 0 else (self._left[:size], self._left[size:])
        return bytes(piece)
