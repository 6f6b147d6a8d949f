"""Counts that came without tickets beside tickets: nothing twice, and at every moment what a store that had stopped then would say."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from service.store import areas, bulk, counts, ingests, ticket_list, tickets
from service.store.baseline import ENOUGH
from service.store.engine import reading, writing
from service.store.schema import count_changes, daily_counts
from service.store.schema import tickets as ticket_table

START = datetime(2025, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DISTRICT = {"D1": "D1", "S1": "D1", "D2": "D2"}

Cell = tuple[str, str, int]  # area, category, day


@dataclass(frozen=True)
class Version:
    """One row of a file of tickets; moments in hours after START."""

    ticket: int
    area: str
    category: str
    day: int
    received: int
    updated: int | None = None

    @property
    def known(self) -> int:
        return self.received if self.updated is None else self.updated


@dataclass(frozen=True)
class TicketFile:
    at: int
    rows: tuple[Version, ...]


@dataclass(frozen=True)
class CountFile:
    at: int
    cells: tuple[tuple[Cell, int], ...]


def deliver(engine: Engine, file: TicketFile | CountFile) -> None:
    """Ingests a file at its hour."""
    now = START + file.at * HOUR
    if isinstance(file, CountFile):
        if not file.cells:
            return
        days = pd.Series([START + timedelta(days=day) for (_, _, day), _ in file.cells], dtype=bulk.UTC_MOMENT)
        frame = pd.DataFrame(
            {
                "area": [area for (area, _, _), _ in file.cells],
                "category": [category for (_, category, _), _ in file.cells],
                "day": days.dt.tz_localize(None).astype(bulk.DAY),
                "hour": days,
                "count": [count for _, count in file.cells],
                "received_at": days + timedelta(days=1),
            }
        )
        with writing(engine) as conn:
            counts.set_baseline(conn, ingests.begin(conn, "counts", "counts.csv", now, note=counts.WHOLE_DAYS), frame, now)
        return
    created = pd.Series([START + timedelta(days=row.day, hours=6) for row in file.rows], dtype=bulk.UTC_MOMENT)
    frame = pd.DataFrame(
        {
            "line": range(2, len(file.rows) + 2),
            "source": "hotline",
            "ticket_id": [f"T{row.ticket}" for row in file.rows],
            "area": [row.area for row in file.rows],
            "category": [row.category for row in file.rows],
            "created_at": created,
            "day": created.dt.tz_localize(None).dt.normalize().astype(bulk.DAY),
            "hour": created,
            "received_at": pd.Series([START + row.received * HOUR for row in file.rows], dtype=bulk.UTC_MOMENT),
            "updated_at": pd.Series([pd.NaT if row.updated is None else START + row.updated * HOUR for row in file.rows], dtype=bulk.UTC_MOMENT),
        }
    )
    with writing(engine) as conn:
        ingest = ingests.begin(conn, "tickets", "tickets.csv", now)
        tickets.stage(conn, ingest, frame)
    tickets.apply(engine, ingest, batch=3)


def _known(files: list[TicketFile | CountFile], moment: int) -> list[TicketFile | CountFile]:
    """What a store that stopped at a moment had been given: a count first named is known at the end of its day, corrected when its file came."""
    named: set[Cell] = set()
    given: list[TicketFile | CountFile] = []
    for file in files:
        if isinstance(file, TicketFile):
            given.append(replace(file, rows=tuple(row for row in file.rows if row.known <= moment)))
            continue
        cells = tuple((cell, n) for cell, n in file.cells if (file.at if cell in named else (cell[2] + 1) * 24) <= moment)
        named |= {cell for cell, n in file.cells}
        given.append(replace(file, cells=cells))
    return [file for file in given if isinstance(file, CountFile) or file.rows]


def _by_hand(files: list[TicketFile | CountFile]) -> dict[Cell, int]:
    """The rule, told of one district and day after the other."""
    newest: dict[int, Version] = {}
    baseline: dict[Cell, int] = {}
    for file in files:
        if isinstance(file, CountFile):
            baseline |= dict(file.cells)
        else:
            newest |= {row.ticket: row for row in file.rows}
    of_tickets = Counter((row.area, row.category, row.day) for row in newest.values())
    found: dict[Cell, int] = {}
    for district in ("D1", "D2"):
        for day in {cell[2] for cell in (*of_tickets, *baseline)}:
            t, b = ({c: n for c, n in table.items() if DISTRICT[c[0]] == district and c[2] == day} for table in (of_tickets, baseline))
            both = sum(t.values()) and sum(b.values())
            found |= (t if sum(t.values()) >= ENOUGH * sum(b.values()) else b) if both else t | b if not sum(t.values()) else t
    return {cell: n for cell, n in found.items() if n}


def _stands(frame: pd.DataFrame) -> dict[Cell, int]:
    return {(r.area, r.category, (r.date - pd.Timestamp(START).tz_localize(None)).days): r.count for r in frame.itertuples(index=False)}


def new(scratch_engine: Callable[..., Engine], place: int) -> Engine:
    """A store that knows of the streets."""
    engine = scratch_engine(place)
    with writing(engine) as conn:
        areas.join(conn, {"S1": "D1", "D2": "ALL"}, START)
    return engine


@st.composite
def deliveries(draw: st.DrawFn) -> list[TicketFile | CountFile]:
    """Files one after the other: tickets, corrected and delivered twice, and counts of the same days, corrected too."""
    place = st.tuples(st.sampled_from(list(DISTRICT)), st.sampled_from(["X", "Y"]))
    day = st.integers(0, 1)
    first = [
        Version(number, *draw(place), on, on * 24 + 6 + draw(st.sampled_from([0, 2, 30, 60])))
        for number, on in enumerate(draw(st.lists(day, min_size=1, max_size=9)))
    ]
    files: list[TicketFile | CountFile] = []
    at = 200
    current = first
    for step in range(draw(st.integers(1, 3))):
        if step:
            moved = draw(st.lists(st.sampled_from(range(len(first))), max_size=3, unique=True))
            changed = {n: draw(place) for n in moved}
            current = [
                replace(row, area=changed[row.ticket][0], category=changed[row.ticket][1], updated=70 + 20 * step) if row.ticket in changed else row
                for row in current
            ]
        cut = draw(st.integers(0, len(first)))
        files.append(TicketFile(at, tuple(current[:cut]) or tuple(current)))
        files.append(TicketFile(at + 1, tuple(current)))
        at += 10
    for _ in range(draw(st.integers(0, 2))):
        cells = draw(st.dictionaries(st.tuples(st.sampled_from(list(DISTRICT)), st.sampled_from(["X", "Z"]), day), st.integers(1, 12), min_size=1))
        files.insert(draw(st.integers(0, len(files))), CountFile(at, tuple(cells.items())))
    times = sorted(file.at for file in files)
    return [replace(file, at=time) for file, time in zip(files, times, strict=True)]


@settings(max_examples=30, deadline=None)
@given(files=deliveries(), moment=st.integers(0, 260))
def test_nothing_counts_twice_and_every_moment_is_as_a_store_that_stopped_then(
    scratch_engine: Callable[..., Engine], files: list[TicketFile | CountFile], moment: int
) -> None:
    whole, stopped = new(scratch_engine, 0), new(scratch_engine, 1)
    for file in files:
        deliver(whole, file)
    for file in _known(files, moment):
        deliver(stopped, file)
    with reading(whole) as conn:
        assert _stands(counts.daily(conn)) == _by_hand(files)
        then = _stands(counts.as_of(conn, START + moment * HOUR))
        c, d = count_changes.c, daily_counts.c
        journal = conn.execute(select(c.area, c.category, c.day, func.sum(c.delta)).group_by(c.area, c.category, c.day)).all()
        summed = {tuple(row[:3]): row[3] for row in journal if row[3]}
        assert summed == {tuple(row[:3]): row[3] for row in conn.execute(select(d.area, d.category, d.day, d.count).where(d.count != 0))}
        if not any(isinstance(file, CountFile) for file in files):
            t = ticket_table.c
            kept = conn.execute(select(t.area, t.category, t.day, func.count()).group_by(t.area, t.category, t.day))
            assert {tuple(row[:3]): row[3] for row in kept} == summed
    with reading(stopped) as conn:
        assert then == _stands(counts.daily(conn)) == _by_hand(_known(files, moment))


@pytest.mark.parametrize("tickets_first", [True, False])
def test_tickets_take_the_place_of_a_days_baseline_and_strays_do_not(engine: Engine, tickets_first: bool) -> None:
    with writing(engine) as conn:
        areas.join(conn, {"S1": "D1", "D2": "ALL"}, START)
    history = CountFile(100, ((("D1", "L", 0), 20), (("D1", "L", 1), 20), (("D2", "L", 1), 20)))
    live = TicketFile(100, (*(Version(n, "S1", "X", 1, 30) for n in range(15)), Version(99, "D1", "X", 0, 6), Version(98, "D2", "Y", 1, 30)))
    for file in (live, history) if tickets_first else (history, live):
        deliver(engine, file)
    with reading(engine) as conn:
        assert _stands(counts.daily(conn)) == {("D1", "L", 0): 20, ("S1", "X", 1): 15, ("D2", "L", 1): 20}
        hours = counts.hourly(conn, START.date(), START.date() + timedelta(days=1))
        assert hours[["area", "count"]].to_numpy().tolist() == [["S1", 15]]


def test_a_street_that_moves_keeps_its_days_once(engine: Engine) -> None:
    with writing(engine) as conn:
        areas.join(conn, {"S1": "D1", "D2": "ALL"}, START)
    deliver(engine, CountFile(100, ((("S1", "L", 0), 4),)))
    with writing(engine) as conn:
        areas.put(conn, pd.DataFrame({"code": ["S1"], "parent": ["D2"], "level": ["street"], "zh": ["街"], "en": ["Street"]}), START)
    deliver(engine, TicketFile(101, tuple(Version(n, "D2", "X", 0, 7) for n in range(3))))
    with reading(engine) as conn:
        assert _stands(counts.daily(conn)) == {("D2", "X", 0): 3}


@settings(max_examples=20, deadline=None)
@given(files=deliveries(), moment=st.none() | st.integers(0, 260))
def test_behind_every_count_there_are_as_many_tickets_as_it_says(
    scratch_engine: Callable[..., Engine], files: list[TicketFile | CountFile], moment: int | None
) -> None:
    engine = new(scratch_engine, 0)
    for file in files:
        deliver(engine, file)
    at = None if moment is None else START + moment * HOUR
    with reading(engine) as conn:
        told = _stands(counts.daily(conn) if at is None else counts.as_of(conn, at))
        for area, category, day in {*told, ("D1", "X", 0), ("S1", "Y", 1)}:
            on = (START + timedelta(days=day)).date()
            cell = ticket_list.Cell({area}, {category}, on, on, None, at)
            behind = ticket_list.behind(conn, cell)
            assert behind.count == told.get((area, category, day), 0)
            listed = ticket_list.rows(conn, cell, None, 100)
            assert len(listed) == listed["ticket_id"].nunique() == behind.tickets
            if at is None:
                assert behind.tickets + behind.without_ticket == behind.count
            else:
                assert behind.tickets + behind.without_ticket <= behind.count  # those that have moved since are not told
