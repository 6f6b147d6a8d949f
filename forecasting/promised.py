"""What was promised against what came: the forecasts of one set for finished days, as sums from which accuracy is derived.

Sums of any days, horizons and nodes may be added up before `ratios` is taken; the scores are those of `metrics`, without the ones that need a
scale. Beside them stands what chance alone makes: the mean absolute deviation of a Poisson count with the mean that was forecast (Crow 1958), which
no forecast can go below as long as tickets come independently of one another.
"""

from collections.abc import Collection

import numpy as np
import pandas as pd
from scipy import special

from forecasting import metrics
from forecasting.distribution import QUANTILE_NAMES, quantiles
from forecasting.hierarchy import ALL, Tree

SUMS = ("rows", "actual", "forecast", "absolute", "squared", "loss", "in80", "in90", "naive", "chance")
"""Rows; sums of counts, of means, of absolute and squared errors, of quantile losses; rows inside the 80 and the 90 % interval; sums of the absolute
errors of the same weekday of the last week known, and of those that chance alone makes."""
COUNTED = ("rows", "actual", "in80", "in90")
"""Those that are whole numbers."""
RATIOS = ("wape", "bias", "cover80", "cover90", "wql", "skill", "chance")
LEVELS = ("city", "category", "district", "series")
WEEK = 7


def row_sums(mean: np.ndarray, dispersion: np.ndarray, observed: np.ndarray, naive: np.ndarray) -> pd.DataFrame:
    """`SUMS` of single rows.

    Args:
        mean, dispersion: [M] the forecast, see `distribution`.
        observed: [M] counts.
        naive: [M] the same weekday of the last week that was known.
    """
    quantile = quantiles(mean, dispersion)
    q = dict(zip(QUANTILE_NAMES, quantile.T, strict=True))
    error = mean - observed
    return pd.DataFrame(
        {
            "rows": np.ones(len(mean), int),
            "actual": observed.astype(int),
            "forecast": mean,
            "absolute": np.abs(error),
            "squared": error**2,
            "loss": metrics.quantile_loss(observed, quantile),
            "in80": ((q["q10"] <= observed) & (observed <= q["q90"])).astype(int),
            "in90": ((q["q05"] <= observed) & (observed <= q["q95"])).astype(int),
            "naive": np.abs(naive - observed),
            "chance": chance(mean),
        }
    )[list(SUMS)]


def chance(mean: np.ndarray) -> np.ndarray:
    """Mean absolute deviation of a Poisson count: 2 exp(-m) m^(k + 1) / k!, k the whole part of the mean m."""
    whole = np.floor(mean)
    return np.asarray(2.0 * np.exp(special.xlogy(whole + 1.0, mean) - mean - special.gammaln(whole + 1.0)))


def naive(counts: np.ndarray, column: int, horizon: int) -> np.ndarray:
    """[M] the newest count of the same weekday up to the cutoff, which lies `horizon` days before the column; 0 where there is none.

    Args:
        counts: [M, T], NaN where missing.
    """
    first = column - WEEK * -(-horizon // WEEK)
    found = np.full(len(counts), np.nan)
    for k in range(first, -1, -WEEK):
        found = np.where(np.isnan(found), counts[:, k], found)
        if not np.isnan(found).any():
            break
    return np.asarray(np.nan_to_num(found))


def leaves(categories: Collection[str], tree: Tree) -> frozenset[str]:
    """Those of the categories that are above none of the others; the root is none."""
    inner = {above for code in categories for above in tree.path(code)[1:]}
    return frozenset(set(categories) - inner - {ALL})


def at_levels(rows: pd.DataFrame) -> pd.DataFrame:
    """Sums of single rows, added up at every level.

    The level 'series' is added up twice, by category over all districts and by district over all categories: pairs would be as many as there are
    series. Each of the two gives the whole.

    Args:
        rows: `area` (a district or `ALL`), `category` (a leaf or `ALL`), `SUMS`.
    Returns:
        `level`, `area`, `category`, `SUMS`; `ALL` where a level sums.
    """
    whole, every = rows["area"].eq(ALL), rows["category"].eq(ALL)
    series = rows[~whole & ~every]
    by_category = series.groupby("category", as_index=False)[list(SUMS)].sum().assign(area=ALL)
    by_district = series.groupby("area", as_index=False)[list(SUMS)].sum().assign(category=ALL)
    parts = {"city": rows[whole & every], "category": rows[whole & ~every], "district": rows[~whole & every]}
    found = [*(part.assign(level=level) for level, part in parts.items()), *(part.assign(level="series") for part in (by_category, by_district))]
    return pd.concat(found, ignore_index=True)[["level", "area", "category", *SUMS]]


def ratios(added: pd.DataFrame) -> pd.DataFrame:
    """The scores of rows of `SUMS`, as `RATIOS`; NaN where nothing came, or where the baseline made no error.

    wape = absolute / actual, bias = forecast / actual - 1, wql = loss / actual; cover80 and cover90 are shares of the rows; skill =
    1 - absolute / naive; chance is the wape that chance alone makes.
    """
    came, naive_error = added["actual"].where(added["actual"] > 0), added["naive"].where(added["naive"] > 0)
    return pd.DataFrame(
        {
            "wape": added["absolute"] / came,
            "bias": added["forecast"] / came - 1.0,
            "cover80": added["in80"] / added["rows"],
            "cover90": added["in90"] / added["rows"],
            "wql": added["loss"] / came,
            "skill": 1.0 - added["absolute"] / naive_error,
            "chance": added["chance"] / came,
        }
    )[list(RATIOS)]
