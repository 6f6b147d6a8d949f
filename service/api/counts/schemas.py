"""What the API answers with about what came in. Names, types and units are a promise: later versions only add."""

from datetime import date as Day
from typing import Literal

from pydantic import Field

from service.api.schemas import NEXT, Model


class _CountNode(Model):
    area: str = Field(description="Node of the area tree; `ALL`: the whole city.", examples=["110105"])
    category: str = Field(description="Node of the category tree; `ALL`: all categories.", examples=["HEAT"])


class _Tickets(Model):
    count: int = Field(description="Tickets, under the codes that they were filed under.", examples=[128])
    excluded: bool = Field(False, description="Some or all of it lies in an excluded span: no day to compare with, and no model learns from it.")


class _Recoded(Model):
    recoded: float | None = Field(
        None, description="With `recoded=true`: tickets in today's codes, by the category map; else null.", examples=[131.4]
    )


class _OnDay(Model):
    date: Day = Field(description="Local date.", examples=["2025-11-15"])


class _InPeriod(Model):
    date: Day = Field(description="First local date of the period: a Monday, or the first of the month.", examples=["2025-11-10"])
    days: int = Field(description="Days of it that are counted; the first and the last period may have fewer than it has.", examples=[7], ge=1)


class _InHour(_OnDay):
    hour: int = Field(description="Hour on the city's clock. One that passes twice is one row.", examples=[17], ge=0, le=23)


class _WithoutHour(Model):
    without_hour: int = Field(
        description="Tickets of the whole day that came as counts by days: they are in none of its hours. The hours and these add up to the day.",
        examples=[0],
    )


class _Compared(Model):
    date: Day = Field(description="Local date; of a week its Monday, of a month its first.", examples=["2025-11-12"])
    days: int = Field(description="Days that are summed.", examples=[1], ge=1)
    kind: Literal["workday", "weekend", "holiday", "makeup"] | None = Field(
        None, description="Kind of day; `makeup`: a weekend day that is worked (调休). Null for a week or a month."
    )
    holiday: str | None = Field(None, description="The holiday that a day off belongs to; else null.", examples=["spring_festival"])


class CountRow(_Recoded, _Tickets, _OnDay, _CountNode):
    """Tickets of one node on one day."""


class PeriodCountRow(_Recoded, _Tickets, _InPeriod, _CountNode):
    """Tickets of one node in one week or month."""


class HourCountRow(_WithoutHour, _Tickets, _InHour, _CountNode):
    """Tickets of one node in one hour."""


class CountPage(Model):
    """Counts, by area, category, date; rows of one kind, as `granularity` asks."""

    items: list[CountRow] | list[PeriodCountRow] | list[HourCountRow]
    next: str | None = NEXT


class ComparedRow(_Tickets, _Compared, _CountNode):
    """Tickets of one node on one day, or in one week or month, beside those of the comparable days a week and a year before."""

    last_week_date: Day | None = Field(None, description="The comparable day of last week; null for a week or a month, and where there is none.")
    last_week: int | None = Field(None, description="Its tickets, or the sum of those of all days; null: one of the days has none.", examples=[119])
    last_week_ratio: float | None = Field(None, description="`count` by `last_week`; null if that is null or 0.", examples=[1.08])
    last_year_date: Day | None = Field(None, description="The comparable day of last year; null as `last_week_date`.")
    last_year: int | None = Field(None, description="Its tickets, as `last_week`.", examples=[101])
    last_year_ratio: float | None = Field(None, description="`count` by `last_year`; null if that is null or 0.", examples=[1.27])


class ComparedPage(Model):
    """Counts beside those of comparable days, by area, category, date."""

    items: list[ComparedRow]
    next: str | None = NEXT
