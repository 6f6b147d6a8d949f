"""Table files for tests: the same small city as counts and as tickets."""

from pathlib import Path

import numpy as np
import pandas as pd

START = pd.Timestamp("2024-03-04")
QUICK = """\
windows: 2
members:
  seasonal_naive:
  four_week_mean:
  boosting: {rows: 3000, trees: 12, leaves: 7, least_rows: 10, threads: 1}
"""
"""A recipe that is quick to learn."""


def tickets(days: int = 170, seed: int = 0) -> pd.DataFrame:
    """A row per ticket, in the order of their moments, which stand in local time."""
    rng = np.random.default_rng(seed)
    parts = []
    for (district, category), level in {("d1", "HEAT"): 8, ("d1", "NOISE"): 3, ("d2", "HEAT"): 4, ("d2", "NOISE"): 0.6}.items():
        counts = rng.poisson(level, days)
        day = np.repeat(np.arange(days), counts)
        moment = START + pd.to_timedelta(day, unit="D") + pd.to_timedelta(rng.integers(0, 86_400, len(day)), unit="s")
        parts.append(pd.DataFrame({"created_at": moment, "district": district, "category": category}))
    frame = pd.concat(parts).sort_values("created_at", kind="stable").reset_index(drop=True)
    return frame.assign(ticket_id=[f"T{i:06d}" for i in range(len(frame))])


def counts(frame: pd.DataFrame) -> pd.DataFrame:
    """Counts by day of tickets."""
    return frame.groupby(["district", "category", frame["created_at"].dt.normalize().rename("date")]).size().rename("count").reset_index()


def write(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)
    return path
