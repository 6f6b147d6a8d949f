"""`/v1/forecasts`: what is coming, where, how sure, and why."""

from collections.abc import Collection, Iterator
from datetime import date
from typing import Annotated, Any, Literal

import pandas as pd
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from forecasting.detection.explain import Labels
from forecasting.errors import InputError
from forecasting.explanation import sentences
from forecasting.models import blend
from service.api import pages
from service.api.deps import Requires, Running, Service
from service.api.errors import Problem, problems
from service.api.nodes import ALL, allowed, visible
from service.api.parameters import DEFAULT_ROWS, MOST_ROWS, Day, Parameters, Period, Places, Table, as_of
from service.api.published import Found, Granularity, LoadedSet
from service.api.recent import City
from service.api.repeated import repeated
from service.api.schemas import Contribution, Explanation, ForecastPage, ForecastRow, HourRow, Member, WeekRow
from service.api.tables import CSV, csv_response
from service.store.engine import reading
from service.store.keys import Caller

router = APIRouter(tags=["counts and forecasts"])

A_MINUTE = 60.0  # a set does not change: its answers may be given again until another is published

ROWS: dict[Granularity, type[ForecastRow | WeekRow | HourRow]] = {"day": ForecastRow, "week": WeekRow, "hour": HourRow}


class AsOf(Parameters):
    """Which set to answer from."""

    as_of: str | None = Field(
        None,
        max_length=40,
        description="Answer with the forecasts that were current then: a local date (its end) or a moment.",
        examples=["2025-11-08"],
    )


class ForecastParameters(Places, Period, Table, AsOf):
    """Parameters of `/v1/forecasts`."""

    granularity: Granularity = Field(
        "day",
        description="`day`: each day of the next four weeks. `week`: each of the next thirteen weeks of seven days after the cutoff; the days asked "
        "for choose the weeks that have one of them. `hour`: each hour of today and tomorrow.",
    )


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
    responses=CSV | problems(404),
    response_model=ForecastPage,
)
@repeated(A_MINUTE)
def list_forecasts(
    request: Request,
    asked: Annotated[ForecastParameters, Query()],
    service: Running,
    caller: Annotated[Caller, Requires("forecasts:read")],
) -> ForecastPage | StreamingResponse:
    """Expected tickets a day, a week or an hour with quantiles, from the current forecast set or, with `as_of`, from the one that was current then.

    Without `area` and `category`: every bottom series, that is each district with each leaf category; with a limited key, those of
    its districts. Without `from` and `to`: all days of the set; days that it does not hold are left out, unless it holds none of those
    asked for. Means add up over both trees; a display that rounds should round each number alone. All pages of one list come from one
    set, also if a new one is published meanwhile.

    The first weeks of the outlook are the sums of their days; later weeks know season and holidays and are wider. Hours are the day's mean times
    its profile, learnt by category for working and for free days; where no ticket tells its hour there are none (404).

    查询预测:按区、街乡镇、类别给出预计工单量及分位数;granularity 可选逐日(未来四周)、逐周(未来十三周)或逐小时(今明两日)。
    """
    place = pages.place(request, asked.next, pages.number, pages.number, _day)
    city = service.recent.city()
    wanted = asked.areas(city.areas)
    allowed(city.areas, caller, wanted, "area")
    own = visible(city.areas, caller)
    wanted_areas = wanted or (city.areas.at("district") if own is None else city.areas.at("district") & own)
    wanted_categories = asked.categories(city.categories) or city.categories.leaves
    found = _set(service, city, asked.as_of, None if place is None else place[0])
    today = _today(service, asked.as_of) if place is None else place[2]
    first_day, last_day = found.span(asked.granularity, today)
    start, end = asked.bounds(first_day, last_day)
    _holds(first_day, last_day, start, end, "from, to")
    rows = found.find(asked.granularity, wanted_areas, wanted_categories, max(start, first_day), min(end, last_day))

    first = 0 if place is None else place[1]
    limit = asked.limit or (len(rows) if asked.format == "csv" else DEFAULT_ROWS)
    last = min(first + limit, len(rows))
    following = pages.token(request, found.id, last, today.toordinal()) if last < len(rows) else None
    if asked.format == "csv":
        name = f"forecasts-{found.cutoff}" if asked.granularity == "day" else f"forecasts-{asked.granularity}s-{found.cutoff}"
        return csv_response(request, name, _chunks(service, rows, first, last), bom=asked.bom, next_page=following)
    row = ROWS[asked.granularity]
    items: Any = [row.model_validate(record) for record in _table(service, rows, first, last).to_dict("records")]
    return ForecastPage(items=items, next=following, stale_since=None if city.stale_since is None else service.local(city.stale_since))


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
    city = service.recent.city()
    areas, categories = city.areas, city.categories
    wanted = asked.areas(areas) or frozenset({ALL})
    allowed(areas, caller, wanted, "area")
    area, category = _one(wanted, "area"), _one(asked.categories(categories), "category")
    found = _set(service, city, asked.as_of, None)
    first_day, last_day = found.span(asked.granularity, _today(service, asked.as_of))
    day = asked.day or first_day
    _holds(first_day, last_day, day, day, "date")
    rows = found.find(asked.granularity, [area], [category], day, day)
    if not len(rows):
        raise Problem(404, f"'{category}' in '{area}' is not forecast", where="area, category", mend="ask for nodes that /v1/forecasts lists")
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


def _one(codes: Collection[str], where: str) -> str:
    """The only code asked for; the root without any."""
    if len(codes) > 1:
        raise InputError(f"{len(codes)} values of '{where}'", where, "ask for one at a time")
    return next(iter(codes), ALL)


def _holds(first_day: date, last_day: date, start: date, end: date, where: str) -> None:
    """Raises InputError if a set that holds `first_day` to `last_day` holds none of the days from `start` to `end`."""
    if start > last_day or end < first_day:
        days = f"{first_day} to {last_day}"
        raise InputError(f"the forecast set holds {days}, none of the days asked for", where, f"ask for days from {days}")


def _day(part: Any) -> date:
    """Reads the day that was today on the first page."""
    return date.fromordinal(pages.number(part))


def _today(service: Service, as_of_text: str | None) -> date:
    """The city's day at the moment that is asked about."""
    moment = service.clock.now() if as_of_text is None else as_of(as_of_text, service.clock)
    return moment.astimezone(service.clock.zone).date()


def _set(service: Service, city: City, as_of_text: str | None, set_id: int | None) -> LoadedSet:
    """The set to answer from: that of the page before, that of `as_of`, or the current one."""
    if as_of_text is not None and set_id is None:
        with reading(service.engine) as conn:
            found = service.forecasts.as_of(conn, as_of(as_of_text, service.clock))
        if found is None:
            raise Problem(404, f"no forecasts were published by {as_of_text}", where="as_of", mend="ask for a later day")
        return found
    if set_id is not None and (city.current is None or city.current.id != set_id):
        with reading(service.engine) as conn:
            return service.forecasts.get(conn, set_id)
    if city.current is None:
        raise Problem(503, "no forecasts are published yet", mend="wait for the first nightly run, or start 'weisu train'")
    return city.current


def _table(service: Service, found: Found, first: int, last: int) -> pd.DataFrame:
    return found.table(first, last).assign(issued_at=service.local(found.issued_at))


def _chunks(service: Service, found: Found, first: int, last: int) -> Iterator[pd.DataFrame]:
    """The table in parts, so that a large export neither waits nor fills the memory; one part at least, for the header."""
    for start in range(first, max(last, first + 1), MOST_ROWS):
        yield _table(service, found, start, min(start + MOST_ROWS, last))
