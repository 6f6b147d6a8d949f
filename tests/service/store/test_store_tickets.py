import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, Row, event, func, select

import service
from service.store import bulk, counts, ingests, tickets
from service.store.engine import open_engine, reading, writing
from service.store.ingests import Totals
from service.store.schema import count_changes, daily_counts, staged_tickets
from service.store.schema import tickets as table

ROOT = Path(service.__file__).parents[1]
START = datetime(2025, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Ticket:
    ticket_id: str
    area: str
    category: str
    created: int  # hours after START
    received: int
    updated: int | None = None
    status: str | None = None
    demand: bool = True

    @property
    def cell(self) -> tuple[str, str, int]:
        return (self.area, self.category, self.created)

    @property
    def day(self) -> date:
        return _moment(self.created).date()


def _moment(hours: int | None) -> datetime | None:
    return None if hours is None else START + timedelta(hours=hours)


def _frame(rows: list[Ticket]) -> pd.DataFrame:
    def moments(name: str) -> pd.Series:
        return pd.Series([_moment(getattr(row, name)) for row in rows], dtype=bulk.UTC_MOMENT)

    created = moments("created")
    return pd.DataFrame(
        {
            "line": range(2, len(rows) + 2),
            "source": pd.Categorical(["hotline"] * len(rows)),
            "ticket_id": [row.ticket_id for row in rows],
            "area": pd.Categorical([row.area for row in rows]),
            "category": [row.category for row in rows],
            "created_at": created,
            "day": created.dt.tz_localize(None).dt.normalize(),
            "hour": created,
            "received_at": moments("received"),
            "updated_at": moments("updated"),
            "status": pd.Series([row.status for row in rows], dtype="str"),
        }
    )


def _stage(engine: Engine, rows: list[Ticket]) -> int:
    with writing(engine) as conn:
        ingest = ingests.begin(conn, "tickets", "a.csv", START)
        frame, demand = _frame(rows), [row.demand for row in rows]
        tickets.stage(conn, ingest, frame[demand])
        others = frame.loc[[not one for one in demand], ["line", "source", "ticket_id", "received_at", "updated_at"]]
        tickets.stage_no_demand(conn, ingest, others)
        ingests.mark(conn, ingest, rows=len(rows), rejected=0, later=0, left_out=len(others))
    return ingest


def _bring(engine: Engine, rows: list[Ticket], batch: int = tickets.BATCH_LINES) -> Totals:
    return tickets.apply(engine, _stage(engine, rows), batch)


def _stored(engine: Engine) -> dict[str, Ticket]:
    with reading(engine) as conn:
        rows = conn.execute(select(table)).all()

    def hours(moment: datetime | None) -> int | None:
        return None if moment is None else int((moment - START) / timedelta(hours=1))

    def ticket(row: Row[Any]) -> Ticket:
        created, received = hours(row.created_at) or 0, hours(row.received_at) or 0
        return Ticket(row.ticket_id, row.area, row.category, created, received, hours(row.updated_at), row.status, row.demand)

    return {row.ticket_id: ticket(row) for row in rows}


def _counts(engine: Engine) -> tuple[Counter[tuple[str, str, date]], ...]:
    """The counts by day: as kept, as the sum of the changes, and counted from the tickets."""
    d, c, t = daily_counts.c, count_changes.c, table.c
    with reading(engine) as conn:
        return tuple(
            Counter({(area, category, day): int(count) for area, category, day, count in conn.execute(query) if count})
            for query in (
                select(d.area, d.category, d.day, d.count),
                select(c.area, c.category, c.day, func.sum(c.delta)).group_by(c.area, c.category, c.day),
                select(t.area, t.category, t.day, func.count()).where(t.demand).group_by(t.area, t.category, t.day),
            )
        )


def _dump(engine: Engine) -> list[list[tuple[object, ...]]]:
    columns = [c for c in count_changes.c if c.name not in ("id", "ingest_id")]
    with reading(engine) as conn:
        return [
            sorted(map(tuple, conn.execute(select(*(c for c in table.c if c.name != "ingest_id")))), key=str),
            sorted(map(tuple, conn.execute(select(daily_counts))), key=str),
            sorted(map(tuple, conn.execute(select(*columns))), key=str),
        ]


def _known(old: Ticket, new: Ticket) -> int:
    return max(moment for moment in (new.received, new.updated, old.received, old.updated) if moment is not None)


class Model:
    """The same, one row after the other, as a person would do it."""

    def __init__(self) -> None:
        self.tickets: dict[str, Ticket] = {}
        self.changes: list[tuple[tuple[str, str, int], int, int]] = []  # cell, delta, moment

    def bring(self, rows: list[Ticket]) -> Totals:
        by_id: dict[str, list[Ticket]] = {}
        for row in rows:
            by_id.setdefault(row.ticket_id, []).append(row)
        done: Counter[str] = Counter()
        for versions in by_id.values():
            newest = max(enumerate(versions), key=lambda entry: (entry[1].updated is not None, entry[1].updated or 0, entry[0]))[1]
            demands = [row.received for row in versions if row.demand]
            done["unchanged"] += len(demands) - newest.demand
            done[self._one(replace(newest, received=min(demands))) if newest.demand else self._no_demand(newest)] += 1
        return Totals(done["added"], done["changed"], done["unchanged"])

    def _one(self, new: Ticket) -> str:
        old = self.tickets.get(new.ticket_id)
        if old is None:
            self.tickets[new.ticket_id] = new
            self.changes.append((new.cell, 1, new.received))
            return "added"
        if old.updated is not None and new.updated is not None and new.updated < old.updated:
            return "unchanged"
        merged = replace(
            new,
            received=old.received,
            updated=new.updated if new.updated is not None else old.updated,
            status=new.status if new.status is not None else old.status,
        )
        if merged == old:
            return "unchanged"
        if new.cell != old.cell or not old.demand:
            merged = replace(merged, received=_known(old, new))
            self.changes += [(old.cell, -1, merged.received)] * old.demand + [(new.cell, 1, merged.received)]
        self.tickets[new.ticket_id] = merged
        return "changed"

    def _no_demand(self, new: Ticket) -> str:
        old = self.tickets.get(new.ticket_id)
        if old is None or not old.demand or (old.updated is not None and new.updated is not None and new.updated < old.updated):
            return "left out"
        known = _known(old, new)
        self.changes.append((old.cell, -1, known))
        updated = old.updated if new.updated is None else new.updated
        self.tickets[new.ticket_id] = replace(old, received=known, updated=updated, demand=False)
        return "changed"

    def as_of(self, moment: int) -> Counter[tuple[str, str, date]]:
        known: Counter[tuple[str, str, date]] = Counter()
        for (area, category, created), delta, received in self.changes:
            if received <= moment:
                known[area, category, (START + timedelta(hours=created)).date()] += delta
        return Counter({cell: count for cell, count in known.items() if count})


ROWS = st.builds(
    lambda ticket_id, area, category, created, delay, updated, status, demand: Ticket(
        ticket_id, area, category, created, created + delay, None if updated is None else created + delay + updated, status, demand
    ),
    st.sampled_from("abcde"),
    st.sampled_from(["D1", "D2"]),
    st.sampled_from(["X", "Y"]),
    st.sampled_from([0, 3, 26]),
    st.sampled_from([0, 2, 30]),
    st.sampled_from([None, 0, 2, 30]),
    st.sampled_from([None, "open", "closed"]),
    st.sampled_from([True, True, False]),
)


class Stop(Exception):
    """Ends an apply, as a lost connection would."""


def _bring_with_a_stop(engine: Engine, rows: list[Ticket], batch: int, statements: int) -> Totals:
    """Brings rows in, stops before a statement of the apply, and goes on afterwards."""
    ingest = _stage(engine, rows)
    left = [statements]

    def count_down(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Stop

    event.listen(engine, "before_cursor_execute", count_down)
    try:
        with suppress(Stop):
            return tickets.apply(engine, ingest, batch)
    finally:
        event.remove(engine, "before_cursor_execute", count_down)
    return tickets.apply(engine, ingest, batch)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files=st.lists(st.tuples(st.lists(ROWS, max_size=8), st.integers(1, 60)), min_size=1, max_size=4), batch=st.integers(1, 9))
def test_any_files_and_any_stops_give_what_one_row_after_the_other_gives(
    scratch_engine: Callable[..., Engine], files: list[tuple[list[Ticket], int]], batch: int
) -> None:
    engine, model = scratch_engine(), Model()
    for rows, statements in files:
        assert _bring_with_a_stop(engine, rows, batch, statements) == model.bring(rows)
    assert _stored(engine) == model.tickets
    kept, summed, counted = _counts(engine)
    assert kept == summed == counted
    moments = {moment for *_, moment in model.changes}
    with reading(engine) as conn:
        for hours in sorted(moments)[:6]:
            frame = counts.as_of(conn, START + timedelta(hours=hours))
            assert {(r.area, r.category, r.date.date()): r.count for r in frame.itertuples(index=False)} == model.as_of(hours)
            assert (frame["count"] > 0).all()


def _city(size: int = 300) -> list[Ticket]:
    return [Ticket(f"t{i}", f"D{i % 3}", "XYZ"[i % 2], i % 100, i % 100 + i % 7, i % 100 + 8, "open") for i in range(size)]


def test_the_same_file_twice_changes_nothing(engine: Engine) -> None:
    assert _bring(engine, _city()) == Totals(added=300)
    before = _dump(engine)
    assert _bring(engine, _city()) == Totals(unchanged=300)
    assert _dump(engine) == before


def test_a_ticket_that_moves_is_counted_where_it_was_until_the_move_was_known(engine: Engine) -> None:
    _bring(engine, [Ticket("a", "D1", "X", created=1, received=2, updated=3)])
    assert _bring(engine, [Ticket("a", "D2", "X", created=1, received=2, updated=50)]) == Totals(changed=1)

    def where(hours: int) -> list[str]:
        with reading(engine) as conn:
            return list(counts.as_of(conn, START + timedelta(hours=hours))["area"])

    assert [where(hours) for hours in (1, 2, 49, 50)] == [[], ["D1"], ["D1"], ["D2"]]


def test_an_older_version_never_overwrites_a_newer_one(engine: Engine) -> None:
    _bring(engine, [Ticket("a", "D1", "X", 1, 2, updated=10, status="closed")])
    assert _bring(engine, [Ticket("a", "D2", "Y", 1, 2, updated=9, status="open")]) == Totals(unchanged=1)
    assert _stored(engine)["a"].area == "D1"


def test_a_ticket_that_becomes_a_consultation_leaves_the_counts_and_an_older_version_does_not_bring_it_back(engine: Engine) -> None:
    _bring(engine, [Ticket("a", "D1", "X", 1, 2, updated=10), Ticket("b", "D1", "X", 1, 2)])
    consultation = [Ticket("a", "D1", "X", 1, 20, updated=20, demand=False), Ticket("c", "D1", "X", 1, 2, demand=False)]
    ingest = _stage(engine, consultation)
    assert tickets.apply(engine, ingest) == Totals(changed=1)
    with reading(engine) as conn:
        assert ingests.get(conn, ingest).left_out == 1
        assert counts.as_of(conn, START + timedelta(hours=19))["count"].tolist() == [2]
        assert counts.daily(conn)["count"].tolist() == [1]
    assert _bring(engine, consultation) == Totals()
    assert _bring(engine, [Ticket("a", "D1", "X", 1, 2, updated=10)]) == Totals(unchanged=1)
    assert sum(_counts(engine)[0].values()) == 1
    assert _bring(engine, [Ticket("a", "D1", "X", 1, 2, updated=30)]) == Totals(changed=1)
    assert sum(_counts(engine)[0].values()) == 2


def test_an_ingest_that_died_and_is_finished_later_does_not_undo_what_came_meanwhile(engine: Engine) -> None:
    _bring(engine, [Ticket("a", "D1", "X", 1, 2), Ticket("b", "D1", "X", 1, 2)])
    dead = _stage(engine, [Ticket("a", "D2", "X", 1, 2), Ticket("b", "D2", "X", 1, 2), Ticket("c", "D2", "X", 1, 2)])
    assert _bring(engine, [Ticket("a", "D3", "X", 1, 2)]) == Totals(changed=1)
    assert tickets.apply(engine, dead) == Totals(added=1, changed=1, unchanged=1)
    assert {name: ticket.area for name, ticket in _stored(engine).items()} == {"a": "D3", "b": "D2", "c": "D2"}
    kept, summed, counted = _counts(engine)
    assert kept == summed == counted


def test_of_two_versions_of_the_same_moment_the_one_that_came_last_counts(engine: Engine) -> None:
    _bring(engine, [Ticket("a", "D1", "X", 1, 2, updated=10)])
    assert _bring(engine, [Ticket("a", "D2", "X", 1, 2, updated=10)]) == Totals(changed=1)


def test_of_several_rows_of_one_ticket_in_a_file_the_last_counts_across_batches(engine: Engine) -> None:
    rows = [Ticket("a", "D1", "X", 1, 2), *(Ticket(f"b{i}", "D1", "X", 1, 2) for i in range(20)), Ticket("a", "D2", "X", 1, 9)]
    assert _bring(engine, rows, batch=3) == Totals(added=21, unchanged=1)
    assert _stored(engine)["a"].area == "D2"
    assert _stored(engine)["a"].received == 2
    with reading(engine) as conn:
        assert conn.execute(select(func.count()).select_from(count_changes)).scalar() == 21


def test_a_blank_cell_does_not_erase_what_is_known(engine: Engine) -> None:
    _bring(engine, [Ticket("a", "D1", "X", 1, 2, updated=10, status="closed")])
    assert _bring(engine, [Ticket("a", "D1", "X", 1, 2)]) == Totals(unchanged=1)
    assert _stored(engine)["a"].status == "closed"


def test_what_is_staged_is_not_counted_and_can_be_discarded(engine: Engine) -> None:
    ingest = _stage(engine, _city())
    assert _counts(engine)[0] == Counter()
    tickets.discard(engine, ingest)
    assert tickets.apply(engine, ingest) == Totals()
    assert _stored(engine) == {}


def test_an_apply_that_stops_half_way_can_be_run_again_and_ends_as_if_once(engine: Engine, new_engine: Callable[[], Engine]) -> None:
    rows = [*_city(), *(replace(row, area="D9", updated=200) for row in _city(40))]

    calls: list[int] = []

    def stop_after_three(lines: int) -> None:
        calls.append(lines)
        if len(calls) == 3:
            raise Stop

    ingest = _stage(engine, rows)
    with pytest.raises(Stop):
        tickets.apply(engine, ingest, 50, stop_after_three)
    assert 0 < len(_stored(engine)) < 300
    kept, summed, counted = _counts(engine)
    assert kept == summed == counted
    totals = tickets.apply(engine, ingest, 50)

    once = new_engine()
    assert totals == _bring(once, rows) == Totals(added=300, unchanged=40)
    assert _dump(engine) == _dump(once)
    once.dispose()


KILLED = """
import os, signal, sys
from sqlalchemy import event
from service.store import tickets
from service.store.engine import open_engine

engine = open_engine(sys.argv[1])
applied = []

@event.listens_for(engine, "after_cursor_execute")
def kill_within_the_third_batch(conn, cursor, statement, *rest):
    if statement.startswith("DELETE FROM staged_tickets"):
        applied.append(statement)
        if len(applied) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

tickets.apply(engine, int(sys.argv[2]), 50)
"""


def test_an_apply_killed_within_a_transaction_can_be_run_again_and_ends_as_if_once(engine: Engine, new_engine: Callable[[], Engine]) -> None:
    ingest = _stage(engine, _city())
    engine.dispose()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(engine.url), str(ingest)], env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
    assert killed.returncode == -signal.SIGKILL

    survivor = open_engine(str(engine.url))
    assert len(_stored(survivor)) == 100
    with reading(survivor) as conn:
        assert conn.execute(select(func.count()).select_from(staged_tickets)).scalar() == 200
    assert tickets.apply(survivor, ingest, 50) == Totals(added=300)
    once = new_engine()
    _bring(once, _city())
    assert _dump(survivor) == _dump(once)
    survivor.dispose()
    once.dispose()
