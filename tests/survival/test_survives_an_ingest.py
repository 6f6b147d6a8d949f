"""The API is killed again and again while tickets come in, and has two hundred slow clients: nothing is lost, nothing counts twice, nobody waits."""

import json
import random
import signal
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from databases import Databases
from processes import Bench, free_port, until
from sqlalchemy import Engine, func, select
from town import Survived

from service.secret import of_keys
from service.settings import Settings
from service.store import areas, counts, keys
from service.store.engine import open_engine, reading, writing
from service.store.schema import count_changes, tickets, waiting_ingests

POINTS = 20
ROWS, AGAIN = 6_000, 200  # tickets of a body, the last of which are the first of the body before
CLOCK = "2025-11-09T12:00:00+08:00"
NDJSON = "application/x-ndjson"


def body(point: int) -> bytes:
    """The tickets of a point; some are those of the point before, sent once more."""
    first = point * ROWS - (AGAIN if point else 0)
    rows = (
        {"ticket_id": f"{n}", "created_at": f"2025-11-{1 + n % 8:02}T08:00", "district": f"D{n % 7}", "category": "X"}
        for n in range(first, (point + 1) * ROWS)
    )
    return "\n".join(json.dumps(row) for row in rows).encode()


class Sender:
    """A hotline's system with an API to send to, which may be killed at any time."""

    def __init__(self, bench: Bench, url: str, **settings: object) -> None:
        self.bench, self.port = bench, free_port()
        self.settings = {"as_of": CLOCK, "intake_rows_at_once": 50_000, "api_port": self.port, "database_url": url} | settings
        self.engine = open_engine(url)
        with writing(self.engine) as conn:
            areas.join(conn, {"D0": "ALL"}, datetime.now(UTC))
            key = keys.create(conn, "sender", ["tickets:write"], None, datetime.now(UTC), secret=of_keys(Settings(data_dir=bench.folder / ".weisu")))
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": NDJSON}
        self.start()

    def start(self) -> None:
        self.api = self.bench.start("api", **self.settings)
        until("the API answers", self.answers)

    def answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/livez", timeout=1, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def send(self, name: str, content: Any) -> httpx.Response:
        headers = self.headers | {"Idempotency-Key": name}
        return httpx.post(f"http://127.0.0.1:{self.port}/v1/tickets", content=content, headers=headers, timeout=300, trust_env=False)

    def send_until_counted(self, name: str, content: bytes) -> dict[str, Any]:
        """Sends a request again until its answer says that all is counted; the leases of dead processes run out at once."""
        with writing(self.engine) as conn:
            conn.execute(waiting_ingests.update().values(lease_until=datetime.now(UTC) - timedelta(seconds=1)))
        found: list[dict[str, Any]] = []

        def counted() -> bool:
            answer = self.send(name, content)
            assert answer.status_code in (200, 202, 409), answer.text
            if answer.status_code == 200:
                found.append(answer.json())
            return bool(found)

        until("the request is counted", counted)
        return found[0]

    def stop(self) -> None:
        self.api.terminate()
        self.api.wait()
        self.engine.dispose()


def one(engine: Engine, query: Any) -> int:
    with reading(engine) as conn:
        return int(conn.execute(query).scalar() or 0)


def stored(engine: Engine) -> tuple[int, int, int]:
    """Tickets, the sum of their journal, and the sum of the daily counts."""
    rows = one(engine, select(func.count()).select_from(tickets))
    journal = one(engine, select(func.sum(count_changes.c.delta)))
    with reading(engine) as conn:
        return rows, journal, int(counts.daily(conn)["count"].sum())


@pytest.fixture
def url(databases: Databases) -> Any:
    yield databases.fresh()
    databases.put_away()


def test_an_api_killed_at_any_moment_of_an_ingest_loses_nothing_and_counts_nothing_twice(bench: Bench, url: str, survived: Survived) -> None:
    sender = Sender(bench, url)
    began = time.monotonic()
    assert sender.send_until_counted("0", body(0))["added"] == ROWS
    seconds = time.monotonic() - began  # that a request takes; the first one takes longer than those after it
    moments = random.Random(7)
    lost = 0
    for point in range(1, POINTS + 1):
        content, whole = body(point), []

        def send(name: str = str(point), content: bytes = content, whole: list[float] = whole) -> None:
            began = time.monotonic()
            with suppress(httpx.TransportError):
                sender.send(name, content)
                whole.append(time.monotonic() - began)

        thread = threading.Thread(target=send)
        thread.start()
        time.sleep(moments.uniform(0, seconds))
        sender.api.send_signal(signal.SIGKILL)
        sender.api.wait()
        thread.join()
        lost += not whole
        seconds = min([seconds, *whole])
        sender.start()
        done = sender.send_until_counted(str(point), content)
        assert (done["added"], done["unchanged"]) == (ROWS, AGAIN)
        assert stored(sender.engine) == ((point + 1) * ROWS,) * 3
    assert lost >= POINTS // 2, f"the moments were no test: only {lost} answers were lost"
    sender.stop()
    survived(f"killed at {POINTS} moments, {lost} answers lost, {(POINTS + 1) * ROWS:,} tickets counted once each")


def test_clients_that_trickle_or_do_not_read_hold_nobody_up(bench: Bench, url: str, survived: Survived) -> None:
    sender = Sender(bench, url)
    sender.send_until_counted("0", body(0))
    slow: list[socket.socket] = []
    head = f"Authorization: {sender.headers['Authorization']}\r\nHost: x\r\n"
    for number in range(200):
        connection = socket.create_connection(("127.0.0.1", sender.port))
        slow.append(connection)
        if number % 3 == 0:  # half a head
            connection.sendall(b"GET /v1/status HTTP/1.1\r\nHost: ")
        elif number % 3 == 1:  # half a body
            connection.sendall(f"POST /v1/tickets HTTP/1.1\r\n{head}Content-Type: {NDJSON}\r\nContent-Length: 1000\r\n\r\n{{".encode())
        else:  # an answer that nobody takes
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(f"GET /openapi.json HTTP/1.1\r\n{head}\r\n".encode() * 20)
    waits = []
    for number in range(50):
        for connection in slow[1::3]:
            connection.send(b" ")
        began = time.monotonic()
        content = f'{{"ticket_id":"s{number}","created_at":"2025-11-08","district":"D1","category":"X"}}'
        assert sender.send(f"s{number}", content).status_code == 200
        assert sender.answers()
        waits.append(time.monotonic() - began)
    for connection in slow:
        connection.close()
    assert max(waits) < 2.0
    assert sender.answers()
    assert stored(sender.engine)[0] == ROWS + 50
    sender.stop()
    survived(f"200 slow clients; the others waited {max(waits):.2f} s at most")
