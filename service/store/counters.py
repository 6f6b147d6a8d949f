"""Numbers that go up by one in the order in which transactions are committed, without a gap.

A database's own sequence hands its numbers out before a commit: a reader could see 7 while 6 is still to come, and miss 6 for ever; and what
is rolled back leaves a gap. A counter is a row, which a transaction holds from its step to its commit: whoever steps next waits for it.
"""

from sqlalchemy import Connection, select

from service.store import bulk
from service.store.schema import counters

ALERT_CHANGES = "alert_changes"  # number of the newest change, see `alert_changes`
FORGOTTEN = "alert_changes_forgotten"  # changes up to this number are not told any longer
ALERT_NUMBERS = "alert_numbers"  # how often the numbers of an alert have followed the watch, without a change in the feed
TREES = "trees"  # areas and categories with their labels
DAY_SCORES = "day_scores"

_ALL = select(counters)


def step(conn: Connection, name: str) -> int:
    """The counter's next number; the first is 1. Other transactions that step it wait until this one ends."""
    statement = bulk.upsert(conn, counters).values(name=name, value=1)
    goes_up = statement.on_conflict_do_update(index_elements=[counters.c.name], set_={"value": counters.c.value + 1})
    return int(conn.execute(goes_up.returning(counters.c.value)).scalar_one())


def put(conn: Connection, name: str, value: int) -> None:
    """Sets a counter."""
    bulk.replace(conn, counters, [{"name": name, "value": value}])


def read(conn: Connection) -> dict[str, int]:
    """All counters by name. One that was never stepped is missing: it is 0."""
    return {row.name: row.value for row in conn.execute(_ALL)}
