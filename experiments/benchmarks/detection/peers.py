"""The public detectors, each in a process of its own: most in R, the slow ones in numpy.

python -m experiments.benchmarks.detection.peers COUNTS.csv OUT.csv PEER START

reads and writes what `peers.R` reads and writes.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.benchmarks import runs
from experiments.benchmarks.detection import essence, farrington
from experiments.benchmarks.detection.scoring import Marks
from experiments.benchmarks.detection.sets import PlantedSet
from experiments.benchmarks.runs import Run

Detect = Callable[[pd.DataFrame, pd.DatetimeIndex], tuple[pd.DataFrame, pd.DataFrame]]

SCRIPT = Path(__file__).with_name("peers.R")
IN_R = ("C1", "C2", "C3", "C1-7", "C2-7", "C3-7", "GLR", "GLR-28", "Bayes-7")
IN_NUMPY: dict[str, Detect] = {
    "ESSENCE": essence.detect,
    "Farrington-7": lambda counts, days: farrington.detect(counts, days, 7),
    "Farrington-1": lambda counts, days: farrington.detect(counts, days, 1),
}
PEERS = (*IN_R, *IN_NUMPY)
ONE_THREAD = ("env", "OPENBLAS_NUM_THREADS=1")  # on busy cores two threads of small matrices wait for one another thirty times as long
CODE = {"ESSENCE": "essence", "Farrington-7": "farrington", "Farrington-1": "farrington"}


def run_of(one: PlantedSet, copy: str, peer: str) -> Run:
    """The run of a peer on the planted counts or their clean copy."""
    out = one.folder / copy / f"{peer}.csv"
    asked = (str(one.folder / f"{copy}.csv"), str(out), peer, f"{one.days[0]:%Y-%m-%d}")
    if peer in IN_R:
        inputs = runs.fingerprint(one.fingerprint(copy), SCRIPT.read_text(), peer)
        return Run(out, (*ONE_THREAD, "Rscript", "--vanilla", str(SCRIPT), *asked), inputs)
    inputs = runs.fingerprint(one.fingerprint(copy), runs.code([SCRIPT.with_name(f"{CODE[peer]}.py")]), peer)
    return Run(out, (*ONE_THREAD, sys.executable, "-m", "experiments.benchmarks.detection.peers", *asked), inputs)


def read(out: Path, one: PlantedSet) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Scores and alarms (days x series, in the set's order) and seconds per series-day."""
    frame = pd.read_csv(out, parse_dates=["date"])
    series = list(one.planted.clean.columns)
    score, alarm = (frame.pivot_table(index="date", columns="series", values=v).reindex(one.days).reindex(columns=series) for v in ("score", "alarm"))
    seconds = frame.groupby("series")["seconds"].first().sum() / len(frame)
    return score, alarm > 0, float(seconds)


def marks(one: PlantedSet, peer: str) -> tuple[Marks, float] | None:
    """What a peer said of both copies, and its seconds per series-day; None if it has not been run, or failed, on the planted counts."""
    made = {copy: run_of(one, copy, peer).out for copy in ("planted", "clean")}
    if not made["planted"].exists():
        return None
    score, alarm, seconds = read(made["planted"], one)
    clean = read(made["clean"], one)[0].to_numpy(float).T if made["clean"].exists() else None
    return Marks(score.to_numpy(float).T, alarm.to_numpy(bool).T, clean), seconds


def main(counts: Path, out: Path, peer: str, start: str) -> None:
    """Runs a numpy peer and writes its file, whole or not at all."""
    table = pd.read_csv(counts, index_col="date", parse_dates=["date"])
    days = pd.DatetimeIndex(table.index[table.index >= start])
    began = time.perf_counter()
    score, alarm = IN_NUMPY[peer](table, days)
    each = (time.perf_counter() - began) / table.shape[1]
    made = pd.DataFrame(
        {
            "date": np.tile(days.strftime("%Y-%m-%d"), table.shape[1]),
            "series": np.repeat(table.columns.to_numpy(), len(days)),
            "algo": peer,
            "score": score.to_numpy(float).T.ravel(),
            "alarm": alarm.to_numpy(int).T.ravel(),
            "seconds": each,
        }
    )
    half = out.with_suffix(".half")
    made.to_csv(half, index=False, float_format="%.7g")
    half.rename(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4])
