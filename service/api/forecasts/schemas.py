"""Forecasts as the API tells them. Names, types and units are a promise: later versions only add."""

from collections.abc import Mapping
from datetime import date as Day
from datetime import datetime

from pydantic import Field

from forecasting.explanation import LABELS
from service.api.schemas import NEXT, Model


class _ForecastNode(Model):
    area: str = Field(description="Node of the area tree; `ALL`: the whole city.", examples=["110105"])
    category: str = Field(description="Node of the category tree; `ALL`: all categories.", examples=["HEAT"])
    date: Day = Field(description="Local date that is forecast; of a week or month its first one.", examples=["2025-11-15"])


class _ForecastLaw(Model):
    mean: float = Field(description="Expected tickets. Means add up over both trees.", examples=[128.4], ge=0)
    q05: float = Field(description="5 % quantile, tickets.", examples=[101])
    q10: float = Field(description="10 % quantile, tickets.", examples=[106])
    q25: float = Field(description="25 % quantile, tickets.", examples=[116])
    q50: float = Field(description="50 % quantile (median), tickets.", examples=[128])
    q75: float = Field(description="75 % quantile, tickets.", examples=[140])
    q90: float = Field(description="90 % quantile, tickets.", examples=[151])
    q95: float = Field(description="95 % quantile, tickets.", examples=[158])
    model: str = Field(description="Model that made it.", examples=["blend"])
    issued_at: datetime = Field(description="Moment at which it was published.", examples=["2025-11-08T18:21:07Z"])
    run_id: str = Field(description="MLflow run that made it; the number in `/v1/runs` if it was not tracked.")


class _DayAhead(Model):
    horizon: int = Field(description="Days after the cutoff, from 1.", examples=[7], ge=1)


class _WeekAhead(Model):
    week_ahead: int = Field(description="Weeks of seven days after the cutoff, from 1.", examples=[9], ge=1)


class _Hour(Model):
    hour: int = Field(description="Hour on the city's clock. One that passes twice is one row.", examples=[17], ge=0, le=23)


class ForecastRow(_ForecastLaw, _DayAhead, _ForecastNode):
    """The forecast of one node for one day. Unit of mean and quantiles: tickets a day."""


class WeekRow(_ForecastLaw, _WeekAhead, _ForecastNode):
    """The forecast of one node for one week. Unit of mean and quantiles: tickets a week."""


class _Month(Model):
    days: int = Field(description="Days of the month that are forecast and summed; the first and the last month have fewer than it has.", ge=1)


class MonthRow(_ForecastLaw, _Month, _ForecastNode):
    """The forecast of one node for one calendar month, `date` its first day. Unit of mean and quantiles: tickets in the days that are summed."""


class HourRow(_ForecastLaw, _Hour, _ForecastNode):
    """The forecast of one node for one hour. Unit of mean and quantiles: tickets an hour."""


class ForecastPage(Model):
    """Forecasts, by area, category, date; rows of one kind, as `granularity` asks."""

    items: list[ForecastRow] | list[WeekRow] | list[MonthRow] | list[HourRow]
    next: str | None = NEXT
    stale_since: datetime | None = Field(
        None, description="The store does not answer: this is what it said at this moment, and newer forecasts may be there. Null: it answers."
    )


class Contribution(Model):
    """What one factor adds to a forecast."""

    factor: str = Field(
        description="`level`: mean of the last 364 days known, without bursts. `trend`: the two months before the last four weeks against that year; "
        "`news`: the last four weeks against these two months. `weekday`, `holiday`, `season` (heating included), `weather`: what the day has more "
        "than the mean of that year, as strong as the blend has it. `members`: by how much the forecast of all days ahead lies higher or lower than "
        "these say. `rest`: what is left on single days, where members disagree, and what makes sums add up.",
        examples=["season"],
    )
    tickets: float = Field(description="Tickets; the contributions of a forecast add up to its mean.", examples=[320.4])
    percent: float | None = Field(description="The same in percent of `level`; null if that is 0.", examples=[25.8])
    label_zh: str = Field(examples=["季节"])
    label_en: str = Field(examples=["season"])

    @classmethod
    def of(cls, parts: Mapping[str, float]) -> "list[Contribution]":
        """What the parts of a mean add, by the names `explanation.NAMES`."""
        level = parts["level"]
        return [
            cls(factor=name, tickets=tickets, percent=100 * tickets / level if level else None, label_zh=LABELS[name][0], label_en=LABELS[name][1])
            for name, tickets in parts.items()
        ]


class Member(Model):
    """A member of the blend."""

    name: str = Field(examples=["loglinear"])
    weight: float = Field(description="Its weight in this forecast; all add up to 1 but for rounding.", examples=[0.44])


class Explanation(_ForecastLaw, _ForecastNode):
    """The forecast of one node for one day or week, and why it is what it is."""

    horizon: int | None = Field(None, description="Days after the cutoff, from 1; null for a week.", examples=[7], ge=1)
    week_ahead: int | None = Field(None, description="Weeks of seven days after the cutoff, from 1; null for a day.", examples=[9], ge=1)
    known_until: Day = Field(description="Last local date that the forecast knew.", examples=["2025-11-08"])
    contributions: list[Contribution] = Field(description="`level` first, then what moves the forecast away from it, always in the same order.")
    members: list[Member] = Field(description="The models blended, the heaviest first.")
    sentence_zh: str = Field(description="What moves it most, in one Chinese sentence.")
    sentence_en: str = Field(description="The same in English.")
