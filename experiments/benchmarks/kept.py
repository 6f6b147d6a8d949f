"""Results that are kept in the repository, so that every clone shows and judges what was measured on another machine, and runs nothing twice.

Small tables in CSV, a folder a panel (or set, or night): `about.csv` says what was measured on, `runs.csv` has a row per run with fingerprint, day,
seconds, memory and load, and in every other table, whose first column names a model or detector, `run` stands for the run of which a row is: the
first letters of its fingerprint. Rows of another run than is asked for count for nothing.
"""

from collections.abc import Hashable, Mapping
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd

from experiments.benchmarks.runs import Record

RUN_LETTERS = 12
TEXTS = ("model", "run", "level", "group", "detector", "measured", "at", "by", "value", "size", "figure")  # words, whatever they look like
DAYS = ("cutoff",)

Runs = Mapping[str, str] | str
"""Fingerprints of the runs of a table's rows: by model or detector, or the one of all of them."""


def about(folder: Path) -> dict[str, str]:
    """What was measured on; empty if nothing is kept."""
    path = folder / "about.csv"
    return {} if not path.exists() else {str(name): str(value) for name, value in pd.read_csv(path, dtype=str, na_filter=False).iloc[0].items()}


def records(folder: Path) -> dict[str, Record]:
    """The runs that are kept, by name."""
    path = folder / "runs.csv"
    if not path.exists():
        return {}
    rows = pd.read_csv(path, dtype=str, na_filter=False).to_dict("records")
    return {row["name"]: _record(row) for row in rows}


def _record(row: Mapping[Hashable, str]) -> Record:
    seconds, peak, load = (float(row[name]) for name in ("seconds", "peak_mb", "load"))
    return Record(row["fingerprint"], seconds, peak, row["measured"], load, row["error"])


def table(folder: Path, name: str, wanted: Runs) -> pd.DataFrame | None:
    """The rows of a table that are of certain runs, as they were kept; None if there are none."""
    path = folder / f"{name}.csv"
    if not path.exists():
        return None
    head = pd.read_csv(path, nrows=0).columns
    words = {column: str for column in TEXTS if column in head}
    rows = pd.read_csv(path, converters=words, parse_dates=[column for column in DAYS if column in head])
    chosen = rows[rows["run"] == _run(rows, wanted)]
    return None if chosen.empty else chosen.drop(columns="run").reset_index(drop=True)


def keep(folder: Path, of: Mapping[str, str], made: Mapping[str, Record], tables: Mapping[str, tuple[pd.DataFrame | None, Runs]]) -> None:
    """Writes what is to be kept of a panel in the place of what was.

    Args:
        of: what was measured on.
        made: name -> record, its fingerprint being that by which it is asked for.
        tables: name -> table, its first column the model or detector, and the runs of its rows; of one that is None or empty nothing is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame([of]).to_csv(folder / "about.csv", index=False)
    rows = [{"name": name} | asdict(record) for name, record in sorted(made.items())]
    pd.DataFrame(rows, columns=["name", *(field.name for field in fields(Record))]).to_csv(folder / "runs.csv", index=False, float_format="%.10g")
    for name, (table, runs) in tables.items():
        path = folder / f"{name}.csv"
        if table is None or table.empty:
            path.unlink(missing_ok=True)
        else:
            whole = table.copy()
            whole.insert(1, "run", _run(table, runs))
            whole.to_csv(path, index=False)


def _run(rows: pd.DataFrame, runs: Runs) -> pd.Series:
    """The first letters of the run of each row."""
    if isinstance(runs, str):
        return pd.Series(runs[:RUN_LETTERS], rows.index)
    return rows.iloc[:, 0].map({name: run[:RUN_LETTERS] for name, run in runs.items()})
