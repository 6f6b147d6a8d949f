"""Colours follow published steps, and more of the same never looks less."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.detection import levels
from forecasting.detection.levels import LEVELS, level, threshold


@pytest.mark.parametrize(
    ("p", "ratio", "districts", "safety", "colour"),
    [
        (5e-3, 9, 9, True, "blue"),
        (1e-3, 9, 9, True, "blue"),
        (9e-4, 1.3, 1, False, "yellow"),
        (9e-5, 1.4, 9, True, "yellow"),
        (9e-5, 1.5, 1, False, "orange"),
        (9e-6, 1.9, 9, True, "orange"),
        (9e-6, 2, 2, False, "orange"),
        (9e-6, 2, 3, False, "red"),
        (9e-6, 2, 1, True, "red"),
        (0, 50, 1, False, "orange"),
    ],
)
def test_a_colour_needs_probability_ratio_and_breadth(p: float, ratio: float, districts: int, safety: bool, colour: str) -> None:
    assert level(p, ratio, districts, safety) == colour


@given(
    p=st.floats(0, 0.01), smaller=st.floats(0, 1), ratio=st.floats(1, 10), more=st.floats(0, 10), districts=st.integers(1, 16), safety=st.booleans()
)
def test_a_rarer_and_greater_count_never_has_a_lower_colour(
    p: float, smaller: float, ratio: float, more: float, districts: int, safety: bool
) -> None:
    before, after = level(p, ratio, districts, safety), level(p * smaller, ratio + more, districts + int(more), safety)
    assert LEVELS.index(after) >= LEVELS.index(before)


@given(budget=st.floats(0.01, 100), tests=st.integers(1, 20_000))
def test_the_threshold_spends_the_budget_and_no_more(budget: float, tests: int) -> None:
    assert threshold(budget, tests) * tests <= budget * (1 + 1e-9)
    assert 0 < threshold(budget, tests) <= 0.01


def test_without_any_node_there_is_a_threshold_all_the_same() -> None:
    assert threshold(1.5, 0) == 0.01
    assert levels.LEVELS == ("blue", "yellow", "orange", "red")
