"""Detectors side by side on one set: what they said or what is kept of it, its scores, and how false alarms turn out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.benchmarks import kept, runs
from experiments.benchmarks.detection import agreement, calibration, known, measured, peers, replay, scorer, scoring, sets
from experiments.benchmarks.detection.measured import NOTHING, Measured
from experiments.benchmarks.detection.peers import PEERS
from experiments.benchmarks.detection.replay import PRODUCT
from experiments.benchmarks.detection.scoring import Events, Marks
from experiments.benchmarks.detection.sets import COPIES, PlantedSet
from experiments.benchmarks.runs import Record, Run

KNOWING = {f"{who}, {detector}": (who, detector) for who in (known.TRUTH, known.ESTIMATE) for detector in known.DETECTORS}
ORDER = (PRODUCT, *PEERS, *KNOWING)


@dataclass(frozen=True)
class Compared:
    """Detectors on one set.

    Attributes:
        marks: by detector, where they are at hand.
        seconds: per series-day; not of those who know the truth.
        failed: detector -> why there is nothing.
        outdated: detectors whose inputs or code have changed since.
        records: detector -> what its run on the planted counts took; of those that were run on both copies. The fingerprint is that of the result.
        told: results of detectors whose marks are not at hand.
    """

    of: PlantedSet
    marks: dict[str, Marks]
    seconds: dict[str, float]
    failed: dict[str, str]
    outdated: tuple[str, ...]
    records: dict[str, Record]
    told: Measured = NOTHING

    @cached_property
    def events(self) -> Events:
        """The truth, with the size class of each event's series."""
        planted = self.of.planted
        named = pd.Series(calibration.size_class(sets.usual(planted.clean)), planted.clean.columns)
        truth = planted.truth.assign(**{"class": named[planted.truth["series"]].to_numpy()})
        return scoring.lay(truth, list(planted.clean.columns), self.of.days, planted.injected)

    @cached_property
    def results(self) -> Measured:
        """Of all detectors, the product first."""
        own = measured.measure(self.marks, self.seconds, self.events) if self.marks else NOTHING
        if PRODUCT in self.marks and (realised := self._realised()) is not None:
            own = replace(own, calibration=realised)
        return measured.joined([own, self.told], ORDER)

    def _realised(self) -> pd.DataFrame | None:
        """See `calibration.false_alarms`; None unless the product has replayed the clean copy."""
        score, probability = (replay.grid(self.of, "clean", name) for name in ("score", "p_value"))
        if score is None or probability is None:
            return None
        made = calibration.false_alarms(sets.usual(self.of.planted.clean), score, probability)
        made.insert(0, "detector", PRODUCT)
        return made

    @property
    def table(self) -> pd.DataFrame:
        """`detector, measured, at` and all measures, with milliseconds per series-day."""
        return self.results.table

    @property
    def detectors(self) -> set[str]:
        """Those of whom there are results."""
        return self.results.detectors

    def best(self, names: tuple[str, ...], measure: str, at: str) -> pd.Series | None:
        """The row of the detector that is best by one plain measure."""
        rows = self.table[self.table["detector"].isin(names) & (self.table["measured"] == "plain") & (self.table["at"] == at)]
        return None if rows.empty else rows.iloc[int(rows[measure].to_numpy().argmax())]

    def split(self, names: list[str], by: str) -> pd.DataFrame:
        """POD / PODpre of some detectors by size, shape, spread or size class, plain, at two false alarms a series-year."""
        parts = []
        splits = self.results.splits
        for name in names:
            made = splits[(splits["detector"] == name) & (splits["by"] == by)].rename(columns={"value": by}).set_index([by, "events"])
            parts.append((made["POD"].map("{:.2f}".format) + " / " + made["PODpre"].map("{:.2f}".format)).rename(name))
        return pd.concat(parts, axis=1).reset_index()

    @property
    def calibration(self) -> pd.DataFrame | None:
        """See `calibration.false_alarms`; None unless the product has replayed the clean copy."""
        made = self.results.calibration
        return None if made.empty else made.drop(columns="detector")

    def difference_to(self, folder: Path) -> float:
        """The greatest difference of any plain measure to the scorer in a folder, `score_alarms.py`, on the same files."""
        return agreement.difference(folder / "score_alarms.py", self.of.planted, self.marks, self.table)


def runs_of(one: PlantedSet, names: list[str]) -> list[tuple[str, Run]]:
    """What is to be run: each detector on both copies."""
    return [(name, replay.of_set(one, copy).run if name == PRODUCT else peers.run_of(one, copy, name)) for name in names for copy in COPIES]


def collect(one: PlantedSet, say: Callable[[str], None], folder: Path | None = None) -> Compared:
    """What runs have left or what is kept of them, and what those say who know the truth; nothing is run.

    Args:
        folder: of what is kept of the set.
    """
    marks: dict[str, Marks] = {}
    seconds: dict[str, float] = {}
    failed: dict[str, str] = {}
    outdated: list[str] = []
    records: dict[str, Record] = {}
    told: dict[str, str] = {}
    others = _kept(one, folder)
    for name in (PRODUCT, *PEERS):
        both = [run for _, run in runs_of(one, [name])]
        wanted = scorer.fingerprint(*(run.fingerprint for run in both))
        own, other = [runs.record(run.out) for run in both] if one.told is None else [], others.get(name)
        record = runs.latest(wanted, _together(own), other)
        if record:
            records[name] = record
        if other and (record is other or not any(own)):
            told[name] = other.fingerprint
            failed |= {name: other.error} if other.error else {}
            outdated += [name] if other.fingerprint != wanted else []
            continue
        made = None if one.told else replay.marks(one) if name == PRODUCT else peers.marks(one, name)
        if made is not None:
            marks[name], seconds[name] = made
        for run, left in zip(both, own, strict=False):
            if left and left.error:
                failed[name] = left.error
            elif left and left.fingerprint != run.fingerprint and name not in outdated:
                outdated.append(name)
    say(f"{one.name}: {len(marks)} detectors" + (f", {len(told)} kept" if told else ""))
    if one.told is None:
        marks |= _knowing(one)
    told |= {name: scorer.of_knowing(name, one.facts) for name in KNOWING}
    return Compared(one, marks, seconds, failed, tuple(outdated), records, measured.read(folder, told) if folder and others else NOTHING)


def _knowing(one: PlantedSet) -> dict[str, Marks]:
    marks, planted = {}, one.planted
    for name, (who, detector) in KNOWING.items():
        if (law := one.known.get(who)) is not None:
            score, clean = (known.score(counts, law, one.days, detector).to_numpy(float).T for counts in (planted.counts, planted.clean))
            marks[name] = Marks(np.ascontiguousarray(score), None, np.ascontiguousarray(clean))
    return marks


def _together(records: list[Record | None]) -> Record | None:
    """The record of a detector's runs on both copies as one, by which its result is known; None unless both are there."""
    there = [record for record in records if record]
    if len(there) < len(COPIES):
        return None
    error = next((record.error for record in there if record.error), "")
    return replace(there[0], fingerprint=scorer.fingerprint(*(record.fingerprint for record in there)), error=error)


def _kept(one: PlantedSet, folder: Path | None) -> dict[str, Record]:
    """The detectors whose results on this very set are kept."""
    return kept.records(folder) if folder and measured.facts(folder) == one.facts else {}


def is_kept(one: PlantedSet, name: str, folder: Path) -> bool:
    """Whether a result is kept that runs would give again."""
    record = _kept(one, folder).get(name)
    wanted = scorer.fingerprint(*(run.fingerprint for _, run in runs_of(one, [name])))
    return record is not None and not record.error and record.fingerprint == wanted and name in measured.read(folder, {name: wanted}).detectors


def keep(one: Compared, root: Path) -> None:
    """Writes the results on a set into the folder of all that is kept, in the place of what was kept of it."""
    made = {name: record.fingerprint for name, record in one.records.items()}
    made |= {name: scorer.of_knowing(name, one.of.facts) for name in KNOWING}
    kept.keep(root / one.of.name, measured.about(one.of), one.records, measured.tables(one.results, made))
