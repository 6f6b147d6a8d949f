"""`/metrics`: what a monitoring system draws and alerts on, in Prometheus's text format. It is of the worker that answers."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.api.deps import Running, Service
from service.api.errors import NO_ANSWER, Problem
from service.store import jobs, waiting_ingests
from service.store.engine import reading

router = APIRouter()

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/metrics", include_in_schema=False)  # for one kind of program, which knows the format
def metrics(request: Request, service: Running) -> Response:
    """Requests and how long they took, how the scheduler's jobs stand and how old the forecasts are.

    Needs no key, tells nothing about the city's tickets, and answers to the addresses of `WEISU_METRICS_FROM` alone.
    """
    asks = "" if request.client is None else request.client.host
    if not _is_in(asks, service.settings.metrics_from):
        raise Problem(403, f"metrics are not for {asks or 'you'}", mend="name the address in WEISU_METRICS_FROM")
    of_store = CollectorRegistry()
    of_store.register(_OfStore(service))
    return Response(generate_latest(request.app.state.requests.registry) + generate_latest(of_store), media_type=MEDIA_TYPE)


def _is_in(address: str, networks: tuple[str, ...]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:  # a socket in the file system has no address
        return False
    return any(found in ip_network(network, strict=False) for network in networks)


class _OfStore(Collector):
    """What the store tells, the same for every worker."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        service = self._service
        now = service.clock.now()
        try:
            with reading(service.engine) as conn:
                scheduled = jobs.list_jobs(conn)
                queue = waiting_ingests.standing(conn)
            current = service.remembered.city().current
        except NO_ANSWER:
            yield GaugeMetricFamily("weisu_store_answers", "1: the database answers.", value=0.0)
            return
        yield GaugeMetricFamily("weisu_store_answers", "1: the database answers.", value=1.0)
        of_jobs: dict[str, tuple[str, Mapping[str, float | None]]] = {
            "weisu_job_late": ("1: the job should have succeeded by now and has not.", {j.name: float(j.is_late(now)) for j in scheduled}),
            "weisu_job_failed": ("1: the job failed last.", {j.name: float(j.error is not None) for j in scheduled}),
            "weisu_job_last_start_seconds": ("When the job began last, since 1970.", {j.name: _seconds(j.started_at) for j in scheduled}),
            "weisu_job_last_success_seconds": ("When the job succeeded last, since 1970.", {j.name: _seconds(j.succeeded_at) for j in scheduled}),
            "weisu_job_next_seconds": ("When the job begins next, since 1970.", {j.name: _seconds(j.next_at) for j in scheduled}),
        }
        yield from _gauges("job", of_jobs)
        since = {"waiting": _seconds(queue.waiting_since), "set_aside": _seconds(queue.aside_since)}
        of_requests: dict[str, tuple[str, Mapping[str, float | None]]] = {
            "weisu_intake_requests": (
                "Requests that wait to be counted, or could not be.",
                {"waiting": queue.waiting, "set_aside": len(queue.aside)},
            ),
            "weisu_intake_oldest_seconds": ("When the oldest of them came, or the first was set aside, since 1970.", since),
        }
        yield from _gauges("state", of_requests)
        if current is not None:
            age = (now - current.issued_at).total_seconds()
            yield GaugeMetricFamily("weisu_forecast_set_age_seconds", "Since the forecasts that are served were made.", value=age)


def _gauges(label: str, told: Mapping[str, tuple[str, Mapping[str, float | None]]]) -> Iterator[Metric]:
    """Gauges by name: what each tells, and its values by one label; those that there are not are left out."""
    for name, (what, values) in told.items():
        gauge = GaugeMetricFamily(name, what, labels=[label])
        for labelled, value in values.items():
            if value is not None:
                gauge.add_metric([labelled], value)
        yield gauge


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
