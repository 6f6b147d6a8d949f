"""Weeks from Monday and calendar months, as counts and forecasts are summed by them."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

Period = Literal["week", "month"]


@dataclass(frozen=True)
class Slot:
    """A run of days that is summed.

    Attributes:
        name: first day of the period, whether it is among the days or not.
        start, stop: places of its days in the list of all days, `stop` excluded.
    """

    name: date
    start: int
    stop: int

    @property
    def days(self) -> int:
        """How many days are summed."""
        return self.stop - self.start


def first_of(day: date, period: Period) -> date:
    """First day of the period that a day lies in."""
    return day - timedelta(days=day.weekday()) if period == "week" else day.replace(day=1)


def last_of(day: date, period: Period) -> date:
    """Last day of the period that a day lies in."""
    return first_of(day, "week") + timedelta(days=6) if period == "week" else day.replace(day=monthrange(day.year, day.month)[1])


def slots(start: date, end: date, period: Period) -> list[Slot]:
    """The periods that have one of the days from `start` to `end`, with those days that lie between the two."""
    found = []
    day = start
    while day <= end:
        last = min(last_of(day, period), end)
        found.append(Slot(first_of(day, period), (day - start).days, (last - start).days + 1))
        day = last + timedelta(days=1)
    return found
