"""Tables as files: CSV that is safe to open in a spreadsheet, NDJSON, Parquet, Arrow; written part by part, so that a large one fills no memory."""

from collections.abc import Generator, Iterable, Mapping
from datetime import date, datetime
from itertools import chain
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from service import arrow
from service.api.errors import problems
from service.api.web.forms import ENDINGS, MEDIA_TYPES, Form

# A spreadsheet runs a cell that begins with one of these as a formula (OWASP, "CSV injection"); East Asian ones take the wide signs as well.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

_CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string", "description": "A header line and the columns of `items`."}}}}
}
CSV = _CSV | problems(406)
"""Declares the CSV twin of a list in `responses=`."""

_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), date: pa.date32()}


def table_response(
    request: Request, form: Form, name: str, row: type[BaseModel], chunks: Iterable[pd.DataFrame], *, zone: str, bom: bool, next_page: str | None
) -> StreamingResponse:
    """A table as a file.

    Args:
        form: any but `json`.
        name: file name without its ending.
        row: what says the types of the columns.
        chunks: one or more frames with the same columns, which `row` has.
        zone: the time zone that columns of moments carry.
        bom: whether a CSV begins with a byte-order mark.
        next_page: token of the following page, sent in a `Link` header.
    """
    if form == "csv":
        return csv_response(request, name, chunks, bom=bom, next_page=next_page)
    body = _ndjson(chunks, row) if form == "ndjson" else columns(chunks, row, zone, form)
    return _File(body, MEDIA_TYPES[form], _headers(request, f"{name}.{ENDINGS[form]}", next_page))


def csv_response(request: Request, name: str, chunks: Iterable[pd.DataFrame], *, bom: bool, next_page: str | None) -> StreamingResponse:
    """A CSV file of one or more chunks with the same columns.

    Args:
        name: file name without its ending.
        bom: whether it begins with a byte-order mark.
        next_page: token of the following page, sent in a `Link` header.
    """
    return _File(_lines(chunks, bom), "text/csv; charset=utf-8", _headers(request, f"{name}.csv", next_page))


class _File(StreamingResponse):
    """A body that is read from the database while it is sent; however it ends, what it reads from is let go."""

    def __init__(self, body: Generator[bytes, None, None], media_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(body, media_type=media_type, headers=headers)
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:  # who has gone leaves it in the middle, where it would stay until the garbage is collected
            await run_in_threadpool(self._body.close)


def as_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Values as a CSV shows them: moments in ISO 8601, and a `'` before text that a spreadsheet would take for a formula."""
    return frame.assign(**{name: frame[name].map(_cell) for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])})


def columns(chunks: Iterable[pd.DataFrame], row: type[BaseModel], zone: str, form: Form) -> Generator[bytes, None, None]:
    """A Parquet file or an Arrow stream, a part for each chunk."""
    parts = iter(chunks)
    first = next(parts)
    schema = pa.schema([pa.field(name, _type(row.model_fields[name].annotation, zone)) for name in first.columns])
    sink = _Sink()
    writer = pa.ipc.new_stream(sink, schema) if form == "arrow" else pq.ParquetWriter(sink, schema, compression="zstd")
    with writer:
        for chunk in chain([first], parts):
            table = arrow.table(chunk, schema)
            if form == "arrow":
                writer.write_table(table)
            else:
                writer.write_table(table, row_group_size=max(len(table), 1))
            yield sink.taken()
    yield sink.taken()


class _Sink:
    """A file that is handed on as it is written."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def taken(self) -> bytes:
        """What was written since the last time."""
        found = b"".join(self._parts)
        self._parts.clear()
        return found


def _headers(request: Request, file: str, next_page: str | None) -> dict[str, str]:
    headers = {"Content-Disposition": f'attachment; filename="{file}"', "Vary": "Accept"}
    if next_page is not None:
        address = request.url.include_query_params(next=next_page)
        headers["Link"] = f'<{address.path}?{address.query}>; rel="next"'
    return headers


def _type(annotation: Any, zone: str) -> pa.DataType:
    """The Arrow type of a member of a row."""
    if get_origin(annotation) is Literal:
        return pa.string()
    (kind,) = [one for one in get_args(annotation) or (annotation,) if one is not NoneType]
    if get_args(kind):
        return _type(kind, zone)
    return pa.timestamp("us", zone) if kind is datetime else _TYPES[kind]


def _cell(value: Any) -> Any:
    if isinstance(value, datetime) and not pd.isna(value):
        return value.isoformat()
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _lines(chunks: Iterable[pd.DataFrame], bom: bool) -> Generator[bytes, None, None]:
    first = True
    for chunk in chunks:
        text = as_cells(chunk).to_csv(index=False, header=first, lineterminator="\r\n")
        yield text.encode("utf-8-sig" if bom and first else "utf-8")
        first = False


def _ndjson(chunks: Iterable[pd.DataFrame], row: type[BaseModel]) -> Generator[bytes, None, None]:
    for chunk in chunks:
        yield "".join(f"{row.model_validate(record).model_dump_json()}\n" for record in records(chunk)).encode()


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as plain values; what is missing is None."""
    whole = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in whole.to_dict("records")]
