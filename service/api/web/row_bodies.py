"""Bodies of rows as they are received: in which form they are sent, and their bytes, of which the memory holds no more than a piece."""

import hashlib
import tempfile
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from service.api.errors import Problem
from service.intake.bodies import READERS, Form
from service.settings import Settings

PIECE = 1 << 20  # bytes that are written at once; a smaller body never touches the disk


@dataclass(frozen=True)
class Body:
    """A body that was received to its end.

    Attributes:
        stream: its bytes, from the beginning.
        sha256: their fingerprint.
    """

    form: Form
    stream: BinaryIO
    sha256: str


def described(what: str, one: Mapping[str, Any]) -> dict[str, Any]:
    """The declaration of such bodies for `openapi_extra=`.

    Args:
        what: what rows they bring, in the plural.
        one: the schema of one.
    """
    text = {"type": "string"}
    return {
        "requestBody": {
            "description": f"One of the {what}, an array of them, one a line (NDJSON), or a table with the same columns as CSV or Parquet. "
            "Members and columns that are not named here are ignored and never stored.",
            "required": True,
            "content": {
                "application/json": {"schema": {"oneOf": [{"type": "array", "items": one}, one]}},
                "application/x-ndjson": {"schema": text | {"description": "An object a line."}},
                "text/csv": {"schema": text | {"description": "A line of column names, then a row a line; UTF-8 or GB18030."}},
                "application/vnd.apache.parquet": {"schema": text | {"format": "binary"}},
            },
        }
    }


@asynccontextmanager
async def received(request: Request, settings: Settings) -> AsyncIterator[Body]:
    """The body of a request, which is gone after the block.

    Raises:
        Problem: 415 for a form that is none of ours; 413 if it is larger than the setting allows: what is too large is not read; 422 if it breaks
            off; 503 if there is no room on the disk.
    """
    form = _form(request)
    with tempfile.SpooledTemporaryFile(max_size=PIECE, dir=_folder(settings)) as spool:
        sha256 = await _read(request, settings.intake_body_mb << 20, cast(BinaryIO, spool))
        spool.seek(0)
        yield Body(form, cast(BinaryIO, spool), sha256)


def _form(request: Request) -> Form:
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    named = dict(one.strip().lower().replace('"', "").partition("=")[::2] for one in parameters.split(";"))
    charset = named.get("charset", "")
    coding = request.headers.get("content-encoding", "identity")
    form = READERS.get(kind.strip().lower())
    if form is None:
        told = f"'{kind.strip()[:80]}' is no form of rows" if kind.strip() else "the body has no Content-Type"
        raise Problem(415, told, where="Content-Type", mend=f"send it as {_listed(READERS)}")
    if charset not in form.charsets:
        raise Problem(415, f"the body is written in '{charset[:40]}'", where="Content-Type", mend="send it in UTF-8")
    if coding.strip().lower() not in ("", "identity"):
        raise Problem(415, f"the body is coded as '{coding[:40]}'", where="Content-Encoding", mend="send it as it is")
    return form


def _listed(names: Collection[str]) -> str:
    *some, last = names
    return f"{', '.join(some)} or {last}"


def _folder(settings: Settings) -> str:
    """Where large bodies lie while they are read: the folder for temporary files is often kept in memory."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    return str(settings.data_dir)


async def _read(request: Request, most: int, into: BinaryIO) -> str:
    """Writes the body, piece by piece; returns its fingerprint."""
    too_large = Problem(413, f"the body is larger than {most} bytes", where="body", mend="send the rows in several requests")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise too_large
    digest, piece, taken = hashlib.sha256(), bytearray(), 0

    def put() -> None:
        digest.update(piece)
        into.write(piece)
        piece.clear()

    try:
        async for part in request.stream():
            piece += part
            taken += len(part)
            if taken > most:
                raise too_large
            if len(piece) >= PIECE:
                await run_in_threadpool(put)
        await run_in_threadpool(put)
    except ClientDisconnect:
        raise Problem(422, "the body broke off", where="body", mend="send it again") from None
    except OSError as error:
        raise Problem(503, f"the body cannot be kept ({error.strerror})", where="body", headers={"Retry-After": "60"}) from None
    return digest.hexdigest()
