"""`POST /v1/tickets`: tickets as they come in, sent by the hotline's own system."""

import hashlib
from time import monotonic, sleep
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Connection
from starlette.requests import ClientDisconnect

from forecasting.errors import InputError
from service.api.deps import Requires, Running, Service
from service.api.errors import Problem, problems
from service.api.parameters import NoParameters
from service.api.routers.ingests import ingest_of, row_of
from service.api.schemas import IngestDetail, TicketIn
from service.intake import ingest, mapping, privacy
from service.intake.bodies import READERS, Form
from service.store import ingest_reports, ingests, waiting_ingests
from service.store.engine import reading
from service.store.keys import Caller

router = APIRouter(tags=["intake"])

PATIENCE = 2.0  # seconds that a small request waits for those before it, which take a fraction of one each
POLL = 0.02  # seconds between two looks whether they are through

_TICKET = TicketIn.model_json_schema()
_BODY = {
    "description": "One ticket, an array of tickets, or a ticket a line (NDJSON). Members that are not named here are ignored and never stored.",
    "required": True,
    "content": {
        "application/json": {"schema": {"oneOf": [{"type": "array", "items": _TICKET}, _TICKET]}},
        "application/x-ndjson": {"schema": {"type": "string", "description": "A ticket a line."}},
    },
}
_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"model": IngestDetail, "description": "Accepted: all of it is kept and will be counted soon; the `Location` header says where to look."}
}


@router.post(
    "/tickets",
    operation_id="send_tickets",
    summary="Send tickets",
    responses=_ACCEPTED | problems(409, 413, 415),
    openapi_extra={"requestBody": _BODY},
)
async def send_tickets(
    request: Request,
    response: Response,
    service: Running,
    caller: Annotated[Caller, Requires("tickets:write")],
    _: NoParameters,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=200,
            pattern=r"^[\x21-\x7e]+$",
            description="Names this request, so that it can be sent again when its answer was lost: the first answer is given once more.",
        ),
    ] = None,
) -> IngestDetail:
    """Takes tickets in, new ones and corrections of known ones; a ticket is known by `source` and `ticket_id`.

    Any of it can be sent again at any time: what is known already counts as unchanged. Wrong tickets are rejected one by one and listed in
    the answer, the others are taken; if none is right, the answer is 422 with the list in `rejects`. A body that is no JSON is refused as a
    whole. Tickets later than the service's clock are left out (`later`): send them again. A key limited to districts can send tickets of
    these alone.

    A small body is counted when the answer comes (200). A larger one is checked and kept, and counted soon after (202).

    接收工单:JSON 或 NDJSON,可重复发送而不重复计数;错误的工单逐条退回并说明原因。
    """
    form = _form(request)
    body = await _read(request, service.settings.intake_body_mb << 20)
    found, counted = await run_in_threadpool(_take, service, caller, form, body, idempotency_key)
    if not counted:
        response.status_code = 202
        response.headers["Location"] = f"{request.url.path.removesuffix('tickets')}ingests/{found.id}"
    return found


def _form(request: Request) -> Form:
    """How the body is read. Raises Problem 415 for a form that is none of ours."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "").removeprefix("charset=")
    coding = request.headers.get("content-encoding", "identity")
    form = READERS.get(kind.strip().lower())
    if form is None:
        raise Problem(415, f"'{kind.strip()[:80]}' is no form of tickets" if kind.strip() else "the body has no Content-Type", where="Content-Type")
    if charset not in ("", "utf-8", "utf8"):
        raise Problem(415, f"the body is written in '{charset[:40]}'", where="Content-Type", mend="send it in UTF-8")
    if coding.strip().lower() not in ("", "identity"):
        raise Problem(415, f"the body is coded as '{coding[:40]}'", where="Content-Encoding", mend="send it as it is")
    return form


async def _read(request: Request, most: int) -> bytes:
    """The body. Raises Problem 413 if it is larger than `most` bytes; what is too large is not read."""
    problem = Problem(413, f"the body is larger than {most} bytes", where="body", mend="send the tickets in several requests")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise problem
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > most:
                raise problem
    except ClientDisconnect:
        raise Problem(422, "the body broke off", where="body", mend="send it again") from None
    return bytes(body)


def _take(service: Service, caller: Caller, form: Form, body: bytes, request_key: str | None) -> tuple[IngestDetail, bool]:
    """What became of a request, and whether it is counted already."""
    sha256 = hashlib.sha256(body).hexdigest()
    with reading(service.engine) as conn:
        before = _sent_before(conn, caller, request_key, sha256)
    if before is None:
        kept, how = privacy.of(service.settings), mapping.usual(service.settings)
        request = ingest.Request(sha256, form.read(body), form.by_index, caller.id, request_key, caller.districts, kept, how)
        try:
            before = ingest.accept(service.engine, request, service.clock)
        except ingest.NoneTaken as problem:
            rejects = [row_of(reject).model_dump() for reject in problem.rejects]
            raise Problem(422, problem.what, where=problem.where, mend=problem.mend, rejects=rejects) from None
        except ingest.SentTwice:
            with reading(service.engine) as conn:
                before = _sent_before(conn, caller, request_key, sha256)
            if before is None:
                raise Problem(409, "the same request is at work", where="Idempotency-Key", mend="send it again in a moment") from None
    with reading(service.engine) as conn:
        small = ingests.get(conn, before).rows <= service.settings.intake_rows_at_once
    if small:
        _apply_soon(service, before)
    with reading(service.engine) as conn:
        found = ingest_of(service, conn, before)
    return found, found.status == ingests.DONE


def _apply_soon(service: Service, ingest_id: int) -> None:
    """Counts a request, when it is its turn; gives up, and leaves it to the scheduler, if that does not come soon."""
    end = monotonic() + PATIENCE
    while monotonic() < end and not ingest.apply_waiting(service.engine, service.clock, ingest_id):
        with reading(service.engine) as conn:
            if not waiting_ingests.waits(conn, ingest_id):
                return
        sleep(POLL)


def _sent_before(conn: Connection, caller: Caller, request_key: str | None, sha256: str) -> int | None:
    """The ingest of the same request, sent before under the same key. Raises InputError if the key was another body's."""
    if request_key is None:
        return None
    found = ingest_reports.sent_before(conn, caller.id, request_key)
    if found is not None and ingests.get(conn, found).sha256 != sha256:
        raise InputError("the key was used for another body", "Idempotency-Key", "take a new key for every new body")
    return found
