"""Traces reach a real OpenTelemetry collector from real processes, hold nothing that people wrote, and hold nobody up."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from api_city import City
from job_city import DAYS, counts, day
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from processes import Bench, free_port, until
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from service.api.app import create_app
from service.settings import Settings
from service.store.engine import writing
from service.store.schema import tickets
from service.traces import Traces

AT_ONCE = {"OTEL_BSP_SCHEDULE_DELAY": "100"}  # milliseconds that ended spans wait
ID = "at-three-in-the-morning"


class Collector:
    """Takes spans over OTLP/HTTP."""

    def __init__(self) -> None:
        received = self.received = list[bytes]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/traces":
                    received.append(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def spans(self) -> list[Span]:
        """All that have come."""
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.received]
        return [span for request in requests for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]

    def named(self, name: str) -> list[Span]:
        """Those of a name."""
        return [span for span in self.spans if span.name == name]

    def beneath(self, above: Span) -> list[Span]:
        """The children of a span, in the order in which they began."""
        children = [span for span in self.spans if span.parent_span_id == above.span_id and span.trace_id == above.trace_id]
        return sorted(children, key=lambda span: span.start_time_unix_nano)

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def told(span: Span) -> dict[str, str | int]:
    """The attributes of a span."""
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector on this machine."""
    with closing(Collector()) as one:
        yield one


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of one that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(100)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def served(bench: Bench, city: City, endpoint: str) -> Iterator[str]:
    """The address of a `weisu api` over a city, which has ended after the block."""
    port = free_port()
    settings = {"data_dir": city.settings.data_dir, "as_of": city.settings.as_of, "timezone": city.settings.timezone, "otlp_endpoint": endpoint}
    process = bench.start("api", environment=AT_ONCE, api_port=port, **settings)
    try:
        until("the API is ready", lambda: ready(port), 60)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").is_success
    except httpx.TransportError:
        return False


def test_a_request_is_a_trace_with_its_route_and_its_statements(bench: Bench, city: City, collector: Collector) -> None:
    headers = {"Authorization": f"Bearer {city.key()}", "X-Request-Id": ID, "User-Agent": "Zhang San"}
    with served(bench, city, collector.address) as address, httpx.Client(base_url=address, headers=headers) as client:
        for _ in range(2):  # the second time from memory
            assert client.get("/v1/forecasts", params={"area": "110108", "category": "HEAT"}).status_code == 200
        assert client.get("/v1/tickets", params={"area": "110105", "category": "WATER", "from": "2025-11-01", "to": "2025-11-01"}).status_code == 200
        assert client.get("/v1/alerts/13800138000").status_code == 404
        assert client.get("/nowhere").status_code == 404
    first, second = collector.named("GET /v1/forecasts")
    expected = {"http.request.method": "GET", "http.route": "/v1/forecasts", "http.response.status_code": 200, "weisu.request_id": ID}
    for span in (first, second):
        assert told(span).items() >= (expected | {"url.query": "area&category"}).items()
    assert first.trace_id != second.trace_id
    statements = collector.beneath(first)
    assert {told(one)["db.system.name"] for one in statements} == {"sqlite"}
    assert all(one.name == "SELECT" and " ? " in f"{told(one)['db.query.text']} ? " for one in statements)
    assert statements
    assert collector.beneath(second) == []
    (unknown,) = collector.named("GET /v1/alerts/{alert_id}")
    assert told(unknown)["http.response.status_code"] == 404
    assert [told(span)["url.path"] for span in collector.named("GET")] == ["/nowhere"]
    assert {span.kind for span in collector.spans if not span.parent_span_id} == {Span.SPAN_KIND_SERVER}  # no statement is a trace of its own
    assert not [span for span in collector.spans if told(span).get("url.path") in ("/readyz", "/livez", "/metrics")]
    everything = b"".join(collector.received)
    for private in (b"Zhang San", b"127.0.0.1:5", b"WATER", b"Bearer", b"13800138000"):
        assert private not in everything


def test_a_statement_that_fails_is_told_without_what_the_database_quotes(engine: Engine, collector: Collector) -> None:
    traces = Traces(Settings(otlp_endpoint=collector.address), "test", engine)

    def work(say: Callable[[str], None]) -> None:
        say("a step")
        with pytest.raises(IntegrityError), writing(engine) as conn:
            conn.execute(tickets.insert().values(source="13800138000", ticket_id="b"))
        say("another step: 张三")
        raise ZeroDivisionError("13900139000")

    with pytest.raises(ZeroDivisionError), traces.night("night", lambda _: None) as say:
        work(say)
    (failed,) = [span for span in collector.spans if span.status.code == Status.STATUS_CODE_ERROR and span.kind == Span.SPAN_KIND_CLIENT]
    assert failed.name == "INSERT"
    assert told(failed)["error.type"] in ("IntegrityError", "NotNullViolation")
    (night,) = collector.named("night")
    assert [(one.name, one.status.message) for one in collector.beneath(night)] == [("a step", ""), ("another step", "ZeroDivisionError")]
    assert night.status.message == "ZeroDivisionError"
    everything = b"".join(collector.received)
    assert b"13800138000" not in everything
    assert b"13900139000" not in everything


@pytest.mark.parametrize("away", [False, True], ids=["silent", "away"])
def test_a_collector_that_takes_nothing_holds_nobody_up(bench: Bench, city: City, silent: str, away: bool) -> None:
    endpoint, headers, longest = f"http://127.0.0.1:{free_port()}" if away else silent, {"Authorization": f"Bearer {city.key()}"}, 0.0
    with served(bench, city, endpoint) as address, httpx.Client(base_url=address, headers=headers) as client:
        for _ in range(2500):  # more than have room
            began = time.perf_counter()
            assert client.get("/v1/districts").status_code == 200
            longest = max(longest, time.perf_counter() - began)
        until("it is told", lambda: "traces.not_taken" in bench.said, 30)
        assert client.get("/v1/districts").status_code == 200
        began = time.monotonic()
    assert longest < 2.0
    assert time.monotonic() - began < 8.0
    assert bench.said.count("traces.not_taken") == 1
    assert "pentelemetry" not in bench.said


def test_a_night_is_one_trace_with_its_steps(bench: Bench, collector: Collector) -> None:
    counts(DAYS).to_csv(bench.folder / "counts.csv", index=False)
    settings = {"as_of": day(DAYS), "timezone": "UTC", "country": "none"}
    for command in (("db", "upgrade"), ("ingest", "counts.csv")):
        assert bench.run(*command, **settings).returncode == 0
    done = bench.run("train", otlp_endpoint=collector.address, **settings)
    assert done.returncode == 0, done.stderr
    (night,) = [span for span in collector.spans if not span.parent_span_id]
    assert (night.name, told(night)) == ("night", {"weisu.business_date": f"{day(DAYS)}"})
    steps = collector.beneath(night)
    names = [step.name for step in steps if step.kind == Span.SPAN_KIND_INTERNAL]
    for name in ("fitting members", "weighing and calibrating", "recording the run in MLflow", "publishing", "detecting"):
        assert name in names
    assert not [name for name in names if any(character.isdigit() for character in name)]
    (publishing,) = [step for step in steps if step.name == "publishing"]
    assert {"INSERT", "UPDATE"} <= {one.name for one in collector.beneath(publishing)}
    assert {span.trace_id for span in collector.spans} == {night.trace_id}


OFF = """
import sys
from service.api.app import create_app
from service.settings import Settings
create_app(Settings(data_dir=sys.argv[1]))
print(*[name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto", "service.traces"))])
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


def test_without_a_collector_nothing_is_imported(city: City) -> None:
    done = run(OFF, f"{city.settings.data_dir}")
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr


def test_without_a_collector_the_environment_of_others_starts_no_traces(city: City, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address)
    telemetry = create_app(city.settings)._telemetry  # type: ignore[attr-defined]
    assert not any(telemetry[name] for name in ("auto_configure", "tracing", "metrics", "logs"))


WITHOUT = """
import sys
sys.modules["opentelemetry.exporter"] = None
from service.cli import main
sys.exit(main(["api"]))
"""


def test_where_the_libraries_are_missing_one_line_says_so(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEISU_DATA_DIR", f"{city.settings.data_dir}")
    monkeypatch.setenv("WEISU_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setenv("WEISU_API_PORT", f"{free_port()}")
    done = run(WITHOUT)
    assert done.returncode == 2
    assert done.stderr == "weisu: WEISU_OTLP_ENDPOINT: what sends traces is not installed; install weisu[traces], or leave the setting out\n"


@pytest.mark.parametrize("address", ["collector:4318", "grpc://collector:4317", "http://"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="otlp_endpoint"):
        Settings(otlp_endpoint=address)
