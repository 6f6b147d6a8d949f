"""Files: CSV and Parquet, read in bounded batches, only the columns that are known."""

import csv
import hashlib
import io
from codecs import getincrementaldecoder
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from forecasting.errors import InputError
from service.intake.columns import Layout, find, recognise

ENCODINGS = ("utf-8-sig", "gb18030")  # tried in turn; the first reads plain UTF-8 as well, GB18030 contains GBK and GB 2312
DELIMITERS = (",", ";", "\t")
ROWS_ABOVE = 10  # so many rows may explain the table before its header
PARQUET_ROWS = 65_536  # of a batch
CSV_BLOCK = 8 << 20  # bytes of a batch: about as many rows
_HEAD = 1 << 16  # bytes in which the header is looked for


@dataclass(frozen=True)
class TableFile:
    """A file whose header has been read.

    Attributes:
        path, sha256: the file and the fingerprint of its bytes.
        layout: which table it is, and where its columns are.
        total: number of rows, if the file says so.
        headers: its column names.
        encoding, delimiter, skip: of a CSV file; `skip` is the number of lines up to and including the header.
    """

    path: Path
    sha256: str
    layout: Layout
    total: int | None
    headers: tuple[str, ...]
    encoding: str = ""
    delimiter: str = ","
    skip: int = 0


@dataclass(frozen=True)
class Batch:
    """Some rows of a file.

    Attributes:
        lines: the number of each row as a person counts them: a CSV file's header is line 1, a Parquet file's first row is line 1.
        columns: an Arrow array by our name of the column.
        broken: line and reason of the rows that are no rows of the table.
    """

    lines: np.ndarray
    columns: dict[str, Any]
    broken: list[tuple[int, str]]


def open_table(path: Path) -> TableFile:
    """Reads a file's header.

    Raises:
        InputError: the file is missing, is neither CSV nor Parquet, is not readable as such, or has columns of no known table.
    """
    if not path.is_file():
        raise InputError("there is no such file", str(path))
    ending = path.suffix.lower()
    if ending == ".parquet":
        return _open_parquet(path)
    if ending == ".csv":
        return _open_csv(path)
    raise InputError(f"'{path.suffix}' is neither .csv nor .parquet", str(path), "save the table as CSV or Parquet")


def batches(file: TableFile) -> Iterator[Batch]:
    """The rows of a file, batch by batch.

    Raises:
        InputError: the file breaks off or is damaged.
    """
    try:
        yield from _parquet_batches(file) if file.path.suffix.lower() == ".parquet" else _csv_batches(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"cannot be read ({_first_line(error)})", str(file.path), "export it again") from None


def _open_parquet(path: Path) -> TableFile:
    try:
        with pa.parquet.ParquetFile(path) as file:
            schema, total = file.schema_arrow, file.metadata.num_rows
        sha256 = _sha256(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"cannot be read as Parquet ({_first_line(error)})", str(path), "export it again") from None
    layout = recognise(schema.names, str(path))
    for name in (schema.names[place] for place in layout.positions.values()):
        if not _is_plain(schema.field(name).type):
            raise InputError(f"column '{name}' holds {schema.field(name).type}", str(path), "write it as text, number, date or timestamp")
    return TableFile(path, sha256, layout, total, tuple(schema.names))


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


def _parquet_batches(file: TableFile) -> Iterator[Batch]:
    names = {ours: file.headers[place] for ours, place in file.layout.positions.items()}
    start = 1
    with pa.parquet.ParquetFile(file.path) as parquet:
        for rows in parquet.iter_batches(PARQUET_ROWS, columns=list(names.values())):
            lines = np.arange(start, start + rows.num_rows)
            yield Batch(lines, {ours: rows.column(theirs) for ours, theirs in names.items()}, [])
            start += rows.num_rows


def _open_csv(path: Path) -> TableFile:
    try:
        encoding, sha256 = _encoding(path)
        with path.open("rb") as raw:
            text = getincrementaldecoder(encoding)().decode(raw.read(_HEAD))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", str(path)) from None
    if not text.strip():
        raise InputError("is empty", str(path))
    candidates = [(delimiter, skip, headers) for delimiter in DELIMITERS for skip, headers in _first_rows(text, delimiter)]
    if not candidates:
        raise InputError("cannot be read as CSV", str(path), "save it as CSV with commas, in UTF-8 or GB18030")
    # The header is the row with the most known names; of several, the first.
    delimiter, skip, headers = max(candidates, key=lambda candidate: len(find(candidate[2])))
    return TableFile(path, sha256, recognise(headers, str(path)), None, tuple(headers), encoding, delimiter, skip)


def _encoding(path: Path) -> tuple[str, str]:
    """The first encoding that reads the whole file, and the file's fingerprint."""
    for encoding in ENCODINGS:
        decoder, digest = getincrementaldecoder(encoding)(), hashlib.sha256()
        try:
            with path.open("rb") as raw:
                while block := raw.read(1 << 20):
                    digest.update(block)
                    if "\0" in decoder.decode(block):
                        raise InputError("holds binary data", str(path), "save it as CSV in UTF-8 or GB18030")
                decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return encoding, digest.hexdigest()
    raise InputError("is neither UTF-8 nor GB18030", str(path), "save it as CSV in UTF-8")


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


def _csv_batches(file: TableFile) -> Iterator[Batch]:
    names = [f"c{place}" for place in range(len(file.headers))]  # theirs may be blank or repeated
    chosen = {ours: names[place] for ours, place in file.layout.positions.items()}
    broken: list[tuple[int, str]] = []

    def refuse(row: Any) -> str:
        broken.append((row.number, f"has {row.actual_columns} cells instead of {row.expected_columns}"))
        return "skip"

    reader = pa.csv.open_csv(
        file.path,
        pa.csv.ReadOptions(use_threads=False, block_size=CSV_BLOCK, skip_rows=file.skip, column_names=names, encoding=file.encoding),
        pa.csv.ParseOptions(delimiter=file.delimiter, newlines_in_values=True, invalid_row_handler=refuse),
        pa.csv.ConvertOptions(
            include_columns=sorted(set(chosen.values())),
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )
    line = file.skip + 1
    for rows in reader:
        # Lines that were refused stand between those that were read; the reader may be a block ahead of us.
        lines = np.setdiff1d(np.arange(line, line + rows.num_rows + len(broken)), [number for number, _ in broken])[: rows.num_rows]
        last = int(lines[-1]) if len(lines) else line - 1
        done = [entry for entry in broken if entry[0] <= last]
        broken[:] = broken[len(done) :]
        line = last + 1
        yield Batch(lines, {ours: rows.column(theirs) for ours, theirs in chosen.items()}, done)
    if broken:
        yield Batch(np.empty(0, np.int64), {ours: pa.array([], pa.string()) for ours in chosen}, broken)


def _sha256(path: Path) -> str:
    with path.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
