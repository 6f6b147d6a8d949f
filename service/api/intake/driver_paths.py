"""`/v1/drivers`: weather and other inputs, observed and forecast, each known from the moment it was issued."""

from collections.abc import Iterator
from typing import Annotated

import pandas as pd
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy import Connection

from service.api.deps import Requires, Running, Service
from service.api.errors import problems
from service.api.intake import sending
from service.api.intake.driver_schemas import DriverIn, DriverPage, DriverRow, DryRun, Sent
from service.api.intake.ingest_paths import ingest_of
from service.api.intake.schemas import IngestDetail
from service.api.intake.sending import IdempotencyKey, Sending
from service.api.trees.nodes import ALL, allowed, area_tree
from service.api.web import bounds, pages
from service.api.web.forms import CSV_TWIN, chosen
from service.api.web.parameters import DEFAULT_ROWS, MOST_ROWS, Period, Table, as_of, named
from service.api.web.row_bodies import Body, described, received
from service.api.web.tables import CSV, csv_response
from service.intake import requests
from service.store import drivers
from service.store.engine import reading
from service.store.keys import Caller

router = APIRouter(tags=["intake"])


@router.post(
    "/drivers",
    operation_id="send_drivers",
    summary="Send drivers",
    response_model=Sent,
    responses=problems(409, 413, 415),
    openapi_extra=described("drivers", DriverIn.model_json_schema()),
)
async def send_drivers(
    request: Request,
    service: Running,
    caller: Annotated[Caller, Requires("tickets:write")],
    asked: Sending,
    idempotency_key: IdempotencyKey = None,
) -> IngestDetail | DryRun:
    """Takes weather and other inputs in: with `issued_at` a forecast, as it was known then; without, what was observed.

    Each is kept with its issue: a later forecast of the same day stands beside the earlier one, and so does what is observed at last. The same
    issue sent again counts as unchanged, or takes the place of the value there was. Wrong rows are rejected one by one. A `district` has to be
    known already. A key limited to districts can send drivers of these alone.

    接收天气等驱动因素:预报(带发布时间)与实况分别保存,可重复发送。
    """
    async with received(request, service.settings) as body:
        if asked.dry_run:
            return await run_in_threadpool(sending.tried, service, caller, body, "drivers")
        return await run_in_threadpool(_take, service, caller, body, idempotency_key)


def _take(service: Service, caller: Caller, body: Body, request_key: str | None) -> IngestDetail:
    taken = sending.accepted(service, caller, body, "drivers", request_key, requests.take_drivers)
    with reading(service.engine) as conn:
        return ingest_of(service, conn, taken)


class DriverParameters(Period, Table):
    """Parameters of `/v1/drivers`."""

    name: list[str] = Field([], description="Names of drivers, repeated.", examples=[["temperature_max"]])
    area: list[str] = Field([], description="Districts, repeated or comma-separated, or `ALL`: values of the whole city.", examples=[["ALL"]])
    as_of: str | None = Field(
        None,
        max_length=40,
        description="Values as they were known at a moment, or at the end of a day: what was issued later is left out.",
        examples=["2025-11-15"],
    )
    all_issues: bool = Field(False, description="Every value with its issue, and not only the one that counts.")


@router.get("/drivers", operation_id="list_drivers", summary="Drivers as they are known", responses=CSV, response_model=DriverPage)
def list_drivers(
    request: Request,
    response: Response,
    asked: Annotated[DriverParameters, Query()],
    service: Running,
    caller: Annotated[Caller, Requires("forecasts:read")],
) -> DriverPage | StreamingResponse:
    """Weather and other inputs as they are known: of each name, area and day the observation or, until there is one, the newest forecast.

    With `as_of` as they were known then, with `all_issues=true` all that was ever issued. A key limited to districts sees these and what is of
    the whole city.

    查询已知的天气等驱动因素;as_of 可回看当时所知,all_issues 列出历次发布。
    """
    form = chosen(request, response, asked.format, CSV_TWIN)
    after = pages.place(request, asked.next, pages.text, pages.text, pages.day, pages.moment, pages.flag)
    with reading(service.engine) as conn:
        tree = area_tree(conn)
    areas = named(tree, asked.area, "area")
    allowed(tree, caller, areas - {ALL}, "area")
    if not areas and caller.districts is not None:
        areas = caller.districts | {ALL}
    start, end = asked.start, asked.end
    if start is not None or end is not None:
        with reading(service.engine) as conn:
            held = drivers.span(conn) or (service.clock.business_date(),) * 2
        first, last = asked.bounds(*held)
        bounds.require_days(max(first, held[0]), min(last, held[1]), service.settings)
    now = service.clock.now()
    moment = now if asked.as_of is None else min(as_of(asked.as_of, service.clock), now)
    names = (
        [name for name in asked.name if name.isprintable()] if asked.name else None
    )  # no other is stored, and PostgreSQL refuses to look for a NUL
    wanted = drivers.Wanted(moment, not asked.all_issues, names, areas or None, start, end)
    place = None if after is None else (after[0], after[1], after[2], after[3], after[4])
    if form == "csv" and asked.limit is None:
        return csv_response(request, "drivers", _chunks(service, wanted, place), bom=asked.bom, next_page=None)
    limit = asked.limit or DEFAULT_ROWS
    with reading(service.engine) as conn:
        rows = _rows(service, conn, wanted, limit + 1, place)
    following = pages.token(request, *_place(rows.iloc[limit - 1])) if len(rows) > limit else None
    rows = rows.head(limit)
    if form == "csv":
        return csv_response(request, "drivers", [rows], bom=asked.bom, next_page=following)
    return DriverPage(items=[DriverRow.model_validate(row) for row in rows.to_dict("records")], next=following)


def _rows(service: Service, conn: Connection, wanted: drivers.Wanted, limit: int, after: drivers.Place | None) -> pd.DataFrame:
    """Rows as the API shows them."""
    rows = drivers.known(conn, wanted, limit, after)
    return rows.assign(date=rows["date"].dt.date, issued_at=rows["issued_at"].dt.tz_convert(service.settings.zone))


def _chunks(service: Service, wanted: drivers.Wanted, after: drivers.Place | None) -> Iterator[pd.DataFrame]:
    """The whole table in parts of one moment; one part at least, for the header."""
    with reading(service.engine, apart=True) as conn:
        while True:
            rows = _rows(service, conn, wanted, MOST_ROWS, after)
            yield rows
            if len(rows) < MOST_ROWS:
                return
            after = _place(rows.iloc[-1])


def _place(row: pd.Series) -> drivers.Place:
    return row["name"], row["area"], row["date"], row["issued_at"].to_pydatetime(), bool(row["observed"])
