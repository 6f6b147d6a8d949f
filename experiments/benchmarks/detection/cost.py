"""Seconds of a replay; those of single looks are in `passes`."""

from pathlib import Path

import pandas as pd

from experiments.benchmarks import panels
from experiments.benchmarks.detection.replay import Request

NAME, SERIES, DAYS = "replay-250", 250, 365
REPLAY_LIMIT = 300.0  # seconds
PART = "cost"


def folder(work: Path) -> Path:
    """Where the replay is kept."""
    return work / NAME / "replay"


def request(work: Path) -> Request:
    """The replay of the largest series of the simulated city's last year, monthly refits among it."""
    panel = panels.lay_down("city-0.1", None, work / "panels")
    counts = work / NAME / "counts.parquet"
    if not counts.exists():
        counts.parent.mkdir(parents=True, exist_ok=True)
        half = counts.with_suffix(".half")
        panels.largest(panel.table(), SERIES).to_parquet(half, index=False)
        half.rename(counts)
    last = pd.Timestamp(panels.END)
    days = f"{last - pd.Timedelta(days=DAYS - 1):%Y-%m-%d}", f"{last:%Y-%m-%d}"
    return Request(folder(work), *days, counts=counts, drivers=panel.drivers, country=panel.country)
