"""Another scorer on the same files: a script SCORER TRUTH.csv ALARMS.csv --start --end --injected --budgets --out TABLE.csv."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.benchmarks.detection import scoring
from experiments.benchmarks.detection.plant import Planted
from experiments.benchmarks.detection.scoring import Marks
from forecasting.errors import InputError

MEASURES = ["POD", "PODpre", "delay", "lead", "togo", "FA_sy", "precision", "alarm_days"]
THEIR_NAMES = {"algo": "detector", "prec": "precision", "dayFPR": "alarm_days"}


def difference(scorer: Path, planted: Planted, marks: dict[str, Marks], ours: pd.DataFrame) -> float:
    """The greatest difference between our plain measures and another scorer's; standard errors aside, which each draws for itself.

    Args:
        marks: by detector; those without alarms of their own raise none.
        ours: `detector, measured, at` and measures.

    Raises:
        InputError: the script fails, or scores other rows.
    """
    days = planted.injected.index
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        planted.truth.to_csv(folder / "truth.csv", index=False)
        planted.injected.to_csv(folder / "injected.csv", index_label="date")
        frames = [_table(mark, planted, detector) for detector, mark in marks.items()]
        pd.concat(frames, ignore_index=True).to_csv(folder / "alarms.csv", index=False)
        command = [sys.executable, str(scorer), str(folder / "truth.csv"), str(folder / "alarms.csv"), "--out", str(folder / "table.csv")]
        command += ["--start", f"{days[0]:%Y-%m-%d}", "--end", f"{days[-1]:%Y-%m-%d}", "--injected", str(folder / "injected.csv")]
        done = subprocess.run([*command, "--budgets", ",".join(f"{b:g}" for b in scoring.BUDGETS)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError((done.stderr.strip().splitlines() or ["it failed"])[-1], str(scorer), "give the folder of another scorer")
        theirs = pd.read_csv(folder / "table.csv").rename(columns=THEIR_NAMES)
    theirs["at"] = theirs["mode"].map({"native": "own"} | {f"FA={b:g}/sy": f"{b:g}" for b in scoring.BUDGETS})
    plain = ours[(ours["measured"] == "plain") & ours["detector"].isin(marks)]
    both = plain.merge(theirs, on=["detector", "at"], suffixes=("", " theirs"), validate="1:1")
    if len(both) != len(plain):
        raise InputError(f"{len(both)} of {len(plain)} rows are scored by both", str(scorer), "give the folder of another scorer")
    a, b = both[MEASURES].to_numpy(float), both[[f"{name} theirs" for name in MEASURES]].to_numpy(float)
    return float(np.abs(a - b)[~np.isnan(a)].max()) if (np.isnan(a) == np.isnan(b)).all() else float("inf")


def _table(marks: Marks, planted: Planted, detector: str) -> pd.DataFrame:
    """Marks as `date, series, algo, score, alarm`."""
    days, series = planted.injected.index, planted.clean.columns
    return pd.DataFrame(
        {
            "date": np.tile(days, len(series)),
            "series": np.repeat(series.to_numpy(), len(days)),
            "algo": detector,
            "score": marks.score.ravel(),
            "alarm": 0 if marks.native is None else marks.native.ravel().astype(int),
        }
    )
