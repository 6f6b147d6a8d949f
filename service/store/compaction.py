"""The journal of counts beyond what is asked of it: changes of long ago are put together, one for each cell, hour and part.

From the moment `known_since` on, every question has the same answer as before: the sums of what was known at any moment, by day and by hour. Of
earlier moments nothing can be told any more, and those who ask hear so. A change that stays keeps the id and becomes the sum; what still looks
at single changes (reporting delays, the newest change of a day) looks back less far than `known_since` lies.

The horizon moves first; then day after day is put together, each in a transaction of its own; then the pass is noted as done. Whatever ends it on
the way, the next one does the same days again.
"""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, Engine, delete, func, select, union, update

from forecasting.errors import InputError
from service.store import bulk, counts
from service.store.engine import reading, writing
from service.store.schema import compaction, count_changes

_THE_ROW = 1
_CELL = [count_changes.c[name] for name in ("day", "area", "category", "hour", "part")]


@dataclass(frozen=True)
class Compacted:
    """What one pass did: days looked at, and changes that are no longer there."""

    days: int
    changes: int


def known_since(conn: Connection) -> datetime | None:
    """The moment from which on counts can be told as they were known; None: from the first."""
    return conn.execute(select(compaction.c.known_since).where(compaction.c.id == _THE_ROW)).scalar()


def require_known(conn: Connection, moment: datetime) -> None:
    """Raises InputError if counts cannot be told any more as they were known at a moment."""
    since = known_since(conn)
    if since is not None and moment < since:
        what = f"counts as they were known before {since:%Y-%m-%dT%H:%M:%SZ} are not kept"
        raise InputError(what, "as_of", "ask for a later moment, or for the counts as they stand now")


def run(db: Engine, since: datetime) -> Compacted:
    """Puts together what was known by a moment, which becomes the earliest that can be asked for; an earlier one than before changes nothing."""
    with writing(db) as conn:
        before = conn.execute(select(compaction).where(compaction.c.id == _THE_ROW)).one_or_none()
        since = since if before is None else max(since, before.known_since)
        newest = counts.last_change(conn)
        done = {} if before is None else {"done_until": before.done_until, "done_change": before.done_change}
        bulk.replace(conn, compaction, [{"id": _THE_ROW, "known_since": since, "done_until": None, "done_change": None, **done}])
    with reading(db) as conn:
        days = _days(conn, since, newest, done.get("done_until"), done.get("done_change"))
    gone = 0
    for day in days:
        with writing(db, batch=True) as conn:
            gone += _put_together(conn, day, since)
    with writing(db) as conn:
        conn.execute(update(compaction).where(compaction.c.id == _THE_ROW).values(done_until=since, done_change=newest))
    return Compacted(len(days), gone)


def _days(conn: Connection, since: datetime, newest: int, done_until: datetime | None, done_change: int | None) -> list[date]:
    """The days of which changes have passed the horizon since the last pass, or were appended beyond it."""
    c = count_changes.c
    if done_until is None or done_change is None:
        return sorted(conn.execute(select(c.day).where(c.received_at <= since).distinct()).scalars())
    passed = select(c.day).where(c.received_at > done_until, c.received_at <= since)
    appended = select(c.day).where(c.id.between(done_change + 1, newest), c.received_at <= since)
    return sorted(conn.execute(union(passed, appended)).scalars())


def _put_together(conn: Connection, day: date, since: datetime) -> int:
    """Makes one change of all those of a cell, an hour and a part that were known by a moment; returns how many are no longer there."""
    c = count_changes.c
    old = (c.day == day, c.received_at <= since)
    groups = select(func.max(c.id).label("id"), func.sum(c.delta).label("delta"), func.max(c.received_at).label("received_at"))
    several = groups.where(*old).group_by(*_CELL).having(func.count() > 1).subquery()
    conn.execute(update(count_changes).where(c.id == several.c.id).values(delta=several.c.delta, received_at=several.c.received_at))
    newest = select(func.max(c.id)).where(*old).group_by(*_CELL)
    return conn.execute(delete(count_changes).where(*old, c.id.not_in(newest))).rowcount
