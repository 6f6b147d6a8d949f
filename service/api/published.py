"""The published forecasts in this worker's memory: read once per set, and again when the pointer has moved."""

import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from forecasting import explanation
from forecasting.distribution import QUANTILE_NAMES
from forecasting.forecast_set import ForecastSet, with_quantiles
from service.store import forecast_sets

KEPT = 3  # sets in memory: the current one, the one before (pages begun before the night) and one asked for by as_of

COLUMNS = ("area", "category", "date", "horizon", "mean", *QUANTILE_NAMES, "model", "issued_at", "run_id")


@dataclass(frozen=True)
class LoadedSet:
    """One forecast set, ready to be asked.

    Attributes:
        id, cutoff, issued_at: as in the store. run_id: the MLflow run, else the number of the run in the ledger.
        first_day, last_day: what it forecasts.
        frame: the forecasts in the order of area, category, date, the text columns as categoricals.
    """

    id: int
    cutoff: date
    issued_at: datetime
    run_id: str
    first_day: date
    last_day: date
    frame: pd.DataFrame

    def find(self, areas: Collection[str], categories: Collection[str], start: date, end: date) -> np.ndarray:
        """Positions of the rows of these nodes, from `start` to `end` inclusive, ascending."""
        fits = _is_in(self.frame["area"], areas) & _is_in(self.frame["category"], categories)
        days = self.frame["date"].to_numpy()
        return np.flatnonzero(fits & (days >= np.datetime64(start)) & (days <= np.datetime64(end)))

    def table(self, positions: np.ndarray) -> pd.DataFrame:
        """These rows with the columns COLUMNS; the quantiles are derived here, for the rows asked alone."""
        rows = with_quantiles(self.frame.iloc[positions])
        return rows.assign(date=rows["date"].dt.date, issued_at=self.issued_at, run_id=self.run_id)[list(COLUMNS)]

    def parts(self, position: int) -> dict[str, float] | None:
        """What the mean of a row is made of, by the names `explanation.NAMES`; None: the set was published without."""
        if explanation.COLUMNS[0] not in self.frame:
            return None
        row = explanation.with_parts(self.frame.iloc[[position]])
        return {name: float(row[name].item()) for name in explanation.NAMES}


def _is_in(column: "pd.Series[str]", wanted: Collection[str]) -> np.ndarray:
    """A categorical column against a set of codes: one look-up per code and not per row."""
    return np.asarray(column.cat.categories.isin(list(wanted)))[column.cat.codes.to_numpy()]


class PublishedForecasts:
    """The sets that this worker has read. Safe to use from several threads."""

    def __init__(self) -> None:
        self._sets: OrderedDict[int, LoadedSet] = OrderedDict()
        self._lock = threading.Lock()  # held for moments: whoever asks for a set in memory never waits for one that is read
        self._reading = threading.Lock()

    def current(self, conn: Connection) -> LoadedSet | None:
        """The set that the pointer names, or None before the first one is published. Asks the store for the pointer each time: one row."""
        set_id = forecast_sets.pointer(conn)
        return None if set_id is None else self.get(conn, set_id)

    def as_of(self, conn: Connection, moment: datetime) -> LoadedSet | None:
        """The set that was current at a moment, or None if there was none."""
        found = forecast_sets.as_of(conn, moment)
        return None if found is None else self.get(conn, found.id)

    def get(self, conn: Connection, set_id: int) -> LoadedSet:
        """A set by its number, read once even if many ask at once. Raises InputError if the store has none of that number."""
        found = self._in_memory(set_id)
        if found is not None:
            return found
        with self._reading:
            found = self._in_memory(set_id)  # another thread may have read it meanwhile
            if found is None:
                found = _load(forecast_sets.get(conn, set_id))
                with self._lock:
                    self._sets[set_id] = found
                    while len(self._sets) > KEPT:
                        self._sets.popitem(last=False)
        return found

    def _in_memory(self, set_id: int) -> LoadedSet | None:
        with self._lock:
            if set_id in self._sets:
                self._sets.move_to_end(set_id)
            return self._sets.get(set_id)


def _load(stored: forecast_sets.ForecastSet) -> LoadedSet:
    frame = ForecastSet.from_parquet(stored.blob).frame
    frame = frame.assign(**{name: frame[name].astype("category") for name in ("area", "category", "model")})
    frame = frame.assign(date=pd.to_datetime(frame["date"]))
    frame = frame.sort_values(["area", "category", "date"], ignore_index=True)
    return LoadedSet(
        stored.id,
        stored.cutoff,
        stored.issued_at,
        stored.mlflow_run_id or str(stored.run_id),
        frame["date"].min().date(),
        frame["date"].max().date(),
        frame,
    )
