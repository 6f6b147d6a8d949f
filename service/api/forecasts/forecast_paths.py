"""`/v1/forecasts`: what is coming, where, how sure, and why."""

import logging
import os
import threading
from collections.abc import Collection, Iterator
from datetime import date
from typing import Annotated, Any, BinaryIO, Literal

import pandas as pd
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from pydantic_core import to_json

from forecasting.detection.explain import Labels
from forecasting.errors import InputError
from forecasting.explanation import sentences
from forecasting.models import blend
from service import whole_set
from service.api.deps import Requires, Running, Service
from service.api.errors import Problem, problems
from service.api.forecasts.asked_set import AsOf, asked_set, require_days
from service.api.forecasts.published import Found, FoundMonths, Granularity, LoadedSet
from service.api.forecasts.schemas import Contribution, Explanation, ForecastPage, ForecastRow, HourRow, Member, MonthRow, WeekRow
from service.api.trees.nodes import ALL, allowed, visible
from service.api.web import bounds, pages
from service.api.web.answer_cache import repeated
from service.api.web.forms import MEDIA_TYPES, TABLES, chosen
from service.api.web.parameters import DEFAULT_ROWS, MOST_ROWS, Day, Export, Period, Places, as_of
from service.api.web.tables import table_response
from service.store.keys import Caller

router = APIRouter(tags=["counts and forecasts"])

A_MINUTE = 60.0  # a set does not change: its answers may be given again until another is published

ROWS: dict[Granularity, type[ForecastRow | WeekRow | MonthRow | HourRow]] = {
    "day": ForecastRow,
    "week": WeekRow,
    "month": MonthRow,
    "hour": HourRow,
}

WHOLE = frozenset({"nodes", "format", "granularity", "as_of"})  # parameters of the whole set; with others it is a part
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "The whole set is the one that `If-None-Match` names"}}
PIECE = 1 << 20  # bytes of a file that are sent at a time
_MAKING = threading.Lock()

log = logging.getLogger(__name__)


class ForecastParameters(Places, Period, Export, AsOf):
    """Parameters of `/v1/forecasts`."""

    granularity: Granularity = Field(
        "day",
        description="`day`: each day of the next four weeks. `week`: each of the next thirteen weeks of seven days after the cutoff; the days asked "
        "for choose the weeks that have one of them. `month`: each calendar month of those weeks. `hour`: each hour of today and tomorrow.",
    )
    nodes: Literal["bottom", "all"] = Field(
        "bottom",
        description="Where no area or no category is named: each district and each leaf category, or `all` nodes that are forecast, sums among them. "
        "`nodes=all&format=parquet` alone is the whole set as one file, with an `ETag`.",
    )

    @property
    def is_whole_set(self) -> bool:
        """Whether every day of every node is asked for."""
        return self.nodes == "all" and self.granularity == "day" and self.model_fields_set <= WHOLE


class ExplanationParameters(Places, AsOf):
    """Parameters of `/v1/forecasts/explain`."""

    day: Day | None = Field(None, alias="date", description="Local date; unless given, the first one forecast.", examples=["2025-11-15"])
    granularity: Literal["day", "week"] = Field(
        "day", description="`week`: the week of the outlook that has this day. An hour's forecast is its day's, times the share of its hour."
    )


@router.get(
    "/forecasts",
    operation_id="list_forecasts",
    summary="Forecasts with quantiles",
    responses=TABLES | problems(404) | UNCHANGED,
    response_model=ForecastPage,
)
@repeated(A_MINUTE)
def list_forecasts(
    request: Request,
    response: Response,
    asked: Annotated[ForecastParameters, Query()],
    service: Running,
    caller: Annotated[Caller, Requires("forecasts:read")],
) -> Response:
    """Expected tickets a day, week, month or hour with quantiles, from the current forecast set or, with `as_of`, from the one that was current then.

    Without `area` and `category`: every bottom series, that is each district with each leaf category; with a limited key, those of
    its districts. Without `from` and `to`: all days of the set; days that it does not hold are left out, unless it holds none of those
    asked for. Means add up over both trees; a display that rounds should round each number alone. All pages of one list come from one
    set, also if a new one is published meanwhile.

    The first weeks of the outlook are the sums of their days; later weeks know season and holidays and are wider. A month is the sum of weeks and
    days that are taken to be wrong together, so that its interval is wide rather than narrow. Hours are the day's mean times
    its profile, learnt by category for working and for free days; where no ticket tells its hour there are none (404).

    查询预测:按区、街乡镇、类别给出预计工单量及分位数;granularity 可选逐日(未来四周)、逐周、逐月(未来十三周)或逐小时(今明两日);
    nodes=all&format=parquet 一次取全市全部预测。
    """
    form = chosen(request, response, asked.format)
    place = pages.place(request, asked.next, pages.number, pages.number, _day)
    city = service.remembered.city()
    wanted = asked.areas(city.areas)
    allowed(city.areas, caller, wanted, "area")
    own = visible(city.areas, caller)
    wanted_categories = asked.categories(city.categories)
    found = asked_set(service, city, asked.as_of, None if place is None else place[0])
    kept_ready = form == "parquet" and own is None and asked.is_whole_set and found is city.current
    file = _whole_set(request, service, found) if kept_ready else None
    if file is not None:
        return file
    every_area = city.areas.at("district") if asked.nodes == "bottom" else found.areas
    wanted_areas = wanted or (every_area if own is None else every_area & own)
    wanted_categories = wanted_categories or (city.categories.leaves if asked.nodes == "bottom" else found.categories)
    today = _today(service, asked.as_of) if place is None else place[2]
    first_day, last_day = found.span(asked.granularity, today)
    start, end = asked.bounds(first_day, last_day)
    require_days(first_day, last_day, start, end, "from, to")
    start, end = max(start, first_day), min(end, last_day)
    bounds.require_days(start, end, service.settings)
    rows = found.find(asked.granularity, wanted_areas, wanted_categories, start, end)

    first = 0 if place is None else place[1]
    limit = asked.limit or (DEFAULT_ROWS if form == "json" else len(rows))
    last = min(first + limit, len(rows))
    following = pages.token(request, found.id, last, today.toordinal()) if last < len(rows) else None
    row = ROWS[asked.granularity]
    if form != "json":
        name = f"forecasts-{found.cutoff}" if asked.granularity == "day" else f"forecasts-{asked.granularity}s-{found.cutoff}"
        chunks = _chunks(service, rows, first, last)
        return table_response(request, form, name, row, chunks, zone=service.settings.timezone, bom=asked.bom, next_page=following)
    told = {
        "items": _records(service, rows, first, last),  # as the rows of ForecastPage: made here, they need no second check
        "next": following,
        "stale_since": None if city.stale_since is None else service.local(city.stale_since),
    }
    return Response(to_json(told), media_type=MEDIA_TYPES["json"], headers=dict(response.headers))


@router.get(
    "/forecasts/explain",
    operation_id="explain_forecast",
    summary="Why a forecast is what it is",
    responses=problems(404),
    response_model=Explanation,
)
def explain_forecast(
    asked: Annotated[ExplanationParameters, Query()],
    service: Running,
    caller: Annotated[Caller, Requires("forecasts:read")],
) -> Explanation:
    """What level, trend, recent news, weekday, holidays, season, weather and the rest add to the forecast of one node for one day or week.

    The contributions add up to `mean`. They explain what was published, from the current set or, with `as_of`, from the one that was
    current then, and know nothing later than `known_until`. Each node is explained by itself: the seasons of the districts do not add up
    to that of the city. Without `area` or `category`: `ALL`.

    说明某区域、某类别某日的预测:平常水平、趋势、近四周、星期、节假日、季节、天气等各贡献多少件。
    """
    city = service.remembered.city()
    areas, categories = city.areas, city.categories
    wanted = asked.areas(areas) or frozenset({ALL})
    allowed(areas, caller, wanted, "area")
    area, category = _one(wanted, "area"), _one(asked.categories(categories), "category")
    found = asked_set(service, city, asked.as_of)
    first_day, last_day = found.span(asked.granularity, _today(service, asked.as_of))
    day = asked.day or first_day
    require_days(first_day, last_day, day, day, "date")
    rows = found.find(asked.granularity, [area], [category], day, day)
    if not len(rows):
        raise Problem(404, f"'{category}' in '{area}' is not forecast", where="area, category", mend="ask for nodes that /v1/forecasts lists")
    assert isinstance(rows, Found)  # days and weeks
    parts = rows.parts()
    if parts is None:
        raise Problem(404, f"the forecasts known until {found.cutoff} were published without explanations", mend="ask for later ones, or train again")
    record: dict[str, Any] = {str(k): v for k, v in _table(service, rows, 0, 1).to_dict("records")[0].items()}
    names = [{("area", area): areas.label(area)[k], ("category", category): categories.label(category)[k]} for k in (0, 1)]
    zh, en = sentences(Labels(*names), area, category, record["date"], record["mean"], parts, asked.granularity == "week")
    return Explanation(
        **record,
        known_until=found.cutoff,
        contributions=Contribution.of(parts),
        members=[Member(name=name, weight=weight) for name, weight in blend.members(record["model"]).items()],
        sentence_zh=zh,
        sentence_en=en,
    )


def _whole_set(request: Request, service: Service, found: LoadedSet) -> Response | None:
    """The whole set as one file, or that the caller has it (304); None: it cannot be made ready, for the disk is full."""
    with _MAKING:  # of many who ask for a file that is not there one makes it
        try:
            path = whole_set.make(service.settings, found.frame, found.id, found.issued_at, found.run_id)
            file = path.open("rb")  # now: another process may delete it when the next set is published
        except OSError as error:
            log.warning("whole_set.not_made", extra={"forecast_set": found.id, "reason": str(error)})
            return None
    headers = {"ETag": f'"{path.stem}"', "Vary": "Accept", "Cache-Control": "private, no-cache"}
    given = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if headers["ETag"] in given or "*" in given:
        file.close()
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = f'attachment; filename="forecasts-all-{found.cutoff}.parquet"'
    headers["Content-Length"] = str(os.fstat(file.fileno()).st_size)
    return StreamingResponse(_pieces(file), media_type=MEDIA_TYPES["parquet"], headers=headers)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(PIECE):
            yield piece


def _one(codes: Collection[str], where: str) -> str:
    """The only code asked for; the root without any."""
    if len(codes) > 1:
        raise InputError(f"{len(codes)} values of '{where}'", where, "ask for one at a time")
    return next(iter(codes), ALL)


def _day(part: Any) -> date:
    """Reads the day that was today on the first page."""
    return date.fromordinal(pages.number(part))


def _today(service: Service, as_of_text: str | None) -> date:
    """The city's day at the moment that is asked about; nobody knows more than is known now."""
    now = service.clock.now()
    moment = now if as_of_text is None else min(as_of(as_of_text, service.clock), now)
    return moment.astimezone(service.clock.zone).date()


def _table(service: Service, found: Found | FoundMonths, first: int, last: int) -> pd.DataFrame:
    return found.table(first, last).assign(issued_at=service.local(found.issued_at))


def _records(service: Service, found: Found | FoundMonths, first: int, last: int) -> list[dict[str, Any]]:
    issued_at = service.local(found.issued_at)
    return [{**record, "issued_at": issued_at} for record in found.records(first, last)]


def _chunks(service: Service, found: Found | FoundMonths, first: int, last: int) -> Iterator[pd.DataFrame]:
    """The table in parts, so that a large export neither waits nor fills the memory; one part at least, for the header."""
    for start in range(first, max(last, first + 1), MOST_ROWS):
        yield _table(service, found, start, min(start + MOST_ROWS, last))
