"""What every answer about alerts depends on, read before it in a few rows: who has the answer already need not be told again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version as version_of

from fastapi import Request
from sqlalchemy import Connection

from service.api.alerts.schemas import Watch
from service.api.deps import Service
from service.api.web import etags
from service.store import counters, day_scores, jobs, silences
from service.store.alert_changes import Kept
from service.store.jobs import Job
from service.store.keys import Caller
from service.store.silences import Silence

_VERSION = version_of("weisu")
_MOVES = (counters.ALERT_CHANGES, counters.ALERT_NUMBERS, counters.DAY_SCORES, counters.TREES)


@dataclass(frozen=True)
class AlertState:
    """The state at one moment.

    Attributes:
        numbers: the counters. They tell of every change of an alert, of scores of days, and of labels.
        watch: how detection stands; None: no scheduler has ever run.
        silences: those that hold.
    """

    now: datetime
    numbers: Mapping[str, int]
    watch: Job | None
    silences: list[Silence]

    @classmethod
    def read(cls, service: Service, conn: Connection) -> "AlertState":
        """The state now."""
        now = service.clock.now()
        return cls(now, counters.read(conn), jobs.get(conn, jobs.WATCH), silences.active(conn, now))

    @property
    def feed(self) -> Kept:
        """Where the feed of changes stands."""
        return Kept.of(self.numbers)

    @property
    def watched_at(self) -> datetime | None:
        """When detection last succeeded."""
        return None if self.watch is None else self.watch.succeeded_at

    @property
    def late(self) -> bool:
        """Whether detection should have succeeded by now and has not, or never has: that there is no alert says nothing then."""
        return self.watch is None or self.watch.succeeded_at is None or self.watch.is_late(self.now)

    def tag(self, request: Request, caller: Caller, *more: object) -> str:
        """The tag of an answer: what it depends on beside `more`, the request and what the caller may see."""
        moves = [self.numbers.get(name, 0) for name in _MOVES]
        until = None if self.watch is None else self.watch.late_at
        silenced = [silence.id for silence in self.silences]
        return etags.tag(request, _VERSION, caller.districts, moves, self.watched_at, until, self.late, silenced, *more)

    def watch_of(self, service: Service, conn: Connection) -> Watch:
        """How detection stands, as the API tells it."""
        return Watch(
            watched_at=None if self.watched_at is None else service.local(self.watched_at),
            as_of=day_scores.newest(conn),
            late=self.late,
            late_at=None if self.watch is None else service.local(self.watch.late_at),
        )
