"""What verdicts ask for: more evidence where alerts were false, less where they were true, within bounds, on one branch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.detection import evidence, feedback
from forecasting.detection.feedback import threshold, thresholds
from forecasting.hierarchy import ALL, Tree

KINDS = Tree({"HEAT": "PUBLIC", "WATER": "PUBLIC", "NOISE": "ORDER", "PUBLIC": ALL, "ORDER": ALL})
SOME = st.integers(0, 300)


def test_without_verdicts_nothing_is_asked_for() -> None:
    assert thresholds({}, KINDS) == {}
    assert thresholds({"HEAT": (0, 0)}, KINDS) == {}
    assert threshold(0, 0).stricter == 0


@given(true=SOME, false=SOME)
def test_more_false_ones_ask_for_more_and_more_true_ones_for_less(true: int, false: int) -> None:
    one = threshold(true, false)
    assert feedback.LAXEST <= one.stricter <= feedback.STRICTEST
    assert threshold(true, false + 1).stricter >= one.stricter >= threshold(true + 1, false).stricter
    assert np.sign(round(one.stricter, 9)) == np.sign(false - true), "as many true as false is what is meant"


def test_one_verdict_moves_little_and_many_move_as_far_as_the_bounds() -> None:
    assert 0 < threshold(0, 1).stricter < 0.11 * evidence.DECADE
    assert threshold(0, 1000).stricter == evidence.DECADE, "a tenth as often"
    assert threshold(1000, 0).stricter == -evidence.DECADE / 2


def test_where_chance_goes_on_feedback_settles_half_way_and_does_not_swing() -> None:
    """Chance begins four false ones for each true one; each year is judged under the limit of the year before."""
    moved, odds = 0.0, []
    for _ in range(40):
        false = 4000 * 10 ** (-moved / evidence.DECADE)
        odds.append(false / 1000)
        moved = (moved + threshold(1000, round(false)).stricter) / 2  # half of the year heeded lies under the limit before
    assert odds[-1] == pytest.approx(2.0, rel=0.02)
    assert odds == sorted(odds, reverse=True)


def test_an_alert_says_something_of_its_branch_and_nothing_of_its_neighbours() -> None:
    found = thresholds({"HEAT": (0, 20)}, KINDS)
    asked = {code for code, one in found.items() if one.stricter > 0}
    assert asked == {"HEAT", "PUBLIC", ALL}
    assert found["WATER"].stricter == found["NOISE"].stricter == found["ORDER"].stricter == 0, "said, for a sum above is stricter"
    assert {code for code, one in thresholds({"PUBLIC": (0, 20)}, KINDS).items() if one.stricter > 0} == {"HEAT", "WATER", "PUBLIC", ALL}
    assert all(one.stricter > 0 for one in thresholds({ALL: (0, 20)}, KINDS).values())


def test_verdicts_of_a_branch_are_added() -> None:
    found = thresholds({"HEAT": (1, 2), "WATER": (4, 8), "PUBLIC": (16, 32)}, KINDS)
    assert {code: (one.true, one.false) for code, one in found.items() if code != ALL} == {
        "HEAT": (17, 34),
        "WATER": (20, 40),
        "PUBLIC": (21, 42),
        "NOISE": (0, 0),
        "ORDER": (0, 0),
    }


def test_a_category_that_the_tree_does_not_know_is_heard() -> None:
    found = thresholds({"GONE": (0, 20)}, KINDS)
    assert found["GONE"].stricter == found[ALL].stricter > 0
