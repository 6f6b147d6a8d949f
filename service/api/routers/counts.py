"""`/v1/counts`: what came in."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Annotated, Any

import numpy as np
import pandas as pd
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import Connection

from forecasting.errors import InputError
from service.api import pages
from service.api.deps import Requires, Running, Service
from service.api.nodes import ALL, Nodes, allowed, area_tree, category_tree, visible
from service.api.parameters import DEFAULT_ROWS, MOST_ROWS, Period, Places, Table
from service.api.schemas import CountPage, CountRow
from service.api.tables import CSV, csv_response
from service.store import count_sums, counts
from service.store.engine import reading
from service.store.keys import Caller

router = APIRouter(tags=["counts and forecasts"])

DEFAULT_DAYS = 28  # four of each weekday: what a person compares a new day with


class CountParameters(Places, Period, Table):
    """Parameters of `/v1/counts`."""


@router.get("/counts", operation_id="list_counts", summary="Tickets by day", responses=CSV, response_model=CountPage)
def list_counts(
    request: Request, asked: Annotated[CountParameters, Query()], service: Running, caller: Annotated[Caller, Requires("forecasts:read")]
) -> CountPage | StreamingResponse:
    """Tickets by node and day as they stand now, summed over both trees; a day without tickets is there with 0.

    Without `area` and `category`: each district with each leaf category; with a limited key, those of its districts. Without `from`
    and `to`: the last 28 finished days with data. Days before the first or after the last one with data are left out, unless all of those
    asked for are. The day still running is there if asked for, as far as it has come in.

    查询历史工单量:按区、街乡镇、类别逐日统计,可取任意层级合计。
    """
    place = pages.place(request, asked.next, pages.number)
    with reading(service.engine) as conn:
        areas, categories = area_tree(conn), category_tree(conn)
        span = counts.span(conn)
    wanted = asked.areas(areas)
    allowed(areas, caller, wanted, "area")
    own = visible(areas, caller)
    wanted_areas = sorted(wanted or (areas.at("district") if own is None else areas.at("district") & own))
    wanted_categories = sorted(asked.categories(categories) or categories.leaves)
    grid = _Grid(areas, categories, wanted_areas, wanted_categories, _days(asked, span, service.clock.business_date()))

    first = 0 if place is None else place[0]
    limit = asked.limit or (len(grid) if asked.format == "csv" else DEFAULT_ROWS)
    last = min(first + limit, len(grid))
    following = pages.token(request, last) if last < len(grid) else None
    if asked.format == "csv":
        return csv_response(request, "counts", _chunks(service, grid, first, last), bom=asked.bom, next_page=following)
    with reading(service.engine) as conn:
        items = [CountRow.model_validate(row) for row in grid.rows(conn, first, last).to_dict("records")]
    return CountPage(items=items, next=following)


def _days(asked: CountParameters, span: tuple[date, date] | None, business_date: date) -> list[date]:
    """The days to answer for. Raises InputError if there are counts, but none on the days asked for."""
    if span is None:
        return []
    newest = max(min(span[1], business_date), span[0])
    start, end = asked.bounds(max(newest - timedelta(days=DEFAULT_DAYS - 1), span[0]), newest)
    if start > span[1] or end < span[0]:
        what = f"there are counts from {span[0]} to {span[1]}, none on the days asked for"
        raise InputError(what, "from, to", f"ask for days from {span[0]} to {span[1]}")
    start, end = max(start, span[0]), min(end, span[1])
    return [start + timedelta(days=number) for number in range((end - start).days + 1)]


class _Grid:
    """All rows of one question in their order (area, category, date), of which a page reads only its own series."""

    def __init__(self, area_tree: Nodes[Any], category_tree: Nodes[Any], areas: list[str], categories: list[str], days: list[date]) -> None:
        self._area_tree, self._category_tree = area_tree, category_tree
        self._areas, self._categories, self._days = areas, categories, days

    def __len__(self) -> int:
        return len(self._areas) * len(self._categories) * len(self._days)

    def rows(self, conn: Connection, first: int, last: int) -> pd.DataFrame:
        """Rows `first` to `last`, the latter excluded: `area, category, date, count`."""
        if first >= last:
            return pd.DataFrame({"area": [], "category": [], "date": [], "count": []})
        n_categories, n_days = len(self._categories), len(self._days)
        area_from, area_to = first // (n_categories * n_days), (last - 1) // (n_categories * n_days) + 1
        areas = self._areas[area_from:area_to]
        totals = self._totals(conn, areas).reshape(-1)
        rows = np.arange(first, last)
        return pd.DataFrame(
            {
                "area": np.array(self._areas, object)[rows // (n_categories * n_days)],
                "category": np.array(self._categories, object)[rows // n_days % n_categories],
                "date": np.array(self._days, object)[rows % n_days],
                "count": totals[rows - area_from * n_categories * n_days],
            }
        )

    def _totals(self, conn: Connection, areas: list[str]) -> np.ndarray:
        """Counts of these areas: [areas, categories, days]."""
        area_groups, in_area = _groups(self._area_tree, areas)
        category_groups, in_category = _groups(self._category_tree, self._categories)
        found = count_sums.daily(conn, area_groups, category_groups, self._days[0], self._days[-1])
        sums = np.zeros((len(area_groups), len(category_groups), len(self._days)), np.int64)
        day = (found["date"] - pd.Timestamp(self._days[0])).dt.days
        sums[found["area_group"].to_numpy(int), found["category_group"].to_numpy(int), day.to_numpy(int)] = found["count"].to_numpy(int)
        totals: np.ndarray = np.einsum("ag,ch,ghd->acd", in_area, in_category, sums, optimize=True)
        return totals


def _groups(tree: Nodes[Any], codes: list[str]) -> tuple[list[count_sums.Group], np.ndarray]:
    """Codes that tickets carry, in groups that belong to the same of these nodes: the groups, and who belongs where [nodes, groups]."""
    nodes_above: dict[str, set[int]] = {}
    for place, code in enumerate(codes):
        for below in tree.under([code]):
            nodes_above.setdefault(below, set()).add(place)
    groups: dict[frozenset[int], list[str]] = {}
    for code, above in nodes_above.items():
        groups.setdefault(frozenset(above), []).append(code)
    belongs = np.array([[place in above for above in groups] for place in range(len(codes))], np.int64)
    if codes == [ALL]:
        return [None], belongs
    return list(groups.values()), belongs


def _chunks(service: Service, grid: _Grid, first: int, last: int) -> Iterator[pd.DataFrame]:
    """The table in parts, so that a large export does not fill the memory; one part at least, for the header."""
    for start in range(first, max(last, first + 1), MOST_ROWS):
        with reading(service.engine) as conn:
            yield grid.rows(conn, start, min(start + MOST_ROWS, last))
