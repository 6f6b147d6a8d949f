"""What the scheduler's jobs did last: one row a job, where the API sees it.

Each success says by when the next one is expected. Whoever reads a row after that moment knows that the job is late: a scheduler that is dead,
stopped or cut off is seen by what it no longer writes.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from service.store import bulk
from service.store.schema import jobs

SCHEDULER = "scheduler"  # that jobs have their turn at all
NIGHTLY = "nightly"  # training
WATCH = "watch"  # detection


@dataclass(frozen=True)
class Job:
    """One row.

    Attributes:
        error: why it failed last, at `failed_at`; None if it has succeeded since.
        next_at: when it begins next.
        late_at: it is late from then on unless it has succeeded.
    """

    name: str
    started_at: datetime | None
    succeeded_at: datetime | None
    failed_at: datetime | None
    error: str | None
    next_at: datetime
    late_at: datetime

    def is_late(self, now: datetime) -> bool:
        """Whether it should have succeeded by now, and has not."""
        return now > self.late_at


def expect(conn: Connection, name: str, next_at: datetime, late_at: datetime) -> None:
    """Tells of a job for the first time. One that is known keeps its row: a scheduler that starts anew does not put off what is late."""
    if conn.execute(select(jobs.c.name).where(jobs.c.name == name)).scalar() is None:
        _put(conn, name, next_at=next_at, late_at=late_at)


def begin(conn: Connection, name: str, now: datetime, late_at: datetime) -> None:
    """Notes that a job begins; by when it should have succeeded counts for one that is not known yet."""
    expect(conn, name, now, late_at)
    conn.execute(jobs.update().where(jobs.c.name == name).values(started_at=now))


def succeed(conn: Connection, name: str, now: datetime, next_at: datetime, late_at: datetime) -> None:
    """Notes a success, and by when the next is expected."""
    _put(conn, name, succeeded_at=now, error=None, next_at=next_at, late_at=late_at)


def fail(conn: Connection, name: str, now: datetime, error: str, next_at: datetime) -> None:
    """Notes that an expected job failed; by when it should have succeeded stays as it is."""
    conn.execute(jobs.update().where(jobs.c.name == name).values(failed_at=now, error=error, next_at=next_at))


def forget(conn: Connection, prefix: str, keep: Collection[str] = ()) -> None:
    """Drops the jobs whose names begin alike, but those to keep."""
    conn.execute(jobs.delete().where(jobs.c.name.startswith(prefix, autoescape=True), jobs.c.name.not_in(list(keep))))


def list_jobs(conn: Connection) -> list[Job]:
    """Every job, by name; none where no scheduler has ever run."""
    return [Job(**row._mapping) for row in conn.execute(select(jobs).order_by(jobs.c.name))]


def get(conn: Connection, name: str) -> Job | None:
    """One job, or None where no scheduler has ever told of it."""
    row = conn.execute(select(jobs).where(jobs.c.name == name)).one_or_none()
    return None if row is None else Job(**row._mapping)


def _put(conn: Connection, name: str, **values: Any) -> None:
    bulk.replace(conn, jobs, [{"name": name, **values}])
