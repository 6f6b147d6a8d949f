"""The sets on which detectors are measured: real panels and simulated counts, each as it is and with planted incidents."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.benchmarks import panels, runs
from experiments.benchmarks.detection import known, plant, simulated
from experiments.benchmarks.detection.known import Known
from experiments.benchmarks.detection.plant import Planted

SIMULATED = "simulated"
REAL = ("chicago-311-sanitation", "chicago-burglary-2011-14", "boston-311-pest", "boston-311-animal")
SMALL = ("boston-311-rodent",)  # on request: quick, too few events to judge by
SETS = (*REAL, SIMULATED)
COPIES = ("planted", "clean")
REPORTED_SEED = 0  # figures on the page; tune with others


@dataclass(frozen=True)
class PlantedSet:
    """A set laid down as files below its folder.

    Attributes:
        folder: of `clean.csv`, `planted.csv` (days x series, for peers), `injected.csv`, `truth.csv`, and `clean.parquet`, `planted.parquet`
            (`district, category, date, count` of the whole panel, for the product).
        country: whose holidays.
    """

    name: str
    folder: Path
    country: str

    @property
    def there(self) -> bool:
        """Are its files there? The truth is written last."""
        return (self.folder / "truth.csv").exists()

    @cached_property
    def planted(self) -> Planted:
        """Counts, incidents and truth."""
        return plant.read(self.folder)

    @cached_property
    def days(self) -> pd.DatetimeIndex:
        """The planted year."""
        return pd.DatetimeIndex(self.planted.injected.index)

    @cached_property
    def known(self) -> dict[str, Known]:
        """What those who know the distribution know: in simulated counts the truth, in all the two-sided estimate from the clean copy."""
        estimate = {known.ESTIMATE: known.two_sided(self.planted.clean)}
        if self.name != SIMULATED:
            return estimate
        mean = pd.read_parquet(self.folder / "mean.parquet")
        dispersion = pd.read_csv(self.folder / "dispersion.csv", index_col="series")["dispersion"]
        series = list(self.planted.clean.columns)
        return {known.TRUTH: Known(mean[series], dispersion[series].to_numpy(float)), **estimate}

    def fingerprint(self, copy: str) -> str:
        """Of what a detector reads."""
        return runs.fingerprint((self.folder / f"{copy}.parquet").read_bytes(), (self.folder / f"{copy}.csv").read_bytes())


def stored(name: str, work: Path, seed: int = REPORTED_SEED) -> PlantedSet:
    """A set that may be there already."""
    return PlantedSet(name, work / (name if seed == REPORTED_SEED else f"{name}-seed-{seed}"), "none" if name == SIMULATED else "US")


def lay_down(name: str, data: Path | None, work: Path, seed: int = REPORTED_SEED) -> PlantedSet:
    """Makes the files of a set below `work`, unless they are there.

    Args:
        seed: of the planted incidents (and of simulated counts).

    Raises:
        InputError: an unknown name, or a real panel without its tickets.
    """
    made = stored(name, work, seed)
    if made.there:
        return made
    folder = made.folder
    if name == SIMULATED:
        counts, law = simulated.panel(seed)
        folder.mkdir(parents=True, exist_ok=True)
        law.mean.to_parquet(folder / "mean.parquet")
        pd.DataFrame({"series": counts.columns, "dispersion": law.dispersion}).to_csv(folder / "dispersion.csv", index=False)
    else:
        counts = plant.wide(panels.lay_down(name, data, work / "panels").table())
    planted = plant.plant(counts, (seed, *map(ord, name)))
    whole = counts.copy()
    folder.mkdir(parents=True, exist_ok=True)
    plant.long(whole).to_parquet(folder / "clean.parquet", index=False)
    whole.loc[planted.injected.index, planted.injected.columns] += planted.injected
    plant.long(whole).to_parquet(folder / "planted.parquet", index=False)
    planted.write(folder)
    return made


def usual(counts: pd.DataFrame) -> np.ndarray:
    """[S] tickets a day in the year before the planted one."""
    return counts.iloc[-2 * plant.PLANTED_DAYS : -plant.PLANTED_DAYS].mean().to_numpy(float)
