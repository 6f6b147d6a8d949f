"""The law of the count over any run of days, from what a forecast set holds: days, and the weeks of its outlook.

A run is cut into pieces whose law the set holds: whole weeks of the outlook, and single days for the rest; beyond the daily forecast a day has its
part of its week, as large as its weekday has it in the daily forecast, and scatters as the week does. Means add up.

What moves one piece (the gamma factor of its negative binomial) is taken to move all pieces alike, as `forecasting.intraday` has it within a day:
the sum is negative binomial with dispersion (Σ mean √dispersion)² / (Σ mean)². Forecasts that are wrong are so for weeks on end; no other dependence
makes the sum of such pieces scatter more. So a month's interval errs on the wide side. One piece alone has its own law.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce

import numpy as np
import pandas as pd

from forecasting.outlook import WEEK

Span = tuple[date, date]  # first and last day


@dataclass(frozen=True)
class SpanLaw:
    """The law of N nodes over S spans.

    Attributes:
        mean, dispersion: [N, S].
        model: [N, S] what made the last piece.
    """

    mean: np.ndarray
    dispersion: np.ndarray
    model: np.ndarray


def nodes(frame: pd.DataFrame, positions: np.ndarray) -> pd.MultiIndex:
    """The nodes that some rows of a table are of, in its order."""
    rows = frame[["area", "category"]].iloc[positions].drop_duplicates()
    return pd.MultiIndex.from_frame(rows.astype(str))


def law(days: pd.DataFrame, weeks: pd.DataFrame | None, of: pd.MultiIndex, spans: Sequence[Span]) -> SpanLaw:
    """The law of each node's count over each span.

    Args:
        days: a forecast set, see `ForecastSet.frame`.
        weeks: its outlook, see `forecasting.outlook.COLUMNS`; None: it has none.
        of: the nodes (area, category).
        spans: first and last day of each, within what the set holds.
    """
    first = days["date"].min()
    near = _matrices(days, of, first, 1)
    far = None if weeks is None else _matrices(weeks, of, first, WEEK)
    mean, dispersion, model = near if far is None else _by_days(near, far)
    told_mean, told_dispersion = (np.zeros((len(of), len(spans))) for _ in range(2))
    made = np.empty((len(of), len(spans)), object)
    for s, (start, end) in enumerate(spans):
        low, high = ((pd.Timestamp(day) - first).days for day in (start, end))
        alone = np.arange(low, high + 1)
        pieces = [(mean, dispersion, alone)]
        if far is not None:
            whole = np.arange(-(-low // WEEK), min((high + 1) // WEEK, far[0].shape[1]))
            pieces = [(far[0], far[1], whole), (mean, dispersion, alone[~np.isin(alone // WEEK, whole)])]
        total = _added(np.concatenate([means[:, chosen] for means, _, chosen in pieces], axis=1))
        spread = _added(np.concatenate([means[:, chosen] * np.sqrt(scatter[:, chosen]) for means, scatter, chosen in pieces], axis=1))
        told_mean[:, s] = total
        told_dispersion[:, s] = np.divide(spread, total, out=np.zeros(len(of)), where=total > 0) ** 2
        made[:, s] = model[:, high]
    return SpanLaw(told_mean, told_dispersion, made)


def _matrices(table: pd.DataFrame, of: pd.MultiIndex, first: pd.Timestamp, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[N, T] mean, dispersion and model of some nodes; 0 and "" where a node lacks a time."""
    areas, categories = (frozenset(of.get_level_values(level)) for level in (0, 1))
    rows = table[table["area"].isin(areas) & table["category"].isin(categories)]
    node = of.get_indexer(pd.MultiIndex.from_frame(rows[["area", "category"]].astype(str)))
    place = (rows["date"] - first).dt.days.to_numpy(int) // step
    n_times = int((table["date"].max() - first).days) // step + 1
    found = []
    for name, empty in (("mean", 0.0), ("dispersion", 0.0), ("model", "")):
        matrix = np.full((len(of), n_times), empty, object if name == "model" else float)
        matrix[node[node >= 0], place[node >= 0]] = rows[name].to_numpy()[node >= 0]
        found.append(matrix)
    return found[0], found[1], found[2]


def _by_days(near: tuple[np.ndarray, ...], far: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[N, D] of all days that days and weeks tell: those of the daily forecast, then the parts of their weeks."""
    n_near, n_weeks = near[0].shape[1], far[0].shape[1]
    place = np.arange(n_near, max(n_near, n_weeks * WEEK))
    of_weekday = np.stack([_mean(near[0][:, k::WEEK] if k < n_near else near[0]) for k in range(WEEK)], axis=1)
    shape = np.concatenate([near[0], of_weekday[:, place % WEEK]], axis=1)
    week = place // WEEK
    blocks = np.stack([_added(shape[:, k * WEEK : (k + 1) * WEEK]) for k in range(n_weeks)], axis=1)
    scale = np.divide(far[0], blocks, out=np.zeros_like(blocks), where=blocks > 0)
    beyond = np.where(blocks[:, week] > 0, shape[:, place] * scale[:, week], far[0][:, week] / WEEK)
    return (
        np.concatenate([near[0], beyond], axis=1),
        np.concatenate([near[1], far[1][:, week]], axis=1),
        np.concatenate([near[2], far[2][:, week]], axis=1),
    )


def _added(columns: np.ndarray) -> np.ndarray:
    """[N] sums of [N, K], column after column: the same to the last bit however many nodes are asked for at once."""
    return np.asarray(reduce(np.add, columns.T, np.zeros(len(columns))))


def _mean(columns: np.ndarray) -> np.ndarray:
    return np.asarray(_added(columns) / columns.shape[1])
