"""What was promised: every finished day against each forecast set that was published before it was over, as published and not refitted.

The same is done, and kept apart, with what a challenger in shadow would have promised.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from forecasting import delay, promised
from forecasting.forecast_set import ForecastSet
from forecasting.hierarchy import ALL
from forecasting.models.base import Known
from service.clock import Clock
from service.jobs import knowledge
from service.settings import Settings
from service.store import engine, forecast_sets
from service.store import promised as store
from service.store.forecast_sets import Promise
from service.store.promised import PUBLISHED, Of

FOLLOWED = delay.MOST  # days for which a late ticket makes a day due again; what comes later counts as a correction
AT_ONCE = 35  # days of a night, the newest first: after an upgrade the others follow in the next ones
WEEKS_BACK = 8  # weeks in which the same weekday is looked for beyond the longest horizon: a hole is a week at most


@dataclass(frozen=True)
class Compared:
    """What one pass did.

    Attributes:
        days: those that were compared, the earliest first.
        sets: forecast sets that were read.
    """

    days: tuple[date, ...]
    sets: int


def run(db: Engine, settings: Settings, of: Of = PUBLISHED) -> Compared:
    """Compares the finished days that were not compared yet, and those of which counts have changed within `FOLLOWED` days.

    Days that are older than what is kept (`keep_history_days`) are not made up for.

    Each day is one transaction. A second pass over the same data changes nothing. Counts are those of today under the codes that they were filed
    under, for a forecast speaks in the codes of its night; days and nodes that are missing or excluded are left out.

    Raises:
        InputError: the store holds no counts.
    """
    with engine.reading(db) as conn:
        until = knowledge.complete_until(conn, settings.clock)
        promises = forecast_sets.promises(conn) if of == PUBLISHED else forecast_sets.shadow_promises(conn)
        recent = until - timedelta(days=FOLLOWED)
        changes, before = store.newest_changes(conn, recent, until), store.compared(conn, of)
        finished = _days(promises, until, settings.history_from)
        days = [day for day in finished if day not in before or (day > recent and before[day] != changes.get(day, 0))]
        told = {day: of_day for day in days if (of_day := _told(promises, day, settings.clock))}
        due = list(told)[-AT_ONCE:]
        if not due:
            return Compared((), 0)
        known = knowledge.known(conn, settings, until, as_filed=True)
    counts = _Counts(known, due[0], max(one.horizon for one in promises))
    wanted: dict[int, dict[date, int]] = {}
    for day in due:
        for horizon, set_id in told[day].items():
            wanted.setdefault(set_id, {})[day] = horizon
    parts: dict[date, list[pd.DataFrame]] = {day: [] for day in due}
    for set_id, horizons in wanted.items():
        with engine.reading(db) as conn:
            blob = forecast_sets.get(conn, set_id).blob
        forecasts = counts.known_places(ForecastSet.of_days(blob, horizons))
        for day, horizon in horizons.items():
            parts[day].append(counts.compare(forecasts[forecasts["date"].eq(pd.Timestamp(day))], day, horizon))
    for day in due:
        with engine.writing(db) as conn:
            # A day that is made up for lies before those that are followed: nothing looks at its newest change again.
            store.put(conn, day, changes.get(day, 0), len(told[day]), pd.concat(parts[day], ignore_index=True), settings.clock.now(), of)
    return Compared(tuple(due), len(wanted))


def _days(promises: Sequence[Promise], until: date, kept_from: date) -> list[date]:
    """The finished days since the first promise, as far back as they are kept."""
    if not promises:
        return []
    first = max(promises[0].cutoff + timedelta(days=1), kept_from)
    return [first + timedelta(days=n) for n in range((until - first).days + 1)]


def _told(promises: Sequence[Promise], day: date, clock: Clock) -> dict[int, int]:
    """Which set had told what of a day when it was over: horizon -> id. Of equal cutoffs the one published last took the place of the others; one
    that was rolled back before the day was over had taken back what it had told of it.
    """
    over = clock.end_of(day)
    found: dict[int, int] = {}
    for one in promises:
        horizon = (day - one.cutoff).days
        if 1 <= horizon <= one.horizon and one.held(over):
            found.setdefault(horizon, one.id)
    return found


class _Counts:
    """What came on the last days, node by node, ready to be compared with many forecast sets."""

    def __init__(self, known: Known, first: date, horizon: int) -> None:
        """Args: first: the earliest day to compare. horizon: the longest one."""
        start = max(int(known.panel.days.searchsorted(pd.Timestamp(first))) - horizon - promised.WEEK * WEEKS_BACK, 0)
        self._days = known.panel.days[start:]
        self._counts = known.hierarchy.total(known.panel.counts[:, start:])
        nodes = known.hierarchy.nodes
        self._areas, self._categories = pd.Index(nodes["area"].unique()), pd.Index(nodes["category"].unique())
        # One more of each: whatever the panel does not know has the position -1, which is the last.
        self._line = np.full((len(self._areas) + 1, len(self._categories) + 1), -1)
        self._line[self._areas.get_indexer(nodes["area"]), self._categories.get_indexer(nodes["category"])] = np.arange(len(nodes))
        self._places = {*known.areas.parents, ALL}
        self._tree = known.categories

    def known_places(self, forecasts: pd.DataFrame) -> pd.DataFrame:
        """The rows of a forecast set, as `ForecastSet.of_days` gives them, that belong to a level: districts and city, leaf categories and all."""
        leaf = promised.leaves(forecasts["category"].cat.categories, self._tree)
        return forecasts[forecasts["area"].isin(list(self._places)) & forecasts["category"].isin([*leaf, ALL])]

    def compare(self, forecasts: pd.DataFrame, day: date, horizon: int) -> pd.DataFrame:
        """Sums of one day, so many days ahead, at every level: `level, horizon, area, category`, `promised.SUMS`.

        Args:
            forecasts: the day's rows of `known_places`.
        """
        line = self._line[_positions(forecasts["area"], self._areas), _positions(forecasts["category"], self._categories)]
        column = int(self._days.get_indexer(pd.DatetimeIndex([day]))[0])
        # A node of the forecast that no ticket has named since is not in the panel: nothing came.
        observed = np.where(line >= 0, self._counts[line, column], 0.0)
        last_week = np.where(line >= 0, promised.naive(self._counts, column, horizon)[line], 0.0)
        there = ~np.isnan(observed)
        rows = forecasts.loc[there, ["area", "category"]].astype("str").reset_index(drop=True)
        mean, dispersion = (forecasts.loc[there, name].to_numpy(float) for name in ("mean", "dispersion"))
        sums = promised.row_sums(mean, dispersion, observed[there], last_week[there])
        return promised.at_levels(pd.concat([rows, sums], axis=1)).assign(horizon=horizon)


def _positions(codes: "pd.Series[str]", index: pd.Index) -> np.ndarray:
    """Where each code of a categorical column stands in an index; -1: it does not."""
    return np.asarray(index.get_indexer(pd.Index(codes.cat.categories)))[codes.cat.codes.to_numpy()]
