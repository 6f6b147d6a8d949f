"""Every request counted, timed and told in the log, by the template of its route: paths are without number, routes are few."""

import logging
from functools import cache
from time import perf_counter

from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector, disable_created_metrics
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds; a long poll waits for 25
NO_ROUTE = "none"  # of a path at which there is nothing
QUIET = frozenset({"/livez", "/readyz", "/metrics"})  # asked by machines every few seconds: told to whoever wants DEBUG

log = logging.getLogger(__name__)

disable_created_metrics()  # type: ignore[no-untyped-call]  # when each series began tells nobody anything, and doubles their number


class Requests:
    """What one worker has answered since it began.

    Attributes:
        registry: what `/metrics` tells of this worker; the process's memory, time and files, too.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._number = Counter("weisu_http_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry)
        self._seconds = Histogram(
            "weisu_http_request_seconds",
            "From a request's head to the head of its answer.",
            ("method", "route"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._of = cache(self._series)  # to look them up takes as long as to count

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts a request, its status as one of five classes."""
        number, waited = self._of(method, route, status // 100)
        number.inc()
        waited.observe(seconds)

    def _series(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        return self._number.labels(method, route, f"{status}xx"), self._seconds.labels(method, route)


class Observed:
    """Notes each request when the head of its answer goes out: a stream may then last for hours. The log tells it when it is over."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app, self._requests = app, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = perf_counter(), 0

        def note(answered: int) -> None:
            nonlocal status
            status = answered
            self._requests.note(_method(scope), template(scope), status, perf_counter() - began)

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                note(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            if not status:
                note(500)  # what the server makes of it, outside of this
            raise
        finally:
            route = template(scope)
            level = logging.DEBUG if route in QUIET else logging.INFO
            if log.isEnabledFor(level):
                milliseconds = round(1000 * (perf_counter() - began), 1)
                state = scope.get("state", {})
                asked_by = {name: state[name] for name in ("key_id", "request_id") if name in state}
                told = {"method": _method(scope), "route": route, "status": status, "ms": milliseconds, **asked_by}
                log.log(level, "http.request", extra=told)


def _method(scope: Scope) -> str:
    """Methods that nobody knows are one: each would be a series for ever."""
    method: str = scope["method"]
    return method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"


def template(scope: Scope) -> str:
    """The path as the OpenAPI document has it. A route knows its own part; what stands before that is the same for all its paths."""
    route = scope.get("route")
    own: str = getattr(route, "path", NO_ROUTE)
    if not isinstance(route, APIRoute):
        return own
    parts = scope["path"].split("/")
    return "/".join(parts[: len(parts) - own.count("/")]) + own
