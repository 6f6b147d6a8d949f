"""`/v1/accuracy`: how good published forecasts were, and whether what comes in still comes as it did."""

from bisect import bisect_right
from collections.abc import Collection
from datetime import date, timedelta
from typing import Annotated, Any, Literal

import pandas as pd
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy import Connection

from forecasting import promised
from forecasting.errors import InputError
from service.api.deps import Requires, Running
from service.api.errors import Problem
from service.api.operation.schemas import AccuracyPage, AccuracyRow, DriftPage, DriftRow, MixPart
from service.api.trees.nodes import ALL, Nodes, allowed, area_tree, category_tree, visible
from service.api.web import bounds, pages
from service.api.web.forms import TABLES, chosen
from service.api.web.parameters import DEFAULT_ROWS, Export, Paged, Period, Places
from service.api.web.tables import records, table_response
from service.settings import Settings
from service.store import drift as drifts
from service.store import promised as store
from service.store.categories import OWN
from service.store.engine import reading
from service.store.keys import Caller

router = APIRouter(prefix="/accuracy", tags=["counts and forecasts"])

DEFAULT_DAYS = 28  # four of each weekday
MOST_PARTS = 10  # of a mix: those that move it

Level = Literal["city", "category", "district", "series"]
HAS: dict[Level, frozenset[str]] = {
    "city": frozenset(),
    "category": frozenset({"category"}),
    "district": frozenset({"area"}),
    "series": frozenset({"area", "category"}),
}
"""By what each level can be told; series by one of the two at a time, see `promised.at_levels`."""
TIME = {"day": "D", "week": "W-SUN", "month": "M"}  # periods of pandas; a week begins on Monday
KEPT = {"district": "area", "category": "category", "horizon": "horizon", "week_ahead": "horizon"}
"""What `by` asks for -> the column of the store that tells it."""
TOLD = {"district": "area", "category": "category", "horizon": "horizon", "week_ahead": "week_ahead"}
"""The same -> the column of the answer."""
COLUMNS = tuple(AccuracyRow.model_fields)


class AccuracyParameters(Places, Period, Export):
    """Parameters of `/v1/accuracy`."""

    level: list[Level] = Field([], description="One or more levels, repeated; unless given, all that the others leave.", examples=[["city"]])
    by: list[Literal["day", "week", "month", "category", "district", "horizon", "week_ahead"]] = Field(
        [], description="A row for each of these, repeated; one of day, week (from Monday) and month at most.", examples=[["week_ahead"]]
    )
    horizon: list[Annotated[int, Field(ge=1, le=366)]] = Field([], description="Only forecasts made so many days ahead, repeated.", examples=[[1]])
    of: store.Of = Field(
        "published", description="`challenger`: forecasts that the challenger made in shadow, beside the published ones.", examples=["challenger"]
    )
    rolling: int | None = Field(
        None, ge=2, le=92, description="With `by=day`: each row sums the last so many days, up to its own; 7 and 28 even out weekdays.", examples=[28]
    )


@router.get("", operation_id="accuracy", summary="How good published forecasts were", responses=TABLES, response_model=AccuracyPage)
def list_accuracy(
    request: Request,
    response: Response,
    asked: Annotated[AccuracyParameters, Query()],
    service: Running,
    caller: Annotated[Caller, Requires("forecasts:read")],
) -> AccuracyPage | StreamingResponse:
    """Every finished day against each forecast set that was published before it was over, as published: errors, coverage, skill, by level.

    Without parameters: one row a level, over the last 28 days and all horizons. `area` names districts, `category` categories with all below them;
    series are told by district or by category, not by both at a time. A limited key sees the levels `district` and `series` of its own districts.
    Late tickets are taken up for two weeks. Not there: days that were excluded or not delivered, and what was never published. `of=challenger` tells
    the same of the challenger in shadow, as if its forecasts had been published; with another recipe its days begin anew.

    查询已发布预测的实际准确度:按层级、日/周/月、类别、区、提前天数统计 WAPE、偏差、区间覆盖率、分位损失及相对基线的技巧分;
    of=challenger 查询影子模型。
    """
    form = chosen(request, response, asked.format)
    columns = _columns(asked)
    readers = [pages.number if column in ("horizon", "week_ahead") else pages.text for column in columns]
    place = pages.place(request, asked.next, pages.number, pages.day, *readers, pages.day, pages.day)
    with reading(service.engine) as conn:
        span = store.span(conn, asked.of)
        table, days = _table(conn, asked, caller, span, None if place is None else (place[-2], place[-1]), service.settings)
    keys = _keys(table, columns)
    first = 0 if place is None else bisect_right(keys, tuple(place[:-2]))
    limit = asked.limit or (DEFAULT_ROWS if form == "json" else len(table))
    last = min(first + limit, len(table))
    following = pages.token(request, *keys[last - 1], *days) if last < len(table) else None
    page = table.iloc[first:last]
    if form != "json":
        zone = service.settings.timezone
        return table_response(request, form, "accuracy", AccuracyRow, [page], zone=zone, bom=asked.bom, next_page=following)
    return AccuracyPage(items=[AccuracyRow.model_validate(row) for row in records(page)], next=following)


class DriftParameters(Period, Paged):
    """Parameters of `/v1/accuracy/drift`."""


@router.get("/drift", operation_id="list_drift", summary="Whether what comes in still comes as it did")
def list_drift(
    request: Request, asked: Annotated[DriftParameters, Query()], service: Running, caller: Annotated[Caller, Requires("forecasts:read")]
) -> DriftPage:
    """The mix of categories, of sources and of reporting delays in the week up to a day, against the four weeks before it.

    Looked at every night; without `from` and `to`: the newest. It tells of the whole city: a limited key may not ask. Seasons move the mix of
    categories, too. What alerts turned out to be stands in `/v1/alerts/verdicts`.

    查询输入漂移:最近一周与此前四周相比,类别、来源、报送时延构成的稳定性指数(PSI)。
    """
    if caller.districts is not None:
        raise _limited(caller, "drift is told of the whole city", "Authorization")
    place = pages.place(request, asked.next, pages.day, pages.text, pages.day, pages.day)
    with reading(service.engine) as conn:
        newest = drifts.newest(conn)
        start, end = asked.bounds(newest or date.min, newest or date.min) if place is None else place[2:]
        bounds.require_days(start, min(end, newest or end), service.settings)
        found = drifts.read(conn, start, end)
    rows = [
        DriftRow.model_validate(
            {
                "date": day,
                "input": name,
                "psi": one.psi,
                "chance": one.chance,
                "state": one.state,
                "tickets": one.tickets,
                "parts": [MixPart(code=part.code, before=part.before, last=part.last) for part in one.parts[:MOST_PARTS]],
            }
        )
        for day in sorted(found, reverse=True)
        for name, one in found[day].items()
        if place is None or day < place[0] or (day == place[0] and name > place[1])
    ]
    page = rows[: asked.limit or DEFAULT_ROWS]
    return DriftPage(items=page, next=pages.token(request, page[-1].date, page[-1].input, start, end) if len(page) < len(rows) else None)


def _columns(asked: AccuracyParameters) -> list[str]:
    """What rows of one level and last day are told apart by."""
    return [column for name, column in TOLD.items() if name in asked.by]


def _keys(table: pd.DataFrame, columns: list[str]) -> list[tuple[Any, ...]]:
    """What each row is of, ascending: the number of its level, its last day and `columns`."""
    levels = (promised.LEVELS.index(level) for level in table["level"])
    return list(zip(levels, table["last_day"], *(table[column].tolist() for column in columns), strict=True))


def _table(
    conn: Connection,
    asked: AccuracyParameters,
    caller: Caller,
    span: tuple[date, date] | None,
    begun: tuple[date, date] | None,
    settings: Settings,
) -> tuple[pd.DataFrame, tuple[date, date]]:
    """All rows of the answer with the columns COLUMNS, in their order; and the days that they tell of.

    Args:
        span: first and last day that were compared; None: none were.
        begun: the days of the first page, for those after it.
    """
    area_nodes, category_nodes = area_tree(conn), category_tree(conn)
    areas = _districts(asked, area_nodes, caller)
    categories = _leaves(asked, category_nodes)
    levels = _levels(asked, caller, areas is not None, categories is not None)
    times = [one for one in asked.by if one in TIME]
    if len(set(times)) > 1:
        raise InputError(f"'{times[0]}' and '{times[1]}' at a time", "by", "choose one of day, week and month")
    if asked.rolling and times != ["day"]:
        raise InputError("'rolling' sums the days up to each day", "rolling", "add by=day")
    if span is None:
        return pd.DataFrame(columns=list(COLUMNS)), (date.min, date.min)
    start, end = begun or asked.bounds(max(span[1] - timedelta(days=DEFAULT_DAYS - 1), span[0]), span[1])
    if start > span[1] or end < span[0]:
        what = f"the days from {span[0]} to {span[1]} were compared, none of those asked for"
        raise InputError(what, "from, to", f"ask for days from {span[0]} to {span[1]}")
    start, end = max(start, span[0]), min(end, span[1])
    bounds.require_days(start, end, settings)
    before = timedelta(days=(asked.rolling or 1) - 1)
    by = list(dict.fromkeys(KEPT[one] for one in asked.by if one in KEPT))
    sums = store.read(conn, start - before, end, levels, ["day", *by], areas, categories, asked.horizon or None, asked.of)
    if "week_ahead" in asked.by:
        sums["week_ahead"] = (sums["horizon"] - 1) // promised.WEEK + 1
    keys = ["level", *_columns(asked)]
    added = _rolled(sums, keys, start, end, before) if asked.rolling else _added(sums, keys, TIME[times[0]] if times else None)
    order = pd.Categorical(added["level"], promised.LEVELS, ordered=True)
    added = added.assign(level=order).sort_values(["level", "last_day", *keys[1:]], ignore_index=True).astype({"level": "str"})
    return pd.concat([added.drop(columns="chance"), promised.ratios(added)], axis=1).reindex(columns=list(COLUMNS)), (start, end)


def _districts(asked: AccuracyParameters, tree: Nodes[Any], caller: Caller) -> frozenset[str] | None:
    """Codes of the districts asked for; None: all.

    Raises:
        InputError: one is no district.
        Problem: one is not the caller's (403).
    """
    wanted = asked.areas(tree)
    allowed(tree, caller, wanted, "area")
    for code in sorted(wanted - tree.at("district") - {ALL}):
        raise InputError(f"'{code[:80]}' is no district, and forecasts are compared by district", "area", "see /v1/districts for the codes")
    own = visible(tree, caller)
    if own is not None:
        return wanted or tree.at("district") & own
    return wanted if wanted and ALL not in wanted else None


def _leaves(asked: AccuracyParameters, tree: Nodes[Any]) -> frozenset[str] | None:
    """Codes of the categories asked for and of all below them, those of tickets without detail among them; None: all."""
    wanted = asked.categories(tree)
    if not wanted or ALL in wanted:
        return None
    below = tree.under(wanted)
    return below | {code + OWN for code in below}


def _levels(asked: AccuracyParameters, caller: Caller, some_areas: bool, some_categories: bool) -> Collection[Level]:
    """The levels to tell.

    Raises:
        InputError: one of those asked for cannot be told as asked, or none can.
        Problem: a limited key asks for the whole city (403).
    """
    told = {"area": some_areas or "district" in asked.by, "category": some_categories or "category" in asked.by}
    needed = {name for name, here in told.items() if here}
    fit = [level for level, has in HAS.items() if needed <= has and len(needed) < 2]
    wanted = list(dict.fromkeys(asked.level)) or fit
    if caller.districts is not None and ("category" in needed or not set(wanted) <= {"district", "series"}):
        where = "category" if "category" in needed else "level"
        raise _limited(caller, "the levels city and category, and categories, are told of the whole city", where)
    if len(needed) > 1:
        raise InputError("accuracy is kept by district and by category, not by both at a time", "area, category", "leave one of them out")
    for level in wanted:
        if level not in fit:
            by = "district" if "area" in needed else "category"
            raise InputError(f"the level '{level}' is not told by {by}", "level", f"choose {' or '.join(fit)}")
    return wanted


def _limited(caller: Caller, what: str, where: str) -> Problem:
    limit = ", ".join(sorted(caller.districts or ()))
    return Problem(403, f"your key is limited to {limit}; {what}", where=where, mend="ask for the levels district and series")


def _added(sums: pd.DataFrame, keys: list[str], period: str | None) -> pd.DataFrame:
    """Sums by `keys` and period, with the first and the last day that each has."""
    sums = sums.assign(first_day=sums["day"], last_day=sums["day"])
    if period is not None:
        sums["period"] = sums["day"].dt.to_period(period)
        keys = [*keys, "period"]
    added = sums.groupby(keys, as_index=False).agg({"first_day": "min", "last_day": "max", **dict.fromkeys(promised.SUMS, "sum")})
    return added.assign(**{name: added[name].dt.date for name in ("first_day", "last_day")})


def _rolled(sums: pd.DataFrame, keys: list[str], start: date, end: date, before: timedelta) -> pd.DataFrame:
    """For each day from `start` to `end` with anything compared in its window: the sums of the days up to it."""
    parts = []
    for day in pd.date_range(start, end):
        window = sums[(sums["day"] <= day) & (sums["day"] >= day - before)]
        if not window.empty:
            parts.append(_added(window, keys, None).assign(last_day=day.date()))
    return pd.concat(parts, ignore_index=True) if parts else _added(sums, keys, None)
