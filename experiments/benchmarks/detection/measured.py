"""What is left of scores and alarms when they have been judged: enough for every bar and table, small enough to be kept in the repository."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import pandas as pd

from experiments.benchmarks import kept
from experiments.benchmarks.detection import scoring, sets
from experiments.benchmarks.detection.scoring import Events, Marks
from experiments.benchmarks.detection.sets import Facts, PlantedSet

SPLITS = ("size", "shape", "spread", "class")  # columns by which POD is shown apart
SPLIT_AT = 2.0  # false alarms a series-year


@dataclass(frozen=True)
class Measured:
    """What detectors reached on a set, rows of a detector together.

    Attributes:
        table: `detector, measured, at` and all measures, with milliseconds per series-day.
        splits: `detector, by, value, events, POD, PODpre`, plain.
        calibration: `detector, size, …`, see `calibration.false_alarms`; of the product.
    """

    table: pd.DataFrame
    splits: pd.DataFrame
    calibration: pd.DataFrame

    @property
    def detectors(self) -> set[str]:
        """Those that are judged."""
        return set(self.table["detector"])


NOTHING = Measured(*(pd.DataFrame(columns=["detector"]) for _ in fields(Measured)))


def measure(marks: Mapping[str, Marks], seconds: Mapping[str, float], events: Events) -> Measured:
    """Judges detectors by planted events.

    Args:
        seconds: per series-day, of those that take any.
    """
    if not marks:
        return NOTHING
    table = pd.concat([scoring.table(one, events).assign(detector=name) for name, one in marks.items()], ignore_index=True)
    table["ms"] = 1000 * table["detector"].map(dict(seconds)).astype(float)
    splits = pd.concat([scoring.split(one, events, SPLITS, SPLIT_AT, False).assign(detector=name) for name, one in marks.items()], ignore_index=True)
    return Measured(_detector_first(table), _detector_first(splits), NOTHING.calibration)


def _detector_first(table: pd.DataFrame) -> pd.DataFrame:
    return table[["detector", *table.columns.drop("detector")]]


def joined(parts: Sequence[Measured], order: Sequence[str]) -> Measured:
    """The rows of several, in an order of detectors; of a detector that several have, those of the first."""
    tables = {}
    for field in fields(Measured):
        seen: set[str] = set()
        chosen = []
        for part in parts:
            rows = getattr(part, field.name)
            rows = rows[~rows["detector"].isin(list(seen))]
            seen |= part.detectors
            chosen += [rows] if len(rows) else []
        whole = pd.concat(chosen, ignore_index=True) if chosen else getattr(NOTHING, field.name)
        place = {name: i for i, name in enumerate(order)}
        tables[field.name] = whole.sort_values("detector", key=lambda names: names.map(place), kind="stable", ignore_index=True)
    return Measured(**tables)


def read(folder: Path, wanted: Mapping[str, str]) -> Measured:
    """The kept results of certain detectors.

    Args:
        wanted: detector -> fingerprint of its runs.
    """
    found = {field.name: kept.table(folder, field.name, wanted) for field in fields(Measured)}
    return Measured(**{name: getattr(NOTHING, name) if rows is None else rows for name, rows in found.items()})


def tables(of: Measured, runs: Mapping[str, str]) -> dict[str, tuple[pd.DataFrame | None, kept.Runs]]:
    """The tables that are kept: rows of those detectors whose runs are named."""
    parts = {field.name: getattr(of, field.name) for field in fields(Measured)}
    return {name: (rows[rows["detector"].isin(list(runs))], runs) for name, rows in parts.items()}


def about(one: PlantedSet) -> dict[str, str]:
    """What a set's results were measured on."""
    return {"definition": one.definition} | {name: str(value) for name, value in asdict(one.facts).items()}


def facts(folder: Path) -> Facts | None:
    """What is known of a set by what is kept of it."""
    said = kept.about(folder)
    if not said:
        return None
    series, days, events, incidents = (int(said[name]) for name in ("series", "days", "events", "incidents"))
    return Facts(said["planted"], said["clean"], said["truth"], said["start"], series, days, events, incidents)


def set_of(name: str, work: Path, seed: int, folder: Path | None) -> PlantedSet | None:
    """A set by its files, or by what is kept of it while it is made as it was then."""
    one = sets.stored(name, work, seed)
    if one.there:
        return one
    known = facts(folder) if folder else None
    return replace(one, told=known) if folder and known and kept.about(folder)["definition"] == one.definition else None
