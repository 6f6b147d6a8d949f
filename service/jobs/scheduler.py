"""The scheduler: one process that starts the trainer every night, makes up for a missed night, applies requests that wait, and watches new data.

What is due is read from the ledger and never from the scheduler's own memory: a killed, missed or doubled run heals itself. How each job stands is
noted in the store, where the API tells it.
"""

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from math import inf
from time import monotonic
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from experiments import spool
from forecasting.errors import InputError
from service.connectors import pull
from service.intake import ingest, requests
from service.jobs import history, housekeeping, turns
from service.jobs.children import STOPPED, Children
from service.jobs.telling import Teller
from service.jobs.turns import Turn, next_hour
from service.settings import Settings
from service.store import audit, counts, engine, ingests, jobs, leader, runs
from service.store.jobs import Job
from service.store.runs import Run

SCHEDULER, NIGHTLY, WATCH = jobs.SCHEDULER, jobs.NIGHTLY, jobs.WATCH  # whose state is noted; the first: that it is at work
HOUSEKEEPING, MLFLOW = "housekeeping", "mlflow"  # the latter: that the nights come to MLflow

RECONCILE_EVERY = timedelta(minutes=5)
LOOK_EVERY = timedelta(seconds=5)  # how soon a new ingest is watched
WATCH_PAUSE = 30.0  # seconds from one watch to the next: many small requests are watched together, and a core is busy a tenth of the time
WATCH_EVERY = timedelta(minutes=10)  # without a new ingest, too: an hour that is over says more than it did
TURN_EVERY = timedelta(seconds=5)  # how soon after a night begins what comes after it
PULL_EVERY = timedelta(seconds=5)  # how soon a pull begins that is due
APPLY_EVERY = timedelta(seconds=1)  # how soon a large request is counted
BEAT_EVERY = timedelta(seconds=30)
BEAT_LATE = timedelta(minutes=2)  # several beats, or one restart by the supervisor
WATCH_LATE = timedelta(minutes=20)  # after its turn
NIGHT_LATE = timedelta(hours=2)  # after the nightly hour: three attempts of a usual night with their pauses, or one that runs into its limit
HOUSEKEEPING_AFTER = timedelta(hours=2)  # the nightly hour, when a usual night is over
HOUSEKEEPING_LATE = timedelta(hours=6)  # after its turn
SENT_LATE = timedelta(days=1)  # MLflow may be away for a while; nights wait for it
OWN_THREADS = 15  # more than there are jobs
ATTEMPTS = 3  # a night that failed three times needs a person
BACK_OFF = timedelta(minutes=10)  # after the first failure, doubled after the next

log = logging.getLogger(__name__)


def due(nightly_at: time, now: datetime) -> date:
    """The business date whose training should be done by now: yesterday from the nightly hour on, before it the day before.

    Args:
        nightly_at: local time of the training.
        now: the present moment in the city's zone.
    """
    return now.date() - timedelta(days=1 if now.time() >= nightly_at else 2)


def next_training(conn: Connection, settings: Settings) -> datetime | None:
    """The moment from which the next training may begin, in the past if it is due; None: there is nothing, or not yet enough, to train on.

    A night that is not done is due unless an attempt is at work, `ATTEMPTS` were begun, or the last failure is too fresh. Of several missed
    nights only the newest is made up for. What was tried at the night before holds until the nightly hour: from midnight on another day is the
    last finished one, but the attempts at its night are for its own hour. Those that were begun before it all the same leave it one.
    """
    clock, hour = settings.clock, time.fromisoformat(settings.nightly_at)
    now, local = clock.now(), clock.local_now()
    if counts.span(conn) is None:
        return None
    tonight = next_hour(settings, now)
    done = runs.newest_success(conn)
    if done is None and history.days(conn, clock) < history.LEAST_DAYS:
        return None
    if done and done.business_date >= due(hour, local):
        return tonight
    last = runs.latest(conn, clock.business_date()) or runs.latest(conn, due(hour, local))
    if last is None:
        return now
    if (last.attempt >= ATTEMPTS and last.started_at >= tonight - timedelta(days=1)) or last.status == runs.DONE:
        return tonight
    if last.status == runs.RUNNING:
        return last.lease_until
    pause: timedelta = BACK_OFF * 2 ** (last.attempt - 1)
    return (last.finished_at or now) + pause


def should_train(db: Engine, settings: Settings) -> bool:
    """Whether a training is due and may start."""
    with engine.reading(db) as conn:
        begins = next_training(conn, settings)
    return begins is not None and begins <= settings.clock.now()


def run(db: Engine, settings: Settings, tellers: Sequence[Teller] = ()) -> None:
    """Runs until it is told to stop (SIGINT, SIGTERM).

    Args:
        tellers: further jobs, that tell others what changes.

    Raises:
        InputError: another scheduler is at work on this database, or the database has forgotten that this one leads.
    """
    with leader.leading(db, settings.data_dir) as leads:
        _run(db, settings, leads, tellers)


def _run(db: Engine, settings: Settings, leads: Callable[[], bool], tellers: Sequence[Teller]) -> None:
    logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)  # a job that is at work still when it is its turn again is no trouble
    hour, minute = settings.nightly_at.split(":")
    threads = ThreadPoolExecutor(OWN_THREADS + len(settings.pull.by_name))  # a slow server of somebody's keeps none of our own jobs waiting
    scheduler = BlockingScheduler(executors={"default": threads}, timezone=settings.zone)
    options = {"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
    children = Children()
    work = _Work(db, settings, children)

    def beat() -> None:
        if leads():
            work.beat()
        else:  # another may lead by now
            scheduler.shutdown(wait=False)

    start = datetime.now(settings.zone)

    def add(name: str, job: Callable[..., None], trigger: str = "interval", **when: Any) -> None:
        scheduler.add_job(_calm(name, job), trigger, id=name, **when, **options)

    add("nightly", work.reconcile, "cron", hour=int(hour), minute=int(minute))
    add("reconcile", work.reconcile, seconds=RECONCILE_EVERY.total_seconds(), next_run_time=start)
    add("look", work.look, seconds=LOOK_EVERY.total_seconds())
    add("watch", work.watch_again, seconds=WATCH_EVERY.total_seconds())
    add("beat", beat, seconds=BEAT_EVERY.total_seconds(), next_run_time=start)
    add("housekeeping", work.keep_house, seconds=RECONCILE_EVERY.total_seconds(), next_run_time=start)
    add("apply", work.apply, seconds=APPLY_EVERY.total_seconds())
    add("recover", work.recover, seconds=RECONCILE_EVERY.total_seconds(), next_run_time=start)
    add("send", work.send, seconds=RECONCILE_EVERY.total_seconds())
    for teller in tellers:
        add(teller.name, teller.run, seconds=teller.every.total_seconds())
    for name, turn in ((turns.SCORING, turns.scoring), (turns.CHALLENGER, turns.challenger), (turns.REPORTS, turns.reports)):
        add(name, work.take_turn, seconds=TURN_EVERY.total_seconds(), next_run_time=start, args=(name, turn))
    if not settings.challenger:
        work.forget(turns.CHALLENGER)
    work.forget(pull.JOB, [pull.JOB + name for name in settings.pull.by_name])
    for name in settings.pull.by_name:
        add(f"pull:{name}", work.pull, seconds=PULL_EVERY.total_seconds(), next_run_time=start, args=[name])
    log.info("scheduler.start", extra={"nightly_at": settings.nightly_at, "zone": settings.timezone})
    try:
        scheduler.start()
    finally:
        children.stop()
    raise InputError("the connection is lost on which this scheduler leads", "the database", "start it anew; `weisu up` does so by itself")


def _calm(name: str, job: Callable[..., None]) -> Callable[..., None]:
    """A job that goes on when the store answers again; that it does not is told once, in one line, and not every second with a traceback."""
    silent = False

    def run(*arguments: Any) -> None:
        nonlocal silent
        try:
            job(*arguments)
        except SQLAlchemyError as error:
            if not engine.is_outage(error):  # what is wrong with us, and not with the store, is told in full
                raise
            if not silent:
                log.warning("job.waits_for_store", extra={"job": name, "reason": str(error).splitlines()[0]})
            silent = True
        else:
            silent = False

    return run


@dataclass
class _Work:
    """What the scheduler's jobs do; each runs in a thread of its own.

    Attributes:
        watched: the newest ingest and rollback that were watched. None at the start, for something may have come in while no scheduler ran.
        rests_until: before this moment (monotonic) no watch begins.
        again: detection failed and is to be tried again.
        at_night: a training runs, or what belongs to its night.
        unnoted: jobs of which the store could not note how they ended, as on a full disk: how often in a row, and until when (monotonic) they rest.
        told: why something could not be noted, if that was told and nothing could be noted since.
    """

    db: Engine
    settings: Settings
    children: Children
    watched: tuple[int, int] | None = None
    rests_until: float = -inf
    again: bool = False
    at_night: bool = False
    unnoted: dict[str, tuple[int, float]] = field(default_factory=dict)
    told: str = ""
    training: threading.Lock = field(default_factory=threading.Lock)

    def reconcile(self) -> None:
        """Starts a training if one is due."""
        if self.again:
            self.watched, self.again = None, False
        if self.training.acquire(blocking=False):
            try:
                error = None
                if should_train(self.db, self.settings):
                    log.info("training.start")
                    self._begin(NIGHTLY, NIGHT_LATE)
                    self.at_night = True
                    with engine.reading(self.db) as conn:
                        before = runs.latest(conn)
                    error = self.children.run("train")
                    if error is not None and error != STOPPED:
                        self._write(lambda conn: self._count(conn, before, error))
                    self.again = error is not None  # it may have failed after publishing
                self._write(lambda conn: self._note_night(conn, error))
            finally:
                self.at_night = False
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
            self._begin(WATCH, WATCH_LATE)
            error = self.children.run("watch")
            self.again = error is not None
            self._write(lambda conn: self._note_watch(conn, error))
            self.rests_until = monotonic() + WATCH_PAUSE
        else:
            self.reconcile()

    def watch_again(self) -> None:
        """Lets the next look start detection without a new ingest."""
        self.watched = None

    def beat(self) -> None:
        """Notes that the scheduler is at work."""
        now = self.settings.clock.now()
        self._write(lambda conn: jobs.succeed(conn, SCHEDULER, now, now + BEAT_EVERY, now + BEAT_LATE))

    def apply(self) -> None:
        """Counts the requests that are accepted and wait."""
        applied = requests.apply_all_waiting(self.db, self.settings.clock)
        if applied:
            self.watched = None  # where the clock stands still, what was applied last need not be the newest
            log.info("requests.applied", extra={"requests": applied})

    def recover(self) -> None:
        """Tidies up after ingests whose process died."""
        recovered = ingest.recover(self.db, self.settings.clock)
        if recovered:
            log.warning("ingests.recovered", extra={"ingests": recovered})

    def pull(self, name: str) -> None:
        """Starts a pull if it is due, in a process of its own; one that dies is noted here."""
        if self._rests(pull.JOB + name):
            return
        with engine.reading(self.db) as conn:
            if not pull.is_due(conn, self.settings, name):
                return
        error = self.children.run("pull", name)

        def note(conn: Connection) -> None:
            if pull.is_due(conn, self.settings, name):  # else it has noted its failure itself
                pull.failed(conn, self.settings, name, error or "")

        self._rest_unless(error is None or self._write(note), pull.JOB + name)

    def send(self) -> None:
        """Sends the nights that wait for MLflow, in a process of its own: it takes memory, and MLflow may hang."""
        if spool.waiting(self.settings.spool_dir):
            self.children.run("mlflow", "--send")
        self._write(self._note_sending)

    def take_turn(self, name: str, turn: Callable[[Connection, Settings, Job | None], Turn | None]) -> None:
        """Runs what comes after a night, if it is its turn, in a process of its own; what failed is tried again after the next night."""
        if self._rests(name) or self.at_night or should_train(self.db, self.settings):
            return
        with engine.reading(self.db) as conn:
            found = turn(conn, self.settings, jobs.get(conn, name))
        if found is None:
            return
        self._begin(name, turns.LATE[name])
        error = self.children.run(*found.words) if found.words else None
        now = self.settings.clock.now()

        def note(conn: Connection) -> None:
            if error is None:
                jobs.succeed(conn, name, now, found.next_at, found.next_at + turns.LATE[name])
            else:
                jobs.fail(conn, name, now, error, next_hour(self.settings, now))

        self._rest_unless(self._write(note), name)

    def forget(self, prefix: str, keep: Collection[str] = ()) -> None:
        """Forgets jobs that are not wanted any more: they would be late for ever."""
        self._write(lambda conn: jobs.forget(conn, prefix, keep))

    def keep_house(self) -> None:
        """Does the day's housekeeping if it is due; what is missed is made up for."""
        clock = self.settings.clock
        now = clock.now()
        with engine.reading(self.db) as conn:
            known = jobs.get(conn, HOUSEKEEPING)
        if known and known.next_at > now:
            return
        tomorrow = next_hour(self.settings, now - HOUSEKEEPING_AFTER) + HOUSEKEEPING_AFTER
        self._begin(HOUSEKEEPING, HOUSEKEEPING_LATE)
        try:
            housekeeping.run(self.db, self.settings)
        except (InputError, OSError, SQLAlchemyError) as error:
            why = str(error).splitlines()[0]
            log.warning("housekeeping.failed", extra={"reason": why})
            self._write(lambda conn: jobs.fail(conn, HOUSEKEEPING, clock.now(), why, clock.now() + BACK_OFF))
        else:
            self._write(lambda conn: jobs.succeed(conn, HOUSEKEEPING, clock.now(), tomorrow, tomorrow + HOUSEKEEPING_LATE))
            self.children.run("mlflow", "--tidy")  # in a process of its own, as what is sent; where MLflow is away, it is for tomorrow

    def _begin(self, job: str, late_after: timedelta) -> None:
        now = self.settings.clock.now()
        self._write(lambda conn: jobs.begin(conn, job, now, now + late_after))

    def _count(self, conn: Connection, before: Run | None, error: str) -> None:
        """Notes an attempt of a training that died before it could do so itself: it would be begun again every few minutes, without end."""
        now, latest = self.settings.clock.now(), runs.latest(conn)
        if (latest and latest.id) == (before and before.id):
            run = runs.start(conn, self.settings.clock.business_date(), SCHEDULER, now, timedelta(0))
            runs.fail(conn, run, now, error)

    def _note_night(self, conn: Connection, error: str | None) -> None:
        """Notes how the nightly training stands, by the ledger: it may have been started by hand as well."""
        clock, hour = self.settings.clock, time.fromisoformat(self.settings.nightly_at)
        begins = next_training(conn, self.settings)
        if begins is None:
            self._note_wait(conn)
            return
        done = runs.newest_success(conn)
        if done and done.business_date >= due(hour, clock.local_now()):
            jobs.succeed(conn, NIGHTLY, done.finished_at or clock.now(), begins, begins + NIGHT_LATE)
        else:
            jobs.expect(conn, NIGHTLY, begins, begins + NIGHT_LATE)
        if error is not None:
            last = runs.latest(conn)
            why = last.error if last and last.status == runs.FAILED else None
            jobs.fail(conn, NIGHTLY, clock.now(), why or error, begins)

    def _note_wait(self, conn: Connection) -> None:
        """Notes that the days are too few; of a store that is still empty nothing is expected."""
        now, found = self.settings.clock.now(), history.days(conn, self.settings.clock)
        if found:
            try:
                history.require(found)
            except InputError as error:
                tonight = next_hour(self.settings, now)
                jobs.expect(conn, NIGHTLY, tonight, tonight + NIGHT_LATE)
                jobs.fail(conn, NIGHTLY, now, str(error), tonight)

    def _note_sending(self, conn: Connection) -> None:
        """Notes whether MLflow has all nights; one that it does not take is for a person to look at."""
        now, folder = self.settings.clock.now(), self.settings.spool_dir
        aside, waiting = spool.set_aside(folder), spool.waiting(folder)
        jobs.expect(conn, MLFLOW, now + RECONCILE_EVERY, now + SENT_LATE)
        if aside:
            why = f"{len(aside)} set aside in {folder / spool.REFUSED}, the newest because: {[*aside.values()][-1]}"
        elif waiting:
            why = f"{len(waiting)} wait{'s' if len(waiting) == 1 else ''} for MLflow"
        else:
            jobs.succeed(conn, MLFLOW, now, now + RECONCILE_EVERY, now + SENT_LATE)
            return
        jobs.fail(conn, MLFLOW, now, why, now + RECONCILE_EVERY)

    def _note_watch(self, conn: Connection, error: str | None) -> None:
        now = self.settings.clock.now()
        if error is None:
            jobs.succeed(conn, WATCH, now, now + WATCH_EVERY, now + WATCH_EVERY + WATCH_LATE)
        else:
            jobs.fail(conn, WATCH, now, error, now + RECONCILE_EVERY)

    def _rests(self, name: str) -> bool:
        return monotonic() < self.unnoted.get(name, (0, -inf))[1]

    def _rest_unless(self, noted: bool, name: str) -> None:
        """What could not be noted is due still, and would begin again every few seconds: it rests for longer and longer."""
        if noted:
            self.unnoted.pop(name, None)
        else:
            times = self.unnoted.get(name, (0, 0.0))[0]
            self.unnoted[name] = times + 1, monotonic() + pull.pause_after(times).total_seconds()

    def _write(self, change: Callable[[Connection], None]) -> bool:
        """Notes how a job stands, and says whether that could be done. If not the job goes on: its row grows old, and that is seen."""
        try:
            with engine.writing(self.db) as conn:
                change(conn)
        except SQLAlchemyError as error:
            reason = str(error).splitlines()[0]
            if reason != self.told:
                log.warning("job.not_noted", extra={"reason": reason})
            self.told = reason
            return False
        self.told = ""
        return True
