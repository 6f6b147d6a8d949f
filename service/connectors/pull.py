"""One pull, by its name: what it brings, and how it stands in the ledger of jobs."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain

from sqlalchemy import Connection, Engine

from forecasting.errors import InputError
from service.connectors import open311, sql, weather, web
from service.intake import requests
from service.pull_settings import AnyPull, DriverPull, SqlPull
from service.settings import Settings
from service.store import ingests, jobs, pulls
from service.store.engine import reading, writing

JOB = "pull:"  # before the name, in the ledger
FIRST_PAUSE = timedelta(minutes=1)  # after a failure, doubled after each further one
LONGEST_PAUSE = timedelta(hours=1)
LATE_TURNS = 3  # tickets are late when it has not succeeded for so many turns
LEAST_LATE = timedelta(hours=1)  # however often it is pulled: a restart of the other side is no alarm

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pulled:
    """What a pull brought, in rows; all 0 if there was nothing new."""

    rows: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: int = 0

    @classmethod
    def of(cls, done: Sequence[ingests.Ingest]) -> "Pulled":
        """What some ingests brought together."""
        return cls(*(sum(getattr(one, name) for one in done) for name in ("rows", "added", "changed", "unchanged", "rejected")))


def run(db: Engine, settings: Settings, name: str) -> Pulled:
    """Pulls once, and notes in the ledger how it went and when it is due again.

    Raises:
        InputError: there is no such pull, or it failed: the message names neither keys nor anything that a row says.
    """
    what = settings.pull.by_name.get(name)
    if what is None:
        raise InputError(
            f"there is no pull '{name}'", "NAME", f"weisu.toml has {settings.pull}" if settings.pull.by_name else "see docs/connectors.md"
        )
    now = settings.clock.now()
    with writing(db) as conn:
        jobs.begin(conn, JOB + name, now, now + _late(what))
    try:
        pulled, fresh_until = _pull(db, settings, what)
    except InputError as error:
        with writing(db) as conn:
            failed(conn, settings, name, str(error))
        raise
    with writing(db) as conn:
        now = settings.clock.now()
        before = jobs.get(conn, JOB + name)
        late_at = fresh_until or (before.late_at if before else now + _late(what))
        pulls.put(conn, name, replace(pulls.get(conn, name), failures=0))
        jobs.succeed(conn, JOB + name, now, now + timedelta(minutes=what.every_minutes), late_at)
    log.info("pull.done", extra={"pull": name, "rows": pulled.rows, "added": pulled.added, "changed": pulled.changed, "rejected": pulled.rejected})
    return pulled


def failed(conn: Connection, settings: Settings, name: str, why: str) -> None:
    """Notes a failure; the next try comes after a pause that grows."""
    now = settings.clock.now()
    state = pulls.get(conn, name)
    pulls.put(conn, name, replace(state, failures=state.failures + 1))
    jobs.fail(conn, JOB + name, now, why[:500], now + pause_after(state.failures))


def pause_after(failures: int) -> timedelta:
    """How long a pull rests that has failed so often before, and now again."""
    pause: timedelta = FIRST_PAUSE * 2 ** min(failures, 10)
    return min(pause, LONGEST_PAUSE)


def is_due(conn: Connection, settings: Settings, name: str) -> bool:
    """Whether a pull should run now."""
    job = jobs.get(conn, JOB + name)
    return job is None or job.next_at <= settings.clock.now()


def _pull(db: Engine, settings: Settings, what: AnyPull) -> tuple[Pulled, datetime | None]:
    """What it brought, and until when that counts as fresh; None: no longer than what came before."""
    if isinstance(what, DriverPull):
        return _drivers(db, settings, what)
    done = sql.pull(db, settings, what) if isinstance(what, SqlPull) else open311.pull(db, settings, what)
    return Pulled.of(done), settings.clock.now() + _late(what)


def _drivers(db: Engine, settings: Settings, what: DriverPull) -> tuple[Pulled, datetime | None]:
    with reading(db) as conn:
        state = pulls.get(conn, what.name)
    headers = {name: value.get_secret_value() for name, value in what.headers.items()}
    answer = web.get(what.url.get_secret_value(), headers, None, state.etag, state.last_modified)
    if answer.content is None:
        return Pulled(), None
    sha256 = hashlib.sha256(answer.content).hexdigest()
    if sha256 == state.sha256:  # the same forecast again is no new one
        return Pulled(), None
    now = settings.clock.now()
    found = weather.read(answer.content, what, now, settings.zone)
    request = requests.Request(sha256, chain([found.batch]), False, f"pull {what.name}", name=f"pull {what.name}")

    def note(conn: Connection) -> None:
        came = replace(pulls.get(conn, what.name), etag=answer.etag, last_modified=answer.last_modified, sha256=sha256)
        pulls.put(conn, what.name, came)

    ingest_id = requests.take_drivers(db, request, settings.clock, note)
    with reading(db) as conn:
        done = ingests.get(conn, ingest_id)
    return Pulled.of([done]), None if found.newest is None else found.newest + _late(what)


def _late(what: AnyPull) -> timedelta:
    """How long what has come counts as fresh."""
    if isinstance(what, DriverPull):
        return timedelta(hours=what.late_after_hours)
    return max(timedelta(minutes=what.every_minutes) * LATE_TURNS, LEAST_LATE)
