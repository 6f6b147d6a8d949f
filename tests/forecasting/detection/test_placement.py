"""Every ticket too many is told once, at the node where it is."""

import numpy as np
import storms
from hypothesis import given, settings
from hypothesis import strategies as st
from storms import CITY, DISTRICTS, PAIRS, SERIES, bottom

from forecasting.detection.levels import BROAD
from forecasting.detection.placement import Place, place
from forecasting.hierarchy import ALL

EXPECTED = 10.0
LARGE = 8.0  # what makes an event
SOME = 3.0  # what makes a part of one


def placed(excess: np.ndarray) -> list[Place]:
    """Events of a day on which each series [N] is so far from what is expected."""
    expected = CITY.total(bottom(EXPECTED))
    return place(
        PAIRS,
        storms.AREAS,
        storms.KINDS,
        expected + CITY.total(excess),
        expected,
        lambda values: values - expected >= LARGE,
        lambda values: values - expected >= SOME,
    )


def where(events: list[Place]) -> list[tuple[str, str]]:
    return [PAIRS[event.node] for event in events]


def tells(event: Place, series: tuple[str, str]) -> bool:
    """Whether a series lies below an event, in a district concerned."""
    category = PAIRS[event.node][1]
    return category in storms.KINDS.path(series[1]) and series[0] in {PAIRS[i][0] for i in event.districts}


def test_a_burst_in_one_district_is_there_and_nowhere_above() -> None:
    for series in SERIES.itertuples(index=False, name=None):
        assert where(placed(bottom(0, {series: 50}))) == [series]


def test_nothing_happens_on_a_day_as_expected() -> None:
    assert placed(bottom(0)) == []
    assert placed(bottom(-3)) == []


def test_a_storm_over_many_districts_is_one_event_of_the_city() -> None:
    excess = bottom(0, {("d1", "HEAT"): 4, ("d2", "HEAT"): 30, ("d3", "HEAT"): 12, ("d4", "HEAT"): 20, ("d5", "HEAT"): 1})
    events = placed(excess)
    assert where(events) == [(ALL, "HEAT")]
    assert [PAIRS[i][0] for i in events[0].districts] == ["d2", "d4", "d3", "d1"]


def test_a_rise_too_small_for_each_district_is_the_city_s() -> None:
    events = placed(bottom(0, {(d, "HEAT"): 2.5 for d in DISTRICTS}))
    assert where(events) == [(ALL, "HEAT")]


def test_a_rise_spread_over_a_district_s_categories_is_the_district_s() -> None:
    events = placed(bottom(0, {("d3", c): 4 for c in storms.CATEGORIES}))
    assert where(events) == [("d3", "ORDER"), ("d3", "PUBLIC")]
    events = placed(bottom(0, {("d3", c): 3 for c in storms.CATEGORIES}))
    assert where(events) == [("d3", ALL)]


def test_a_smaller_burst_is_told_beside_a_greater_one() -> None:
    """One district has so much that it alone carries the city; the other's burst is an event all the same."""
    events = placed(bottom(0, {("d1", "HEAT"): 100, ("d2", "HEAT"): 12}))
    assert where(events) == [("d1", "HEAT"), ("d2", "HEAT")]


def test_a_city_wide_rise_is_told_beside_one_district_s_burst() -> None:
    excess = bottom(0, {(d, "HEAT"): 2.5 for d in DISTRICTS}) + bottom(0, {("d1", "HEAT"): 200})
    events = placed(excess)
    assert where(events)[0] == ("d1", "HEAT")
    assert (ALL, "HEAT") in where(events)
    assert (ALL, ALL) not in where(events)


def test_a_rise_of_every_category_in_the_whole_city_is_not_told_again_by_the_totals() -> None:
    assert where(placed(bottom(2.5))) == [(ALL, c) for c in storms.CATEGORIES]


bursts = st.dictionaries(st.sampled_from(list(SERIES.itertuples(index=False, name=None))), st.integers(9, 400), max_size=8)


@settings(max_examples=120, deadline=None)
@given(bursts=bursts)
def test_every_burst_is_told_once_and_nothing_else_is(bursts: dict[tuple[str, str], int]) -> None:
    events = placed(bottom(0, bursts))
    for series in bursts:
        assert sum(tells(event, series) for event in events) == 1
    for event in events:
        assert all(any(tells(event, series) and series[0] == PAIRS[i][0] for series in bursts) for i in event.districts)
        assert (PAIRS[event.node][0] == ALL) == (len(event.districts) >= BROAD)


@settings(max_examples=150, deadline=None)
@given(excess=st.lists(st.integers(-6, 30), min_size=len(SERIES), max_size=len(SERIES)))
def test_no_more_is_told_than_there_is(excess: list[int]) -> None:
    expected = CITY.total(bottom(EXPECTED))
    events = placed(np.array(excess, float))
    told = sum(event.left[event.node] - expected[event.node] for event in events)
    assert told <= sum(max(x, 0) for x in excess) + 1e-6
    assert len({event.node for event in events}) == len(events)
    for event in events:
        assert event.left[event.node] - expected[event.node] >= LARGE
        parts = [event.left[i] - expected[i] for i in event.districts]
        assert parts == sorted(parts, reverse=True)
        assert min(parts, default=0) >= 0


@settings(max_examples=80, deadline=None)
@given(excess=st.lists(st.integers(-6, 30), min_size=len(SERIES), max_size=len(SERIES)), seed=st.integers(0, 99))
def test_the_order_of_the_nodes_does_not_matter(excess: list[int], seed: int) -> None:
    expected, values = CITY.total(bottom(EXPECTED)), CITY.total(bottom(EXPECTED) + np.array(excess, float))
    order = np.random.default_rng(seed).permutation(len(PAIRS))
    e, v = expected[order], values[order]
    shuffled = place([PAIRS[i] for i in order], storms.AREAS, storms.KINDS, v, e, lambda x: x - e >= LARGE, lambda x: x - e >= SOME)
    assert {PAIRS[order[event.node]] for event in shuffled} == set(where(placed(np.array(excess, float))))
