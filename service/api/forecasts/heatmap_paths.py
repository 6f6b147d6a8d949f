"""`/v1/forecasts/heatmap`: areas by categories, what is coming beside what is usual."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy import Connection

from forecasting import distribution
from forecasting.errors import InputError
from forecasting.outlook import WEEK
from service.api.counts import comparable
from service.api.counts.comparison import beside
from service.api.counts.node_sums import NodeSums
from service.api.deps import Requires, Running, Service
from service.api.errors import problems
from service.api.forecasts import span_law
from service.api.forecasts.asked_set import AsOf, asked_set, require_days
from service.api.forecasts.heatmap_schemas import Heatmap, HeatmapCell, HeatmapNode
from service.api.forecasts.published import LoadedSet
from service.api.trees.nodes import ALL, Nodes, visible
from service.api.web import bounds
from service.api.web.forms import CSV_TWIN, chosen
from service.api.web.parameters import MOST_ROWS, CsvTwin, Period, as_of
from service.api.web.tables import CSV, csv_response, records
from service.store import compaction, counts, excluded_spans
from service.store.engine import reading
from service.store.keys import Caller

router = APIRouter(tags=["counts and forecasts"])

LAST_WEEKS = 4
INTERVAL = (0.05, 0.95)  # 90 %, as alerts tell it


class HeatmapParameters(Period, AsOf, CsvTwin):
    """Parameters of `/v1/forecasts/heatmap`."""

    level: Literal["city", "district", "street"] = Field("district", description="Level of the areas; streets where they are forecast.")
    depth: int = Field(1, ge=0, le=9, description="Level of the categories: 1 the first below the root, 0 all together.", examples=[1])


@router.get(
    "/forecasts/heatmap",
    operation_id="heatmap",
    summary="Areas by categories: expected beside usual",
    responses=CSV | problems(404),
    response_model=Heatmap,
)
def heatmap(
    request: Request,
    response: Response,
    asked: Annotated[HeatmapParameters, Query()],
    service: Running,
    caller: Annotated[Caller, Requires("forecasts:read")],
) -> Heatmap | StreamingResponse:
    """What is forecast for a span of days, by area and category, beside the last four weeks and the comparable days of last year.

    Without `from` and `to`: the first seven days of the set; the outlook reaches thirteen weeks. With a limited key: areas of its districts. The
    interval of several days takes them to be wrong together, as that of a month. With `as_of`: as published, and as counted, then.

    热力图:区(或街乡镇)× 类别,预计工单量与近四周、上年可比日对照,给出比值和区间。
    """
    form = chosen(request, response, asked.format, CSV_TWIN)
    city = service.remembered.city()
    areas, categories = city.areas, city.categories
    found = asked_set(service, city, asked.as_of)
    with reading(service.engine) as conn:
        own = visible(areas, caller)
        there = _at(areas, asked.level == "city", asked.level) & found.areas
        rows = sorted(there if own is None else there & own)
        columns = sorted(_at(categories, asked.depth == 0, f"l{asked.depth}") & found.categories)
        if len(rows) * len(columns) > MOST_ROWS:
            raise InputError(f"a map of {len(rows)} by {len(columns)}", "level, depth", f"ask for levels with {MOST_ROWS} cells at most")
        last_day = found.last_day if found.outlook is None else found.span("week", found.first_day)[1]
        start, end = asked.bounds(found.first_day, min(found.first_day + timedelta(days=WEEK - 1), last_day))
        require_days(found.first_day, last_day, start, end, "from, to")
        start, end = max(start, found.first_day), min(end, last_day)
        bounds.require_days(start, end, service.settings)
        moment = None if asked.as_of is None else min(as_of(asked.as_of, service.clock), service.clock.now())
        if moment is not None:
            compaction.require_known(conn, moment)
        sums = NodeSums(areas, categories, columns, excluded_spans.frame(conn), moment)
        usual = _usual(service, conn, sums, rows, found, start, end) if rows and columns else {}
    cells = _expected(found, rows, columns, start, end).assign(**usual)
    for name in usual:
        cells[f"{name}_ratio"] = (cells["expected"] / cells[name].where(cells[name] > 0)).round(4)
    cells = cells[cells["expected"].notna()]
    if form == "csv":
        name, table = f"heatmap-{start}-{end}", cells.reindex(columns=list(HeatmapCell.model_fields))
        return csv_response(request, name, [table], bom=asked.bom, next_page=None)
    return Heatmap(
        first_day=start,
        last_day=end,
        known_until=found.cutoff,
        issued_at=service.local(found.issued_at),
        areas=[_named(areas, code) for code in rows],
        categories=[_named(categories, code) for code in columns],
        items=[HeatmapCell.model_validate(record) for record in records(cells)],
    )


def _at(tree: Nodes[Any], root: bool, level: str) -> frozenset[str]:
    return frozenset({ALL}) if root else tree.at(level)


def _named(tree: Nodes[Any], code: str) -> HeatmapNode:
    zh, en = tree.label(code)
    return HeatmapNode(code=code, zh=zh, en=en)


def _expected(found: LoadedSet, rows: Sequence[str], columns: Sequence[str], start: date, end: date) -> pd.DataFrame:
    """`area, category, expected, lower, upper` of every cell, by area and category; NaN where the node is not forecast."""
    nodes = pd.MultiIndex.from_product([rows, columns], names=["area", "category"])
    law = span_law.law(found.frame, found.outlook, nodes, [(start, end)])
    ends = distribution.quantiles(law.mean[:, 0], law.dispersion[:, 0], INTERVAL)
    cells = pd.DataFrame({"expected": law.mean[:, 0], "lower": ends[:, 0], "upper": ends[:, 1]}, index=nodes)
    cells.loc[law.model[:, 0] == ""] = np.nan  # nobody makes what is not forecast
    return cells.reset_index()


def _usual(
    service: Service, conn: Connection, sums: NodeSums, rows: Sequence[str], found: LoadedSet, start: date, end: date
) -> dict[str, np.ndarray]:
    """`last_weeks` and `last_year` of every cell, by area and category; NaN where there is nothing to compare with."""
    known = counts.span(conn)
    if known is None:
        return dict.fromkeys(("last_weeks", "last_year"), np.full(len(rows) * len(sums.categories), np.nan))
    days = pd.Series(pd.date_range(start, end))
    lately = pd.Series(pd.date_range(end=found.cutoff, periods=LAST_WEEKS * WEEK))
    there = beside(conn, sums, rows, lately.where(lately >= pd.Timestamp(known[0])))
    by_weekday = there.reshape(*there.shape[:2], LAST_WEEKS, WEEK)
    number = np.isfinite(by_weekday).sum(axis=2)
    mean = np.divide(np.nansum(by_weekday, axis=2), number, out=np.full(number.shape, np.nan), where=number > 0)
    last_weeks = mean[:, :, (days.dt.day_of_week - lately.dt.day_of_week.iloc[0]).to_numpy() % WEEK].sum(axis=-1)
    a_year_before = comparable.table(start, end, service.settings.country)["last_year"].reset_index(drop=True)
    a_year_before = a_year_before.where((a_year_before >= pd.Timestamp(known[0])) & (a_year_before <= pd.Timestamp(known[1])))
    last_year = beside(conn, sums, rows, a_year_before).sum(axis=-1)
    return {"last_weeks": last_weeks.round(4).ravel(), "last_year": last_year.ravel()}
