"""Reporting delay as estimated from what came in, and until when counts are complete by it."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

import pandas as pd
from sqlalchemy import Connection, Integer, case, delete, func, insert, select
from sqlalchemy import cast as sql_cast

from forecasting import delay
from forecasting.delay import Delay
from service.clock import Clock
from service.store import bulk, counts
from service.store.baseline import TICKETS
from service.store.schema import count_changes, reporting_delays

DAYS = 56  # that are followed: eight weeks hold every weekday eight times and still follow a change of the way in which data arrive
AN_HOUR = timedelta(hours=1)


def estimate(conn: Connection, clock: Clock) -> dict[str, Delay]:
    """Delay curves from the journal of tickets: the `DAYS` newest days that could be followed for `delay.MOST` days.

    A day on which every ticket was received within its hour is left out: there the moment of reception was not told, and taken to be that of
    creation (or nothing is ever late, which is what no curve means).
    """
    last = clock.business_date() - timedelta(days=delay.MOST)
    parts = [_arrived(conn, clock, last - timedelta(days=back)) for back in range(DAYS)]
    told = [part for part in parts if part is not None]
    return delay.estimate(pd.concat(told, ignore_index=True)) if told else {}


def put(conn: Connection, curves: Mapping[str, Delay], clock: Clock) -> None:
    """Stores curves in the place of those of before."""
    last = clock.business_date() - timedelta(days=delay.MOST)
    span = {"first_day": last - timedelta(days=DAYS - 1), "last_day": last, "estimated_at": clock.now()}
    rows = [
        {"category": code, "lag": lag, "share": share, "tickets": curve.tickets, **span}
        for code, curve in curves.items()
        for lag, share in enumerate(curve.known)
    ]
    conn.execute(delete(reporting_delays))
    if rows:
        conn.execute(insert(reporting_delays), rows)


def read(conn: Connection) -> dict[str, Delay]:
    """The stored curves by category, `ALL` the city's; empty where none was estimated."""
    c = reporting_delays.c
    shares: dict[str, list[float]] = {}
    tickets: dict[str, int] = {}
    for row in conn.execute(select(c.category, c.share, c.tickets).order_by(c.category, c.lag)):
        shares.setdefault(row.category, []).append(row.share)
        tickets[row.category] = row.tickets
    return {code: Delay(tuple(known), tickets[code]) for code, known in shares.items()}


def complete_until(conn: Connection, clock: Clock) -> date | None:
    """The last finished day with data of which, by the city's delay curve, at least `delay.COMPLETE` has arrived; None: there is none.

    A day's age is counted up to the last finished day or, where nothing has come since, to the day on which something last came.
    """
    business_date = clock.business_date()
    span = counts.span(conn)
    if span is None or span[0] > business_date:
        return None
    newest = min(span[1], business_date)
    wait = delay.complete_after(read(conn))
    if not wait:
        return newest
    last = received_last(conn, clock.now())
    reached = business_date if last is None else min(business_date, last.astimezone(clock.zone).date())
    return max(min(newest, reached - timedelta(days=wait)), span[0])


def received_last(conn: Connection, now: datetime) -> datetime | None:
    """When the newest count became known; None without any."""
    c = count_changes.c
    return conn.execute(select(c.received_at).where(c.received_at <= now).order_by(c.received_at.desc()).limit(1)).scalar()


def lateness(conn: Connection, clock: Clock, start: date, end: date, most: int) -> dict[int, int]:
    """Tickets of the days from `start` to `end` by how many days later they became known; those later than `most` days are left out.

    Days on which the moment of reception was not told, or that were loaded as history, say nothing; see `estimate` and `delay.BACKLOG`.
    """
    found = dict.fromkeys(range(most + 1), 0)
    for n in range((end - start).days + 1):
        frame = _arrived(conn, clock, start + timedelta(days=n))
        if frame is None or frame[most].sum() < delay.BACKLOG * frame["total"].sum():
            continue
        known = [int(frame[lag].sum()) for lag in range(most + 1)]
        for lag, (by_then, before) in enumerate(zip(known, [0, *known], strict=False)):
            found[lag] += max(by_then - before, 0)
    return {lag: tickets for lag, tickets in found.items() if tickets}


def _arrived(conn: Connection, clock: Clock, day: date) -> pd.DataFrame | None:
    """One day's tickets by category, as `delay.estimate` takes them; None without any, or if their reception was not told."""
    c = count_changes.c
    of_day = (c.day == day, c.part == TICKETS)
    hours = conn.execute(select(c.hour, func.max(c.received_at)).where(*of_day).group_by(c.hour)).all()
    if not any(newest - hour >= AN_HOUR for hour, newest in hours):
        return None
    ends = {lag: clock.end_of(day + timedelta(days=lag)) for lag in range(delay.MOST + 1)}
    known = [sql_cast(func.sum(case((c.received_at <= end, c.delta), else_=0)), Integer).label(f"k{lag}") for lag, end in ends.items()]
    total = sql_cast(func.sum(c.delta), Integer).label("total")
    frame = bulk.read(conn, select(c.category, *known, total).where(*of_day).group_by(c.category))
    return frame.rename(columns={f"k{lag}": lag for lag in ends}).assign(day=day)
