"""The forms in which a table is given, and which of them a request asks for: by `format=`, else by its `Accept` header (RFC 9110, 12.5.1)."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fastapi import Request, Response

from service.api.errors import Problem, problems

Form = Literal["json", "csv", "ndjson", "parquet", "arrow"]

MEDIA_TYPES: Mapping[Form, str] = {  # in the order of preference, where a request likes several as much
    "json": "application/json",
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
ENDINGS: Mapping[Form, str] = {"csv": "csv", "ndjson": "ndjson", "parquet": "parquet", "arrow": "arrows"}
"""Of the files that a form is saved in."""

_DESCRIPTIONS: Mapping[Form, str] = {
    "csv": "A header line and the columns of `items`.",
    "ndjson": "The objects of `items`, one a line.",
    "parquet": "The columns of `items`; moments and dates have their types.",
    "arrow": "The columns of `items` as an Arrow IPC stream.",
}

_FORMS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            MEDIA_TYPES[form]: {"schema": {"type": "string", "description": told} | ({"format": "binary"} if form in ("parquet", "arrow") else {})}
            for form, told in _DESCRIPTIONS.items()
        }
    },
}
TABLES = _FORMS | problems(406)
"""Declares the other forms of a list in `responses=`."""


CSV_TWIN: tuple[Form, Form] = ("json", "csv")


def chosen(request: Request, response: Response, given: Form | None, of: Sequence[Form] = tuple(MEDIA_TYPES)) -> Form:
    """The form of the answer.

    Args:
        response: is told that it depends on the header.
        given: what `format=` says; it comes first.
        of: those that there are, in the order of preference.

    Raises:
        Problem: none of the forms is accepted (406).
    """
    response.headers["Vary"] = "Accept"
    if given is not None:
        return given
    header = ",".join(request.headers.getlist("accept"))
    ranges = dict(weights(header)) if header.strip() else {"*/*": 1.0}
    liked: dict[Form, float] = {form: _quality(MEDIA_TYPES[form], ranges) for form in of}
    best = max(liked, key=lambda form: liked[form])  # of equal ones the first
    if liked[best] <= 0:
        there = [MEDIA_TYPES[form] for form in of]
        mend = f"accept one of {', '.join(there)}, or name a form with format={'|'.join(of)}"
        raise Problem(406, f"no form of this list is '{header[:100]}'", where="Accept", mend=mend, headers={"Vary": "Accept"}, available=there)
    return best


def prefers_page(request: Request) -> bool:
    """Whether a request likes HTML better than JSON, as browsers say."""
    ranges = dict(weights(",".join(request.headers.getlist("accept"))))
    return _quality("text/html", ranges) > _quality(MEDIA_TYPES["json"], ranges)


def _quality(media: str, ranges: Mapping[str, float]) -> float:
    """How much a media type is liked: the most specific range that has it speaks."""
    for name in (media, f"{media.partition('/')[0]}/*", "*/*"):
        if name in ranges:
            return ranges[name]
    return 0.0


def weights(header: str) -> list[tuple[str, float]]:
    """What an `Accept` or `Accept-Language` header lists, and its weights; what has a weight that is no number is not accepted."""
    found = []
    for part in header.split(","):
        name, *parameters = (text.strip().lower() for text in part.split(";"))
        weight = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        try:
            quality = float(weight)
        except ValueError:
            quality = 0.0
        found.append((name, quality if 0.0 <= quality <= 1.0 else 0.0))
    return found
