"""The expected rates follow the specification of the simulated city."""

import numpy as np
import pandas as pd
import pytest
from city_truth import Truth

from forecasting.calendars import day_table
from forecasting.city import City
from forecasting.city.places import CATEGORIES, DISTRICTS, Category, shares
from forecasting.city.rates import growth, heating_curve


def test_the_six_central_districts_bring_nearly_six_tenths(truth: Truth) -> None:
    central = np.array([d.central for d in DISTRICTS])
    assert truth.quiet[central].sum() / truth.quiet.sum() == pytest.approx(0.59, abs=0.005)
    assert sum(d.population for d in DISTRICTS) == 21_893_095


@pytest.mark.parametrize("category", [c for c in CATEGORIES if c.code not in ("HEAT", "FLOOD")], ids=lambda c: c.code)
def test_a_category_brings_its_share(truth: Truth, category: Category) -> None:
    weight = category.weight / sum(c.weight for c in CATEGORIES)
    assert truth.city(category.code)["2023"].sum() / truth.total()["2023"].sum() == pytest.approx(weight, rel=0.06)


def test_twelve_thousand_tickets_a_day_in_the_base_year(truth: Truth) -> None:
    assert truth.total()["2023"].mean() == pytest.approx(12_000, rel=0.03)


def test_the_city_grows_as_reported(truth: Truth) -> None:
    years = truth.total().groupby(truth.days.year).mean()
    assert years[2024] / years[2023] == pytest.approx(1.129, abs=0.015)
    assert years[2025] / years[2024] == pytest.approx(1.033, abs=0.015)


def test_growth_is_smooth_and_goes_on_beyond_the_known_years() -> None:
    days = pd.date_range("2019-01-01", "2030-12-31")
    level = pd.Series(growth(days), days)
    years = level.groupby(days.year).mean()
    assert dict((years / years.shift())[[2024, 2025, 2026, 2030]].round(3)) == {2024: 1.129, 2025: 1.033, 2026: 1.02, 2030: 1.02}
    assert np.abs(np.diff(np.log(level))).max() < 0.001


def test_the_week_begins_high_and_ends_low(truth: Truth) -> None:
    week = truth.total().groupby(truth.days.day_of_week).mean() / truth.total().mean()
    assert week[0] == pytest.approx(1.08, abs=0.015)
    assert week[5] == pytest.approx(0.92, abs=0.015)
    assert week[6] == pytest.approx(0.91, abs=0.015)
    assert list(week[:5]) == sorted(week[:5], reverse=True)


def test_heating_complaints_follow_the_heating_season(truth: Truth) -> None:
    heat = truth.city("HEAT")
    month_day = heat.index.strftime("%m-%d")

    def mean(first: str, last: str) -> float:
        return float(heat[(month_day >= first) & (month_day <= last)].mean())

    assert mean("10-01", "10-10") == pytest.approx(55, rel=0.15)
    assert mean("11-07", "11-14") == pytest.approx(1600, rel=0.1)
    assert 1800 <= mean("11-15", "11-19") <= 2900
    assert mean("12-01", "12-31") == pytest.approx(1100, rel=0.1)
    assert mean("04-15", "09-30") < 60


def test_the_heating_curve_rises_from_the_trial_to_the_start_and_settles() -> None:
    days = pd.date_range("2024-11-06", "2025-03-31")
    curve = pd.Series(heating_curve(days, day_table(days[0].date(), days[-1].date())), days)
    assert curve["2024-11-06"] == pytest.approx(0.12)
    assert curve["2024-11-07"] == pytest.approx(2.0)
    assert curve["2024-11-14"] == pytest.approx(2.0 + 7 * 0.45)
    assert curve["2024-11-15"] == pytest.approx(6.0)
    assert curve["2024-11-24"] == pytest.approx(1.7 + 4.3 / np.e)
    assert curve["2025-03-18"] == pytest.approx(0.12 + 1.2 / np.e)


def test_heating_falls_by_a_tenth_a_year(truth: Truth) -> None:
    heat = truth.city("HEAT")
    assert heat["2025-10-01":"2025-10-09"].mean() / heat["2024-10-01":"2024-10-09"].mean() == pytest.approx(0.9, abs=0.04)


def test_a_cold_front_raises_heating_complaints(full: City, truth: Truth) -> None:
    drivers = full.drivers
    seen = drivers[(drivers.name == "temperature") & drivers.issued_at.isna()].set_index("date").value
    winter = seen.index[(seen.index.month == 12) | ((seen.index.month == 1) & (seen.index.year > 2023))]
    colder = (seen.shift(2) - seen)[winter]
    heat = np.log(truth.city("HEAT")[winter])
    assert np.corrcoef(colder, heat)[0, 1] > 0.3


@pytest.mark.parametrize(
    ("category", "day", "usual", "ratio"),
    [
        ("EDU", "2024-05-15", "2024-03-20", 2.1),
        ("EDU", "2024-08-26", "2024-03-18", 1.8),
        ("LABOR", "2025-01-15", "2024-11-20", 1.55),
        ("FIRE", "2025-01-28", "2025-01-08", 10 * 1.1 / 1.01),  # New Year's Eve, a holiday
        ("FIRE", "2025-02-12", "2025-02-19", 6.0),  # Lantern Festival
        ("TOUR", "2024-10-03", "2024-10-17", 2.2 / 0.98),
        ("CONSUM", "2024-11-13", "2024-11-20", 1.1),
        ("BUS", "2025-02-01", "2025-03-05", 0.72 * 0.6 / 1.01),  # the middle of the Spring Festival
        ("BUS", "2025-04-27", "2025-04-20", 1.01 / 0.75),  # a working Sunday against a free one
        ("BUS", "2025-04-29", "2025-04-22", 0.92),  # last working day but one before Labour Day
        ("BUS", "2025-05-06", "2025-05-13", 1.12),  # first one after
        ("HEAT", "2025-03-29", "2025-03-01", 0.12),
    ],
)
def test_a_special_day_stands_out_against_a_usual_one(truth: Truth, category: str, day: str, usual: str, ratio: float) -> None:
    rate = truth.city(category)
    tolerance = 0.5 if category == "HEAT" else 0.05
    assert rate[day] / rate[usual] == pytest.approx(ratio, rel=tolerance)


def test_noise_in_the_neighbourhood_belongs_to_summer_and_to_free_days(truth: Truth) -> None:
    noise = truth.city("NOISE_S")["2024"]
    month = noise.groupby(noise.index.month).mean()
    assert month[[6, 7]].mean() / month[[2, 11]].mean() == pytest.approx(1.45 * 0.96, abs=0.08)  # rain quietens a part of the summer
    week = noise.groupby(noise.index.day_of_week).mean()
    assert week[[5, 6]].mean() / week[:5].mean() == pytest.approx(1.2 / 1.01, abs=0.06)


def test_rain_brings_flooding_at_once_and_leaks_a_day_later(full: City, truth: Truth) -> None:
    drivers = full.drivers
    rain = drivers[(drivers.name == "rain") & drivers.issued_at.isna()].groupby("date").value.mean()
    summer = rain[(rain.index.month >= 6) & (rain.index.month <= 8)].index
    flood, house = truth.city("FLOOD")[summer], truth.city("HOUSE")[summer]
    assert np.corrcoef(rain[summer], flood)[0, 1] > 0.9
    assert np.corrcoef(rain.shift(1)[summer], house)[0, 1] > np.corrcoef(rain[summer], house)[0, 1]
    dry = summer[rain[summer] == 0]
    wettest = rain[summer].idxmax()
    assert flood[wettest] / flood[dry].median() > 4


def test_recoding_moves_three_tenths_of_property_management(truth: Truth) -> None:
    before, after = "2025-03-25", "2025-04-08"  # Tuesdays
    prop, elev, park = (truth.city(code) for code in ("PROP", "ELEV", "PARK"))
    assert prop[after] / prop[before] == pytest.approx(0.70, abs=0.01)
    moved = 0.3 / 0.7 * prop[after]
    assert elev[after] - elev[before] == pytest.approx(moved / 2, rel=0.03)
    assert park[after] - park[before] == pytest.approx(moved / 2, rel=0.03)


def test_shares_keep_both_margins_and_the_districts_tastes() -> None:
    table = shares(5)
    weights = np.array([c.weight for c in CATEGORIES])
    people = np.array([d.population * (1.43 if d.central else 1) for d in DISTRICTS])
    assert np.allclose(table.sum(axis=0), weights / weights.sum())
    assert np.allclose(table.sum(axis=1), people / people.sum())
    taste = np.log(table / np.outer(table.sum(axis=1), table.sum(axis=0)))
    assert 0.15 < taste.std() < 0.25
