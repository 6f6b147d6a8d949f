"""The contract of a forecasting model, and what a model may know."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd

from forecasting import calendars, hierarchy
from forecasting.drivers import Drivers
from forecasting.hierarchy import Hierarchy, Tree
from forecasting.panel import CountPanel

NO_OPINION = "no_opinion.txt"
HORIZON_MARGIN = 7  # days of calendar beyond the horizon: what lies just ahead of the last day shapes it too


@dataclass(frozen=True)
class Known:
    """Everything that is known at the end of a day, the cutoff: the only way in which data reaches a model.

    Attributes:
        panel: counts up to the cutoff.
        areas, categories: the trees over which counts are summed.
        drivers: observations and forecasts issued up to the cutoff, or None.
        country: whose holidays; "none" for a plain week. A calendar is known ahead.
        overrides: days whose working status is known better than the calendar knows it.
    """

    panel: CountPanel
    areas: Tree
    categories: Tree
    drivers: Drivers | None = None
    country: str = "CN"
    overrides: Mapping[date, bool] = field(default_factory=dict)

    def at(self, cutoff: date | pd.Timestamp) -> "Known":
        """What was known at the end of an earlier day. Raises InputError if nothing was."""
        drivers = self.drivers.until(cutoff) if self.drivers else None
        return Known(self.panel.until(cutoff), self.areas, self.categories, drivers, self.country, self.overrides)

    @property
    def cutoff(self) -> pd.Timestamp:
        """The last day known."""
        return self.panel.complete_until

    @cached_property
    def hierarchy(self) -> Hierarchy:
        """The nodes at which forecasts are made: M of them, the panel's N series first."""
        return hierarchy.build(self.panel.series, self.areas, self.categories)

    @cached_property
    def counts(self) -> np.ndarray:
        """[M, T] counts of every node, NaN where missing."""
        return self.hierarchy.total(self.panel.counts)

    @cached_property
    def since_first(self) -> np.ndarray:
        """[M, T] counts of every node, NaN where missing and before the node was first named: what is new has no history of zeros."""
        return np.where(np.arange(len(self.panel.days)) >= self.first[:, None], self.counts, np.nan)

    def recent(self, days: int) -> np.ndarray:
        """[M] mean count over the last days of each node, over those known: a missing day is no zero. 0 where none is known.

        Of a node that was first named within these days, the ticket that named it is left out: without it there would be no node.
        """
        newest = self.since_first[:, -days:]
        there = ~np.isnan(newest)
        young = self.first > len(self.panel.days) - days
        tickets = np.where(there, newest, 0.0).sum(axis=1) - young
        return np.asarray(np.maximum(tickets, 0.0) / np.maximum(there.sum(axis=1), 1))

    @cached_property
    def first(self) -> np.ndarray:
        """[M] position of the day on which the first series of each node was first named."""
        n = self.hierarchy.n_series
        upper = [self.panel.first[self.hierarchy.sums.indices[a:b]].min() for a, b in zip(*self._rows(), strict=True)]
        return np.concatenate([self.panel.first, np.array(upper, dtype=self.panel.first.dtype)]) if upper else self.panel.first[:n]

    def _rows(self) -> tuple[np.ndarray, np.ndarray]:
        return self.hierarchy.sums.indptr[:-1], self.hierarchy.sums.indptr[1:]

    def days_ahead(self, horizon: int) -> pd.DatetimeIndex:
        """[H] the days to forecast."""
        return pd.date_range(self.cutoff + pd.Timedelta(days=1), periods=horizon, name="date")

    def calendar(self, horizon: int) -> pd.DataFrame:
        """Kinds of day from the first day of the panel to the horizon and a little beyond; see `calendars.day_table`."""
        end = self.cutoff + pd.Timedelta(days=horizon + HORIZON_MARGIN)
        return calendars.day_table(self.panel.days[0].date(), end.date(), self.country, self.overrides or None)


class Fitted(Protocol):
    """A model that has learnt."""

    def forecast(self, known: Known, horizon: int) -> np.ndarray:
        """Means [M, H] of the nodes of `known` for the days after its cutoff, >= 0; NaN where the model has no opinion.

        `known` may be later than what was learnt from (a model serves for some time); it is never earlier.
        """
        ...

    def save(self, folder: Path) -> None:
        """Writes the model as text and tables, which the class method `load` reads: nothing that runs code when it is loaded."""
        ...


@dataclass(frozen=True)
class NoOpinion:
    """A model that found nothing to learn from: it has no opinion on any node."""

    def forecast(self, known: Known, horizon: int) -> np.ndarray:
        return np.full((len(known.hierarchy.nodes), horizon), np.nan)

    @classmethod
    def load(cls, folder: Path) -> "NoOpinion":
        """Reads what `save` wrote."""
        (folder / NO_OPINION).read_text()
        return cls()

    def save(self, folder: Path) -> None:
        (folder / NO_OPINION).write_text("There was nothing to learn from.\n")


class Model(Protocol):
    """A way to learn. Instances hold settings only and never change."""

    name: ClassVar[str]
    least_days: ClassVar[int]
    """Days of history below which the model has no opinion."""
    ages: ClassVar[bool]
    """True if a fitted model forecasts from its own cutoff only and must be fitted again for a later one."""
    reference: ClassVar[bool]
    """True if it is there to be compared with: it has no part in a blend unless it is named."""
    fitted: ClassVar[type[Any]]
    """What it becomes when it has learnt; its `load` reads what its `save` wrote."""

    def fit(self, known: Known, horizon: int, seed: int) -> Fitted:
        """Learns from what is known. The same inputs and seed give the same model."""
        ...

    def settings(self) -> dict[str, Any]:
        """The settings as a flat mapping, for the record of a run."""
        ...
