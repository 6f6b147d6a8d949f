"""Detectors side by side on one set: what they said, its scores, and how false alarms turn out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.benchmarks import runs
from experiments.benchmarks.detection import agreement, calibration, known, peers, replay, scoring, sets
from experiments.benchmarks.detection.peers import PEERS
from experiments.benchmarks.detection.replay import PRODUCT
from experiments.benchmarks.detection.scoring import Events, Marks
from experiments.benchmarks.detection.sets import COPIES, PlantedSet
from experiments.benchmarks.runs import Run

KNOWING = {f"{who}, {detector}": (who, detector) for who in (known.TRUTH, known.ESTIMATE) for detector in known.DETECTORS}
SPLITS = ("size", "shape", "spread", "class")  # columns by which POD is shown apart


@dataclass(frozen=True)
class Compared:
    """Detectors on one set.

    Attributes:
        marks: by detector, the product first.
        seconds: per series-day; not of those who know the truth.
        failed: detector -> why there is nothing.
        outdated: detectors whose inputs or code have changed since.
    """

    of: PlantedSet
    marks: dict[str, Marks]
    seconds: dict[str, float]
    failed: dict[str, str]
    outdated: tuple[str, ...]

    @cached_property
    def events(self) -> Events:
        """The truth, with the size class of each event's series."""
        planted = self.of.planted
        named = pd.Series(calibration.size_class(sets.usual(planted.clean)), planted.clean.columns)
        truth = planted.truth.assign(**{"class": named[planted.truth["series"]].to_numpy()})
        return scoring.lay(truth, list(planted.clean.columns), self.of.days, planted.injected)

    @cached_property
    def table(self) -> pd.DataFrame:
        """`detector, measured, at` and all measures, with milliseconds per series-day."""
        parts = [scoring.table(marks, self.events).assign(detector=name) for name, marks in self.marks.items()]
        made = pd.concat(parts, ignore_index=True)
        made["ms"] = 1000 * made["detector"].map(self.seconds)
        return made[["detector", *made.columns.drop(["detector"])]]

    def best(self, names: tuple[str, ...], measure: str, at: str) -> pd.Series | None:
        """The row of the detector that is best by one plain measure."""
        rows = self.table[self.table["detector"].isin(names) & (self.table["measured"] == "plain") & (self.table["at"] == at)]
        return None if rows.empty else rows.iloc[int(rows[measure].to_numpy().argmax())]

    def split(self, names: list[str], by: str, budget: float) -> pd.DataFrame:
        """POD / PODpre of some detectors by size, shape, spread or size class, plain."""
        parts = []
        for name in names:
            made = scoring.split(self.marks[name], self.events, by, budget, False).set_index([by, "events"])
            parts.append((made["POD"].map("{:.2f}".format) + " / " + made["PODpre"].map("{:.2f}".format)).rename(name))
        return pd.concat(parts, axis=1).reset_index()

    @cached_property
    def calibration(self) -> pd.DataFrame | None:
        """See `calibration.false_alarms`; None unless the product has replayed the clean copy."""
        score, probability = (replay.grid(self.of, "clean", name) for name in ("score", "p_value"))
        if score is None or probability is None:
            return None
        return calibration.false_alarms(sets.usual(self.of.planted.clean), score, probability)

    def difference_to(self, folder: Path) -> float:
        """The greatest difference of any plain measure to the scorer in a folder, `score_alarms.py`, on the same files."""
        return agreement.difference(folder / "score_alarms.py", self.of.planted, self.marks, self.table)


def runs_of(one: PlantedSet, names: list[str]) -> list[tuple[str, Run]]:
    """What is to be run: each detector on both copies."""
    return [(name, replay.of_set(one, copy).run if name == PRODUCT else peers.run_of(one, copy, name)) for name in names for copy in COPIES]


def collect(one: PlantedSet, say: Callable[[str], None]) -> Compared:
    """What runs have left, and what those say who know the truth; nothing is run."""
    marks: dict[str, Marks] = {}
    seconds, failed, outdated = {}, {}, []
    for name in (PRODUCT, *PEERS):
        made = replay.marks(one) if name == PRODUCT else peers.marks(one, name)
        if made is not None:
            marks[name], seconds[name] = made
        for _, run in runs_of(one, [name]):
            record = runs.record(run.out)
            if record and record.error:
                failed[name] = record.error
            elif record and record.fingerprint != run.fingerprint and name not in outdated:
                outdated.append(name)
    say(f"{one.name}: {len(marks)} detectors")
    planted = one.planted
    for name, (who, detector) in KNOWING.items():
        if (law := one.known.get(who)) is not None:
            score, clean = (known.score(counts, law, one.days, detector).to_numpy(float).T for counts in (planted.counts, planted.clean))
            marks[name] = Marks(np.ascontiguousarray(score), None, np.ascontiguousarray(clean))
    return Compared(one, marks, seconds, failed, tuple(outdated))
