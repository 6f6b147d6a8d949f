"""Recodings against a count carried over by hand, one rule and one ticket after the other."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import InputError
from forecasting.recoding import NONE, CategoryMap

START = date(2025, 1, 1)


def table(*rules: tuple[str, str, int, float]) -> pd.DataFrame:
    """Recodings: old, new, day, share."""
    frame = pd.DataFrame(rules, columns=["old", "new", "valid_from", "share"])
    return frame.assign(valid_from=[START + timedelta(days=int(day)) for day in frame["valid_from"]])


def counts(cells: dict[tuple[str, str, int], int]) -> pd.DataFrame:
    """Counts by district, category, day."""
    days = pd.Series([pd.Timestamp(START) + pd.Timedelta(days=day) for _, _, day in cells], dtype="datetime64[us]")
    return pd.DataFrame({"district": [a for a, _, _ in cells], "category": [c for _, c, _ in cells], "date": days, "count": list(cells.values())})


def by_hand(cells: dict[tuple[str, str, int], int], rules: list[tuple[str, str, int, float]]) -> dict[tuple[str, str, int], float]:
    now = {cell: float(count) for cell, count in cells.items()}
    for day in sorted({rule[2] for rule in rules}):
        then = dict(now)
        for (area, category, on), count in now.items():
            for old, new, _, share in [rule for rule in rules if rule[2] == day and rule[0] == category and on < day]:
                then[area, old, on] -= count * share
                then[area, new, on] = then.get((area, new, on), 0.0) + count * share
        now = then
    return {cell: count for cell, count in now.items() if count > 1e-9}


CELLS = st.dictionaries(st.tuples(st.sampled_from("ab"), st.sampled_from("WXYZ"), st.integers(0, 9)), st.integers(1, 40), min_size=1, max_size=20)
RULES = st.lists(
    st.tuples(st.sampled_from("WXY"), st.sampled_from("XYZ"), st.integers(1, 9), st.sampled_from([0.2, 0.5])).filter(lambda r: r[0] != r[1]),
    max_size=6,
    unique_by=lambda r: r[:3],
).filter(lambda rules: all(sum(share for old, _, day, share in rules if (old, day) == one[:3:2]) <= 1 for one in rules))


@settings(max_examples=80, deadline=None)
@given(cells=CELLS, rules=RULES)
def test_splits_merges_and_chains_are_carried_over_and_no_ticket_is_lost(
    cells: dict[tuple[str, str, int], int], rules: list[tuple[str, str, int, float]]
) -> None:
    filed = counts(cells)
    told = CategoryMap.of(table(*rules)).carry(filed)
    found = {(r.district, r.category, (r.date.date() - START).days): r.count for r in told.itertuples(index=False)}
    assert found == pytest.approx(by_hand(cells, rules))
    keys = ["district", "date"]
    total = told.astype({"count": float}).groupby(keys)["count"].sum()
    pd.testing.assert_series_equal(total, filed.groupby(keys)["count"].sum().astype(float), check_index_type=False)
    assert list(told.columns) == list(filed.columns)


def test_codes_that_swap_on_a_day_swap_their_history() -> None:
    told = CategoryMap.of(table(("X", "Y", 5, 1.0), ("Y", "X", 5, 1.0))).carry(counts({("a", "X", 4): 3, ("a", "Y", 4): 8, ("a", "X", 5): 1}))
    assert set(zip(told["category"], told["date"].dt.day, told["count"], strict=True)) == {("Y", 5, 3.0), ("X", 5, 8.0), ("X", 6, 1.0)}


def test_a_recoding_is_in_force_for_forecasts_from_the_day_before_it() -> None:
    recodings = CategoryMap.of(table(("X", "Y", 5, 1.0), ("Y", "Z", 9, 1.0)))
    in_force = [len(recodings.known_by(START + timedelta(days=day)).table) for day in (3, 4, 7, 8)]
    assert in_force == [0, 1, 1, 2]


def test_without_recodings_counts_stay_as_they_are() -> None:
    filed = counts({("a", "X", 0): 3})
    assert NONE.carry(filed) is filed
    changes, shares = CategoryMap.of(table(("X", "Y", 5, 0.4))).shares()
    assert len(changes) == 1
    np.testing.assert_allclose(shares, [[[0.6, 0.4], [0, 1]], [[1, 0], [0, 1]]])


@pytest.mark.parametrize("share", [0.0, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="share"):
        CategoryMap.of(table(("X", "Y", 5, share)))


def test_shares_of_more_than_the_whole_are_refused() -> None:
    with pytest.raises(InputError, match="'X' are more than 1"):
        CategoryMap.of(table(("X", "Y", 5, 0.6), ("X", "Z", 5, 0.5)))
