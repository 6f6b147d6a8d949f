from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from service.store import areas, bulk, counts, ingests
from service.store.engine import reading, writing
from service.store.ingests import Totals
from service.store.schema import count_changes

START = datetime(2025, 3, 1, tzinfo=UTC)
NOW = datetime(2025, 3, 20, tzinfo=UTC)

Cell = tuple[str, str, int, int]  # area, category, day, hour


def _cells(rows: dict[Cell, int]) -> pd.DataFrame:
    days = [START + timedelta(days=day) for _, _, day, _ in rows]
    return pd.DataFrame(
        {
            "area": [area for area, *_ in rows],
            "category": [category for _, category, *_ in rows],
            "day": pd.Series([day.replace(tzinfo=None) for day in days], dtype=bulk.DAY),
            "hour": pd.Series([day + timedelta(hours=hour) for day, (*_, hour) in zip(days, rows, strict=True)], dtype=bulk.UTC_MOMENT),
            "count": list(rows.values()),
            "received_at": pd.Series([day + timedelta(days=1) for day in days], dtype=bulk.UTC_MOMENT),
        }
    )


def _set(engine: Engine, rows: dict[Cell, int], now: datetime = NOW, note: str | None = None) -> Totals:
    with writing(engine) as conn:
        ingest = ingests.begin(conn, "counts", "counts.csv", now, note=note)
        return counts.set_baseline(conn, ingest, _cells(rows), now)


def _daily(engine: Engine) -> dict[tuple[str, str, int], int]:
    with reading(engine) as conn:
        frame = counts.daily(conn)
    return {(r.area, r.category, (r.date - pd.Timestamp(START).tz_localize(None)).days): r.count for r in frame.itertuples(index=False)}


CELLS = st.dictionaries(
    st.tuples(st.sampled_from(["D1", "D2"]), st.sampled_from(["X", "Y"]), st.integers(0, 3), st.integers(0, 2)),
    st.integers(0, 5),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(files=st.lists(CELLS, min_size=1, max_size=3))
def test_the_cells_a_counts_file_names_are_as_it_says_and_no_other_changes(
    scratch_engine: Callable[..., Engine], files: list[dict[Cell, int]]
) -> None:
    engine = scratch_engine()
    expected: dict[tuple[str, str, int], Counter[int]] = {}
    for rows in files:
        _set(engine, rows)
        for cell in {cell[:3] for cell in rows}:
            expected[cell] = Counter()
        for cell, count in rows.items():
            expected[cell[:3]][cell[3]] += count
    assert _daily(engine) == {cell: sum(hours.values()) for cell, hours in expected.items() if sum(hours.values())}
    with reading(engine) as conn:
        hours = counts.hourly(conn, START.date(), START.date() + timedelta(days=3))
        changes = conn.execute(select(func.count()).select_from(count_changes)).scalar()
    found = {(r.area, r.category, r.date.date(), r.hour.hour): r.count for r in hours.itertuples(index=False)}
    assert found == {
        (area, category, (START + timedelta(days=day)).date(), hour): count
        for (area, category, day), of_hour in expected.items()
        for hour, count in of_hour.items()
        if count
    }
    assert _set(engine, files[-1]) == Totals(unchanged=len(files[-1]))
    with reading(engine) as conn:
        assert conn.execute(select(func.count()).select_from(count_changes)).scalar() == changes


def test_a_first_count_is_known_from_the_end_of_its_day_and_a_correction_from_now(engine: Engine) -> None:
    assert _set(engine, {("D1", "X", 0, 0): 5}) == Totals(added=1)
    assert _set(engine, {("D1", "X", 0, 0): 7}) == Totals(changed=1)

    def known(moment: datetime) -> list[int]:
        with reading(engine) as conn:
            return list(counts.as_of(conn, moment)["count"])

    second = timedelta(seconds=1)
    end = START + timedelta(days=1)
    assert [known(moment) for moment in (end - second, end, NOW - second, NOW)] == [[], [5], [5], [7]]


def test_hours_leave_out_counts_that_came_by_whole_days(engine: Engine) -> None:
    _set(engine, {("D1", "X", 0, 0): 5}, note=counts.WHOLE_DAYS)
    _set(engine, {("D1", "Y", 0, 7): 2})
    with reading(engine) as conn:
        frame = counts.hourly(conn, START.date(), START.date())
        assert frame[["category", "count"]].to_numpy().tolist() == [["Y", 2]]
        assert counts.hourly(conn, START.date(), START.date(), moment=START).empty
        assert counts.hourly(conn, START.date(), START.date(), areas=["D2"]).empty


def test_streets_count_for_their_district(engine: Engine) -> None:
    with writing(engine) as conn:
        areas.join(conn, {"S1": "D1", "S2": "D1", "D2": "ALL"}, NOW)
    _set(engine, {("S1", "X", 0, 0): 1, ("S2", "X", 0, 0): 2, ("D1", "X", 0, 0): 4, ("D2", "X", 0, 0): 8, ("S1", "X", 1, 0): 16})
    with reading(engine) as conn:
        frame = counts.by_district(conn)
        until = counts.by_district(conn, START.date())
    assert frame.assign(date=frame["date"].dt.day).to_numpy().tolist() == [["D1", "X", 1, 7], ["D2", "X", 1, 8], ["D1", "X", 2, 16]]
    assert list(frame.columns) == ["district", "category", "date", "count"]
    assert until["count"].sum() == 15


def test_counts_are_chosen_by_area_category_and_day(engine: Engine) -> None:
    _set(engine, {("D1", "X", 0, 0): 1, ("D1", "Y", 1, 0): 2, ("D2", "X", 2, 0): 4})
    day = START.date()
    with reading(engine) as conn:

        def total(**chosen: object) -> list[int]:
            return [int(read(**chosen)["count"].sum()) for read in (lambda **c: counts.daily(conn, **c), lambda **c: counts.as_of(conn, NOW, **c))]

        assert total(areas=["D1"]) == [3, 3]
        assert total(categories=["X"]) == [5, 5]
        assert total(areas=[]) == [0, 0]
        assert total(start=day + timedelta(days=1), end=day + timedelta(days=1)) == [2, 2]
        assert counts.span(conn) == (date(2025, 3, 1), date(2025, 3, 3))


def test_a_cell_that_became_zero_is_gone(engine: Engine) -> None:
    _set(engine, {("D1", "X", 0, 0): 1})
    _set(engine, {("D1", "X", 0, 0): 0})
    with reading(engine) as conn:
        assert counts.daily(conn).empty
        assert counts.as_of(conn, NOW).empty
        assert counts.span(conn) is None


def test_an_empty_store_gives_empty_frames_of_the_same_types(engine: Engine) -> None:
    with reading(engine) as conn:
        empty = counts.daily(conn)
        assert empty.empty
        assert counts.span(conn) is None
    _set(engine, {("D1", "X", 0, 0): 1})
    with reading(engine) as conn:
        assert counts.daily(conn).dtypes.to_dict() == empty.dtypes.to_dict()


NAMES = st.text(st.sampled_from("a,;\n \x1f'\"路"), min_size=1, max_size=4).filter(str.strip)


@settings(max_examples=30, deadline=None)
@given(rows=st.dictionaries(st.tuples(NAMES, NAMES, st.integers(0, 2), st.just(0)), st.integers(0, 3), min_size=1, max_size=12))
def test_counts_are_read_as_they_are_whatever_signs_their_codes_hold(scratch_engine: Callable[..., Engine], rows: dict[Cell, int]) -> None:
    engine = scratch_engine()
    _set(engine, rows)
    stored = {(area, category, day): count for (area, category, day, _), count in rows.items() if count}
    assert _daily(engine) == stored
    with reading(engine) as conn:
        frame, grouped = counts.daily(conn), counts.by_district(conn)
    assert list(zip(frame["date"], frame["area"], frame["category"], strict=True)) == sorted(
        zip(frame["date"], frame["area"], frame["category"], strict=True)
    )
    pd.testing.assert_frame_equal(grouped.rename(columns={"district": "area"})[frame.columns], frame)
