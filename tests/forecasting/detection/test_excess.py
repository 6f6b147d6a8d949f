"""More than was forecast, on a day or over some days: one finding for each event, none where all is as forecast."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
import quiet
import storms
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from storms import CATEGORIES, CITY, DISTRICTS, LENGTH, PAIRS, SERIES, bottom, days

from forecasting import distribution
from forecasting.detection import evidence, excess
from forecasting.detection.excess import Days
from forecasting.detection.explain import Labels, number
from forecasting.detection.finding import Finding
from forecasting.detection.levels import LEVELS
from forecasting.hierarchy import ALL, Tree

DAY = date(2025, 11, 15)
LABELS = Labels(
    {("area", "d2"): "朝阳区", ("area", "d3"): "海淀区", ("category", "HEAT"): "供热采暖"},
    {("area", "d2"): "Chaoyang", ("area", "d3"): "Haidian", ("category", "HEAT"): "Heating"},
)


def found(nodes: Days, safety: tuple[str, ...] = (), budget: float = 0.1) -> list[Finding]:
    return excess.detect(DAY, nodes, storms.AREAS, storms.KINDS, LABELS, frozenset(safety), budget)


def where(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(f.area, f.category) for f in findings]


def highest(findings: list[Finding]) -> int:
    return max((LEVELS.index(f.level) for f in findings), default=-1)


def lately(change: dict[tuple[str, str], list[float]], level: float = 20.0) -> np.ndarray:
    """[N, K] a level on the last days, with other counts for some series."""
    out = np.full((len(SERIES), max(len(counts) for counts in change.values())), level)
    for series, counts in change.items():
        out[storms.at(*series), -len(counts) :] = counts
    return out


def test_a_burst_in_one_district_is_one_finding_there() -> None:
    (one,) = found(days(bottom(20, {("d2", "HEAT"): 90}), bottom(20)))
    assert (one.kind, one.area, one.category) == ("SPIKE", "d2", "HEAT")
    assert (one.observed, one.expected) == (one.since_observed, one.since_expected) == (90, 20)
    assert one.day == one.onset == one.peak == DAY
    assert [p.district for p in one.districts] == ["d2"]
    size = 1 / 0.02
    reference = stats.nbinom(size, size / (size + 20))
    assert (one.lower, one.upper) == tuple(reference.ppf([0.05, 0.95]))
    assert 0 < one.p_value < 1e-6


def test_a_build_up_that_no_day_shows_is_found_with_its_onset_and_what_came_since() -> None:
    counts = [26.0, 29.0, 27.0, 30.0, 28.0, 29.0]
    nodes = days(lately({("d2", "HEAT"): counts}), bottom(20), 0.002)
    (one,) = found(nodes)
    node = storms.at("d2", "HEAT")
    assert distribution.tail(nodes.mean[node], nodes.dispersion[node], nodes.observed[node]).min() > 0.02
    assert (one.kind, one.area, one.category) == ("EMERGING", "d2", "HEAT")
    assert (one.onset, one.peak) == (DAY - timedelta(days=5), DAY - timedelta(days=2))
    assert (one.observed, one.expected) == (29, 20)
    assert (one.since_observed, one.since_expected) == (sum(counts), 6 * 20)


def test_a_few_tickets_where_hardly_any_are_usual_are_found() -> None:
    (one,) = found(days(bottom(0.3, {("d2", "HEAT"): 6.0}), bottom(0.3)))
    assert (one.kind, one.area, one.category, one.level) == ("SPIKE", "d2", "HEAT", "blue")


def test_a_storm_over_many_districts_is_one_finding_of_the_city_with_its_districts_by_excess() -> None:
    change = {("d1", "WATER"): 50.0, ("d3", "WATER"): 90.0, ("d4", "WATER"): 70.0, ("d5", "WATER"): 45.0}
    (one,) = found(days(bottom(20, change), bottom(20)))
    assert (one.area, one.category) == (ALL, "WATER")
    assert [(p.district, p.observed, p.expected) for p in one.districts] == [("d3", 90, 20), ("d4", 70, 20), ("d1", 50, 20), ("d5", 45, 20)]
    assert one.observed == 50 + 90 + 70 + 45 + 2 * 20
    assert one.level == "red"


def test_a_build_up_over_the_city_is_one_finding_and_stays_one_on_its_quieter_days() -> None:
    storm = {(d, "WATER"): [22.0 + 3 * k for k in range(6)] for d in DISTRICTS}
    (one,) = found(days(lately(storm), bottom(20), 0.005))
    assert (one.area, one.category, {p.district for p in one.districts}) == (ALL, "WATER", set(DISTRICTS))
    ebb = {series: [*counts, 21.0, 20.0] for series, counts in storm.items()}
    (one,) = found(days(lately(ebb), bottom(20), 0.005))
    assert (one.kind, one.area, one.category) == ("EMERGING", ALL, "WATER")


def test_two_events_are_two_findings() -> None:
    nodes = days(bottom(20, {("d2", "HEAT"): 90, ("d4", "NOISE"): 80}), bottom(20))
    assert set(where(found(nodes))) == {("d2", "HEAT"), ("d4", "NOISE")}


def test_a_rise_too_small_for_any_category_is_found_in_the_district_s_total() -> None:
    nodes = days(bottom(20, {("d5", c): 30.0 for c in CATEGORIES}), bottom(20), 0.001)
    assert where(found(nodes, budget=0.04)) == [("d5", ALL)]


def test_days_as_forecast_or_below_have_no_finding() -> None:
    assert found(days(bottom(20), bottom(20))) == []
    assert found(days(bottom(0), bottom(20))) == []
    assert found(Days([], *(np.empty((0, LENGTH)),) * 3)) == []


def test_a_node_without_a_count_on_the_day_has_no_finding_and_one_missing_before_hides_none() -> None:
    burst = {("d2", "HEAT"): [90.0, 80.0, 85.0]}
    counts = lately(burst)
    for gap, places in ((-1, []), (-2, [("d2", "HEAT")])):
        holes = counts.copy()
        holes[storms.at("d2", "HEAT"), gap] = np.nan
        assert where(found(days(holes, bottom(20)))) == places


def test_days_before_a_node_was_forecast_say_nothing() -> None:
    nodes = days(bottom(20, {("d2", "HEAT"): 90}), bottom(20))
    new = storms.at("d2", "HEAT")
    unknown = [x.copy() for x in (nodes.observed, nodes.mean, nodes.dispersion)]
    for x in unknown:
        x[new, :-2] = np.nan
    (one,) = found(Days(PAIRS, *unknown))
    assert (one.area, one.category, one.onset) == ("d2", "HEAT", DAY)


def test_only_the_last_three_weeks_count() -> None:
    nodes = days(lately({("d2", "HEAT"): [24.0] * 3 + [28.0] * 5}), bottom(20), 0.002)
    longer = Days(PAIRS, *(np.hstack([x[:, :9] * 5, x]) for x in (nodes.observed, nodes.mean, nodes.dispersion)))
    assert found(longer) == found(nodes)
    shorter = Days(PAIRS, *(x[:, -4:] for x in (nodes.observed, nodes.mean, nodes.dispersion)))
    assert [f.onset for f in found(shorter)] == [DAY - timedelta(days=3)]


def test_a_category_of_safety_is_red_in_one_district_and_so_is_one_below_it() -> None:
    nodes = days(bottom(20, {("d2", "FIRE"): 90}), bottom(20))
    assert [f.level for f in found(nodes)] == ["orange"]
    assert [f.level for f in found(nodes, ("FIRE",))] == ["red"]
    assert [f.level for f in found(nodes, ("ORDER",))] == ["red"]
    assert [f.level for f in found(nodes, ("HEAT",))] == ["orange"]


def test_what_lasts_is_red_in_one_district() -> None:
    assert [f.level for f in found(days(lately({("d2", "HEAT"): [45.0] * 3}), bottom(20)))] == ["orange"]
    assert [f.level for f in found(days(lately({("d2", "HEAT"): [45.0] * 5}), bottom(20)))] == ["red"]


def test_a_tighter_budget_finds_less() -> None:
    nodes = days(bottom(20, {("d2", "HEAT"): 45}), bottom(20))
    assert len(found(nodes)) == 1
    assert found(nodes, budget=1e-6) == []


every_series = st.sampled_from(list(SERIES.itertuples(index=False, name=None)))


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(st.integers(0, 40), min_size=7, max_size=7),
    on=st.integers(0, 6),
    more=st.integers(0, 200),
    series=every_series,
    safety=st.booleans(),
)
def test_more_excess_of_a_series_on_any_day_of_the_week_never_lowers_the_level(
    before: list[int], on: int, more: int, series: tuple[str, str], safety: bool
) -> None:
    codes = (series[1],) if safety else ()
    counts = [12.0 + x for x in before]
    after = [count + more * (k == on) for k, count in enumerate(counts)]
    one, other = (highest(found(days(lately({series: x}, 12.0), bottom(12)), codes)) for x in (counts, after))
    assert other >= one


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
        found(days(bottom(12, {(d, "FIRE"): 12.0 + x for d, x in zip(DISTRICTS, change, strict=True)}), bottom(12)), codes) for change in (start, end)
    )
    assert highest(after) >= highest(before)


def test_the_onset_is_where_the_likelihood_of_a_common_factor_is_greatest() -> None:
    """Against a search over factors and windows with the days' own likelihoods."""
    rng = np.random.default_rng(3)
    mean, scatter = rng.uniform(2, 30, (40, 21)), np.full((40, 21), 0.02)
    factor = np.where(np.arange(21) >= rng.integers(8, 21, 40)[:, None], rng.uniform(1.5, 4, 40)[:, None], 1.0)
    counts = rng.poisson(mean * factor).astype(float)
    factors = np.geomspace(1, 8, 60)[:, None, None]
    gain = distribution.log_likelihood(factors * mean, scatter, counts) - distribution.log_likelihood(mean, scatter, counts)
    ratio = np.cumsum(gain[:, :, ::-1], axis=2).max(axis=0)
    reference, got = 20 - ratio.argmax(axis=1), excess.onset(counts, mean, scatter)
    assert (got == reference).mean() >= 0.9
    row = np.arange(40)
    assert (ratio.max(axis=1) - ratio[row, 20 - got]).max() < 0.5, "where another day is chosen it is as likely"


@pytest.mark.parametrize(("districts", "categories", "groups"), [(10, 10, 4), (20, 25, 0)])
def test_quiet_days_begin_as_many_events_as_the_budget_says(districts: int, categories: int, groups: int) -> None:
    """100 and 500 series with their sums, drawn from the forecast's own distribution: neither more nor fewer."""
    begun, n = quiet.events_begun(quiet.city(districts, categories, groups, 20.0), days=150, budget=1.5)
    assert begun / n == pytest.approx(1.5, rel=0.3)


@pytest.mark.parametrize(("districts", "categories", "groups"), [(10, 10, 0), (20, 25, 4)])
def test_where_series_are_small_quiet_days_begin_hardly_more_events_than_the_budget_says(districts: int, categories: int, groups: int) -> None:
    """A ticket every other day: most of what chance brings there is of fewer than `levels.LEAST_EXCESS` tickets, and the others have its part."""
    begun, n = quiet.events_begun(quiet.city(districts, categories, groups, 0.5), days=150, budget=1.5)
    assert 0.3 * 1.5 < begun / n < 1.35 * 1.5


def test_what_small_series_cannot_use_of_the_budget_the_others_have() -> None:
    """Ninety series that never have five tickets too many, and ten large ones: these are judged as if they were alone."""
    large = np.where(np.arange(100) % 10 == 0, 50.0, 0.01)
    assert excess._each(0.1, np.where(large > 1, 1.0, 0.0)) == pytest.approx(0.1 / 10, rel=1e-6)
    assert excess._each(0.1, np.ones(100)) == pytest.approx(0.1 / 100, rel=1e-6)


def test_a_small_city_is_not_flooded_to_use_up_its_budget() -> None:
    begun, n = quiet.events_begun(quiet.city(3, 2, 0, 5.0), days=300, budget=1.5)
    assert begun / n < 6 * 1.3 * excess.MOST_A_YEAR / evidence.DAYS_A_YEAR


STRICTER, LAXER = evidence.DECADE, -evidence.DECADE / 2


@pytest.mark.parametrize(
    ("stricter", "expected"),
    [
        ({}, {"HEAT", "NOISE"}),
        ({"HEAT": STRICTER}, {"NOISE"}),
        ({"PUBLIC": STRICTER}, {"NOISE"}),
        ({ALL: STRICTER}, set()),
        ({"PUBLIC": STRICTER, "HEAT": 0.0}, {"HEAT", "NOISE"}),
        ({"WATER": STRICTER}, {"HEAT", "NOISE"}),
        ({"unheard of": STRICTER}, {"HEAT", "NOISE"}),
    ],
)
def test_what_is_asked_for_is_stricter_in_a_category_and_below_and_nowhere_else(stricter: dict[str, float], expected: set[str]) -> None:
    nodes = days(bottom(20, {("d2", "HEAT"): 42, ("d4", "NOISE"): 42}), bottom(20))
    findings = excess.detect(DAY, nodes, storms.AREAS, storms.KINDS, LABELS, budget=0.1, stricter=stricter)
    assert {f.category for f in findings} == expected


def test_where_categories_are_laxer_quiet_days_begin_no_more_events_than_without() -> None:
    """Half of them three times as lax: a quarter more events if nothing made up for it."""
    city = quiet.city(10, 12, 4, 20.0)
    usual, _ = quiet.events_begun(city, days=120, budget=1.5)
    laxer, _ = quiet.events_begun(city, days=120, budget=1.5, stricter={"g0": LAXER, "g1": LAXER})
    assert 0.8 * usual < laxer < 1.1 * usual


def test_where_all_are_stricter_a_tenth_is_left() -> None:
    begun, n = quiet.events_begun(quiet.city(10, 12, 0, 20.0), days=300, budget=1.5, stricter={ALL: STRICTER})
    assert begun / n == pytest.approx(0.15, rel=0.4)


@settings(max_examples=40, deadline=None)
@given(
    shift=st.dictionaries(st.sampled_from([ALL, "PUBLIC", "ORDER", *CATEGORIES]), st.floats(-5, 9), max_size=6),
    budget=st.sampled_from([0.05, 0.5]),
)
def test_whatever_is_said_of_categories_the_series_together_keep_their_rate(shift: dict[str, float], budget: float) -> None:
    """By the law that turns evidence into episodes: at the limit of each node, whichever of a series' own and its sums is the laxest."""
    busy = days(bottom(100), bottom(100))
    limits = dict(zip(PAIRS, excess._limits(busy, storms.AREAS, storms.KINDS, budget, shift), strict=True))
    usual = excess._limits(busy, storms.AREAS, storms.KINDS, budget, {})[0]
    laxest = [min(limits[d, c] for c in storms.KINDS.path(kind)) for d in DISTRICTS for kind in CATEGORIES]
    assert evidence.episodes_a_year(np.array(laxest)).mean() <= evidence.episodes_a_year(usual) * (1 + 1e-9)
    assert all(limits[d, c] == limits[ALL, c] for d in DISTRICTS for c in storms.KINDS.path("HEAT"))
    everywhere = excess._limits(busy, storms.AREAS, storms.KINDS, budget, {ALL: LAXER})
    np.testing.assert_allclose(everywhere, usual, err_msg="what is laxer everywhere is laxer nowhere")


def test_the_reasons_hold_the_numbers_the_names_and_the_day_in_both_languages() -> None:
    (one,) = found(days(bottom(20, {("d2", "HEAT"): 90}), bottom(20)))
    for text in (one.reason_zh, one.reason_en):
        for part in ("90", "20", "2025-11-15", number(one.lower), number(one.upper), "4.5"):
            assert part in text
        assert "\n" not in text
        assert "since" not in text
        assert "起共" not in text
    assert "朝阳区" in one.reason_zh
    assert "供热采暖" in one.reason_zh
    assert "Chaoyang" in one.reason_en
    assert "Heating" in one.reason_en


def test_the_reason_of_a_build_up_tells_what_came_since_the_onset_and_on_the_day() -> None:
    (one,) = found(days(lately({("d2", "HEAT"): [26.0, 29.0, 27.0, 30.0, 28.0, 29.0]}), bottom(20), 0.002))
    for text in (one.reason_zh, one.reason_en):
        for part in ("2025-11-10", "2025-11-15", "169", "120", "29", "20", "1.4", number(one.lower), number(one.upper)):
            assert part in text


def test_the_reason_of_a_burst_after_days_of_growth_tells_of_both() -> None:
    (one,) = found(days(lately({("d2", "HEAT"): [40.0, 45.0, 90.0]}), bottom(20)))
    assert (one.kind, one.onset) == ("SPIKE", DAY - timedelta(days=2))
    assert "自 2025-11-13 起共 175 件,预期 60 件" in one.reason_zh
    assert "since 2025-11-13 175 where 60 were expected" in one.reason_en


def test_the_reason_of_a_city_event_names_the_districts_that_carry_the_most() -> None:
    change = {(d, "HEAT"): 40.0 + 10 * i for i, d in enumerate(DISTRICTS)}
    (one,) = found(days(bottom(20, change), bottom(20)))
    assert "全市" in one.reason_zh
    assert "d6(90 件,平常 20)、d5(80 件,平常 20)、d4(70 件,平常 20)等 6 个区" in one.reason_zh
    assert "the whole city" in one.reason_en
    assert "d6 (90 where 20 are usual), d5 (80 where 20 are usual), d4 (70 where 20 are usual) and 3 more districts" in one.reason_en


def test_what_other_findings_tell_is_taken_off_and_said() -> None:
    change = {("d2", "HEAT"): 120.0, ("d2", "WATER"): 33.0, ("d2", "NOISE"): 29.0, ("d2", "FIRE"): 29.0}
    findings = found(days(bottom(20, change), bottom(20), 0.001), budget=0.12)
    assert where(findings) == [("d2", "HEAT"), ("d2", ALL)]
    total = findings[1]
    assert total.observed == 120 + 33 + 2 * 29
    assert total.expected == 80
    assert "其中约 100 件已由其他预警说明" in total.reason_zh
    assert "about 100 of them are told by other alerts" in total.reason_en


def test_a_street_s_burst_is_the_street_s_and_its_district_is_named() -> None:
    nodes = days(bottom(20, {("d2", "HEAT"): 90}), bottom(20))
    areas = Tree({"d1": "EAST", "d2": "EAST", "d3": "EAST", "EAST": ALL})
    bottom_rows = [i for i, (a, c) in enumerate(PAIRS) if c == "HEAT" and a in ("d1", "d2", "d3")]
    pairs = [PAIRS[i] for i in bottom_rows] + [("EAST", "HEAT"), (ALL, "HEAT")]
    arrays = [np.vstack([x[bottom_rows], *[x[bottom_rows].sum(axis=0)] * 2]) for x in (nodes.observed, nodes.mean)]
    (one,) = excess.detect(DAY, Days(pairs, *arrays, np.full(arrays[0].shape, 0.02)), areas, Tree(), LABELS, budget=0.1)
    assert (one.area, [p.district for p in one.districts]) == ("d2", ["EAST"])


@pytest.mark.parametrize(("x", "text"), [(0, "0"), (0.04, "0"), (0.26, "0.3"), (3, "3"), (9.94, "9.9"), (9.96, "10"), (1234.6, "1,235")])
def test_numbers_are_written_as_people_read_them(x: float, text: str) -> None:
    assert number(x) == text


def test_a_code_without_a_label_stands_for_itself() -> None:
    assert Labels().of("area", "d9", "zh") == "d9"
    assert Labels().of("category", ALL, "en") == "all categories"


def test_missing_nodes_do_not_disturb_the_others() -> None:
    nodes = days(bottom(20, {("d2", "HEAT"): 90}), bottom(20))
    keep = [i for i, (area, _) in enumerate(PAIRS) if area not in (ALL, "d6")]
    partly = replace(nodes, nodes=[PAIRS[i] for i in keep], observed=nodes.observed[keep], mean=nodes.mean[keep], dispersion=nodes.dispersion[keep])
    assert where(found(partly)) == [("d2", "HEAT")]
    assert len(CITY.nodes) > len(keep)
