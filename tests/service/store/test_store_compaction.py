"""Changes of long ago are put together: every count as known on any day after the horizon is the same before and after, and stays so."""

from collections.abc import Callable, Collection
from datetime import date, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select
from test_store_baseline import HOUR, START, CountFile, TicketFile, Version, deliver, deliveries, new

from forecasting.errors import InputError
from service.store import compaction, count_sums, counts
from service.store import promised as promised_store
from service.store.engine import reading
from service.store.schema import count_changes

LAST = 260  # hours after START: everything is known
FIRST_DAY, LAST_DAY = START.date() - timedelta(days=1), START.date() + timedelta(days=12)


def known(engine: Engine, hours: Collection[int]) -> list[dict[str, object]]:
    """Every count as known at some hours: by day, by hour, summed; and as it stands now."""
    moments = [START + hour * HOUR for hour in hours]
    with reading(engine) as conn:
        tables = [counts.daily(conn), counts.by_district(conn), counts.hourly(conn, FIRST_DAY, LAST_DAY)]
        for moment in moments:
            tables += [counts.as_of(conn, moment), counts.hourly(conn, FIRST_DAY, LAST_DAY, moment=moment)]
            sums = count_sums.daily(conn, [["D1", "S1"], ["D2"]], [["X"], ["Y", "Z"]], FIRST_DAY, LAST_DAY, moment)
            tables.append(sums.sort_values(["area_group", "category_group", "date"], ignore_index=True))
    return [table.to_dict() for table in tables]


def changes(engine: Engine) -> int:
    with reading(engine) as conn:
        return int(conn.execute(select(func.count()).select_from(count_changes)).scalar_one())


@settings(max_examples=12, deadline=None)
@given(files=deliveries(), horizon=st.integers(0, LAST), later=st.sets(st.integers(0, LAST), max_size=2), at=st.integers(0, 6))
def test_every_count_as_known_after_the_horizon_is_the_same_and_so_is_what_comes_later(
    scratch_engine: Callable[..., Engine], files: list[TicketFile | CountFile], horizon: int, later: set[int], at: int
) -> None:
    """One store is compacted when some files have come, and again at the end; the other one never."""
    hours = sorted({horizon, *(min(horizon + n, LAST) for n in later)})
    whole, compacted = new(scratch_engine, 0), new(scratch_engine, 1)
    first, rest = files[: at + 1], files[at + 1 :]
    for file in first:
        deliver(whole, file)
        deliver(compacted, file)
    done = compaction.run(compacted, START + horizon * HOUR)
    assert changes(compacted) == changes(whole) - done.changes
    assert known(compacted, hours) == known(whole, hours)
    for file in rest:
        deliver(whole, file)
        deliver(compacted, file)
    at_last = known(whole, hours)
    assert known(compacted, hours) == at_last, "tickets that are corrected later, and counts that give way to them"
    compaction.run(compacted, START + horizon * HOUR)
    assert known(compacted, hours) == at_last
    again = compaction.run(compacted, START + horizon * HOUR)
    assert again == compaction.Compacted(0, 0)
    with reading(compacted) as conn:
        c = count_changes.c
        cells = (c.day, c.area, c.category, c.hour, c.part)
        several = select(func.count()).where(c.received_at <= START + horizon * HOUR).group_by(*cells).having(func.count() > 1)
        assert conn.execute(several).all() == [], "one change a cell, hour and part"


def tickets(number: int, at: int, received: int, day: int = 0) -> TicketFile:
    """So many tickets of one hour of a day, received in an hour after START."""
    return TicketFile(at, tuple(Version(1000 * at + n, "D1", "X", day, received) for n in range(number)))


def test_one_change_is_left_of_many_and_what_came_after_the_horizon_is_left_alone(engine: Engine) -> None:
    deliver(engine, tickets(20, at=10, received=8))
    deliver(engine, tickets(5, at=40, received=38))
    with reading(engine) as conn:
        newest = promised_store.newest_changes(conn, FIRST_DAY, LAST_DAY)
    assert compaction.run(engine, START + 24 * HOUR) == compaction.Compacted(1, 19)
    with reading(engine) as conn:
        c = count_changes.c
        rows = conn.execute(select(c.delta, c.received_at).order_by(c.id)).all()
        assert promised_store.newest_changes(conn, FIRST_DAY, LAST_DAY) == newest, "nothing becomes due again by it"
    assert [tuple(row) for row in rows] == [(20, START + 8 * HOUR), *[(1, START + 38 * HOUR)] * 5]


def test_what_was_known_before_the_horizon_is_not_told_any_more(engine: Engine) -> None:
    deliver(engine, tickets(3, at=10, received=8))
    with reading(engine) as conn:
        compaction.require_known(conn, START - timedelta(days=900))
    compaction.run(engine, START + 24 * HOUR)
    with reading(engine) as conn:
        compaction.require_known(conn, START + 24 * HOUR)
        with pytest.raises(InputError, match="as they were known before 2025-03-02T00:00:00Z are not kept"):
            compaction.require_known(conn, START + 24 * HOUR - timedelta(seconds=1))
    compaction.run(engine, START + 12 * HOUR)
    with reading(engine) as conn:
        assert compaction.known_since(conn) == START + 24 * HOUR, "what is put together cannot be taken apart"


def test_a_pass_that_breaks_off_is_made_up_for_by_the_next_one(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(4):
        deliver(engine, tickets(6, at=100 + day, received=24 * day + 8, day=day))
    put_together = compaction._put_together
    done: list[date] = []

    def breaks(conn: object, day: date, since: datetime) -> int:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(day)
        return put_together(conn, day, since)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(compaction, "_put_together", breaks)
        with pytest.raises(KeyboardInterrupt):
            compaction.run(engine, START + 90 * HOUR)
    assert changes(engine) == 14
    with reading(engine) as conn:
        assert compaction.known_since(conn) == START + 90 * HOUR, "nobody was told what is half put together"
    assert compaction.run(engine, START + 91 * HOUR).changes == 10
    assert changes(engine) == 4


def test_history_that_is_loaded_later_is_put_together_by_the_next_pass(engine: Engine) -> None:
    deliver(engine, tickets(4, at=10, received=8))
    compaction.run(engine, START + 48 * HOUR)
    deliver(engine, tickets(7, at=100, received=30, day=1))
    assert compaction.run(engine, START + 48 * HOUR) == compaction.Compacted(1, 6)


def test_a_set_s_counts_are_those_up_to_its_newest_change(engine: Engine) -> None:
    deliver(engine, tickets(4, at=10, received=8))
    deliver(engine, tickets(2, at=12, received=9, day=1))
    with reading(engine) as conn:
        then, before = counts.last_change(conn), counts.by_district(conn)
    moved = Version(10_000, "D2", "Y", 0, 8, updated=60)
    deliver(engine, TicketFile(70, (moved, Version(9, "D2", "Z", 1, 50))))
    with reading(engine) as conn:
        assert set(counts.by_district(conn)["category"]) == {"X", "Y", "Z"}
        pd.testing.assert_frame_equal(counts.by_district(conn, newest_change=then), before)
        assert counts.by_district(conn, START.date(), then)["count"].sum() == 4
