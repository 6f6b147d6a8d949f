"""A coming rise is told with its onset and its peak; a forecast of more of the same is not."""

from datetime import date, timedelta

import numpy as np
import pytest
import storms
from storms import CITY, DISTRICTS, bottom

from forecasting.detection import seasonal
from forecasting.detection.explain import Labels, number
from forecasting.detection.finding import Finding
from forecasting.hierarchy import ALL

DAY = date(2025, 10, 31)
LABELS = Labels({("category", "HEAT"): "供热采暖"}, {("category", "HEAT"): "Heating"})


def found(coming: np.ndarray, recent: np.ndarray | float = 20.0, dispersion: np.ndarray | float = 0.01) -> list[Finding]:
    """Findings for forecasts [N, H] of the series after a recent level."""
    level = bottom(recent) if isinstance(recent, float) else recent
    nodes = CITY.nodes[["area", "category"]].assign(recent=CITY.total(level))
    total = CITY.total(coming)
    return seasonal.detect(DAY, nodes, total, np.broadcast_to(dispersion, total.shape), storms.AREAS, storms.KINDS, LABELS)


def forecast(horizon: int = 28, level: float = 20.0) -> np.ndarray:
    return np.full((len(storms.SERIES), horizon), level)


def rise(coming: np.ndarray, districts: tuple[str, ...], category: str, start: int, top: int, height: float) -> np.ndarray:
    """Adds a triangle: from position `start` up to `height` at `top` and down again."""
    out = coming.copy()
    days = np.arange(coming.shape[1])
    up = np.clip((days - start + 1) / (top - start + 1), 0, 1)
    down = np.clip(1 - (days - top) / 10, 0, 1)
    for district in districts:
        out[storms.at(district, category)] += height * np.where(days <= top, up, down)
    return out


def test_a_rise_of_the_whole_city_is_one_finding_with_onset_and_peak() -> None:
    coming = rise(forecast(), DISTRICTS, "HEAT", 8, 15, 80)
    (one,) = found(coming)
    assert (one.kind, one.area, one.category) == ("SEASONAL", ALL, "HEAT")
    assert one.onset == DAY + timedelta(days=9)  # position 8 is the ninth day ahead, and a rise of 10 on 20 is clear
    assert one.peak == DAY + timedelta(days=16)
    assert one.observed == 120
    week = CITY.total(coming)[storms.at(ALL, "HEAT")]
    assert one.expected == pytest.approx(max(week[i : i + 7].mean() for i in range(22)))
    assert {p.district for p in one.districts} == set(DISTRICTS)
    assert one.lower < one.expected < one.upper
    assert one.p_value < 1e-3


def test_a_rise_of_one_district_is_that_district_s() -> None:
    (one,) = found(rise(forecast(), ("d4",), "NOISE", 3, 9, 100))
    assert (one.area, one.category) == ("d4", "NOISE")
    assert one.peak == DAY + timedelta(days=10)


def test_more_of_the_same_is_no_finding() -> None:
    weekly = forecast() * np.tile([1.2, 1.2, 1.1, 1.1, 1.0, 0.7, 0.7], 4)
    assert found(weekly) == []
    assert found(forecast(level=5.0)) == []
    assert found(forecast(level=0.0), 0.0) == []


def test_one_high_day_is_no_season() -> None:
    coming = forecast()
    coming[storms.at("d1", "HEAT"), 12] = 50
    assert found(coming) == []


def test_a_rise_that_is_as_likely_not_to_come_is_no_finding() -> None:
    coming = rise(forecast(), ("d4",), "NOISE", 3, 12, 25)
    assert len(found(coming, dispersion=0.005)) == 1
    assert found(coming, dispersion=1.0) == []


def test_the_doubt_is_that_of_the_highest_week_s_middle() -> None:
    coming = rise(forecast(), ("d4",), "NOISE", 3, 12, 25)
    week = coming[storms.at("d4", "NOISE")]
    middle = max(range(22), key=lambda i: week[i : i + 7].sum()) + 3
    wide_there = np.where(np.arange(28) == middle, 1.0, 0.005)
    assert found(coming, dispersion=wide_there) == []
    assert len(found(coming, dispersion=np.where(np.arange(28) == middle, 0.005, 1.0))) == 1


@pytest.mark.parametrize("horizon", [1, 6])
def test_less_than_a_week_ahead_says_nothing_of_a_season(horizon: int) -> None:
    assert found(forecast(horizon, 500.0)) == []


def test_a_week_ahead_is_enough() -> None:
    coming = rise(forecast(7), DISTRICTS, "HEAT", 0, 6, 200)
    assert [(f.area, f.category) for f in found(coming)] == [(ALL, "HEAT")]


def test_a_season_that_begins_from_nothing_is_found() -> None:
    recent = bottom(20, {(d, "HEAT"): 0.0 for d in DISTRICTS})
    coming = forecast()
    for d in DISTRICTS:
        coming[storms.at(d, "HEAT")] = 0
    (one,) = found(rise(coming, DISTRICTS, "HEAT", 10, 20, 60), recent)
    assert (one.area, one.category) == (ALL, "HEAT")
    assert one.observed == 0
    assert np.isfinite([one.lower, one.upper, one.p_value]).all()


def test_what_days_are_compared_with_is_the_higher_of_the_last_week_and_four_of_them_where_anything_is_known() -> None:
    came = np.full((4, 40), 5.0)
    came[:, :12] = 99.0  # longer ago
    came[1, -7:] = 12.0
    came[2, 12:] = np.nan
    came[3, -9:] = np.nan
    frame, known = seasonal.compared([("d1", "a"), ("d1", "b"), ("d1", "c"), ("d1", "d")], came)
    assert known.tolist() == [True, True, False, True]
    assert frame.to_dict("list") == {"area": ["d1"] * 3, "category": ["a", "b", "d"], "recent": [5.0, 12.0, 5.0]}


def test_the_way_back_of_a_forecast_that_stands_too_high_is_no_rise_and_one_that_stands_too_low_is_none_either() -> None:
    coming = np.array([[10.0, 20.0], [10.0, 20.0]])
    np.testing.assert_array_equal(seasonal.at_level(coming, np.array([0.5, 1.5])), [[5.0, 10.0], [10.0, 20.0]])


def test_without_nodes_there_is_nothing_to_find() -> None:
    nodes = CITY.nodes[["area", "category"]].assign(recent=1.0).iloc[:0]
    assert seasonal.detect(DAY, nodes, np.empty((0, 28)), np.empty((0, 28)), storms.AREAS, storms.KINDS, LABELS) == []


def test_reasons_hold_the_numbers_the_names_and_the_days_in_both_languages() -> None:
    (one,) = found(rise(forecast(), DISTRICTS, "HEAT", 8, 15, 80))
    for text in (one.reason_zh, one.reason_en):
        for part in (f"{one.onset}", f"{one.peak}", number(one.expected), number(one.observed), number(one.lower), number(one.upper)):
            assert part in text
    assert "供热采暖" in one.reason_zh
    assert "Heating" in one.reason_en


def test_more_is_never_of_a_lower_level() -> None:
    heights = [60, 90, 150, 400]
    found_levels = [found(rise(forecast(), DISTRICTS, "HEAT", 8, 15, h))[0].level for h in heights]
    order = ("blue", "yellow", "orange", "red")
    assert [order.index(x) for x in found_levels] == sorted(order.index(x) for x in found_levels)
    assert found_levels[-1] == "red"
