"""Time and memory: a whole backtest beside AutoETS, and a night of a city and of one twenty thousand series large."""

from functools import lru_cache
from pathlib import Path

import pandas as pd

from experiments.benchmarks import kept, runs
from experiments.benchmarks.accuracy import night, product
from experiments.benchmarks.panels import END, START, daily, largest, small_city
from experiments.benchmarks.runs import Run
from forecasting import city, intraday
from forecasting.city.places import CODES, DISTRICT_CODES, category_table
from forecasting.city.streets import street_table

CITY = "night-448"  # 16 districts x 28 categories
LARGE, LARGE_SERIES, LARGE_SCALE = "night-20000", 20_000, 0.3
NIGHTS = (CITY, LARGE)


def laid(name: str, work: Path) -> bool:
    """Whether the files of a night are there."""
    paths = _paths(name, work)
    return paths["hours"].exists() and paths["counts"].exists()


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


def run_of(name: str, work: Path, inputs: str) -> Run:
    """One night on the files of its city.

    Args:
        inputs: fingerprint of the files.
    """
    paths = {key: path for key, path in _paths(name, work).items() if path.exists()}
    out = work / name / "scores.parquet"
    made = runs.fingerprint(inputs, product.recipe_text(), night.code())
    return Run(out, runs.program(night.__name__, out, {key: str(path) for key, path in paths.items()}), made)


def about(name: str, work: Path, folder: Path) -> dict[str, str] | None:
    """What a night is measured on, by its files, or by what is kept of it while they are made as they were then; None if there is neither."""
    definition = runs.fingerprint(name, LARGE_SERIES, LARGE_SCALE, START, END, small_city()) if laid(name, work) or kept.about(folder) else ""
    if laid(name, work):
        return {"definition": definition, "fingerprint": _content(name, work)}
    said = kept.about(folder)
    return said if said and said["definition"] == definition else None


@lru_cache(maxsize=len(NIGHTS))
def _content(name: str, work: Path) -> str:
    paths = _paths(name, work)
    return runs.fingerprint(*(f"{key} {runs.content(pd.read_parquet(path))}" for key, path in paths.items() if path.exists()))


def _paths(name: str, work: Path) -> dict[str, Path]:
    return {key: work / name / f"{key}.parquet" for key in night.FILES}


def base(counts: pd.DataFrame) -> pd.DataFrame:
    """The rows of places and kinds of complaint that are there from the first day."""
    return counts[counts["district"].isin(DISTRICT_CODES) & counts["category"].isin(CODES)]


def hours_of(counts: pd.DataFrame) -> pd.DataFrame:
    """The city's counts by hour, of the days from which hours are learnt: `category`, `date`, `hour`, `count`."""
    late = counts.assign(date=pd.to_datetime(counts["date"]))
    late = late[late["date"] > late["date"].max() - pd.Timedelta(days=intraday.DAYS)]
    hours: pd.DataFrame = late.groupby(["category", "date", "hour"], as_index=False)["count"].sum()
    return hours


def _categories() -> pd.DataFrame:
    """The category tree: two levels below the root."""
    return category_table()[["code", "parent"]]


def _city() -> dict[str, pd.DataFrame]:
    made = city.simulate(0, 1.0, START, END)
    hourly = base(made.counts)
    return {"drivers": made.drivers, "categories": _categories(), "hours": hours_of(hourly), "counts": daily(hourly)}


def _large() -> dict[str, pd.DataFrame]:
    """Two cities' streets side by side: one has 343 streets, and twenty thousand series need twice as many."""
    counts, hours, areas = [], [], []
    for seed, mark in enumerate(("", "B")):
        made = city.simulate(seed, LARGE_SCALE, START, END, streets=True)
        hourly = made.counts[made.counts["street"] != ""]
        counts.append(daily(hourly.assign(district=mark + hourly["street"].astype(str))))
        hours.append(hours_of(hourly))
        streets = street_table()
        areas.append(pd.DataFrame({"code": mark + streets["code"], "parent": mark + streets["parent"]}))
        drivers = made.drivers[made.drivers["district"] == "ALL"]
    return {
        "drivers": drivers,
        "areas": pd.concat(areas, ignore_index=True),
        "categories": _categories(),
        "hours": pd.concat(hours, ignore_index=True),
        "counts": largest(pd.concat(counts), LARGE_SERIES),
    }
