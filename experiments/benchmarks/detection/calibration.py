"""False alarms as realised, against what was asked for, by size of the series."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from experiments.benchmarks.detection import scoring
from experiments.benchmarks.detection.replay import NOMINAL
from experiments.benchmarks.detection.scoring import YEAR

CLASSES = {"< 0.3": 0.3, "0.3-1": 1.0, "1-3": 3.0, "3-10": 10.0, "10-30": 30.0, "> 30": np.inf}  # tickets a day, upper ends
FEWEST = 10  # series-years below which a class says nothing: 20 false alarms, sure to a quarter

Floats = npt.NDArray[np.float64]


def size_class(mean: Floats) -> npt.NDArray[np.str_]:
    """[S] name of the class of each series."""
    return np.asarray(np.array(list(CLASSES))[np.searchsorted(list(CLASSES.values()), mean, side="right").clip(max=len(CLASSES) - 1)])


def false_alarms(mean: Floats, score: Floats, probability: Floats) -> pd.DataFrame:
    """Realised by nominal false alarms of each size class, on counts without planted events.

    Args:
        mean: [S] tickets a day.
        score, probability: [S, T] of the clean copy.

    Returns:
        `size, series, by_p, days, by_score`: false episodes a series-year by those nominal, when an alarm is a `p_value` that comes NOMINAL times a
        year; alarm days by those nominal; and false episodes when one threshold of the score keeps NOMINAL over all series.
    """
    everywhere = np.ones_like(score, bool)
    filled = scoring.finite(score)
    by_score = filled > scoring.threshold(filled, everywhere, NOMINAL)
    by_p = np.nan_to_num(probability, nan=1.0) <= NOMINAL / YEAR
    name = size_class(mean)
    rows = []
    for size in CLASSES:
        chosen = name == size
        if chosen.any():
            part = everywhere[chosen]
            row = {"size": size, "series": int(chosen.sum()), "by_p": scoring.false_rate(by_p[chosen], part) / NOMINAL}
            row |= {"days": float(by_p[chosen].mean()) / (NOMINAL / YEAR), "by_score": scoring.false_rate(by_score[chosen], part) / NOMINAL}
            rows.append(row)
    return pd.DataFrame(rows, columns=["size", "series", "by_p", "days", "by_score"])
