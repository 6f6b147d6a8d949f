"""Pages of a list: opaque tokens that say where the next one begins."""

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from fastapi import Request

from forecasting.errors import InputError

_NOT_THE_QUESTION = frozenset({"next", "limit", "format", "bom"})  # these may change from page to page
LONGEST = 4000  # characters of a token: two names of 200 Chinese characters take half of it


def token(request: Request, *place: str | int | date) -> str:
    """A token for a place in the list that this request asks for."""
    parts = [part.isoformat() if isinstance(part, date) else part for part in place]
    text = json.dumps([_question(request), *parts], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place(request: Request, given: str | None, *readers: Callable[[Any], Any]) -> list[Any] | None:
    """The place that `token` was given, or None without a token.

    Args:
        readers: one for each part; raises ValueError or TypeError for what it cannot read.

    Raises:
        InputError: it is no token of this API, or one of a list with other filters, where the place would mean nothing.
    """
    if given is None:
        return None
    try:
        question, *parts = json.loads(base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True))
        found = [reader(part) for reader, part in zip(readers, parts, strict=True)]
    except (ValueError, TypeError, OverflowError, RecursionError):  # no base64, no JSON, no list, other parts
        what = "this is no token of this list"
        raise InputError(what, "next", "pass the 'next' of the page before as it is, or leave it out to begin again") from None
    if question != _question(request):
        raise InputError("this token belongs to a list with other filters", "next", "send the filters of the first page again, or begin again")
    return found


def number(part: Any) -> int:
    """Reads a number that is not negative and that every database holds."""
    if type(part) is not int or not 0 <= part < 2**63:
        raise ValueError("no number")
    return part


def text(part: Any) -> str:
    """Reads a text that every database takes."""
    if not isinstance(part, str) or "\0" in part:
        raise ValueError("no text")
    part.encode()  # ValueError: half a character
    return part


def moment(part: Any) -> datetime:
    """Reads an aware moment."""
    found = datetime.fromisoformat(part)
    if found.tzinfo is None:
        raise ValueError("no zone")
    return found.astimezone(UTC)


def day(part: Any) -> date:
    """Reads a date."""
    return date.fromisoformat(part)


def flag(part: Any) -> bool:
    """Reads what is true or false."""
    if not isinstance(part, bool):
        raise ValueError("neither true nor false")
    return part


def _question(request: Request) -> str:
    asked = sorted((name, value) for name, value in request.query_params.multi_items() if name not in _NOT_THE_QUESTION)
    return hashlib.sha256(json.dumps([request.url.path, asked]).encode()).hexdigest()[:12]
