"""SEASONAL: the coming days, as forecast, clearly above the last four weeks and the last one."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd

from forecasting import distribution
from forecasting.detection import explain, levels
from forecasting.detection.explain import Labels
from forecasting.detection.finding import SEASONAL, Finding, Part
from forecasting.detection.placement import Rule, place
from forecasting.hierarchy import ALL, Tree

WEEK = 7  # the highest coming week is compared: whole weeks carry no weekday
RECENT = 28  # days that coming days are compared with: four whole weeks
LEAST_EXCESS = 8.0  # tickets a day above the recent level: fewer are no case for a duty officer (the domain's rule)
LEAST_RATIO = 1.3  # times the recent level: less is the ordinary up and down of weeks
SURE = 0.02  # probability that the coming week is, after all, not above the last four: below it the rise is said to come


def compared(nodes: Sequence[tuple[str, str]], came: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """What the coming days of M nodes are compared with.

    Args:
        came: [M, D] on the last days; NaN where missing.

    Returns:
        `area`, `category`, `recent` as in `detect`, of the nodes of which something is known of late, and [M] which those are.
    """
    came = came[:, -RECENT:]
    known = ~np.isnan(came).all(axis=1)
    # The higher of the two: a rise that the last week has already seen is not on its way.
    recent = np.maximum(_mean(came), _mean(came[:, -WEEK:]))
    frame = pd.DataFrame(nodes, columns=["area", "category"]).assign(recent=recent)
    return frame[known].reset_index(drop=True), known


def at_level(coming: np.ndarray, level: np.ndarray) -> np.ndarray:
    """[M, H] coming days at the level [M] that nodes have, as a factor of their forecasts, see `usual`: where a forecast stands too high, as after a
    recoding, its way back is no rise. Where it stands too low it is left as it is: that more came of late is told by other kinds.
    """
    return np.asarray(coming * np.minimum(level, 1.0)[:, None])


def detect(
    day: date, nodes: pd.DataFrame, coming: np.ndarray, dispersion: np.ndarray, areas: Tree, categories: Tree, labels: Labels
) -> list[Finding]:
    """Rises that are on their way.

    Args:
        day: the last finished day; the forecast begins on the next.
        nodes: a row per node: `area`, `category`, `recent` (tickets a day: the higher of the means of the last four weeks and the last week).
        coming: [M, H] forecast means, H >= 7 (fewer give nothing).
        dispersion: [M, H].
        areas, categories: the trees.
        labels: names for the sentences.
    """
    if coming.shape[1] < WEEK or not len(nodes):
        return []
    pairs = list(zip(nodes["area"], nodes["category"], strict=True))
    recent = nodes["recent"].to_numpy(float)
    sums = np.cumsum(np.pad(coming, ((0, 0), (1, 0))), axis=1)
    weeks = (sums[:, WEEK:] - sums[:, :-WEEK]) / WEEK
    best = weeks.argmax(axis=1)
    row = np.arange(len(pairs))
    high, scatter = weeks[row, best], dispersion[row, best + WEEK // 2]

    def notable(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        usual, level = recent[rows], values[:, 0]
        large = (level - usual >= LEAST_EXCESS) & (level >= LEAST_RATIO * usual)
        return np.asarray(large & (_doubt(level, scatter[rows], usual) <= SURE))

    def concerned(rows: np.ndarray, values: np.ndarray, _: int) -> np.ndarray:
        return np.asarray(values[:, 0] >= LEAST_RATIO * recent[rows])

    rule = Rule(notable, lambda rows, _: np.zeros(len(rows), int), concerned)
    first_day = pd.Timestamp(day) + pd.Timedelta(days=1)
    probability = _doubt(high, scatter, recent)
    found = []
    for at in place(pairs, areas, categories, high[:, None], recent[:, None], rule):
        i = at.node
        area, category = pairs[i]
        parts = tuple(
            Part(areas.path(pairs[j][0])[-2], float(left), float(recent[j]))
            for j, left in zip(at.parts, at.left[1:, 0], strict=True)
            if pairs[j][0] != ALL
        )
        above = np.flatnonzero(coming[i] >= LEAST_RATIO * recent[i])
        onset = (first_day + pd.Timedelta(days=int(above[0] if len(above) else best[i]))).date()
        peak = (first_day + pd.Timedelta(days=int(coming[i].argmax()))).date()
        lower, upper = distribution.quantiles(high[i : i + 1] * WEEK, scatter[i : i + 1], (0.05, 0.95))[0] / WEEK
        usual, week = float(recent[i]), float(high[i])
        colour = levels.level(week - usual, week / max(usual, 1e-9), len(parts), 0, False)
        zh, en = explain.seasonal(labels, area, category, onset, peak, usual, week, float(lower), float(upper), parts)
        found.append(
            Finding(SEASONAL, colour, area, category, parts, day, onset, peak, usual, week, float(lower), float(upper), WEEK * usual, WEEK * week,
                    float(probability[i]), zh, en)
        )  # fmt: skip
    return found


def _doubt(level: np.ndarray, scatter: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """P(the week's total is not above the usual week's): days of one week err together, so the dispersion is not divided."""
    return distribution.cdf(np.maximum(level, 0.0) * WEEK, scatter, np.floor(usual * WEEK))


def _mean(counts: np.ndarray) -> np.ndarray:
    """[M] mean of the known ones of some days; 0 where none is."""
    there = ~np.isnan(counts)
    return np.asarray(np.where(there, counts, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1))
