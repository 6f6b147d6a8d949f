"""Days lived through as if live, in a town whose means are known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import towns
from numpy.testing import assert_array_equal
from towns import CATEGORIES, DISTRICTS, PAIRS, SERIES, Town, at, quiet, raised, told

from forecasting.detection import events, excess, first_seen, ration, running, seasonal
from forecasting.detection.finding import FIRST_SEEN, SEASONAL
from forecasting.detection.levels import LEVELS
from forecasting.detection.replay import SCORES, Lived
from forecasting.hierarchy import ALL

DAY = 32  # on which something happens
BUDGET = 0.02  # at which a quiet town tells nothing: what is told is what happened


def day_of(town: Town, moment: pd.Timestamp) -> int:
    return int((moment.tz_localize(None).normalize() - town.days[0]).days)


def same(one: Lived, other: Lived) -> bool:
    return one.told == other.told and one.scores.equals(other.scores)


def test_a_burst_in_one_series_is_one_alert_there_at_the_end_of_its_day() -> None:
    town = quiet().on(DAY, "d2", "HEAT", {14: 80})
    ((moment, one),) = raised(town.live(BUDGET))
    assert (one.finding.area, one.finding.category, one.finding.kind) == ("d2", "HEAT", "SPIKE")
    assert moment == pd.Timestamp("2025-04-04 23:59:59", tz="Asia/Shanghai")
    assert one.finding.onset == one.finding.day == town.days[DAY].date()
    assert [part.district for part in one.finding.districts] == ["d2"]
    assert one.finding.observed == town.counts(DAY)[at("d2", "HEAT"), DAY]


def test_a_burst_in_all_districts_is_one_alert_of_the_city_with_its_districts() -> None:
    ((_, one),) = raised(quiet().on(DAY + 7, None, "WATER", {14: 30}).live(BUDGET))
    assert (one.finding.area, one.finding.category) == (ALL, "WATER")
    assert {part.district for part in one.finding.districts} == set(DISTRICTS)


def test_two_bursts_are_two_alerts_and_one_that_goes_on_is_one() -> None:
    town = quiet().on(DAY, "d1", "FIRE", {3: 50})
    for day in range(DAY, DAY + 6):
        town = town.on(day, "d3", "ROAD", {12: 60})
    got = raised(town.live(BUDGET))
    assert {(one.finding.area, one.finding.category) for _, one in got} == {("d1", "FIRE"), ("d3", "ROAD")}
    assert len(got) == 2


def test_a_build_up_that_no_single_day_shows_is_alerted_with_its_onset() -> None:
    town = quiet()
    for day in range(DAY, DAY + 7):
        town = town.on(day, "d1", "TRAF", {9: 9, 15: 9})
    ((moment, one),) = raised(town.live(BUDGET))
    assert (one.finding.area, one.finding.category) == ("d1", "TRAF")
    assert DAY < day_of(town, moment) < DAY + 7
    assert abs((pd.Timestamp(one.finding.onset) - town.days[DAY]).days) <= 2


def test_what_lasts_is_told_again_at_the_higher_level() -> None:
    town = quiet()
    for day in range(DAY, DAY + 7):  # five days of a week are lasting
        town = town.on(day, "d2", "HEAT", {9: 60})
    rows = [(moment, one) for moment, one in told(town.live(BUDGET)) if one.finding.category == "HEAT"]
    assert len({one.alert_id for _, one in rows}) == 1
    levels = [LEVELS.index(one.finding.level) for _, one in rows]
    assert levels == sorted(set(levels))
    assert len(levels) >= 2
    assert levels[-1] == LEVELS.index("red")
    moments = [moment for moment, _ in rows]
    assert moments == sorted(moments)


@pytest.fixture(scope="module")
def by_hour() -> Town:
    return quiet(35, 29, by_hour=True)


def test_by_the_hour_a_burst_at_nine_is_raised_by_noon(by_hour: Town) -> None:
    town = by_hour.on(DAY, "d2", "HEAT", {9: 30, 10: 30})
    ((moment, one),) = raised(town.live(BUDGET))
    assert (one.finding.area, one.finding.category) == ("d2", "HEAT")
    assert town.days[DAY] + pd.Timedelta(hours=10) <= moment.tz_localize(None) <= town.days[DAY] + pd.Timedelta(hours=12)
    assert (moment.minute, moment.second) == (0, 0)


@pytest.mark.parametrize("hour", [9, 20])
def test_by_the_hour_nothing_is_known_of_later_hours(by_hour: Town, hour: int) -> None:
    """Whatever comes later that day, and on later days, what was told until then is the same."""
    base = by_hour.on(DAY, "d2", "HEAT", {8: 30, 9: 30})
    other = base.on(DAY, None, None, {hour: 40}).on(DAY + 1, "d4", None, {3: 90})
    now = (base.days[DAY] + pd.Timedelta(hours=hour)).tz_localize("Asia/Shanghai")
    one, two = ([t for t in told(town.live(0.5)) if t[0] <= now] for town in (base, other))
    assert one == two
    assert hour < 10 or one


def test_by_the_hour_a_burst_that_is_over_by_evening_stays_one_alert(by_hour: Town) -> None:
    town = by_hour
    for day in (DAY, DAY + 1, DAY + 2):
        town = town.on(day, None, "WATER", {9: 20, 18: 20})
    ((_, one),) = raised(town.live(BUDGET))
    assert (one.finding.area, one.finding.category) == (ALL, "WATER")


@pytest.mark.parametrize("hourly", [False, True])
def test_a_district_that_does_not_come_is_a_note_on_the_data_and_no_alert(hourly: bool) -> None:
    town = quiet(35, 29, by_hour=hourly)
    town = town.without(DAY, "d3").without(DAY + 1, "d3")
    if hourly:
        town.hours[SERIES["area"] == "d3", DAY : DAY + 2] = 0
    lived = town.live(BUDGET)
    assert raised(lived) == []
    ((moment, note),) = raised(lived, data=True)
    assert (note.finding.area, day_of(town, moment)) == ("d3", DAY)
    scores = lived[DAY - town.first].scores.set_index(["district", "category"])
    assert np.isfinite(scores["score"]).all()
    assert scores.loc["d3", "observed"].isna().all()


def test_a_burst_while_another_district_is_missing_is_alerted() -> None:
    ((_, one),) = raised(quiet().without(DAY, "d3").on(DAY, "d2", "HEAT", {9: 80}).live(BUDGET))
    assert (one.finding.area, one.finding.category) == ("d2", "HEAT")


@pytest.mark.parametrize("district", [None, "d1"])
def test_a_file_delivered_twice_is_a_note_on_the_data_and_no_alert(district: str | None) -> None:
    town = quiet().twice(DAY, district)
    lived = town.live(BUDGET)
    assert raised(lived) == []
    notes = raised(lived, data=True)
    assert [(note.finding.area, day_of(town, moment)) for moment, note in notes] == [(district or ALL, DAY)]


@pytest.mark.parametrize("district", [None, "d1"])
@pytest.mark.parametrize("days", [1, 3])
def test_hours_of_files_delivered_twice_and_of_the_days_after_bring_no_alert(district: str | None, days: int) -> None:
    """Within the day as well: nobody waits for its end to see that every category comes twice."""
    town = quiet(by_hour=True)
    for day in range(DAY, DAY + days):
        town = town.twice(day, district)
    lived = town.live(BUDGET)
    assert raised(lived) == []
    assert {note.finding.area for _, note in raised(lived, data=True)} == {district or ALL}


def test_the_day_after_a_district_s_fault_the_others_and_the_city_are_watched_by_the_hour() -> None:
    town = quiet(by_hour=True).twice(DAY, "d1")
    burst = town.on(DAY + 1, "d2", "HEAT", {9: 60})
    ((moment, one),) = raised(burst.live(BUDGET))
    assert (one.finding.area, one.finding.category, moment.hour) == ("d2", "HEAT", 10)
    everywhere = town
    for other in ("d2", "d3", "d4"):
        everywhere = everywhere.on(DAY + 1, other, "WATER", {9: 60})
    ((moment, one),) = raised(everywhere.live(BUDGET))
    assert (one.finding.area, one.finding.category, moment.hour) == (ALL, "WATER", 10)


def test_what_never_was_seen_before_is_first_seen_where_it_is_and_then_followed_as_one_alert() -> None:
    new = at("d2", "FIRE")
    town = quiet(215, 205)
    town.hours[SERIES["category"] == "FIRE"] = 0
    town.hours[new, 210:213, 11] = (1, 2, 4)
    named = np.where(SERIES["category"] == "FIRE", 10_000, 0)
    named[new] = 210
    got = raised(town.live(BUDGET, named=named))
    ((moment, one),) = [(moment, one) for moment, one in got if one.finding.category == "FIRE"]
    assert (one.finding.kind, one.finding.area, day_of(town, moment)) == (FIRST_SEEN, "d2", 211)
    assert one.finding.onset == town.days[210].date()
    short = quiet(48, 38)
    short.hours[SERIES["category"] == "FIRE"] = 0
    short.hours[new, 40:43, 11] = (1, 2, 4)
    assert [one for _, one in raised(short.live(BUDGET, named=named)) if one.finding.kind == FIRST_SEEN] == []


def test_a_rise_that_the_forecast_sees_coming_is_seasonal_before_it_comes() -> None:
    town = quiet(75, 30)
    rise = np.where(np.arange(75) >= 60, 3.0, 1.0)
    heat = np.flatnonzero(SERIES["category"] == "HEAT")
    town.mean[heat] *= rise
    town.hours[heat] *= rise[None, :, None]
    got = [(moment, one) for moment, one in raised(town.live(BUDGET)) if one.finding.kind == SEASONAL]
    (moment, one), *_ = got
    assert (one.finding.area, one.finding.category) == (ALL, "HEAT")
    assert day_of(town, moment) < 60
    assert abs((pd.Timestamp(one.finding.peak) - town.days[60]).days) <= 14
    assert [one for _, one in raised(quiet().live(BUDGET)) if one.finding.kind == SEASONAL] == []


def test_quiet_days_bring_about_as_many_alerts_as_the_budget_and_a_smaller_one_fewer() -> None:
    numbers = {budget: len(raised(quiet(130, 30, seed=7).live(budget))) / 100 for budget in (0.05, 0.5)}
    assert 0.4 * 0.5 < numbers[0.5] < 1.6 * 0.5
    assert numbers[0.05] < 0.5 * numbers[0.5]


def test_looking_every_hour_keeps_the_budget() -> None:
    assert 0.2 * 0.5 < len(raised(quiet(60, 20, seed=3, by_hour=True).live(0.5))) / 40 < 1.8 * 0.5


def test_there_is_one_finite_score_for_every_node_of_the_newest_forecast_and_every_day() -> None:
    named = np.zeros(len(SERIES), int)
    named[at("d4", "WATER")] = 25  # known to the second forecast
    town = quiet().without(40, "d1")
    town.hours[at("d4", "WATER"), :25] = 0
    for day, lived in enumerate(town.live(named=named), town.first):
        want = set(PAIRS) - ({("d4", "WATER")} if day < town.first + town.refit else set())
        rows = lived.scores
        assert tuple(rows.columns) == SCORES
        assert set(zip(rows["district"], rows["category"], strict=True)) == want
        assert len(rows) == len(want)
        assert (rows["date"] == town.days[day]).all()
        assert np.isfinite(rows[["expected", "p_value", "score"]]).all(axis=None)
        assert ((rows["p_value"] > 0) & (rows["p_value"] <= 1)).all()
        assert (rows["expected"] >= 0).all()
        order = rows.sort_values("score")["p_value"].to_numpy()
        assert (np.diff(order) <= 0).all(), "more unusual is less probable"


def test_scores_hold_what_came_and_its_sums() -> None:
    lived = quiet().live()
    rows = lived[DAY - 20].scores.set_index(["district", "category"])["observed"]
    assert_array_equal(rows.loc[[PAIRS[i] for i in range(len(SERIES))]], quiet().counts(DAY)[:, DAY])
    assert rows[ALL, ALL] == quiet().counts(DAY)[:, DAY].sum()
    assert rows["d2", ALL] == rows.loc[[("d2", c) for c in CATEGORIES]].sum()


def test_more_tickets_never_have_a_lower_score_and_clearly_more_a_higher_one() -> None:
    got = []
    for more in (0, 6, 12, 24, 48, 96):
        lived = quiet(DAY + 1).on(DAY, "d2", "HEAT", {10: more}).live()
        got.append(lived[-1].scores.set_index(["district", "category"])["score"]["d2", "HEAT"])
    assert got == sorted(got)
    assert got[-3] < got[-2] < got[-1]
    assert got[0] + 1 < got[-3]


def test_equal_surprise_has_about_the_same_score_whatever_the_size_of_the_node() -> None:
    """The highest scores of quiet days, of small series and of sums."""
    scores = pd.concat(day.scores for day in quiet(80, 20, seed=2).live())
    of = scores.groupby([scores["district"] == ALL, scores["category"] == ALL])["score"]
    top = of.quantile(0.99)
    assert top.max() - top.min() < 4
    assert of.median().max() - of.median().min() < 2


@pytest.mark.parametrize("cut", [33, 34, 36])
def test_what_comes_later_changes_nothing_of_the_days_before(cut: int) -> None:
    """Cut off, or with another future."""
    town = quiet().on(DAY, "d2", "HEAT", {14: 80}).twice(25)
    whole = town.live()
    short = Town(town.hours[:, :cut], town.mean[:, :cut], town.first)
    assert all(same(one, other) for one, other in zip(whole[: cut - town.first], short.live(), strict=True))
    wild = town.hours.copy()
    wild[:, cut:] = wild[:, cut:] * 5 + 3
    other = replace(town, hours=wild).live()
    assert all(same(one, two) for one, two in zip(whole[: cut - town.first], other[: cut - town.first], strict=True))
    assert not same(whole[cut - town.first], other[cut - town.first])


def test_living_twice_is_the_same() -> None:
    town = quiet().on(DAY, "d2", "HEAT", {14: 80})
    assert all(same(one, other) for one, other in zip(town.live(), town.live(), strict=True))


def test_an_alert_goes_on_over_a_new_forecast() -> None:
    town = quiet()
    for day in range(30, 37):  # the second forecast is made on day 33
        town = town.on(day, "d2", "HEAT", {14: 80})
    ((_, one),) = raised(town.live(BUDGET))
    assert one.finding.area == "d2"


@pytest.mark.parametrize(
    ("zone", "date", "hour", "moment"),
    [
        ("Asia/Shanghai", "2025-03-30", 1, "2025-03-30 02:00:00+08:00"),
        ("Europe/Berlin", "2025-03-30", 9, "2025-03-30 10:00:00+02:00"),
        ("Europe/Berlin", "2025-03-30", 1, "2025-03-30 03:00:00+02:00"),
        ("Africa/Cairo", "2025-04-25", 9, "2025-04-25 10:00:00+03:00"),
    ],
    ids=["no shift", "clocks set on", "the hour that is left out", "a day without midnight"],
)
def test_moments_are_those_of_the_city_s_clock(zone: str, date: str, hour: int, moment: str) -> None:
    """Also on days on which clocks are shifted."""
    day = int((pd.Timestamp(date) - towns.BEGIN).days)
    town = quiet(day + 1, day - 3, by_hour=True).on(day, "d2", "HEAT", {hour: 80})
    ((when, _),) = [(when, one) for when, one in raised(town.live(BUDGET, zone)) if one.finding.day == town.days[day].date()]
    assert when == pd.Timestamp(moment)


@pytest.mark.parametrize("date", ["2025-03-30", "2025-04-25"])
def test_a_day_ends_by_the_city_s_clock_too(date: str) -> None:
    day = int((pd.Timestamp(date) - towns.BEGIN).days)
    zone = "Africa/Cairo" if date.endswith("04-25") else "Europe/Berlin"
    ((when, _),) = raised(quiet(day + 1, day - 3).on(day, "d2", "HEAT", {9: 80}).live(BUDGET, zone))
    assert f"{when:%Y-%m-%d %H:%M:%S}" == f"{date} 23:59:59"


def test_scores_are_the_same_whatever_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what benchmarks read of scores alone stays measured when only the telling of alerts has changed."""
    town = quiet()
    for day in range(DAY, DAY + 7):
        town = town.on(day, "d2", "HEAT", {9: 60})
    days = list(town.live(BUDGET))
    assert raised(days)
    monkeypatch.setattr(excess, "place", lambda *_: [])
    monkeypatch.setattr(events, "assign", lambda *_: [])
    monkeypatch.setattr(first_seen, "look", lambda *_: [])
    monkeypatch.setattr(ration, "told", lambda *_: [])
    monkeypatch.setattr(running, "carry", lambda *_: ([], [], []))
    monkeypatch.setattr(seasonal, "detect", lambda *_: [])
    silent = list(town.live(BUDGET))
    assert not raised(silent)
    assert all(one.scores.equals(other.scores) for one, other in zip(days, silent, strict=True))
