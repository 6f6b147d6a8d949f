"""The challenger in shadow beside what was published: the same days, the same days ahead, pair by pair.

How sure a difference is, is said by a circular block bootstrap over days in blocks of a week, for both have the same days and neighbouring days hang
together; the ends of its interval are moved outwards as Student's t asks for with so few blocks (Hesterberg 2015).
"""

from datetime import date

import numpy as np
import pandas as pd
from scipy import stats
from sqlalchemy import Connection

from experiments import bootstrap
from experiments.bootstrap import COVERED, Estimate
from experiments.compare import BETTER, NOISE, WORSE
from forecasting import promised as scores
from service.reports.markdown import percent, table
from service.store import promised

LEAST = 3 * scores.WEEK  # days; of two blocks nobody can tell noise
FEW = "too few days to tell"
SCORES = {"WAPE": "absolute", "WQL": "loss"}  # both by the tickets that came, which the two have in common
KEYS = ["level", "day", "horizon"]
ONE, OTHER = "_published", "_challenger"


def pairs(conn: Connection, start: date, end: date) -> pd.DataFrame:
    """Sums of the days from `start` to `end` that both have forecast the same number of days ahead.

    Returns:
        `level, day, horizon`, and `promised.SUMS` twice, with `_published` and with `_challenger`; where the two had not the same nodes and counts
        they are left out.
    """
    both = [promised.read(conn, start, end, scores.LEVELS, ("day", "horizon"), of=of) for of in (promised.PUBLISHED, promised.CHALLENGER)]
    made = both[0].merge(both[1], on=KEYS, suffixes=(ONE, OTHER))
    same = (made[f"rows{ONE}"] == made[f"rows{OTHER}"]) & (made[f"actual{ONE}"] == made[f"actual{OTHER}"])
    return made[same].reset_index(drop=True)


def markdown(both: pd.DataFrame) -> str:
    """What both were worth at each level, and what the difference is worth.

    Args:
        both: see `pairs`.
    """
    if both.empty:
        return "No challenger forecast in shadow, or none of its days was compared yet."
    days = both["day"].drop_duplicates().sort_values()
    rows = [_row(name, level, of_level) for name in SCORES for level in scores.LEVELS if len(of_level := both[both["level"] == level])]
    heads = ("score", "level", "days", "forecasts", "published", "challenger", "difference", "95 % from", "to", "the challenger is")
    shares = [
        (level, *(percent(of_level[f"{name}{which}"].sum() / of_level[f"rows{which}"].sum()) for name in ("in80", "in90") for which in (ONE, OTHER)))
        for level in scores.LEVELS
        if len(of_level := both[both["level"] == level])
    ]
    covered = table(("level", "cover 80 published", "challenger", "cover 90 published", "challenger"), shares)
    told = f"{len(days)} days from {days.iloc[0]:%Y-%m-%d} to {days.iloc[-1]:%Y-%m-%d} that both have forecast, the same number of days ahead."
    return f"{told} *Difference*: of the score, above 0 is worse.\n\n{table(heads, rows)}\n\n{covered}"


def _row(name: str, level: str, both: pd.DataFrame) -> tuple[str, ...]:
    by_day = both.groupby("day")[[f"{column}{which}" for column in (SCORES[name], "actual", "rows") for which in (ONE, OTHER)]].sum()
    one, other = (by_day[f"{SCORES[name]}{which}"].to_numpy(float) for which in (ONE, OTHER))
    came = by_day[f"actual{ONE}"].sum()
    found = difference(one, other)
    if len(by_day) < LEAST or np.isnan(found.low):
        told = ("–", "–", FEW)
    else:
        told = (percent(found.low), percent(found.high), BETTER if found.high < 0 else WORSE if found.low > 0 else NOISE)
    worth = [percent(part.sum() / came if came else np.nan) for part in (one, other)]
    return name, level, f"{len(by_day)}", f"{by_day[f'rows{ONE}'].sum():,}", *worth, percent(found.value), *told


def difference(one: np.ndarray, other: np.ndarray) -> Estimate:
    """By what share the losses of another [D], day by day, are higher than those of one [D]; NaN where these are none."""
    blocks = len(one) // scores.WEEK
    if not one.sum() > 0:
        return Estimate(np.nan, np.nan, np.nan)
    if blocks < 2:
        return Estimate(float(other.sum() / one.sum() - 1.0), np.nan, np.nan)
    weights = bootstrap.circular_blocks(len(one), block=scores.WEEK)
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = (weights @ other) / (weights @ one) - 1.0
    wide = np.sqrt(blocks / (blocks - 1)) * stats.t.ppf((1 + COVERED) / 2, blocks - 1)
    return bootstrap.estimate(drawn, float(stats.norm.sf(wide)))
