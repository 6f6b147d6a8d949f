"""Tickets and their intake as the API takes and tells them. Names, types and units are a promise: later versions only add."""

from datetime import date as Day
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from service.api.schemas import Model


class Ingest(Model):
    """The last intake of data."""

    id: int
    kind: str = Field(description="tickets, counts, drivers, areas or categories.", examples=["tickets"])
    status: str = Field(description="running (being read), applying (kept as a whole, being counted), done or failed.", examples=["done"])
    started_at: datetime
    finished_at: datetime | None = None


class RejectedRow(Model):
    """A row that was not taken, and why."""

    index: int | None = Field(None, description="Its place in a JSON body, from 0.", examples=[0])
    line: int | None = Field(None, description="Its line, from 1, in NDJSON, CSV or a file; its row, from 1, in Parquet.", examples=[17])
    ticket_id: str = Field(description="As sent; empty if it has none.")
    field: str = Field(description="The field concerned; empty: the row as a whole.", examples=["created_at"])
    reason: str = Field(description="What is wrong.", examples=["created_at is no moment"])


class IngestDetail(Ingest):
    """What became of an intake: of a file, or of a request to `/v1/tickets` or `/v1/drivers`."""

    rows: int = Field(description="Rows that came.")
    added: int = Field(description="Rows that were new.")
    changed: int = Field(description="Rows that changed what was known.")
    unchanged: int = Field(description="Rows that were known already, or older than what is known.")
    rejected: int = Field(description="Rows that are wrong.")
    later: int = Field(description="Rows later than the service's clock, left out: send them again.")
    left_out: int = Field(0, description="Rows that are no demand (consultations), left out.")
    first_day: Day | None = Field(None, description="First local day of the rows taken.")
    last_day: Day | None = Field(None, description="Last local day of the rows taken.")
    new_areas: list[str] = Field(description="Codes of areas met for the first time.")
    new_categories: list[str] = Field(description="Codes of categories met for the first time.")
    rejects: list[RejectedRow] = Field(description="The first 1000 rows that are wrong.")
    error: str | None = Field(None, description="Why it failed.")


Cell = str | float
"""A member of a row in JSON: a number is read as the text that it is written as, and a text as the number that it says."""

Code = Annotated[str, Field(max_length=200)] | float
"""A text that names something."""


class TicketIn(BaseModel):
    """A ticket. The headers of 12345 exports are understood for these names, too."""

    ticket_id: Code = Field(description="Identifies it within its source.", examples=["20251109000123"])
    created_at: str = Field(
        description="When the citizen called: ISO 8601; without an offset, local time of the city.", examples=["2025-11-09T07:12:30+08:00"]
    )
    category: Code | None = Field(None, description="Code, label, or path `first->second->third`; needed, or `path_1`.", examples=["HEAT"])
    district: Code | None = Field(None, description="Code or label.", examples=["110105"])
    street: Code | None = Field(None, description="Code or label.")
    received_at: Cell | None = Field(None, description="When the hotline had it; left out: `created_at`.")
    updated_at: Cell | None = Field(None, description="Version: an older one than is known changes nothing.")
    closed_at: Cell | None = Field(None, description="When it was handled.")
    status: Code | None = Field(None, examples=["open"])
    category_l1: Code | None = Field(None, description="First level, where `category` names the second alone.")
    path_1: Code | None = Field(None, description="With `path_2` and `path_3`: the levels one by one, in place of `category`.")
    path_2: Code | None = None
    path_3: Code | None = None
    source: Code | None = Field(None, description="The system it comes from; left out: `hotline`.")
    lat: Cell | None = Field(None, description="A number, also as a text.")
    lon: Cell | None = Field(None, description="A number, also as a text.")
    ticket_type: Cell | None = Field(None, description="A ticket of a type that is no demand (咨询) is left out.", examples=["投诉"])
    caller: Cell | None = Field(None, description="Number or account of the caller: kept as a keyed hash that tells repeats, never as it is.")
    title: Cell | None = Field(None, description="This and the two below are kept, masked, where the installation keeps texts; otherwise ignored.")
    text: Cell | None = None
    closure_text: Cell | None = None
