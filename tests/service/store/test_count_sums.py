"""Sums over groups, against sums made one by one."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Connection, Engine

from service.store import bulk, count_sums
from service.store.baseline import BY_DAYS, BY_HOURS, TICKETS
from service.store.engine import writing
from service.store.schema import count_changes, daily_counts

NOW = datetime(2025, 11, 9, tzinfo=UTC)
FIRST, LAST = date(2025, 11, 2), date(2025, 11, 4)


def cells() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    days = pd.date_range("2025-11-01", periods=5).astype("datetime64[us]")
    index = pd.MultiIndex.from_product([["a", "b", "c", "d"], ["x", "y", "z"], days], names=["area", "category", "day"])
    frame = index.to_frame(index=False)
    return frame.assign(count=rng.integers(0, 4, len(frame)))


@pytest.fixture
def conn(engine: Engine) -> Iterator[Connection]:
    with writing(engine) as conn:
        bulk.insert(conn, daily_counts, cells())
        yield conn


@pytest.mark.parametrize("areas", [[["a"], ["b", "c"]], [["d"]], [None], [["a", "b", "c", "d"]], [["a"], ["nowhere"], ["c"]]])
@pytest.mark.parametrize("categories", [[["x"], ["y"], ["z"]], [["x", "z"]], [None]])
def test_groups_are_summed_by_day(conn: Connection, areas: list[list[str] | None], categories: list[list[str] | None]) -> None:
    found = count_sums.daily(conn, areas, categories, FIRST, LAST).set_index(["area_group", "category_group", "date"])["count"]
    expected = {}
    for cell in cells().itertuples():
        for i, area_group in enumerate(areas):
            for j, category_group in enumerate(categories):
                inside = (area_group is None or cell.area in area_group) and (category_group is None or cell.category in category_group)
                if inside and FIRST <= cell.day.date() <= LAST and cell.count:
                    expected[i, j, cell.day] = expected.get((i, j, cell.day), 0) + cell.count
    assert found.to_dict() == expected


def test_days_without_counts_give_no_rows(conn: Connection) -> None:
    found = count_sums.daily(conn, [None], [None], date(2024, 1, 1), date(2024, 2, 1))
    assert list(found.columns) == ["area_group", "category_group", "date", "count"]
    assert found.empty


@pytest.mark.parametrize("moment", [None, NOW])
def test_hours_are_summed_by_group_and_what_tells_no_hour_stands_apart(engine: Engine, moment: datetime | None) -> None:
    hour, later = datetime(2025, 11, 3, 5, tzinfo=UTC), datetime(2025, 11, 10, tzinfo=UTC)
    rows = [
        ("a", "x", hour, 2, TICKETS, NOW),
        ("b", "x", hour, 3, TICKETS, NOW),
        ("b", "x", hour, -1, ~TICKETS, NOW),
        ("b", "y", hour, 4, BY_HOURS, NOW),
        ("c", "x", hour, 7, BY_DAYS, NOW),
        ("c", "x", hour, -2, ~BY_DAYS, NOW),
        ("c", "x", hour, 9, TICKETS, later),
    ]
    frame = pd.DataFrame(rows, columns=["area", "category", "hour", "delta", "part", "received_at"])
    moments = {name: frame[name].astype(bulk.UTC_MOMENT) for name in ("hour", "received_at")}
    with writing(engine) as conn:
        day = pd.Series([pd.Timestamp("2025-11-03")] * len(frame), dtype=bulk.DAY)
        bulk.insert(conn, count_changes, frame.assign(day=day, ingest_id=1, **moments))
        found = count_sums.hourly(conn, [["a", "b"], ["c"]], [["x"], ["y"]], FIRST, LAST, moment)
    told = {(r.area_group, r.category_group, r.timed): r.count for r in found.itertuples(index=False)}
    assert told == {(0, 0, 1): 4, (0, 1, 1): 4, (1, 0, 0): 5} | ({} if moment else {(1, 0, 1): 9})
    assert (found["hour"] == pd.Timestamp(hour)).all()
