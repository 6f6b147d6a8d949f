"""`/v1/audit`: what people and the service did to what is served."""

from datetime import UTC, datetime, time
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field

from service.api.deps import Requires, Running
from service.api.errors import Problem
from service.api.operation.audit_schemas import Action, AuditEntry, AuditPage
from service.api.web import pages
from service.api.web.parameters import DEFAULT_ROWS, EARLIEST, LATEST, Paged, Period
from service.store import audit
from service.store.engine import reading
from service.store.keys import Caller

router = APIRouter(tags=["operation"])


class AuditParameters(Period, Paged):
    """Parameters of `/v1/audit`."""

    actor: str | None = Field(None, max_length=200, pattern=r"^[^\x00]*$", description="Only what this one did: a key's name.", examples=["值班长"])
    action: list[Action] = Field([], description="Only these, repeated.", examples=[["silenced"]])
    subject: str | None = Field(None, max_length=200, pattern=r"^[^\x00]*$", description="Only what was done to this.", examples=["alert 4b1f"])


@router.get("/audit", operation_id="list_audit", summary="Who did what to what is served")
def list_audit(
    request: Request, asked: Annotated[AuditParameters, Query()], service: Running, caller: Annotated[Caller, Requires("admin")]
) -> AuditPage:
    """The audit log, the newest first: alerts acknowledged, resolved and judged, silences, webhooks, forecasts that were rolled back. It is only ever
    added to. It tells of the whole city: a key limited to districts may not ask.

    查询审计日志:谁在何时对预警、静默、推送、预测做了什么;只增不改。
    """
    if caller.districts is not None:
        raise Problem(403, "your key is limited to districts; the audit log is the whole city's", where="Authorization")
    place = pages.place(request, asked.next, pages.number)
    today = service.clock.business_date()
    start, end = asked.bounds(asked.end or today, asked.start or today)
    since = None if asked.start is None else datetime.combine(max(start, EARLIEST), time.min, service.settings.zone).astimezone(UTC)
    before = None if asked.end is None else service.clock.end_of(max(min(end, LATEST), EARLIEST))
    wanted = audit.Wanted(asked.actor, asked.action, asked.subject, since, before)
    limit = asked.limit or DEFAULT_ROWS
    with reading(service.engine) as conn:
        found = audit.entries(conn, limit + 1, wanted, None if place is None else place[0])
    page = found[:limit]
    items = [AuditEntry.model_validate(vars(one) | {"at": service.local(one.at)}) for one in page]
    return AuditPage(items=items, next=pages.token(request, page[-1].seq) if len(found) > limit else None)
