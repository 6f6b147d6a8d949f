"""Which scorer made a kept result: one that gives other figures is another, one that is written otherwise is not.

What is kept has been scored already. Whether today's scorer would say the same is asked of a small panel, not of its code, or every figure would have
to be measured anew, hours of peers, when a line is written otherwise.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import pandas as pd

from experiments.benchmarks import runs
from experiments.benchmarks.accuracy import calibration, floor, scores
from experiments.benchmarks.runs import Record
from forecasting import metrics
from forecasting.distribution import LEVELS, QUANTILE_NAMES
from forecasting.panel import from_counts
from forecasting.recipe import CHAMPION

DAYS = pd.date_range("2024-09-01", "2024-11-30")
CUTOFFS = DAYS[[-15, -8]]
PAIRS = {("d1", floor.HEATING): 0, ("d1", "b"): 0, ("d2", floor.HEATING): 40}  # and the day from which each is named
DIGITS = 9  # beyond which machines differ


def fingerprint(model: str, run: str) -> str:
    """Of a result: of the run that made a model's forecasts, and of who scored them."""
    return runs.fingerprint(run, of_sums(), of_probabilities() if model == CHAMPION else "")


def derived(made: Mapping[str, Record], panel: str) -> dict[str, str]:
    """Fingerprints of what is derived from other results and no run of its own.

    Args:
        made: the results, by model, with their fingerprints.
        panel: fingerprint of the panel.
    """
    found = {floor.FLOOR: runs.fingerprint(floor.FLOOR, panel, of_sums(), of_probabilities())}
    for name, sources in ((scores.AVERAGE, scores.AVERAGED), (floor.HINDSIGHT, (CHAMPION,))):
        if set(sources) <= set(made):
            found[name] = runs.fingerprint(name, *(made[source].fingerprint for source in sources))
    return found


@lru_cache(maxsize=1)
def of_sums() -> str:
    """What is made of any model's forecasts, their quantiles given."""
    truth, rows = _small()
    frames = {}
    for i, name in enumerate(scores.AVERAGED):
        mean = 1.0 + (5 * np.arange(len(rows)) + i) % 7
        quantiles = {quantile: mean * (0.5 + level) for quantile, level in zip(QUANTILE_NAMES, LEVELS, strict=True)}
        frames[name] = rows.assign(mean=mean, model=name, **quantiles)
    return _said(scores.summed(scores.with_average(frames), truth), pd.DataFrame(floor.heating(frames, truth)))


@lru_cache(maxsize=1)
def of_probabilities() -> str:
    """What is made of the champion's distributions, and of the generator's rates."""
    truth, rows = _small()
    number = np.arange(len(rows))
    frame = floor.hindsight(rows.assign(mean=1.0 + 5 * number % 7, dispersion=number % 3 / 10), truth)
    rates = truth[(truth[metrics.KEYS] != "ALL").all(axis=1)].assign(rate_without_incidents=lambda t: 0.5 + t["count"])
    return _said(scores.summed({floor.HINDSIGHT: frame}, truth), calibration.transform(frame, truth), floor.rates(rates))


def _small() -> tuple[pd.DataFrame, pd.DataFrame]:
    """What came in a small panel, and the rows that are forecast."""
    day = np.arange(len(DAYS))
    parts = [
        pd.DataFrame({"district": d, "category": c, "date": DAYS[first:], "count": ((3 * day * day + 5 * i) % (7 - 2 * i))[first:]})
        for i, ((d, c), first) in enumerate(PAIRS.items())
    ]
    truth = metrics.actuals(from_counts(pd.concat(parts, ignore_index=True)))
    ahead = pd.DataFrame([(c, c + pd.Timedelta(days=h)) for c in CUTOFFS for h in range(1, 8)], columns=["cutoff", "date"])
    return truth, truth[metrics.KEYS].drop_duplicates().merge(ahead, how="cross")


def _said(*tables: pd.DataFrame) -> str:
    return runs.fingerprint(*(table.to_csv(float_format=f"%.{DIGITS}g") for table in tables))
