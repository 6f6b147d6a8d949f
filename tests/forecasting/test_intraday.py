"""Hours: profiles by category and kind of day, and hours that add up to their day."""

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting import hierarchy, intraday
from forecasting.hierarchy import ALL, Tree
from forecasting.intraday import FREE, HOURS, WORKING, Profiles

DAYS = pd.date_range("2025-01-06", periods=84)
WORKED = pd.Series(DAYS.day_of_week < 5, index=DAYS)
TREE = Tree({"HEAT": "UTILITY", "WATER": "UTILITY", "UTILITY": ALL, "NOISE": ALL})
LEAVES = ["HEAT", "NOISE", "WATER"]
OFFICE = np.where((np.arange(24) >= 8) & (np.arange(24) < 18), 1.0, 0.1) / 11.4
NIGHT = np.where(np.arange(24) >= 20, 1.0, 0.1) / 6.0
SHANGHAI, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")


def hourly(category: str, shape: np.ndarray, a_day: float, days: pd.DatetimeIndex = DAYS, seed: int = 0) -> pd.DataFrame:
    counts = np.random.default_rng(seed).poisson(a_day * shape, (len(days), 24))
    at = np.repeat(days.to_numpy(), 24)
    return pd.DataFrame({"category": category, "date": at, "hour": np.tile(np.arange(24), len(days)), "count": counts.ravel()})


def city(*parts: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True)


def learnt(*parts: pd.DataFrame) -> Profiles:
    made = intraday.learn(city(*parts), WORKED, LEAVES, TREE)
    assert made is not None
    return made


def share(made: Profiles, category: str, kind: int) -> np.ndarray:
    return np.asarray(made.shares[list(made.paths).index(category), kind])


def test_a_profile_is_that_of_its_category_and_kind_of_day() -> None:
    heat = city(hourly("HEAT", OFFICE, 9000, DAYS[WORKED]), hourly("HEAT", NIGHT, 9000, DAYS[~WORKED], seed=1))
    made = learnt(heat, hourly("NOISE", NIGHT, 9000, seed=2))
    np.testing.assert_allclose(share(made, "HEAT", WORKING), OFFICE, atol=0.005)
    np.testing.assert_allclose(share(made, "HEAT", FREE), NIGHT, atol=0.005)
    np.testing.assert_allclose(share(made, "NOISE", WORKING), NIGHT, atol=0.005)
    np.testing.assert_allclose(made.shares.sum(axis=-1), 1)
    assert (made.shares > 0).all()


def test_a_category_with_few_tickets_is_drawn_towards_the_one_above_it() -> None:
    few = pd.DataFrame({"category": "WATER", "date": DAYS[0], "hour": 3, "count": [5]})
    made = learnt(hourly("HEAT", OFFICE, 400), hourly("NOISE", NIGHT, 4000, seed=1), few)
    water = share(made, "WATER", WORKING)
    assert 5 / 55 < water[3] < 0.12, "five tickets beside the fifty that the profile above is worth"
    others = np.arange(24) != 3
    np.testing.assert_allclose(water[others] / water[others].sum(), OFFICE[others] / OFFICE[others].sum(), atol=0.01)


def test_a_category_without_tickets_has_the_profile_above_it() -> None:
    made = learnt(hourly("HEAT", OFFICE, 400), hourly("NOISE", NIGHT, 4000, seed=1))
    np.testing.assert_allclose(share(made, "WATER", FREE), OFFICE, atol=0.01)


def test_dates_alone_tell_no_hours() -> None:
    midnight = np.eye(24)[0]
    assert intraday.learn(hourly("HEAT", midnight, 400), WORKED, LEAVES, TREE) is None


def test_too_few_tickets_tell_no_hours() -> None:
    assert intraday.learn(hourly("HEAT", OFFICE, 0.5), WORKED, LEAVES, TREE) is None
    assert intraday.learn(hourly("HEAT", OFFICE, 400).iloc[:0], WORKED, LEAVES, TREE) is None
    assert intraday.learn(hourly("HEAT", OFFICE, 400, DAYS[WORKED]), WORKED, LEAVES, TREE) is None, "no free day was seen"


def test_days_and_categories_that_carry_dates_alone_teach_nothing() -> None:
    midnight, early = np.eye(24)[0], DAYS[:20]
    made = learnt(
        hourly("HEAT", midnight, 4000, early),  # the city began with dates alone
        hourly("HEAT", OFFICE, 400, DAYS[20:]),
        hourly("WATER", midnight, 100, DAYS[20:]),  # and this one stays so
    )
    np.testing.assert_allclose(share(made, "HEAT", WORKING), OFFICE, atol=0.01)
    np.testing.assert_allclose(share(made, "WATER", WORKING), OFFICE, atol=0.01)


def test_days_that_are_not_told_of_teach_nothing() -> None:
    more = hourly("HEAT", NIGHT, 4000, pd.date_range("2025-04-01", periods=30))
    known = hourly("HEAT", OFFICE, 400)
    np.testing.assert_array_equal(learnt(city(known, more)).shares, learnt(known).shares)


@pytest.mark.parametrize(
    ("day", "zone", "hour", "passes"),
    [("2025-03-09", NEW_YORK, 2, 0.0), ("2025-11-02", NEW_YORK, 1, 2.0), ("2025-04-06", ZoneInfo("Australia/Lord_Howe"), 1, 1.5)],
)
def test_on_the_day_of_a_shift_one_hour_is_longer_or_shorter(day: str, zone: ZoneInfo, hour: int, passes: float) -> None:
    want = np.ones(24)
    want[hour] = passes
    np.testing.assert_array_equal(intraday.lengths(pd.Timestamp(day), zone), want)
    np.testing.assert_array_equal(intraday.lengths(pd.Timestamp(day) + pd.Timedelta(days=1), zone), np.ones(24))


def test_clocks_that_are_shifted_neither_lose_tickets_nor_invent_an_hour() -> None:
    working = pd.Series([False, False, True], index=pd.DatetimeIndex(["2025-03-09", "2025-11-02", "2025-11-03"]))
    table = learnt(hourly("HEAT", OFFICE, 400)).of_days(working, NEW_YORK)
    spring, autumn, plain = (table[(table["category"] == "HEAT") & (table["date"] == day)][list(HOURS)].to_numpy(float)[0] for day in working.index)
    assert np.isnan(spring[2])
    assert np.isfinite(np.delete(spring, 2)).all()
    assert autumn[1] / autumn[10] == pytest.approx(2 * plain[1] / plain[10], rel=0.2)
    for row in (spring, autumn, plain):
        assert np.nansum(row) == pytest.approx(1)
    frame = pd.DataFrame({"area": ["a"] * 3, "category": ["HEAT"] * 3, "date": working.index, "mean": 100.0, "dispersion": 0.1})
    got = intraday.hours(frame, frame, table)
    assert list(got.groupby("date")["hour"].count()) == [23, 24, 24]
    assert 2 not in set(got.loc[got["date"] == working.index[0], "hour"])
    np.testing.assert_allclose(got.groupby("date")["mean"].sum(), 100)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0, 500), min_size=6, max_size=6), st.integers(0, 2**32 - 1))
def test_hours_add_up_to_their_day_and_over_both_trees(means: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(24, 0.5), (3, 2))
    profiles = Profiles({leaf: TREE.path(leaf) for leaf in LEAVES}, shares)
    days = pd.DatetimeIndex(["2025-04-04", "2025-04-05"])
    table = profiles.of_days(pd.Series([True, False], index=days), SHANGHAI)
    series = pd.DataFrame([(a, c) for a in ("d1", "d2") for c in LEAVES], columns=["area", "category"])
    built = hierarchy.build(series, Tree(), TREE)
    total = built.total(np.outer(means, [1.0, 0.5]))
    nodes = built.nodes.loc[np.repeat(np.arange(len(built.nodes)), 2), ["area", "category"]]
    frame = nodes.assign(date=np.tile(days, len(built.nodes)), mean=total.ravel(), dispersion=0.2).sample(frac=1, random_state=seed % 1000)
    got = intraday.hours(frame, frame, table)
    assert len(got) == 24 * len(frame)
    assert (got["mean"] >= 0).all()
    np.testing.assert_allclose(got["mean"].to_numpy().reshape(-1, 24).sum(axis=1), frame["mean"], atol=1e-6)
    by = got.pivot_table(index=["date", "hour"], columns=["area", "category"], values="mean")
    for category in [*LEAVES, "UTILITY", ALL]:
        np.testing.assert_allclose(by[("d1", category)] + by[("d2", category)], by[(ALL, category)], atol=1e-6)
    for area in ("d1", "d2", ALL):
        np.testing.assert_allclose(by[(area, "HEAT")] + by[(area, "WATER")], by[(area, "UTILITY")], atol=1e-6)
        np.testing.assert_allclose(by[(area, "UTILITY")] + by[(area, "NOISE")], by[(area, ALL)], atol=1e-6)


def test_hours_keep_the_order_of_what_was_asked_and_the_dispersion_of_the_day() -> None:
    table = learnt(hourly("HEAT", OFFICE, 400)).of_days(WORKED.iloc[:1], SHANGHAI)
    day = {"date": DAYS[0], "horizon": 1, "model": "blend"}
    frame = pd.DataFrame(
        [
            {"area": "b", "category": "HEAT", "mean": 5.0, "dispersion": 0.3} | day,
            {"area": "a", "category": "HEAT", "mean": 7.0, "dispersion": 0.1} | day,
        ]
    )
    late = frame.iloc[:1].assign(date=DAYS[50])  # a day without shares has no hours
    got = intraday.hours(pd.concat([frame, late]), frame, table)
    assert list(got["area"]) == ["b"] * 24 + ["a"] * 24
    assert list(got["hour"]) == list(range(24)) * 2
    assert list(got["dispersion"]) == [0.3] * 24 + [0.1] * 24
