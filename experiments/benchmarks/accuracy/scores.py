"""Scores of one panel's forecasts side by side, and how sure they are: a paired block bootstrap over the cutoffs."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from experiments.benchmarks.panels import Panel
from experiments.bootstrap import SEED, Estimate, circular_blocks, estimate
from forecasting import metrics
from forecasting.distribution import QUANTILE_NAMES
from forecasting.errors import InputError
from forecasting.panel import from_counts

EVERY_LEVEL = ("series", "category", "district", "city")
ALL_LEVELS = "all"  # the plain mean of the four
AVERAGED = ("Prophet", "AutoETS")
AVERAGE = "Prophet+AutoETS"

Draws = dict[tuple[str, str], pd.DataFrame]
"""(model, level) -> frame of scores, [1 + DRAWS] rows: the first as measured, the others as resampled."""


def truth_of(panel: Panel) -> pd.DataFrame:
    """What came, of every node and day; a pair that a day does not name is 0."""
    whole = from_counts(panel.table())
    return metrics.actuals(replace(whole, counts=np.nan_to_num(whole.counts)))


def with_average(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Adds the plain average of Prophet's and AutoETS's numbers, if both are there."""
    if not set(AVERAGED) <= set(frames):
        return dict(frames)
    keys = ["district", "category", "cutoff", "date"]
    both = pd.concat([frames[name] for name in AVERAGED], ignore_index=True)
    mean = both.groupby(keys, sort=True)[["mean", *QUANTILE_NAMES]].mean().reset_index()
    return {**frames, AVERAGE: mean.assign(model=AVERAGE)}


def summed(frames: Mapping[str, pd.DataFrame], truth: pd.DataFrame) -> pd.DataFrame:
    """`metrics.SUMS` of every model, level and cutoff.

    Raises:
        InputError: a model's rows are not those of the first one, or a number is missing.
    """
    nodes: pd.DataFrame | None = None
    keys = ["district", "category", "cutoff", "date"]
    for name, frame in frames.items():
        rows = frame[keys].astype({"district": str, "category": str}).sort_values(keys, ignore_index=True)
        nodes = rows if nodes is None else nodes
        if len(rows) != len(nodes) or not (rows.to_numpy() == nodes.to_numpy()).all():
            raise InputError(f"'{name}' forecasts other nodes or days than '{next(iter(frames))}'", "accuracy", "run it again")
        if frame[["mean", *QUANTILE_NAMES]].isna().any(axis=None):
            raise InputError(f"'{name}' has rows without a number", "accuracy", "run it again")
    columns = [*keys, "model", "mean", *QUANTILE_NAMES]
    return pd.concat([metrics.sums(frame[columns], truth, ("model", "level", "cutoff")) for frame in frames.values()]).sort_index()


def resampled(sums: pd.DataFrame, panel_number: int = 0) -> Draws:
    """Scores as measured and as resampled, for every model and level and the mean of the levels.

    Args:
        sums: of one panel, by model, level and cutoff.
        panel_number: panels are drawn apart.
    """
    cutoffs = sums.index.get_level_values("cutoff").unique().sort_values()
    weights = circular_blocks(len(cutoffs), seed=(SEED, panel_number))
    out: Draws = {}
    for key, rows in sums.groupby(level=["model", "level"], sort=True):
        model, level = map(str, key)
        by_cutoff = rows.droplevel(["model", "level"]).reindex(cutoffs, fill_value=0.0)
        out[model, level] = metrics.ratios(pd.DataFrame(weights @ by_cutoff.to_numpy(float), columns=by_cutoff.columns))
    for model in sums.index.get_level_values("model").unique():
        levels = [out[model, level][["WRMSSE", "WAPE", "WQL"]] for level in EVERY_LEVEL]
        mean: pd.DataFrame = sum(levels[1:], levels[0]) / len(levels)
        out[model, ALL_LEVELS] = mean
    return out


def mean_over(panels: list[Draws]) -> Draws:
    """The plain mean of the panels, for the models that all of them have; empty without panels."""
    keys = [key for key in panels[0] if all(key in draws for draws in panels)] if panels else []
    columns = {key: [draws[key] for draws in panels] for key in keys}
    return {key: sum(parts[1:], parts[0]) / len(parts) for key, parts in columns.items()}


def best(draws: Draws, models: tuple[str, ...], level: str, metric: str) -> str | None:
    """The one of several models that is best as measured; None if none is there."""
    there = {model: draws[model, level][metric].iloc[0] for model in models if (model, level) in draws}
    return min(there, key=lambda model: there[model]) if there else None


def relative(draws: Draws, model: str, other: str, level: str, metric: str) -> Estimate:
    """How far a model's score lies above (below: negative) another's, as a share of the other's."""
    return estimate((draws[model, level][metric] / draws[other, level][metric] - 1).to_numpy())


def table(draws: Draws) -> pd.DataFrame:
    """The scores as measured, a row per level and model."""
    rows = [{"level": level, "model": model} | scores.iloc[0].to_dict() for (model, level), scores in draws.items()]
    order = {level: i for i, level in enumerate((ALL_LEVELS, *EVERY_LEVEL))}
    made = pd.DataFrame(rows)[["level", "model", "WRMSSE", "WAPE", "WQL", "bias", "cover80", "cover90"]]
    return made.sort_values(["level", "WRMSSE"], key=lambda c: c.map(order) if c.name == "level" else c, ignore_index=True)
