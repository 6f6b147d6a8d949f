"""Nights of a small city that MLflow is told of, and what it then knows."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from job_city import DAYS, City, counts, day
from mlflow.entities import Run
from processes import until

from experiments import spool, tracking
from service.jobs import nightly, tracked
from service.settings import Settings
from service.store import forecast_sets, runs
from service.store.engine import reading

MODELS = {"champion", "seasonal_naive", "four_week_mean", "usual_weeks", "loglinear"}  # that sixty days are long enough for


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


def broken_mlflow(folder: Path) -> str:
    """The address of an MLflow store that is none; it says so at once, where a dead server takes seconds."""
    (folder / "broken.db").write_bytes(b"this is no database" * 100)
    return f"sqlite:///{folder / 'broken.db'}"
