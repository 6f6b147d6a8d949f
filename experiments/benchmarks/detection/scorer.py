"""Which scorer made a kept result: one that gives other figures is another, one that is written otherwise is not. See `accuracy.scorer`."""

from functools import lru_cache

import numpy as np
import pandas as pd

from experiments.benchmarks import runs
from experiments.benchmarks.detection import calibration, known, measured, scoring
from experiments.benchmarks.detection.scoring import Events, Marks
from experiments.benchmarks.detection.sets import Facts

DAYS = pd.date_range("2023-01-01", periods=500)
YEAR = 364  # of which the last days are judged
DIGITS = 9  # beyond which machines differ


def fingerprint(*of: str) -> str:
    """Of a detector's result: of its runs, and of who judged them."""
    return runs.fingerprint(*of, judge())


def of_knowing(name: str, facts: Facts) -> str:
    """Of the result of one who knows the distribution: it takes nothing but the set."""
    return fingerprint(name, facts.planted, facts.clean, facts.truth)


@lru_cache(maxsize=1)
def judge() -> str:
    """SHA-256 of what is made of a small set: of what those say who know the distribution, of alarms, and of false alarms by size."""
    day, series = np.arange(len(DAYS))[:, None], np.arange(6)[None, :]
    clean = pd.DataFrame((day * day * 3 + series * 5) % (2 + 3 * series), DAYS, [f"d{s}|c" for s in range(6)])
    days = DAYS[-YEAR:]
    injected = pd.DataFrame(0, days, clean.columns)
    rows = []
    for i in range(18):
        first, column = 5 + 19 * i, i % 6
        injected.iloc[first : first + 4, column] += np.array([2, 3 + i, 4, 1])
        rows.append((i, clean.columns[column], days[first], days[first + 1 + i % 2], days[first + 3], "step", 2 + i % 3, "series", "< 0.3"))
    truth = pd.DataFrame(rows, columns=["event", "series", "onset", "peak", "end", "shape", "size", "spread", "class"])
    planted = clean.add(injected.reindex(clean.index, fill_value=0))
    law = known.two_sided(clean)
    events: Events = scoring.lay(truth, list(clean.columns), days, injected)
    marks = {}
    for name in known.DETECTORS:
        score, other = (known.score(counts, law, days, name).to_numpy(float).T for counts in (planted, clean))
        marks[name] = Marks(score, score > np.quantile(score, 0.98), other)
    result = measured.measure(marks, {}, events)
    own = marks[known.DETECTORS[0]]
    assert own.clean is not None
    size = calibration.false_alarms(clean.mean().to_numpy(float), own.clean, 10**-own.clean)
    return runs.fingerprint(*(table.to_csv(float_format=f"%.{DIGITS}g") for table in (result.table, result.splits, size)))
