"""Explanations: what is planted in a city comes back as a part, and the parts of every forecast add up to it."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
import small_cities
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting import calendars, explanation, panel, training
from forecasting.detection.explain import Labels
from forecasting.drivers import from_frame
from forecasting.explanation import NAMES, PARTS, logarithmic_mean, parts, sentences
from forecasting.forecast_set import ForecastSet
from forecasting.hierarchy import ALL, Tree
from forecasting.models.base import Known
from forecasting.models.baselines import UsualWeeks
from forecasting.models.boosting import Boosting
from forecasting.models.loglinear import FittedLoglinear, Loglinear

HORIZON = 14
DAYS = 800
START = pd.Timestamp("2022-01-03")  # a Monday
DATES = pd.date_range(START, periods=DAYS + HORIZON)


def city(mean: np.ndarray, country: str = "none", drivers: pd.DataFrame | None = None, noise: bool = False, days: int = DAYS) -> Known:
    """One district with one category whose counts are these means [T], rounded, or Poisson around them."""
    counts = np.random.default_rng(0).poisson(mean[:days]) if noise else np.round(mean[:days])
    frame = pd.DataFrame({"district": "d1", "category": "x", "date": DATES[:days], "count": counts})
    return Known(panel.from_counts(frame), Tree(), Tree(), from_frame(drivers) if drivers is not None else None, country)


def told(known: Known, mean: np.ndarray | float, fitted: FittedLoglinear | None = None, node: int = 0) -> dict[str, np.ndarray]:
    """Parts [H] of a node by name, of forecasts that are `mean` at every node."""
    means = np.broadcast_to(np.asarray(mean, float), (len(known.hierarchy.nodes), HORIZON))
    return dict(zip(PARTS, parts(known, means, fitted)[node].T, strict=True))


def learn(known: Known) -> FittedLoglinear:
    fitted = Loglinear().fit(known, HORIZON, 0)
    assert isinstance(fitted, FittedLoglinear)
    return fitted


def rainy(coming: float) -> tuple[Known, np.ndarray]:
    """A city in which rain of 20 mm doubles the tickets, with a forecast of rain for the fourth day ahead; and its means."""
    rng = np.random.default_rng(3)
    fallen = np.where(rng.random(DAYS + HORIZON) < 0.25, rng.gamma(0.8, 15.0, DAYS + HORIZON), 0.0).round(1)
    fallen[DAYS:] = 0.0
    fallen[DAYS + 3] = coming
    mean = 400 * (1 + fallen / 20)
    issued = np.where(np.arange(DAYS + HORIZON) < DAYS, pd.NaT, DATES[DAYS - 1])
    rows = pd.DataFrame({"name": "rain", "date": DATES, "value": fallen, "issued_at": pd.to_datetime(issued)})
    return city(mean, drivers=rows, noise=True), mean


def test_the_parts_of_every_forecast_add_up_to_it_after_they_were_kept() -> None:
    """Holidays, weather, two levels of categories: forecast as in a night, written and read."""
    days = 210
    known = small_cities.known(small_cities.counts(days), "CN", small_cities.weather(days))
    known = replace(known, categories=Tree({"HEAT": "PUBLIC", "NOISE": "PUBLIC", "PUBLIC": ALL}))
    champion = training.assemble(training.backtest_members(known, (UsualWeeks(), Loglinear()), HORIZON, 2, 0))
    read = ForecastSet.from_parquet(champion.forecast(explained=True).to_parquet()).frame
    got = explanation.with_parts(read)
    assert len(got) == len(known.hierarchy.nodes) * HORIZON
    np.testing.assert_allclose(got[list(NAMES)].sum(axis=1), champion.means.ravel(), rtol=1e-9)
    assert np.isfinite(got[list(NAMES)].to_numpy()).all()
    assert got["rest"].abs().sum() < 0.1 * got["mean"].sum(), "most of it is told by the parts"
    regression = champion.backtested.fitted[1]
    assert isinstance(regression, FittedLoglinear)
    exact = parts(known, champion.means, regression)
    np.testing.assert_allclose(got[list(PARTS)].to_numpy(), exact.reshape(-1, len(PARTS)), rtol=1e-3, atol=1e-6)
    assert np.ptp(got["weather"]) > 0
    assert np.ptp(got["holiday"]) > 0
    pd.testing.assert_frame_equal(champion.forecast().frame, read.drop(columns=list(explanation.COLUMNS)))


@pytest.fixture(scope="module")
def tiny() -> training.Champion:
    """A champion of two members, each with its own mind, over series of a ticket every few days, through a long holiday."""
    known = small_cities.known(
        small_cities.counts(230, ("d1", "d2", "d3", "d4"), ("HEAT", "NOISE", "ROAD"), level=1.5), "CN", small_cities.weather(230)
    )
    return training.assemble(training.backtest_members(known, (UsualWeeks(), Loglinear(), Boosting(rows=20_000, trees=60)), 28, 2, 0))


def test_a_day_of_rain_owes_its_rise_to_the_weather_and_the_same_day_without_does_not() -> None:
    wet, mean = rainy(60.0)
    dry, usual = rainy(0.0)
    level = wet.panel.counts[0, -364:].mean()
    got = told(wet, mean[DAYS:], learn(wet))
    none = told(dry, usual[DAYS:], learn(dry))
    assert got["weather"][3] > 0.7 * (mean[DAYS + 3] - level)
    assert none["weather"][3] < 0, "less rain than on a usual day"
    rest = mean[DAYS:] - sum(got.values())
    assert abs(rest[3]) < 0.2 * mean[DAYS + 3]
    for part in ("weekday", "season", "holiday"):
        assert abs(got[part][3]) < 0.1 * got["weather"][3]


def test_a_season_adds_what_the_day_has_more_than_the_year() -> None:
    season = 1 + 0.6 * np.sin(2 * np.pi * DATES.day_of_year.to_numpy() / 365.25)
    known = city(1000 * season, noise=True)  # ends in the middle of March, near the top
    mean = 1000 * season[DAYS:]
    got = told(known, mean, learn(known))
    np.testing.assert_allclose(got["level"], 1000, rtol=0.02)
    np.testing.assert_allclose(got["season"], mean - 1000, rtol=0.15)


def test_a_holiday_takes_its_tickets() -> None:
    until = int((pd.Timestamp("2023-12-26") - START).days)
    free = (calendars.day_table(DATES[0].date(), DATES[-1].date(), "CN")["day_kind"] == "holiday").to_numpy()
    known = city(np.where(free, 200.0, 500.0), "CN", noise=True, days=until)
    got = told(known, np.where(free[until : until + HORIZON], 200.0, 500.0), learn(known))
    off = free[until : until + HORIZON]
    assert off.any()
    assert (got["holiday"][off] < 0.8 * (200 - got["level"][off])).all()
    assert (np.abs(got["weekday"][off]) < 1).all(), "what a holiday takes is not told of its weekday"
    assert (np.abs(got["holiday"][~off]) < 30).all()


def test_weekdays_of_a_city_without_the_log_linear_member_are_means_of_the_same_weekday() -> None:
    week = np.array([1.3, 1.1, 1.0, 1.0, 1.0, 0.8, 0.8])
    known = city(1000 * np.tile(week, 200)[: DAYS + HORIZON])
    mean = 1000 * week[(DAYS + np.arange(HORIZON)) % 7]
    got = told(known, mean)
    np.testing.assert_allclose(got["weekday"], mean - 1000, atol=2)
    for part in ("holiday", "season", "weather"):
        np.testing.assert_allclose(got[part], 0, atol=1e-9)


def plain(known: Known, mean: np.ndarray, weekdays: list[int]) -> list[dict[str, float]]:
    """The definition of the parts of a fortnight, one node and day and one count after the other, without the log-linear member."""
    counts = known.panel.counts[0][-364:]
    days = known.panel.days[-364:]
    there = [t for t in range(len(counts)) if not np.isnan(counts[t])]
    level = sum(counts[t] for t in there) / len(there)
    own = {}
    for kind in range(7):
        same = [t for t in there if days[t].day_of_week == kind]
        own[kind] = (sum(counts[t] for t in same) + 6) / (level * len(same) + 6)

    def change(first: int, last: int, usual: float) -> float:
        window = [t for t in there if len(counts) - first <= t < len(counts) - last]
        expected = sum(usual * level * own[days[t].day_of_week] for t in window)
        return float((sum(counts[t] for t in window) + 6) / (expected + 6))

    trend = change(91, 28, 1.0)
    news = change(28, 0, trend)
    lack = [np.log(m / level / trend / news / own[day]) for m, day in zip(mean, weekdays, strict=True)]
    members = sum(lack) / len(lack)
    out = []
    for m, day in zip(mean, weekdays, strict=True):
        same = [x - members for x, other in zip(lack, weekdays, strict=True) if other == day]
        size = (m - level) / np.log(m / level)
        weekday = np.log(own[day]) + sum(same) / (len(same) + 1)
        factors = {"trend": np.log(trend), "news": np.log(news), "weekday": weekday, "members": members}
        out.append({"level": float(level)} | {name: float(size * factor) for name, factor in factors.items()})
    return out


def test_the_parts_are_those_of_their_definition() -> None:
    rng = np.random.default_rng(4)
    counts = rng.poisson(30 + 20 * np.linspace(0, 1, 420) ** 3 + 5 * (np.arange(420) % 7 == 0)).astype(float)
    known = city(counts, days=420)
    holes = known.panel.counts.copy()
    holes[0, [5, 300, 410]] = np.nan
    known = replace(known, panel=replace(known.panel, counts=holes))
    mean = 64.0 + 3 * rng.normal(size=HORIZON)
    got = told(known, mean)
    for h, of_day in enumerate(plain(known, mean, DATES[420 : 420 + HORIZON].day_of_week.tolist())):
        for name, want in of_day.items():
            assert got[name][h] == pytest.approx(want, rel=1e-9), name


def test_what_other_members_see_has_a_name(tiny: training.Champion) -> None:
    """Small series, on whose level and pattern the members differ: nothing large is left to `rest`."""
    got = explanation.with_parts(tiny.forecast(explained=True).frame)
    large = got["rest"].abs() > 0.25 * got["mean"]
    assert large.mean() < 0.03
    assert got["rest"].abs().sum() < 0.05 * got["mean"].sum()
    assert got["members"].abs().sum() > got["rest"].abs().sum()


def test_a_forecast_that_has_another_level_than_the_factors_owes_it_to_the_members() -> None:
    known, mean = rainy(60.0)
    fitted = learn(known)
    one, more = (told(known, times * mean[DAYS:], fitted) for times in (1.0, 1.5))
    size = logarithmic_mean(1.5 * mean[DAYS:], one["level"])
    np.testing.assert_allclose(more["members"] / size, one["members"] / logarithmic_mean(mean[DAYS:], one["level"]) + np.log(1.5), atol=1e-9)


@pytest.mark.parametrize("strength", [0.5, 1.4])
def test_weather_is_told_as_strong_as_the_forecast_has_it(strength: float) -> None:
    known, mean = rainy(60.0)
    fitted = learn(known)
    calm = np.median(mean[DAYS:])
    got, usual = (told(known, calm * (mean[DAYS:] / calm) ** power, fitted) for power in (strength, 1.0))
    logs = [
        part["weather"] / logarithmic_mean(calm * (mean[DAYS:] / calm) ** power, part["level"]) for part, power in ((got, strength), (usual, 1.0))
    ]
    rise = [log[3] - np.delete(log, 3).mean() for log in logs]
    assert rise[0] / rise[1] == pytest.approx(strength, rel=0.15)


def test_days_made_by_other_members_are_compared_by_themselves() -> None:
    known, mean = rainy(60.0)
    fitted = learn(known)
    one = np.broadcast_to(mean[DAYS:], (len(known.hierarchy.nodes), HORIZON))
    two = np.where(np.arange(HORIZON) < 7, one, 2 * one)
    near, both = parts(known, one[:, :7], fitted), parts(known, two, fitted, near=7)
    np.testing.assert_allclose(both[:, :7], near, rtol=1e-9)
    members = PARTS.index("members")
    assert (both[:, 7:, members] > near[:, :, members].max() + 0.5 * mean[DAYS]).all()


@pytest.mark.parametrize(("since", "part", "other"), [(28, "news", "trend"), (91, "trend", "news")])
def test_a_level_that_has_moved_is_trend_or_recent_news(since: int, part: str, other: str) -> None:
    mean = np.full(DAYS, 200.0)
    mean[-since:] = 300.0
    got = told(city(mean), 300.0)
    level = (200 * (364 - since) + 300 * since) / 364
    assert got[part][0] == pytest.approx(300 - level, rel=0.3)
    assert abs(got[other][0]) < 0.35 * got[part][0]


def test_a_burst_is_no_news() -> None:
    mean = np.full(DAYS, 200.0)
    mean[-10:-7] = 4000.0
    got = told(city(mean), 200.0)
    assert got["level"][0] == pytest.approx(200, rel=0.01)
    assert abs(got["news"][0]) < 5


def test_zeros_have_no_parts_and_break_nothing() -> None:
    known = city(np.zeros(DAYS))
    for mean in (0.0, 0.5):
        got = told(known, mean)
        assert {name: list(set(values)) for name, values in got.items()} == {name: [mean if name == "members" else 0.0] for name in PARTS}
    got = told(city(np.full(DAYS, 3.0)), 0.0)
    assert got["level"][0] == 3.0
    assert got["members"][0] == -3.0
    assert all((got[name] == 0).all() for name in PARTS[1:-1])


def test_a_young_node_is_compared_with_its_own_days() -> None:
    frame = small_cities.counts(400, ("d1",), ("HEAT",), level=50)
    young = frame.tail(30).assign(category="NEW")
    known = small_cities.known(pd.concat([frame, young]))
    node = int(np.flatnonzero(known.hierarchy.nodes["category"] == "NEW")[0])
    own = known.counts[node, known.first[node] :]
    assert 25 <= len(own) <= 30
    assert told(known, 50.0, node=node)["level"][0] == pytest.approx(own.mean())
    assert told(known, 50.0, learn(known), node)["level"][0] == pytest.approx(own.mean())


@pytest.mark.parametrize("days", [1, 8, 30, 60])
def test_a_short_history_is_explained_all_the_same(days: int) -> None:
    known = small_cities.known(small_cities.counts(days, level=40))
    got = told(known, 40.0)
    assert got["level"][0] == pytest.approx(known.counts[0].mean(), rel=0.05)
    assert np.isfinite(np.stack(list(got.values()))).all()


def test_nothing_later_than_the_cutoff_is_known() -> None:
    frame, weather = small_cities.counts(300), small_cities.weather(300)
    cutoff = small_cities.START + pd.Timedelta(days=250)
    full = small_cities.known(frame, "CN", weather).at(cutoff)
    past = small_cities.known(frame[frame["date"] <= cutoff], "CN", weather[weather["issued_at"].fillna(weather["date"]) <= cutoff], cutoff)
    means = np.full((len(full.hierarchy.nodes), HORIZON), 20.0)
    np.testing.assert_allclose(parts(full, means, learn(full)), parts(past, means, learn(past)), rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_the_logarithmic_mean_lies_between_geometric_and_arithmetic(a: float, b: float) -> None:
    got = float(logarithmic_mean(np.array(a), np.array(b)))
    assert np.sqrt(a * b) * (1 - 1e-9) <= got <= (a + b) / 2 * (1 + 1e-9)
    assert float(logarithmic_mean(np.array(a), np.array(0.0))) == 0.0
    assert float(logarithmic_mean(np.array(a), np.array(a))) == pytest.approx(a)


def test_a_sentence_names_the_largest_parts_and_no_trifles() -> None:
    made = dict.fromkeys(NAMES, 0.0) | {"level": 830.0, "season": 320.0, "weather": 110.0, "weekday": -20.0, "news": 0.4, "rest": -0.4}
    labels = Labels({("area", "d1"): "海淀区", ("category", "HEAT"): "供热采暖"}, {("area", "d1"): "Haidian", ("category", "HEAT"): "Heating"})
    zh, en = sentences(labels, "d1", "HEAT", date(2026, 11, 18), 1240.0, made)
    assert en == "Heating in Haidian on Wednesday 2026-11-18: 1,240 tickets expected, 410 more than usual: season +320, weather +110."
    assert zh == "海淀区“供热采暖”2026-11-18(周三)预计 1,240 件,比平常多 410 件:季节 +320,天气 +110。"
    fewer = made | {"season": -320.0, "weather": 0.0}
    assert "340 fewer than usual: season −320, weekday −20." in sentences(labels, "d1", "HEAT", date(2026, 11, 18), 490.0, fewer)[1]


def test_a_set_of_before_the_members_were_told_has_them_in_the_rest(tiny: training.Champion) -> None:
    frame = tiny.forecast(explained=True).frame
    now, before = explanation.with_parts(frame), explanation.with_parts(frame.drop(columns="part_members"))
    assert (before["members"] == 0).all()
    np.testing.assert_allclose(before["rest"], now["rest"] + now["members"], atol=1e-6)
