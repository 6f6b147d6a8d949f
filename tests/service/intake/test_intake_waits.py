"""While a large file comes in, the others go on with their work."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from sqlalchemy import Engine

import service
from service.store import counts, ingests
from service.store.engine import reading, writing

ROOT = Path(service.__file__).parents[1]
ROWS = 300_000  # applied in one piece they would hold the writer for three seconds and more
LONGEST = 2.0  # seconds; the benchmark of the intake measures the one second that is promised, this test finds a lock for the whole file
NOW = datetime(2024, 2, 1, tzinfo=UTC)

BRING = """
import json, sys
from pathlib import Path
from zoneinfo import ZoneInfo
from service.clock import Clock, parse_as_of
from service.intake.ingest import ingest
from service.store.engine import open_engine

url, path = json.loads(sys.argv[1])
zone = ZoneInfo("Asia/Shanghai")
print(ingest(open_engine(url), Path(path), Clock(zone, parse_as_of("2024-02-01", zone))).added)
"""


def test_neither_a_writer_nor_a_reader_waits_for_a_large_file(engine: Engine, tmp_path: Path) -> None:
    numbers = np.arange(ROWS)
    frame = pd.DataFrame({"ticket_id": numbers, "created_at": pd.Timestamp("2023-01-01") + pd.to_timedelta(numbers * 100, unit="s")})
    districts, topics = np.array([f"D{i}" for i in range(16)]), np.array([f"X{i}" for i in range(28)])
    frame.assign(district=districts[numbers % 16], category=topics[numbers % 27]).to_parquet(tmp_path / "a.parquet")
    with writing(engine) as conn:
        mine = ingests.begin(conn, "drivers", "of somebody else", NOW - timedelta(days=1))
    command = [sys.executable, "-c", BRING, json.dumps([str(engine.url), str(tmp_path / "a.parquet")])]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True)
    waits: dict[str, list[float]] = {"write": [], "read": []}
    seen: list[int] = []
    while process.poll() is None:
        began = time.perf_counter()
        with writing(engine) as conn:
            ingests.advance(conn, mine, ingests.Totals(added=1))
        written = time.perf_counter()
        with reading(engine) as conn:
            seen.append(int(counts.daily(conn, start=date(2023, 1, 1), end=date(2023, 3, 31))["count"].sum()))
        waits["write"].append(written - began)
        waits["read"].append(time.perf_counter() - written)
        time.sleep(0.01)
    out, _ = process.communicate()
    assert (process.returncode, out.strip()) == (0, str(ROWS))
    assert max(waits["write"]) < LONGEST
    assert max(waits["read"]) < LONGEST
    with reading(engine) as conn:
        assert ingests.get(conn, mine).added == len(waits["write"])
        assert int(counts.daily(conn)["count"].sum()) == ROWS
    assert seen == sorted(seen)
    assert seen[0] == 0
