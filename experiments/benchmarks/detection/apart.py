"""Tables that a run of their own makes: stored beside it, kept in the repository."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from experiments.benchmarks import kept, runs
from experiments.benchmarks.runs import Record, Run


@dataclass(frozen=True)
class Apart:
    """What a run has made.

    Attributes:
        outdated: whether code or inputs have changed since.
    """

    table: pd.DataFrame
    record: Record
    outdated: bool


def is_kept(run: Run, folder: Path) -> bool:
    """Whether a table is kept that the run would make again."""
    record = kept.records(folder).get(run.out.stem)
    return record is not None and not record.error and record.fingerprint == run.fingerprint


def collect(out: Path, run: Run | None, folder: Path | None) -> Apart | None:
    """What was made or is kept; None without either; nothing is run.

    Args:
        out: the file of the run.
        run: as it would be run now; None where its inputs are not there.
        folder: of what is kept.
    """
    own, other = runs.record(out), kept.records(folder).get(out.stem) if folder else None
    record = runs.latest(run.fingerprint if run else "", own, other)
    if record is None or record.error:
        return None
    table = kept.table(folder, out.stem, record.fingerprint) if folder and record is other else runs.frame(out)
    return None if table is None else Apart(table, record, run is not None and record.fingerprint != run.fingerprint)


def keep(folder: Path, about: Mapping[str, str], made: Apart) -> None:
    """Writes it in the place of what was kept."""
    name = folder.name
    kept.keep(folder, about, {name: made.record}, {name: (made.table, made.record.fingerprint)})
