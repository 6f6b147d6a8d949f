"""Counts of chosen nodes of both trees, as arrays, read for some areas at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from forecasting import excluded
from forecasting.recoding import CategoryMap
from service.api.trees.nodes import ALL, Nodes
from service.store import count_sums


@dataclass(frozen=True)
class NodeSums:
    """What is counted, and as known when.

    Attributes:
        area_tree, category_tree: both trees.
        categories: the C categories.
        spans: what is excluded, see `excluded.marks`.
        moment: as known then; None: as it stands now.
    """

    area_tree: Nodes[Any]
    category_tree: Nodes[Any]
    categories: Sequence[str]
    spans: pd.DataFrame
    moment: datetime | None

    def days(self, conn: Connection, areas: Sequence[str], start: date, end: date) -> np.ndarray:
        """[areas, C, days] tickets from `start` to `end`."""
        area_groups, in_area = groups(self.area_tree, areas)
        category_groups, in_category = groups(self.category_tree, self.categories)
        found = count_sums.daily(conn, area_groups, category_groups, start, end, self.moment)
        sums = np.zeros((len(area_groups), len(category_groups), (end - start).days + 1), np.int64)
        day = (found["date"] - pd.Timestamp(start)).dt.days
        sums[found["area_group"].to_numpy(int), found["category_group"].to_numpy(int), day.to_numpy(int)] = found["count"].to_numpy(int)
        totals: np.ndarray = np.einsum("ag,ch,ghd->acd", in_area, in_category, sums, optimize=True)
        return totals

    def hours(self, conn: Connection, areas: Sequence[str], start: date, end: date, zone: ZoneInfo) -> tuple[np.ndarray, np.ndarray]:
        """[areas, C, days, 24] tickets by the hour on a zone's clock, and [areas, C, days] those of each day that tell no hour."""
        area_groups, in_area = groups(self.area_tree, areas)
        category_groups, in_category = groups(self.category_tree, self.categories)
        found = count_sums.hourly(conn, area_groups, category_groups, start, end, self.moment)
        n_days = (end - start).days + 1
        timed = np.zeros((len(area_groups), len(category_groups), n_days, 24), np.int64)
        untimed = np.zeros(timed.shape[:3], np.int64)
        day = (found["date"] - pd.Timestamp(start)).dt.days.to_numpy(int)
        hour = found["hour"].dt.tz_convert(zone).dt.hour.to_numpy(int)
        place = (found["area_group"].to_numpy(int), found["category_group"].to_numpy(int), day)
        number, tells = found["count"].to_numpy(int), found["timed"].to_numpy(int) == 1
        np.add.at(timed, (*(part[tells] for part in place), hour[tells]), number[tells])
        np.add.at(untimed, tuple(part[~tells] for part in place), number[~tells])
        by_hour: np.ndarray = np.einsum("ag,ch,ghdt->acdt", in_area, in_category, timed, optimize=True)
        return by_hour, np.asarray(np.einsum("ag,ch,ghd->acd", in_area, in_category, untimed, optimize=True))

    def moved(self, conn: Connection, areas: Sequence[str], start: date, end: date, recodings: CategoryMap) -> np.ndarray:
        """[areas, C, days] what recodings add to (or take from) the counts."""
        days = pd.date_range(start, end)
        codes = recodings.codes
        if not codes:
            return np.zeros((len(areas), len(self.categories), len(days)))
        area_groups, in_area = groups(self.area_tree, areas)
        found = count_sums.daily(conn, area_groups, [[code] for code in codes], start, end, self.moment)
        filed = np.zeros((len(area_groups), len(codes), len(days)))
        day = (found["date"] - days[0]).dt.days
        filed[found["area_group"].to_numpy(int), found["category_group"].to_numpy(int), day.to_numpy(int)] = found["count"].to_numpy(float)
        changes, carried = recodings.shares()
        step = (carried - np.eye(len(codes)))[changes.searchsorted(days, side="right")]
        below = [self.category_tree.under([code]) for code in self.categories]
        is_below = np.array([[code in under or top == ALL for code in codes] for top, under in zip(self.categories, below, strict=True)], float)
        moved: np.ndarray = np.einsum("ag,gcd,dck,nk->and", in_area.astype(float), filed, step, is_below, optimize=True)
        return moved

    def excluded(self, areas: Sequence[str], days: pd.DatetimeIndex) -> np.ndarray:
        """[areas, C, days] which counts have a part in an excluded span."""
        if self.spans.empty:
            return np.zeros((len(areas), len(self.categories), len(days)), bool)
        places = _above_and_below(self.area_tree, areas)
        return excluded.marks(self.spans, places, _above_and_below(self.category_tree, self.categories), days)


def groups(tree: Nodes[Any], codes: Sequence[str]) -> tuple[list[count_sums.Group], np.ndarray]:
    """Codes that tickets carry, in groups that belong to the same of these nodes: the groups, and who belongs where [nodes, groups]."""
    nodes_above: dict[str, set[int]] = {}
    for place, code in enumerate(codes):
        for below in tree.under([code]):
            nodes_above.setdefault(below, set()).add(place)
    found: dict[frozenset[int], list[str]] = {}
    for code, above in nodes_above.items():
        found.setdefault(frozenset(above), []).append(code)
    belongs = np.array([[place in above for above in found] for place in range(len(codes))], np.int64)
    if list(codes) == [ALL]:
        return [None], belongs
    return list(found.values()), belongs


def _above_and_below(tree: Nodes[Any], codes: Sequence[str]) -> list[set[str]]:
    """For each node itself, what lies below it, and what it lies in."""
    found = []
    for code in codes:
        path = {code, ALL}
        while code != ALL and code in tree.by_code:
            code = tree.by_code[code].parent
            path.add(code)
        found.append(path)
    return [path | tree.under([code]) for code, path in zip(codes, found, strict=True)]
