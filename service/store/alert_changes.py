"""The feed of changes: every event of every alert under one number, for readers who want each of them exactly in its place.

Numbers are given in the order of commits and without a gap (`counters`): who has read up to a number and asks for what came after it misses
nothing. What a reader may not see, or has not asked for, is left out of what he is told; his place moves on past it all the same.

An alert may go away from a reader while it goes on: to another district, to the whole city, or to another kind. He saw it before a change and
not after it, and is told of this change as an end, once: `left`, or `resolved` where it ended just then, with the alert as he saw it last.
Otherwise he would believe for ever that it runs.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection, func, select

from service.store import alerts, counters
from service.store.alerts import Alert, AlertEvent
from service.store.schema import alert_events
from service.store.schema import alerts as table

AT_ONCE = 500  # changes that are read in one block for a reader who does not see all of them


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        event: what happened; its `seq` is the change's number.
        alert: the alert as it is when it is read, which may have changed again since.
        after: the alert after it; before: after the change before this one, None if there was none.
    """

    event: AlertEvent
    alert: Alert
    after: Alert
    before: Alert | None

    def seen_by(self, sees: Callable[[Alert], bool]) -> "Change | None":
        """The change as a reader is told it who sees some alerts; None: he is not told.

        Args:
            sees: whether he sees an alert where, and of the kind, that it is.
        """
        if sees(self.after):
            return self if sees(self.alert) else replace(self, alert=self.after)
        if self.before is None or not sees(self.before):
            return None
        action = "resolved" if self.event.action == "resolved" else alerts.LEFT
        event = replace(self.event, action=action, level=self.before.level, status="resolved", note=None)  # the note says where it is now
        return replace(self, event=event, alert=replace(self.before, status="resolved", changed_at=event.at, resolved_at=event.at))


@dataclass(frozen=True)
class Kept:
    """Where the feed stands.

    Attributes:
        newest: number of the newest change; 0 before the first.
        forgotten: those up to this number are not told any longer; 0: all are.
    """

    newest: int
    forgotten: int

    @classmethod
    def of(cls, numbers: Mapping[str, int]) -> "Kept":
        """Where it stands by the counters."""
        return cls(numbers.get(counters.ALERT_CHANGES, 0), numbers.get(counters.FORGOTTEN, 0))

    def tells_after(self, seq: int) -> bool:
        """Whether all that came after a number can be told. Not so: it is too old, or was given by a database that is no more."""
        return self.forgotten <= seq <= self.newest


def after(conn: Connection, seq: int, limit: int, sees: Callable[[Alert], bool] | None = None) -> list[Change]:
    """The changes after a number, oldest first, `limit` at most.

    Args:
        sees: for a reader who sees only some alerts, as he is told them.
    """
    if sees is None:
        return _block(conn, seq, limit)
    told = (change.seen_by(sees) for change in _every(conn, seq))
    return list(islice((change for change in told if change is not None), limit))


def _every(conn: Connection, seq: int) -> Iterator[Change]:
    while block := _block(conn, seq, AT_ONCE):
        yield from block
        seq = block[-1].event.seq


def _block(conn: Connection, seq: int, limit: int) -> list[Change]:
    e, earlier = alert_events.c, alert_events.alias()
    newest_earlier = select(func.max(earlier.c.seq)).where(earlier.c.alert_id == e.alert_id, earlier.c.seq < e.seq).scalar_subquery()
    previous = alert_events.alias()
    joined = alert_events.join(table, table.c.id == e.alert_id).outerjoin(previous, previous.c.seq == newest_earlier)
    query = select(*alerts.EVENT, table, e.snapshot, previous.c.seq, previous.c.snapshot).select_from(joined)
    found = []
    for row in conn.execute(query.where(e.seq > seq).order_by(e.seq).limit(limit)):
        event, (snapshot, previous_seq, earlier_snapshot) = AlertEvent(*row[: len(alerts.EVENT)]), row[-3:]
        alert = Alert(*row[len(alerts.EVENT) : -3])
        before = None if previous_seq is None else _or_now(earlier_snapshot, alert)
        found.append(Change(event, alert, _or_now(snapshot, alert), before))
    return found


def _or_now(snapshot: Mapping[str, object] | None, alert: Alert) -> Alert:
    """The alert that a snapshot keeps; where none was kept, as it is now."""
    return alert if snapshot is None else alerts.of_snapshot(snapshot)


def newest(conn: Connection) -> int:
    """Number of the newest change; 0 before the first."""
    return kept(conn).newest


def kept(conn: Connection) -> Kept:
    """Where the feed stands."""
    return Kept.of(counters.read(conn))


def begin_anew(conn: Connection, now: datetime) -> None:
    """After the database was brought back from a backup: numbers go on beyond all that were given before, and none of those is told.

    Otherwise a reader who was told of changes since the backup would miss as many new ones, which would bear the same numbers. The seconds since
    1970 lie beyond every number given: alerts change less than once a second.
    """
    start = max(newest(conn) + 1, int(now.timestamp()))
    counters.put(conn, counters.ALERT_CHANGES, start)
    counters.put(conn, counters.FORGOTTEN, start)
