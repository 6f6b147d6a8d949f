"""The city with streets is the city without them, told in more detail."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from forecasting.city import City, simulate
from forecasting.city.places import ALL_CODES, CODES, DISTRICT_CODES, DISTRICTS
from forecasting.city.streets import DISTRICT, STREET_CODES, STREETS, month_of_streets, shares

SPAN = (date(2025, 3, 10), date(2025, 5, 20))


@pytest.fixture(scope="module", params=[0.1, 0.4], ids=["all rows", "recent rows"])
def cities(request: pytest.FixtureRequest) -> tuple[City, City]:
    """The same city without streets and with them."""
    return simulate(3, request.param, *SPAN), simulate(3, request.param, *SPAN, streets=True)


def test_there_are_343_streets_spread_over_the_districts_by_population() -> None:
    assert (STREETS, len(set(STREET_CODES))) == (343, 343)
    number = pd.Series(DISTRICT).value_counts().sort_index().to_numpy()
    exact = np.array([d.population for d in DISTRICTS]) / sum(d.population for d in DISTRICTS) * 343
    assert (np.abs(number - exact) < 1).all()
    assert STREET_CODES[0] == "110101001"
    assert all(code[:6] == DISTRICT_CODES[district] for code, district in zip(STREET_CODES, DISTRICT, strict=True))


def test_the_area_table_has_the_streets_below_their_districts(cities: tuple[City, City]) -> None:
    plain, detailed = cities
    pd.testing.assert_frame_equal(detailed.areas[: len(plain.areas)], plain.areas)
    streets = detailed.areas[detailed.areas.level == "street"]
    assert list(streets.code) == list(STREET_CODES)
    assert (streets.code.str[:6] == streets.parent).all()
    assert detailed.areas.zh.is_unique
    assert detailed.areas.en.is_unique
    people = streets.groupby("parent").population.sum()
    assert people.to_dict() == {d.code: d.population for d in DISTRICTS}
    assert (streets.population > 0).all()


def test_counts_of_streets_sum_to_the_counts_of_the_districts(cities: tuple[City, City]) -> None:
    plain, detailed = cities
    assert list(detailed.counts) == ["district", "street", "category", "date", "hour", "count"]
    cell = ["district", "category", "date", "hour"]
    summed = detailed.counts.groupby(cell)["count"].sum()
    pd.testing.assert_series_equal(summed, plain.counts.set_index(cell)["count"].sort_index())
    assert not detailed.counts.duplicated([*cell, "street"]).any()
    assert detailed.counts.date.is_monotonic_increasing


def test_tickets_name_the_streets_that_are_counted(cities: tuple[City, City]) -> None:
    _, detailed = cities
    tickets = detailed.tickets.drop_duplicates("ticket_id")
    cell = [tickets.street, tickets.category, tickets.created_at.dt.normalize(), tickets.created_at.dt.hour]
    made = tickets.groupby(cell).size()
    told = detailed.counts[detailed.counts.date >= tickets.created_at.min().normalize()]
    told_of = told.groupby(["street", "category", "date", "hour"])["count"].sum()
    assert made.index.set_names(told_of.index.names).equals(told_of.index)
    assert (made.to_numpy() == told_of.to_numpy()).all()


def test_a_ticket_s_street_lies_in_its_district(cities: tuple[City, City]) -> None:
    tickets = cities[1].tickets
    assert (tickets.street.str[:6] == tickets.district).all()
    assert (tickets.street == "").sum() == (tickets.district == "").sum() > 0


def test_the_tickets_are_the_same_but_for_place_and_caller(cities: tuple[City, City]) -> None:
    plain, detailed = cities
    same = ["ticket_id", "created_at", "district", "category", "received_at", "updated_at", "status", "source", "channel"]
    pd.testing.assert_frame_equal(plain.tickets[same], detailed.tickets[same])
    assert [column for column in detailed.tickets if column not in plain.tickets] == ["street"]
    for name in ("drivers", "truth_rates", "incidents", "faults", "categories"):
        pd.testing.assert_frame_equal(getattr(plain, name), getattr(detailed, name))


def test_repeats_stay_in_their_street(cities: tuple[City, City]) -> None:
    tickets = cities[1].tickets.drop_duplicates("ticket_id")
    again = tickets[tickets.caller.duplicated(keep=False)]
    assert len(again)
    first = again.groupby("caller").transform("first")
    assert (again[["street", "category"]] == first[["street", "category"]]).all(axis=None)


def test_tickets_fall_on_the_streets_by_their_shares() -> None:
    seed, size = 5, 200_000
    rng = np.random.default_rng(1)
    district, category = rng.integers(0, len(DISTRICTS) + 1, size), rng.integers(0, 2, size)
    street = month_of_streets(seed, pd.date_range("2025-03-01", "2025-03-31"), district, category)
    assert ((street == -1) == (district == len(DISTRICTS))).all()
    assert (DISTRICT[street[street >= 0]] == district[street >= 0]).all()
    tasted = shares(seed)
    for code in range(2):
        got = np.bincount(street[(street >= 0) & (category == code)], minlength=STREETS)
        number = np.bincount(district[category == code], minlength=len(DISTRICTS))[DISTRICT]
        expected = number * tasted[:, code]
        assert np.abs((got - expected) / np.sqrt(expected)).max() < 5
        assert ((got - expected) ** 2 / expected).sum() == pytest.approx(STREETS, rel=0.3)


def test_shares_add_up_in_every_district_and_differ_between_categories_and_seeds() -> None:
    table = shares(1)
    assert table.shape == (STREETS, len(ALL_CODES))
    sums = np.array([table[district == DISTRICT].sum(axis=0) for district in range(len(DISTRICTS))])
    assert sums == pytest.approx(1)
    assert not np.allclose(table[:, 0], table[:, 1])
    assert not np.allclose(table, shares(2))
    assert np.corrcoef(table[:, CODES.index("HEAT")], table[:, CODES.index("PARK")])[0, 1] > 0.6


def test_a_day_is_the_same_whatever_range_is_asked_for() -> None:
    short = simulate(3, 0.05, date(2025, 3, 25), date(2025, 5, 24), streets=True).counts
    long = simulate(3, 0.05, *SPAN, streets=True).counts
    both = (short.date >= "2025-04-01") & (short.date <= "2025-05-20")
    pd.testing.assert_frame_equal(
        short[both].reset_index(drop=True), long[(long.date >= "2025-04-01") & (long.date <= "2025-05-20")].reset_index(drop=True)
    )
