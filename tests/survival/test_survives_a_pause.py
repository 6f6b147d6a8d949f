"""A process is suspended in the middle of writing, as with its container: it keeps the others from it for a minute, not for ever."""

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from databases import Databases, PostgresqlDatabases
from processes import Bench, until
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import OperationalError
from town import Survived

from service.store import areas, counts
from service.store.engine import ADVISORY_LOCK, PAUSE, WAIT, open_engine, reading, writing
from service.store.schema import tickets

ROWS = 120_000
BESIDE = 15.0  # seconds that a busy machine may add
STATE = f"""SELECT state FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted
    AND (classid::bigint << 32) + objid::bigint = {ADVISORY_LOCK}"""


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    if not isinstance(databases, PostgresqlDatabases):
        pytest.skip("SQLite's lock is a file's: no server can take it from a process")
    yield databases.fresh()
    databases.put_away()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = open_engine(url)
    yield made
    made.dispose()


def idle_with_the_lock(engine: Engine) -> bool:
    """Whether the server waits for whoever holds the writers' lock."""
    with reading(engine) as conn:
        return conn.execute(text(STATE)).scalar() == "idle in transaction"


def write(engine: Engine) -> None:
    with writing(engine) as conn:
        areas.join(conn, {"D0": "ALL"}, datetime.now(UTC))


def test_a_writer_that_is_suspended_loses_its_turn_and_what_it_sent_can_be_sent_again(
    engine: Engine, url: str, bench: Bench, tmp_path: Path, survived: Survived
) -> None:
    rows = (f"{n},2025-11-{1 + n % 8:02}T08:00,D{n % 7},X" for n in range(ROWS))
    (tmp_path / "tickets.csv").write_text("\n".join(["ticket_id,created_at,district,category", *rows]))
    settings = {"database_url": url, "as_of": "2025-11-09T12:00:00+08:00"}
    process = bench.start("ingest", str(tmp_path / "tickets.csv"), **settings)
    tries = 0
    while True:  # until it is caught between two statements of a transaction
        time.sleep(0.02)
        assert process.poll() is None, f"it was over before, after {tries} tries: {bench.said}"
        os.kill(process.pid, signal.SIGSTOP)
        stopped = time.monotonic()
        time.sleep(0.05)  # the server ends what it is at
        if idle_with_the_lock(engine):
            break
        tries += 1
        os.kill(process.pid, signal.SIGCONT)
    with pytest.raises(OperationalError, match="lock timeout"):
        write(engine)
    until("its transaction is undone", lambda: not idle_with_the_lock(engine), PAUSE + BESIDE)
    undone = time.monotonic() - stopped
    assert undone > WAIT
    write(engine)
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(60) == 1
    assert "the database failed meanwhile" in bench.said, bench.said  # the server's own words reach whoever is not just sending something
    assert "run the command again" in bench.said
    assert bench.run("ingest", str(tmp_path / "tickets.csv"), **settings).returncode == 0
    with reading(engine) as conn:
        assert conn.execute(select(func.count()).select_from(tickets)).scalar_one() == ROWS
        assert int(counts.daily(conn)["count"].sum()) == ROWS
    survived(f"a writer stopped in a transaction was undone after {undone:.0f} s; then all wrote, and its file, sent again, counted once")
