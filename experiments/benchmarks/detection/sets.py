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
DEFINITION = "made.sha256"  # beside the files: how they were made
REPORTED_SEED = 0  # figures on the page; tune with others


@dataclass(frozen=True)
class Facts:
    """What is known of a set without its files.

    Attributes:
        planted, clean: fingerprints of what a detector reads.
        truth: fingerprint of what it is judged by.
        start: first day of the planted year.
        events: planted ones, each in one series.
        incidents: of one event or several at once.
    """

    planted: str
    clean: str
    truth: str
    start: str
    series: int
    days: int
    events: int
    incidents: int


@dataclass(frozen=True)
class PlantedSet:
    """A set laid down as files below its folder.

    Attributes:
        folder: of `clean.csv`, `planted.csv` (days x series, for peers), `injected.csv`, `truth.csv`, and `clean.parquet`, `planted.parquet`
            (`district, category, date, count` of the whole panel, for the product).
        country: whose holidays.
        seed: of the planted incidents.
        told: what is known of it where its files are not.
    """

    name: str
    folder: Path
    country: str
    seed: int = REPORTED_SEED
    told: Facts | None = None

    @property
    def definition(self) -> str:
        """How it is made. Files that were made otherwise are made again."""
        counts = SIMULATED if self.name == SIMULATED else panels.definition(self.name)
        return runs.fingerprint(counts, runs.code(Path(str(module.__file__)) for module in (plant, simulated)), self.seed)

    @property
    def there(self) -> bool:
        """Are its files there, made as they are made now? The definition is written last."""
        path = self.folder / DEFINITION
        return path.exists() and path.read_text() == self.definition

    @cached_property
    def planted(self) -> Planted:
        """Counts, incidents and truth."""
        return plant.read(self.folder)

    @cached_property
    def days(self) -> pd.DatetimeIndex:
        """The planted year."""
        return pd.date_range(self.facts.start, periods=plant.PLANTED_DAYS)

    @cached_property
    def facts(self) -> Facts:
        """What is known of it, by its files if there are any."""
        if self.told:
            return self.told
        text = {name: (self.folder / f"{name}.csv").read_text() for name in (*COPIES, "truth", "injected")}
        planted, clean = (runs.fingerprint(runs.content(pd.read_parquet(self.folder / f"{copy}.parquet")), text[copy]) for copy in COPIES)
        truth = runs.fingerprint(text["truth"], text["injected"])
        counts, table = self.planted.clean, self.planted.truth
        start = f"{self.planted.injected.index[0]:%Y-%m-%d}"
        return Facts(planted, clean, truth, start, counts.shape[1], len(counts), len(table), table["event"].nunique())

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
        return self.facts.planted if copy == "planted" else self.facts.clean


def stored(name: str, work: Path, seed: int = REPORTED_SEED) -> PlantedSet:
    """A set that may be there already."""
    return PlantedSet(name, work / (name if seed == REPORTED_SEED else f"{name}-seed-{seed}"), "none" if name == SIMULATED else "US", seed)


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
    (folder / DEFINITION).unlink(missing_ok=True)
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
    (folder / DEFINITION).write_text(made.definition)
    return made


def usual(counts: pd.DataFrame) -> np.ndarray:
    """[S] tickets a day in the year before the planted one."""
    return counts.iloc[-2 * plant.PLANTED_DAYS : -plant.PLANTED_DAYS].mean().to_numpy(float)
