"""Faults of the data are noted as such, no demand alert comes from them, and what people complain about is alerted all the same."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from forecasting.detection import data_faults, excess
from forecasting.detection.data_faults import Judged
from forecasting.detection.excess import Days
from forecasting.detection.explain import Labels
from forecasting.detection.finding import DATA, Finding
from forecasting.hierarchy import ALL, Hierarchy, Tree, build

DAY = date(2025, 6, 18)
LENGTH = 28
DISTRICTS = tuple(f"d{i}" for i in range(1, 7))
WEIGHTS = {"PROP": 30.0, "PARK": 24.0, "CONSUM": 40.0, "HEAT": 12.0, "WATER": 9.0, "FLOOD": 6.0, "HOUSE": 16.0, "GREEN": 6.0, "TRAF": 10.0,
           "POWER": 7.0, "ELEV": 6.0, "NOISE": 20.0}  # fmt: skip
GROUPS = {"PROP": "HOUSING", "HOUSE": "HOUSING", "ELEV": "HOUSING", "HEAT": "SUPPLY", "WATER": "SUPPLY", "POWER": "SUPPLY", "FLOOD": "SUPPLY"}
AREAS = Tree.flat(DISTRICTS)
KINDS = Tree({**{c: GROUPS.get(c, ALL) for c in WEIGHTS}, "HOUSING": ALL, "SUPPLY": ALL})
SERIES = pd.DataFrame([(d, c) for d in DISTRICTS for c in WEIGHTS], columns=["area", "category"])
CITY: Hierarchy = build(SERIES, AREAS, KINDS)
PAIRS = list(zip(CITY.nodes["area"], CITY.nodes["category"], strict=True))
SIZES = np.array([2.0, 1.5, 1.0, 1.0, 0.7, 0.5])
MEAN = np.outer(SIZES, list(WEIGHTS.values())).ravel()
SCATTER, SHARED = 0.01, 0.03  # dispersion of a series, and log standard deviation that all share
LABELS = Labels({("area", "d2"): "朝阳区", ("category", "PROP"): "物业管理"}, {("area", "d2"): "Chaoyang", ("category", "PROP"): "Property"})


def at(area: str, category: str) -> int:
    return PAIRS.index((area, category))


@dataclass(frozen=True)
class Town:
    """Four weeks of counts [N, D] drawn from their forecast, to be spoilt."""

    counts: np.ndarray

    @classmethod
    def quiet(cls, seed: int = 0, days: int = LENGTH) -> "Town":
        rng = np.random.default_rng(seed)
        rate = MEAN[:, None] * np.exp(rng.normal(0, SHARED, days))
        return cls(rng.poisson(rng.gamma(1 / SCATTER, rate * SCATTER)).astype(float))

    def times(self, factor: float, area: str = ALL, ago: int = 0, categories: tuple[str, ...] = tuple(WEIGHTS), seed: int = 5) -> "Town":
        """Some counts of one day thinned to, or multiplied by, a factor."""
        counts = self.counts.copy()
        rows = (SERIES["category"].isin(categories) & ((SERIES["area"] == area) | (area == ALL))).to_numpy()
        day = counts.shape[1] - 1 - ago
        drawn = counts[rows, day]
        whole = np.floor(factor) * drawn
        counts[rows, day] = whole + np.random.default_rng(seed).binomial(np.nan_to_num(drawn).astype(int), factor % 1.0)
        return Town(counts)

    def without(self, area: str = ALL, ago: int = 0) -> "Town":
        counts = self.counts.copy()
        counts[((SERIES["area"] == area) | (area == ALL)).to_numpy(), counts.shape[1] - 1 - ago] = np.nan
        return Town(counts)

    def recoded(self, days: int, area: str = ALL, share: float = 0.3) -> "Town":
        """From so many days ago on, a share of PROP is filed under ELEV and PARK."""
        counts, rng = self.counts.copy(), np.random.default_rng(9)
        for d in DISTRICTS if area == ALL else (area,):
            prop, elev, park = (at(d, c) for c in ("PROP", "ELEV", "PARK"))
            moved = rng.binomial(counts[prop, -days:].astype(int), share)
            half = rng.binomial(moved, 0.5)
            counts[prop, -days:] -= moved
            counts[elev, -days:] += half
            counts[park, -days:] += moved - half
        return Town(counts)

    def days(self) -> Days:
        mean = np.tile(MEAN[:, None], (1, self.counts.shape[1]))
        total, own = CITY.total(mean), CITY.total(mean + SCATTER * mean**2)
        return Days(PAIRS, CITY.total(self.counts), total, (own - total) / total**2 + SHARED**2)


def judged(town: Town) -> Judged:
    return data_faults.detect(DAY, town.days(), AREAS, KINDS, LABELS)


def demand(town: Town) -> list[tuple[str, str]]:
    """Where there are demand alerts after faults have been taken out."""
    return [(f.area, f.category) for f in excess.detect(DAY, judged(town).days, AREAS, KINDS, LABELS, budget=0.05)]


def raw(town: Town) -> list[tuple[str, str]]:
    """Where there would be, had they not."""
    return [(f.area, f.category) for f in excess.detect(DAY, town.days(), AREAS, KINDS, LABELS, budget=0.05)]


def noted(town: Town) -> list[Finding]:
    return judged(town).notes


def test_quiet_days_have_no_note_and_are_given_back_as_they_were() -> None:
    town = Town.quiet()
    assert noted(town) == []
    for one, other in zip(vars(judged(town).days).values(), vars(town.days()).values(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_notes_are_rare_where_nothing_is_wrong() -> None:
    longer = Town.quiet(3, 120)
    notes = [n for t in range(LENGTH, 120) for n in noted(Town(longer.counts[:, t - LENGTH : t]))]
    assert len(notes) <= 1, [n.reason_en for n in notes]


def test_a_district_without_counts_is_noted_once_and_the_city_is_judged_by_the_others() -> None:
    town = Town.quiet().without("d2")
    (note,) = noted(town)
    assert (note.kind, note.level, note.area, note.category, note.onset) == (DATA, "blue", "d2", ALL, DAY)
    assert (note.observed, note.expected) == (0, pytest.approx(1.5 * sum(WEIGHTS.values())))
    assert demand(town) == []
    days = judged(town).days
    others = [at(d, "PROP") for d in DISTRICTS if d != "d2"]
    assert days.observed[at(ALL, "PROP"), -1] == town.days().observed[others, -1].sum()
    assert days.mean[at(ALL, "PROP"), -1] == pytest.approx(town.days().mean[others, -1].sum())
    assert demand(town.times(4.0, "d3", categories=("WATER",)).times(4.0, "d4", categories=("WATER",)).times(5.0, "d1", categories=("WATER",))) == [
        (ALL, "WATER")
    ]


def test_a_district_of_zeros_is_missing_although_its_counts_are_there() -> None:
    town = Town.quiet().times(0.0, "d5")
    (note,) = noted(town)
    assert (note.area, note.observed) == ("d5", 0)
    assert np.isnan(judged(town).days.observed[at("d5", ALL), -1])


def test_a_city_without_counts_is_one_note_of_the_city() -> None:
    (note,) = noted(Town.quiet().without())
    assert (note.area, note.level, demand(Town.quiet().without())) == (ALL, "yellow", [])


def test_several_districts_without_counts_are_one_note_with_their_names() -> None:
    (note,) = noted(Town.quiet().without("d2").without("d3").without("d5"))
    assert (note.area, {p.district for p in note.districts}) == (ALL, {"d2", "d3", "d5"})
    assert "朝阳区" in note.reason_zh
    assert "Chaoyang" in note.reason_en


@pytest.mark.parametrize("share", [0.6, 0.75, 0.85])
def test_a_day_on_which_all_categories_are_fewer_alike_is_short(share: float) -> None:
    (note,) = noted(Town.quiet().times(share))
    assert (note.area, note.category, note.level, note.kind) == (ALL, ALL, "yellow", DATA)
    assert note.observed < note.expected


def test_a_district_far_below_in_all_categories_is_short_while_the_others_are_not() -> None:
    (note,) = noted(Town.quiet().times(0.4, "d4"))
    assert note.area == "d4"


def test_a_burst_on_a_short_day_is_alerted_by_what_was_to_be_expected_then() -> None:
    burst = Town.quiet().times(1.8, "d1", categories=("PROP",)).times(0.6)
    assert demand(burst) == [("d1", "PROP")]
    assert raw(burst) == [], "against the whole day's forecast it is none"


def test_what_was_lost_may_come_on_the_next_day() -> None:
    back = Town.quiet(1).times(0.7, ago=1).times(1.25)
    assert noted(back)[0].area == ALL
    assert demand(back) == []
    days = judged(back).days
    assert days.mean[at(ALL, ALL), -1] == pytest.approx(days.observed[at(ALL, ALL), -1], rel=0.03)


def test_no_more_comes_back_than_was_lost() -> None:
    for counts in (Town.quiet(1).times(0.8, ago=1).times(1.45), Town.quiet(1).times(1.45)):
        lost = MEAN.sum() - counts.days().observed[at(ALL, ALL), -2]
        more = judged(counts).days.mean[at(ALL, ALL), -1] - MEAN.sum()
        assert more <= max(lost, 0.0) + 0.06 * MEAN.sum()
        assert demand(counts), "the rest is demand"


def test_a_missing_district_may_come_back_with_twice_as_much() -> None:
    back = Town.quiet().without("d2", ago=1).times(1.9, "d2")
    assert demand(back) == []
    assert raw(back)


def test_a_burst_on_the_day_of_a_rebound_is_alerted() -> None:
    back = Town.quiet(1).times(0.7, ago=1).times(1.25).times(6.0, "d1", categories=("FLOOD",))
    assert ("d1", "FLOOD") in demand(back)


@pytest.mark.parametrize("area", [ALL, "d1", "d6"])
@pytest.mark.parametrize("factor", [2.0, 3.0, 1.7])
def test_what_is_delivered_twice_is_noted_and_nothing_is_taken_from_it(area: str, factor: float) -> None:
    town = Town.quiet().times(factor, area)
    (note,) = noted(town)
    assert (note.area, note.level) == (area, "yellow" if area == ALL else "blue")
    assert raw(town) or factor < 2.0
    assert demand(town) == []
    assert demand(Town(np.column_stack([town.counts, Town.quiet(8).counts[:, :2]])[:, -LENGTH:])) == [], "nor on the days after"


def test_a_doubled_district_does_not_raise_the_city() -> None:
    town = Town.quiet().times(3.0, "d1")
    days = judged(town).days
    others = [at(d, "NOISE") for d in DISTRICTS[1:]]
    assert days.observed[at(ALL, "NOISE"), -1] == town.days().observed[others, -1].sum()


STORM = {"FLOOD": 6.0, "HOUSE": 3.0, "GREEN": 4.0, "TRAF": 2.0, "POWER": 2.0}


def test_a_storm_is_no_fault() -> None:
    town = Town.quiet()
    for category, factor in STORM.items():
        town = town.times(factor, categories=(category,))
    assert noted(town) == []
    assert {(ALL, c) for c in ("FLOOD", "HOUSE", "GREEN")} <= set(demand(town))
    assert set(demand(town)) == set(raw(town))


def test_a_storm_on_a_short_day_is_alerted_too() -> None:
    town = Town.quiet()
    for category, factor in STORM.items():
        town = town.times(factor, categories=(category,))
    town = town.times(0.75)
    assert {(ALL, c) for c in ("FLOOD", "HOUSE", "GREEN")} <= set(demand(town))


@pytest.mark.parametrize("town", [
    Town.quiet().times(6.0, "d2", categories=("HEAT",)),
    Town.quiet().times(5.0, categories=("HEAT",)),
    Town.quiet().times(1.6, categories=("HEAT", "WATER", "POWER", "NOISE")),
    Town.quiet().times(3.0, "d6", categories=("CONSUM",)),
])  # fmt: skip
def test_bursts_heating_and_rises_of_several_categories_are_no_faults(town: Town) -> None:
    assert noted(town) == []
    assert demand(town) == raw(town) != []


@pytest.mark.parametrize("days", [1, 2, 3, 5, 8])
def test_no_demand_alert_comes_from_a_recoding_whenever_it_is_looked_at(days: int) -> None:
    town = Town.quiet(2).recoded(days)
    assert raw(town)
    assert demand(town) == []


@pytest.mark.parametrize("days", [12, 20, 27])
def test_a_recoding_is_held_until_what_is_usual_has_learnt_it(days: int) -> None:
    town = Town.quiet(2, 35).recoded(days)
    assert raw(town)
    assert demand(town) == []


def test_what_else_gains_from_the_same_day_on_is_told_with_it() -> None:
    """More than balances the loss: a recoding seldom comes alone."""
    town = Town.quiet(2).recoded(6)
    for ago in range(6):
        town = town.times(1.5, categories=("WATER",), ago=ago)
    (note,) = noted(town)
    assert note.category == "PROP"
    assert "WATER" in note.reason_en
    assert demand(town) == []


def test_a_recoding_is_noted_within_a_week_with_its_categories_share_and_onset() -> None:
    (note,) = noted(Town.quiet(2).recoded(6))
    assert (note.kind, note.area, note.category) == (DATA, ALL, "PROP")
    assert abs((note.onset - (DAY - timedelta(days=5))).days) <= 1
    assert note.since_observed == pytest.approx(0.7 * note.since_expected, rel=0.1)
    for text in (note.reason_zh, note.reason_en):
        for part in ("ELEV", "PARK", "%", f"{note.onset:%Y-%m-%d}"):
            assert part in text


def test_a_recoding_leaves_the_sums_nearly_as_they_were_and_agreeing() -> None:
    town = Town.quiet(2).recoded(6)
    before, after = town.days().mean, judged(town).days.mean
    np.testing.assert_allclose(after[at(ALL, ALL)], before[at(ALL, ALL)], rtol=0.02)
    np.testing.assert_allclose(after, CITY.total(after[: len(SERIES)]))
    assert after[at("d3", "PROP"), -1] == pytest.approx(0.7 * before[at("d3", "PROP"), -1], rel=0.1)


def test_a_burst_of_a_category_that_gains_by_a_recoding_is_alerted() -> None:
    town = Town.quiet(2).recoded(6).times(5.0, "d4", categories=("ELEV",))
    assert demand(town) == [("d4", "ELEV")]


def test_a_rise_of_one_category_without_a_loss_of_another_is_no_recoding() -> None:
    town = Town.quiet()
    for ago in range(4):
        town = town.times(1.5, categories=("ELEV",), ago=ago).times(1.15, categories=("PARK",), ago=ago)
    assert noted(town) == []
    assert demand(town) == raw(town) != []


def test_a_new_district_is_noted_on_its_first_day_and_raises_nothing() -> None:
    days = Town.quiet().days()
    new = [i for i, (area, _) in enumerate(PAIRS) if area == "d6"]
    observed, mean = days.observed.copy(), days.mean.copy()
    for i in new:
        up = at(ALL, PAIRS[i][1])
        mean[up] -= mean[i]
        observed[up, :-1] -= observed[i, :-1]
    mean[new], observed[new, :-1] = np.nan, 0.0
    got = data_faults.detect(DAY, Days(PAIRS, observed, mean, days.dispersion), AREAS, KINDS, LABELS)
    (note,) = got.notes
    assert (note.area, note.kind) == ("d6", DATA)
    assert excess.detect(DAY, got.days, AREAS, KINDS, LABELS, budget=0.05) == []
    np.testing.assert_allclose(got.days.observed[at(ALL, "PROP")], sum(days.observed[at(d, "PROP")] for d in DISTRICTS[:5]))


SPOILT = [
    Town.quiet().without("d2"),
    Town.quiet().times(0.7),
    Town.quiet(1).times(0.7, ago=1).times(1.25),
    Town.quiet().times(2.0, "d1"),
    Town.quiet().times(2.0, ago=3),
    Town.quiet(2).recoded(6),
]


@pytest.mark.parametrize("town", SPOILT)
def test_what_is_judged_does_not_change_what_it_was_given_and_judging_it_again_changes_little(town: Town) -> None:
    given = town.days()
    kept = Days(PAIRS, *(x.copy() for x in (given.observed, given.mean, given.dispersion)))
    once = data_faults.detect(DAY, given, AREAS, KINDS, LABELS)
    for one, other in zip((given.observed, given.mean), (kept.observed, kept.mean), strict=True):
        np.testing.assert_array_equal(one, other)
    again = data_faults.detect(DAY, once.days, AREAS, KINDS, LABELS)
    np.testing.assert_array_equal(np.isnan(again.days.observed), np.isnan(once.days.observed))
    np.testing.assert_allclose(again.days.mean, once.days.mean, rtol=0.05)


@pytest.mark.parametrize("town", SPOILT)
def test_a_day_is_judged_by_itself_and_the_days_before(town: Town) -> None:
    """Four weeks that end earlier are judged as if nothing came after them: what comes then changes no note of theirs."""
    worse = Town(np.column_stack([town.counts, 5.0 * town.counts[:, -2:]]))
    then = Town(worse.counts[:, :-2])
    assert noted(then) == noted(town)


def test_cities_without_sums_without_districts_and_without_anything_are_judged() -> None:
    days = Town.quiet().times(2.0, "d1").days()
    keep = [i for i, (area, category) in enumerate(PAIRS) if area != ALL and category in WEIGHTS]
    bottom = Days([PAIRS[i] for i in keep], days.observed[keep], days.mean[keep], days.dispersion[keep])
    assert [n.area for n in data_faults.detect(DAY, bottom, AREAS, KINDS, LABELS).notes] == ["d1"]
    short = Town.quiet().times(0.6).days()
    keep = [i for i, (area, _) in enumerate(PAIRS) if area == ALL]
    city = Days([PAIRS[i] for i in keep], short.observed[keep], short.mean[keep], short.dispersion[keep])
    assert [n.area for n in data_faults.detect(DAY, city, AREAS, KINDS, LABELS).notes] == [ALL]
    assert data_faults.detect(DAY, Days([], *(np.empty((0, LENGTH)),) * 3), AREAS, KINDS, LABELS).notes == []
    one = Days(PAIRS, *(x[:, -1:] for x in (short.observed, short.mean, short.dispersion)))
    assert [n.area for n in data_faults.detect(DAY, one, AREAS, KINDS, LABELS).notes] == [ALL]


def test_a_doubling_of_few_categories_cannot_be_told_from_demand() -> None:
    days = Town.quiet().times(2.0).days()
    keep = [i for i, (_, category) in enumerate(PAIRS) if category in ("PROP", "PARK")]
    few = Days([PAIRS[i] for i in keep], days.observed[keep], days.mean[keep], days.dispersion[keep])
    assert data_faults.detect(DAY, few, AREAS, KINDS, LABELS).notes == []


@pytest.mark.parametrize(("town", "zh", "en"), [
    (Town.quiet().without("d2"), "数据缺失", "missing"),
    (Town.quiet().times(0.7), "偏少", "fewer"),
    (Town.quiet(1).times(0.7, ago=1).times(1.25), "回升", "comes in"),
    (Town.quiet().times(2.0, "d2"), "重复报送", "twice"),
])  # fmt: skip
def test_the_reasons_hold_the_numbers_and_what_it_is_in_both_languages(town: Town, zh: str, en: str) -> None:
    note = noted(town)[0]
    assert zh in note.reason_zh
    assert en in note.reason_en
    for text in (note.reason_zh, note.reason_en):
        assert "2025-06-18" in text
        assert f"{note.observed:,.0f}" in text
        assert f"{note.expected:,.0f}" in text
