"""Cold starts and breaks, planted in a part of the simulated city: how far off the champion is, and how soon it has recovered.

An error is the sum of absolute errors over the sum of counts (WAPE) of one node over the four weeks after the cutoff, unless said otherwise.
"""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from forecasting import city as simulated
from forecasting import excluded, panel, recipe, training
from forecasting.drivers import Drivers, from_frame
from forecasting.hierarchy import ALL, Tree
from forecasting.models.base import Known
from forecasting.recoding import CategoryMap

DISTRICTS = ("110101", "110105", "110108")
CATEGORIES = ("PROP", "PARK", "ELEV", "CONSUM", "NOISE_S", "HEAT", "ENV")
CUTOFF = pd.Timestamp("2025-05-31")  # two months after part of PROP has moved to ELEV and PARK; nothing else is odd about it
HORIZON = 28
RECIPE = recipe.from_mapping(
    {"windows": 2, "members": {"usual_weeks": None, "prophet": None, "loglinear": None, "boosting": {"rows": 12_000, "trees": 60, "threads": 1}}}
)

City = tuple[pd.DataFrame, Drivers]


@pytest.fixture(scope="module")
def city() -> City:
    made = simulated.simulate(0, 0.2, date(2023, 1, 1), date(2025, 7, 31))
    counts = made.counts[made.counts["district"].isin(DISTRICTS) & made.counts["category"].isin(CATEGORIES)]
    daily = counts.groupby(["district", "category", "date"], as_index=False)["count"].sum().assign(date=lambda f: pd.to_datetime(f["date"]))
    return daily, from_frame(made.drivers)


def known(counts: pd.DataFrame, weather: Drivers) -> Known:
    return Known(panel.from_counts(counts), Tree(), Tree(), weather, "CN")


def forecast(now: Known) -> pd.DataFrame:
    members = training.backtest_members(now, RECIPE.members, HORIZON, RECIPE.windows, 0)
    return training.assemble(members, None, RECIPE.shrink).forecast().frame


def error(frame: pd.DataFrame, counts: pd.DataFrame, area: str = ALL, category: str = ALL) -> float:
    """WAPE of a node against what came."""
    mine = frame[(frame["area"] == area) & (frame["category"] == category)].set_index("date")["mean"]
    came = counts[(counts["district"] == area) | (area == ALL)]
    came = came[(came["category"] == category) | (category == ALL)].groupby("date")["count"].sum().reindex(mine.index, fill_value=0)
    return float((mine - came).abs().sum() / came.sum())


def until(counts: pd.DataFrame, cutoff: pd.Timestamp = CUTOFF) -> pd.DataFrame:
    return counts[counts["date"] <= cutoff]


@pytest.fixture(scope="module")
def usual(city: City) -> pd.DataFrame:
    """The forecast of the city as it is."""
    counts, weather = city
    return forecast(known(until(counts), weather.until(CUTOFF)))


def changed(city: City, change: object) -> pd.DataFrame:
    counts, weather = city
    return forecast(known(until(change(counts)), weather.until(CUTOFF)))  # type: ignore[operator]


@pytest.mark.parametrize(("days", "most"), [(7, 2.0), (21, 1.6)])
def test_a_new_district_is_forecast_from_its_first_weeks(city: City, usual: pd.DataFrame, days: int, most: float) -> None:
    counts, _ = city
    new = (counts["district"] == "110105") & (counts["date"] <= CUTOFF - pd.Timedelta(days=days))
    got = error(changed(city, lambda c: c[~new]), counts, "110105")
    print(f"new district of {days} days: {got:.3f}, with its history {error(usual, counts, '110105'):.3f}")
    assert got < most * error(usual, counts, "110105")


@pytest.mark.parametrize(("days", "most"), [(7, 2.5), (21, 1.8)])
def test_a_new_category_is_forecast_from_its_first_weeks(city: City, usual: pd.DataFrame, days: int, most: float) -> None:
    counts, _ = city
    new = (counts["category"] == "NOISE_S") & (counts["date"] <= CUTOFF - pd.Timedelta(days=days))
    got = error(changed(city, lambda c: c[~new]), counts, ALL, "NOISE_S")
    print(f"new category of {days} days: {got:.3f}, with its history {error(usual, counts, ALL, 'NOISE_S'):.3f}")
    assert got < most * error(usual, counts, ALL, "NOISE_S")


def test_a_recoding_that_is_mapped_leaves_no_break(city: City, usual: pd.DataFrame) -> None:
    """30 % of PROP have been filed under ELEV and PARK since 1 April: three weeks later, with the map and without."""
    counts, weather = city
    cutoff = pd.Timestamp("2025-04-21")
    table = pd.DataFrame({"old": "PROP", "new": ["ELEV", "PARK"], "valid_from": pd.Timestamp("2025-04-01"), "share": 0.15})
    mapped = CategoryMap.of(table).known_by(cutoff).carry(until(counts, cutoff))
    with_map, without = (forecast(known(c, weather.until(cutoff))) for c in (mapped, until(counts, cutoff)))
    concerned = ("PROP", "ELEV", "PARK")
    got, plain = (np.mean([error(f, counts, ALL, c) for c in concerned]) for f in (with_map, without))
    print(f"recoded: {got:.3f} with the map, {plain:.3f} without")
    assert got < 0.18
    assert got < 0.85 * plain


def test_levels_that_have_shifted_are_forecast_two_weeks_later(city: City, usual: pd.DataFrame) -> None:
    """Three categories double; one of them has had incidents of its own in the weeks before, among which a shift is hard to tell."""
    counts, _ = city
    doubled = ("CONSUM", "ENV", "NOISE_S")

    def shift(c: pd.DataFrame) -> pd.DataFrame:
        later = c["category"].isin(doubled) & (c["date"] > CUTOFF - pd.Timedelta(days=14))
        return c.assign(count=c["count"].where(~later, c["count"] * 2))

    frame = changed(city, shift)
    got = {category: error(frame, shift(counts), ALL, category) for category in doubled}
    never = {category: error(usual, counts, ALL, category) for category in doubled}
    print(f"levels doubled two weeks ago: {got}, never: {never}, not followed: 0.5")
    assert np.mean(list(got.values())) < 0.22
    assert max(got.values()) < 0.3


def test_a_year_that_is_excluded_is_not_learnt(city: City, usual: pd.DataFrame) -> None:
    """All of 2024 three times as many, as in a pandemic."""
    counts, weather = city
    odd = counts["date"].dt.year == 2024
    wild = until(counts.assign(count=counts["count"].where(~odd, counts["count"] * 3)))
    now = known(wild, weather.until(CUTOFF))
    span = pd.DataFrame({"start": [pd.Timestamp("2024-01-01")], "end": [pd.Timestamp("2024-12-31")], "area": [ALL], "category": [ALL]})
    marked = replace(now, panel=excluded.without(now.panel, span, Tree(), Tree()))
    got, plain, never = error(forecast(marked), counts), error(forecast(now), counts), error(usual, counts)
    print(f"a threefold year: {got:.3f} excluded, {plain:.3f} learnt, {never:.3f} without it")
    assert got < 1.5 * never
    assert got < plain


def test_a_day_without_any_delivery_changes_next_to_nothing(city: City, usual: pd.DataFrame) -> None:
    silent = CUTOFF - pd.Timedelta(days=3)
    got = changed(city, lambda c: c[c["date"] != silent])
    apart = (got["mean"] - usual["mean"]).abs().sum() / usual["mean"].sum()
    print(f"a silent day moves the forecasts by {apart:.4f} of their sum")
    assert apart < 0.03


def test_a_series_that_has_ended_is_forecast_no_more(city: City, usual: pd.DataFrame) -> None:
    ended = 42

    def end(c: pd.DataFrame) -> pd.DataFrame:
        return c[~((c["district"] == "110108") & (c["category"] == "ENV") & (c["date"] > CUTOFF - pd.Timedelta(days=ended)))]

    there = changed(city, end).set_index(["area", "category"]).loc[("110108", "ENV"), "mean"].mean()
    before = usual.set_index(["area", "category"]).loc[("110108", "ENV"), "mean"].mean()
    print(f"a series that ended {ended} days ago: {there:.2f} a day of {before:.2f}")
    assert there < 0.1 * before
