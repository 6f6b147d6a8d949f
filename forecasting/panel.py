"""The count panel: a city's counts on a complete calendar, knowing zero from missing."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from forecasting.errors import InputError

USUAL_WINDOW = 28  # days whose median says what is usual: four whole weeks
SILENCE = 20  # a day with none where more than this is usual is a hole and not a zero: P(0 | mean 20) = 2e-9
BELIEVED_AFTER = 7  # days of silence after which the zeros are believed: a closed district is not missing for ever
HOLES_LOOK = USUAL_WINDOW + BELIEVED_AFTER + 1


@dataclass(frozen=True)
class CountPanel:
    """Counts of every series on every day.

    Attributes:
        series: frame [N] of `area`, `category`, sorted, unique.
        days: [T] consecutive days; the last one is the day until which the panel is complete.
        counts: [N, T] float counts, NaN where missing.
        first: [N] position of the day on which a series was first named; it does not exist before it is known.
    """

    series: pd.DataFrame
    days: pd.DatetimeIndex
    counts: np.ndarray
    first: np.ndarray

    @property
    def complete_until(self) -> pd.Timestamp:
        """The last day of the panel."""
        return pd.Timestamp(self.days[-1])

    def until(self, cutoff: date | pd.Timestamp) -> "CountPanel":
        """What was known at the end of `cutoff`: no later day, no series first named later.

        Raises:
            InputError: no day of the panel is that early.
        """
        stop = int(self.days.searchsorted(pd.Timestamp(cutoff), side="right"))
        known = self.first < stop
        if not known.any():
            raise InputError(f"no count is known by {pd.Timestamp(cutoff):%Y-%m-%d}", "cutoff", f"the counts begin on {self.days[0]:%Y-%m-%d}")
        return CountPanel(self.series[known].reset_index(drop=True), self.days[:stop], self.counts[known, :stop], self.first[known])


def from_counts(counts: pd.DataFrame, until: date | pd.Timestamp | None = None, source: str = "counts") -> CountPanel:
    """Lays counts out on a complete calendar.

    A pair is zero on every day that does not name it. A day on which a whole area (or the city) is silent although `SILENCE` is
    usual is missing: judged from earlier days alone, so that the panel of a day never changes with what comes later.

    Args:
        counts: frame of `district`, `category`, `date`, `count`; rows of the same cell (streets, hours) are added up.
        until: the last day; left out, the last day that has a row. A day without rows before it counts as zeros.
        source: the name of the table in an error.

    Raises:
        InputError: no rows, a row without a key, a count that is negative or not a number (names row, series and date).
    """
    if counts.empty:
        raise InputError("there are no counts", source, "give at least one row of district, category, date, count")
    frame = counts[["district", "category", "date", "count"]].copy()
    frame["date"] = pd.to_datetime(frame["date"]).dt.normalize()
    blank = frame[["district", "category", "date"]].isna().any()
    if blank.any():
        raise InputError(f"a row without {blank.idxmax()}", source, "give each row a district, a category and a date")
    given, frame["count"] = frame["count"], pd.to_numeric(frame["count"], errors="coerce").astype(float)
    bad = ~((frame["count"] >= 0) & (frame["count"] < np.inf)).to_numpy()
    if bad.any():
        row, at = frame[bad].iloc[0], int(bad.argmax())
        where = f"{source}, row {at + 1} ({row['district']} × {row['category']} on {row['date']:%Y-%m-%d})"
        raise InputError(f"count '{given.iloc[at]}' is not a number of 0 or more", where, "correct it")
    if until is not None:
        frame = frame[frame["date"] <= pd.Timestamp(until)]
        if frame.empty:
            raise InputError(f"no count is known by {pd.Timestamp(until):%Y-%m-%d}", "cutoff", "choose a later day")
    days = pd.date_range(frame["date"].min(), frame["date"].max() if until is None else pd.Timestamp(until), name="date")
    pairs = frame.groupby(["district", "category"], sort=True)["date"].min()
    series = pairs.index.to_frame(index=False).rename(columns={"district": "area"}).astype(str)
    line = pairs.index.get_indexer(pd.MultiIndex.from_frame(frame[["district", "category"]]))
    column = (frame["date"] - days[0]).dt.days.to_numpy()
    values = np.zeros((len(series), len(days)))
    np.add.at(values, (line, column), frame["count"].to_numpy(float))
    named = (pairs - days[0]).dt.days.to_numpy()
    return CountPanel(series, days, holes(values, series["area"].to_numpy()), named)


def holes(values: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Writes NaN where an area, or the whole city, fell silent: [N, T] counts of series in areas [N] -> [N, T].

    What a day becomes is told by the `HOLES_LOOK` days before it.
    """
    codes, which = np.unique(areas, return_inverse=True)
    totals = np.zeros((len(codes) + 1, values.shape[1]))
    np.add.at(totals, which, values)
    totals[-1] = values.sum(axis=0)
    usual = pd.DataFrame(totals.T).rolling(USUAL_WINDOW, min_periods=USUAL_WINDOW // 2).median().shift(1).to_numpy().T
    run = np.zeros(len(totals), int)
    hole = np.zeros(totals.shape, bool)
    for t in range(totals.shape[1]):
        run = np.where(totals[:, t] == 0, run + 1, 0)
        hole[:, t] = (usual[:, t] > SILENCE) & (run > 0) & (run <= BELIEVED_AFTER)
    return np.where(hole[which] | hole[-1], np.nan, values)
