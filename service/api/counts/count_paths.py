"""`/v1/counts`: what came in, alone and beside the days that it is to be compared with."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Annotated, Any, Literal

import pandas as pd
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from forecasting.errors import InputError
from service.api import periods
from service.api.counts import count_grid
from service.api.counts.comparison import Comparison
from service.api.counts.count_grid import CountGrid
from service.api.counts.known_days import Known, as_known, newest_finished, require_known
from service.api.counts.node_sums import NodeSums
from service.api.counts.schemas import ComparedPage, ComparedRow, CountPage, CountRow, HourCountRow, PeriodCountRow
from service.api.deps import Requires, Running, Service
from service.api.trees.nodes import allowed, area_tree, category_tree, visible
from service.api.web import bounds, pages
from service.api.web.forms import TABLES, Form, chosen
from service.api.web.parameters import DEFAULT_ROWS, MOST_ROWS, Export, Period, Places, as_of
from service.api.web.tables import records, table_response
from service.clock import Clock
from service.store import category_map, compaction, counts, excluded_spans
from service.store.engine import reading
from service.store.keys import Caller

router = APIRouter(prefix="/counts", tags=["counts and forecasts"])

DEFAULT_DAYS: dict[count_grid.Granularity, int] = {
    "day": 28,  # four of each weekday: what a person compares a new day with
    "week": 91,  # a quarter, as the outlook
    "month": 365,  # with the same month of last year
    "hour": 7,
}
MOST_DAYS_BY_HOURS = 92  # a quarter: each of its hours is added up from single tickets

ROWS: dict[count_grid.Granularity, type[CountRow | PeriodCountRow | HourCountRow]] = {
    "day": CountRow,
    "week": PeriodCountRow,
    "month": PeriodCountRow,
    "hour": HourCountRow,
}


class _Asked(Places, Period, Export):
    as_of: str | None = Field(
        None,
        max_length=40,
        description="Counts as they were known at a moment, or at the end of a day: what came in later, and corrections made later, are left out. "
        "Kept for `WEISU_KEEP_HISTORY_DAYS`, 400 unless set.",
        examples=["2025-11-15"],
    )


class CountParameters(_Asked):
    """Parameters of `/v1/counts`."""

    granularity: count_grid.Granularity = Field(
        "day",
        description="`day`, `week` (from Monday), `month`: the days asked for choose the weeks and months that have one of them. `hour`: by the hour "
        f"at which tickets were filed, {MOST_DAYS_BY_HOURS} days at most.",
    )
    recoded: bool = Field(False, description="Tell beside each count what it is in today's codes, by the category map; not by hours.")


class CompareParameters(_Asked):
    """Parameters of `/v1/counts/compare`."""

    granularity: Literal["day", "week", "month"] = Field("day", description="As in `/v1/counts`.")


@router.get("", operation_id="list_counts", summary="Tickets by day, week, month or hour", responses=TABLES, response_model=CountPage)
def list_counts(
    request: Request,
    response: Response,
    asked: Annotated[CountParameters, Query()],
    service: Running,
    caller: Annotated[Caller, Requires("forecasts:read")],
) -> CountPage | StreamingResponse:
    """Tickets by node and day, as they stand now or as they were known at `as_of`, summed over both trees; a day without tickets is there with 0.

    Each count stands under the code that it was filed under; `recoded=true` tells it in today's codes as well. Trees, category map and excluded
    spans are those of today.

    Without `area` and `category`: each district with each leaf category; with a limited key, those of its districts. Without `from`
    and `to`: the last 28 finished days with data (by weeks a quarter, by months a year, by hours 7 days). Days before the first or after the last
    one with data are left out, unless all of those asked for are. The day still running is there if asked for, as far as it has come in.

    查询历史工单量:按区、街乡镇、类别逐日(或逐周、逐月、逐小时)统计,可取任意层级合计;as_of 可回看当时所知,recoded 按现行分类折算。
    """
    form = chosen(request, response, asked.format)
    place = _place(request, asked)
    if asked.recoded and asked.granularity == "hour":
        raise InputError("hours are not told in today's codes", "recoded", "ask for days, weeks or months")
    sums, areas, known, clock = _asked_for(service, asked, caller)
    with reading(service.engine) as conn:
        recodings = category_map.read(conn) if asked.recoded else None
    span = _span(service, asked, known, clock, place)
    grid = CountGrid(sums, areas, span, asked.granularity, recodings, service.clock.zone)
    row = ROWS[asked.granularity]
    found = _answer(request, service, form, asked, place, grid, row, _file("counts", asked.granularity, span))
    return found if isinstance(found, StreamingResponse) else CountPage(items=found[0], next=found[1])


@router.get(
    "/compare", operation_id="compare_counts", summary="Tickets beside last week and last year", responses=TABLES, response_model=ComparedPage
)
def compare_counts(
    request: Request,
    response: Response,
    asked: Annotated[CompareParameters, Query()],
    service: Running,
    caller: Annotated[Caller, Requires("forecasts:read")],
) -> ComparedPage | StreamingResponse:
    """Each day beside the comparable day of last week and of last year, by kind of day.

    A working day is compared with the same weekday, of earlier weeks the first that was worked; of last year the nearest to 52 weeks before, around
    the lunar New Year the nearest to as many days from it. A weekend day that was worked is compared as a Wednesday. A holiday is compared with the
    same day of the same holiday last year, and with nothing of last week. A week or month stands beside the comparable days of its days; null where
    one of them has none, lies before the first day with data, or is excluded.

    同比环比:每日与上周、上年可比日并列,区分工作日、调休、节假日,春节按农历对齐。
    """
    form = chosen(request, response, asked.format)
    place = _place(request, asked)
    sums, areas, known, clock = _asked_for(service, asked, caller)
    span = _span(service, asked, known, clock, place)
    finished = None if known is None else (known[0], newest_finished(clock, known))
    grid = Comparison(sums, areas, span, finished, asked.granularity, service.settings.country)
    found = _answer(request, service, form, asked, place, grid, ComparedRow, _file("counts-compared", asked.granularity, span))
    return found if isinstance(found, StreamingResponse) else ComparedPage(items=found[0], next=found[1])


def _asked_for(service: Service, asked: _Asked, caller: Caller) -> tuple[NodeSums, list[str], Known, Clock]:
    """What is to be counted, for which areas, of which days there is anything, and the clock of the moment asked about.

    Raises:
        InputError: nothing was known then, or a node is not known.
        Problem: an area lies outside of the caller's districts (403).
    """
    with reading(service.engine) as conn:
        areas, categories = area_tree(conn), category_tree(conn)
        span = counts.span(conn)
        marked = excluded_spans.frame(conn)
        moment = None if asked.as_of is None else min(as_of(asked.as_of, service.clock), service.clock.now())
        if moment is not None:
            compaction.require_known(conn, moment)
    wanted = asked.areas(areas)
    allowed(areas, caller, wanted, "area")
    own = visible(areas, caller)
    wanted_areas = sorted(wanted or (areas.at("district") if own is None else areas.at("district") & own))
    wanted_categories = sorted(asked.categories(categories) or categories.leaves)
    known, clock = as_known(service.clock, span, moment)
    return NodeSums(areas, categories, wanted_categories, marked, moment), wanted_areas, known, clock


def _place(request: Request, asked: _Asked) -> list[Any] | None:
    """The last row of the page before, and the first and the last day of its list; None on the first page."""
    return pages.place(request, asked.next, pages.text, pages.text, pages.day, pages.number, pages.day, pages.day)


def _span(
    service: Service, asked: CountParameters | CompareParameters, known: Known, clock: Clock, place: list[Any] | None
) -> tuple[date, date] | None:
    """First and last day to answer for; on further pages those of the first, whatever has come in since.

    Raises:
        InputError: there are counts, but none on the days asked for, or these are too many to be told by hours.
        Problem: they are more than the settings allow (422).
    """
    if known is None:
        return None
    granularity = asked.granularity
    newest = newest_finished(clock, known)
    if place is None:
        start, end = asked.bounds(max(newest - timedelta(days=DEFAULT_DAYS[granularity] - 1), known[0]), newest)
    else:
        start, end = place[-2:]
    require_known(known, start, end)
    last = known[1] if end > newest else newest
    if place is None and granularity in ("week", "month"):
        period: periods.Period = "week" if granularity == "week" else "month"
        start, end = periods.first_of(max(start, known[0]), period), periods.last_of(min(end, last), period)
    start, end = max(start, known[0]), min(end, last)
    if granularity == "hour" and (end - start).days >= MOST_DAYS_BY_HOURS:
        raise InputError(f"{(end - start).days + 1} days by hours", "from, to", f"ask for {MOST_DAYS_BY_HOURS} days at most, or for days")
    bounds.require_days(start, end, service.settings)
    return (start, end) if start <= end else None


def _file(name: str, granularity: str, span: tuple[date, date] | None) -> str:
    """A file name that tells what is in it."""
    parts = [name, *([] if granularity == "day" else [f"{granularity}s"]), *([] if span is None else [f"{span[0]}", f"{span[1]}"])]
    return "-".join(parts)


def _answer(
    request: Request,
    service: Service,
    form: Form,
    asked: _Asked,
    place: list[Any] | None,
    grid: CountGrid | Comparison,
    row: type[CountRow | PeriodCountRow | HourCountRow | ComparedRow],
    name: str,
) -> StreamingResponse | tuple[Any, str | None]:
    """The rows of a page and the token of the next one, or all rows as a file."""
    order = grid.order
    first = 0 if place is None else order.after((place[0], place[1], place[2], place[3]))
    last = min(first + (asked.limit or (DEFAULT_ROWS if form == "json" else len(order))), len(order))
    following = pages.token(request, *order.place(last - 1), *grid.span) if grid.span is not None and last < len(order) else None
    if form != "json":
        chunks = _chunks(service, grid, first, last)
        return table_response(request, form, name, row, chunks, zone=service.settings.timezone, bom=asked.bom, next_page=following)
    with reading(service.engine) as conn:
        return [row.model_validate(record) for record in records(grid.rows(conn, first, last))], following


def _chunks(service: Service, grid: CountGrid | Comparison, first: int, last: int) -> Iterator[pd.DataFrame]:
    """The table in parts of one moment, so that a large export does not fill the memory; one part at least, for the header."""
    with reading(service.engine, apart=True) as conn:
        for start in range(first, max(last, first + 1), MOST_ROWS):
            yield grid.rows(conn, start, min(start + MOST_ROWS, last))
