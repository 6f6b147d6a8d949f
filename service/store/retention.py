"""How long what the service found of past days is kept: a day is forgotten whole, in a transaction of its own.

What is precious is not here: tickets, counts, published forecasts, alerts and the ledger stay.
"""

from datetime import date

from sqlalchemy import Connection, delete, select, union

from service.store import promised
from service.store.schema import day_scores, input_drift, promised_days, shadow_days

_BY_DAY = (day_scores, input_drift)


def days_before(conn: Connection, first: date) -> list[date]:
    """The days before one of which scores, drift or accuracy are kept, the earliest first."""
    tables = (*_BY_DAY, promised_days, shadow_days)
    return sorted(conn.execute(union(*(select(table.c.day).where(table.c.day < first).distinct() for table in tables))).scalars())


def forget(conn: Connection, day: date) -> None:
    """Forgets how a day was judged, what became of the forecasts of it, and how the week up to it had drifted."""
    for table in _BY_DAY:
        conn.execute(delete(table).where(table.c.day == day))
    for of in (promised.PUBLISHED, promised.CHALLENGER):
        promised.drop(conn, day, of)
