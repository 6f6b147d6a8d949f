"""Planted incidents are those of the list, and the true rates differ in them alone."""

import numpy as np
import pandas as pd
import pytest
from city_truth import Truth

from forecasting.city import City
from forecasting.city.incidents import plan_incidents
from forecasting.city.places import CODES, DISTRICT_CODES, NEW_CODES

# How often a year, and in how many districts at least and at most.
EXPECTED = {
    "heating_pipe": (6, 1, 1),
    "water_main": (8, 1, 1),
    "power_cut": (5, 1, 1),
    "prepaid_closure": (6, 1, 3),
    "unpaid_wages": (5, 1, 1),
    "night_building": (6, 1, 1),
    "bus_route_change": (5, 1, 2),
    "waste_collection": (4, 1, 1),
    "telecom_failure": (2, 2, 5),
    "dust_or_smell": (2, 16, 16),
    "first_seen": (3, 1, 4),
}


def _districts(text: str) -> list[str]:
    return list(DISTRICT_CODES) if text == "ALL" else text.split(";")


@pytest.mark.parametrize("kind", EXPECTED)
def test_every_year_has_its_number_of_incidents(full: City, kind: str) -> None:
    number, fewest, most = EXPECTED[kind]
    mine = full.incidents[full.incidents.kind == kind]
    for year in (2023, 2024, 2025):
        assert (mine.onset.dt.year == year).sum() == number
    assert mine.districts.map(lambda text: fewest <= len(_districts(text)) <= most).all()


def test_incidents_keep_their_season(full: City) -> None:
    incidents = full.incidents
    assert set(incidents[incidents.kind == "heating_pipe"].onset.dt.month) <= {11, 12, 1, 2, 3}
    assert set(incidents[incidents.kind == "dust_or_smell"].onset.dt.month) <= {3, 4, 5}
    assert ((incidents.onset <= incidents.peak) & (incidents.peak <= incidents.end)).all()
    assert incidents.id.is_unique


def test_the_true_rates_differ_only_in_planted_incidents(full: City, truth: Truth) -> None:
    allowed = np.zeros(truth.quiet.shape, bool)
    for one in full.incidents[full.incidents.planted & (full.incidents.kind != "first_seen")].itertuples():
        days = (truth.days >= one.onset) & (truth.days <= one.end)
        for code in [one.category, *filter(None, one.also.split(";"))]:
            for district in _districts(one.districts):
                allowed[DISTRICT_CODES.index(district), CODES.index(code), days] = True
    assert (truth.raised[~allowed] == truth.quiet[~allowed]).all()
    assert (truth.raised[allowed] > truth.quiet[allowed]).all()


def test_at_its_peak_an_incident_has_its_multiplier(full: City, truth: Truth) -> None:
    ratio = truth.raised / truth.quiet
    for one in full.incidents[full.incidents.planted & full.incidents.multiplier.notna()].itertuples():
        if one.peak not in truth.days:
            continue
        cells = ratio[[DISTRICT_CODES.index(d) for d in _districts(one.districts)], CODES.index(one.category), truth.days.get_loc(one.peak)]
        assert (cells >= one.multiplier - 1e-9).all()
        assert np.median(cells) == pytest.approx(one.multiplier, rel=0.5)  # two may fall together


def test_a_shop_closing_builds_up_for_five_days(full: City) -> None:
    mine = full.incidents[full.incidents.kind == "prepaid_closure"]
    assert set((mine.peak - mine.onset).dt.days) == {5}
    assert set((mine.end - mine.peak).dt.days) == {6}


def test_the_policy_of_september_2025_is_felt_everywhere_and_fades(truth: Truth) -> None:
    ratio = (truth.raised / truth.quiet)[:, CODES.index("EBIKE")]
    assert np.allclose(ratio[:, truth.days.get_loc("2025-08-31")], 1)
    assert np.allclose(ratio[:, truth.days.get_loc("2025-09-01")], 2.5)
    assert np.allclose(ratio[:, truth.days.get_loc("2025-09-22")], 1 + 1.5 / np.e)


def test_new_kinds_of_complaint_grow_from_nothing(full: City) -> None:
    rates = full.truth_rates[full.truth_rates.category.isin(NEW_CODES)]
    assert (rates.rate_without_incidents == 0).all()
    one = full.incidents[(full.incidents.kind == "first_seen") & (full.incidents.onset.dt.year == 2024)].iloc[0]
    mine = rates[(rates.category == one.category) & (rates.district == _districts(one.districts)[0])].set_index("date").rate_with_incidents
    assert mine[one.onset] < 0.6
    assert mine[one.peak] == mine.max() > 7
    counted = full.counts[full.counts.category == one.category]
    assert counted.date.min() >= one.onset
    assert one.category in set(full.categories.code)


def test_storms_and_cold_waves_come_from_the_weather(full: City) -> None:
    drivers = full.drivers[full.drivers.issued_at.isna()]
    rain = drivers[drivers.name == "rain"].pivot_table(index="date", columns="district", values="value")
    temperature = drivers[drivers.name == "temperature"].set_index("date").value
    natural = full.incidents[~full.incidents.planted]
    for one in natural[natural.kind == "storm"].itertuples():
        assert all(rain.loc[one.onset : one.end, d].max() >= 25 for d in _districts(one.districts))
    waves = natural[natural.kind == "cold_wave"]
    assert len(waves) >= 3
    for one in waves.itertuples():
        assert temperature[one.onset - pd.Timedelta(days=2)] - temperature[one.onset] >= 5.99


def test_announced_events_are_known_before_they_happen(full: City) -> None:
    drivers = full.drivers[full.drivers.name == "bus_route_change"]
    changes = full.incidents[(full.incidents.kind == "bus_route_change") & (full.incidents.onset >= "2023-02-01")]
    assert len(changes) >= 13
    for one in changes.itertuples():
        for district in _districts(one.districts):
            mine = drivers[(drivers.district == district) & (drivers.date == one.onset)]
            assert (mine.value == 1).all()
            assert one.onset - mine.issued_at.min() >= pd.Timedelta(days=27)
            assert mine.issued_at.isna().sum() == 1
    policy = full.drivers[(full.drivers.name == "ebike_policy") & full.drivers.issued_at.isna()].set_index("date").value
    assert list(policy[policy == 1].index) == list(pd.date_range("2025-09-01", periods=21))


def test_a_year_has_the_same_incidents_whatever_years_are_planned() -> None:
    alone = plan_incidents(4, 2024, 2024)
    among = [one for one in plan_incidents(4, 2020, 2026) if one.onset.year == 2024]
    assert [(one.kind, one.onset, one.places) for one in alone] == [(one.kind, one.onset, one.places) for one in among]
