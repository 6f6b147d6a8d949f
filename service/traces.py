"""Traces for an OpenTelemetry collector: a span for each request and each night, with its steps and the store's statements beneath it.

This module is imported where `WEISU_OTLP_ENDPOINT` names a collector, and nothing of the SDK is anywhere else. Ended spans wait in memory for a
thread that sends them every few seconds; those for which there is no room are dropped. So nobody waits for a collector, whatever it does.

What people wrote is not told: no value of a statement or of an address that leads anywhere, and of an error its name alone, for databases quote
the row.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from urllib.parse import parse_qsl

from sqlalchemy import Engine

from forecasting.errors import InputError
from service.settings import Settings
from service.store import statements
from service.store.statements import Statement

try:
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.trace import SpanKind, Status, StatusCode
except ImportError:
    raise InputError("what sends traces is not installed", "WEISU_OTLP_ENDPOINT", "install weisu[traces], or leave the setting out") from None

SECONDS = 5.0  # that a collector has for what is sent to it at once
LAST_SECONDS = 2.0  # that it has when the process ends
LONGEST = 2000  # characters of a statement, or of anything else, that are told
SLOW = 10_000_000  # nanoseconds from which on a statement of the connection itself (BEGIN, a pragma, the writers' lock) is worth a span

log = logging.getLogger(__name__)


class Traces:
    """The traces of one process.

    Attributes:
        provider: makes the spans; for libraries that trace by themselves.
    """

    def __init__(self, settings: Settings, name: str, db: Engine) -> None:
        """Begins to trace the statements of an engine.

        Args:
            name: of the service, as the collector shows it.
        """
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it tells of each attempt; `_Told` tells what matters, once
        resource = Resource.create({"service.name": name, "service.version": version("weisu")})
        self.provider = TracerProvider(resource=resource, shutdown_on_exit=False, span_limits=SpanLimits(max_attribute_length=LONGEST))
        address = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
        self.provider.add_span_processor(_Discreet())
        self.provider.add_span_processor(BatchSpanProcessor(_Told(OTLPSpanExporter(address, timeout=SECONDS))))
        self._tracer = self.provider.get_tracer("weisu")
        statements.tell(db, self._statement)

    @contextmanager
    def night(self, name: str, say: Callable[[str], None], **told: str) -> Iterator[Callable[[str], None]]:
        """One trace; yields `say`, which begins the span of the step that it names. At its end all that is left is sent.

        Args:
            name: of the whole.
            told: what else is known of it.
        """
        step = ExitStack()

        def begin(text: str) -> None:
            say(text)
            step.close()
            without_day = re.sub(r"( on all days)? until .*|: .*", "", text)
            step.enter_context(self._span(without_day))

        try:
            with self._span(name, **told), step:
                yield begin
        finally:
            self.end()

    def end(self) -> None:
        """Sends what is left, for `LAST_SECONDS` at most."""
        last = threading.Thread(target=self.provider.shutdown, name="last traces", daemon=True)
        last.start()
        last.join(LAST_SECONDS)

    @contextmanager
    def _span(self, name: str, **told: str) -> Iterator[None]:
        attributes = {f"weisu.{key}": value for key, value in told.items()}
        with self._tracer.start_as_current_span(name, attributes=attributes, record_exception=False, set_status_on_exception=False) as span:
            try:
                yield
            except BaseException as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    def _statement(self, made: Statement) -> None:
        """The span of a statement: beneath that of a request or a step which goes on, or none."""
        if not trace.get_current_span().is_recording() or (made.of_connection and made.ended - made.began < SLOW):
            return
        attributes = {"db.system.name": made.kind, "db.query.text": made.text[:LONGEST]}
        span = self._tracer.start_span(made.text.split(None, 1)[0].upper(), kind=SpanKind.CLIENT, attributes=attributes, start_time=made.began)
        if made.error is not None:
            span.set_attribute("error.type", made.error)
            span.set_status(Status(StatusCode.ERROR))
        span.end(made.ended)


class _Discreet(SpanProcessor):
    """Leaves the values out of the query of an address: they may name a person, or be a token."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        query = (span.attributes or {}).get("url.query")
        if query:
            span.set_attribute("url.query", "&".join(name for name, _ in parse_qsl(str(query), keep_blank_values=True)))


class _Told(SpanExporter):
    """Sends spans, and says in our log when the collector stops and begins to take them."""

    def __init__(self, to: SpanExporter) -> None:
        self._to, self._takes = to, True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._to.export(spans)
        takes = result is SpanExportResult.SUCCESS
        if takes != self._takes:
            log.log(logging.INFO if takes else logging.WARNING, "traces.taken_again" if takes else "traces.not_taken")
        self._takes = takes
        return result

    def shutdown(self) -> None:
        self._to.shutdown()
