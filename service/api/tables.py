"""Tables as CSV, safe to open in a spreadsheet."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import pandas as pd
from fastapi import Request
from fastapi.responses import StreamingResponse

# A spreadsheet runs a cell that begins with one of these as a formula (OWASP, "CSV injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string", "description": "With `format=csv`: a header line and the columns of `items`."}}}}
}
"""Declares the CSV twin of a list in `responses=`."""


def as_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Values as a CSV shows them: moments in ISO 8601, and a `'` before text that a spreadsheet would take for a formula."""
    return frame.assign(**{name: frame[name].map(_cell) for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])})


def _cell(value: Any) -> Any:
    if isinstance(value, datetime) and not pd.isna(value):
        return value.isoformat()
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def csv_response(request: Request, name: str, chunks: Iterable[pd.DataFrame], *, bom: bool, next_page: str | None) -> StreamingResponse:
    """A CSV file of one or more chunks with the same columns.

    Args:
        name: file name without its ending.
        bom: whether it begins with a byte-order mark.
        next_page: token of the following page, sent in a `Link` header.
    """
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    if next_page is not None:
        address = request.url.include_query_params(next=next_page)
        headers["Link"] = f'<{address.path}?{address.query}>; rel="next"'
    return StreamingResponse(_lines(chunks, bom), media_type="text/csv; charset=utf-8", headers=headers)


def _lines(chunks: Iterable[pd.DataFrame], bom: bool) -> Iterator[bytes]:
    first = True
    for chunk in chunks:
        text = as_cells(chunk).to_csv(index=False, header=first, lineterminator="\r\n")
        yield text.encode("utf-8-sig" if bom and first else "utf-8")
        first = False
