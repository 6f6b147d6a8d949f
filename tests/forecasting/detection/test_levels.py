"""Colours follow published steps, and more of the same never looks less."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.detection import levels
from forecasting.detection.levels import BROAD, LASTING, LEVELS, level


@pytest.mark.parametrize(
    ("excess", "ratio", "districts", "days", "safety", "colour"),
    [
        (7.9, 99, 9, 7, True, "blue"),
        (999, 1.29, 9, 7, True, "blue"),
        (8, 1.3, 1, 1, False, "yellow"),
        (24.9, 99, 9, 7, True, "yellow"),
        (999, 1.4, 9, 7, True, "yellow"),
        (25, 1.5, 1, 1, False, "orange"),
        (999, 1.9, 9, 7, True, "orange"),
        (49.9, 99, 9, 7, True, "orange"),
        (50, 2, 2, 4, False, "orange"),
        (50, 2, 3, 1, False, "red"),
        (50, 2, 1, 5, False, "red"),
        (50, 2, 1, 1, True, "red"),
        (9999, 50, 1, 1, False, "orange"),
    ],
)
def test_a_colour_needs_excess_and_ratio_and_red_breadth_or_persistence_or_safety_too(
    excess: float, ratio: float, districts: int, days: int, safety: bool, colour: str
) -> None:
    assert level(excess, ratio, districts, days, safety) == colour


some = st.floats(0, 200)
few = st.integers(0, 8)


@given(excess=some, ratio=st.floats(1, 4), districts=few, days=few, safety=st.booleans(), more=st.tuples(some, st.floats(0, 4), few, few))
def test_more_of_anything_never_has_a_lower_colour(
    excess: float, ratio: float, districts: int, days: int, safety: bool, more: tuple[float, float, int, int]
) -> None:
    before = level(excess, ratio, districts, days, safety)
    after = level(excess + more[0], ratio + more[1], districts + more[2], days + more[3], True)
    assert LEVELS.index(after) >= LEVELS.index(before)


def test_steps_rise() -> None:
    assert ("blue", *(step.colour for step in levels.STEPS)) == LEVELS
    for lower, higher in zip(levels.STEPS, levels.STEPS[1:], strict=False):
        assert lower.excess < higher.excess
        assert lower.ratio < higher.ratio
    assert (BROAD, LASTING) == (3, 5)
