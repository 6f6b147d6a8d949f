"""Jobs that tell others what changes: short, every few seconds, noted in the store as the scheduler's other jobs are."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from math import inf
from time import monotonic

import httpx
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from forecasting.errors import InputError
from service.clock import Clock
from service.jobs import alertmanager, delivery
from service.jobs.alertmanager import Alarms
from service.jobs.delivery import Documents
from service.settings import Settings
from service.store import jobs
from service.store.engine import writing

NOTE_EVERY = 30.0  # seconds between two notes of a success: that it goes on is news enough
LATE = timedelta(minutes=2)  # after its turn, as the scheduler itself

log = logging.getLogger(__name__)


@dataclass
class Teller:
    """One such job.

    Attributes:
        name: under which the store notes how it stands.
        every: from one turn to the next.
        step: what it does; raises what it cannot mend by itself.
        clock: the service's, by which the other jobs are noted too.
    """

    name: str
    every: timedelta
    step: Callable[[], object]
    db: Engine
    clock: Clock
    _noted: float = field(default=-inf, init=False)
    _failed: bool = field(default=False, init=False)

    def run(self) -> None:
        """Does it once, and notes how that went: a failure and what follows one at once, successes now and then."""
        try:
            self.step()
        except (SQLAlchemyError, httpx.HTTPError, InputError, OSError) as error:
            why = (str(error) or type(error).__name__).splitlines()[0]
            if not self._failed:  # once, not every few seconds
                log.warning(f"{self.name}.failed", extra={"reason": why})
            self._failed = True
            self._note(lambda conn: self._fail(conn, why))
        else:
            if self._failed or monotonic() >= self._noted + NOTE_EVERY:
                self._failed = not self._note(self._succeed)
                self._noted = monotonic()

    def _succeed(self, conn: Connection) -> None:
        now = self.clock.now()
        jobs.succeed(conn, self.name, now, now + self.every, now + max(self.every, timedelta(seconds=NOTE_EVERY)) + LATE)

    def _fail(self, conn: Connection, why: str) -> None:
        now = self.clock.now()
        jobs.expect(conn, self.name, now, now + LATE)
        jobs.fail(conn, self.name, now, why, now + self.every)

    def _note(self, change: Callable[[Connection], None]) -> bool:
        """Whether it could be noted; if not, its row grows old, and that is seen."""
        try:
            with writing(self.db) as conn:
                change(conn)
        except SQLAlchemyError:
            return False
        return True


def tellers(db: Engine, settings: Settings, documents: Documents, alarms: Alarms) -> list[Teller]:
    """The jobs of an installation: the webhooks and, where there is one, Alertmanager.

    Args:
        documents, alarms: how changes and alerts are told.
    """
    sender = delivery.sender(db, settings, documents)
    found = [Teller("delivery", delivery.EVERY, sender.step, db, settings.clock)]
    if settings.alertmanager_url:
        found.append(Teller("alertmanager", alertmanager.EVERY, alertmanager.Pusher(db, settings, alarms).step, db, settings.clock))
    return found
