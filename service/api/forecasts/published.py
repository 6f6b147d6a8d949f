"""The published forecasts in this worker's memory: read once per set, and again when the pointer has moved."""

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import repeat
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection

from forecasting import explanation, intraday, outlook
from forecasting.distribution import QUANTILE_NAMES, quantiles
from forecasting.errors import InputError
from forecasting.forecast_set import COLUMNS as FORECAST_COLUMNS
from forecasting.forecast_set import ForecastSet, unpack, with_quantiles
from service.api import periods
from service.api.errors import Problem
from service.api.forecasts import span_law
from service.store import forecast_sets

KEPT = 3  # sets in memory: the current one, the one before (pages begun before the night) and one asked for by as_of
DAYS_OF_WEEK = timedelta(days=outlook.WEEK - 1)  # from the first to the last

Granularity = Literal["day", "week", "month", "hour"]

_LAW = ("mean", *QUANTILE_NAMES, "model", "issued_at", "run_id")
COLUMNS: dict[Granularity, tuple[str, ...]] = {
    "day": ("area", "category", "date", "horizon", *_LAW),
    "week": ("area", "category", "date", "week_ahead", *_LAW),
    "month": ("area", "category", "date", "days", *_LAW),
    "hour": ("area", "category", "date", "hour", *_LAW),
}


@dataclass(frozen=True, eq=False)
class LoadedSet:
    """One forecast set, ready to be asked.

    Attributes:
        id, cutoff, issued_at: as in the store. run_id: the MLflow run, else the number of the run in the ledger.
        first_day, last_day: what it forecasts by days.
        frame: the forecasts in the order of area, category, date, the text columns as categoricals.
        outlook: the same by weeks. shares: of the hours of days, see `intraday.Profiles.of_days`. None: the set was made without them.
    """

    id: int
    cutoff: date
    issued_at: datetime
    run_id: str
    first_day: date
    last_day: date
    frame: pd.DataFrame
    outlook: pd.DataFrame | None
    shares: pd.DataFrame | None

    @cached_property
    def _places(self) -> "tuple[_Places, _Places]":
        """Where the nodes stand among the days, and among the weeks."""
        days = _Places.of(self.frame)
        return days, days if self.outlook is None else _Places.of(self.outlook)

    @cached_property
    def _columns(self) -> "tuple[_Columns, _Columns]":
        """Days and weeks as arrays."""
        days = _Columns(self.frame)
        return days, days if self.outlook is None else _Columns(self.outlook)

    @property
    def areas(self) -> frozenset[str]:
        """Codes of the areas that are forecast."""
        return frozenset(self.frame["area"].cat.categories)

    @property
    def categories(self) -> frozenset[str]:
        """Codes of the categories that are forecast."""
        return frozenset(self.frame["category"].cat.categories)

    def span(self, granularity: Granularity, today: date) -> tuple[date, date]:
        """First and last day that can be asked for.

        Raises:
            Problem: the set has no weeks or no hours (404).
        """
        if granularity == "day":
            return self.first_day, self.last_day
        table = self.shares if granularity == "hour" else self.outlook
        if table is None:
            what = f"the forecast set of {self.cutoff} was made before there were forecasts by {granularity}"
            raise Problem(404, what, where="granularity", mend="ask for a later night, or for granularity=day")
        if granularity != "hour":
            return table["date"].min().date(), (table["date"].max() + DAYS_OF_WEEK).date()
        if table.empty:
            what = "tickets come with their date alone, or counts by whole days: there is nothing to tell hours by"
            raise Problem(404, what, where="granularity", mend="send 'created_at' with its time of day, or ask for granularity=day")
        first, last = max(self.first_day, today), min(self.last_day, today + timedelta(days=1))
        if first > last:
            what = f"hours are told of {today} and the day after; the forecast set holds {self.first_day} to {self.last_day}"
            raise Problem(404, what, where="granularity", mend="wait for the next nightly run, or ask for granularity=day")
        return first, last

    def rows(self, areas: Collection[str], categories: Collection[str], granularity: Granularity = "day") -> np.ndarray:
        """Positions of the rows of these nodes in `frame`, or with weeks in `outlook`, ascending."""
        return self._places[granularity in ("week", "month")].rows(areas, categories)

    def find(self, granularity: Granularity, areas: Collection[str], categories: Collection[str], start: date, end: date) -> "Found | FoundMonths":
        """The rows of these nodes from `start` to `end` inclusive; weeks and months that have one of these days."""
        table = self.outlook if granularity in ("week", "month") and self.outlook is not None else self.frame
        rows = self.rows(areas, categories, granularity)
        if granularity == "month":
            whole = periods.slots(*self.span("month", start), "month")
            months = [slot for slot in whole if slot.name <= end and periods.last_of(slot.name, "month") >= start]
            return FoundMonths(self, span_law.nodes(table, rows), months)
        arrays = self._columns[granularity == "week" and self.outlook is not None]
        days = arrays["date"][rows]
        first = np.datetime64(start) - (np.timedelta64(DAYS_OF_WEEK) if granularity == "week" else np.timedelta64(0, "D"))
        positions = rows[(days >= first) & (days <= np.datetime64(end))]
        if granularity == "hour" and self.shares is not None:
            table = intraday.hours(self.frame.iloc[positions], self.frame, self.shares)
            arrays, positions = _Columns(table), np.arange(len(table))
        return Found(table, arrays, positions, COLUMNS[granularity], self.issued_at, self.run_id)


@dataclass(frozen=True)
class _Places:
    """Where each of the N nodes stands in a table in the order of area and category: of 20,000 nodes one is found without looking at every row.

    Attributes:
        codes: the numbers of areas and categories, by code.
        nodes: [N], [N] the numbers of each node.
        ends: [N + 1] the first row of each node, and the end of the table.
    """

    codes: tuple[dict[str, int], dict[str, int]]
    nodes: tuple[np.ndarray, np.ndarray]
    ends: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame) -> "_Places":
        areas, categories = (table[name].cat for name in ("area", "category"))
        numbers = [column.codes.to_numpy() for column in (areas, categories)]
        begins = np.ones(len(table), bool)
        begins[1:] = np.logical_or(*(column[1:] != column[:-1] for column in numbers))
        firsts = np.flatnonzero(begins)
        codes = tuple({code: number for number, code in enumerate(column.categories)} for column in (areas, categories))
        return cls((codes[0], codes[1]), (numbers[0][firsts], numbers[1][firsts]), np.append(firsts, len(table)))

    def rows(self, areas: Collection[str], categories: Collection[str]) -> np.ndarray:
        """Positions of all rows of these nodes, ascending."""
        wanted = np.flatnonzero(np.logical_and(*map(_are_in, self.codes, self.nodes, (areas, categories))))
        firsts, lengths = self.ends[wanted], np.diff(self.ends)[wanted]
        skipped = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(wanted) else firsts
        return np.repeat(firsts - skipped, lengths) + np.arange(lengths.sum())


def _are_in(codes: Mapping[str, int], nodes: np.ndarray, wanted: Collection[str]) -> np.ndarray:
    """Which nodes have one of the codes: one look-up per code and not per node."""
    chosen = np.zeros(len(codes), bool)
    chosen[[codes[code] for code in wanted if code in codes]] = True
    return np.asarray(chosen[nodes])


class _Columns:
    """The columns of a table as arrays: rows are taken out of them without a frame in between, in a tenth of the time."""

    def __init__(self, table: pd.DataFrame) -> None:
        self._arrays = {str(name): column.to_numpy() for name, column in table.items() if not isinstance(column.dtype, pd.CategoricalDtype)}
        self._texts = {
            str(name): (column.cat.categories.to_numpy(object), column.cat.codes.to_numpy())
            for name, column in table.items()
            if isinstance(column.dtype, pd.CategoricalDtype)
        }

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def values(self, name: str, rows: np.ndarray) -> list[Any]:
        """Plain values of a column in some rows."""
        if name in self._texts:
            texts, codes = self._texts[name]
            return list(texts[codes[rows]])
        taken = self._arrays[name][rows]
        return list(taken.astype("datetime64[D]").tolist() if taken.dtype.kind == "M" else taken.tolist())


@dataclass(frozen=True)
class Found:
    """Rows that answer a question: positions in a table, so that a page takes its own rows alone."""

    frame: pd.DataFrame
    arrays: _Columns
    positions: np.ndarray
    columns: tuple[str, ...]
    issued_at: datetime
    run_id: str

    def __len__(self) -> int:
        return len(self.positions)

    def records(self, first: int, last: int) -> list[dict[str, Any]]:
        """The rows of `table` as plain values, for a page of JSON, which has few."""
        rows, arrays = self.positions[first:last], self.arrays
        levels = quantiles(arrays["mean"][rows], arrays["dispersion"][rows]).T.tolist()
        derived = {**dict(zip(QUANTILE_NAMES, levels, strict=True)), "issued_at": repeat(self.issued_at), "run_id": repeat(self.run_id)}
        told = [derived[name] if name in derived else arrays.values(name, rows) for name in self.columns]
        return [dict(zip(self.columns, row, strict=True)) for row in zip(*told, strict=False)]  # two columns never end

    def table(self, first: int, last: int) -> pd.DataFrame:
        """Rows `first` to `last`, the latter excluded, with the columns COLUMNS; the quantiles are derived here, for these rows alone."""
        rows = with_quantiles(self.frame.iloc[self.positions[first:last]])
        return rows.assign(date=rows["date"].dt.date, issued_at=self.issued_at, run_id=self.run_id)[list(self.columns)]

    def parts(self) -> dict[str, float] | None:
        """What the mean of the first row is made of, by the names `explanation.NAMES`; None: the set was published without."""
        if explanation.COLUMNS[0] not in self.frame:
            return None
        row = explanation.with_parts(self.frame.iloc[self.positions[:1]])
        return {name: float(row[name].item()) for name in explanation.NAMES}


@dataclass(frozen=True)
class FoundMonths:
    """Months that answer a question, of some nodes; a page reckons its own nodes alone."""

    of: LoadedSet
    nodes: pd.MultiIndex
    months: Sequence[periods.Slot]

    def __len__(self) -> int:
        return len(self.nodes) * len(self.months)

    @property
    def issued_at(self) -> datetime:
        """Of the set."""
        return self.of.issued_at

    def records(self, first: int, last: int) -> list[dict[str, Any]]:
        """Rows as of `Found.records`."""
        return [{str(name): value for name, value in row.items()} for row in self.table(first, last).to_dict("records")]

    def table(self, first: int, last: int) -> pd.DataFrame:
        """Rows as of `Found.table`."""
        columns = list(COLUMNS["month"])
        if first >= last:
            return pd.DataFrame(columns=columns)
        n_months = len(self.months)
        node_from = first // n_months
        nodes = self.nodes[node_from : (last - 1) // n_months + 1]
        start = self.of.first_day
        days = [(start + timedelta(days=slot.start), start + timedelta(days=slot.stop - 1)) for slot in self.months]
        law = span_law.law(self.of.frame, self.of.outlook, nodes, days)
        rows = pd.DataFrame(
            {
                "area": np.repeat(nodes.get_level_values(0), n_months),
                "category": np.repeat(nodes.get_level_values(1), n_months),
                "date": [slot.name for slot in self.months] * len(nodes),
                "days": [slot.days for slot in self.months] * len(nodes),
                "mean": law.mean.ravel(),
                "dispersion": law.dispersion.ravel(),
                "model": law.model.ravel(),
            }
        ).iloc[first - node_from * n_months : last - node_from * n_months]
        return with_quantiles(rows).assign(issued_at=self.of.issued_at, run_id=self.of.run_id)[columns]


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

    def rows(self, conn: Connection, set_id: int, areas: Collection[str], categories: Collection[str]) -> pd.DataFrame:
        """The days of some nodes of a set; none if it cannot be read: an alert is told all the same.

        An old one is not read as a whole for them, and drives none out of memory.
        """
        try:
            found = self.current(conn) if forecast_sets.pointer(conn) == set_id else self._in_memory(set_id)
            if found is None:
                return ForecastSet.of_nodes(forecast_sets.get(conn, set_id).blob, areas, categories)
        except (InputError, pa.ArrowException):
            return pd.DataFrame(columns=list(FORECAST_COLUMNS))
        rows: pd.DataFrame = found.frame.iloc[found.rows(areas, categories)]
        return rows

    def _in_memory(self, set_id: int) -> LoadedSet | None:
        with self._lock:
            if set_id in self._sets:
                self._sets.move_to_end(set_id)
            return self._sets.get(set_id)


def _load(stored: forecast_sets.ForecastSet) -> LoadedSet:
    frame = _sorted(ForecastSet.from_parquet(stored.blob).frame)
    return LoadedSet(
        stored.id,
        stored.cutoff,
        stored.issued_at,
        stored.mlflow_run_id or str(stored.run_id),
        frame["date"].min().date(),
        frame["date"].max().date(),
        frame,
        None if stored.outlook is None else _sorted(unpack(stored.outlook, outlook.COLUMNS)),
        None if stored.hours is None else unpack(stored.hours, intraday.COLUMNS),
    )


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.assign(**{name: frame[name].astype("category") for name in ("area", "category", "model")})
    frame = frame.assign(date=pd.to_datetime(frame["date"]))
    return frame.sort_values(["area", "category", "date"], ignore_index=True)
