"""The tickets behind a count: those that are counted under given codes on given days, and what else the count is made of.

A count is the sum of the tickets that are filed there and are a demand, and of what came as counts without tickets. Where both came for a district
and day, one of them gives way (see `baseline`): tickets that do are counted nowhere, and are not behind any count.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, Connection, func, literal, not_, select, tuple_

from service.store import bulk
from service.store.baseline import BY_DAYS, TICKETS
from service.store.schema import count_changes, tickets

COLUMNS = ("source", "ticket_id", "area", "category", "date", "created_at", "received_at", "updated_at", "closed_at", "status")
"""Of `rows`: nothing that says who called, where they live, or what they said."""

Place = tuple[date, datetime, str, str]  # day, created_at, source and ticket_id of a ticket: its place in the list


@dataclass(frozen=True)
class Cell:
    """What a count is of.

    Attributes:
        areas, categories: codes as tickets carry them; None: every one.
        start, end: first and last day.
        hours: the moments at which hours begin; None: whole days.
        moment: as known then; None: as it stands now.
    """

    areas: Collection[str] | None
    categories: Collection[str] | None
    start: date
    end: date
    hours: Collection[datetime] | None = None
    moment: datetime | None = None


@dataclass(frozen=True)
class Behind:
    """What a count is made of.

    Attributes:
        count: the count.
        tickets: of them that are listed by `rows`.
        without_ticket: of them that came as counts alone.
    """

    count: int
    tickets: int
    without_ticket: int


def behind(conn: Connection, cell: Cell) -> Behind:
    """What a cell's count is made of. Of single hours, what came as counts by whole days is left out, as `count_sums.hourly` tells it apart."""
    c = count_changes.c
    of_tickets = c.part.in_((TICKETS, ~TICKETS))
    query = select(func.coalesce(func.sum(c.delta), 0), func.coalesce(func.sum(c.delta).filter(not_(of_tickets)), 0)).where(*_where(c, cell))
    if cell.hours is not None:
        query = query.where(c.part.not_in((BY_DAYS, ~BY_DAYS)))
    if cell.moment is not None:
        query = query.where(c.received_at <= cell.moment)
    count, without = conn.execute(query).one()
    listed = conn.execute(select(func.count()).select_from(tickets).where(*_listed(cell))).scalar_one()
    return Behind(int(count), int(listed), int(without))


def rows(conn: Connection, cell: Cell, after: Place | None, limit: int) -> pd.DataFrame:
    """The tickets of a cell in the order of day, created_at, source, ticket_id.

    With a moment: those that were counted there then and still are; one that was filed elsewhere since is not told any more.

    Args:
        after: the last one of the page before.
        limit: most rows.

    Returns:
        The columns COLUMNS.
    """
    t = tickets.c
    order = (t.day, t.created_at, t.source, t.ticket_id)
    query = select(*(t.day.label("date") if name == "date" else t[name] for name in COLUMNS)).where(*_listed(cell))
    if after is not None:
        place = tuple_(*(literal(value, column.type) for value, column in zip(after, order, strict=True)))
        query = query.where(t.day >= after[0], tuple_(*order) > place)
    return bulk.read(conn, query.order_by(*order).limit(limit))


def _listed(cell: Cell) -> list[ColumnElement[bool]]:
    t = tickets.c
    found = [*_where(t, cell), t.demand, not_(_gives_way(cell))]
    return found if cell.moment is None else [*found, t.received_at <= cell.moment]


def _gives_way(cell: Cell) -> ColumnElement[bool]:
    """Whether the tickets of an area and day give way to counts: then the journal takes them back."""
    c, t = count_changes.c, tickets.c
    taken_back = select(c.day, c.area).where(c.part == ~TICKETS, c.day >= cell.start, c.day <= cell.end)
    if cell.moment is not None:
        taken_back = taken_back.where(c.received_at <= cell.moment)
    return tuple_(t.day, t.area).in_(taken_back.group_by(c.day, c.area).having(func.sum(c.delta) != 0))


def _where(c: Any, cell: Cell) -> list[ColumnElement[bool]]:
    found = [c.day >= cell.start, c.day <= cell.end]
    for column, codes in ((c.area, cell.areas), (c.category, cell.categories)):
        if codes is not None:
            found.append(column.in_(sorted(codes)))
    if cell.hours is not None:
        found.append(c.hour.in_(sorted(cell.hours)))
    return found
