"""The nights that are recorded: trained once in a process of their own, and kept until their code or counts change.

python -m service.benchmarks.tracking.nights OUT '{"folder": …}'
"""

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from experiments import files, night, recipes
from experiments.benchmarks import runs
from experiments.benchmarks.accuracy import speed
from experiments.benchmarks.accuracy.night import ZONE
from experiments.benchmarks.panels import HORIZON
from experiments.benchmarks.runs import Run
from experiments.night import Night
from forecasting.drivers import from_frame
from forecasting.errors import InputError
from forecasting.hierarchy import Tree
from forecasting.models.base import Known
from forecasting.panel import from_counts

CITIES = {448: speed.CITY, 20_000: speed.LARGE}  # series -> the city of the benchmark of speed


def trained(series: int, cities: Path, work: Path, say: Callable[[str], None]) -> Path:
    """The file of a night over so many series; `load` reads it.

    Args:
        cities: folder of the cities' files, which are made where they are missing.
        work: where nights are kept.

    Raises:
        InputError: the night could not be trained.
    """
    name = CITIES[series]
    speed.lay_down(name, cities)
    asked = {"folder": str(cities / name)}
    out = work / name / "night.pickle"
    inputs = runs.content(pd.read_parquet(cities / name / "counts.parquet"))
    code = runs.code(runs.behind(Path(__file__), ["experiments.benchmarks"]))
    made = runs.ensure(Run(out, runs.program(__name__, out, asked), runs.fingerprint(inputs, asked, recipes.load().mapping(), code)), say)
    if made.error:
        raise InputError(f"the night of {name} was not trained ({made.error})", "bench-tracking", f"see {out.with_suffix('.log')}")
    return out


def load(path: Path) -> Night:
    """Reads a night that this benchmark wrote."""
    with path.open("rb") as file:
        made: Night = pickle.load(file)
    return made


def main(out: Path, folder: Path) -> None:
    """Trains the default recipe once on all that the files hold; writes the night."""
    areas, categories = (_tree(folder / f"{name}.parquet") for name in ("areas", "categories"))
    counts, drivers = files.counts(folder / "counts.parquet"), from_frame(files.drivers(folder / "drivers.parquet", ZONE))
    known = Known(from_counts(counts), areas, categories, drivers, "CN")
    made = night.train(known, recipes.load(), HORIZON, progress=lambda step: print(step, file=sys.stderr, flush=True))
    with out.open("wb") as file:
        pickle.dump(made, file, protocol=pickle.HIGHEST_PROTOCOL)


def _tree(path: Path) -> Tree:
    """A tree of `code` and `parent`; without a file one that has no level between."""
    return Tree(dict(pd.read_parquet(path).to_numpy())) if path.exists() else Tree()


if __name__ == "__main__":
    asked = json.loads(sys.argv[2])
    main(Path(sys.argv[1]), Path(asked["folder"]))
