"""What the heat-map of forecasts answers with. Names, types and units are a promise: later versions only add."""

from datetime import date as Day
from datetime import datetime

from pydantic import Field

from service.api.schemas import NEXT, Model


class HeatmapNode(Model):
    """A row or a column of the map."""

    code: str = Field(description="Code of the area or category.", examples=["110105"])
    zh: str = Field(examples=["朝阳区"])
    en: str = Field(examples=["Chaoyang"])


class HeatmapCell(Model):
    """One area and one category over all days of the map. Unit: tickets in these days."""

    area: str = Field(description="Node of the area tree.", examples=["110105"])
    category: str = Field(description="Node of the category tree.", examples=["HEAT"])
    expected: float = Field(description="Tickets that are forecast (mean).", examples=[412.3], ge=0)
    lower: float = Field(description="Lower end of the 90 % interval.", examples=[301], ge=0)
    upper: float = Field(description="Upper end of the 90 % interval.", examples=[540], ge=0)
    last_weeks: float | None = Field(
        description="Tickets in as many days of the last four weeks known, weekday by weekday; null: nothing was known of one of the weekdays.",
        examples=[280.5],
    )
    last_year: int | None = Field(
        description="Tickets on the comparable days of last year, by kind of day; null: one of them is not known or excluded."
    )
    last_weeks_ratio: float | None = Field(description="`expected` by `last_weeks`; null if that is null or 0.", examples=[1.47])
    last_year_ratio: float | None = Field(description="`expected` by `last_year`; null if that is null or 0.", examples=[1.12])


class Heatmap(Model):
    """Areas by categories over a span of days: what is forecast, beside what is usual."""

    first_day: Day = Field(description="First day that is summed.", examples=["2025-11-09"])
    last_day: Day = Field(description="Last day that is summed.", examples=["2025-11-15"])
    known_until: Day = Field(description="Last local date that the forecast knew; the last four weeks end with it.", examples=["2025-11-08"])
    issued_at: datetime = Field(description="Moment at which the forecast was published.")
    areas: list[HeatmapNode] = Field(description="The rows, by code.")
    categories: list[HeatmapNode] = Field(description="The columns, by code.")
    items: list[HeatmapCell] = Field(description="The cells, by area and category; nodes that are not forecast have none.")
    next: str | None = NEXT
