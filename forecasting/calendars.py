"""What kind of day a day is: holidays and the days around them, make-up working days (调休), heating, flood season, school terms.

The dates of public holidays come from the `holidays` package, which carries the lists of the State Council for China. A list is published only
in November of the year before: without it a year falls back to the statutory dates, is marked `estimated`, and can be mended with `overrides`.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import holidays
import numpy as np
import numpy.typing as npt
import pandas as pd

from forecasting.errors import InputError

FIRST_YEAR, LAST_YEAR = 1970, 2090  # within the range of the package's lunar tables
NONE = "NONE"

WORKDAY, WEEKEND, HOLIDAY, MAKEUP = "workday", "weekend", "holiday", "makeup"
HOLIDAY_SHAPE = 7
# A make-up day opens no week after two free days, like a Monday, nor does it end one, like a Friday: the middle of the week is its nearest kin.
MAKEUP_SHAPE = 2
FAR = 30  # days; how far a holiday, or the lunar New Year, is felt at most
LONG_BREAK = 3  # days
NO_LUNAR = 99  # `lunar_offset` outside China
NO_HEATING = -99  # `heating_day` outside its season and outside China
# A break of a week, a week of work before it, and the year's turn: what must be seen beyond both ends of a table.
MARGIN = timedelta(days=60)

# Part of the English name in `holidays` -> group. All other countries and names: a slug of the name.
CHINESE_GROUPS = {
    "Chinese New Year": "spring_festival",
    "New Year's Day": "new_year",
    "Tomb-Sweeping": "qingming",
    "Labor Day": "labour_day",
    "Dragon Boat": "dragon_boat",
    "Mid-Autumn": "mid_autumn",
    "National Day": "national_day",
}
UNNAMED_GROUP = "day_off"  # a day off that neither has a name of its own nor lies beside a named holiday
DEFAULT_SUBDIVISION = {"GB": "ENG"}  # without one, `holidays` lists only what all four nations share: no Easter Monday, no August holiday

# Chinese school terms, approximate (a city's education commission sets them each year): the winter break lies around the lunar New Year, from
# two weeks before to two weeks after; the summer break takes the rest of July and August. Elsewhere: September to June.
WINTER_BREAK = (-14, 15)  # days from the lunar New Year
SUMMER_BREAK = ((7, 9), (8, 31))
HEATING_TRIAL = (11, 7)  # the trial run from which `heating_day` counts
HEATING_LEAD, HEATING_TAIL = 14, (3, 31)  # `heating_day` begins that many days before, ends on that date
HEATING_SEASON = ((11, 15), (3, 15))
FLOOD_SEASON = ((6, 1), (9, 15))
EXAM_DAYS = ((6, 7), (6, 10))
SHOPPING_DAYS = ((6, 18), (11, 11))


def validate_country(country: str) -> str:
    """The normal form of a country's code: `CN`, `US`, `GB-SCT`, or `NONE` for a plain week.

    Args:
        country: ISO 3166 code in any case, with `-` and a subdivision if wished; `none` or an empty text mean no holidays.

    Raises:
        InputError: no calendar is known for it.
    """
    code = country.strip().upper()
    if code in ("", NONE):
        return NONE
    _, _, subdivision = code.partition("-")
    short = str(_holidays(code, 2024).country)  # two letters, whether two or three were given
    return f"{short}-{subdivision}" if subdivision else short


def day_table(start: date, end: date, country: str = "CN", overrides: Mapping[date, bool] | None = None) -> pd.DataFrame:
    """What kind of day each day is.

    Args:
        start: first day.
        end: last day, included.
        country: see `validate_country`; the columns on heating, floods, exams, shopping and the lunar year speak only for CN.
        overrides: days that are known to be worked (True) or free (False), over the official and the estimated lists.

    Returns:
        A row per day, index `date` (DatetimeIndex), nothing missing:

        * `weekday` 0-6, Monday first; `working` bool, true on make-up days as well; `day_kind` workday, weekend, holiday or makeup: in China the
          weekend days inside a break are holidays (they are part of the official break), elsewhere only the public holiday itself is;
          `shape_day` 0-7, the weekday whose shape the day follows, a make-up day being a Wednesday (2) and a holiday 7.
        * `holiday` group of the break that the day lies in, "" if none. A break is a run of free days with a public holiday in it; it takes the
          group with most days in it. `holiday_position` from 1 and `holiday_length` within it, else 0. `days_to_holiday`, `days_since_holiday`
          days to the next break's first and since the last one's last day, 0 within a break, at most 30.
        * `before_long_break` 1 on the last, 2 on the last but one working day before a break of three days or more, else 0;
          `after_long_break` 1 on the first working day after one.
        * `heating_day` days since 7 November, from -14 until 31 March, else -99; `heating`, `flood_season`, `school_term`, `exam`, `shopping` bool;
          `lunar_offset` days from the nearest lunar New Year's Day, within ±30, 99 outside China.
        * `estimated` bool, the day's status follows from statutory dates or an estimated feast, because no official list is known.

    Raises:
        InputError: an unknown country, an end before the start, or a year outside 1970-2090.
    """
    if end < start:
        raise InputError(f"the end {end} lies before the start {start}", "calendar", "give the earlier day first")
    if start.year < FIRST_YEAR or end.year > LAST_YEAR:
        raise InputError(f"no calendar for {start} to {end}", "calendar", f"stay within {FIRST_YEAR} to {LAST_YEAR}")
    changes = tuple(sorted((overrides or {}).items()))
    return _day_table(start, end, validate_country(country), changes).copy()


@lru_cache(maxsize=16)
def _day_table(start: date, end: date, country: str, overrides: tuple[tuple[date, bool], ...]) -> pd.DataFrame:
    days = pd.date_range(start - MARGIN, end + MARGIN, name="date")
    chinese = country == "CN"
    weekday = days.day_of_week.to_numpy().astype(np.int64)
    weekend, working, group, estimated = _status(days, country, overrides)

    # Breaks: runs of free days that hold a public holiday.
    named = ~working & (group != "")
    run = np.cumsum(np.diff(working, prepend=working[0]) != 0)
    first_of_run = np.searchsorted(run, run)
    length_of_run = np.bincount(run)[run]
    in_break = (np.bincount(run, weights=named)[run] > 0) & ~working
    names = _group_of_runs(run, group, named)
    position = np.where(in_break, np.arange(len(days)) - first_of_run + 1, 0)
    length = np.where(in_break, length_of_run, 0)

    kind = np.where(working, WORKDAY, WEEKEND).astype(object)
    kind[working & weekend] = MAKEUP
    kind[in_break if chinese else named] = HOLIDAY
    shape = np.where(kind == HOLIDAY, HOLIDAY_SHAPE, np.where(kind == MAKEUP, MAKEUP_SHAPE, weekday))

    begins_long = in_break & (position == 1) & (length >= LONG_BREAK)
    ends_long = in_break & (position == length) & (length >= LONG_BREAK)
    work_done = np.cumsum(working)  # working days up to and with the day
    last_work = np.where(begins_long, work_done, 0)
    next_break = np.minimum.accumulate(np.where(last_work, last_work, np.iinfo(np.int64).max)[::-1])[::-1]
    to_go = next_break - work_done + 1  # 1 on the last working day before the break
    before = np.where(working & (to_go <= 2), to_go, 0)
    last_break = np.maximum.accumulate(np.where(ends_long, work_done, -1))
    after = (working & (last_break >= 0) & (work_done == last_break + 1)).astype(np.int64)

    table = pd.DataFrame(
        {
            "weekday": weekday,
            "working": working,
            "day_kind": kind.astype(str),
            "shape_day": shape,
            "holiday": np.where(in_break, names, "").astype(str),
            "holiday_position": position,
            "holiday_length": length,
            "days_to_holiday": np.minimum(_days_until(in_break), FAR),
            "days_since_holiday": np.minimum(_days_until(in_break[::-1])[::-1], FAR),
            "before_long_break": before,
            "after_long_break": after,
            **_seasons(days, chinese),
            "estimated": estimated,
        },
        index=days,
    )
    return table.loc[pd.Timestamp(start) : pd.Timestamp(end)]


def _status(
    days: pd.DatetimeIndex, country: str, overrides: tuple[tuple[date, bool], ...]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.object_], npt.NDArray[np.bool_]]:
    """Per day: is it a weekend by the week, is it worked, its own holiday group ("" if none, a mark for a nameless day off), is that estimated."""
    size = len(days)
    weekend = np.isin(days.day_of_week.to_numpy(), (5, 6))
    made_up = np.zeros(size, bool)
    group = np.full(size, "", object)
    estimated = np.zeros(size, bool)
    place = {day.date(): i for i, day in enumerate(days)}
    if country != NONE:
        for year in range(days[0].year, days[-1].year + 1):
            one = _calendar(country, year)
            this_year = days.year.to_numpy() == year
            weekend[this_year] = np.isin(days.day_of_week.to_numpy()[this_year], one.weekend)
            estimated[this_year] = not one.published
            for day, name in one.holidays:
                if day in place:
                    group[place[day]] = name
                    estimated[place[day]] |= day in one.estimated
            for day in one.makeup:
                if day in place:
                    made_up[place[day]] = True
    for day, worked in overrides:
        if day in place:
            at = place[day]
            made_up[at] = worked and weekend[at]
            estimated[at] = False
            if worked:
                group[at] = ""
            elif not weekend[at] and group[at] == "":
                group[at] = UNNAMED_GROUP
    working = made_up | (~weekend & (group == ""))
    return weekend, working, group, estimated


def _group_of_runs(run: npt.NDArray[np.int64], group: npt.NDArray[np.object_], named: npt.NDArray[np.bool_]) -> npt.NDArray[np.object_]:
    """Per day the group with most days in its run of free days; the earlier one if two have as many, a nameless one only if there is no other."""
    votes: dict[int, dict[str, float]] = {}
    for at in np.flatnonzero(named):
        ballot = votes.setdefault(int(run[at]), {})
        ballot[group[at]] = ballot.get(group[at], 0) + (0.01 if group[at] == UNNAMED_GROUP else 1)
    winner = {r: max(ballot, key=ballot.__getitem__) for r, ballot in votes.items()}
    return np.array([winner.get(int(r), "") for r in run], object)


def _days_until(mark: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Days from each day to the next marked one, 0 on it; far if there is none."""
    at = np.arange(len(mark))
    following = np.minimum.accumulate(np.where(mark, at, at[-1] + FAR + 1)[::-1])[::-1]
    return following - at


def _seasons(days: pd.DatetimeIndex, chinese: bool) -> dict[str, npt.NDArray[np.int64] | npt.NDArray[np.bool_]]:
    month_day = (days.month * 100 + days.day).to_numpy()
    never = np.zeros(len(days), bool)
    if not chinese:
        return {
            "heating_day": np.full(len(days), NO_HEATING),
            "heating": never,
            "flood_season": never,
            "school_term": ~np.isin(days.month.to_numpy(), (7, 8)),
            "exam": never,
            "shopping": never,
            "lunar_offset": np.full(len(days), NO_LUNAR),
        }
    year = days.year.to_numpy()
    midnight = days.to_numpy().astype("datetime64[D]")
    trial_month, trial_day = HEATING_TRIAL
    season_year = np.where(days.month.to_numpy() <= HEATING_TAIL[0], year - 1, year)
    trial = np.array([np.datetime64(date(y, trial_month, trial_day)) for y in range(year[0] - 1, year[-1] + 1)])[season_year - year[0] + 1]
    heating_day = (midnight - trial).astype(np.int64)
    in_heating = (heating_day >= -HEATING_LEAD) & ((heating_day >= 0) | (month_day > 100 * HEATING_TAIL[0] + HEATING_TAIL[1]))
    new_years = np.array([np.datetime64(lunar_new_year(y)) for y in range(year[0] - 1, year[-1] + 2)])
    offsets = (midnight[:, None] - new_years).astype(np.int64)
    lunar = offsets[np.arange(len(days)), np.abs(offsets).argmin(axis=1)]
    winter_break = (lunar >= WINTER_BREAK[0]) & (lunar <= WINTER_BREAK[1])
    return {
        "heating_day": np.where(in_heating, heating_day, NO_HEATING),
        "heating": ~_between(month_day, (HEATING_SEASON[1][0], HEATING_SEASON[1][1] + 1), (HEATING_SEASON[0][0], HEATING_SEASON[0][1] - 1)),
        "flood_season": _between(month_day, *FLOOD_SEASON),
        "school_term": ~_between(month_day, *SUMMER_BREAK) & ~winter_break,
        "exam": _between(month_day, *EXAM_DAYS),
        "shopping": np.isin(month_day, [100 * m + d for m, d in SHOPPING_DAYS]),
        "lunar_offset": np.clip(lunar, -FAR, FAR),
    }


def _between(month_day: npt.NDArray[np.int64], first: tuple[int, int], last: tuple[int, int]) -> npt.NDArray[np.bool_]:
    return (month_day >= 100 * first[0] + first[1]) & (month_day <= 100 * last[0] + last[1])


def lunar_new_year(year: int) -> date:
    """The lunar New Year's Day (春节, 正月初一)."""
    first_days = re.compile(r"Chinese New Year \(Spring Festival\)(?! \()")  # without (observed) or (estimated)
    found: date = next(day for day, names in sorted(_holidays("CN", year).items()) if first_days.search(names))
    return found


@dataclass(frozen=True)
class _Year:
    """One year of a country's calendar.

    Attributes:
        holidays: public holidays and days off, with their groups.
        makeup: weekend days that are worked.
        weekend: weekdays (0-6) that are free.
        estimated: holidays whose date is not certain yet.
        published: is the official list known (or none needed)?
    """

    holidays: tuple[tuple[date, str], ...]
    makeup: tuple[date, ...]
    weekend: tuple[int, ...]
    estimated: frozenset[date]
    published: bool


@lru_cache(maxsize=256)
def _calendar(country: str, year: int) -> _Year:
    named = _holidays(country, year)
    makeup = tuple(sorted(day for day in named.weekend_workdays if day.year == year))
    # The State Council's list always exchanges working days, which statutory dates alone never do.
    published = country != "CN" or bool(makeup) or any("substituted" in name for name in named.values())
    return _Year(
        holidays=tuple((day, _group(name, country)) for day, name in sorted(named.items())),
        makeup=makeup,
        weekend=tuple(sorted(named.weekend)),
        estimated=frozenset(day for day, name in named.items() if "estimated" in name),
        published=published,
    )


@lru_cache(maxsize=256)
def _holidays(country: str, year: int) -> holidays.HolidayBase:
    code, _, subdivision = country.partition("-")
    subdivision = subdivision or DEFAULT_SUBDIVISION.get(code, "")
    try:
        languages = getattr(holidays.country_holidays(code), "supported_languages", ())
        english = next((language for language in languages if language.startswith("en")), None)
        return holidays.country_holidays(code, subdiv=subdivision or None, years=year, language=english)
    except NotImplementedError:
        raise InputError(
            f"no holidays are known for the country '{country}'", "country", "give an ISO 3166 code such as CN, US or GB, or none"
        ) from None


def _group(names: str, country: str) -> str:
    """The group of a day's holiday, whose names stand one after the other with semicolons between."""
    if "substituted from" in names:
        return UNNAMED_GROUP
    if country == "CN":
        for part, group in CHINESE_GROUPS.items():
            if part in names:
                return group
    plain = re.sub(r"\([^)]*\)", "", names.split(";")[0])
    ascii_only = unicodedata.normalize("NFKD", plain.replace("'", "").replace("’", "")).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_") or UNNAMED_GROUP
