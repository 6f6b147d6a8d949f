"""A finished day far above its forecast: one finding for each event, none for a day that is as forecast."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
import storms
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from storms import CATEGORIES, CITY, DISTRICTS, SERIES, bottom, day

from forecasting.detection import spike
from forecasting.detection.explain import Labels, number
from forecasting.detection.finding import Finding
from forecasting.detection.levels import LEVELS
from forecasting.hierarchy import ALL

DAY = date(2025, 11, 15)
LABELS = Labels(
    {("area", "d2"): "朝阳区", ("area", "d3"): "海淀区", ("category", "HEAT"): "供热采暖"},
    {("area", "d2"): "Chaoyang", ("area", "d3"): "Haidian", ("category", "HEAT"): "Heating"},
)


def found(nodes: pd.DataFrame, safety: tuple[str, ...] = (), budget: float = 1.5) -> list[Finding]:
    return spike.detect(DAY, nodes, storms.AREAS, storms.KINDS, LABELS, frozenset(safety), budget)


def where(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(f.area, f.category) for f in findings]


def highest(findings: list[Finding]) -> int:
    return max((LEVELS.index(f.level) for f in findings), default=-1)


def test_a_burst_in_one_district_is_one_finding_there() -> None:
    nodes = day(bottom(20, {("d2", "HEAT"): 90}), bottom(20))
    (one,) = found(nodes)
    assert (one.kind, one.area, one.category) == ("SPIKE", "d2", "HEAT")
    assert (one.observed, one.expected) == (90, 20)
    assert one.day == one.onset == one.peak == DAY
    assert [p.district for p in one.districts] == ["d2"]
    size = 1 / 0.02
    reference = stats.nbinom(size, size / (size + 20))
    assert one.p_value == pytest.approx(reference.sf(89), rel=1e-6)
    assert (one.lower, one.upper) == tuple(reference.ppf([0.05, 0.95]))


def test_a_storm_over_many_districts_is_one_finding_of_the_city_with_its_districts_by_excess() -> None:
    change = {("d1", "WATER"): 50.0, ("d3", "WATER"): 90.0, ("d4", "WATER"): 70.0, ("d5", "WATER"): 45.0}
    (one,) = found(day(bottom(20, change), bottom(20)))
    assert (one.area, one.category) == (ALL, "WATER")
    assert [(p.district, p.observed, p.expected) for p in one.districts] == [("d3", 90, 20), ("d4", 70, 20), ("d1", 50, 20), ("d5", 45, 20)]
    assert one.observed == 50 + 90 + 70 + 45 + 2 * 20
    assert one.level == "red"


def test_two_events_are_two_findings() -> None:
    nodes = day(bottom(20, {("d2", "HEAT"): 90, ("d4", "NOISE"): 80}), bottom(20))
    assert set(where(found(nodes))) == {("d2", "HEAT"), ("d4", "NOISE")}


def test_a_rise_too_small_for_any_category_is_found_in_the_district_s_total() -> None:
    nodes = day(bottom(20, {("d5", c): 28.0 for c in CATEGORIES}), bottom(20))
    assert where(found(nodes)) == [("d5", ALL)]


def test_a_day_as_forecast_or_below_has_no_finding() -> None:
    assert found(day(bottom(20), bottom(20))) == []
    assert found(day(bottom(0), bottom(20))) == []
    assert found(day(bottom(20), bottom(20)).iloc[:0]) == []


def test_fewer_than_eight_too_many_are_no_case_however_improbable() -> None:
    assert found(day(bottom(0.01, {("d2", "HEAT"): 7.0}), bottom(0.01))) == []
    assert where(found(day(bottom(0.01, {("d2", "HEAT"): 9.0}), bottom(0.01)))) == [("d2", "HEAT")]


def test_a_category_of_safety_is_red_in_one_district_and_so_is_one_below_it() -> None:
    nodes = day(bottom(20, {("d2", "FIRE"): 90}), bottom(20))
    assert [f.level for f in found(nodes)] == ["orange"]
    assert [f.level for f in found(nodes, ("FIRE",))] == ["red"]
    assert [f.level for f in found(nodes, ("ORDER",))] == ["red"]
    assert [f.level for f in found(nodes, ("HEAT",))] == ["orange"]


def test_a_tighter_budget_finds_less() -> None:
    nodes = day(bottom(20, {("d2", "HEAT"): 45}), bottom(20))
    assert len(found(nodes, budget=1.5)) == 1
    assert found(nodes, budget=1e-4) == []


@settings(max_examples=60, deadline=None)
@given(
    excess=st.integers(0, 200),
    more=st.integers(0, 200),
    series=st.sampled_from(list(SERIES.itertuples(index=False, name=None))),
    safety=st.booleans(),
)
def test_more_excess_of_a_series_never_lowers_the_level(excess: int, more: int, series: tuple[str, str], safety: bool) -> None:
    codes = (series[1],) if safety else ()
    before = found(day(bottom(12, {series: 12.0 + excess}), bottom(12)), codes)
    after = found(day(bottom(12, {series: 12.0 + excess + more}), bottom(12)), codes)
    assert highest(after) >= highest(before)


@settings(max_examples=60, deadline=None)
@example(excess=[34, 0, 0, 0, 0, 0], more=[0, 12, 12, 12, 0, 0], grows=False, safety=True)
@given(
    excess=st.lists(st.integers(0, 40), min_size=6, max_size=6),
    more=st.lists(st.integers(0, 40), min_size=6, max_size=6),
    grows=st.booleans(),
    safety=st.booleans(),
)
def test_a_burst_that_becomes_a_storm_is_never_of_a_lower_level(excess: list[int], more: list[int], grows: bool, safety: bool) -> None:
    """Grown as a whole, or by further districts joining the one that had a burst."""
    start = np.array(excess if grows else [max(excess), 0, 0, 0, 0, 0])
    end = start * 2 if grows else start + np.array([0, *more[1:]])
    codes = ("FIRE",) if safety else ()
    before, after = (
        found(day(bottom(12, {(d, "FIRE"): 12.0 + x for d, x in zip(DISTRICTS, change, strict=True)}), bottom(12)), codes) for change in (start, end)
    )
    assert highest(after) >= highest(before)


@pytest.mark.parametrize(("level", "dispersion"), [(60.0, 0.05), (8.0, 0.02), (0.4, 0.3)])
@pytest.mark.parametrize("budget", [0.2, 1.5])
def test_quiet_days_give_no_more_findings_than_the_budget(level: float, dispersion: float, budget: float) -> None:
    """Days drawn from the forecast's own distribution."""
    rng = np.random.default_rng(11)
    days = 300
    mean = bottom(level) * rng.uniform(0.3, 3, len(SERIES))
    draws = rng.poisson(rng.gamma(1 / dispersion, mean * dispersion, (days, len(SERIES))))
    number_found = sum(len(found(day(draw.astype(float), mean, dispersion), budget=budget)) for draw in draws)
    assert number_found <= days * budget + 3 * np.sqrt(days * budget)


def test_the_budget_is_used_where_excesses_are_large_enough_to_matter() -> None:
    """With large counts no other gate is in the way: a detector that never speaks would pass the test above."""
    rng = np.random.default_rng(5)
    mean = bottom(400)
    draws = rng.poisson(rng.gamma(1 / 0.05, mean * 0.05, (300, len(SERIES))))
    assert sum(len(found(day(draw.astype(float), mean, 0.05), budget=1.5)) for draw in draws) > 30


def test_reasons_hold_the_numbers_the_names_and_the_day_in_both_languages() -> None:
    nodes = day(bottom(20, {("d2", "HEAT"): 90}), bottom(20))
    (one,) = found(nodes)
    for text in (one.reason_zh, one.reason_en):
        for part in ("90", "20", "2025-11-15", number(one.lower), number(one.upper), "4.5"):
            assert part in text
        assert "\n" not in text
    assert "朝阳区" in one.reason_zh
    assert "供热采暖" in one.reason_zh
    assert "Chaoyang" in one.reason_en
    assert "Heating" in one.reason_en


def test_the_reason_of_a_city_event_names_the_districts_that_carry_the_most() -> None:
    change = {(d, "HEAT"): 40.0 + 10 * i for i, d in enumerate(DISTRICTS)}
    (one,) = found(day(bottom(20, change), bottom(20)))
    assert "全市" in one.reason_zh
    assert "d6(90 件,平常 20)、d5(80 件,平常 20)、d4(70 件,平常 20)等 6 个区" in one.reason_zh
    assert "the whole city" in one.reason_en
    assert "d6 (90 where 20 are usual), d5 (80 where 20 are usual), d4 (70 where 20 are usual) and 3 more districts" in one.reason_en


def test_what_other_findings_tell_is_taken_off_and_said() -> None:
    change = {("d2", "HEAT"): 120.0} | {("d2", c): 28.5 for c in CATEGORIES if c != "HEAT"}
    findings = found(day(bottom(20, change), bottom(20), 0.001), budget=0.25)
    assert where(findings) == [("d2", "HEAT"), ("d2", ALL)]
    total = findings[1]
    assert total.observed == 120 + 3 * 28.5
    assert total.expected == 80
    assert "其中约 100 件已由其他预警说明" in total.reason_zh
    assert "about 100 of them are told by other alerts" in total.reason_en


@pytest.mark.parametrize(("x", "text"), [(0, "0"), (0.04, "0"), (0.26, "0.3"), (3, "3"), (9.94, "9.9"), (9.96, "10"), (1234.6, "1,235")])
def test_numbers_are_written_as_people_read_them(x: float, text: str) -> None:
    assert number(x) == text


def test_a_code_without_a_label_stands_for_itself() -> None:
    assert Labels().of("area", "d9", "zh") == "d9"
    assert Labels().of("category", ALL, "en") == "all categories"


def test_missing_nodes_do_not_disturb_the_others() -> None:
    nodes = day(bottom(20, {("d2", "HEAT"): 90}), bottom(20))
    partly = nodes[~((nodes["area"] == ALL) | (nodes["area"] == "d6"))].reset_index(drop=True)
    assert where(found(partly)) == [("d2", "HEAT")]
    assert len(CITY.nodes) > len(partly)
