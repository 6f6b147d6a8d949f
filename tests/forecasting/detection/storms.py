"""Days of a small city in which something happens: six districts, four categories in two groups."""

import numpy as np
import pandas as pd

from forecasting.detection.excess import Days
from forecasting.hierarchy import ALL, Hierarchy, Tree, build

DISTRICTS = tuple(f"d{i}" for i in range(1, 7))
CATEGORIES = ("FIRE", "HEAT", "NOISE", "WATER")
AREAS = Tree.flat(DISTRICTS)
KINDS = Tree({"HEAT": "PUBLIC", "WATER": "PUBLIC", "NOISE": "ORDER", "FIRE": "ORDER", "PUBLIC": ALL, "ORDER": ALL})
SERIES = pd.DataFrame([(d, c) for d in DISTRICTS for c in CATEGORIES], columns=["area", "category"])
CITY: Hierarchy = build(SERIES, AREAS, KINDS)
LENGTH = 21
PAIRS = list(zip(CITY.nodes["area"], CITY.nodes["category"], strict=True))


def at(area: str, category: str) -> int:
    """Position of a node."""
    return PAIRS.index((area, category))


def bottom(value: float, changes: dict[tuple[str, str], float] | None = None) -> np.ndarray:
    """[N] one value for every series, but for some."""
    out = np.full(len(SERIES), float(value))
    for (area, category), number in (changes or {}).items():
        out[at(area, category)] = number
    return out


def dispersions(mean: np.ndarray, dispersion: float) -> np.ndarray:
    """[M] dispersion of each node if the series are independent: the variance of a sum is the sum of variances."""
    total, spread = CITY.total(mean), CITY.total(mean + dispersion * mean**2)
    return (spread - total) / total**2


def days(observed: np.ndarray, mean: np.ndarray, dispersion: float = 0.02) -> Days:
    """Three weeks as detection takes them: what came of each series on the last day [N], or days [N, K]; on those before, what was expected."""
    last = observed.reshape(len(observed), -1)
    came = np.tile(mean[:, None], (1, LENGTH))
    came[:, LENGTH - last.shape[1] :] = last
    expected, scatter = (np.tile(x[:, None], (1, LENGTH)) for x in (CITY.total(mean), dispersions(mean, dispersion)))
    return Days(PAIRS, CITY.total(came), expected, scatter)
