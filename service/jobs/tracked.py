"""What MLflow is told of the nights: it lies in the spool first, and our store learns the run's id whenever MLflow has taken it.

What monitoring finds needs no spool: it stands in our store, from which days that were not told are told later.
"""

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pandas as pd
from sqlalchemy import Engine

from experiments import over_time, recipes, retention, spool, tracking
from experiments import record as content
from experiments.night import Night
from experiments.report import Before, Verdict
from experiments.spool import Sent
from forecasting.errors import InputError
from forecasting.forecast_set import ForecastSet
from service.jobs import aliases, monitoring
from service.settings import Settings
from service.store import engine, forecast_sets, runs

PATIENCE = 12.0  # seconds that MLflow costs a night at most, the writing of the files included; below 15 whatever the last step does
LEAST = 3.0  # seconds that MLflow has in any case, however long the writing took; and those for what came of it, when the others are used up
ATTEMPTS = 100  # at work back to which it is told what came of them: those of the nights that may wait in the spool, and of some that failed

log = logging.getLogger(__name__)


def record(
    db: Engine, settings: Settings, made: Sequence[tuple[Night, Mapping[str, str]]], verdicts: Sequence[Verdict | None] | None = None
) -> list[str | None]:
    """Puts what a night made into the spool and sends what waits there; returns the run ids, None where MLflow has not taken one in time.

    Args:
        made: trainings, with what is known of each besides: business date, the ledger's run (`ledger_run`), the gate's result, whether it was
            `let_in` (true if left out) or made in `shadow` (false if left out). The first one's members have runs of their own,
            its report has pictures.
        verdicts: what the gate said of each, for the reports; None: it was not asked.
    """
    began = time.monotonic()
    folders: list[Path | None] = []
    before = _before(db)
    for number, ((result, tags), verdict) in enumerate(zip(made, verdicts or [None] * len(made), strict=True)):
        try:
            first = number == 0
            told = content.runs(result, tags, members=first and tags.get("shadow") != "true")
            folders.append(spool.write(settings.spool_dir, told, partial(content.save, result, before, first, verdict)))
        except Exception as error:  # noqa: BLE001  a full disk, a picture that cannot be drawn: a forecast is worth more than its record
            log.error("spool.not_written", extra={"reason": f"{type(error).__name__}: {error}"[:300]})
            folders.append(None)
    written = time.monotonic() - began
    sent = spool.replay_within(max(PATIENCE - written, LEAST), settings.spool_dir, settings.tracking_uri, settings.mlflow_dir / "artifacts")
    _note(db, sent)
    log.info("mlflow.told", extra={"written_s": round(written, 2), "sent_s": round(time.monotonic() - began - written, 2), "taken": len(sent)})
    ids = {one.folder: one.run_id for one in sent}
    return [None if folder is None else ids.get(folder) for folder in folders]


def replay(db: Engine, settings: Settings) -> int:
    """Sends the nights that wait, in order; how many MLflow has taken."""
    number = 0
    for one in spool.replay(settings.spool_dir, settings.tracking_uri, settings.mlflow_dir / "artifacts"):
        _note(db, [one])
        number += 1
    if number:
        _tell(db, settings, None)
    return number


def afterwards(db: Engine, settings: Settings, until: date | None = None, seconds: float = LEAST) -> None:
    """Tells what came of what was recorded: the aliases, attempts that failed after they were recorded, and (up to a day) earlier promises.

    It comes back in time whatever MLflow does. What is not told, the next night tells.
    """
    thread = threading.Thread(target=_tell, args=(db, settings, until), name="afterwards", daemon=True)
    thread.start()
    thread.join(max(seconds, LEAST))


def tidy(db: Engine, settings: Settings) -> int:
    """Removes what MLflow keeps of nights that are older than the history that is kept, and that no published set and no alias points to; how many
    runs.

    Raises:
        InputError: MLflow cannot be reached.
    """
    with engine.reading(db) as conn:
        published = forecast_sets.published_runs(conn)
    before = settings.clock.end_of(settings.history_from - timedelta(days=1))
    try:
        return retention.tidy(settings.tracking_uri, settings.mlflow_dir / "artifacts", before, published)
    except tracking.FAILURES as error:
        raise InputError(
            f"MLflow does not do it: {tracking.reason(error)}", "WEISU_MLFLOW_TRACKING_URI", "the housekeeping of tomorrow tries again"
        ) from None


def _tell(db: Engine, settings: Settings, until: date | None) -> None:
    """As `afterwards`, however long it takes."""
    try:
        aliases.follow(db, settings)
        _disown(db, settings)
        if until is not None:
            _monitored(db, settings, until)
    except tracking.FAILURES as error:
        log.warning("afterwards.not_told", extra={"reason": tracking.reason(error)})


def _disown(db: Engine, settings: Settings) -> None:
    """Tells of the attempts that failed after they were recorded; the gate had let them in, and they would stand there as if they were served."""
    with engine.reading(db) as conn:
        failed = runs.recorded_failures(conn, ATTEMPTS)
    if not failed:
        return
    client = tracking.connect(settings.tracking_uri)
    experiment = tracking.experiment_id(client, settings.tracking_uri, settings.mlflow_dir / "artifacts", tracking.EXPERIMENT)
    for run in failed:
        tags = {"ledger_run": f"{run.id}", "business_date": f"{run.business_date}"}
        status = "KILLED" if run.error == runs.LEASE_RAN_OUT else "FAILED"
        tracking.nothing_came_of(client, experiment, tags, status, run.error or "")


def _monitored(db: Engine, settings: Settings, until: date) -> None:
    """Tells what became of earlier promises, day by day, up to one."""

    def numbers(day: date) -> dict[str, float]:
        with engine.reading(db) as conn:
            return monitoring.numbers(conn, settings, day)

    over_time.tell(settings.tracking_uri, settings.mlflow_dir / "artifacts", until, numbers, settings.clock.end_of)


def _note(db: Engine, sent: Iterable[Sent]) -> None:
    for one in sent:
        with engine.writing(db) as conn:
            let_in, shadow = (one.tags.get(name, default) == "true" for name, default in (("let_in", "true"), ("shadow", "false")))
            runs.tracked(conn, int(one.tags["ledger_run"]), one.run_id, date.fromisoformat(one.tags["known_until"]), let_in, shadow)
        spool.forget(one.folder)


def _before(db: Engine) -> Before | None:
    """The night whose forecasts are published."""
    with engine.reading(db) as conn:
        pointer = forecast_sets.pointer(conn)
        if pointer is None:
            return None
        published = forecast_sets.get(conn, pointer)
        run = runs.of(conn, published.run_id)
    try:
        forecasts = ForecastSet.from_parquet(published.blob).frame
    except InputError:
        return None
    recipe = recipes.load().mapping() if published.recipe is None else published.recipe  # before recipes were kept there was the default one alone
    return Before(f"{run.business_date}", pd.DataFrame((run.scores or {}).get("scores", [])), forecasts, recipe)
