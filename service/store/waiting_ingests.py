"""Requests that are staged as a whole and wait to be applied, in the order in which they came.

Whoever applies one takes it for a while (a lease) and renews that while it lives; if it dies, the next one goes on where it stopped. Only the
first of the queue can be taken: a correction must not be applied before what it corrects. One that cannot be applied is set aside with its rows.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, not_, or_, select, update

from forecasting.errors import InputError
from service.store import audit, tickets
from service.store import ingests as ledger
from service.store.schema import ingests, waiting_ingests

NAMED = 20  # requests set aside that a status names

_c = waiting_ingests.c


@dataclass(frozen=True)
class Waiting:
    """A request of the queue.

    Attributes:
        districts: codes of the districts to which its sender is limited; None: the whole city.
        by_index: its rows are told by their place from 0, and not by their line.
        attempts: to apply it that failed.
    """

    ingest_id: int
    districts: frozenset[str] | None
    by_index: bool
    attempts: int = 0


@dataclass(frozen=True)
class Standing:
    """How the queue stands.

    Attributes:
        waiting: requests that wait to be applied, the one that somebody is at work on included.
        waiting_since: when the oldest of them came; None: there is none.
        aside: ids of the ingests that were set aside, the oldest first.
        aside_since: when the first of them failed for good; None: there is none.
    """

    waiting: int
    waiting_since: datetime | None
    aside: tuple[int, ...]
    aside_since: datetime | None


@dataclass(frozen=True)
class PutBack:
    """A request that was set aside and waits again.

    Attributes:
        name: as the ledger shows it.
        rows: that are kept of it, and will be counted.
    """

    ingest_id: int
    name: str
    rows: int


def add(conn: Connection, waiting: Waiting) -> None:
    """Puts a request at the end of the queue."""
    districts = None if waiting.districts is None else sorted(waiting.districts)
    conn.execute(insert(waiting_ingests).values(ingest_id=waiting.ingest_id, lease_until=None, districts=districts, by_index=waiting.by_index))


def take(conn: Connection, ingest_id: int, now: datetime, until: datetime) -> Waiting | None:
    """Takes a request; None if it is not the first of the queue, or somebody else is at work on it."""
    first = select(func.min(_c.ingest_id)).where(not_(_c.aside)).scalar_subquery()
    free = or_(_c.lease_until.is_(None), _c.lease_until < now)
    taken = update(waiting_ingests).where(_c.ingest_id == ingest_id, _c.ingest_id == first, free).values(lease_until=until)
    row = conn.execute(taken.returning(_c.districts, _c.by_index, _c.attempts)).one_or_none()
    return None if row is None else Waiting(ingest_id, None if row.districts is None else frozenset(row.districts), row.by_index, row.attempts)


def renew(conn: Connection, ingest_id: int, until: datetime) -> bool:
    """Holds an ingest longer; whether it is still there."""
    return conn.execute(update(waiting_ingests).where(_c.ingest_id == ingest_id).values(lease_until=until)).rowcount == 1


def remove(conn: Connection, ingest_id: int) -> None:
    """Forgets an ingest that is applied, or whose rows are gone."""
    conn.execute(delete(waiting_ingests).where(_c.ingest_id == ingest_id))


def postpone(conn: Connection, ingest_id: int, until: datetime) -> None:
    """Notes that an attempt has failed; the next one comes after a moment."""
    conn.execute(update(waiting_ingests).where(_c.ingest_id == ingest_id).values(attempts=_c.attempts + 1, lease_until=until))


def set_aside(conn: Connection, ingest_id: int) -> None:
    """Takes an ingest that cannot be applied out of the queue; its rows stay staged."""
    conn.execute(update(waiting_ingests).where(_c.ingest_id == ingest_id).values(attempts=_c.attempts + 1, aside=True))


def put_back(conn: Connection, ingest_ids: Collection[int] | None, now: datetime, actor: str) -> list[PutBack]:
    """Puts requests that were set aside back into the queue, at the places that they had, each with an entry in the audit log.

    Args:
        ingest_ids: which; None: all of them.
        actor: who asks.

    Raises:
        InputError: one of them is unknown, or not set aside. The transaction must be undone then.
    """
    aside = standing(conn).aside
    done = []
    for ingest_id in aside if ingest_ids is None else dict.fromkeys(ingest_ids):
        found = ledger.get(conn, ingest_id)
        if ingest_id not in aside:
            state = "it waits to be counted" if waits(conn, ingest_id) else f"it is {found.status}"
            raise InputError(f"ingest {ingest_id} is not set aside: {state}", "ID", "see `intake` in `weisu status` for those that are")
        of_it = update(waiting_ingests).where(_c.ingest_id == ingest_id)
        conn.execute(of_it.values(aside=False, attempts=0, lease_until=None))
        ledger.reopen(conn, ingest_id)
        rows = tickets.staged(conn, ingest_id)
        audit.record(conn, now, actor, audit.RETRIED, f"ingest {ingest_id}", {"rows": rows, "error": found.note})
        done.append(PutBack(ingest_id, found.name, rows))
    return done


def aside_before(conn: Connection, moment: datetime) -> list[int]:
    """The ingests that failed, and were set aside, before a moment."""
    failed = select(_c.ingest_id).join(ingests, ingests.c.id == _c.ingest_id).where(_c.aside, ingests.c.finished_at < moment)
    return list(conn.execute(failed.order_by(_c.ingest_id)).scalars())


def standing(conn: Connection) -> Standing:
    """How many wait and which are set aside, and since when."""
    of_each = waiting_ingests.join(ingests, ingests.c.id == _c.ingest_id)
    came = select(func.count(), func.min(ingests.c.started_at)).select_from(of_each).where(not_(_c.aside))
    failed = select(_c.ingest_id, ingests.c.finished_at).select_from(of_each).where(_c.aside).order_by(_c.ingest_id)
    waiting, waiting_since = conn.execute(came).one()
    aside = conn.execute(failed).all()
    return Standing(waiting, waiting_since, tuple(row.ingest_id for row in aside), min((row.finished_at for row in aside), default=None))


def first_free(conn: Connection, now: datetime) -> int | None:
    """The first of the queue, if nobody is at work on it."""
    row = conn.execute(select(_c.ingest_id, _c.lease_until).where(not_(_c.aside)).order_by(_c.ingest_id).limit(1)).one_or_none()
    return None if row is None or (row.lease_until is not None and row.lease_until >= now) else int(row.ingest_id)


def waits(conn: Connection, ingest_id: int) -> bool:
    """Whether an ingest is in the queue."""
    return conn.execute(select(_c.ingest_id).where(_c.ingest_id == ingest_id, not_(_c.aside))).scalar() is not None
