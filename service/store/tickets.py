"""Tickets: staged as a whole, then applied in batches, together with the counts that follow from them.

A file goes through two tables. `stage` appends its rows to `staged_tickets`; nothing else sees them. `apply` then moves them over,
one transaction a batch:

1. compare the batch with the stored tickets: which are new, which changed, which moved to another area, category, day or hour (none of them,
   if all are found to be new on inserting them);
2. append to `count_changes`: +1 for a new ticket, -1 and +1 for one that moved, -1 for one that is no demand any more (a consultation);
3. add those changes up in `daily_counts`;
4. insert or update the tickets;
5. delete the batch from the staging table and add to the ingest's totals.

A batch that is cut short leaves no trace, and the next `apply` begins with it again.

Rows that are no demand are staged too, by `stage_no_demand`: they can take a ticket that is stored out of the counts. It stays in the table, so that
an older version does not bring it back; a newer one does. Of a ticket that is not stored they change nothing.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import (
    Connection,
    Engine,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    false,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import FromClause

from service.store import bulk, counts, ingests
from service.store.engine import reading, writing
from service.store.ingests import Totals
from service.store.schema import count_changes, staged_tickets, tickets

_Columns = ReadOnlyColumnCollection[str, Any]

Foreign = tuple[int, str]
"""Line and ticket_id of a row that would take over a ticket of another place."""

Hold = Callable[[Connection], None]
"""Makes sure, in a transaction, that whoever does it is still the one to do it; raises if not."""


@dataclass(frozen=True)
class Limit:
    """To what the sender of an ingest is limited.

    Attributes:
        areas: tickets that are stored in none of these areas are not his to change.
        refused: called, in the transaction that leaves them out, with the rows that would have.
    """

    areas: Collection[str]
    refused: Callable[[Connection, list[Foreign]], None]


BATCH_LINES = 20_000  # a fifth of a second of writing, half a second on a busy machine: others wait no longer than that
KEYS_AT_ONCE = 5_000  # that are looked up by one query: no database takes more than some ten thousand values
REPEATED_KEYS = 5_000  # keys whose repeats are dropped by one transaction

_CELL = ("area", "category", "day", "hour")  # what a ticket is counted under
# A row that leaves one of these blank does not erase it.
_OPTIONAL = ("updated_at", "closed_at", "status", "lat", "lon", "caller", "title", "text", "closure_text")


def stage(conn: Connection, ingest_id: int, frame: pd.DataFrame) -> None:
    """Appends rows to the staging table.

    Args:
        frame: `line, source, ticket_id, area, category, created_at, day, hour, received_at` and any of the optional columns of the
            table `tickets`; strings may be categorical. Lines of one ingest are unique.
    """
    bulk.insert(conn, staged_tickets, frame.assign(ingest_id=ingest_id))


def stage_no_demand(conn: Connection, ingest_id: int, frame: pd.DataFrame) -> None:
    """Appends rows that are no demand: `line, source, ticket_id, received_at`, and `updated_at` if there is one."""
    moment = frame["received_at"]
    day = moment.dt.tz_localize(None).dt.normalize().astype(bulk.DAY)
    demand = pd.Series(pd.NA, index=frame.index, dtype="boolean")
    stage(conn, ingest_id, frame.assign(area="", category="", created_at=moment, hour=moment, day=day, demand=demand))


def drop_foreign(conn: Connection, ingest_id: int, areas: Collection[str]) -> list[Foreign]:
    """Unstages the rows of an ingest whose ticket is stored already, and in none of these areas; those that are a demand."""
    return _drop_foreign(conn, ingest_id, staged_tickets.c.ingest_id == ingest_id, areas)


def _drop_foreign(conn: Connection, ingest_id: int, within: ColumnElement[bool], areas: Collection[str]) -> list[Foreign]:
    s, t = staged_tickets.c, tickets.c
    same_ticket = and_(t.source == s.source, t.ticket_id == s.ticket_id)
    query = select(s.line, s.ticket_id, s.demand).select_from(staged_tickets.join(tickets, same_ticket)).where(within)
    found = conn.execute(query.where(t.area.not_in(list(areas))).order_by(s.line)).all()
    if found:
        lines = [{"of_line": row.line} for row in found]
        conn.execute(delete(staged_tickets).where(s.ingest_id == ingest_id, s.line == bindparam("of_line")), lines)
    return [(int(row.line), str(row.ticket_id)) for row in found if row.demand]


def foreign(conn: Connection, frame: pd.DataFrame, areas: Collection[str]) -> list[Foreign]:
    """Line and ticket_id of the rows (`line, source, ticket_id`), not yet staged, whose ticket is stored already, and in none of these areas."""
    t = tickets.c
    found: list[Foreign] = []
    for start in range(0, len(frame), KEYS_AT_ONCE):
        part = frame.iloc[start : start + KEYS_AT_ONCE]
        lines = dict(zip(zip(part["source"].astype("str"), part["ticket_id"], strict=True), part["line"].tolist(), strict=True))
        stored = conn.execute(select(t.source, t.ticket_id, t.area).where(tuple_(t.source, t.ticket_id).in_(list(lines))))
        found += [(lines[row.source, row.ticket_id], row.ticket_id) for row in stored if row.area not in areas]
    return sorted(found)


def staged(conn: Connection, ingest_id: int) -> int:
    """How many rows of an ingest are staged."""
    return int(conn.execute(select(func.count()).select_from(staged_tickets).where(staged_tickets.c.ingest_id == ingest_id)).scalar_one())


def discard(engine: Engine, ingest_id: int) -> None:
    """Empties the staging table of an ingest."""
    low: int | None = 0
    while low is not None:
        with writing(engine, batch=True) as conn:
            low = _first_line(conn, ingest_id, low)
            if low is not None:
                conn.execute(delete(staged_tickets).where(_within(ingest_id, low, BATCH_LINES)))


def apply(
    engine: Engine,
    ingest_id: int,
    batch: int = BATCH_LINES,
    progress: Callable[[int], None] | None = None,
    limit: Limit | None = None,
    hold: Hold | None = None,
) -> Totals:
    """Moves the staged rows of an ingest into the tickets and the counts.

    A ticket is known by (source, ticket_id). Of rows of one file with the same key the one with the latest `updated_at` counts, of
    those the last line; the others count as unchanged, as does a row whose `updated_at` is older than the stored one, and a row without one
    if a later ingest has brought the ticket meanwhile. A row that is no
    demand counts as changed if it takes a ticket out of the counts, and not at all otherwise. Safe to repeat: after a kill it goes on where it
    stopped.

    Args:
        batch: lines a transaction.
        progress: called with the number of lines done by each transaction.
        limit: to what the sender is limited; looked at in the transaction that stores, whoever has stored a ticket since it was staged.
        hold: called at the end of each transaction; what it raises undoes that.
    Returns:
        The ingest's totals, those of earlier calls included.
    """
    _drop_repeats(engine, ingest_id, hold)
    low, all_new = 0, True
    while True:
        with writing(engine, batch=True) as conn:
            first = _first_line(conn, ingest_id, low)
            if first is None:
                return ingests.get(conn, ingest_id).totals
            low = first
            within = _within(ingest_id, low, batch)
            if limit is not None:
                refused = _drop_foreign(conn, ingest_id, within, limit.areas)
                if refused:
                    limit.refused(conn, refused)
            totals = _apply_batch(conn, ingest_id, within, as_new=all_new)
            all_new = not (totals.changed or totals.unchanged)
            if hold is not None:
                hold(conn)
        if progress:
            progress(totals.added + totals.changed + totals.unchanged)


def _within(ingest_id: int, low: int, lines: int) -> ColumnElement[bool]:
    s = staged_tickets.c
    return and_(s.ingest_id == ingest_id, s.line >= low, s.line < low + lines)


def _first_line(conn: Connection, ingest_id: int, low: int) -> int | None:
    """The first line from `low` on that is staged; where PostgreSQL has deleted rows, it would look at each of them from the beginning."""
    s = staged_tickets.c
    return conn.execute(select(func.min(s.line)).where(s.ingest_id == ingest_id, s.line >= low)).scalar()


def _drop_repeats(engine: Engine, ingest_id: int, hold: Hold | None) -> None:
    """Leaves one row of each key: the latest version, received when the first of them was."""
    s = staged_tickets.c
    lines = func.aggregate_strings(cast(s.line, Text), ",")  # of each key with several, in one pass
    repeated = select(lines).where(s.ingest_id == ingest_id).group_by(s.ticket_id, s.source).having(func.count() > 1)
    with reading(engine) as conn, conn.execute(repeated.execution_options(yield_per=REPEATED_KEYS)) as found:
        for keys in found.scalars().partitions():
            of_key = pd.DataFrame({"line": [list(map(int, key.split(","))) for key in keys]}).explode("line").rename_axis("key").reset_index()
            chosen = and_(s.ingest_id == ingest_id, s.line.in_(bindparam("lines", of_key["line"].tolist(), expanding=True, literal_execute=True)))
            versions = bulk.read(conn, select(s.line, s.updated_at, s.received_at, s.demand).where(chosen)).merge(of_key.astype("int64"), on="line")
            versions = versions.sort_values(["key", "updated_at", "line"], na_position="first")
            versions["demand"] = versions["demand"].notna()
            versions["first"] = versions["received_at"].where(versions["demand"]).groupby(versions["key"]).transform("min")
            last = ~versions.duplicated("key", keep="last")
            _keep_last(engine, ingest_id, versions[last & versions["demand"] & (versions["first"] < versions["received_at"])], versions[~last], hold)


def _keep_last(engine: Engine, ingest_id: int, late: pd.DataFrame, repeats: pd.DataFrame, hold: Hold | None) -> None:
    s = staged_tickets.c
    of_line = and_(s.ingest_id == ingest_id, s.line == bindparam("of_line"))
    with writing(engine, batch=True) as conn:
        if len(late):
            firsts = [{"of_line": line, "first": first.to_pydatetime()} for line, first in zip(late["line"].tolist(), late["first"], strict=True)]
            conn.execute(update(staged_tickets).where(of_line).values(received_at=bindparam("first")), firsts)
        conn.execute(delete(staged_tickets).where(of_line), [{"of_line": line} for line in repeats["line"].tolist()])
        ingests.advance(conn, ingest_id, Totals(unchanged=int(repeats["demand"].sum())))
        if hold is not None:
            hold(conn)


def _apply_batch(conn: Connection, ingest_id: int, within: ColumnElement[bool], as_new: bool) -> Totals:
    """Applies the staged rows `within`; with `as_new` it tries first whether all of them are new, which is quicker if they are."""
    s, t = staged_tickets.c, tickets.c
    fresh = select(*(s[name] for name in _CELL), literal(1), s.received_at, literal(ingest_id)).where(within)
    added = _add_all(conn, ingest_id, within) if as_new else None
    if added is not None:
        _count(conn, ingest_id, [fresh])
        totals = Totals(added=added)
    else:
        same_ticket = and_(t.source == s.source, t.ticket_id == s.ticket_id)
        every: FromClause = staged_tickets.outerjoin(tickets, same_ticket)
        known: FromClause = staged_tickets.join(tickets, same_ticket)
        is_new = and_(t.ticket_id.is_(None), s.demand)
        tests = (s.demand, is_new, and_(t.ticket_id.is_not(None), _changed()), _moved(), _withdrawn())
        numbers = (func.coalesce(func.sum(case((test, 1), else_=0)), 0) for test in tests)
        total, new, changed, moved, withdrawn = conn.execute(select(*numbers).select_from(every).where(within)).one()

        changes = [fresh.select_from(every).where(is_new)] if new else []
        if moved or withdrawn:
            for cell, delta, which in ((t, -1, and_(t.demand, or_(_moved(), _withdrawn()))), (s, 1, _moved())):
                columns = (*(cell[name] for name in _CELL), literal(delta), _moved_at(), literal(ingest_id))
                changes.append(select(*columns).select_from(known).where(within, which))
        _count(conn, ingest_id, changes)
        if withdrawn:
            gone = {"demand": false(), "received_at": _moved_at(), "updated_at": func.coalesce(s.updated_at, t.updated_at), "ingest_id": ingest_id}
            conn.execute(update(tickets).where(within, same_ticket, _withdrawn()).values(gone))
            ingests.take_back(conn, ingest_id, int(withdrawn))
        if changed:
            _update(conn, select(*_as_staged(ingest_id)).select_from(known).where(within, _changed()))
        if new:
            rows = select(*_as_staged(ingest_id)).select_from(every).where(within, is_new)
            conn.execute(insert(tickets).from_select(_NAMES, rows))
        totals = Totals(added=int(new), changed=int(changed), unchanged=int(total - new - changed))
    conn.execute(delete(staged_tickets).where(within))
    ingests.advance(conn, ingest_id, totals)
    return totals


def _count(conn: Connection, ingest_id: int, changes: list[Select[Any]]) -> None:
    before = counts.last_change(conn)
    for rows in changes:
        conn.execute(insert(count_changes).from_select([*_CELL, "delta", "received_at", "ingest_id"], rows))
    counts.add_up(conn, ingest_id, before)


def _add_all(conn: Connection, ingest_id: int, within: ColumnElement[bool]) -> int | None:
    """Inserts the staged rows as new tickets and returns their number; None, and nothing is done, if one of the tickets is known."""
    rows = insert(tickets).from_select(_NAMES, select(*_as_staged(ingest_id)).where(within))
    attempt = conn.begin_nested()
    try:
        added = conn.execute(rows, execution_options={"preserve_rowcount": True}).rowcount
    except IntegrityError:
        attempt.rollback()
        return None
    attempt.commit()
    return added


_NAMES = [*(column.name for column in tickets.columns if column.name != "ingest_id"), "ingest_id"]


def _as_staged(ingest_id: int) -> list[ColumnElement[Any]]:
    """The columns of a ticket as it came."""
    return [literal(ingest_id) if name == "ingest_id" else staged_tickets.c[name] for name in _NAMES]


def _update(conn: Connection, rows: Select[Any]) -> None:
    t = tickets.c
    statement = bulk.upsert(conn, tickets).from_select(_NAMES, rows)
    given = statement.excluded
    values: dict[str, ColumnElement[Any]] = {name: given[name] for name in (*_CELL, "created_at", "ingest_id", "demand")}
    values |= {name: func.coalesce(given[name], t[name]) for name in _OPTIONAL}
    values["received_at"] = case((_moved(given), _moved_at(given)), else_=t.received_at)
    conn.execute(statement.on_conflict_do_update(index_elements=["source", "ticket_id"], set_=values))


# `new` below is the row that comes in: staged, or `excluded` in an upsert.


def _not_older(new: _Columns) -> ColumnElement[bool]:
    """By `updated_at` or, where one of the two has none, by the order of the ingests: one that died may be finished after a later one."""
    t = tickets.c
    untold = or_(new.updated_at.is_(None), t.updated_at.is_(None))
    return or_(and_(untold, new.ingest_id >= t.ingest_id), new.updated_at >= t.updated_at)


def _moved(new: _Columns = staged_tickets.c) -> ColumnElement[bool]:
    """It is counted elsewhere than before, or again."""
    t = tickets.c
    return and_(_not_older(new), new.demand, or_(not_(t.demand), *(new[name] != t[name] for name in _CELL)))


def _withdrawn() -> ColumnElement[bool]:
    """It is counted and no demand any more."""
    return and_(_not_older(staged_tickets.c), staged_tickets.c.demand.is_(None), tickets.c.demand)


def _changed(new: _Columns = staged_tickets.c) -> ColumnElement[bool]:
    t = tickets.c
    required = (new[name] != t[name] for name in (*_CELL, "created_at"))
    optional = (and_(new[name].is_not(None), new[name].is_distinct_from(t[name])) for name in _OPTIONAL)
    return and_(_not_older(new), new.demand, or_(not_(t.demand), *required, *optional))


def _moved_at(new: _Columns = staged_tickets.c) -> ColumnElement[datetime]:
    """When a move became known: never before the ticket itself was, so that no count is negative at any moment."""
    t = tickets.c
    moment: ColumnElement[datetime] = func.coalesce(new.updated_at, new.received_at)
    for other in (new.received_at, t.received_at, t.updated_at):
        moment = case((other > moment, other), else_=moment)
    return moment
