"""`/v1/counts`: what came in."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Annotated, Any

import numpy as np
import pandas as pd
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy import Connection

from forecasting import excluded
from forecasting.errors import InputError
from forecasting.recoding import CategoryMap
from service.api import pages
from service.api.deps import Requires, Running, Service
from service.api.nodes import ALL, Nodes, allowed, area_tree, category_tree, visible
from service.api.parameters import DEFAULT_ROWS, MOST_ROWS, Period, Places, Table, as_of
from service.api.schemas import CountPage, CountRow
from service.api.tables import CSV, csv_response
from service.clock import Clock
from service.store import category_map, compaction, count_sums, counts, excluded_spans
from service.store.engine import reading
from service.store.keys import Caller

router = APIRouter(tags=["counts and forecasts"])

DEFAULT_DAYS = 28  # four of each weekday: what a person compares a new day with


class CountParameters(Places, Period, Table):
    """Parameters of `/v1/counts`."""

    as_of: str | None = Field(
        None,
        max_length=40,
        description="Counts as they were known at a moment, or at the end of a day: what came in later, and corrections made later, are left out. "
        "Kept for `WEISU_KEEP_HISTORY_DAYS`, 400 unless set.",
        examples=["2025-11-15"],
    )
    recoded: bool = Field(False, description="Tell beside each count what it is in today's codes, by the category map.")


@router.get("/counts", operation_id="list_counts", summary="Tickets by day", responses=CSV, response_model=CountPage)
def list_counts(
    request: Request, asked: Annotated[CountParameters, Query()], service: Running, caller: Annotated[Caller, Requires("forecasts:read")]
) -> CountPage | StreamingResponse:
    """Tickets by node and day, as they stand now or as they were known at `as_of`, summed over both trees; a day without tickets is there with 0.

    Each count stands under the code that it was filed under; `recoded=true` tells it in today's codes as well. Trees, category map and excluded
    spans are those of today.

    Without `area` and `category`: each district with each leaf category; with a limited key, those of its districts. Without `from`
    and `to`: the last 28 finished days with data. Days before the first or after the last one with data are left out, unless all of those
    asked for are. The day still running is there if asked for, as far as it has come in.

    查询历史工单量:按区、街乡镇、类别逐日统计,可取任意层级合计;as_of 可回看当时所知,recoded 按现行分类折算。
    """
    place = pages.place(request, asked.next, pages.number)
    with reading(service.engine) as conn:
        areas, categories = area_tree(conn), category_tree(conn)
        span = counts.span(conn)
        marked = excluded_spans.frame(conn)
        recodings = category_map.read(conn) if asked.recoded else None
        moment = None if asked.as_of is None else min(as_of(asked.as_of, service.clock), service.clock.now())
        if moment is not None:
            compaction.require_known(conn, moment)
    wanted = asked.areas(areas)
    allowed(areas, caller, wanted, "area")
    own = visible(areas, caller)
    wanted_areas = sorted(wanted or (areas.at("district") if own is None else areas.at("district") & own))
    wanted_categories = sorted(asked.categories(categories) or categories.leaves)
    days = _days(asked, *_bounds(service.clock, span, moment))
    grid = _Grid(areas, categories, wanted_areas, wanted_categories, days, marked, recodings, moment)

    first = 0 if place is None else place[0]
    limit = asked.limit or (len(grid) if asked.format == "csv" else DEFAULT_ROWS)
    last = min(first + limit, len(grid))
    following = pages.token(request, last) if last < len(grid) else None
    if asked.format == "csv":
        return csv_response(request, "counts", _chunks(service, grid, first, last), bom=asked.bom, next_page=following)
    with reading(service.engine) as conn:
        items = [CountRow.model_validate(row) for row in grid.rows(conn, first, last).to_dict("records")]
    return CountPage(items=items, next=following)


def _bounds(clock: Clock, span: tuple[date, date] | None, moment: datetime | None) -> tuple[tuple[date, date] | None, date]:
    """First and last day with data, and the last finished day, as of a moment.

    Raises:
        InputError: nothing was known then.
    """
    if span is None or moment is None:
        return span, clock.business_date()
    today = moment.astimezone(clock.zone).date()
    if today < span[0]:
        raise InputError(f"nothing was known on {today}", "as_of", f"the counts begin on {span[0]}")
    return (span[0], min(span[1], today)), Clock(clock.zone, moment).business_date()


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

    def __init__(
        self,
        area_tree: Nodes[Any],
        category_tree: Nodes[Any],
        areas: list[str],
        categories: list[str],
        days: list[date],
        spans: pd.DataFrame,
        recodings: CategoryMap | None,
        moment: datetime | None,
    ) -> None:
        self._area_tree, self._category_tree = area_tree, category_tree
        self._areas, self._categories, self._days = areas, categories, days
        self._spans, self._recodings, self._moment = spans, recodings, moment

    def __len__(self) -> int:
        return len(self._areas) * len(self._categories) * len(self._days)

    def rows(self, conn: Connection, first: int, last: int) -> pd.DataFrame:
        """Rows `first` to `last`, the latter excluded: `area, category, date, count, excluded`, and `recoded` if asked for."""
        more = [] if self._recodings is None else ["recoded"]
        if first >= last:
            return pd.DataFrame({name: [] for name in ("area", "category", "date", "count", "excluded", *more)})
        n_categories, n_days = len(self._categories), len(self._days)
        area_from, area_to = first // (n_categories * n_days), (last - 1) // (n_categories * n_days) + 1
        areas = self._areas[area_from:area_to]
        totals = self._totals(conn, areas)
        rows = np.arange(first, last)
        here = rows - area_from * n_categories * n_days
        frame = pd.DataFrame(
            {
                "area": np.array(self._areas, object)[rows // (n_categories * n_days)],
                "category": np.array(self._categories, object)[rows // n_days % n_categories],
                "date": np.array(self._days, object)[rows % n_days],
                "count": totals.reshape(-1)[here],
                "excluded": self._excluded(areas).reshape(-1)[here],
            }
        )
        if self._recodings is not None:
            frame["recoded"] = (totals + self._moved(conn, areas, self._recodings)).round(4).reshape(-1)[here]
        return frame

    def _excluded(self, areas: list[str]) -> np.ndarray:
        """Which counts of these areas have a part in an excluded span: [areas, categories, days]."""
        if self._spans.empty:
            return np.zeros((len(areas), len(self._categories), len(self._days)), bool)
        places = _above_and_below(self._area_tree, areas)
        return excluded.marks(self._spans, places, _above_and_below(self._category_tree, self._categories), pd.DatetimeIndex(self._days))

    def _moved(self, conn: Connection, areas: list[str], recodings: CategoryMap) -> np.ndarray:
        """What recodings add to (or take from) the counts of these areas: [areas, categories, days]."""
        codes = recodings.codes
        if not codes:
            return np.zeros((len(areas), len(self._categories), len(self._days)))
        area_groups, in_area = _groups(self._area_tree, areas)
        found = count_sums.daily(conn, area_groups, [[code] for code in codes], self._days[0], self._days[-1], self._moment)
        filed = np.zeros((len(area_groups), len(codes), len(self._days)))
        day = (found["date"] - pd.Timestamp(self._days[0])).dt.days
        filed[found["area_group"].to_numpy(int), found["category_group"].to_numpy(int), day.to_numpy(int)] = found["count"].to_numpy(float)
        changes, carried = recodings.shares()
        step = (carried - np.eye(len(codes)))[changes.searchsorted(pd.DatetimeIndex(self._days), side="right")]
        below = [self._category_tree.under([code]) for code in self._categories]
        is_below = np.array([[code in under or top == ALL for code in codes] for top, under in zip(self._categories, below, strict=True)], float)
        moved: np.ndarray = np.einsum("ag,gcd,dck,nk->and", in_area.astype(float), filed, step, is_below, optimize=True)
        return moved

    def _totals(self, conn: Connection, areas: list[str]) -> np.ndarray:
        """Counts of these areas: [areas, categories, days]."""
        area_groups, in_area = _groups(self._area_tree, areas)
        category_groups, in_category = _groups(self._category_tree, self._categories)
        found = count_sums.daily(conn, area_groups, category_groups, self._days[0], self._days[-1], self._moment)
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


def _above_and_below(tree: Nodes[Any], codes: list[str]) -> list[set[str]]:
    """For each node itself, what lies below it, and what it lies in."""
    found = []
    for code in codes:
        path = {code, ALL}
        while code != ALL and code in tree.by_code:
            code = tree.by_code[code].parent
            path.add(code)
        found.append(path)
    return [path | tree.under([code]) for code, path in zip(codes, found, strict=True)]


def _chunks(service: Service, grid: _Grid, first: int, last: int) -> Iterator[pd.DataFrame]:
    """The table in parts, so that a large export does not fill the memory; one part at least, for the header."""
    for start in range(first, max(last, first + 1), MOST_ROWS):
        with reading(service.engine) as conn:
            yield grid.rows(conn, start, min(start + MOST_ROWS, last))
