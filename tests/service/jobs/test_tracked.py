"""What MLflow is told of the nights: at once, later, in order, once; whatever happens to MLflow, a night is published in time."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from job_city import DAYS, OLD_WAYS_OF_MLFLOW, City, counts, day
from mlflow import MlflowClient
from mlflow.entities import Run
from processes import Bench, free_port, until

from experiments import over_time, registry, spool, tracking
from service.benchmarks.server import Server
from service.jobs import nightly, tracked
from service.settings import Settings
from service.store import forecast_sets, promised, runs
from service.store.engine import reading

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)

MODELS = {"champion", "seasonal_naive", "four_week_mean", "usual_weeks", "loglinear"}  # that sixty days are long enough for


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


def nights(uri: str) -> list[Run]:
    """The runs of nights, those begun first before the others; each has been seen to be complete."""
    client = tracking.connect(uri)
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    found = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
    parents = [run for run in found if run.data.tags["kind"] == "night"]
    for parent in parents:
        children = [run for run in found if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
        assert {run.data.tags["model"] for run in children} == MODELS
        assert len(children) == len(MODELS), "no child is there twice"
        assert {run.info.status for run in [parent, *children]} == {"FINISHED"}
        assert all({"city.WAPE", "weeks/city.WAPE", "series.skill"} <= set(run.data.metrics) for run in [parent, *children])
        names = {artifact.path for artifact in client.list_artifacts(parent.info.run_id)}
        assert names == {"model", "scores.csv", "week_scores.parquet", "series_scores.parquet", "backtest.parquet", "report.html"}
        assert len(client.search_model_versions(f"run_id = '{parent.info.run_id}'")) == 1
    assert len(found) == len(parents) * (1 + len(MODELS)), "no run is left over"
    return parents


def kept_id(city: City) -> str | None:
    """The run's id of the set that is published, which the ledger has as well."""
    with reading(city.engine) as conn:
        pointer, run = forecast_sets.pointer(conn), runs.latest(conn)
        assert pointer is not None
        assert run is not None
        assert forecast_sets.get(conn, pointer).mlflow_run_id == run.mlflow_run_id
        assert run.status == runs.DONE
    return run.mlflow_run_id


def night(city: City, n: int, **changes: object) -> tuple[Settings, float]:
    """Lets one day come in and trains; the settings, and how many seconds MLflow was waited for: on a busy machine drawing takes long."""
    settings = city.settings(day(DAYS + n), **changes)
    city.bring(counts(DAYS + n, first=DAYS + n), f"more{n}")
    began: dict[str, float] = {}
    written = 0.0

    def timed(*arguments: Any) -> Path:
        nonlocal written
        start = time.monotonic()
        folder = write(*arguments)
        written = time.monotonic() - start
        return folder

    write = spool.write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "write", timed)
        nightly.run(city.engine, settings, progress=lambda step: began.setdefault(step, time.monotonic()))
    with reading(city.engine) as conn:
        pointer = forecast_sets.pointer(conn)
        assert pointer is not None
        assert forecast_sets.get(conn, pointer).cutoff == day(DAYS + n)
    return settings, began["publishing"] - began["recording the run in MLflow"] - written


def send_all(city: City, settings: Settings) -> None:
    """Sends what a busy machine could not send within the patience of a night."""

    def nothing_waits() -> bool:
        tracked.replay(city.engine, settings)
        return not spool.waiting(settings.spool_dir)

    until("nothing waits", nothing_waits)


@pytest.fixture
def unseen(trained: City, made_once: Path) -> City:
    """A trained city whose MLflow knows of nothing."""
    shutil.rmtree(trained.folder / "mlflow")
    shutil.copytree(made_once / "bare" / "mlflow", trained.folder / "mlflow")
    return trained


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


@contextmanager
def hanging() -> Iterator[int]:
    """A port that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def take() -> None:
            try:
                while True:
                    taken.append(server.accept()[0])
            except OSError:
                return

        threading.Thread(target=take, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for connection in taken:
            connection.close()


def test_a_server_that_never_answers_costs_a_night_fifteen_seconds_at_most(unseen: City) -> None:
    with hanging() as port:
        _, seconds = night(unseen, 1, mlflow_tracking_uri=f"http://127.0.0.1:{port}")
    assert seconds < 15
    assert kept_id(unseen) is None
    settings = unseen.settings(day(DAYS + 1))
    until("nobody sends any more", lambda: tracked.replay(unseen.engine, settings) == 1)
    (run,) = nights(settings.tracking_uri)
    assert kept_id(unseen) == run.info.run_id


def test_nights_that_nobody_could_be_told_of_come_in_their_order_with_the_next(unseen: City) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    for n in (1, 2):
        settings, seconds = night(unseen, n, mlflow_tracking_uri=away)
        assert seconds < 15
        assert len(spool.waiting(settings.spool_dir)) == n
    settings, _ = night(unseen, 3)
    send_all(unseen, settings)
    found = nights(settings.tracking_uri)
    assert [run.data.tags["business_date"] for run in found] == [str(day(DAYS + n)) for n in (1, 2, 3)]
    client = tracking.connect(settings.tracking_uri)
    versions = {int(v.version): v.run_id for v in client.search_model_versions(f"name = '{registry.MODEL}'")}
    assert [versions[k] for k in sorted(versions)] == [run.info.run_id for run in found]
    assert client.get_model_version_by_alias(registry.MODEL, registry.CHAMPION).run_id == found[-1].info.run_id == kept_id(unseen)
    with reading(unseen.engine) as conn:
        told = {run.business_date: run.mlflow_run_id for run in runs.list_runs(conn)}
    assert [told[day(DAYS + n)] for n in (1, 2, 3)] == [run.info.run_id for run in found]


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


def test_a_run_that_was_asked_for_twice_is_there_once(unseen: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to a request got lost: the server has made the run, and whoever asked does not know."""
    begin = tracking.begin

    def lost(*arguments: object) -> str:
        begin(*arguments)  # type: ignore[arg-type]
        raise OSError("the line is dead")

    with monkeypatch.context() as patch:
        patch.setattr(tracking, "begin", lost)
        settings, _ = night(unseen, 1)
    begin(*_first_run(settings))
    assert tracked.replay(unseen.engine, settings) == 1
    assert len(nights(settings.tracking_uri)) == 1


def _first_run(settings: Settings) -> tuple[MlflowClient, str, tracking.Run, int]:
    """What a second request for the parent of the waiting night sends."""
    client = tracking.connect(settings.tracking_uri)
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT).experiment_id
    (made,) = client.search_runs([experiment])
    return client, experiment, tracking.Run(made.info.run_name, tags=made.data.tags), made.info.start_time


def test_what_is_no_night_is_put_aside_and_holds_up_no_other(unseen: City) -> None:
    settings, _ = night(unseen, 1, mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}")
    broken = settings.spool_dir / "20000101T000000.000000Z-00000000"
    broken.mkdir()
    (broken / "night.json").write_text('{"moment": 1, "runs": [{"unknown": 1}]}')
    assert tracked.replay(unseen.engine, unseen.settings(day(DAYS))) == 1
    assert (settings.spool_dir / "refused" / broken.name).is_dir()
    assert spool.waiting(settings.spool_dir) == []


def test_a_spool_that_cannot_be_written_does_not_stop_the_night(unseen: City) -> None:
    (unseen.folder / "mlflow" / "spool").write_text("in the way")
    night(unseen, 1)
    assert kept_id(unseen) is None


def test_a_night_whose_writer_died_is_not_sent_and_goes(unseen: City) -> None:
    settings = unseen.settings(day(DAYS))
    half = settings.spool_dir / ".20000101T000000.000000Z-00000000"
    half.mkdir(parents=True)
    assert spool.waiting(settings.spool_dir) == []
    night(unseen, 1)
    assert not half.exists()


def curve(settings: Settings, year: int, name: str) -> dict[int, float]:
    """What MLflow has of one metric of monitoring, by the day of the year; every point stands at the end of its day."""
    client = tracking.connect(settings.tracking_uri)
    experiment = client.get_experiment_by_name(over_time.EXPERIMENT)
    (run,) = client.search_runs([experiment.experiment_id], f"tags.kind = 'monitoring' and tags.year = '{year}'")
    points = client.get_metric_history(run.info.run_id, name)
    for point in points:
        end = settings.clock.end_of(date(year, 1, 1) + timedelta(days=point.step - 1))
        assert point.timestamp == end.timestamp() * 1000
    assert len({point.step for point in points}) == len(points), "a day is told once"
    return {point.step: point.value for point in points}


def test_what_monitoring_finds_is_a_curve_over_the_days_and_days_that_were_not_told_follow(unseen: City) -> None:
    for n in (1, 2):
        night(unseen, n, mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}")
    settings = unseen.settings(day(DAYS + 3))
    unseen.bring(counts(DAYS + 3, first=DAYS + 3), "more3")
    done = nightly.run(unseen.engine, settings)
    if done.mlflow_run_id is None:  # a busy machine could not send three nights in time
        tracked.monitored(unseen.engine, settings, done.cutoff)
    tracked.monitored(unseen.engine, settings, done.cutoff)
    found = curve(settings, 2025, "promised.series.wape")
    assert list(found) == [day(DAYS + n).timetuple().tm_yday for n in (1, 2, 3)]
    assert found[day(DAYS + 3).timetuple().tm_yday] == done.monitored["promised.series.wape"]
    with reading(unseen.engine) as conn:
        sums = promised.read(conn, day(1), day(DAYS + 1), ["series"])
    assert found[day(DAYS + 1).timetuple().tm_yday] == pytest.approx(sums["absolute"].item() / sums["actual"].item())
    assert set(curve(settings, 2025, "drift.category.psi")) >= set(found)


def test_monitoring_is_told_in_time_whatever_mlflow_does(unseen: City) -> None:
    with hanging() as port:
        settings = unseen.settings(day(DAYS), mlflow_tracking_uri=f"http://127.0.0.1:{port}")
        began = time.monotonic()
        tracked.monitored(unseen.engine, settings, day(DAYS))
        assert time.monotonic() - began < tracked.LEAST + 1


def test_an_experiment_that_somebody_deleted_comes_back(unseen: City) -> None:
    settings, _ = night(unseen, 1)
    send_all(unseen, settings)
    client = tracking.connect(settings.tracking_uri)
    client.delete_experiment(client.get_experiment_by_name(tracking.EXPERIMENT).experiment_id)
    night(unseen, 2)
    send_all(unseen, settings)
    assert len(nights(settings.tracking_uri)) == 2
