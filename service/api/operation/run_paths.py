"""`/v1/runs`: the nights, and what became of them."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from service.api.deps import Requires, Running, Service
from service.api.operation.schemas import Run, RunPage
from service.api.web import pages
from service.api.web.parameters import DEFAULT_ROWS, Paged
from service.store import runs as store
from service.store.engine import reading
from service.store.keys import Caller

router = APIRouter(tags=["operation"])


@router.get("/runs", operation_id="list_runs", summary="Nightly runs")
def list_runs(request: Request, asked: Annotated[Paged, Query()], service: Running, caller: Annotated[Caller, Requires()]) -> RunPage:
    """Attempts at training, the newest first.

    列出每夜训练的记录。
    """
    place = pages.place(request, asked.next, pages.number)
    limit = asked.limit or DEFAULT_ROWS
    with reading(service.engine) as conn:
        found = store.list_runs(conn, limit + 1, None if place is None else place[0])
    page = found[:limit]
    following = pages.token(request, page[-1].id) if len(found) > limit else None
    return RunPage(items=[run_of(service, run) for run in page], next=following)


def run_of(service: Service, run: store.Run) -> Run:
    """A run as the API shows it: moments with the city's offset, of an error its first line alone."""
    return Run(
        id=run.id,
        business_date=run.business_date,
        attempt=run.attempt,
        status=run.status,
        started_at=service.local(run.started_at),
        finished_at=None if run.finished_at is None else service.local(run.finished_at),
        mlflow_run_id=run.mlflow_run_id,
        error=run.error.strip().partition("\n")[0] if run.error else None,
    )
