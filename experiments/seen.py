"""What a replay sees of a file, as time goes by: counts, whose days are known when they are over, or tickets, known when they are received."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd

from forecasting import intraday, panel
from forecasting.calendars import day_table
from forecasting.detection import running_day
from forecasting.hierarchy import Tree
from forecasting.intraday import MIDNIGHT
from forecasting.panel import CountPanel


@dataclass(frozen=True)
class OfCounts:
    """Counts by day. See `forecasting.detection.replay.Seen`."""

    whole: CountPanel

    @property
    def days(self) -> pd.DatetimeIndex:
        return self.whole.days

    def counts(self, day: int) -> np.ndarray:
        return self.whole.counts[:, : day + 1]

    def hours(self, day: int) -> np.ndarray | None:
        return None

    def share(self, cutoff: int, day: int) -> np.ndarray | None:
        return None


class OfTickets:
    """Tickets with the moments of their creation and reception. Days are asked for in their order."""

    def __init__(self, rows: pd.DataFrame, whole: CountPanel, country: str) -> None:
        """
        Args:
            rows: `district`, `category`, `created`, `received`, see `experiments.files.moments`.
            whole: the series and days, as all tickets make them.
            country: whose holidays.
        """
        place = pd.MultiIndex.from_frame(whole.series)
        rows = rows[rows["created"] < whole.days[-1] + pd.Timedelta(days=1)].sort_values("received", kind="stable")
        self.days = whole.days
        self._areas = whole.series["area"].to_numpy()
        self._categories = whole.series["category"].to_numpy()
        self._country = country
        self._line = place.get_indexer(pd.MultiIndex.from_frame(rows[["district", "category"]]))
        self._created = (rows["created"].dt.normalize() - whole.days[0]).dt.days.to_numpy()
        self._received = (rows["received"].dt.normalize() - whole.days[0]).dt.days.to_numpy()
        # Midnight to the second is a date alone: it is known when the day is over, like a count.
        self._dated = (rows["received"] == rows["received"].dt.normalize()).to_numpy()
        self._hour = np.where(self._dated, 23, rows["received"].dt.hour)
        self._known = np.zeros((len(place), len(whole.days)))
        self._until = 0  # rows that are in `_known`

    def counts(self, day: int) -> np.ndarray:
        stop = int(np.searchsorted(self._received, day, side="right"))
        new = slice(self._until, stop)
        np.add.at(self._known, (self._line[new], self._created[new]), 1.0)
        self._until = max(stop, self._until)
        first = max(day + 1 - 2 * panel.HOLES_LOOK, 0)
        with_holes = panel.holes(self._known[:, first : day + 1], self._areas)
        seen = self._known[:, : day + 1].copy()
        seen[:, max(day + 1 - panel.HOLES_LOOK, 0) :] = with_holes[:, -min(panel.HOLES_LOOK, day + 1) :]
        return seen

    def hours(self, day: int) -> np.ndarray | None:
        start, stop = np.searchsorted(self._received, [day, day + 1])
        mine = np.arange(start, stop)[self._created[start:stop] == day]
        by_hour = np.zeros((len(self._known), 24))
        np.add.at(by_hour, (self._line[mine], self._hour[mine]), 1.0)
        return by_hour.cumsum(axis=1)

    def share(self, cutoff: int, day: int) -> np.ndarray | None:
        learnt = self._learnt(cutoff)
        if learnt is None:
            return None
        profiles, same_day = learnt
        by_category = running_day.known_by(profiles, same_day, bool(self._working.iloc[day]))
        return running_day.shares_of(list(self._categories), profiles, by_category)

    @cached_property
    def _working(self) -> pd.Series:
        return day_table(self.days[0].date(), self.days[-1].date(), self._country, None)["working"]

    @lru_cache(maxsize=2)  # noqa: B019 - as long as a replay lives
    def _learnt(self, cutoff: int) -> tuple[intraday.Profiles, float] | None:
        """Profiles of the hours in which tickets became known on their day, and the share of those that did, by the end of the cutoff."""
        last = (self._created > cutoff - intraday.DAYS) & (self._created <= cutoff) & (self._received <= cutoff)
        same = last & (self._received == self._created)
        if not same.any() or float(self._dated[same].mean()) > MIDNIGHT:
            return None
        table = pd.DataFrame({"category": self._categories[self._line[same]], "date": self.days[self._created[same]], "hour": self._hour[same]})
        hourly = table.groupby(["category", "date", "hour"]).size().rename("count").reset_index()
        profiles = intraday.learn(hourly, self._working, sorted(set(self._categories)), Tree())
        return None if profiles is None else (profiles, float(same.sum() / last.sum()))
