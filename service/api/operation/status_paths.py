"""`/v1/status`: how fresh everything is, and how the city stands."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter

from forecasting.delay import Delay
from forecasting.detection.levels import LEVELS
from forecasting.hierarchy import ALL
from service.api.alerts.view import AlertView
from service.api.deps import Requires, Running, Service
from service.api.intake.schemas import Ingest
from service.api.operation.freshness import Status, data_notes, freshness
from service.api.operation.run_paths import run_of
from service.api.operation.schemas import Ages, CurrentForecastSet, IntakeState, Job, LevelCounts, ReportingDelay, Unlabelled, WebhooksState
from service.api.trees.nodes import visible
from service.api.web.parameters import NoParameters
from service.store import alerts, areas, categories, delays, deliveries, ingests, jobs, runs, waiting_ingests, webhooks
from service.store.engine import reading
from service.store.keys import Caller

router = APIRouter(tags=["operation"])


@router.get("/status", operation_id="status", summary="How fresh everything is, and how the city stands")
def status(service: Running, caller: Annotated[Caller, Requires()], _: NoParameters) -> Status:
    """Until when data are complete, the last intake and run, the current forecast set, open alerts by level and the city's state; how fresh
    tickets, intake, training and detection are against what is expected, which requests wait to be counted or could not be, and what is to be
    known about the data.

    查询运行状态:数据截至日、最近训练、当前预测、各级预警数和全市状态;工单、接入、训练、预警是否按时更新,等待入库和已搁置的请求,以及数据提示。
    """
    return status_of(service, caller)


def status_of(service: Service, caller: Caller) -> Status:
    """How everything stands, as a caller may see it."""
    clock = service.clock
    now, business_date = clock.now(), clock.business_date()
    city = service.remembered.city()
    current = city.current  # that is served: one that cannot be read is none
    with reading(service.engine) as conn:
        complete_until = delays.complete_until(conn, clock)
        curves = delays.read(conn)
        unlabelled = Unlabelled(areas=areas.unlabelled(conn), categories=categories.unlabelled(conn))
        last_ingest = next(iter(ingests.list_recent(conn, 1)), None)
        last_run = runs.latest(conn)
        scheduled = jobs.list_jobs(conn)
        told, disabled = webhooks.tally(conn)
        waiting, oldest = deliveries.waiting(conn)
        running_alerts = alerts.AlertFilters(statuses=("open", "acknowledged"), visible=visible(city.areas, caller), own=caller.districts or ())
        tally = alerts.tally(conn, running_alerts)
        notes = data_notes(conn, AlertView.read(service, conn, caller), replace(running_alerts, kinds=("DATA",)))
        fresh = freshness(service, conn)
        queue = waiting_ingests.standing(conn)
    running = {level for kind, level, _ in tally if kind != "DATA"}
    return Status(
        now=service.local(now),
        business_date=business_date,
        data_complete_until=complete_until,
        last_ingest=None if last_ingest is None else _ingest(service, last_ingest),
        last_run=None if last_run is None else run_of(service, last_run),
        forecast_set=None
        if current is None
        else CurrentForecastSet(
            id=current.id,
            cutoff=current.cutoff,
            issued_at=service.local(current.issued_at),
            first_day=current.first_day,
            last_day=current.last_day,
            run_id=current.run_id,
        ),
        city_state=max(running, key=LEVELS.index, default=None),
        open_alerts=_by_level(tally, "open"),
        acknowledged_alerts=_by_level(tally, "acknowledged"),
        data_alerts=sum(number for (kind, _, _), number in tally.items() if kind == "DATA"),
        unlabelled=unlabelled,
        reporting_delay=_delay(curves),
        ages=Ages(
            data=None if complete_until is None else _seconds(now, clock.end_of(complete_until)),
            ingest=None if last_ingest is None else _seconds(now, last_ingest.started_at),
            run=None if last_run is None else _seconds(now, last_run.started_at),
            forecast_set=None if current is None else _seconds(now, current.issued_at),
        ),
        freshness=fresh,
        data_notes=notes,
        jobs=[_job(service, job, now) for job in scheduled],
        webhooks=WebhooksState(enabled=told, disabled=disabled, waiting=waiting, oldest_waiting=None if oldest is None else service.local(oldest)),
        intake=_intake(service, queue),
    )


def _by_level(tally: dict[tuple[str, str, str], int], wanted: str) -> LevelCounts:
    found = dict.fromkeys(LEVELS, 0)
    for (kind, level, status_), number in tally.items():
        if kind != "DATA" and status_ == wanted:
            found[level] += number
    return LevelCounts(**found)


def _delay(curves: dict[str, Delay]) -> ReportingDelay | None:
    city = curves.get(ALL)
    if city is None:
        return None
    slow = sorted(code for code, curve in curves.items() if curve.complete_after > city.complete_after)
    known = [round(share, 4) for share in city.known]
    return ReportingDelay(known=known, complete_after_days=city.complete_after, tickets=city.tickets, slow_categories=slow)


def _intake(service: Service, queue: waiting_ingests.Standing) -> IntakeState:
    return IntakeState(
        waiting=queue.waiting,
        oldest_waiting=None if queue.waiting_since is None else service.local(queue.waiting_since),
        set_aside=len(queue.aside),
        oldest_set_aside=None if queue.aside_since is None else service.local(queue.aside_since),
        set_aside_ids=list(queue.aside[: waiting_ingests.NAMED]),
    )


def _ingest(service: Service, ingest: ingests.Ingest) -> Ingest:
    return Ingest(
        id=ingest.id,
        kind=ingest.kind,
        status=ingest.status,
        started_at=service.local(ingest.started_at),
        finished_at=None if ingest.finished_at is None else service.local(ingest.finished_at),
    )


def _job(service: Service, job: jobs.Job, now: datetime) -> Job:
    def local(moment: datetime | None) -> datetime | None:
        return None if moment is None else service.local(moment)

    return Job(
        name=job.name,
        late=job.is_late(now),
        last_start=local(job.started_at),
        last_success=local(job.succeeded_at),
        last_failure=local(job.failed_at),
        error=None if job.error is None else job.error.splitlines()[0],
        next=service.local(job.next_at),
        late_at=service.local(job.late_at),
    )


def _seconds(now: datetime, since: datetime) -> float:
    return (now - since).total_seconds()
