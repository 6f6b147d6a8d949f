"""Seconds of one look at a city of 20,000 series: at a finished day, and at an hour of the running one.

    python -m experiments.benchmarks.detection.passes OUT '{}'

Streets, districts and the city, categories in two levels; counts are chance. The day goes through `forecasting.detection.replay`, the hour through
`running_day`, as in a replay; what is read from files or a store is not counted.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.benchmarks import runs
from experiments.benchmarks.runs import Run
from forecasting import hierarchy
from forecasting.detection import replay, running_day
from forecasting.detection.excess import DAYS, Days
from forecasting.detection.explain import Labels
from forecasting.detection.issued import Issued
from forecasting.detection.replay import World
from forecasting.detection.usual import Trust, Usual
from forecasting.hierarchy import ALL, Tree

NAME = "passes"
DISTRICTS, STREETS, GROUPS, LEAVES = 16, 21, 12, 5  # of each district; of each group: 20,160 series
SERIES = DISTRICTS * STREETS * GROUPS * LEAVES
HISTORY, LOOKS = 240, 5  # days; of each kind, the median counts
SCATTER, LEAST = 0.01, 0.001
LIMITS = {"daily pass": 3.0, "intraday pass": 1.0}  # seconds
ZONE = "Asia/Shanghai"


class Chance:
    """Counts of every series [N, T] as `replay.Seen` has them; no hours."""

    def __init__(self, counts: np.ndarray) -> None:
        self.all, self.days = counts, pd.date_range("2025-01-01", periods=counts.shape[1])

    def counts(self, day: int) -> np.ndarray:
        """[N, day + 1]."""
        return self.all[:, : day + 1]

    def hours(self, _day: int) -> None:
        """Nothing tells the hour."""

    def share(self, _cutoff: int, _day: int) -> None:
        """Nothing tells the hour."""


def out(work: Path) -> Path:
    """The file that is made."""
    return work / NAME / f"{NAME}.parquet"


def run_of(work: Path) -> Run:
    """The run that takes the time."""
    return Run(out(work), runs.program(__name__, out(work), {}), runs.code(runs.behind(Path(__file__), ["experiments.benchmarks"])))


def world() -> World:
    """The city."""
    streets = {f"D{d:02d}{s:02d}": f"D{d:02d}" for d in range(DISTRICTS) for s in range(STREETS)}
    leaves = {f"C{g:02d}{k}": f"C{g:02d}" for g in range(GROUPS) for k in range(LEAVES)}
    areas, categories = (Tree({**below, **dict.fromkeys(below.values(), ALL)}) for below in (streets, leaves))
    series = pd.DataFrame([(street, leaf) for street in streets for leaf in leaves], columns=["area", "category"])
    return World(hierarchy.build(series, areas, categories), areas, categories, Labels())


def main(path: Path) -> None:
    """Writes `look, seconds, nodes`, a row per look."""
    city, rng = world(), np.random.default_rng(0)
    level = np.exp(rng.normal(-1.0, 1.3, city.hierarchy.n_series))
    counts = rng.poisson(level[:, None], (len(level), HISTORY)).astype(float)
    looks = {"daily pass": list(_daily(city, level, counts)), "intraday pass": list(_intraday(city, level, counts))}
    rows = [(look, seconds, len(city.hierarchy.nodes)) for look, all_ in looks.items() for seconds in all_]
    pd.DataFrame(rows, columns=["look", "seconds", "nodes"]).to_parquet(path, index=False)


def _daily(city: World, level: np.ndarray, counts: np.ndarray) -> Iterator[float]:
    mean = city.hierarchy.total(np.repeat(level[:, None], 28, axis=1))
    m, seen = len(mean), Chance(counts)
    trust = Trust(np.full(m, SCATTER), np.zeros(m), np.full(m, LEAST))
    nodes = list(zip(city.hierarchy.nodes["area"], city.hierarchy.nodes["category"], strict=True))
    first = HISTORY - LOOKS
    issued = Issued(seen.days[first - 1], nodes, mean, np.full(mean.shape, SCATTER), np.empty((m, 0)), trust, Usual(trust))
    lived = replay.live(seen, iter([issued]), city, first, ZONE)
    for _ in range(LOOKS):
        started = time.perf_counter()
        next(lived)
        yield time.perf_counter() - started


def _intraday(city: World, level: np.ndarray, counts: np.ndarray) -> Iterator[float]:
    observed, mean = city.hierarchy.total(counts[:, -DAYS:]), city.hierarchy.total(np.repeat(level[:, None], DAYS, axis=1))
    nodes = list(zip(city.hierarchy.nodes["area"], city.hierarchy.nodes["category"], strict=True))
    days = Days(nodes, observed, mean, np.full(mean.shape, SCATTER), np.zeros(len(mean)))
    share = np.tile(np.arange(1, 25) / 24, (len(mean), 1))
    for hour in range(8, 8 + LOOKS):
        started = time.perf_counter()
        running_day.detect(pd.Timestamp("2025-08-28").date(), days, observed[:, -1:] * share, share, hour, city.areas, city.categories, city.labels)
        yield time.perf_counter() - started


if __name__ == "__main__":
    main(Path(sys.argv[1]))
