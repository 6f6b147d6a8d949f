"""Days of a small city in which something happens: six districts, four categories in two groups."""

import numpy as np
import pandas as pd

from forecasting.hierarchy import ALL, Hierarchy, Tree, build

DISTRICTS = tuple(f"d{i}" for i in range(1, 7))
CATEGORIES = ("FIRE", "HEAT", "NOISE", "WATER")
AREAS = Tree.flat(DISTRICTS)
KINDS = Tree({"HEAT": "PUBLIC", "WATER": "PUBLIC", "NOISE": "ORDER", "FIRE": "ORDER", "PUBLIC": ALL, "ORDER": ALL})
SERIES = pd.DataFrame([(d, c) for d in DISTRICTS for c in CATEGORIES], columns=["area", "category"])
CITY: Hierarchy = build(SERIES, AREAS, KINDS)
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


def day(observed: np.ndarray, mean: np.ndarray, dispersion: float = 0.02) -> pd.DataFrame:
    """The frame that detection takes, of what came and what was expected of each series."""
    return CITY.nodes[["area", "category"]].assign(observed=CITY.total(observed), mean=CITY.total(mean), dispersion=dispersions(mean, dispersion))
