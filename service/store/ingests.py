"""Ingests: one row for every file or request that brought data, and what became of it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, insert, or_, select, update

from forecasting.errors import InputError
from service.store.schema import ingests

RUNNING, APPLYING, DONE, FAILED = "running", "applying", "done", "failed"


@dataclass(frozen=True)
class Totals:
    """What an ingest did, in rows of its file: new, different from what was stored, the same as (or older than) what was stored."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0


@dataclass(frozen=True)
class Ingest:
    """One row of the table `ingests`."""

    id: int
    kind: str
    name: str
    sha256: str | None
    started_at: datetime
    finished_at: datetime | None
    status: str
    rows: int
    added: int
    changed: int
    unchanged: int
    rejected: int
    later: int
    note: str | None
    left_out: int
    lease_until: datetime | None

    @property
    def totals(self) -> Totals:
        """What it did so far."""
        return Totals(self.added, self.changed, self.unchanged)


def begin(
    conn: Connection, kind: str, name: str, now: datetime, sha256: str | None = None, note: str | None = None, lease_until: datetime | None = None
) -> int:
    """Opens an ingest and returns its id.

    Args:
        lease_until: until when its process is at work on it unless it renews that; None: it does not, and is taken for dead after a while.
    """
    row = {"kind": kind, "name": name, "sha256": sha256, "started_at": now, "status": RUNNING, "note": note}
    held = {} if lease_until is None else {"lease_until": lease_until}
    return int(conn.execute(insert(ingests).values(row | held).returning(ingests.c.id)).scalar_one())


def renew(conn: Connection, ingest_id: int, until: datetime) -> bool:
    """Holds an ingest longer; False: it has ended, or was taken from its process."""
    held = ingests.c.lease_until.is_not(None)
    return conn.execute(update(ingests).where(ingests.c.id == ingest_id, held).values(lease_until=until)).rowcount == 1


def take(conn: Connection, ingest_id: int) -> None:
    """Takes an ingest from its process, which cannot hold it any longer then."""
    conn.execute(update(ingests).where(ingests.c.id == ingest_id).values(lease_until=None))


def advance(conn: Connection, ingest_id: int, totals: Totals) -> None:
    """Adds to what an ingest did so far."""
    done = {name: ingests.c[name] + getattr(totals, name) for name in ("added", "changed", "unchanged")}
    conn.execute(update(ingests).where(ingests.c.id == ingest_id).values(done))


def take_back(conn: Connection, ingest_id: int, rows: int) -> None:
    """Rows that were left out as no demand have taken stored tickets out of the counts: they are left out no more, but have changed something."""
    left_out = ingests.c.left_out - rows
    conn.execute(update(ingests).where(ingests.c.id == ingest_id).values(left_out=left_out, changed=ingests.c.changed + rows))


def mark(conn: Connection, ingest_id: int, *, rows: int, rejected: int, later: int, left_out: int = 0, status: str = APPLYING) -> None:
    """Notes how many rows a file had once it is read to its end."""
    values = {"rows": rows, "rejected": rejected, "later": later, "left_out": left_out, "status": status}
    conn.execute(update(ingests).where(ingests.c.id == ingest_id).values(values))


def reject(conn: Connection, ingest_id: int, rows: int) -> None:
    """Rows that were taken at first are rejected after all."""
    conn.execute(update(ingests).where(ingests.c.id == ingest_id).values(rejected=ingests.c.rejected + rows))


def finish(conn: Connection, ingest_id: int, now: datetime, status: str = DONE, note: str | None = None) -> None:
    """Closes an ingest as done or failed; the note says why it failed."""
    values = {"finished_at": now, "status": status, "lease_until": None} | ({} if note is None else {"note": note})
    conn.execute(update(ingests).where(ingests.c.id == ingest_id).values(values))


def reopen(conn: Connection, ingest_id: int) -> None:
    """An ingest that failed when it was applied is to be applied after all."""
    conn.execute(update(ingests).where(ingests.c.id == ingest_id).values(finished_at=None, status=APPLYING, note=None))


def get(conn: Connection, ingest_id: int) -> Ingest:
    """One ingest.

    Raises:
        InputError: there is none of that id.
    """
    row = conn.execute(select(ingests).where(ingests.c.id == ingest_id)).one_or_none()
    if row is None:
        raise InputError(f"there is no ingest {ingest_id}", "ingest")
    return Ingest(**row._mapping)


def list_recent(conn: Connection, limit: int = 20, before_id: int | None = None) -> list[Ingest]:
    """The newest ingests first; `before_id` continues a list."""
    query = select(ingests).order_by(ingests.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(ingests.c.id < before_id)
    return [Ingest(**row._mapping) for row in conn.execute(query)]


def newest_done(conn: Connection) -> int | None:
    """Id of the newest ingest that is done: it moves when there is something new to look at."""
    return conn.execute(
        select(ingests.c.id).where(ingests.c.status == DONE).order_by(ingests.c.finished_at.desc(), ingests.c.id.desc()).limit(1)
    ).scalar()


def abandoned(conn: Connection, now: datetime, before: datetime) -> list[Ingest]:
    """Ingests that are neither done nor failed and that nobody is at work on, oldest first: their lease is over, or they have none and were begun
    by a moment."""
    over = or_(ingests.c.lease_until < now, and_(ingests.c.lease_until.is_(None), ingests.c.started_at <= before))
    query = select(ingests).where(ingests.c.status.in_((RUNNING, APPLYING)), over).order_by(ingests.c.id)
    return [Ingest(**row._mapping) for row in conn.execute(query)]
