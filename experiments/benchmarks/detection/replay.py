"""The product's side: `weisu replay` in a process of its own, and what it wrote.

`DIR/alerts.parquet`: `alert_id, raised_at, date, kind, level, district, category, districts, onset, observed, expected, p_value, reason`, one row
each time an alert is raised or goes up a level. `DIR/scores.parquet`: `district, category, date, observed, expected, p_value, score`, one row for
every node and day.
"""

import sys
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from experiments.benchmarks import runs
from experiments.benchmarks.detection.plant import name_of
from experiments.benchmarks.detection.scoring import YEAR, Marks
from experiments.benchmarks.detection.sets import PlantedSet
from experiments.benchmarks.runs import ROOT, Run
from forecasting.hierarchy import ALL

DATA_NOTE = "DATA"  # the kind that is no demand alert
PRODUCT = "weisu"
BUDGET = 1.5  # false demand alerts a day, the product's default
NOMINAL = 2.0  # false alarms a series-year, of the product's own alarms on planted sets: p_value below this many a year
SCORES, ASKED = "scores.parquet", "asked.sha256"
TELLING = tuple(f"forecasting.detection.{module}" for module in ("events", "first_seen", "placement", "ration", "running", "running_day", "seasonal"))
"""What is at work only after a day has its scores, or on days that are looked at by the hour."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Request:
    """What is replayed.

    Attributes:
        folder: where `alerts.parquet` and `scores.parquet` are written.
        counts, tickets: the file, one of them.
        start, end: first and last day.
        budget: None: the product's default.
        zone: the city's.
        refit_days: between trainings; None: the product's default.
        inputs: fingerprint of what is read, where the files are not at hand.
        scores_alone: only scores are read of it, for which it makes no difference how alerts are told.
    """

    folder: Path
    start: str
    end: str
    counts: Path | None = None
    tickets: Path | None = None
    drivers: Path | None = None
    country: str = "none"
    budget: float | None = None
    zone: str = "Asia/Shanghai"
    refit_days: int | None = None
    inputs: str = ""
    scores_alone: bool = False

    @property
    def run(self) -> Run:
        """The process; its file is that of the scores."""
        asked = ["--start", self.start, "--end", self.end, "--out", str(self.folder), "--country", self.country]
        for name in ("counts", "tickets", "drivers", "budget", "refit_days"):
            if (value := getattr(self, name)) is not None:
                asked += [f"--{name.replace('_', '-')}", str(value)]
        return Run(
            self.folder / SCORES,
            ("env", f"WEISU_TIMEZONE={self.zone}", sys.executable, "-m", "service.cli", "replay", *asked),
            fingerprint(self.asked, self.scores_alone),
        )

    @cached_property
    def asked(self) -> str:
        """Fingerprint of what is asked and read."""
        inputs = self.inputs or runs.content(*(pd.read_parquet(path) for path in (self.counts, self.tickets, self.drivers) if path))
        rarely = () if self.refit_days is None else (self.refit_days,)
        return runs.fingerprint(self.start, self.end, self.country, self.budget, self.zone, *rarely, inputs)

    def note(self) -> None:
        """Says beside what the replay writes what it is asked, so that it can be told later without the files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / ASKED).write_text(self.asked)


def asked(folder: Path) -> str:
    """Fingerprint of what a stored replay was asked; empty if there is none."""
    path = folder / ASKED
    return path.read_text() if path.exists() else ""


def fingerprint(asked: str, scores_alone: bool = False) -> str:
    """Of a replay by the present code, or of its scores alone."""
    return runs.fingerprint(engine(TELLING if scores_alone else ()), asked)


def done(folder: Path) -> bool:
    """Is everything there that a replay writes?"""
    return (folder / "scores.parquet").exists() and (folder / "alerts.parquet").exists()


def alerts(folder: Path) -> pd.DataFrame | None:
    """Demand alerts, the first row of each; None if there is no replay."""
    rows = told(folder)
    return None if rows is None else first(rows)


def told(folder: Path) -> pd.DataFrame | None:
    """Demand alerts, see `demand`, with a row each time one is raised or goes up a level; None if there is no replay."""
    return demand(pd.read_parquet(folder / "alerts.parquet")) if done(folder) else None


@lru_cache(maxsize=2)
def engine(without: tuple[str, ...] = ()) -> str:
    """SHA-256 of the code that replays, and of the recipes.

    Args:
        without: modules that make no difference.
    """
    settings = sorted((ROOT / "experiments" / "configs").glob("*.yaml"))
    return runs.fingerprint(runs.code(runs.behind(ROOT / "experiments" / "replay.py", without)), *(p.read_text("utf-8") for p in settings))


def demand(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows that are no notes about data, the earliest first; `districts` a list of those concerned, `ALL` for all."""
    found = rows[rows["kind"] != DATA_NOTE].sort_values(["raised_at", "alert_id"], kind="stable")
    return found.assign(date=pd.to_datetime(found["date"])).reset_index(drop=True)


def first(rows: pd.DataFrame) -> pd.DataFrame:
    """The first row of each alert."""
    return rows.drop_duplicates("alert_id").reset_index(drop=True)


def of_set(one: PlantedSet, copy: str) -> Request:
    """The replay of the planted year."""
    days = f"{one.days[0]:%Y-%m-%d}", f"{one.days[-1]:%Y-%m-%d}"
    counts, inputs = one.folder / f"{copy}.parquet", one.fingerprint(copy)
    return Request(one.folder / copy / PRODUCT, *days, counts=counts, country=one.country, inputs=inputs, scores_alone=True)


def grid(one: PlantedSet, copy: str, column: str) -> Floats | None:
    """[S, T] a column of the scores of the set's series; None if it has not been replayed."""
    folder = of_set(one, copy).folder
    if not done(folder):
        return None
    scores = pd.read_parquet(folder / "scores.parquet", columns=["district", "category", "date", column])
    series = scores[(scores["district"] != ALL) & (scores["category"] != ALL)].assign(date=lambda t: pd.to_datetime(t["date"]))
    named = series.assign(series=[name_of(*pair) for pair in zip(series["district"], series["category"], strict=True)])
    table = named.pivot_table(index="series", columns="date", values=column)
    return table.reindex(index=list(one.planted.clean.columns), columns=one.days).to_numpy(float)


def marks(one: PlantedSet) -> tuple[Marks, float] | None:
    """What the product said of both copies, and its seconds per series-day (all series of the panel, refits and all)."""
    score, probability = grid(one, "planted", "score"), grid(one, "planted", "p_value")
    record = runs.record(of_set(one, "planted").run.out)
    if score is None or probability is None or record is None:
        return None
    cells = len(pd.read_parquet(one.folder / "planted.parquet", columns=["district", "category"]).drop_duplicates()) * len(one.days)
    return Marks(score, probability <= NOMINAL / YEAR, grid(one, "clean", "score")), record.seconds / cells
