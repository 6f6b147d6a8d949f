"""Requests as traces, by FastAPI itself. Nothing of OpenTelemetry's SDK is imported unless a collector is named."""

from typing import TYPE_CHECKING

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.web.request_log import NO_ROUTE, QUIET, template

if TYPE_CHECKING:
    from service.traces import Traces


def telemetry(traces: "Traces | None") -> TelemetryConfig:
    """What FastAPI tells of requests: spans, if they are wanted. Its logs quote what was sent, and `/metrics` has its figures already."""
    wanted: TelemetryConfig = {"metrics": False, "logs": False, "operation_spans": False, "auto_configure": False, "tracing": traces is not None}
    if traces is not None:
        wanted |= {"tracer_provider": traces.provider, "exclude": lambda scope: scope["type"] != "http" or scope["path"] in QUIET}
    return wanted


class Named:
    """Gives the span of a request its id and its route, also where the answer was ready before FastAPI looked for the route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        span = trace.get_current_span()

        async def naming(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.set_attribute("weisu.request_id", scope["state"]["request_id"])
                route = template(scope)
                if route != NO_ROUTE:
                    span.set_attributes({"http.route": route, "url.path": route})  # what stands for a name in a path is somebody's word, too
                    span.update_name(f"{scope['method']} {route}")
            await send(message)

        await self._app(scope, receive, naming if span.is_recording() else send)
