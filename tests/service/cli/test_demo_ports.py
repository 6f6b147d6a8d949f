"""The demo's ports: those that somebody has chosen or none, and otherwise such as are free when they are needed."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import numpy as np
import pandas as pd
import pytest
from processes import Bench, free_port, until

DAYS = 40  # enough for baselines


@contextmanager
def taken(*ports: int) -> Iterator[None]:
    """Somebody listens on these ports."""
    with ExitStack() as stack:
        for port in ports:
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):  # another program of this machine has it: as good
                listener.bind(("127.0.0.1", port))
                listener.listen()
        yield


def start(bench: Bench, **settings: object) -> "subprocess.Popen[bytes]":
    """Starts a demo on a small file and returns once it is at work."""
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"district": "North", "category": "Heat", "date": pd.date_range("2025-01-06", periods=DAYS)})
    table.assign(count=rng.poisson(20, DAYS)).to_csv(bench.folder / "counts.csv", index=False)
    process = bench.start("demo", "--once", "--data", "counts.csv", "--country", "none", **settings)
    until("it trains", lambda: process.poll() is not None or "training" in bench.said)
    return process


def test_ports_that_are_taken_while_the_demo_works_are_left_to_who_took_them(bench: Bench) -> None:
    process = start(bench)
    with taken(8000, 5000):
        assert process.wait(120) == 0, bench.said
    assert json.loads((bench.folder / "out.txt").read_text())["status"]["last_run"]["status"] == "done"


@pytest.mark.parametrize("name", ["api_port", "mlflow_port"])
def test_a_chosen_port_that_is_taken_is_refused_before_the_work(bench: Bench, name: str) -> None:
    (bench.folder / "counts.csv").write_text("district,category,date,count\nNorth,Heat,2025-01-06,3\n")
    port = free_port()
    with taken(port):
        done = bench.run("demo", "--once", "--data", "counts.csv", **{name: port})
    assert done.returncode == 2
    assert done.stderr == f"weisu: 127.0.0.1: port {port} is in use; stop what uses it or set WEISU_{name.upper()} to another one\n"
    assert not (bench.folder / ".weisu").exists()


def test_a_chosen_port_that_is_taken_while_the_demo_works_is_refused_in_the_end(bench: Bench) -> None:
    port = free_port()
    process = start(bench, api_port=port)
    with taken(port):
        assert process.wait(120) == 2
    assert f"port {port} is in use" in bench.said.splitlines()[-1]
