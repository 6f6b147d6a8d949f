"""Requests that are staged as a whole and wait to be applied, in the order in which they came.

Whoever applies one takes it for a while (a lease) and renews that as it goes on; if it dies, the next one goes on where it stopped. Only the
first of the queue can be taken: a correction must not be applied before what it corrects.
"""

from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from service.store.schema import waiting_ingests

_c = waiting_ingests.c


def add(conn: Connection, ingest_id: int) -> None:
    """Puts an ingest at the end of the queue."""
    conn.execute(insert(waiting_ingests).values(ingest_id=ingest_id, lease_until=None))


def take(conn: Connection, ingest_id: int, now: datetime, until: datetime) -> bool:
    """Takes an ingest; False if it is not the first of the queue, or somebody else is at work on it."""
    first = select(func.min(_c.ingest_id)).scalar_subquery()
    free = or_(_c.lease_until.is_(None), _c.lease_until < now)
    return conn.execute(update(waiting_ingests).where(_c.ingest_id == ingest_id, _c.ingest_id == first, free).values(lease_until=until)).rowcount == 1


def renew(conn: Connection, ingest_id: int, until: datetime) -> None:
    """Holds an ingest longer."""
    conn.execute(update(waiting_ingests).where(_c.ingest_id == ingest_id).values(lease_until=until))


def remove(conn: Connection, ingest_id: int) -> None:
    """Takes an ingest that is applied out of the queue."""
    conn.execute(delete(waiting_ingests).where(_c.ingest_id == ingest_id))


def first_free(conn: Connection, now: datetime) -> int | None:
    """The first of the queue, if nobody is at work on it."""
    row = conn.execute(select(_c.ingest_id, _c.lease_until).order_by(_c.ingest_id).limit(1)).one_or_none()
    return None if row is None or (row.lease_until is not None and row.lease_until >= now) else int(row.ingest_id)


def waits(conn: Connection, ingest_id: int) -> bool:
    """Whether an ingest is in the queue."""
    return conn.execute(select(_c.ingest_id).where(_c.ingest_id == ingest_id)).scalar() is not None
