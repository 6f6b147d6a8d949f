"""SPIKE: a finished day far above its predictive distribution, at the node where it is.

The tail probability of the negative binomial as published is the test, as in Noufaily et al. 2013, with the night's forecast in the
place of a regression on earlier years.
"""

from datetime import date

import numpy as np
import pandas as pd

from forecasting import distribution
from forecasting.detection import explain, levels
from forecasting.detection.explain import Labels
from forecasting.detection.finding import SPIKE, Finding, Part
from forecasting.detection.placement import place
from forecasting.hierarchy import ALL, Tree


def detect(
    day: date, nodes: pd.DataFrame, areas: Tree, categories: Tree, labels: Labels, safety: frozenset[str] = frozenset(), budget: float = 1.5
) -> list[Finding]:
    """Events of one finished day.

    Args:
        day: the day.
        nodes: a row per node: `area`, `category`, `observed`, `mean`, `dispersion` (as forecast before the day).
        areas, categories: the trees.
        labels: names for the sentences.
        safety: codes of categories of safety.
        budget: expected false alarms a day over all nodes.
    """
    pairs = list(zip(nodes["area"], nodes["category"], strict=True))
    observed, mean, dispersion = (nodes[c].to_numpy(float) for c in ("observed", "mean", "dispersion"))
    significant = levels.threshold(budget, len(nodes))

    def notable(values: np.ndarray) -> np.ndarray:
        large = (values - mean >= levels.LEAST_EXCESS) & (values >= levels.LEAST_RATIO * mean)
        return np.asarray(large & (distribution.tail(mean, dispersion, values) <= significant))

    def concerned(values: np.ndarray) -> np.ndarray:
        return np.asarray(distribution.tail(mean, dispersion, values) <= levels.CONCERNED_P)

    found = []
    for at in place(pairs, areas, categories, observed, mean, notable, concerned):
        i = at.node
        area, category = pairs[i]
        parts = tuple(Part(pairs[j][0], float(observed[j]), float(mean[j])) for j in at.districts if pairs[j][0] != ALL)
        lower, upper = distribution.quantiles(mean[i : i + 1], dispersion[i : i + 1], (0.05, 0.95))[0]
        # The evidence is what is left; what is reported is what came.
        left, told = float(at.left[i]), float(observed[i] - at.left[i])
        p_values = distribution.tail(mean, dispersion, at.left)
        safe = bool(safety & set(categories.path(category)))
        # A district's burst that is told as a part of the city's event keeps the colour that it had alone.
        large = notable(at.left)
        alone = [j for j in at.districts if j != i and large[j]]
        colours = [levels.level(float(p_values[j]), float(at.left[j] / max(mean[j], 1e-9)), 1, safe) for j in alone]
        p_value = float(p_values[i])
        colour = max([levels.level(p_value, left / max(float(mean[i]), 1e-9), len(parts), safe), *colours], key=levels.LEVELS.index)
        zh, en = explain.spike(labels, area, category, day, float(observed[i]), told, float(mean[i]), float(lower), float(upper), parts)
        found.append(
            Finding(
                SPIKE, colour, area, category, parts, day, day, day, float(observed[i]), float(mean[i]), float(lower), float(upper), p_value, zh, en
            )
        )
    return found
