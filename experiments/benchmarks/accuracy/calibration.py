"""Whether the product's intervals hold what they promise, pooled over the panels.

For small counts an interval of whole numbers cannot cover exactly 80 %: there the randomised probability integral transform is taken (Czado,
Gneiting & Held 2009), a number drawn evenly between P(Y < y) and P(Y <= y), which is uniform if the distribution is right.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from experiments import bootstrap
from experiments.benchmarks.accuracy import scores
from experiments.benchmarks.accuracy.scores import Draws
from experiments.bootstrap import Estimate
from forecasting import distribution, metrics

SIZES = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, np.inf)  # tickets a day
CLASSES = ("< 0.1", "0.1-0.3", "0.3-1", "1-3", "3-10", "> 10")
PAST = 364  # days before a cutoff that say how large a series is
NOMINAL = {"cover80": 0.80, "cover90": 0.90}


@dataclass(frozen=True)
class Inside:
    """How a group's forecasts hold.

    Attributes:
        transforms: share of the randomised transforms in the central part.
        whole: share that an interval of whole numbers would cover if the distribution were right: more than nominal where counts are small.
        rows: how many forecasts.
    """

    transforms: Estimate
    whole: float
    rows: int


def coverage(panels: dict[str, pd.DataFrame], model: str) -> dict[tuple[str, str], Estimate]:
    """(level, 'cover80' or 'cover90') -> share of rows inside the interval, all panels' rows together.

    Args:
        panels: `scores.summed` of each panel.
    """
    found = {}
    for level in scores.EVERY_LEVEL:
        pooled = _pooled([_of(sums[["rows", "in80", "in90"]], model, level) for sums in panels.values()])
        for name, column in (("cover80", "in80"), ("cover90", "in90")):
            found[level, name] = bootstrap.estimate((pooled[column] / pooled["rows"]).to_numpy())
    return found


def bias(panels: list[Draws], model: str) -> Estimate:
    """The mean of the panels' biases at city level."""
    return bootstrap.estimate(np.mean([draws[model, "city"]["bias"].to_numpy() for draws in panels], axis=0))


def transform(forecasts: pd.DataFrame, truth: pd.DataFrame, seed: int = bootstrap.SEED) -> pd.DataFrame:
    """By group (a series' size class, else the level) and cutoff: rows, rows whose randomised transform lies in the central 80 and 90 %, and how
    many the intervals of whole numbers would cover if the distribution were right.

    Args:
        forecasts: rows with `mean`, `dispersion` and quantiles.
        truth: what came, of every node and day from the first.
    """
    wide = truth.pivot_table(index=metrics.KEYS, columns="date", values="count")
    parts = []
    for cutoff, rows in forecasts.groupby("cutoff"):
        size = wide.loc[:, :cutoff].iloc[:, -PAST:].mean(axis=1).rename("size")
        parts.append(rows.join(size, on=metrics.KEYS))
    f = pd.concat(parts).merge(truth, on=[*metrics.KEYS, "date"], how="inner", validate="m:1")
    mean, dispersion, count = (f[name].to_numpy(float) for name in ("mean", "dispersion", "count"))
    above = 1.0 - distribution.cdf(mean, dispersion, count)
    at_least = distribution.tail(mean, dispersion, count)
    u = 1.0 - at_least + np.random.default_rng(seed).random(len(f)) * (at_least - above)
    low, high = ({name: f[name].to_numpy(float) for name in names} for names in (("q05", "q10"), ("q90", "q95")))
    for name, first, last in (("right80", "q10", "q90"), ("right90", "q05", "q95")):
        f[name] = distribution.cdf(mean, dispersion, high[last]) + distribution.tail(mean, dispersion, low[first]) - 1.0
    f = f.assign(rows=1, in80=(u >= 0.10) & (u <= 0.90), in90=(u >= 0.05) & (u <= 0.95))
    level = metrics.level_of(f)
    f["group"] = np.where(level == "series", pd.cut(f["size"], list(SIZES), right=False, labels=list(CLASSES)).astype(str), level)
    inside: pd.DataFrame = f.groupby(["group", "cutoff"])[["rows", "in80", "in90", "right80", "right90"]].sum().astype(float)
    return inside


def inside(transforms: list[pd.DataFrame]) -> dict[tuple[str, str], Inside]:
    """(size class or level, 'cover80' or 'cover90') -> what lies inside, all panels' rows together.

    Args:
        transforms: `transform` of each panel.
    """
    found = {}
    for group in (*CLASSES, *scores.EVERY_LEVEL):
        there = [t for t in transforms if group in t.index]
        if not there:
            continue
        cutoffs = [t.index.get_level_values("cutoff").unique().sort_values() for t in there]
        pooled = _pooled([_of(t, group).reindex(c, fill_value=0.0) for t, c in zip(there, cutoffs, strict=True)])
        for width in ("80", "90"):
            drawn = pooled.div(pooled["rows"], axis=0)
            e = bootstrap.estimate(drawn[f"in{width}"].to_numpy())
            found[group, f"cover{width}"] = Inside(e, float(drawn[f"right{width}"].iloc[0]), int(pooled["rows"].iloc[0]))
    return found


def _of(table: pd.DataFrame, *key: str) -> pd.DataFrame:
    """The rows of a key of the first levels, by cutoff."""
    return pd.DataFrame(table.xs(key if len(key) > 1 else key[0]))


def _pooled(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Sums of panels that are drawn apart, [1 + DRAWS] rows; each part has a row per cutoff."""
    drawn = [bootstrap.circular_blocks(len(part), seed=(bootstrap.SEED, i)) @ part.to_numpy(float) for i, part in enumerate(parts)]
    return pd.DataFrame(np.sum(drawn, axis=0), columns=parts[0].columns)
