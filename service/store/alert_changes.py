"""The feed of changes: every event of every alert under one number, for readers who want each of them exactly in its place.

Numbers are given in the order of commits and without a gap (`counters`): who has read up to a number and asks for what came after it misses
nothing. What a reader may not see is left out of its answers; its place moves on past it all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from service.store import alerts, counters
from service.store.alerts import Alert, AlertEvent, AlertFilters
from service.store.schema import alert_events
from service.store.schema import alerts as table


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        event: what happened; its `seq` is the change's number.
        alert: the alert as it is when it is read, which may have changed again since.
    """

    event: AlertEvent
    alert: Alert


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


def after(conn: Connection, seq: int, limit: int, filters: AlertFilters | None = None) -> list[Change]:
    """The changes after a number, oldest first, `limit` at most, of alerts that fit as they are now."""
    e = alert_events.c
    query = select(alert_events, table).select_from(alert_events.join(table, table.c.id == e.alert_id))
    query = query.where(e.seq > seq, *alerts.conditions(filters or AlertFilters())).order_by(e.seq).limit(limit)
    events = len(alert_events.c)
    return [Change(AlertEvent(*row[:events]), Alert(*row[events:])) for row in conn.execute(query)]


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
