"""The calendar agrees with the published lists, and its columns agree with one another."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.calendars import FAR, NO_HEATING, NO_LUNAR, day_table, lunar_new_year, validate_country
from forecasting.errors import InputError

# Published by the State Council's General Office: make-up days and the first and last day of each break.
MAKEUP_DAYS = {
    2023: "01-28 01-29 04-23 05-06 06-25 10-07 10-08",
    2024: "02-04 02-18 04-07 04-28 05-11 09-14 09-29 10-12",
    2025: "01-26 02-08 04-27 09-28 10-11",
    2026: "01-04 02-14 02-28 05-09 09-20 10-10",
}
BREAKS_2026 = {
    "new_year": ("01-01", "01-03"),
    "spring_festival": ("02-15", "02-23"),
    "qingming": ("04-04", "04-06"),
    "labour_day": ("05-01", "05-05"),
    "dragon_boat": ("06-19", "06-21"),
    "mid_autumn": ("09-25", "09-27"),
    "national_day": ("10-01", "10-07"),
}


@pytest.fixture(scope="module")
def china() -> pd.DataFrame:
    return day_table(date(2023, 1, 1), date(2026, 12, 31))


@pytest.mark.parametrize("year", MAKEUP_DAYS)
def test_make_up_days_are_those_of_the_official_list(china: pd.DataFrame, year: int) -> None:
    days = china[(china.day_kind == "makeup") & (china.index.year == year)]
    assert " ".join(days.index.strftime("%m-%d")) == MAKEUP_DAYS[year]
    assert days.working.all()
    assert not days.estimated.any()


@pytest.mark.parametrize("group", BREAKS_2026)
def test_a_break_of_2026_runs_from_its_first_to_its_last_official_day(china: pd.DataFrame, group: str) -> None:
    days = china[(china.holiday == group) & (china.index.year == 2026)]
    first, last = BREAKS_2026[group]
    assert list(days.index) == list(pd.date_range(f"2026-{first}", f"2026-{last}"))
    assert (days.day_kind == "holiday").all()
    assert list(days.holiday_position) == list(range(1, len(days) + 1))
    assert set(days.holiday_length) == {len(days)}


def test_a_working_sunday_is_a_working_day_of_no_weekend_shape(china: pd.DataFrame) -> None:
    sunday = china.loc["2025-09-28"]
    assert sunday.weekday == 6
    assert sunday.working
    assert sunday.shape_day == 2


def test_days_around_the_spring_festival_of_2024_are_counted_in_working_days(china: pd.DataFrame) -> None:
    marks = china.loc["2024-02-01":"2024-02-29"]
    assert dict(marks.before_long_break[marks.before_long_break > 0]) == {pd.Timestamp("2024-02-08"): 2, pd.Timestamp("2024-02-09"): 1}
    assert list(marks.index[marks.after_long_break == 1]) == [pd.Timestamp("2024-02-18")]
    assert china.loc["2024-02-08", "days_to_holiday"] == 2
    assert china.loc["2024-02-20", "days_since_holiday"] == 3


def test_a_break_that_begins_on_a_tuesday_looks_back_over_the_weekend(china: pd.DataFrame) -> None:
    before = china.loc["2024-09-27":"2024-09-30", "before_long_break"]  # Friday, Saturday, working Sunday, Monday
    assert list(before) == [0, 0, 2, 1]


def test_a_break_of_one_day_is_no_long_break(china: pd.DataFrame) -> None:
    assert china.loc["2023-04-05", "holiday"] == "qingming"
    assert china.loc["2023-04-04", "before_long_break"] == 0
    assert china.loc["2023-04-06", "after_long_break"] == 0


def test_a_year_without_an_official_list_is_estimated_and_takes_overrides() -> None:
    plain = day_table(date(2027, 1, 1), date(2027, 12, 31))
    assert plain.estimated.all()
    assert plain.loc["2027-02-07", "holiday"] == "spring_festival"
    mended = day_table(date(2027, 1, 1), date(2027, 12, 31), overrides={date(2027, 2, 11): False, date(2027, 2, 14): True})
    assert mended.loc["2027-02-11", ["day_kind", "holiday"]].tolist() == ["holiday", "spring_festival"]
    assert mended.loc["2027-02-14", "day_kind"] == "makeup"
    assert not mended.loc[["2027-02-11", "2027-02-14"], "estimated"].any()
    assert mended.loc["2027-02-12", "estimated"]


def test_an_override_can_put_an_official_holiday_to_work() -> None:
    table = day_table(date(2026, 4, 1), date(2026, 4, 10), overrides={date(2026, 4, 6): True})
    assert table.loc["2026-04-06", ["working", "day_kind", "holiday"]].tolist() == [True, "workday", ""]


def test_seasons_begin_and_end_on_their_dates(china: pd.DataFrame) -> None:
    assert china.loc["2024-10-23", "heating_day"] == NO_HEATING
    assert list(china.loc[["2024-10-24", "2024-11-07", "2025-01-01", "2025-03-31"], "heating_day"]) == [-14, 0, 55, 144]
    assert china.loc["2025-04-01", "heating_day"] == NO_HEATING
    assert list(china.loc[["2024-11-14", "2024-11-15", "2025-03-15", "2025-03-16"], "heating"]) == [False, True, True, False]
    assert list(china.loc[["2024-05-31", "2024-06-01", "2024-09-15", "2024-09-16"], "flood_season"]) == [False, True, True, False]
    assert list(china.index[china.exam & (china.index.year == 2025)].strftime("%m-%d")) == ["06-07", "06-08", "06-09", "06-10"]
    assert list(china.index[china.shopping & (china.index.year == 2025)].strftime("%m-%d")) == ["06-18", "11-11"]
    assert list(china.loc[["2025-08-31", "2025-09-01", "2026-02-10", "2026-03-06"], "school_term"]) == [False, True, False, True]


def test_the_lunar_new_year_is_the_known_one() -> None:
    known = ["2019-02-05", "2020-01-25", "2021-02-12", "2022-02-01", "2023-01-22", "2024-02-10", "2025-01-29", "2026-02-17", "2027-02-06"]
    assert [lunar_new_year(year).isoformat() for year in range(2019, 2028)] == known
    table = day_table(date(2025, 1, 20), date(2025, 7, 30))
    assert table.loc["2025-01-27", "lunar_offset"] == -2
    assert table.lunar_offset.abs().max() == FAR


def test_other_countries_have_their_own_holidays_and_no_chinese_seasons() -> None:
    table = day_table(date(2024, 1, 1), date(2024, 12, 31), "us")
    assert table.loc["2024-11-28", ["holiday", "day_kind", "shape_day"]].tolist() == ["thanksgiving_day", "holiday", 7]
    assert table.loc["2024-05-25", ["holiday", "day_kind", "shape_day"]].tolist() == ["memorial_day", "weekend", 5]
    assert set(table.heating_day) == {NO_HEATING}
    assert set(table.lunar_offset) == {NO_LUNAR}
    assert not table[["heating", "flood_season", "exam", "shopping", "estimated"]].to_numpy().any()
    assert day_table(date(2027, 7, 5), date(2027, 7, 5), "US").holiday.item() == "independence_day"
    assert day_table(date(2024, 8, 26), date(2024, 8, 26), "GB").day_kind.item() == "holiday"


@pytest.mark.parametrize("country", ["none", "", "NONE"])
def test_no_country_gives_a_plain_week(country: str) -> None:
    table = day_table(date(2024, 1, 1), date(2024, 3, 3), country)
    assert (table.working == (table.weekday < 5)).all()
    assert (table.shape_day == table.weekday).all()
    assert set(table.holiday) == {""}
    assert set(table.days_to_holiday) == {FAR}


@pytest.mark.parametrize("country", ["XX", "US-ZZ", "China!"])
def test_an_unknown_country_is_refused_in_one_line(country: str) -> None:
    with pytest.raises(InputError, match="no holidays are known"):
        day_table(date(2024, 1, 1), date(2024, 1, 2), country)


def test_three_letters_mean_the_same_country() -> None:
    assert validate_country("chn") == "CN"
    assert validate_country("GB-SCT") == "GB-SCT"


@pytest.mark.parametrize(
    ("start", "end"), [(date(2024, 1, 2), date(2024, 1, 1)), (date(1900, 1, 1), date(1900, 2, 1)), (date(2024, 1, 1), date(2200, 1, 1))]
)
def test_impossible_ranges_are_refused(start: date, end: date) -> None:
    with pytest.raises(InputError):
        day_table(start, end)


def test_the_caller_may_write_into_the_table() -> None:
    first = day_table(date(2024, 1, 1), date(2024, 1, 31))
    first["working"] = False
    assert day_table(date(2024, 1, 1), date(2024, 1, 31)).working.any()


@settings(max_examples=25, deadline=None)
@given(start=st.dates(date(1975, 1, 1), date(2060, 1, 1)), span=st.integers(0, 500), country=st.sampled_from(["CN", "US", "DE", "GB", "SA", "none"]))
def test_columns_agree_with_one_another(start: date, span: int, country: str) -> None:
    table = day_table(start, start + timedelta(days=span), country)
    assert len(table) == span + 1
    assert not table.isna().to_numpy().any()
    free = ~table.working
    assert (table.day_kind.isin(["weekend", "holiday"]) == free).all()
    inside = table.holiday_position > 0
    assert (inside == (table.holiday != "")).all()
    assert (inside == (table.days_to_holiday == 0)).all()
    assert (inside == (table.days_since_holiday == 0)).all()
    assert not (inside & table.working).any()
    assert (table.holiday_position <= table.holiday_length).all()
    assert table.loc[table.before_long_break + table.after_long_break > 0, "working"].all()
    assert ((table.shape_day == 7) == (table.day_kind == "holiday")).all()
    assert (np.diff(table.days_to_holiday) >= -1).all()


@settings(max_examples=20, deadline=None)
@given(start=st.dates(date(2020, 1, 1), date(2026, 1, 1)), span=st.integers(0, 200), country=st.sampled_from(["CN", "US"]))
def test_a_day_is_the_same_in_every_table_that_holds_it(start: date, span: int, country: str) -> None:
    part = day_table(start, start + timedelta(days=span), country)
    whole = day_table(date(2019, 6, 1), date(2027, 6, 1), country)
    pd.testing.assert_frame_equal(part, whole.loc[part.index], check_freq=False)
