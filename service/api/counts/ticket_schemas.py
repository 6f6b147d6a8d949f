"""What the list of tickets answers with. Names, types and units are a promise: later versions only add."""

from datetime import date as Day
from datetime import datetime

from pydantic import Field

from service.api.schemas import NEXT, Model


class TicketRow(Model):
    """A ticket, without anything that says who called, where they live or what they said."""

    source: str = Field(description="System that it came from.", examples=["12345"])
    ticket_id: str = Field(description="Its number there; with it the hotline's own system opens the ticket.", examples=["20251108000123"])
    area: str = Field(description="Code of the area that it is filed under, the deepest known.", examples=["110105012"])
    category: str = Field(description="Code of the category that it is filed under.", examples=["HEAT"])
    date: Day = Field(description="Local date on which it was created.", examples=["2025-11-08"])
    created_at: datetime = Field(description="Moment at which it was created.")
    received_at: datetime = Field(description="Moment from which on it is counted here: when it came in, or was moved here.")
    updated_at: datetime | None = Field(None, description="Moment of its newest version; null: not told.")
    closed_at: datetime | None = Field(None, description="Moment at which it was closed; null: it is open, or not told.")
    status: str | None = Field(None, description="Status in its own system; null: not told.", examples=["办结"])


class TicketsBehind(Model):
    """The tickets behind a count, by day and moment, and what else the count is made of: `count` = `tickets` + `without_ticket` + `moved_since`."""

    count: int = Field(description="What `/v1/counts` says of these areas, categories, days (or hours), each ticket once.", examples=[128])
    tickets: int = Field(description="Tickets that this list has, over all of its pages.", examples=[128])
    without_ticket: int = Field(description="Of the count, what was delivered as counts alone: there is no ticket behind it.", examples=[0])
    moved_since: int = Field(
        description="With `as_of`: tickets that were counted here then, and have been filed elsewhere or taken out since; the list cannot tell them. "
        "Without it 0.",
        examples=[0],
    )
    items: list[TicketRow]
    next: str | None = NEXT
