"""Every ticket too many is told once, at the node where it is."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import storms
from hypothesis import given, settings
from hypothesis import strategies as st
from storms import CITY, DISTRICTS, PAIRS, SERIES, bottom

from forecasting.detection.levels import BROAD
from forecasting.detection.placement import Place, Rule, place
from forecasting.hierarchy import ALL, Tree, build

EXPECTED = 10.0
LARGE = 8.0  # what makes an event
SOME = 3.0  # what makes a part of one


def rule(expected: np.ndarray) -> Rule:
    """What is large on the only day is an event."""

    def above(limit: float) -> Callable[..., np.ndarray]:
        return lambda rows, values, *_: values[:, 0] - expected[rows] >= limit

    return Rule(above(LARGE), lambda rows, _: np.zeros(len(rows), int), above(SOME))


def placed(excess: np.ndarray) -> list[Place]:
    """Events of a day on which each series [N] is so far from what is expected."""
    expected = CITY.total(bottom(EXPECTED))
    values = expected + CITY.total(excess)
    return place(PAIRS, storms.AREAS, storms.KINDS, values[:, None], expected[:, None], rule(expected))


def where(events: list[Place]) -> list[tuple[str, str]]:
    return [PAIRS[event.node] for event in events]


def tells(event: Place, series: tuple[str, str]) -> bool:
    """Whether a series lies below an event, in a district concerned."""
    category = PAIRS[event.node][1]
    return category in storms.KINDS.path(series[1]) and series[0] in {PAIRS[i][0] for i in event.parts}


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
    assert [PAIRS[i][0] for i in events[0].parts] == ["d2", "d4", "d3", "d1"]


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
        assert all(any(tells(event, series) and series[0] == PAIRS[i][0] for series in bursts) for i in event.parts)
        assert (PAIRS[event.node][0] == ALL) == (len(event.parts) >= BROAD)


@settings(max_examples=150, deadline=None)
@given(excess=st.lists(st.integers(-6, 30), min_size=len(SERIES), max_size=len(SERIES)))
def test_no_more_is_told_than_there_is(excess: list[int]) -> None:
    expected = CITY.total(bottom(EXPECTED))
    events = placed(np.array(excess, float))
    told = sum(event.left[0, 0] - expected[event.node] for event in events)
    assert told <= sum(max(x, 0) for x in excess) + 1e-6
    assert len({event.node for event in events}) == len(events)
    for event in events:
        assert event.left[0, 0] - expected[event.node] >= LARGE
        parts = [left - expected[i] for i, left in zip(event.parts, event.left[1:, 0], strict=True)]
        assert parts == sorted(parts, reverse=True)
        assert min(parts, default=0) >= 0


@settings(max_examples=80, deadline=None)
@given(excess=st.lists(st.integers(-6, 30), min_size=len(SERIES), max_size=len(SERIES)), seed=st.integers(0, 99))
def test_the_order_of_the_nodes_does_not_matter(excess: list[int], seed: int) -> None:
    expected, values = CITY.total(bottom(EXPECTED)), CITY.total(bottom(EXPECTED) + np.array(excess, float))
    order = np.random.default_rng(seed).permutation(len(PAIRS))
    e, v = expected[order], values[order]
    shuffled = place([PAIRS[i] for i in order], storms.AREAS, storms.KINDS, v[:, None], e[:, None], rule(e))
    assert {PAIRS[order[event.node]] for event in shuffled} == set(where(placed(np.array(excess, float))))


STREETS = tuple(f"{d}s{i}" for d in ("d1", "d2", "d3", "d4") for i in range(4))
TOWN = Tree({**{s: s[:2] for s in STREETS}, **dict.fromkeys(("d1", "d2", "d3", "d4"), ALL)})
FOUR = ("BINS", "FIRE", "HEAT", "NOISE", "WATER")
SORTS = Tree({**dict.fromkeys(("BINS", "HEAT", "NOISE", "WATER"), "HOME"), "HOME": ALL, "FIRE": ALL})
SMALL = build(pd.DataFrame([(s, c) for s in STREETS for c in FOUR], columns=["area", "category"]), TOWN, SORTS)
SMALL_PAIRS = list(zip(SMALL.nodes["area"], SMALL.nodes["category"], strict=True))
DAYS = 6


def placed_days(excess: np.ndarray) -> list[Place]:
    """Events of days on which each series [N, D] is so far from what is expected; an event begins on the first of its days that ends above."""
    expected = SMALL.total(np.full(excess.shape, EXPECTED))

    def above(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        return values - expected[rows]

    def since(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        sums = np.cumsum(above(rows, values)[:, ::-1], axis=1)
        return np.asarray(DAYS - 1 - sums.argmax(axis=1))

    rule = Rule(
        lambda rows, values: above(rows, values)[:, -3:].sum(axis=1) >= LARGE,
        since,
        lambda rows, values, start: above(rows, values)[:, start:].sum(axis=1) >= SOME,
    )
    return place(SMALL_PAIRS, TOWN, SORTS, expected + SMALL.total(excess), expected, rule)


def small(changes: dict[tuple[str, str], list[float]]) -> np.ndarray:
    out = np.zeros((SMALL.n_series, DAYS))
    for node, days in changes.items():
        out[SMALL_PAIRS.index(node), DAYS - len(days) :] = days
    return out


def small_where(events: list[Place]) -> list[tuple[str, str]]:
    return [SMALL_PAIRS[event.node] for event in events]


def test_of_streets_districts_and_the_city_an_event_is_where_three_parts_carry_it() -> None:
    one = {("d1s0", "HEAT"): [20.0, 20.0]}
    assert small_where(placed_days(small(one))) == [("d1s0", "HEAT")]
    assert small_where(placed_days(small({(f"d1s{i}", "HEAT"): [20.0, 20.0] for i in range(3)}))) == [("d1", "HEAT")]
    (city,) = placed_days(small({(f"d{d}s{d}", "HEAT"): [20.0, 20.0] for d in (1, 2, 3)}))
    assert SMALL_PAIRS[city.node] == (ALL, "HEAT")
    assert {SMALL_PAIRS[i][0] for i in city.parts} == {"d1", "d2", "d3"}
    (spread,) = placed_days(small({(f"d{d}s{i}", "HEAT"): [4.0] for d in (1, 2, 3) for i in range(3)}))
    assert SMALL_PAIRS[spread.node] == (ALL, "HEAT")


def test_a_district_s_burst_over_three_categories_is_one_event_of_what_is_above_them() -> None:
    street = {("d1s0", c): [20.0] for c in ("BINS", "HEAT", "NOISE")}
    assert small_where(placed_days(small(street))) == [("d1s0", "HOME")]
    assert small_where(placed_days(small(dict(list(street.items())[:2])))) == [("d1s0", "BINS"), ("d1s0", "HEAT")]
    lot = {(f"d{d}s0", c): [20.0] for d in (1, 2, 3) for c in ("BINS", "HEAT", "NOISE")}
    assert small_where(placed_days(small(lot))) == [(ALL, "BINS"), (ALL, "HEAT"), (ALL, "NOISE")]


def test_bursts_that_began_after_a_rise_of_one_district_do_not_make_it_the_city_s() -> None:
    """d1 has been high for days, and pipes burst in d2 and d3 yesterday: without them the city's rise is d1's alone."""
    rise = {(f"d1s{i}", "HEAT"): [6.0, 6.0, 6.0, 6.0, 6.0] for i in range(4)}
    pipes = {(f"{d}s0", "HEAT"): [60.0, 60.0] for d in ("d2", "d3")}
    assert small_where(placed_days(small(rise))) == [("d1", "HEAT")]
    assert set(small_where(placed_days(small(rise | pipes)))) == {("d1", "HEAT"), ("d2s0", "HEAT"), ("d3s0", "HEAT")}
    everywhere = {(f"{d}s{i}", "HEAT"): [6.0] * 5 for d in ("d1", "d2", "d3", "d4") for i in range(1, 4)}
    assert set(small_where(placed_days(small(everywhere | pipes)))) == {(ALL, "HEAT"), ("d2s0", "HEAT"), ("d3s0", "HEAT")}


def test_a_part_that_goes_far_beyond_a_lasting_rise_of_the_city_is_told_beside_it() -> None:
    rise = {(f"{d}s{i}", "HEAT"): [6.0] * 5 for d in ("d1", "d2", "d3", "d4") for i in range(1, 4)}
    main = {("d4s1", "HEAT"): [6.0, 6.0, 6.0, 6.0, 60.0]}
    assert small_where(placed_days(small(rise))) == [(ALL, "HEAT")]
    assert set(small_where(placed_days(small(rise | main)))) == {(ALL, "HEAT"), ("d4s1", "HEAT")}
    soon = {key: [6.0, 6.0] for key in rise} | {("d4s1", "HEAT"): [6.0, 60.0]}
    assert small_where(placed_days(small(soon))) == [(ALL, "HEAT")], "what comes with it in its first days is its own"


def test_days_before_the_onset_stay_with_the_nodes_above() -> None:
    """What the street's event does not tell, because it was before it, is the district's."""
    events = placed_days(small({("d1s0", "HEAT"): [30.0], ("d1s1", "FIRE"): [12.0, 0.0]}))
    assert set(small_where(events)) == {("d1s0", "HEAT"), ("d1s1", "FIRE")}
    assert {event.since for event in events} == {DAYS - 1, DAYS - 2}
    later = placed_days(small({("d1s0", "HEAT"): [30.0], **{(f"d1s{i}", "HEAT"): [4.0, 0.0] for i in (1, 2, 3)}}))
    assert set(small_where(later)) == {("d1s0", "HEAT"), ("d1", "HEAT")}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_over_days_and_three_levels_nothing_is_told_twice_and_shares_add_up(data: st.DataObject) -> None:
    some = st.dictionaries(
        st.sampled_from(SMALL_PAIRS[: SMALL.n_series]), st.lists(st.integers(-5, 30).map(float), min_size=1, max_size=DAYS), min_size=1, max_size=12
    )
    excess = small(data.draw(some))
    expected = SMALL.total(np.full(excess.shape, EXPECTED))
    events = placed_days(excess)
    told = np.zeros(DAYS)
    for event in events:
        above = event.left[0] - expected[event.node]
        assert above[-3:].sum() >= LARGE
        told[event.since :] += above[event.since :]
        children = [
            i for i, (a, c) in enumerate(SMALL_PAIRS) if c == SMALL_PAIRS[event.node][1] and TOWN.path(a)[1:2] == (SMALL_PAIRS[event.node][0],)
        ]
        if children and len(event.parts) == len(children):
            parts = event.left[1:] - expected[list(event.parts)]
            np.testing.assert_allclose(parts.sum(axis=0), above, atol=1e-9)
    assert (told <= np.maximum(excess, 0).sum(axis=0) + 1e-6).all(), "on no day is more told than came"
    assert len({event.node for event in events}) == len(events)
    again = placed_days(excess)
    assert [(e.node, e.since, e.parts) for e in again] == [(e.node, e.since, e.parts) for e in events]
