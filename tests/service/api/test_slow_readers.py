"""Who asks for a large file and does not read it: a real server over both kinds of database."""

import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime

import httpx
import pandas as pd
import pytest
from api_city import ZONE
from databases import Databases
from processes import Bench, free_port, until
from sqlalchemy import Engine, make_url

from service.secret import of_keys
from service.settings import Settings
from service.store import areas, categories, counts, ingests, keys
from service.store.engine import open_engine, writing

NOW = datetime(2025, 11, 9, 7, 30, tzinfo=ZONE)
DISTRICTS = [f"D{n:03}" for n in range(150)]
TOPIC = "X" * 150  # a row is long, and the file of 60,000 is more than the system's own buffers hold
SECONDS = 2.0
"""What the server waits for somebody to read on."""


@pytest.fixture
def url(databases: Databases) -> str:
    """A database with the counts of four hundred days in many districts: an export of several blocks."""
    url = databases.fresh()
    engine = open_engine(url)
    days = pd.date_range(end="2025-11-08", periods=400)
    cells = pd.MultiIndex.from_product([DISTRICTS, [TOPIC], days], names=["area", "category", "day"]).to_frame(index=False).assign(count=3)
    moments = cells["day"].dt.tz_localize(ZONE).dt.tz_convert("UTC").astype("datetime64[us, UTC]")
    cells = cells.astype({"day": "datetime64[us]"}).assign(hour=moments, received_at=moments + pd.Timedelta(hours=24))
    with writing(engine) as conn:
        areas.join(conn, dict.fromkeys(DISTRICTS, "ALL"), NOW)
        categories.join(conn, {TOPIC: "ALL"}, NOW)
        ingest = ingests.begin(conn, "counts", "counts.csv", NOW)
        counts.set_baseline(conn, ingest, cells, NOW)
        ingests.finish(conn, ingest, NOW)
    engine.dispose()
    return url


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """The test's own way to the same database."""
    engine = open_engine(url)
    yield engine
    engine.dispose()


def moment_is_held(url: str, engine: Engine) -> Callable[[], bool]:
    """Asks whether somebody holds on to how the database was before a change."""
    if engine.dialect.name == "postgresql":
        idle = "select count(*) from pg_stat_activity where datname = current_database() and state = 'idle in transaction'"

        def held() -> bool:
            with engine.connect() as conn:
                return conn.exec_driver_sql(idle).scalar_one() > 0

        return held

    def busy() -> bool:
        with writing(engine) as conn:
            conn.exec_driver_sql("update areas set population = coalesce(population, 0) + 1")
        with closing(sqlite3.connect(f"{make_url(url).database}", timeout=0)) as conn:
            (busy, *_) = conn.execute("pragma wal_checkpoint(truncate)").fetchone()
            return bool(busy)

    return busy


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_an_export_that_nobody_reads_is_ended_and_its_moment_let_go(url: str, engine: Engine, bench: Bench, form: str) -> None:
    settings = {"as_of": NOW.isoformat(), "database_url": url, "api_port": free_port(), "request_seconds": SECONDS}
    with writing(engine) as conn:
        key = keys.create(conn, "reader", ["forecasts:read"], None, datetime.now(UTC), secret=of_keys(Settings(data_dir=bench.folder / ".weisu")))
    api, headers = bench.start("api", **settings), {"Authorization": f"Bearer {key}"}
    at = f"http://127.0.0.1:{settings['api_port']}"
    until("the API answers", lambda: answers(at))
    held = moment_is_held(url, engine)
    path = f"/v1/counts?from=2024-10-05&to=2025-11-08&format={form}"
    with closing(socket.socket()) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", settings["api_port"]))
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {headers['Authorization']}\r\n\r\n".encode())
        assert line.recv(1), "its head is out"
        until("the export stands still", lambda: all(held() for _ in range(10)), 30)  # others read, too, for a moment
        until("its moment is let go", lambda: not held(), 10 * SECONDS)
        until("the API has told it", lambda: "answer.not_taken" in bench.said, 10)
        assert not rest(line).endswith(b"\r\n0\r\n\r\n"), "it breaks off, and is not taken for the whole"
    with httpx.stream("GET", at + path, headers=headers, timeout=60, trust_env=False) as slow:
        assert sum(len(part.splitlines()) for part in slow.iter_lines() if part) >= len(DISTRICTS) * 400, "who reads gets all of it"
    assert "Traceback" not in bench.said
    api.terminate()
    api.wait(30)


def rest(line: socket.socket) -> bytes:
    """All that still comes until the other side ends."""
    found = bytearray()
    line.settimeout(30)
    with suppress(ConnectionResetError):
        while part := line.recv(1 << 16):
            found += part
    return bytes(found)


def answers(at: str) -> bool:
    try:
        return httpx.get(f"{at}/livez", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
