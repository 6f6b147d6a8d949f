"""Quiet days: simulated counts in which nothing happens, from a hundred to twenty thousand series. Every demand alert is false."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.benchmarks.detection import plant, simulated
from experiments.benchmarks.detection.replay import Request
from experiments.benchmarks.detection.simulated import Kind

PANELS = {"quiet-100": (10, 10), "quiet-500": (25, 20), "quiet-20000": (200, 100)}  # districts, categories
RARELY = 90  # days between two trainings of the largest, of which each takes a quarter of an hour; of the others the product's default
REFIT_DAYS = {"quiet-20000": RARELY}
HISTORY, JUDGED = 730, 180  # days
LEAST, MOST = 0.02, 10.0  # tickets a day, log-uniform over categories
SEED = 0


@dataclass(frozen=True)
class FalseAlerts:
    """What was raised on quiet days.

    Attributes:
        mean: alerts a day.
        error: its standard error, days as drawn, each on its own.
        by_kind: alerts by kind.
    """

    mean: float
    error: float
    by_kind: dict[str, int]


def kinds(number: int, seed: int) -> tuple[Kind, ...]:
    """Ordinary categories: a weekly and a mild yearly season, no trend, a little more than Poisson's scatter."""
    rng = np.random.default_rng((seed, number))
    mean = np.exp(rng.uniform(np.log(LEAST), np.log(MOST), number))
    weekend, dispersion, phase = rng.uniform(0.6, 1.1, number), rng.uniform(0, 0.2, number), rng.random(number)
    return tuple(Kind(m, 0.0, 0.1, w, a, p) for m, w, a, p in zip(mean, weekend, dispersion, phase, strict=True))


def folder(name: str, work: Path) -> Path:
    """Where the replay is kept."""
    return work / name / "replay"


def request(name: str, work: Path) -> Request:
    """The replay of a quiet panel, whose file is made if it is not there."""
    counts = work / name / "counts.parquet"
    if not counts.exists():
        districts, categories = PANELS[name]
        made, _ = simulated.simulate((SEED, districts), kinds(categories, SEED), districts, HISTORY + JUDGED)
        counts.parent.mkdir(parents=True, exist_ok=True)
        half = counts.with_suffix(".half")
        plant.long(made).to_parquet(half, index=False)
        half.rename(counts)
    first = simulated.END - pd.Timedelta(days=JUDGED - 1)
    return Request(folder(name, work), f"{first:%Y-%m-%d}", f"{simulated.END:%Y-%m-%d}", counts=counts, refit_days=REFIT_DAYS.get(name))


def false_a_day(alerts: pd.DataFrame) -> FalseAlerts:
    """Counts them."""
    a_day = alerts.groupby("date").size().reindex(pd.date_range(end=simulated.END, periods=JUDGED), fill_value=0)
    kinds = {str(k): int(n) for k, n in alerts["kind"].value_counts().items()}
    return FalseAlerts(float(a_day.mean()), float(a_day.std() / np.sqrt(JUDGED)), kinds)
