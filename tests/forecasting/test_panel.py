"""A panel knows zero from missing, and what was known of a day never changes afterwards."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import InputError
from forecasting.panel import BELIEVED_AFTER, SILENCE, USUAL_WINDOW, CountPanel, from_counts

DAY0 = pd.Timestamp("2025-01-01")


def table(*rows: tuple[str, str, int, float]) -> pd.DataFrame:
    """Rows of district, category, number of the day, count."""
    frame = pd.DataFrame(rows, columns=["district", "category", "day", "count"])
    return frame.assign(date=DAY0 + pd.to_timedelta(frame.pop("day"), unit="D"))


def row(panel: CountPanel, area: str, category: str) -> np.ndarray:
    at = panel.series.index[(panel.series["area"] == area) & (panel.series["category"] == category)]
    return panel.counts[at[0]]


def same(one: CountPanel, other: CountPanel) -> bool:
    return bool(
        one.series.equals(other.series)
        and one.days.equals(other.days)
        and np.array_equal(one.counts, other.counts, equal_nan=True)
        and np.array_equal(one.first, other.first)
    )


def steady(days: int, count: float, district: str = "a") -> list[tuple[str, str, int, float]]:
    return [(district, "x", t, count) for t in range(days)]


def test_a_pair_is_zero_on_each_day_that_does_not_name_it() -> None:
    panel = from_counts(table(("a", "x", 0, 3), ("a", "x", 4, 2), ("b", "x", 1, 7)))
    assert row(panel, "a", "x").tolist() == [3, 0, 0, 0, 2]
    assert row(panel, "b", "x").tolist() == [0, 7, 0, 0, 0]


def test_the_calendar_is_complete_from_the_first_row_to_the_last_day_asked_for() -> None:
    rows = table(("a", "x", 0, 3), ("a", "x", 4, 2))
    assert list(from_counts(rows).days) == list(pd.date_range(DAY0, periods=5))
    assert from_counts(rows, DAY0 + pd.Timedelta(days=6)).complete_until == DAY0 + pd.Timedelta(days=6)
    assert row(from_counts(rows, DAY0 + pd.Timedelta(days=6)), "a", "x").tolist() == [3, 0, 0, 0, 2, 0, 0]


def test_series_are_sorted_and_unique_whatever_the_order_of_the_rows() -> None:
    panel = from_counts(table(("b", "y", 0, 1), ("a", "z", 1, 1), ("b", "x", 2, 1), ("a", "z", 0, 5)))
    assert list(panel.series.itertuples(index=False, name=None)) == [("a", "z"), ("b", "x"), ("b", "y")]


def test_rows_of_the_same_cell_add_up() -> None:
    panel = from_counts(table(("a", "x", 0, 3), ("a", "x", 0, 4), ("a", "x", 1, 1)))
    assert row(panel, "a", "x").tolist() == [7, 1]


def test_hours_of_a_day_add_up() -> None:
    frame = pd.DataFrame({"district": "a", "category": "x", "date": [DAY0 + pd.Timedelta(hours=h) for h in (0, 9, 23)], "count": [1, 2, 3]})
    assert from_counts(frame).counts.tolist() == [[6.0]]


def test_a_pair_first_named_after_a_day_does_not_exist_on_it() -> None:
    panel = from_counts(table(("a", "x", 0, 3), ("b", "x", 2, 1), ("a", "x", 5, 1)))
    assert panel.until(DAY0 + pd.Timedelta(days=1)).series["area"].tolist() == ["a"]
    assert panel.until(DAY0 + pd.Timedelta(days=2)).series["area"].tolist() == ["a", "b"]


def test_a_pair_named_with_a_count_of_zero_exists() -> None:
    panel = from_counts(table(("a", "x", 0, 3), ("b", "x", 1, 0), ("b", "x", 3, 2)))
    assert panel.until(DAY0 + pd.Timedelta(days=1)).series["area"].tolist() == ["a", "b"]


def test_nothing_is_known_before_the_first_day() -> None:
    with pytest.raises(InputError, match=r"no count is known by 2024-12-31.*begin on 2025-01-01"):
        from_counts(table(("a", "x", 0, 3))).until(pd.Timestamp("2024-12-31"))
    with pytest.raises(InputError, match="no count is known by 2024-12-31"):
        from_counts(table(("a", "x", 0, 3)), pd.Timestamp("2024-12-31"))


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf, "many"])
def test_a_count_that_is_none_is_named_with_row_series_and_date(wrong: object) -> None:
    counts = table(("a", "x", 0, 3), ("b", "x", 2, 0)).astype({"count": object}).assign(count=[3, wrong])
    with pytest.raises(InputError, match=re.escape(f"counts, row 2 (b × x on 2025-01-03): count '{wrong}' is not a number")):
        from_counts(counts)


def test_no_rows_are_an_error() -> None:
    with pytest.raises(InputError, match="there are no counts"):
        from_counts(table())


def test_a_silent_day_of_a_busy_area_is_missing() -> None:
    rows = [r for r in steady(40, SILENCE + 1) if r[2] != 30] + steady(40, 1, "b")
    panel = from_counts(table(*rows))
    assert np.flatnonzero(np.isnan(row(panel, "a", "x"))).tolist() == [30]
    assert not np.isnan(row(panel, "b", "x")).any()


def test_a_silent_day_of_a_quiet_area_is_zero() -> None:
    panel = from_counts(table(*[r for r in steady(40, SILENCE) if r[2] != 30]))
    assert row(panel, "a", "x")[30] == 0


def test_a_silent_category_of_an_area_that_speaks_is_zero() -> None:
    rows = [*(r for r in steady(40, 100) if r[2] != 30), ("a", "y", 30, 1.0)]
    assert row(from_counts(table(*rows)), "a", "x")[30] == 0


def test_a_day_on_which_the_whole_city_is_silent_is_missing_although_each_area_is_quiet() -> None:
    rows = [(f"q{i}", "x", t, 2.0) for i in range(15) for t in range(40) if t != 33]
    panel = from_counts(table(*rows))
    assert np.isnan(panel.counts[:, 33]).all()
    assert np.isnan(panel.counts).sum() == 15


def test_silence_is_believed_after_a_week() -> None:
    rows = [*steady(40, 100), ("a", "x", 60, 100.0)]
    holes = np.isnan(row(from_counts(table(*rows)), "a", "x"))
    assert np.flatnonzero(holes).tolist() == list(range(40, 40 + BELIEVED_AFTER))


def test_nothing_is_missing_before_it_is_known_what_is_usual() -> None:
    rows = [r for r in steady(40, 100) if r[2] != USUAL_WINDOW // 2 - 1]
    assert not np.isnan(from_counts(table(*rows)).counts).any()


cells = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.integers(0, 45), st.sampled_from([0, 1, 15, 40, 200])), min_size=1, max_size=12
)


@settings(max_examples=60, deadline=None)
@given(cells=cells, busy=st.booleans(), silent=st.sets(st.integers(16, 45), max_size=10), cutoff=st.integers(0, 45))
def test_what_was_known_of_a_day_never_changes_with_later_rows(
    cells: list[tuple[str, str, int, int]], busy: bool, silent: set[int], cutoff: int
) -> None:
    rows = [("a", "x", 0, 1.0), *cells, *(steady(46, 50, "busy") if busy else [])]
    whole = table(*[r for r in rows if r[2] not in silent])
    day = DAY0 + pd.Timedelta(days=cutoff)
    cut = from_counts(whole[whole["date"] <= day], day)
    assert same(from_counts(whole).until(day), cut) or whole["date"].max() < day
    assert same(from_counts(whole, DAY0 + pd.Timedelta(days=50)).until(day), cut)
    assert same(from_counts(whole, day), cut)


@settings(max_examples=40, deadline=None)
@given(cells=cells)
def test_no_ticket_is_lost_or_made_up(cells: list[tuple[str, str, int, int]]) -> None:
    frame = table(*cells)
    panel = from_counts(frame)
    for (district, category, date), count in frame.groupby(["district", "category", "date"])["count"].sum().items():
        got = row(panel, district, category)[(date - panel.days[0]).days]
        assert got == count or np.isnan(got)
    assert np.nansum(panel.counts) <= frame["count"].sum()


@pytest.mark.parametrize("column", ["district", "category", "date"])
def test_a_row_without_a_key_is_an_error_and_not_counted_elsewhere(column: str) -> None:
    frame = table(("a", "x", 0, 3), ("b", "y", 1, 5)).astype({column: object})
    frame.loc[0, column] = None
    with pytest.raises(InputError, match=f"a row without {column}"):
        from_counts(frame)
