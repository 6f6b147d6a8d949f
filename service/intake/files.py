"""Files: CSV, workbooks, Parquet and JSON, also gzipped, read in bounded batches; only the columns that are wanted."""

import gzip
import hashlib
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from forecasting.errors import InputError
from service.intake import csv_rows, json_rows, sheets
from service.intake.columns import Layout, find, plain, recognise
from service.intake.mapping import Mapping
from service.intake.parts import Head, Part
from service.intake.privacy import Privacy

FORMATS = {".csv": "CSV", ".xlsx": "XLSX", ".parquet": "Parquet", ".ndjson": "JSON", ".jsonl": "JSON", ".json": "JSON"}  # by ending
ZIPPED = ".gz"
PARQUET_ROWS = 65_536  # of a batch
_PARQUET_READ = 1 << 18  # bytes of a column that are read at a time
MOST_PARQUET = 256 << 20  # bytes of one column's texts in a batch, four thousand a cell: a kilobyte can hold one long text for every row
_BEGINNINGS = {b"PAR1": "Parquet", b"PK\x03\x04": "XLSX", b"\xd0\xcf\x11\xe0": "XLSX"}
_GZIP = b"\x1f\x8b"
_ANYWHERE = ("XLSX", "Parquet")  # formats that are not read from the beginning to the end


@dataclass(frozen=True)
class TableFile:
    """A file whose header has been read.

    Attributes:
        path, sha256: the file and the fingerprint of its bytes.
        layout: which table it is, and where its columns are.
        total: number of rows, if the file says so.
        headers: its column names.
        format, head: how it is written.
        mapping: how it is read.
    """

    path: Path
    sha256: str
    layout: Layout
    total: int | None
    headers: tuple[str, ...]
    format: str = ""
    head: Head = field(default_factory=lambda: Head(()))
    mapping: Mapping = field(default_factory=Mapping)


@dataclass(frozen=True)
class Batch:
    """Some rows of a file.

    Attributes:
        lines: the number of each row as a spreadsheet shows it: the first row of a CSV file or a sheet is line 1. Of Parquet and of a JSON list
            the first row is line 1, of NDJSON it is the line of the text.
        columns: an Arrow array by our name of the column.
        broken: line and reason of the rows that are no rows of the table.
        left_out: number of rows that the filter of a mapping left out.
    """

    lines: np.ndarray
    columns: dict[str, Any]
    broken: list[tuple[int, str]]
    left_out: int = 0


def open_table(path: Path, mapping: Mapping | None = None, privacy: Privacy | None = None) -> TableFile:
    """Reads a file's header.

    Raises:
        InputError: the file is missing, of no known format, not readable as such, or has columns of no known table.
    """
    mapping, privacy = mapping or Mapping(), privacy or Privacy()
    where = str(path)
    if not path.is_file():
        raise InputError("there is no such file", where)

    with readable(where):
        form = _format(path)
        with _opened(path, form) as stream:
            head, layout = header(stream, form, where, mapping, privacy)
        sha256 = _sha256(path)
    for name in (*mapping.only, *mapping.leave_out):
        _place(head.headers, name, where)
    return TableFile(path, sha256, layout, head.total, head.headers, form, head, mapping)


def header(stream: BinaryIO, form: str, where: str, mapping: Mapping, privacy: Privacy) -> tuple[Head, Layout]:
    """Reads the header of a table from its beginning: how its rows are written, and which column is which.

    Args:
        form: one of `FORMATS`.
    Raises:
        InputError: it is not readable as such, or has columns of no known table.
    """

    def score(headers: Sequence[str]) -> int:
        return len(find(headers, mapping.columns))

    if form == "CSV":
        head = csv_rows.head(stream, where, score)
    elif form == "XLSX":
        head = sheets.head(stream, where, score, mapping.sheet)
    elif form == "JSON":
        head = json_rows.head(stream, where)
    else:
        head = _parquet_head(stream, where)
    layout = recognise(head.headers, where, mapping.columns, mapping.constants, privacy.unread)
    if form == "Parquet":
        _check_types(stream, layout, where)
    return head, layout


def batches(file: TableFile) -> Iterator[Batch]:
    """The rows of a file, batch by batch, without those that are blank.

    Raises:
        InputError: the file breaks off or is damaged.
    """
    where = str(file.path)
    with readable(where), _opened(file.path, file.format) as stream:
        yield from rows(stream, file.format, file.head, file.layout, where, file.mapping)


def rows(stream: BinaryIO, form: str, head: Head, layout: Layout, where: str, mapping: Mapping) -> Iterator[Batch]:
    """The rows below a header that `header` has read, from the beginning of the same bytes.

    Raises:
        InputError: they break off or are damaged.
    """
    filters = [
        (_place(head.headers, name, where), values, keep)
        for table, keep in ((mapping.only, True), (mapping.leave_out, False))
        for name, values in table.items()
    ]
    places = sorted({*layout.positions.values(), *(place for place, _, _ in filters)})
    if form == "Parquet":
        parts = _parquet_rows(stream, head.headers, places, where)
    else:
        parts = {"CSV": csv_rows.rows, "XLSX": sheets.rows, "JSON": json_rows.rows}[form](stream, head, places, where)
    for part in parts:
        yield _batch(part if form == "Parquet" else _without_blanks(part), filters, layout)


def _batch(part: Part, filters: list[tuple[int, tuple[str, ...], bool]], layout: Layout) -> Batch:
    keep = np.ones(len(part.lines), bool)
    for place, values, wanted in filters:
        among = pc.is_in(_trimmed(part.columns[place]), pa.array(values, pa.string())).to_numpy(zero_copy_only=False)
        keep &= among.astype(bool) == wanted
    left_out = int((~keep).sum())
    if left_out:
        part = _taken(part, keep)
    columns = {ours: part.columns[place] for ours, place in layout.positions.items()}
    columns |= {ours: pa.repeat(value, len(part.lines)) for ours, value in layout.constants.items()}
    return Batch(part.lines, columns, part.broken, left_out)


def _without_blanks(part: Part) -> Part:
    """Without the rows in which nothing stands: spreadsheets write them below a table."""
    blank = np.ones(len(part.lines), bool)
    for column in part.columns.values():
        if not blank.any():
            return part
        blank &= pc.equal(pc.fill_null(_trimmed(column), ""), "").to_numpy(zero_copy_only=False).astype(bool)
    return _taken(part, ~blank) if blank.any() else part


def _taken(part: Part, keep: np.ndarray) -> Part:
    return Part(part.lines[keep], {place: column.filter(pa.array(keep)) for place, column in part.columns.items()}, part.broken)


def _trimmed(column: Any) -> Any:
    return pc.utf8_trim_whitespace(column.cast(pa.string()))


def _place(headers: Sequence[str], header: str, where: str) -> int:
    names = [plain(name) for name in headers]
    if plain(header) not in names:
        raise InputError(f"no column '{header}', by which the mapping chooses rows", where)
    return names.index(plain(header))


def _format(path: Path) -> str:
    """The format that the file's ending names, if its first bytes do not contradict."""
    endings = [ending.lower() for ending in path.suffixes]
    zipped = endings[-1:] == [ZIPPED]
    ending = (endings[:-1] if zipped else endings)[-1:]
    form = FORMATS.get(ending[0]) if ending else None
    known = ", ".join(FORMATS)
    if form is None:
        given = "".join(path.suffixes[-2:] if zipped else path.suffixes[-1:])
        raise InputError(f"its ending '{given}' is none of {known}", str(path), f"save it as one of them, with or without {ZIPPED}")
    with path.open("rb") as raw:
        start = raw.read(4)
    if start.startswith(_GZIP) != zipped and start:
        what, mend = ("is gzipped", f"rename it to {path.name}{ZIPPED}") if not zipped else ("is not gzipped", f"rename it to {path.stem}")
        raise InputError(what, str(path), mend)
    if zipped:
        with gzip.open(path, "rb") as unzipped:
            start = unzipped.read(4)
    if not start:
        raise InputError("is empty", str(path))
    found = _BEGINNINGS.get(start, "a text file")
    if found != (form if form in _BEGINNINGS.values() else "a text file"):
        if form == "Parquet" and found == "a text file":
            raise InputError("cannot be read as Parquet", str(path), "export it again, or give it the ending of what it is")
        if form == "XLSX" and found == "a text file":
            raise InputError("cannot be read as a workbook", str(path), "save it again as .xlsx, or give it the ending of what it is")
        raise InputError(f"is {found} although its name ends with {ending[0]}", str(path), "give it the ending of what it is")
    if form == "CSV" and start.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] in (b"{", b"["):
        raise InputError("is JSON although its name ends with .csv", str(path), "give it the ending .ndjson")
    return form


@contextmanager
def _opened(path: Path, form: str) -> Iterator[BinaryIO]:
    """The file's bytes. What is gzipped and not read in order is unpacked into a nameless file that goes with the process."""
    if path.suffix.lower() != ZIPPED:
        with pa.OSFile(str(path)) if form == "Parquet" else path.open("rb") as stream:
            yield cast(BinaryIO, stream)
    elif form not in _ANYWHERE:
        with gzip.open(path, "rb") as zipped:
            yield cast(BinaryIO, zipped)
    else:
        with tempfile.TemporaryFile() as unpacked:
            with gzip.open(path, "rb") as zipped:
                shutil.copyfileobj(zipped, unpacked)
            unpacked.seek(0)
            yield cast(BinaryIO, unpacked)


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Failures to read, as bad input."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise InputError("breaks off or is damaged: it cannot be unpacked to its end", where, "send it again") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"cannot be read ({_first_line(error)})", where, "export it again") from None


def _parquet_head(stream: BinaryIO, where: str) -> Head:
    try:
        file = pa.parquet.ParquetFile(stream)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"cannot be read as Parquet ({_first_line(error)})", where, "export it again") from None
    return Head(tuple(file.schema_arrow.names), total=file.metadata.num_rows)


def _check_types(stream: BinaryIO, layout: Layout, where: str) -> None:
    stream.seek(0)
    schema = pa.parquet.ParquetFile(stream).schema_arrow
    for place in layout.positions.values():
        if not _is_plain(schema.field(place).type):
            what = f"column '{schema.names[place]}' holds {schema.field(place).type}"
            raise InputError(what, where, "write it as text, number, date or timestamp")


def _is_plain(kind: Any) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    tests = (
        types.is_string,
        types.is_large_string,
        types.is_integer,
        types.is_floating,
        types.is_boolean,
        types.is_timestamp,
        types.is_date,
        types.is_null,
    )
    return any(test(kind) for test in tests)


def _parquet_rows(stream: BinaryIO, headers: Sequence[str], places: Sequence[int], where: str) -> Iterator[Part]:
    """Texts that are written once for many rows are read like that, and weighed before they are written out."""
    start = 1
    stream.seek(0)
    written = pa.parquet.ParquetFile(stream).metadata
    wanted, once = {headers[place] for place in places}, set()
    for group in map(written.row_group, range(written.num_row_groups)):
        for chunk in (chunk for chunk in map(group.column, range(group.num_columns)) if chunk.path_in_schema in wanted):
            _require_room(chunk.total_uncompressed_size, group.num_rows, chunk.path_in_schema, where)
            if chunk.physical_type == "BYTE_ARRAY":
                once.add(chunk.path_in_schema)
    stream.seek(0)
    # Without these it holds whole row groups, whatever their size.
    parquet = pa.parquet.ParquetFile(stream, pre_buffer=False, buffer_size=_PARQUET_READ, read_dictionary=sorted(once))
    for rows in parquet.iter_batches(PARQUET_ROWS, columns=[headers[place] for place in places]):
        columns = {place: rows.column(headers[place]) for place in places}
        for place, column in columns.items():
            column.validate(full=True)  # bytes that are no text would fail later, in the middle of a sum
            if headers[place] in once:
                size = pc.sum(pc.take(pc.binary_length(column.dictionary).cast(pa.int64()), column.indices)).as_py() or 0
                _require_room(size, rows.num_rows, headers[place], where)
        yield Part(np.arange(start, start + rows.num_rows), columns, [])
        start += rows.num_rows


def _require_room(size: int, rows: int, header: str, where: str) -> None:
    if size > MOST_PARQUET * max(-(-rows // PARQUET_ROWS), 1):
        what = f"column '{header}' holds {size >> 20} MB in {rows:,} rows, and {MOST_PARQUET >> 20} MB may stand in {PARQUET_ROWS:,}"
        raise InputError(what, where, "leave the column out, or shorten its texts")


def _sha256(path: Path) -> str:
    with path.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
