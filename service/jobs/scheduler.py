"""The scheduler: one process that starts the trainer every night, makes up for a missed night, and watches new data.

What is due is read from the ledger and never from the scheduler's own memory: a killed, missed or doubled run heals itself.
"""

import fcntl
import logging
import subprocess
import sys
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import IO

from apscheduler.schedulers.blocking import BlockingScheduler
from sqlalchemy import Engine

from forecasting.errors import InputError
from service.settings import Settings
from service.store import counts, engine, ingests, runs

RECONCILE_EVERY = timedelta(minutes=5)
LOOK_EVERY = timedelta(seconds=5)  # how soon a new ingest is watched
ATTEMPTS = 3  # a night that failed three times needs a person
BACK_OFF = timedelta(minutes=10)  # after the first failure, doubled after the next
TRAINING_LIMIT = timedelta(hours=2)  # after which a training is killed
NICE = 10  # the trainer gives way to the API

log = logging.getLogger(__name__)


def due(nightly_at: time, now: datetime) -> date:
    """The business date whose training should be done by now: yesterday from the nightly hour on, before it the day before.

    Args:
        nightly_at: local time of the training.
        now: the present moment in the city's zone.
    """
    return now.date() - timedelta(days=1 if now.time() >= nightly_at else 2)


def should_train(db: Engine, settings: Settings) -> bool:
    """Whether a training is due and may start: its night is not done, none is at work, and the last failure lies back far enough."""
    clock = settings.clock
    now = clock.now()
    with engine.reading(db) as conn:
        if counts.span(conn) is None:
            return False
        done = runs.newest_success(conn)
        if done and done.business_date >= due(time.fromisoformat(settings.nightly_at), clock.local_now()):
            return False
        last = runs.latest(conn, clock.business_date())
    if last is None or (last.status == runs.RUNNING and last.lease_until <= now):
        return True
    if last.status != runs.FAILED or last.attempt >= ATTEMPTS:
        return False
    return bool(now >= (last.finished_at or now) + BACK_OFF * 2 ** (last.attempt - 1))


def run(db: Engine, settings: Settings) -> None:
    """Runs until it is told to stop (SIGINT, SIGTERM).

    Raises:
        InputError: another scheduler of this data folder is at work.
    """
    lock = _leader(settings.data_dir)
    hour, minute = settings.nightly_at.split(":")
    scheduler = BlockingScheduler(timezone=settings.zone)
    options = {"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
    state = {"ingest": _newest_ingest(db)}

    def reconcile() -> None:
        if should_train(db, settings):
            log.info("training.start")
            _child(settings, "train", limit=TRAINING_LIMIT)

    def look() -> None:
        newest = _newest_ingest(db)
        if newest != state["ingest"]:
            state["ingest"] = newest
            with engine.reading(db) as conn:
                trained = runs.newest_success(conn) is not None
            if trained:  # before the first training there is no forecast to compare with
                _child(settings, "watch", limit=TRAINING_LIMIT)
            else:
                reconcile()

    start = datetime.now(settings.zone)
    scheduler.add_job(reconcile, "cron", hour=int(hour), minute=int(minute), id="nightly", **options)
    scheduler.add_job(reconcile, "interval", seconds=RECONCILE_EVERY.total_seconds(), next_run_time=start, id="reconcile", **options)
    scheduler.add_job(look, "interval", seconds=LOOK_EVERY.total_seconds(), id="look", **options)
    log.info("scheduler.start", extra={"nightly_at": settings.nightly_at, "zone": settings.timezone})
    try:
        scheduler.start()
    finally:
        lock.close()


def _newest_ingest(db: Engine) -> int | None:
    with engine.reading(db) as conn:
        return ingests.newest_done(conn)


def _child(settings: Settings, command: str, limit: timedelta) -> None:
    """Runs a command in a process of its own; its failure is in the ledger and the log, and never ends the scheduler."""
    arguments = ["nice", "-n", str(NICE), sys.executable, "-m", "service.cli", command]
    try:
        done = subprocess.run(arguments, timeout=limit.total_seconds(), check=False)
        if done.returncode:
            log.error("child.failed", extra={"command": command, "code": done.returncode})
    except subprocess.TimeoutExpired:
        log.error("child.too_long", extra={"command": command, "limit": str(limit)})


def _leader(folder: Path) -> IO[str]:
    """Takes the lock of the data folder's one scheduler; the kernel gives it back when the process ends, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "scheduler.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InputError("another scheduler is at work", str(folder), "stop it first: one is enough") from None
    return file
