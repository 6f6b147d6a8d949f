"""What the paths of intake take and answer, besides tickets."""

from datetime import date as Day
from datetime import datetime

from pydantic import BaseModel, Field, RootModel

from service.api.intake.schemas import Cell, Code, IngestDetail, RejectedRow
from service.api.schemas import Model


class DryRun(Model):
    """What a request would bring. Nothing is stored. 试运行结果,不写入任何数据。"""

    dry_run: bool = Field(True, description="Always true: this is no intake.")
    kind: str = Field(description="tickets or drivers.", examples=["tickets"])
    rows: int = Field(description="Rows that came.")
    taken: int = Field(description="Rows that would be taken, new, known or corrections.")
    rejected: int = Field(description="Rows that are wrong.")
    later: int = Field(description="Rows later than the service's clock, that would be left out.")
    left_out: int = Field(description="Rows that are no demand (consultations), that would be left out.")
    first_day: Day | None = Field(None, description="First local day of the rows taken.")
    last_day: Day | None = Field(None, description="Last local day of the rows taken.")
    new_areas: list[str] = Field(description="Codes of areas met for the first time.")
    new_categories: list[str] = Field(description="Codes of categories met for the first time.")
    rejects: list[RejectedRow] = Field(description="The first 1000 rows that are wrong.")


class Sent(RootModel[IngestDetail | DryRun]):
    """What became of a request, or, of a dry run, what would become of it."""


class DriverIn(BaseModel):
    """A value of a driver, such as the weather of a day. 驱动因素(如天气)的一个日值。"""

    name: Code = Field(description="Which driver.", examples=["temperature_max"])
    date: str = Field(description="Local date that it is of.", examples=["2025-11-12"])
    value: Cell = Field(description="A number, also as a text; in the driver's own unit, the same in all rows.", examples=[-3.5])
    district: Code | None = Field(None, description="Code or label; left out: the whole city.", examples=["110105"])
    issued_at: str | None = Field(
        None,
        description="When it was issued, for a forecast; without an offset, local time. Left out: an observation, known from the end of its day.",
        examples=["2025-11-09T06:00:00+08:00"],
    )


class DriverRow(Model):
    """A value of a driver, as it was known at a moment."""

    name: str = Field(examples=["temperature_max"])
    area: str = Field(description="District; `ALL`: the whole city.", examples=["ALL"])
    date: Day = Field(description="Local date that it is of.", examples=["2025-11-12"])
    value: float = Field(description="In the unit of the driver.", examples=[-3.5])
    issued_at: datetime = Field(description="When it was issued; of an observation, the end of its day.")
    observed: bool = Field(description="Whether it was observed; else it is a forecast.")


class DriverPage(Model):
    """Drivers, by name, area, date and issue."""

    items: list[DriverRow]
    next: str | None = Field(None, description="Pass it as `next` to get the following page; null: this is the last one. Opaque.")
