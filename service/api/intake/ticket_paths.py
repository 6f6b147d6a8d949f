"""`POST /v1/tickets`: tickets as they come in, sent by the hotline's own system."""

from time import monotonic, sleep
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from service.api.deps import Requires, Running, Service
from service.api.errors import Problem, problems
from service.api.intake import sending
from service.api.intake.driver_schemas import DryRun, Sent
from service.api.intake.ingest_paths import ingest_of
from service.api.intake.schemas import IngestDetail, TicketIn
from service.api.intake.sending import IdempotencyKey, Sending
from service.api.web.row_bodies import Body, described, received
from service.intake import requests
from service.store import ingests, waiting_ingests
from service.store.engine import reading
from service.store.keys import Caller

router = APIRouter(tags=["intake"])

PATIENCE = 2.0  # seconds that a small request waits for those before it, which take a fraction of one each
POLL = 0.02  # seconds between two looks whether they are through

_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"model": IngestDetail, "description": "Accepted: all of it is kept and will be counted soon; the `Location` header says where to look."}
}


@router.post(
    "/tickets",
    operation_id="send_tickets",
    summary="Send tickets",
    response_model=Sent,
    responses=_ACCEPTED | problems(409, 413, 415),
    openapi_extra=described("tickets", TicketIn.model_json_schema()),
)
async def send_tickets(
    request: Request,
    response: Response,
    service: Running,
    caller: Annotated[Caller, Requires("tickets:write")],
    asked: Sending,
    idempotency_key: IdempotencyKey = None,
) -> IngestDetail | DryRun:
    """Takes tickets in, new ones and corrections of known ones; a ticket is known by `source` and `ticket_id`.

    Any of it can be sent again at any time: what is known already counts as unchanged. Wrong tickets are rejected one by one and listed in
    the answer, the others are taken; if none is right, the answer is 422 with the list in `rejects`. A body that cannot be read is refused as
    a whole. Tickets later than the service's clock are left out (`later`): send them again. A key limited to districts can send tickets of
    these alone.

    A small body is counted when the answer comes (200). A larger one is checked and kept, and counted soon after (202). With `dry_run=true` it
    is checked alone.

    接收工单:JSON、NDJSON、CSV 或 Parquet,可重复发送而不重复计数;错误的工单逐条退回并说明原因;dry_run 只检查不入库。
    """
    async with received(request, service.settings) as body:
        if asked.dry_run:
            return await run_in_threadpool(sending.tried, service, caller, body, "tickets")
        found, counted = await run_in_threadpool(_take, service, caller, body, idempotency_key)
    if not counted:
        response.status_code = 202
        response.headers["Location"] = f"{request.url.path.removesuffix('tickets')}ingests/{found.id}"
    return found


def _take(service: Service, caller: Caller, body: Body, request_key: str | None) -> tuple[IngestDetail, bool]:
    """What became of a request, and whether it is counted already."""
    taken = sending.accepted(service, caller, body, "tickets", request_key, requests.accept)
    with reading(service.engine) as conn:
        small = ingests.get(conn, taken).rows <= service.settings.intake_rows_at_once
    if small:
        _apply_soon(service, taken)
    with reading(service.engine) as conn:
        found = ingest_of(service, conn, taken)
    if found.status == ingests.FAILED:
        raise Problem(500, f"{found.error}", where="body", mend=f"see /v1/ingests/{found.id}, and tell who keeps the service up")
    return found, found.status == ingests.DONE


def _apply_soon(service: Service, ingest_id: int) -> None:
    """Counts a request, when it is its turn; gives up, and leaves it to the scheduler, if that does not come soon."""
    end = monotonic() + PATIENCE
    while monotonic() < end and not requests.apply_waiting(service.engine, service.clock, ingest_id):
        with reading(service.engine) as conn:
            if not waiting_ingests.waits(conn, ingest_id):
                return
        sleep(POLL)
