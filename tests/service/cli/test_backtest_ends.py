"""However `weisu backtest` is ended, its workers end with it and nothing is half written."""

import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from processes import Bench, until

DAYS = 700
CUTOFFS = ("2025-06-30", "2025-08-31", "2025-10-31", "2025-11-15")
WORKER = "spawn_main"  # in the command line of a spawned process
LEARNING = "lib_lightgbm"  # what a worker loads with its first cutoff


def workers(bench: Bench, stage: str) -> list[int]:
    """The workers that have come so far."""
    found = [pid for pid, command in bench.living().items() if WORKER in command]
    return [pid for pid in found if stage == "starting" or LEARNING in Path(f"/proc/{pid}/maps").read_text()]


@pytest.fixture(params=["starting", "learning"])
def at_work(bench: Bench, request: pytest.FixtureRequest) -> int:
    """The process of a backtest with its two workers."""
    rng = np.random.default_rng(3)
    dates = pd.date_range("2024-01-01", periods=DAYS)
    pairs = [(f"d{i}", f"c{j}") for i in range(8) for j in range(8)]
    parts = [pd.DataFrame({"district": d, "category": c, "date": dates, "count": rng.poisson(5, DAYS)}) for d, c in pairs]
    pd.concat(parts).to_parquet(bench.folder / "counts.parquet")
    process = bench.start("backtest", "--counts", "counts.parquet", "--cutoffs", ",".join(CUTOFFS), "--out", "out", workers=2)
    until(f"both workers are {request.param}", lambda: process.poll() is not None or len(workers(bench, request.param)) == 2)
    assert process.poll() is None, bench.said
    return process.pid


def all_end(bench: Bench) -> None:
    until("none is left", lambda: not bench.living(), 60)
    assert not (bench.folder / "out").exists()


def test_killed_it_leaves_no_worker(bench: Bench, at_work: int) -> None:
    os.kill(at_work, signal.SIGKILL)
    all_end(bench)


def test_told_to_stop_it_leaves_no_worker_and_one_line(bench: Bench, at_work: int) -> None:
    os.kill(at_work, signal.SIGTERM)
    all_end(bench)
    assert bench.said == "weisu: stopped\n"


def test_ctrl_c_leaves_no_worker_and_one_line(bench: Bench, at_work: int) -> None:
    for pid in bench.living():  # as a terminal does it: all of them
        os.kill(pid, signal.SIGINT)
    all_end(bench)
    assert bench.said == "weisu: stopped\n"
