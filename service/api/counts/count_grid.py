"""All rows of a question about counts in their order (area, category, time), of which a page reads only its own areas."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from forecasting import intraday
from forecasting.recoding import CategoryMap
from service.api import periods
from service.api.counts.grid import GridPage, Order
from service.api.counts.node_sums import NodeSums

Granularity = Literal["day", "week", "month", "hour"]

_COLUMNS: dict[Granularity, tuple[str, ...]] = {
    "day": ("area", "category", "date", "count", "excluded"),
    "week": ("area", "category", "date", "days", "count", "excluded"),
    "month": ("area", "category", "date", "days", "count", "excluded"),
    "hour": ("area", "category", "date", "hour", "count", "excluded", "without_hour"),
}


@dataclass(frozen=True)
class CountGrid:
    """The rows of one question.

    Attributes:
        sums: what is counted.
        areas: the areas, sorted.
        span: first and last day; None: there are no counts.
        granularity: what a row is of.
        recodings: by what counts are told in today's codes as well; None: they are not. Not by hours.
        zone: whose hours.
    """

    sums: NodeSums
    areas: Sequence[str]
    span: tuple[date, date] | None
    granularity: Granularity
    recodings: CategoryMap | None
    zone: ZoneInfo

    @cached_property
    def order(self) -> Order:
        """The rows."""
        return Order(self.areas, self.sums.categories, list(zip(self.times["date"].tolist(), self.times["hour"].tolist(), strict=True)))

    @property
    def columns(self) -> list[str]:
        """Of `rows`."""
        return [*_COLUMNS[self.granularity], *([] if self.recodings is None else ["recoded"])]

    @cached_property
    def times(self) -> pd.DataFrame:
        """What a row is of: `date`, `start` and `stop` (places of its days in the span, the latter excluded), `days` and `hour`."""
        if self.span is None:
            return pd.DataFrame(columns=["date", "start", "stop", "days", "hour"])
        days = pd.date_range(*self.span)
        if self.granularity in ("week", "month"):
            slots = periods.slots(*self.span, "week" if self.granularity == "week" else "month")
            return pd.DataFrame(
                [(slot.name, slot.start, slot.stop, slot.days, 0) for slot in slots], columns=["date", "start", "stop", "days", "hour"]
            )
        hours = range(24) if self.granularity == "hour" else range(1)
        place, hour = (part.ravel() for part in np.meshgrid(np.arange(len(days)), hours, indexing="ij"))
        found = pd.DataFrame({"date": days.date[place], "start": place, "stop": place + 1, "days": 1, "hour": hour})
        if self.granularity == "hour":
            passes = np.stack([intraday.lengths(day, self.zone) > 0 for day in days])
            found = found[passes.ravel()].reset_index(drop=True)
        return found

    def rows(self, conn: Connection, first: int, last: int) -> pd.DataFrame:
        """Rows `first` to `last`, the latter excluded, with `columns`."""
        if first >= last or self.span is None:
            return pd.DataFrame(columns=self.columns)
        page = GridPage.of(self.areas, self.sums.categories, len(self.times), first, last)
        of_time = self.times.iloc[page.times].reset_index(drop=True)[["date", "days", "hour"]]
        return of_time.assign(**page.names, **page.cells(self._cells(conn, page.areas)))[self.columns]

    def _cells(self, conn: Connection, areas: Sequence[str]) -> dict[str, np.ndarray]:
        """What is told of each time of each category of these areas: [areas, categories, times]."""
        assert self.span is not None
        start, stop = self.times["start"].to_numpy(int), self.times["stop"].to_numpy(int)
        excluded = _summed(self.sums.excluded(areas, pd.date_range(*self.span)).astype(int), start, stop) > 0
        if self.granularity == "hour":
            timed, untimed = self.sums.hours(conn, areas, *self.span, self.zone)
            hour = self.times["hour"].to_numpy(int)
            return {"count": timed[:, :, start, hour], "without_hour": untimed[:, :, start], "excluded": excluded}
        days = self.sums.days(conn, areas, *self.span)
        cells = {"count": _summed(days, start, stop), "excluded": excluded}
        if self.recodings is not None:
            cells["recoded"] = _summed(days + self.sums.moved(conn, areas, *self.span, self.recodings), start, stop).round(4)
        return cells


def _summed(days: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """[…, T] sums of runs of days [..., D]."""
    before = np.concatenate([np.zeros((*days.shape[:-1], 1), days.dtype), days.cumsum(axis=-1)], axis=-1)
    return np.asarray(before[..., stop] - before[..., start])
