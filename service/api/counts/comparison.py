"""Counts beside those of comparable days, of which a page reads only its own areas."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from service.api import periods
from service.api.counts import comparable
from service.api.counts.grid import GridPage, Order
from service.api.counts.node_sums import NodeSums

Granularity = Literal["day", "week", "month"]

BESIDE = ("last_week", "last_year")
_TOLD = tuple(f"{name}{part}" for name in BESIDE for part in ("_date", "", "_ratio"))
COLUMNS = ("area", "category", "date", "days", "kind", "holiday", "count", "excluded", *_TOLD)


@dataclass(frozen=True)
class Comparison:
    """The rows of one question, in the order of area, category, date.

    Attributes:
        sums: what is counted.
        areas: the areas, sorted.
        span: first and last day asked for; None: there are no counts.
        known: first and last day of all that is known; days beyond are nothing to compare with.
        granularity: what a row is of. A week or a month stands beside the comparable days of its days.
        country: of the calendar.
    """

    sums: NodeSums
    areas: Sequence[str]
    span: tuple[date, date] | None
    known: tuple[date, date] | None
    granularity: Granularity
    country: str

    @cached_property
    def order(self) -> Order:
        """The rows."""
        return Order(self.areas, self.sums.categories, [(slot.name, 0) for slot in self._slots])

    def rows(self, conn: Connection, first: int, last: int) -> pd.DataFrame:
        """Rows `first` to `last`, the latter excluded, with the columns COLUMNS; None where there is nothing to tell."""
        if first >= last or self.span is None:
            return pd.DataFrame(columns=list(COLUMNS))
        page = GridPage.of(self.areas, self.sums.categories, len(self._slots), first, last)
        of_time = self._of_times.iloc[page.times].reset_index(drop=True)
        frame = of_time.assign(**page.names, **page.cells(self._cells(conn, page.areas)))
        for name in BESIDE:
            ratio = frame["count"] / frame[name].where(frame[name] > 0)
            frame[f"{name}_ratio"] = ratio.round(4)
            frame[name] = frame[name].astype("Int64")
        return frame[list(COLUMNS)]

    @cached_property
    def _slots(self) -> list[periods.Slot]:
        if self.span is None:
            return []
        if self.granularity == "day":
            return [periods.Slot(day.date(), at, at + 1) for at, day in enumerate(pd.date_range(*self.span))]
        return periods.slots(*self.span, self.granularity)

    @cached_property
    def _calendar(self) -> pd.DataFrame:
        """What each day is compared with; days that are not known are none."""
        assert self.span is not None
        assert self.known is not None
        table = comparable.table(*self.span, self.country)
        first, last = (pd.Timestamp(day) for day in self.known)
        return table.assign(**{name: table[name].where((table[name] >= first) & (table[name] <= last)) for name in BESIDE})

    @property
    def _of_times(self) -> pd.DataFrame:
        """`date`, `days`, `kind`, `holiday`, `last_week_date`, `last_year_date` of each row of a node."""
        about = pd.DataFrame([(slot.name, slot.days) for slot in self._slots], columns=["date", "days"])
        if self.granularity != "day":
            for name in ("kind", "holiday", *(f"{name}_date" for name in BESIDE)):
                about[name] = None
            return about
        calendar = self._calendar.reset_index(drop=True)
        dates = {f"{name}_date": calendar[name].dt.date.astype(object).where(calendar[name].notna(), None) for name in BESIDE}
        return about.assign(kind=calendar["kind"], holiday=calendar["holiday"].astype(object).where(calendar["holiday"] != "", None), **dates)

    def _cells(self, conn: Connection, areas: Sequence[str]) -> dict[str, np.ndarray]:
        """[areas, categories, times] of `count`, `excluded` and of BESIDE, the latter NaN where there is none."""
        assert self.span is not None
        excluded = self.sums.excluded(areas, pd.date_range(*self.span))
        cells = {"count": self._summed(self.sums.days(conn, areas, *self.span)), "excluded": self._summed(excluded.astype(int)) > 0}
        return cells | {name: self._summed(beside(conn, self.sums, areas, self._calendar[name])) for name in BESIDE}

    def _summed(self, days: np.ndarray) -> np.ndarray:
        return np.stack([days[..., slot.start : slot.stop].sum(axis=-1) for slot in self._slots], axis=-1)


def beside(conn: Connection, sums: NodeSums, areas: Sequence[str], days: "pd.Series[pd.Timestamp]") -> np.ndarray:
    """[areas, categories, days] the tickets of other days; NaN where there is no day (NaT), and where it is excluded."""
    there = days.notna().to_numpy()
    out = np.full((len(areas), len(sums.categories), len(days)), np.nan)
    if there.any():
        first, last = days.min(), days.max()
        place = (days[there] - first).dt.days.to_numpy(int)
        counts = sums.days(conn, areas, first.date(), last.date())[:, :, place].astype(float)
        counts[sums.excluded(areas, pd.DatetimeIndex(days[there]))] = np.nan
        out[:, :, there] = counts
    return out
