"""`GET /v1/tickets`: the tickets behind a count."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

import pandas as pd
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from forecasting.errors import InputError
from service.api.counts.known_days import Known, as_known, newest_finished, require_known
from service.api.counts.ticket_schemas import TicketRow, TicketsBehind
from service.api.deps import Requires, Running, Service
from service.api.trees.nodes import ALL, Nodes, allowed, area_tree, category_tree, visible
from service.api.web import bounds, pages
from service.api.web.forms import TABLES, chosen
from service.api.web.parameters import DEFAULT_ROWS, MOST_ROWS, Export, Period, Places, as_of
from service.api.web.tables import records, table_response
from service.clock import Clock
from service.store import compaction, counts
from service.store import ticket_list as store
from service.store.engine import reading
from service.store.keys import Caller
from service.store.ticket_list import Cell, Place

router = APIRouter(tags=["counts and forecasts"])

DEFAULT_DAYS = 7
_MOMENTS = ("created_at", "received_at", "updated_at", "closed_at")


class TicketListParameters(Places, Period, Export):
    """Parameters of `GET /v1/tickets`."""

    hour: list[Annotated[int, Field(ge=0, le=23)]] = Field(
        [], description="Hours on the city's clock, repeated; of one day, that is `from` and `to` the same.", examples=[[17]]
    )
    as_of: str | None = Field(
        None,
        max_length=40,
        description="Of the count as it was known at a moment, or at the end of a day, those tickets that are still counted where they were then.",
        examples=["2025-11-15"],
    )


@router.get("/tickets", operation_id="list_tickets", summary="The tickets behind a count", responses=TABLES, response_model=TicketsBehind)
def list_tickets(
    request: Request,
    response: Response,
    asked: Annotated[TicketListParameters, Query()],
    service: Running,
    caller: Annotated[Caller, Requires("forecasts:read")],
) -> TicketsBehind | StreamingResponse:
    """The tickets that `/v1/counts` counts under these nodes on these days, each once, and how many of the count have no ticket behind them.

    With the parameters of a row of `/v1/counts` (area, category, from = to = date, hour) there are as many tickets as its `count` says, less what
    came as counts alone. Listed is what is counted: no consultations, no ticket that gives way to counts of the same district and day, and each
    under the code that it was filed under (`recoded` counts are shares and have no tickets of their own). Without `area` and `category`: all; with
    a limited key, its districts. Without `from` and `to`: the last seven finished days with data.

    Nothing tells who called, where they live or what they said; therefore a key that reads counts may read it.

    下钻:任一单元格背后的工单(编号、区域、类别、时间、状态),件数与统计一致;不含诉求人、地址和内容。
    """
    form = chosen(request, response, asked.format)
    place = pages.place(request, asked.next, pages.day, pages.moment, pages.text, pages.text)
    after = None if place is None else (place[0], place[1], place[2], place[3])
    moment = None if asked.as_of is None else min(as_of(asked.as_of, service.clock), service.clock.now())
    with reading(service.engine) as conn:
        areas, categories = area_tree(conn), category_tree(conn)
        if moment is not None:
            compaction.require_known(conn, moment)
        known, clock = as_known(service.clock, counts.span(conn), moment)
        wanted = asked.areas(areas)
        allowed(areas, caller, wanted, "area")
        own = visible(areas, caller)
        codes = _codes(areas, wanted) if wanted else own
        start, end = _span(asked, known, clock)
        bounds.require_days(start, end, service.settings)
        cell = Cell(codes, _codes(categories, asked.categories(categories)), start, end, _hours(asked, start, end, service.clock), moment)
    name, zone = f"tickets-{start}-{end}", service.settings.timezone
    if form != "json" and asked.limit is None:
        chunks = _chunks(service, cell, after)
        return table_response(request, form, name, TicketRow, chunks, zone=zone, bom=asked.bom, next_page=None)
    limit = asked.limit or DEFAULT_ROWS
    with reading(service.engine) as conn:
        found = store.rows(conn, cell, after, limit + 1)
        page = found.iloc[:limit]
        following = _token(request, _place(page)) if len(found) > limit else None
        if form != "json":
            return table_response(request, form, name, TicketRow, [_told(service, page)], zone=zone, bom=asked.bom, next_page=following)
        behind = store.behind(conn, cell)
    return TicketsBehind(
        count=behind.count,
        tickets=behind.tickets,
        without_ticket=behind.without_ticket,
        moved_since=behind.count - behind.tickets - behind.without_ticket,
        items=[TicketRow.model_validate(record) for record in records(_told(service, page))],
        next=following,
    )


def _codes(tree: Nodes[Any], wanted: frozenset[str]) -> frozenset[str] | None:
    """Codes as tickets carry them, of some nodes; None: of all."""
    return None if not wanted or ALL in wanted else tree.under(wanted)


def _span(asked: TicketListParameters, known: Known, clock: Clock) -> tuple[date, date]:
    """First and last day to answer for. Raises InputError if there are counts, but none on the days asked for."""
    if known is None:
        return clock.business_date(), clock.business_date()
    newest = newest_finished(clock, known)
    start, end = asked.bounds(max(newest - timedelta(days=DEFAULT_DAYS - 1), known[0]), newest)
    require_known(known, start, end)
    return max(start, known[0]), min(end, known[1])


def _hours(asked: TicketListParameters, start: date, end: date, clock: Clock) -> list[datetime] | None:
    """The moments at which the hours asked for begin. Raises InputError if they are of several days."""
    if not asked.hour:
        return None
    if start != end:
        raise InputError(f"hours of the days from {start} to {end}", "hour", "ask for one day, with 'from' and 'to' the same")
    begin = datetime.combine(start, time.min, clock.zone).astimezone(UTC)
    halves = int((clock.end_of(start) - begin) / timedelta(minutes=30))  # clocks are shifted by an hour, in one place by half of it
    moments = [begin + timedelta(minutes=30 * number) for number in range(halves)]
    local = [moment.astimezone(clock.zone) for moment in moments]
    return [moment for moment, told in zip(moments, local, strict=True) if told.hour in asked.hour and told.minute == 0]


def _chunks(service: Service, cell: Cell, after: Place | None) -> Iterator[pd.DataFrame]:
    """The list in parts of one moment, so that a large export does not fill the memory; one part at least, for the header."""
    more = True
    with reading(service.engine, apart=True) as conn:
        while more:
            found = store.rows(conn, cell, after, MOST_ROWS)
            yield _told(service, found)
            more = len(found) == MOST_ROWS
            if more:
                after = _place(found)


def _told(service: Service, found: pd.DataFrame) -> pd.DataFrame:
    """Rows as they are shown: dates as dates, moments with the city's offset."""
    local = {name: found[name].dt.tz_convert(service.clock.zone) for name in _MOMENTS}
    return found.assign(date=found["date"].dt.date, **local)


def _place(page: pd.DataFrame) -> Place:
    """The place of the last ticket of a page."""
    last = page.iloc[-1]
    return last["date"].date(), last["created_at"].to_pydatetime(), last["source"], last["ticket_id"]


def _token(request: Request, place: Place) -> str:
    return pages.token(request, place[0].isoformat(), *place[1:])
