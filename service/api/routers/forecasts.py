"""`/v1/forecasts`: what is coming, where, and how sure."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import pandas as pd
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy import Connection

from forecasting.errors import InputError
from service.api import pages
from service.api.deps import Requires, Running, Service
from service.api.errors import Problem, problems
from service.api.nodes import allowed, area_tree, category_tree, visible
from service.api.parameters import DEFAULT_ROWS, MOST_ROWS, Period, Places, Table, as_of
from service.api.published import LoadedSet
from service.api.schemas import ForecastPage, ForecastRow
from service.api.tables import CSV, csv_response
from service.store.engine import reading
from service.store.keys import Caller

router = APIRouter(tags=["counts and forecasts"])


class ForecastParameters(Places, Period, Table):
    """Parameters of `/v1/forecasts`."""

    as_of: str | None = Field(
        None,
        max_length=40,
        description="Answer with the forecasts that were current then: a local date (its end) or a moment.",
        examples=["2025-11-08"],
    )


@router.get(
    "/forecasts",
    operation_id="list_forecasts",
    summary="Forecasts with quantiles",
    responses=CSV | problems(404),
    response_model=ForecastPage,
)
def list_forecasts(
    request: Request,
    asked: Annotated[ForecastParameters, Query()],
    service: Running,
    caller: Annotated[Caller, Requires("forecasts:read")],
) -> ForecastPage | StreamingResponse:
    """Expected tickets a day with quantiles, from the current forecast set or, with `as_of`, from the one that was current then.

    Without `area` and `category`: every bottom series, that is each district with each leaf category; with a limited key, those of
    its districts. Without `from` and `to`: all days of the set; days that it does not hold are left out, unless it holds none of those
    asked for. Means add up over both trees; a display that rounds should round each number alone. All pages of one list come from one
    set, also if a new one is published meanwhile.

    查询预测:按区、街乡镇、类别、日期给出每日预计工单量及分位数。
    """
    place = pages.place(request, asked.next, pages.number, pages.number)
    with reading(service.engine) as conn:
        areas, categories = area_tree(conn), category_tree(conn)
        wanted = asked.areas(areas)
        allowed(areas, caller, wanted, "area")
        own = visible(areas, caller)
        wanted_areas = wanted or (areas.at("district") if own is None else areas.at("district") & own)
        wanted_categories = asked.categories(categories) or categories.leaves
        found = _set(service, conn, asked.as_of, None if place is None else place[0])
    start, end = asked.bounds(found.first_day, found.last_day)
    if start > found.last_day or end < found.first_day:
        days = f"{found.first_day} to {found.last_day}"
        raise InputError(f"the forecast set holds {days}, none of the days asked for", "from, to", f"ask for days from {days}")
    rows = found.find(wanted_areas, wanted_categories, start, end)

    first = 0 if place is None else place[1]
    limit = asked.limit or (len(rows) if asked.format == "csv" else DEFAULT_ROWS)
    page = rows[first : first + limit]
    following = pages.token(request, found.id, first + limit) if first + limit < len(rows) else None
    if asked.format == "csv":
        return csv_response(request, f"forecasts-{found.cutoff}", _chunks(service, found, page), bom=asked.bom, next_page=following)
    items = [ForecastRow.model_validate(row) for row in _table(service, found, page).to_dict("records")]
    return ForecastPage(items=items, next=following)


def _set(service: Service, conn: Connection, as_of_text: str | None, set_id: int | None) -> LoadedSet:
    """The set to answer from: that of the page before, that of `as_of`, or the current one."""
    if set_id is not None:
        return service.forecasts.get(conn, set_id)
    if as_of_text is not None:
        found = service.forecasts.as_of(conn, as_of(as_of_text, service.clock))
        if found is None:
            raise Problem(404, f"no forecasts were published by {as_of_text}", where="as_of", mend="ask for a later day")
        return found
    found = service.forecasts.current(conn)
    if found is None:
        raise Problem(503, "no forecasts are published yet", mend="wait for the first nightly run, or start 'weisu train'")
    return found


def _table(service: Service, found: LoadedSet, rows: np.ndarray) -> pd.DataFrame:
    return found.table(rows).assign(issued_at=service.local(found.issued_at))


def _chunks(service: Service, found: LoadedSet, rows: np.ndarray) -> Iterator[pd.DataFrame]:
    """The table in parts, so that a large export neither waits nor fills the memory; one part at least, for the header."""
    for first in range(0, max(len(rows), 1), MOST_ROWS):
        yield _table(service, found, rows[first : first + MOST_ROWS])
