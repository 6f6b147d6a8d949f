"""MLflow is killed, hangs or moves, and so does whoever sends to it: a night is published in time, and MLflow has it once, later."""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import httpx
import pytest
from job_city import DAYS, OLD_WAYS_OF_MLFLOW, City, day
from mlflow_nights import hanging, kept_id, night, nights, send_all
from processes import Bench, free_port, until

from experiments import spool, tracking
from service.benchmarks.server import Server
from service.jobs import tracked
from service.store import runs
from service.store.engine import reading

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)


def serve(bench: Bench, folder: Path, port: int, **settings: object) -> None:
    """Starts `weisu mlflow` and waits until it answers."""
    bench.start("mlflow", data_dir=folder, mlflow_port=port, **settings)

    def answers() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/health", timeout=2, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    until("MLflow answers", answers)


def kill_all(bench: Bench) -> None:
    """Kills every process of the bench as a machine that loses its power does."""
    for pid in bench.living():
        os.kill(pid, signal.SIGKILL)
    until("they are gone", lambda: not bench.living())


def after(calls: int, happens: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets something happen when so many steps of sending a night are done."""
    done = 0

    def counted(step: Callable[..., object]) -> Callable[..., object]:
        def stepped(*arguments: object) -> object:
            nonlocal done
            result = step(*arguments)
            done += 1
            if done == calls:
                happens()
            return result

        return stepped

    for name in ("begin", "fill", "end", "register"):
        monkeypatch.setattr(tracking, name, counted(getattr(tracking, name)))


@pytest.mark.parametrize("steps", [1, 5, 18])
def test_a_server_killed_in_the_middle_has_the_night_once_and_whole_later(
    unseen: City, bench: Bench, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    port = free_port()
    serve(bench, unseen.folder, port)
    with monkeypatch.context() as patch:
        after(steps, lambda: kill_all(bench), patch)
        settings, seconds = night(unseen, 1, mlflow_tracking_uri=f"http://127.0.0.1:{port}")
    assert not bench.living(), "it was killed on the way"
    assert seconds < 15
    assert kept_id(unseen) is None
    assert len(spool.waiting(settings.spool_dir)) == 1

    serve(bench, unseen.folder, port)
    assert tracked.replay(unseen.engine, settings) == 1
    assert tracked.replay(unseen.engine, settings) == 0
    (run,) = nights(settings.tracking_uri)
    assert kept_id(unseen) == run.info.run_id
    assert spool.waiting(settings.spool_dir) == []
    kill_all(bench)


def test_an_mlflow_over_postgresql_takes_a_night_that_waited_and_the_next_one(unseen: City, bench: Bench, postgresql: Server) -> None:
    postgresql.run("create database nights")
    store, port = postgresql.address("nights"), free_port()
    serve(bench, unseen.folder, port, mlflow_tracking_uri=store)
    night(unseen, 1, mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}")
    done = bench.run("mlflow", "--send", data_dir=unseen.folder, timezone="UTC", country="none", mlflow_tracking_uri=store)
    assert "sent 1 night; 0 still wait" in done.stderr
    settings, seconds = night(unseen, 2, mlflow_tracking_uri=f"http://127.0.0.1:{port}")
    assert seconds < 15
    send_all(unseen, settings)
    for uri in (store, settings.tracking_uri):
        found = nights(uri)
        assert [run.data.tags["business_date"] for run in found] == [str(day(DAYS + n)) for n in (1, 2)]
    assert kept_id(unseen) == found[-1].info.run_id
    with reading(unseen.engine) as conn:
        told = {run.business_date: run.mlflow_run_id for run in runs.list_runs(conn)}
    assert told[day(DAYS + 1)] == found[0].info.run_id
    kill_all(bench)


def test_a_server_that_never_answers_costs_a_night_fifteen_seconds_at_most(unseen: City) -> None:
    with hanging() as port:
        _, seconds = night(unseen, 1, mlflow_tracking_uri=f"http://127.0.0.1:{port}")
    assert seconds < 15
    assert kept_id(unseen) is None
    settings = unseen.settings(day(DAYS + 1))
    until("nobody sends any more", lambda: tracked.replay(unseen.engine, settings) == 1)
    (run,) = nights(settings.tracking_uri)
    assert kept_id(unseen) == run.info.run_id


def begun(process: "subprocess.Popen[bytes]", database: Path, number: int) -> bool:
    """Whether so many runs are begun, or the process has ended."""
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        return process.poll() is not None or int(connection.execute("SELECT count(*) FROM runs").fetchone()[0]) >= number


def test_whoever_sends_may_be_killed_again_and_again(unseen: City, bench: Bench) -> None:
    settings, _ = night(unseen, 1, mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}")
    database = unseen.folder / "mlflow" / "mlflow.db"
    for number in (1, 3):
        process = bench.start("mlflow", "--send", data_dir=unseen.folder, timezone="UTC", country="none")
        until("some runs are begun", partial(begun, process, database, number))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert len(spool.waiting(settings.spool_dir)) == 1
    done = bench.run("mlflow", "--send", data_dir=unseen.folder, timezone="UTC", country="none")
    assert "sent 1 night; 0 still wait" in done.stderr
    (run,) = nights(unseen.settings(day(DAYS)).tracking_uri)
    assert kept_id(unseen) == run.info.run_id
