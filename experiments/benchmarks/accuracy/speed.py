"""Time and memory: a whole backtest beside AutoETS, and a night of a city and of one twenty thousand series large."""

from pathlib import Path

import pandas as pd

from experiments.benchmarks import runs
from experiments.benchmarks.accuracy import product
from experiments.benchmarks.panels import END, START, daily, largest
from experiments.benchmarks.runs import Run
from forecasting import city
from forecasting.city.places import CODES, DISTRICT_CODES
from forecasting.city.streets import street_table

CITY = "night-448"  # 16 districts x 28 categories
LARGE, LARGE_SERIES, LARGE_SCALE = "night-20000", 20_000, 0.3
NIGHTS = (CITY, LARGE)


def laid(name: str, work: Path) -> bool:
    """Whether the files of a night are there."""
    return _paths(name, work)["counts"].exists()


def lay_down(name: str, work: Path) -> None:
    """Makes the files of a night, three years of the simulated city, unless they are there."""
    if laid(name, work):
        return
    paths = _paths(name, work)
    paths["counts"].parent.mkdir(parents=True, exist_ok=True)
    for key, frame in (_city() if name == CITY else _large()).items():
        half = paths[key].with_suffix(".half")
        frame.to_parquet(half, index=False)
        half.rename(paths[key])


def run_of(name: str, work: Path) -> Run:
    """One training on the files of a night."""
    paths = _paths(name, work)
    asked = {key: str(path) if path.exists() else None for key, path in paths.items()}
    out = work / name / "scores.parquet"
    inputs = runs.fingerprint(*(path.read_bytes() if path.exists() else b"" for path in paths.values()), product.engine())
    return Run(out, product.command("night", out, asked), inputs)


def _paths(name: str, work: Path) -> dict[str, Path]:
    return {key: work / name / f"{key}.parquet" for key in ("drivers", "areas", "counts")}


def base(counts: pd.DataFrame) -> pd.DataFrame:
    """The rows of places and kinds of complaint that are there from the first day."""
    return counts[counts["district"].isin(DISTRICT_CODES) & counts["category"].isin(CODES)]


def _city() -> dict[str, pd.DataFrame]:
    made = city.simulate(0, 1.0, START, END)
    return {"drivers": made.drivers, "counts": base(daily(made.counts))}


def _large() -> dict[str, pd.DataFrame]:
    """Two cities' streets side by side: one has 343 streets, and twenty thousand series need twice as many."""
    counts, areas = [], []
    for seed, mark in enumerate(("", "B")):
        made = city.simulate(seed, LARGE_SCALE, START, END, streets=True)
        hourly = made.counts[made.counts["street"] != ""]
        counts.append(daily(hourly.assign(district=mark + hourly["street"].astype(str))))
        streets = street_table()
        areas.append(pd.DataFrame({"code": mark + streets["code"], "parent": mark + streets["parent"]}))
        drivers = made.drivers[made.drivers["district"] == "ALL"]
    return {"drivers": drivers, "areas": pd.concat(areas, ignore_index=True), "counts": largest(pd.concat(counts), LARGE_SERIES)}
