"""SEASONAL: the coming days, as forecast, clearly above the last four weeks and the last one."""

from datetime import date

import numpy as np
import pandas as pd

from forecasting import distribution
from forecasting.detection import explain, levels
from forecasting.detection.explain import Labels
from forecasting.detection.finding import SEASONAL, Finding, Part
from forecasting.detection.placement import place
from forecasting.hierarchy import ALL, Tree

WEEK = 7  # the highest coming week is compared: whole weeks carry no weekday
SURE = 0.02  # probability that the coming week is, after all, not above the last four: below it the rise is said to come


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

    def doubt(values: np.ndarray) -> np.ndarray:
        """P(the week's total is not above the usual week's): days of one week err together, so the dispersion is not divided."""
        return distribution.cdf(np.maximum(values, 0.0) * WEEK, scatter, np.floor(recent * WEEK))

    def notable(values: np.ndarray) -> np.ndarray:
        large = (values - recent >= levels.LEAST_EXCESS) & (values >= levels.LEAST_RATIO * recent)
        return np.asarray(large & (doubt(values) <= SURE))

    def concerned(values: np.ndarray) -> np.ndarray:
        return np.asarray(values >= levels.LEAST_RATIO * recent)

    first_day = pd.Timestamp(day) + pd.Timedelta(days=1)
    probability = doubt(high)
    found = []
    for at in place(pairs, areas, categories, high, recent, notable, concerned):
        i = at.node
        area, category = pairs[i]
        parts = tuple(Part(pairs[j][0], float(at.left[j]), float(recent[j])) for j in at.districts if pairs[j][0] != ALL)
        above = np.flatnonzero(coming[i] >= levels.LEAST_RATIO * recent[i])
        onset = (first_day + pd.Timedelta(days=int(above[0] if len(above) else best[i]))).date()
        peak = (first_day + pd.Timedelta(days=int(coming[i].argmax()))).date()
        lower, upper = distribution.quantiles(high[i : i + 1] * WEEK, scatter[i : i + 1], (0.05, 0.95))[0] / WEEK
        colour = levels.level(float(probability[i]), float(high[i] / max(recent[i], 1e-9)), len(parts), False)
        zh, en = explain.seasonal(labels, area, category, onset, peak, float(recent[i]), float(high[i]), float(lower), float(upper), parts)
        found.append(
            Finding(SEASONAL, colour, area, category, parts, day, onset, peak, float(recent[i]), float(high[i]), float(lower), float(upper),
                    float(probability[i]), zh, en)
        )  # fmt: skip
    return found
