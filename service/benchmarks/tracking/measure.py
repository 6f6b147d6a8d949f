"""One night's recording, timed, in a process of its own as a trainer is one: what it loads and draws for the first time counts."""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine

from experiments import spool
from experiments.night import Night
from service.benchmarks.tracking import nights
from service.settings import Settings
from service.store import engine, forecast_sets, runs

HELD_UP = 90.0  # seconds after which a night that waits in the spool is not waited for
LOOK = 0.1  # seconds between two tries to send what one that gave up is still sending
OWNER, LEASE = "benchmark", timedelta(hours=1)


@dataclass(frozen=True)
class Recorded:
    """What a recording took.

    Attributes:
        waited: seconds for which the night could not go on, loading MLflow's library included.
        total: seconds until MLflow had all of it, NaN if it never did.
        writing: seconds of both for loading, drawing and writing.
        runs: that MLflow has more than before.
        mb: of files that MLflow keeps of it.
        files: their number.
        left: nights that wait in the spool.
    """

    waited: float
    total: float
    writing: float
    runs: int
    mb: float
    files: int
    left: int


def record(path: Path, uri: str, folder: Path, artifacts: Path, refused: bool, well: bool) -> Recorded:
    """Records a night.

    Args:
        path: of the night, see `nights`.
        uri: of MLflow.
        folder: the service's data, kept from one night to the next.
        artifacts: where MLflow keeps files.
        refused: the gate refused the candidate, and the recipe that is served was trained, too.
        well: whether MLflow takes it, so that it is worth waiting for.
    """
    night = nights.load(path)
    settings = Settings(data_dir=folder, mlflow_tracking_uri=uri, timezone="Asia/Shanghai")
    engine.upgrade(settings.store_url)
    db = engine.open_engine(settings.store_url)
    run_id, date = _begin(db, settings, night)
    tags = {"business_date": date, "ledger_run": f"{run_id}", "gate": "passed", "gate_failed": "", "let_in": "true"}
    made = [(night, tags)]
    if refused:
        made = [(night, tags | {"gate": "failed", "gate_failed": "baselines", "let_in": "false"}), (night, tags)]
    before = _there(artifacts)
    began = time.monotonic()
    from service.jobs import tracked  # the first to load MLflow

    loading = time.monotonic() - began
    with _listening(tracked.__name__) as heard:
        tracked.record(db, settings, made)
    waited = time.monotonic() - began
    while well and spool.waiting(settings.spool_dir) and time.monotonic() - began < HELD_UP:
        tracked.replay(db, settings)
        time.sleep(LOOK)
    left = len(spool.waiting(settings.spool_dir))
    total = float("nan") if left else time.monotonic() - began
    sizes = [size for file, size in _there(artifacts).items() if file not in before]
    return Recorded(waited, total, loading + heard.seconds, _runs(settings, date) if well else 0, sum(sizes) / 1e6, len(sizes), left)


def _begin(db: Engine, settings: Settings, night: Night) -> tuple[int, str]:
    """Begins a night in the ledger: its number and date. Before the first one the same forecasts are published, which its report compares it with."""
    known, forecasts, now = night.champion.backtested.known, night.forecast_set, settings.clock.now()
    with engine.writing(db) as conn:
        nights_before = len(runs.list_runs(conn))
        if nights_before == 0:
            first = runs.start(conn, known.cutoff.date(), OWNER, now, LEASE)
            row = {"run_id": first, "mlflow_run_id": None, "cutoff": known.cutoff.date(), "horizon": night.champion.backtested.horizon}
            forecast_sets.publish(conn, **row, rows=len(forecasts.frame), blob=forecasts.to_parquet(), issued_at=now)
            runs.succeed(conn, first, now, None, {"scores": night.scores.round(4).to_dict("records")})
        date = (known.cutoff + timedelta(days=max(nights_before, 1))).date()
        return runs.start(conn, date, OWNER, now, LEASE), f"{date}"


def _runs(settings: Settings, date: str) -> int:
    from experiments import tracking

    client = tracking.connect(settings.tracking_uri)
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    return len(client.search_runs([experiment.experiment_id], f"tags.business_date = '{date}'"))


def _there(artifacts: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in artifacts.rglob("*") if path.is_file()}


class _Listener(logging.Handler):
    """Hears how long the writing took."""

    seconds = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "mlflow.told":
            self.seconds = float(record.__dict__["written_s"])


@contextmanager
def _listening(name: str) -> Iterator[_Listener]:
    log, heard, before = logging.getLogger(name), _Listener(), logging.getLogger(name).level
    log.addHandler(heard)
    log.setLevel(logging.INFO)
    try:
        yield heard
    finally:
        log.removeHandler(heard)
        log.setLevel(before)


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    path, folder, artifacts = (Path(asked[name]) for name in ("path", "folder", "artifacts"))
    print(json.dumps(asdict(record(path, asked["uri"], folder, artifacts, asked["refused"], asked["well"]))))
