"""Leases of work that takes long: renewed beside it for as long as it lasts, so that nobody takes over what is still at work."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from service.store.engine import writing

log = logging.getLogger(__name__)


@contextmanager
def held(db: Engine, renew: Callable[[Connection], bool], every: float, told: Mapping[str, object]) -> Iterator[None]:
    """Renews a lease as long as the block lasts.

    A store that does not answer costs a turn: the work itself meets the same, or the next turn is in time.

    Args:
        renew: renews it, in a transaction of its own; False: somebody has taken it over, and nothing is renewed any more.
        every: seconds from one turn to the next.
        told: what the log says of the work where a turn fails.
    """
    done = threading.Event()

    def go_on() -> None:
        while not done.wait(every):
            try:
                with writing(db) as conn:
                    if not renew(conn):
                        return
            except SQLAlchemyError as error:
                log.warning("lease.not_renewed", extra={**told, "reason": str(error).splitlines()[0]})

    thread = threading.Thread(target=go_on, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
