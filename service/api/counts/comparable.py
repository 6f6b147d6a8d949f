"""With which days a day is compared: last week and last year, by kind of day.

* A working day and a day of the weekend: the same weekday of an earlier week, the first going back that is of the same kind; of last year the
  nearest one to 52 weeks before. Around the lunar New Year, which moves by weeks, the nearest one to as many days before or after it.
* A weekend day that is worked (调休) has the shape of a Wednesday, as forecasts see it (`calendars.MAKEUP_SHAPE`), and is compared as one.
* A day of a holiday: none of last week. Of last year, around the lunar New Year, the day as far from it; else the same date, or, of a holiday
  that moves, the same place in the break. Where that is no day of the same holiday, there is none.
"""

from collections.abc import Iterable
from datetime import date, timedelta

import numpy as np
import pandas as pd

from forecasting import calendars

WEEKS_BACK = 4  # in which a day of the same kind is looked for: no break and what is moved for it are longer
YEAR = 364  # days: 52 weeks
NEAR = 21  # days to both sides of the day a year before: three of each weekday
HOLIDAY_MOVES = 45  # days at most from one year to the next: a lunar month, and how breaks are laid
MARGIN = timedelta(days=YEAR + HOLIDAY_MOVES + 7 * WEEKS_BACK)  # what is looked at before the first day
SPRING = "spring_festival"


def table(start: date, end: date, country: str) -> pd.DataFrame:
    """What each day is compared with.

    Args:
        start, end: first and last day.
        country: see `calendars.validate_country`.

    Returns:
        A row per day, index `date`: `kind` (see `calendars.day_table`), `holiday` ("" if none), `last_week` and `last_year` (days, NaT if there is
        none).
    """
    days = _Days(calendars.day_table(start - MARGIN, end, country), calendars.validate_country(country) == "CN")
    asked = range(len(days.table) - (end - start).days - 1, len(days.table))
    found = {"last_week": [days.last_week(at) for at in asked], "last_year": [days.last_year(at) for at in asked]}
    rows = days.table.iloc[asked[0] :]
    told = {name: pd.DatetimeIndex([pd.NaT if at is None else days.table.index[at] for at in places]) for name, places in found.items()}
    return pd.DataFrame({"kind": rows["day_kind"], "holiday": rows["holiday"], **told}, index=rows.index)


class _Days:
    """A table of days, of which some are looked for; days are told by their places."""

    def __init__(self, table: pd.DataFrame, lunar: bool) -> None:
        self.table, self.lunar = table, lunar
        kind = table["day_kind"].to_numpy(object)
        self.free, self.made_up = kind == calendars.HOLIDAY, kind == calendars.MAKEUP
        self.alike = np.where(self.made_up, calendars.WORKDAY, kind)
        self.weekday, self.shape = table["weekday"].to_numpy(int), table["shape_day"].to_numpy(int)
        self.holiday, self.from_new_year = table["holiday"].to_numpy(object), table["lunar_offset"].to_numpy(int)
        self.in_break = np.where(self.holiday == SPRING, self.from_new_year, table["holiday_position"].to_numpy(int))

    def last_week(self, at: int) -> int | None:
        if self.free[at]:
            return None
        back = 7 + self.weekday[at] - self.shape[at]  # to the day of its shape in the week before
        return self._first(at, (at - back - 7 * week for week in range(WEEKS_BACK)))

    def last_year(self, at: int) -> int | None:
        if self.free[at]:
            return self._same_of_holiday(at)
        target = at - YEAR
        if self.lunar and abs(self.from_new_year[at]) < calendars.FAR:
            new_year = calendars.lunar_new_year((self.table.index[at] - pd.Timedelta(days=int(self.from_new_year[at]))).year - 1)
            target = int((pd.Timestamp(new_year) - self.table.index[0]).days + self.from_new_year[at])
        steps = sorted(range(-NEAR, NEAR + 1), key=abs)
        return self._first(at, (target + step for step in steps))

    def _first(self, at: int, places: Iterable[int]) -> int | None:
        """The first of some places with an ordinary day of the same kind and shape."""
        for there in places:
            fits = 0 <= there < at and not (self.free[there] or self.made_up[there])
            if fits and self.weekday[there] == self.shape[at] and self.alike[there] == self.alike[at]:
                return there
        return None

    def _same_of_holiday(self, at: int) -> int | None:
        day = self.table.index[at]
        same_date = int((day - pd.DateOffset(years=1) - self.table.index[0]).days)
        if self.holiday[at] != SPRING and self.free[same_date] and self.holiday[same_date] == self.holiday[at]:
            return same_date
        near = np.arange(max(at - YEAR - HOLIDAY_MOVES, 0), at - YEAR + HOLIDAY_MOVES)
        fits = near[self.free[near] & (self.holiday[near] == self.holiday[at]) & (self.in_break[near] == self.in_break[at])]
        return int(fits[np.abs(fits - (at - YEAR)).argmin()]) if len(fits) else None
