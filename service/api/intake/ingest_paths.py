"""`/v1/ingests/{id}`: what became of a file or a request."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path
from sqlalchemy import Connection

from forecasting.errors import InputError
from service.api.deps import Requires, Running, Service
from service.api.errors import Problem, problems
from service.api.intake.schemas import IngestDetail, RejectedRow
from service.api.web.parameters import NoParameters
from service.store import ingest_reports, ingests
from service.store.engine import reading
from service.store.ingest_reports import IngestReport, Reject
from service.store.keys import Caller

router = APIRouter(tags=["intake"])

IngestId = Annotated[int, Path(ge=1, lt=2**63, description="`id` of the ingest.")]


@router.get("/ingests/{ingest_id}", operation_id="get_ingest", summary="What became of an intake", responses=problems(404))
def get_ingest(ingest_id: IngestId, service: Running, caller: Annotated[Caller, Requires("tickets:write")], _: NoParameters) -> IngestDetail:
    """An intake of data, from a file or a request; with a key limited to districts, its own requests alone.

    查询一次数据接入的结果:新增、变更、未变、退回及原因。
    """
    with reading(service.engine) as conn:
        found = ingest_of(service, conn, ingest_id)
        report = ingest_reports.get(conn, ingest_id)
    if caller.districts is not None and (report is None or report.sender != caller.id):
        limit = ", ".join(sorted(caller.districts))
        raise Problem(403, f"your key is limited to {limit}, and this is no request of its own", where="ingest_id", mend="ask for your own requests")
    return found


def ingest_of(service: Service, conn: Connection, ingest_id: int) -> IngestDetail:
    """An ingest as the API shows it. Raises Problem 404 if there is none."""
    try:
        found = ingests.get(conn, ingest_id)
    except InputError as error:
        raise Problem(404, error.what, where="ingest_id", mend="take the id from the answer to a request, or from /v1/status") from None
    report = ingest_reports.get(conn, ingest_id) or IngestReport(ingest_id, None, None, (), (), ())
    return IngestDetail(
        id=found.id,
        kind=found.kind,
        status=found.status,
        started_at=service.local(found.started_at),
        finished_at=None if found.finished_at is None else service.local(found.finished_at),
        rows=found.rows,
        added=found.added,
        changed=found.changed,
        unchanged=found.unchanged,
        rejected=found.rejected,
        later=found.later,
        left_out=found.left_out,
        first_day=report.first_day,
        last_day=report.last_day,
        new_areas=list(report.new_areas),
        new_categories=list(report.new_categories),
        rejects=[row_of(reject) for reject in report.rejects],
        error=found.note if found.status == ingests.FAILED else None,
    )


def row_of(reject: Reject) -> RejectedRow:
    """A rejected row as the API shows it."""
    return RejectedRow(**asdict(reject))
