"""Which day is compared with which: written down from the official calendars of 2023 to 2025."""

from datetime import date

import pandas as pd
import pytest

from service.api.counts.comparable import table


def beside(day: str, country: str = "CN") -> tuple[str, str]:
    row = table(date.fromisoformat(day), date.fromisoformat(day), country).iloc[0]
    last_week, last_year = ("" if pd.isna(row[name]) else f"{row[name].date()}" for name in ("last_week", "last_year"))
    return last_week, last_year


@pytest.mark.parametrize(
    ("day", "last_week", "last_year"),
    [
        ("2025-11-12", "2025-11-05", "2024-11-13"),  # a Wednesday
        ("2025-11-16", "2025-11-09", "2024-11-17"),  # a Sunday
        ("2025-10-09", "2025-09-25", "2024-10-10"),  # the Thursday after the eight days of October: the week before was a holiday
        ("2025-10-18", "2025-09-27", "2024-10-19"),  # a Saturday: the one before was worked, the one before that a holiday
    ],
)
def test_an_ordinary_day_is_compared_with_the_same_weekday_of_the_same_kind(day: str, last_week: str, last_year: str) -> None:
    assert beside(day) == (last_week, last_year)


def test_a_weekend_day_that_is_worked_is_compared_with_ordinary_wednesdays() -> None:
    assert beside("2025-10-11") == ("2025-09-24", "2024-10-09")  # the Wednesday of the week before was 1 October
    assert beside("2025-04-27") == ("2025-04-16", "2024-04-24")


@pytest.mark.parametrize(
    ("day", "last_year"),
    [
        ("2025-10-03", "2024-10-03"),
        ("2025-10-06", "2024-10-06"),
        ("2025-10-08", ""),  # the break of the year before had seven days
        ("2025-01-01", "2024-01-01"),  # then the last day of three
        ("2025-05-31", "2024-06-08"),  # the first day of the Dragon Boat Festival
        ("2025-06-02", "2024-06-10"),
        ("2025-01-29", "2024-02-10"),  # the lunar New Year
        ("2025-02-04", "2024-02-16"),
        ("2025-01-28", ""),  # the eve was no day off in 2024
    ],
)
def test_a_holiday_is_compared_with_the_same_day_of_the_same_holiday(day: str, last_year: str) -> None:
    assert beside(day) == ("", last_year)


@pytest.mark.parametrize(
    ("day", "last_week", "last_year"),
    [
        ("2025-01-20", "2025-01-13", "2024-01-29"),  # a Monday nine days before the New Year of 29 January; that of 2024 was on 10 February
        ("2025-02-05", "2025-01-22", "2024-02-21"),  # the first Wednesday that is worked again
    ],
)
def test_around_the_lunar_new_year_days_are_counted_from_it(day: str, last_week: str, last_year: str) -> None:
    assert beside(day) == (last_week, last_year)


def test_elsewhere_a_holiday_that_moves_finds_its_day() -> None:
    assert beside("2025-11-27", "US") == ("", "2024-11-28")
    assert beside("2025-12-25", "US") == ("", "2024-12-25")
    assert beside("2025-11-28", "US") == ("2025-11-21", "2024-11-29")
    assert beside("2025-11-27", "none") == ("2025-11-20", "2024-11-28")


def test_a_day_is_compared_as_before_in_whatever_span_it_is_asked_for() -> None:
    whole = table(date(2024, 12, 1), date(2025, 12, 31), "CN")
    for day in ("2024-12-05", "2025-01-20", "2025-01-29", "2025-10-11", "2025-12-31"):
        alone = table(date.fromisoformat(day), date.fromisoformat(day), "CN").iloc[0]
        pd.testing.assert_series_equal(whole.loc[day], alone)


def test_every_comparable_day_lies_before_and_is_alike() -> None:
    whole = table(date(2023, 1, 1), date(2025, 12, 31), "CN")
    for name, least, most in (("last_week", 7, 39), ("last_year", 340, 410)):
        told = whole[whole[name].notna()]
        apart = (told.index - pd.DatetimeIndex(told[name])).days
        assert apart.min() >= least
        assert apart.max() <= most
        alike = whole["kind"].reindex(told[name]).replace("makeup", "workday").to_numpy()
        mine = told["kind"].replace("makeup", "workday").to_numpy()
        there = pd.notna(alike)
        assert (alike[there] == mine[there]).all()
    assert whole.loc[whole["kind"] != "holiday", ["last_week", "last_year"]].notna().all(axis=None)
