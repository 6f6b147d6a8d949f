"""The scheduler: one process that starts the trainer every night, makes up for a missed night, applies requests that wait, and watches new data.

What is due is read from the ledger and never from the scheduler's own memory: a killed, missed or doubled run heals itself.
"""

import fcntl
import logging
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from math import inf
from pathlib import Path
from time import monotonic
from typing import IO

from apscheduler.schedulers.blocking import BlockingScheduler
from sqlalchemy import Engine

from experiments import spool
from forecasting.errors import InputError
from service.intake import ingest
from service.settings import Settings
from service.store import audit, counts, engine, ingests, runs

RECONCILE_EVERY = timedelta(minutes=5)
LOOK_EVERY = timedelta(seconds=5)  # how soon a new ingest is watched
WATCH_PAUSE = 30.0  # seconds from one watch to the next: many small requests are watched together, and a core is busy a tenth of the time
APPLY_EVERY = timedelta(seconds=1)  # how soon a large request is counted
ATTEMPTS = 3  # a night that failed three times needs a person
BACK_OFF = timedelta(minutes=10)  # after the first failure, doubled after the next
TRAINING_LIMIT = timedelta(hours=2)  # after which a training is killed
STOP_SECONDS = 5.0  # from the polite signal to a child to the kill
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
    """Whether a training is due and may start.

    Its night is not done, no attempt is at work, fewer than `ATTEMPTS` were begun, and the last failure lies back far enough. Of several
    missed nights only the newest is made up for.
    """
    clock = settings.clock
    now = clock.now()
    with engine.reading(db) as conn:
        if counts.span(conn) is None:
            return False
        done = runs.newest_success(conn)
        if done and done.business_date >= due(time.fromisoformat(settings.nightly_at), clock.local_now()):
            return False
        last = runs.latest(conn, clock.business_date())
    if last is None:
        return True
    if last.attempt >= ATTEMPTS or last.status == runs.DONE:
        return False
    if last.status == runs.RUNNING:
        return last.lease_until <= now
    return bool(now >= (last.finished_at or now) + BACK_OFF * 2 ** (last.attempt - 1))


def run(db: Engine, settings: Settings) -> None:
    """Runs until it is told to stop (SIGINT, SIGTERM).

    Raises:
        InputError: another scheduler of this data folder is at work.
    """
    lock = _leader(settings.data_dir)
    logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)  # a job that is at work still when it is its turn again is no trouble
    hour, minute = settings.nightly_at.split(":")
    scheduler = BlockingScheduler(timezone=settings.zone)
    options = {"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
    children = _Children()
    work = _Work(db, settings, children)
    start = datetime.now(settings.zone)
    scheduler.add_job(work.reconcile, "cron", hour=int(hour), minute=int(minute), id="nightly", **options)
    scheduler.add_job(work.reconcile, "interval", seconds=RECONCILE_EVERY.total_seconds(), next_run_time=start, id="reconcile", **options)
    scheduler.add_job(work.look, "interval", seconds=LOOK_EVERY.total_seconds(), id="look", **options)
    scheduler.add_job(work.apply, "interval", seconds=APPLY_EVERY.total_seconds(), id="apply", **options)
    scheduler.add_job(work.recover, "interval", seconds=RECONCILE_EVERY.total_seconds(), next_run_time=start, id="recover", **options)
    scheduler.add_job(work.send, "interval", seconds=RECONCILE_EVERY.total_seconds(), id="send", **options)
    log.info("scheduler.start", extra={"nightly_at": settings.nightly_at, "zone": settings.timezone})
    try:
        scheduler.start()
    finally:
        children.stop()
        lock.close()


@dataclass
class _Work:
    """What the scheduler's jobs do; each runs in a thread of its own.

    Attributes:
        watched: the newest ingest and rollback that were watched. None at the start, for something may have come in while no scheduler ran.
        rests_until: before this moment (monotonic) no watch begins.
        again: detection failed and is to be tried again.
    """

    db: Engine
    settings: Settings
    children: "_Children"
    watched: tuple[int, int] | None = None
    rests_until: float = -inf
    again: bool = False
    training: threading.Lock = field(default_factory=threading.Lock)

    def reconcile(self) -> None:
        """Starts a training if one is due."""
        if self.again:
            self.watched, self.again = None, False
        if self.training.acquire(blocking=False):
            try:
                if should_train(self.db, self.settings):
                    log.info("training.start")
                    self.again = not self.children.run("train")  # it may have failed after publishing
            finally:
                self.training.release()

    def look(self) -> None:
        """Starts detection if there is a new ingest or a rollback; before the first training there is no forecast to compare with."""
        if monotonic() < self.rests_until:
            return
        with engine.reading(self.db) as conn:
            newest = ingests.newest_done(conn)
            trained = runs.newest_success(conn) is not None
            rollback = audit.newest(conn, audit.ROLLBACK)
        if newest is None or (seen := (newest, rollback.seq if rollback else 0)) == self.watched:
            return
        self.watched = seen
        if trained:
            self.again = not self.children.run("watch")
            self.rests_until = monotonic() + WATCH_PAUSE
        else:
            self.reconcile()

    def apply(self) -> None:
        """Counts the requests that are accepted and wait."""
        applied = ingest.apply_all_waiting(self.db, self.settings.clock)
        if applied:
            self.watched = None  # where the clock stands still, what was applied last need not be the newest
            log.info("requests.applied", extra={"requests": applied})

    def recover(self) -> None:
        """Tidies up after ingests whose process died."""
        recovered = ingest.recover(self.db, self.settings.clock)
        if recovered:
            log.warning("ingests.recovered", extra={"ingests": recovered})

    def send(self) -> None:
        """Sends the nights that wait for MLflow, in a process of its own: it takes memory, and MLflow may hang."""
        if spool.waiting(self.settings.spool_dir):
            self.children.run("mlflow", "--send")


class _Children:
    """Commands run in processes of their own; their failure is in the ledger and the log, and never ends the scheduler."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[subprocess.Popen[bytes]] = []
        self._stopping = False

    def run(self, *command: str) -> bool:
        """Runs a command to its end; True if it succeeded."""
        arguments = ["nice", "-n", str(NICE), sys.executable, "-m", "service.cli", *command]
        with self._lock:
            if self._stopping:
                return False
            process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL)
            self._running.append(process)
        try:
            process.wait(TRAINING_LIMIT.total_seconds())
        except subprocess.TimeoutExpired:
            log.error("child.too_long", extra={"command": " ".join(command), "limit": str(TRAINING_LIMIT)})
            process.kill()
            process.wait()
        finally:
            with self._lock:
                self._running.remove(process)
        if process.returncode and not self._stopping:
            log.error("child.failed", extra={"command": " ".join(command), "code": process.returncode})
        return process.returncode == 0

    def stop(self) -> None:
        """Ends all that run, and lets no other begin."""
        with self._lock:
            self._stopping = True
            running = list(self._running)
        for process in running:
            process.terminate()
        end = monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(end - monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()


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
