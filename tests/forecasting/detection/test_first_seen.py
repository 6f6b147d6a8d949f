"""FIRST_SEEN: what was not there for half a year and comes three times in a week."""

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from forecasting.detection import first_seen
from forecasting.detection.explain import Labels
from forecasting.detection.finding import Finding
from forecasting.hierarchy import ALL, Tree, build

DAY = date(2025, 11, 15)
NODES = [("d1", "DRONE"), ("d2", "DRONE"), ("d3", "DRONE"), ("d1", "HEAT"), (ALL, "DRONE"), (ALL, "HEAT")]
SUMS = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 1, 1, 0], [0, 0, 0, 1]], float)
LABELS = Labels({("category", "DRONE"): "无人机", ("area", "d1"): "东城区"}, {("category", "DRONE"): "Drones", ("area", "d1"): "Dongcheng"})


def found(*weeks: list[int], before: tuple[float, ...] = (0, 0, 0, 400)) -> list[Finding]:
    """What is found of the weeks of the drones in three districts."""
    week = np.zeros((4, 7))
    for row, counts in enumerate(weeks):
        week[row, -len(counts) :] = counts
    return first_seen.detect(DAY, NODES, SUMS @ week, SUMS @ np.array(before, float), LABELS)


def test_three_tickets_of_what_was_never_seen_are_a_finding_where_they_are() -> None:
    (one,) = found([1, 0, 2])
    assert (one.kind, one.area, one.category, one.day) == ("FIRST_SEEN", "d1", "DRONE", DAY)
    assert (one.onset, one.peak) == (DAY - timedelta(days=2), DAY)
    assert (one.observed, one.since_observed) == (2, 3)
    assert [(part.district, part.observed) for part in one.districts] == [("d1", 3)]
    assert 0 < one.expected < 0.01
    assert 0 < one.p_value < 1e-3
    assert "无人机" in one.reason_zh
    assert "Drones" in one.reason_en
    assert "Dongcheng" in one.reason_en


@pytest.mark.parametrize("week", [[2], [1, 0, 0, 0, 0, 0, 1], [0]])
def test_two_are_none(week: list[int]) -> None:
    assert found(week) == []


def test_what_was_seen_within_half_a_year_is_none() -> None:
    assert found([5], before=(1, 0, 0, 0)) == []


def test_what_is_seen_elsewhere_is_new_in_the_district_alone() -> None:
    (one,) = found([1, 1, 1], [3], before=(0, 200, 0, 0))
    assert (one.area, [p.district for p in one.districts]) == ("d1", ["d1"])
    assert {f.area for f in found([3], [9], [4], before=(0, 200, 0, 0))} == {"d1", "d3"}


def test_what_is_new_in_several_districts_is_one_finding_of_the_city() -> None:
    (one,) = found([1], [1, 0], [3])
    assert (one.area, one.observed) == (ALL, 4)
    assert [(p.district, p.observed) for p in one.districts] == [("d3", 3), ("d1", 1), ("d2", 1)]


def test_a_history_of_less_than_half_a_year_tells_nothing() -> None:
    assert found([9], before=(np.nan, np.nan, np.nan, np.nan)) == []


def test_days_without_data_are_no_tickets() -> None:
    week = np.zeros((4, 7))
    week[0, -3:] = (2, np.nan, 1)
    week[1] = np.nan
    total = np.array([np.nansum(week[SUMS[i] > 0], axis=0) for i in range(len(NODES))])
    total[:4] = week
    (one,) = first_seen.detect(DAY, NODES, total, np.zeros(6), LABELS)
    assert (one.area, one.since_observed) == ("d1", 3)


def test_more_tickets_are_never_of_a_lower_level_nor_more_probable() -> None:
    some = [found([number])[0] for number in (3, 6, 12, 40, 100)]
    levels = [("blue", "yellow", "orange", "red").index(one.level) for one in some]
    assert levels == sorted(levels)
    assert all(one.p_value > other.p_value for one, other in pairwise(some))


def test_a_city_s_series_are_looked_at_with_their_sums_and_categories_above_them_are_not() -> None:
    """Counts of half a year, whose days long ago and missing days tell nothing."""
    city = build(pd.DataFrame({"area": ["d1", "d2", "d1"], "category": ["DRONE", "DRONE", "HEAT"]}), Tree(), Tree({"DRONE": "AIR", "HEAT": "AIR"}))
    counts = np.zeros((3, 200))
    counts[2] = 4.0
    counts[0, 5] = 9.0
    counts[1, 60] = np.nan
    counts[:2, -2:] = 2.0
    (one,) = first_seen.look(DAY, city, counts, LABELS)
    assert (one.area, one.category, one.since_observed) == (ALL, "DRONE", 8)
    assert first_seen.look(DAY, city, counts[:, -first_seen.UNSEEN - first_seen.WEEK + 1 :], LABELS) == [], "a day too short"
    counts[0, 100] = 1.0
    (one,) = first_seen.look(DAY, city, counts, LABELS)
    assert one.area == "d2"
