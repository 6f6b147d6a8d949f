"""What every answer has: an id, headers, a time limit, and an error of one shape whatever went wrong."""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager

import httpx
import pandas as pd
import pytest
import uvicorn
from api_city import NOW, City
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from test_problem_documents import problem

from service import logs
from service.api.app import create_app
from service.store import drivers, ingests
from service.store.engine import writing

ID = "0f6b3c1e-9a4d.4c55"


@pytest.mark.parametrize("path", ["/livez", "/", "/nowhere", "/v1/status", "/v1/alerts/none", "/openapi.json", "/docs"])
def test_every_answer_has_the_headers(ask: TestClient, path: str) -> None:
    answer = ask.get(path, headers={"X-Request-Id": ID})
    assert answer.headers["X-Request-Id"] == ID
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "<script>", "a\x7f", "工单"])
def test_an_id_that_is_none_is_replaced(ask: TestClient, given: str) -> None:
    made = [ask.get("/livez", headers={"X-Request-Id": given.encode()}).headers["X-Request-Id"] for _ in range(2)]
    assert made[0] != made[1]
    assert all(one.isalnum() and len(one) == 32 for one in made)


def test_a_problem_names_the_request(ask: TestClient) -> None:
    assert ask.get("/nowhere", headers={"X-Request-Id": ID}).json()["request_id"] == ID


def test_a_line_of_the_log_names_the_request_and_is_one_line(city: City, ask: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.setFormatter(logs._Line())
    ask.app.get("/fault/{name}")(fault)  # type: ignore[attr-defined]
    with caplog.at_level(logging.ERROR, "service"):
        answer = ask.get("/fault/a%0A2026-01-01T00:00:00+0000%20INFO%20forged", headers={"X-Request-Id": ID})
    assert problem(answer, 500)["request_id"] == ID
    assert "secret" not in answer.text
    first = caplog.text.splitlines()[0]
    assert "request.failed" in first
    assert f"request_id={ID}" in first
    assert r"path=/fault/a\n2026-01-01" in first
    assert "RuntimeError: a secret" in caplog.text


def fault(name: str) -> None:
    raise RuntimeError("a secret")


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_a_method_that_does_nothing_is_a_405_that_names_those_that_do(ask: TestClient, method: str) -> None:
    answer = ask.request(method, "/v1/forecasts")
    assert (answer.status_code, answer.headers["Allow"], answer.headers["content-type"]) == (405, "GET", "application/problem+json")


@pytest.mark.parametrize(
    "query",
    [
        "area=%ff",
        "area=%00",
        "area=%ed%a0%80",
        "area=" + "x" * 5000,
        "%00=1",
        "area=a;category=b",
        "area=%",
        "from=%F0%9F",
        "=",
        "area=a%0Ab",
        "&" * 100,
    ],
)
@pytest.mark.parametrize("path", ["/v1/forecasts", "/v1/counts", "/v1/alerts", "/v1/accuracy"])
def test_a_broken_query_is_answered(ask: TestClient, path: str, query: str) -> None:
    answer = ask.get(f"{path}?{query}")
    if answer.status_code != 200:
        problem(answer, 422)


@pytest.mark.parametrize(
    "path", ["/v1/alerts/%00", "/v1/alerts/%ff", "/v1/alerts/" + "x" * 3000, "/v1/ingests/" + "9" * 400, "/v1/ingests/-1", "/v1/alerts/%0a"]
)
def test_a_broken_path_is_answered(ask: TestClient, path: str) -> None:
    answer = ask.get(path)
    problem(answer, answer.status_code)
    assert answer.status_code in (404, 422)


@pytest.mark.parametrize(
    "body",
    [
        b'{"verdict": "true", "note": "\\ud800"}',
        b'{"verdict": "true", "note": "\\u0000"}',
        b"\x00",
        b'{"note": NaN}',
        b'{"note": 1e999}',
        b"[" * 5000,
        b'{"a": ' * 2000,
        b"\xef\xbb\xbf{}",
        b"null",
    ],
)
def test_a_broken_body_is_answered_and_changes_nothing(city: City, ask: TestClient, body: bytes) -> None:
    city.alert("a")
    answer = ask.post("/v1/alerts/a/feedback", content=body, headers={"Content-Type": "application/json"})
    problem(answer, 422)
    assert ask.get("/v1/alerts/a").json()["verdict"] is None


@pytest.mark.parametrize(("path", "methods"), [("webhooks/w", "DELETE, GET, PATCH"), ("silences", "GET, POST"), ("alerts/a/ack", "POST")])
def test_a_405_names_every_method_of_a_path(ask: TestClient, path: str, methods: str) -> None:
    assert ask.put(f"/v1/{path}").headers["Allow"] == methods


@pytest.mark.parametrize(("limit", "status"), [("1500", 200), ("1501", 422)])
def test_the_rows_of_a_page_are_what_the_setting_allows(city: City, limit: str, status: int) -> None:
    with TestClient(create_app(city.settings.model_copy(update={"most_rows": 1500}))) as client:
        assert client.get("/v1/counts", params={"limit": limit}, headers={"Authorization": f"Bearer {city.key()}"}).status_code == status


def test_the_days_of_a_span_are_what_the_setting_allows(city: City) -> None:
    with TestClient(create_app(city.settings.model_copy(update={"most_days": 7}))) as client:
        client.headers["Authorization"] = f"Bearer {city.key()}"
        assert client.get("/v1/counts", params={"from": "2025-11-01", "to": "2025-11-07"}).status_code == 200
        assert problem(client.get("/v1/counts", params={"from": "2025-11-01", "to": "2025-11-08"}), 422)["where"] == "from, to"


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("counts", {}),
        ("counts", {"from": "2025-10-01"}),
        ("counts", {"to": "2025-11-08"}),
        ("counts", {"from": "2025-11-03", "to": "2025-11-03", "granularity": "month"}),
        ("counts/compare", {"from": "2025-10-01"}),
        ("tickets", {"from": "2025-10-20"}),
        ("drivers", {"from": "2025-10-01"}),
        ("drivers", {"to": "2025-10-31"}),
        ("forecasts", {"from": "2025-11-09", "granularity": "day"}),
        ("forecasts/heatmap", {"to": "2025-11-11"}),
    ],
)
def test_a_span_with_an_end_left_open_is_measured_by_what_would_be_answered(city: City, path: str, params: dict[str, str]) -> None:
    with writing(city.engine) as conn:
        ingest = ingests.begin(conn, "drivers", "w", NOW)
        days = pd.date_range("2025-10-01", "2025-10-31").astype("datetime64[us]")
        weather = pd.DataFrame({"date": days, "name": "temperature", "area": "ALL", "value": 1.0, "issued_at": pd.Timestamp(NOW).tz_convert("UTC")})
        drivers.put(conn, weather.assign(observed=True), ingest)
    with TestClient(create_app(city.settings.model_copy(update={"most_days": 2}))) as client:
        client.headers["Authorization"] = f"Bearer {city.key()}"
        assert problem(client.get(f"/v1/{path}", params=params), 422)["where"] == "from, to"
        if params.get("granularity") != "month":
            one_day = {"to": params["from"]} if "from" in params else {"from": params.get("to", "2025-11-08")}
            answer = client.get(f"/v1/{path}", params=one_day | params | ({} if params else {"to": "2025-11-08"}))
            assert answer.status_code == 200, answer.text


def test_a_body_is_as_large_as_the_setting_allows(city: City) -> None:
    city.alert("a")
    with TestClient(create_app(city.settings.model_copy(update={"body_kb": 1}))) as client:
        client.headers["Authorization"] = f"Bearer {city.key()}"
        assert "1024 bytes" in problem(client.post("/v1/alerts/a/ack", json={"note": "x" * 1100}), 413)["detail"]
        assert client.post("/v1/alerts/a/ack", json={"note": "x" * 900}).status_code == 200


@contextmanager
def serving(app: FastAPI) -> Iterator[int]:
    """A real server on a port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def test_a_request_that_takes_too_long_is_given_up_and_what_it_still_says_goes_nowhere(city: City) -> None:
    app = create_app(city.settings.model_copy(update={"request_seconds": 0.2}))
    go_on, said = threading.Event(), threading.Event()

    @app.get("/slow")
    def slow() -> str:
        go_on.wait(10)
        said.set()
        return "too late"

    @app.get("/long")
    async def long() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(5):
                await asyncio.sleep(0.1)
                yield b"part"

        return StreamingResponse(parts())

    with serving(app) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        answer = client.get("/slow")
        assert problem(answer, 503)["detail"] == "no answer within 0.2 s"
        assert answer.headers["Retry-After"]
        go_on.set()
        assert said.wait(10)
        assert client.get("/livez").json() == {"status": "alive"}, "the same connection goes on"
        assert client.get("/long").content == b"part" * 5, "an answer that has begun may take its time"


def test_a_body_that_stands_still_is_given_up_and_one_that_comes_slowly_is_not(city: City) -> None:
    app = create_app(city.settings.model_copy(update={"request_seconds": 0.5}))

    @app.post("/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    with serving(app) as port:
        for pause, status in ((0.1, b"200"), (3.0, b"408")):
            with closing(socket.create_connection(("127.0.0.1", port), 10)) as line:
                line.sendall(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
                for _ in range(10):
                    try:
                        line.sendall(b"x")
                    except OSError:  # it has hung up
                        break
                    line.settimeout(pause)
                    try:
                        told = line.recv(4096)
                        break
                    except TimeoutError:
                        pass
                else:
                    line.settimeout(10)
                    told = line.recv(4096)
                assert told.split()[1] == status
