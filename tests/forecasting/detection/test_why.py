"""What an alert rests on: shares that add up, fades as past events did."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.detection import why

counts = st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)), max_size=20)


@given(children=counts, excess=st.floats(-100, 1e5))
def test_shares_and_rest_add_up_to_one(children: list[tuple[float, float]], excess: float) -> None:
    tickets, usual = (np.array([pair[k] for pair in children]) for k in (0, 1))
    told, rest = why.shares([f"c{i}" for i in range(len(children))], tickets, usual, excess)
    assert sum(one.share for one in told) + rest == pytest.approx(1)
    assert 0 <= rest <= 1
    assert [one.share for one in told] == sorted((one.share for one in told), reverse=True)
    assert all(0 < one.share <= 1 and one.tickets > one.usual for one in told)


def test_who_has_the_excess_carries_it() -> None:
    told, rest = why.shares(["a", "b", "c"], np.array([30.0, 90.0, 5.0]), np.array([10.0, 10.0, 10.0]), 100.0)
    assert [(one.code, one.share) for one in told] == [("b", 0.8), ("a", 0.2)]
    assert rest == pytest.approx(0)
    told, rest = why.shares(["a"], np.array([30.0]), np.array([10.0]), 80.0)
    assert (told[0].share, rest) == (0.25, 0.75), "what no child has is the rest"


def test_many_small_ones_are_in_the_rest() -> None:
    told, rest = why.shares([f"c{i:02}" for i in range(30)], np.full(30, 11.0), np.full(30, 10.0), 30.0)
    assert len(told) == why.SHOWN
    assert rest == pytest.approx(18 / 30)


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.8])
def test_the_fade_is_that_of_the_past_events(ratio: float) -> None:
    events = [size * ratio ** np.arange(60) for size in (5.0, 80.0)] * 100
    assert why.fade(events) == pytest.approx(ratio, abs=0.01)


def test_without_past_events_the_fade_is_the_usual_one() -> None:
    assert why.fade([]) == why.FADE
    assert why.fade([np.array([0.0, -3.0]), np.array([np.nan])]) == why.FADE
    assert why.fade([np.array([9.0, 0.0])]) < why.FADE < why.fade([np.array([1.0, 9.0, 9.0])])


@given(mean=st.lists(st.floats(0, 1e3), min_size=1, max_size=14), observed=st.floats(0, 1e3), expected=st.floats(0, 1e3))
def test_what_is_ahead_goes_back_to_the_forecast(mean: list[float], observed: float, expected: float) -> None:
    got = why.ahead(np.array(mean), observed, expected, 0.5)
    assert (got >= 0).all()
    far = why.ahead(np.array(mean * 60), observed, expected, 0.5)[-len(mean) :]
    np.testing.assert_allclose(far, mean, atol=1e-3)
    if observed >= expected:
        assert (got >= np.array(mean)).all()


def test_the_ratio_of_the_last_day_fades() -> None:
    got = why.ahead(np.array([99.0, 199.0]), observed=299.0, expected=99.0, fading=0.5)
    np.testing.assert_allclose(got, [99 + 100, 199 + 50 * 2])
