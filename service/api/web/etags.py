"""Entity tags: a client that has an answer already is told so, and not sent it again (RFC 9110, 13.1.2)."""

import hashlib
import json
import re
from datetime import datetime
from typing import Any

from fastapi import Request, Response

_TAG = re.compile(r'(?:W/)?("[^"]*")')

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "`If-None-Match` names the answer's `ETag`: it is as you have it."}}
"""Declares it in `responses=`."""


def tag(request: Request, *depends_on: object) -> str:
    """A strong tag of the answer to a request, from all that the answer depends on beside its address: equal tags, equal bytes."""
    parts = [request.url.path, request.url.query, *depends_on]
    text = json.dumps(parts, default=lambda one: one.isoformat() if isinstance(one, datetime) else sorted(one))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def headers(its_tag: str) -> dict[str, str]:
    """What goes with an answer that has a tag: whoever keeps it asks again before showing it, and shows it to nobody else."""
    return {"ETag": its_tag, "Cache-Control": "private, no-cache", "Vary": "Accept, Authorization"}


def unchanged(request: Request, its_tag: str, there: bool = False) -> Response | None:
    """304 if the client has the answer with this tag; None: send it.

    Args:
        there: it is known that there is an answer, and no error: `*` names any.
    """
    given = ",".join(request.headers.getlist("if-none-match")).strip()
    if its_tag in _TAG.findall(given) or (there and given == "*"):
        return Response(status_code=304, headers=headers(its_tag))
    return None
