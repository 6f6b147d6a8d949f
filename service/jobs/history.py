"""How much there is to learn from, and how much a first training needs: what is short of it is waited for, not tried."""

from sqlalchemy import Connection

from forecasting.errors import InputError
from service.clock import Clock
from service.store import counts, delays

LEAST_DAYS = 28  # below which nothing can be forecast: four weeks give each weekday four times


def days(conn: Connection, clock: Clock) -> int:
    """Days from the first count to the last day that a training may learn from; 0: there is none."""
    span, until = counts.span(conn), delays.complete_until(conn, clock)
    return 0 if span is None or until is None else (until - span[0]).days + 1


def require(found: int) -> None:
    """Raises InputError where so many days are too few to learn from."""
    if found == 0:
        raise InputError("the store holds no tickets of a finished day", "store", "load some with `weisu ingest FILE`")
    if found < LEAST_DAYS:
        raise InputError(f"only {found} days of counts", "training", f"load at least {LEAST_DAYS} days with `weisu ingest FILE`")
