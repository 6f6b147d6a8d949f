"""Seconds and memory that were measured, on this machine or on the one whose results are kept."""

from dataclasses import dataclass, replace
from pathlib import Path

from experiments.benchmarks import kept, runs
from experiments.benchmarks.accuracy import compare, measured, speed
from experiments.benchmarks.panels import LONG
from experiments.benchmarks.runs import Record, Run
from forecasting.recipe import CHAMPION

OF_TIME = (CHAMPION, "AutoETS")


@dataclass(frozen=True)
class Times:
    """The runs by which time is judged: of the long panel by model, and the nights by name.

    Attributes:
        records: what they took.
        outdated: those made by other code or from other inputs.
        about: folder of what is kept -> what was measured on.
    """

    records: dict[str, Record]
    outdated: tuple[str, ...]
    about: dict[str, dict[str, str]]


def runs_of(work: Path, peers: Path, root: Path) -> dict[str, tuple[str, dict[str, str], Run]]:
    """Name -> folder of what is kept, what is measured on, and the run; of what is laid down or kept.

    Args:
        peers: Python of the peers' environment.
        root: folder of all that is kept.
    """
    long = measured.panel_of(LONG, work, root / LONG)
    found = {}
    if long:  # whole: a start of the interpreter for each cutoff would count against the peer
        found = {model: (LONG, measured.about(long), replace(compare.run_of(long, model, work, peers), parts=())) for model in OF_TIME}
    for name in speed.NIGHTS:
        if (about := speed.about(name, work, root / name)) is not None:
            found[name] = name, about, speed.run_of(name, work, about["fingerprint"])
    return found


def collect(work: Path, peers: Path, root: Path) -> Times:
    """What runs have left or what is kept of them; nothing is run."""
    records, outdated, abouts = {}, [], {}
    for name, (folder, about, run) in runs_of(work, peers, root).items():
        record = runs.latest(run.fingerprint, runs.record(run.out), kept.records(root / folder).get(name))
        if record is None:
            continue
        records[name], abouts[folder] = record, about
        if record.fingerprint != run.fingerprint:
            outdated.append(name)
    return Times(records, tuple(outdated), abouts)


def is_kept(name: str, folder: Path, run: Run) -> bool:
    """Whether seconds are kept that a run would measure again."""
    record = kept.records(folder).get(name)
    return record is not None and not record.error and record.fingerprint == run.fingerprint


def keep(times: Times, root: Path) -> None:
    """Writes them below the folder of all that is kept."""
    for folder, about in times.about.items():
        own = {name: record for name, record in times.records.items() if (name if name in speed.NIGHTS else LONG) == folder}
        kept.keep(root / folder, about, own, {})
