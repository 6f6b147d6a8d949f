"""`kill -9` at any moment of an ingest, and a second try: as if it had been once."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, func, select, update

import service
from service.clock import Clock, parse_as_of
from service.intake.ingest import ingest, recover
from service.store.engine import reading, writing
from service.store.schema import count_changes, daily_counts, ingests, staged_tickets, tickets

ROOT = Path(service.__file__).parents[1]
BEIJING = ZoneInfo("Asia/Shanghai")
CLOCK = Clock(BEIJING, parse_as_of("2024-02-01", BEIJING))
POINTS = 20

# Has imported everything, and makes a child for each line it reads: the child brings a file in, in many small transactions.
NURSERY = """
import functools, json, os, signal, sys, time
from pathlib import Path
from zoneinfo import ZoneInfo
from service.clock import Clock, parse_as_of
from service.intake import files
from service.intake.ingest import ingest
from service.store import tickets
from service.store.engine import open_engine

zone = ZoneInfo("Asia/Shanghai")
files.PARQUET_ROWS = 150
tickets.apply = functools.partial(tickets.apply, batch=100)
for line in sys.stdin:
    url, path, killed_after = json.loads(line)
    child = os.fork()
    if child == 0:
        ingest(open_engine(url), Path(path), Clock(zone, parse_as_of("2024-02-01", zone)))
        os._exit(0)
    if killed_after is not None:
        time.sleep(killed_after)
        os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Nursery:
    """Starts an ingest in a process of its own, and kills it."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "ignore", "-c", NURSERY]
        self.process = subprocess.Popen(
            command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def ingest(self, engine: Engine, path: Path, killed_after: float | None = None) -> int:
        """The exit code; negative: of a signal."""
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps([str(engine.url), str(path), killed_after]), file=self.process.stdin)
        return int(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


def _files(folder: Path) -> tuple[Path, Path]:
    """Tickets, and a later file: some move, some are new, some stand in it twice, some are wrong."""
    numbers = np.arange(600)
    first = pd.DataFrame(
        {
            "ticket_id": numbers.astype(str),
            "created_at": pd.Timestamp("2024-01-01") + pd.to_timedelta(numbers, unit="h"),
            "district": np.array(["D1", "D2", "D3"])[numbers % 3],
            "category": np.array(["X", "Y"])[numbers % 2],
            "updated_at": pd.Timestamp("2024-01-28"),
            "status": "open",
        }
    )
    moved = first[numbers % 4 == 0].assign(district="D4", updated_at=pd.Timestamp("2024-01-29"))
    closed = first[numbers % 4 == 1].assign(status="closed", updated_at=pd.Timestamp("2024-01-30"))
    fresh = first.assign(ticket_id="n" + first["ticket_id"], category="Z")
    twice = fresh[numbers % 5 == 0].assign(district="D5", updated_at=pd.Timestamp("2024-01-31"))
    wrong = fresh[:20].assign(category="")
    paths = folder / "first.parquet", folder / "later.parquet"
    first.to_parquet(paths[0])
    pd.concat([moved, fresh, closed, wrong, twice]).sample(frac=1, random_state=1).to_parquet(paths[1])
    return paths


def _everything(engine: Engine) -> list[object]:
    changes = [column for column in count_changes.c if column.name not in ("id", "ingest_id")]
    stored = [column for column in tickets.c if column.name != "ingest_id"]
    with reading(engine) as conn:
        return [sorted(map(tuple, conn.execute(select(*columns))), key=str) for columns in (stored, changes, daily_counts.c)]


def test_a_file_killed_at_any_moment_and_brought_again_counts_once(scratch_engine: Callable[..., Engine], nursery: Nursery, tmp_path: Path) -> None:
    first, later = _files(tmp_path)
    once = scratch_engine(0)
    ingest(once, first, CLOCK)
    before = _everything(once)
    began = time.perf_counter()
    assert nursery.ingest(once, later) == 0
    whole = time.perf_counter() - began
    expected = _everything(once)
    assert expected != before

    moments = random.Random(1)
    points = half_way = 0
    while points < POINTS or (not half_way and points < 3 * POINTS):  # on a fast machine few moments lie in the writing itself
        points += 1
        engine = scratch_engine(1)
        ingest(engine, first, CLOCK)
        assert nursery.ingest(engine, later, moments.uniform(0, whole)) in (0, -signal.SIGKILL)
        half_way += _everything(engine) not in (before, expected)
        ingest(engine, later, CLOCK)
        assert _everything(engine) == expected
        with writing(engine) as conn:  # the dead process's lease has to run out first
            conn.execute(update(ingests).values(lease_until=datetime.now(UTC)))
        recover(engine, CLOCK)  # what the dead process left changes nothing, either
        assert _everything(engine) == expected
        with reading(engine) as conn:
            assert conn.execute(select(func.count()).select_from(staged_tickets)).scalar() == 0
    assert half_way  # else the moments were no test
