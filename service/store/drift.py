"""Drift of what comes in: the mixes that are compared, and what each night found."""

from dataclasses import asdict
from datetime import date

from sqlalchemy import Connection, case, func, insert, select
from sqlalchemy import delete as delete_rows

from forecasting.drift import Drift, Part
from service.store.schema import daily_counts, input_drift, tickets

INPUTS = ("category", "source", "delay")
Span = tuple[date, date]


def categories(conn: Connection, span: Span) -> dict[str, int]:
    """Tickets of some days by the category that they were filed under."""
    c = daily_counts.c
    rows = conn.execute(select(c.category, func.sum(c.count)).where(c.day.between(*span)).group_by(c.category))
    return {category: int(count) for category, count in rows if count}


def sources(conn: Connection, *spans: Span) -> list[dict[str, int]]:
    """Tickets of some days by the system that they came from, for each span. Reads through all tickets: of those no day is looked up."""
    c = tickets.c
    of_span = [func.sum(case((c.day.between(*span), 1), else_=0)) for span in spans]
    first, last = min(span[0] for span in spans), max(span[1] for span in spans)
    rows = conn.execute(select(c.source, *of_span).where(c.day.between(first, last), c.demand).group_by(c.source)).all()
    return [{row[0]: int(row[k + 1]) for row in rows if row[k + 1]} for k in range(len(spans))]


def put(conn: Connection, day: date, found: dict[str, Drift]) -> None:
    """Replaces what was found of the week that ends on a day."""
    conn.execute(delete_rows(input_drift).where(input_drift.c.day == day))
    for name, one in found.items():
        parts = [asdict(part) for part in one.parts]
        conn.execute(insert(input_drift).values(day=day, input=name, psi=one.psi, chance=one.chance, tickets=one.tickets, parts=parts))


def read(conn: Connection, start: date, end: date) -> dict[date, dict[str, Drift]]:
    """What was found of the weeks that end on the days from `start` to `end`, by day and input."""
    c = input_drift.c
    query = select(c.day, c.input, c.psi, c.chance, c.tickets, c.parts).where(c.day >= start, c.day <= end).order_by(c.day, c.input)
    found: dict[date, dict[str, Drift]] = {}
    for row in conn.execute(query):
        found.setdefault(row.day, {})[row.input] = Drift(row.psi, row.chance, row.tickets, tuple(Part(**part) for part in row.parts))
    return found


def newest(conn: Connection) -> date | None:
    """The last day of which there is a comparison; None before the first."""
    return conn.execute(select(func.max(input_drift.c.day))).scalar()
