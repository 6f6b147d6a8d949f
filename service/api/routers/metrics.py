"""`/metrics`: what a monitoring system draws and alerts on, in the text format of Prometheus."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from service.api.deps import Running
from service.store import jobs
from service.store.engine import reading

router = APIRouter()

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/metrics", include_in_schema=False)  # for one kind of program, which knows the format
def metrics(service: Running) -> PlainTextResponse:
    """How the scheduler's jobs stand and how old the forecasts are; needs no key, and tells nothing about the city's tickets."""
    now = service.clock.now()
    with reading(service.engine) as conn:
        scheduled = jobs.list_jobs(conn)
        current = service.forecasts.current(conn)
    lines = [
        *_gauge("weisu_job_late", "1: the job should have succeeded by now and has not.", {j.name: float(j.is_late(now)) for j in scheduled}),
        *_gauge("weisu_job_failed", "1: the job failed last.", {j.name: float(j.error is not None) for j in scheduled}),
        *_gauge("weisu_job_last_start_seconds", "When the job began last, since 1970.", {j.name: _seconds(j.started_at) for j in scheduled}),
        *_gauge("weisu_job_last_success_seconds", "When the job succeeded last, since 1970.", {j.name: _seconds(j.succeeded_at) for j in scheduled}),
        *_gauge("weisu_job_next_seconds", "When the job begins next, since 1970.", {j.name: _seconds(j.next_at) for j in scheduled}),
    ]
    if current is not None:
        lines += _gauge("weisu_forecast_set_age_seconds", "Since the forecasts that are served were made.", {"": _seconds(now, current.issued_at)})
    return PlainTextResponse("\n".join(lines) + "\n", media_type=MEDIA_TYPE)


def _gauge(name: str, told: str, values: Mapping[str, float | None]) -> Iterator[str]:
    """The lines of a metric, one a job; under the name "" it is no job's."""
    yield f"# HELP {name} {told}"
    yield f"# TYPE {name} gauge"
    for job, value in values.items():
        if value is not None:
            label = f'{{job="{job}"}}' if job else ""
            yield f"{name}{label} {value:.15g}"


def _seconds(moment: datetime | None, since: datetime = datetime(1970, 1, 1, tzinfo=UTC)) -> float | None:
    return None if moment is None else (moment - since).total_seconds()
