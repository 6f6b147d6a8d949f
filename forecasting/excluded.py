"""Excluded spans: days that are no days like others (a pandemic year, an outage), from which nothing is to be learnt or judged."""

from dataclasses import replace

import numpy as np
import pandas as pd

from forecasting.hierarchy import Tree
from forecasting.panel import CountPanel


def marks(spans: pd.DataFrame, areas: list[set[str]], categories: list[set[str]], days: pd.DatetimeIndex) -> np.ndarray:
    """Which cells lie in a span.

    Args:
        spans: frame of `start`, `end` (days, both included), `area`, `category` (`ALL`: every one).
        areas, categories: for each of A areas and C categories the codes whose spans concern it.
        days: the T days.
    Returns:
        [A, C, T] booleans.
    """
    inside = np.zeros((len(areas), len(categories), len(days)), bool)
    starts, ends = pd.DatetimeIndex(spans["start"]), pd.DatetimeIndex(spans["end"])
    for start, end, area, category in zip(starts, ends, spans["area"], spans["category"], strict=True):
        there = np.array([area in codes for codes in areas], bool)
        of = np.array([category in codes for codes in categories], bool)
        inside |= there[:, None, None] & of[None, :, None] & np.asarray((days >= start) & (days <= end))
    return inside


def without(panel: CountPanel, spans: pd.DataFrame, areas: Tree, categories: Tree) -> CountPanel:
    """The panel with the cells of the spans missing: a span of a node concerns every series below it.

    Sums over a missing cell are missing as well, so nothing is learnt from the city's total on a day on which a part of it is excluded.

    Args:
        spans: see `marks`.
    """
    if spans.empty:
        return panel
    a_codes, a = np.unique(panel.series["area"].to_numpy(dtype=object), return_inverse=True)
    c_codes, c = np.unique(panel.series["category"].to_numpy(dtype=object), return_inverse=True)
    inside = marks(spans, [set(areas.path(code)) for code in a_codes], [set(categories.path(code)) for code in c_codes], panel.days)
    return replace(panel, counts=np.where(inside[a, c], np.nan, panel.counts))
