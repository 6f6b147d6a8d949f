"""Scores of forecasts against what came: plain functions from a long frame to a row per level and model.

WRMSSE after Makridakis, Spiliotis & Assimakopoulos (M5, 2022), quantile loss after Koenker & Bassett (1978). Scales and weights are
taken before the first cutoff only. WAPE = sum |error| / sum actual; bias = sum forecast / sum actual - 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecasting import hierarchy
from forecasting.distribution import LEVELS, QUANTILE_NAMES, quantiles
from forecasting.hierarchy import ALL, Tree
from forecasting.panel import CountPanel

WEIGHT_DAYS = 180  # days whose volume says how much a node counts: recent, and half a year evens out seasons
NODES_AT_ONCE = 2_000  # whose quantiles are held at once: bounds memory
SEASON = 7  # days of the naive forecast that gives the scale

KEYS = ["district", "category"]
SUMS = ("rows", "count", "mean", "absolute", "loss", "in80", "in90", "weight", "rmsse", "mase")
"""Rows; sums of counts, means, absolute errors, quantile losses; rows inside the 80 and 90 % interval; sums of weights, and of weighted errors."""


def level_of(frame: pd.DataFrame) -> np.ndarray:
    """'city', 'category', 'district' or 'series' for each row, by where `ALL` stands."""
    district, category = frame["district"].eq(ALL).to_numpy(), frame["category"].eq(ALL).to_numpy()
    return np.select([district & category, district, category], ["city", "category", "district"], "series")


def actuals(panel: CountPanel) -> pd.DataFrame:
    """What came, of a panel, as rows `district`, `category`, `date`, `count` of series and sums.

    Missing days are left out, and so are the days of a sum on which a part of it is missing.
    """
    flat = hierarchy.build(panel.series, Tree(), Tree())
    n_nodes, n_days = len(flat.nodes), len(panel.days)
    frame = pd.DataFrame(
        {
            "district": np.repeat(flat.nodes["area"].to_numpy(), n_days),
            "category": np.repeat(flat.nodes["category"].to_numpy(), n_days),
            "date": np.tile(panel.days.to_numpy(), n_nodes),
            "count": flat.total(panel.counts).ravel(),
        }
    )
    return frame.dropna(subset="count").reset_index(drop=True)


def scales(truth: pd.DataFrame, first_cutoff: pd.Timestamp) -> pd.DataFrame:
    """Scale (mean squared weekly difference), step (mean absolute one) and weight (recent volume) of each node before the first cutoff."""
    past = truth[truth["date"] <= first_cutoff].pivot_table(index=KEYS, columns="date", values="count")
    past = past.reindex(columns=pd.date_range(past.columns.min(), first_cutoff))  # a day on which all is missing is a day all the same
    difference = past.diff(SEASON, axis=1).iloc[:, SEASON:]
    squared, absolute = difference.pow(2).mean(axis=1), difference.abs().mean(axis=1)
    return pd.DataFrame({"scale": squared.replace(0, np.nan), "step": absolute.replace(0, np.nan), "weight": past.iloc[:, -WEIGHT_DAYS:].sum(axis=1)})


def score(forecasts: pd.DataFrame, truth: pd.DataFrame, by: tuple[str, ...] = ("model", "level")) -> pd.DataFrame:
    """Scores of each model at each level.

    Args:
        forecasts: rows of `backtest`'s long table.
        truth: `actuals` of the whole panel; forecast rows without an actual are left out.
        by: what a row of the result stands for; any columns of `forecasts`, and 'level'.

    Returns:
        a row per group: rows, WRMSSE, WAPE, WQL, MASE, cover80, cover90, bias; empty if no forecast has an actual.
    """
    added = sums(forecasts, truth, by)
    return ratios(added).reset_index()


def sums(forecasts: pd.DataFrame, truth: pd.DataFrame, by: tuple[str, ...] = ("model", "level")) -> pd.DataFrame:
    """What scores are ratios of; sums of several groups (cutoffs, say) may be added up before `ratios` is taken.

    Args:
        forecasts, truth, by: see `score`. Scales and weights are those before the first cutoff of all `forecasts`.

    Returns:
        frame of `SUMS`, a row per group, indexed by `by`.
    """
    f = forecasts.merge(truth, on=[*KEYS, "date"], how="inner", validate="m:1")
    if f.empty:
        return pd.DataFrame(columns=list(SUMS), index=pd.MultiIndex.from_arrays([[]] * len(by), names=by), dtype=float)
    f["level"] = level_of(f)
    base = scales(truth, forecasts["cutoff"].min())
    f = f.join(base, on=KEYS)
    error = f["mean"] - f["count"]
    quantile = f[list(QUANTILE_NAMES)].to_numpy()
    f = f.assign(
        rows=1,
        squared=error**2,
        absolute=error.abs(),
        loss=quantile_loss(f["count"].to_numpy(), quantile),
        in80=f["count"].between(f["q10"], f["q90"]),
        in90=f["count"].between(f["q05"], f["q95"]),
    )
    keys = list(by)
    totals = f.groupby(keys, sort=True)[["rows", "count", "mean", "absolute", "loss", "in80", "in90"]].sum()
    window = f.groupby([*dict.fromkeys([*keys, *KEYS, "cutoff"])], sort=True)
    each = window.agg({"squared": "mean", "absolute": "mean", "scale": "first", "step": "first", "weight": "first"})
    each = each[each["scale"].notna() & each["step"].notna() & (each["weight"] > 0)]
    weighted = pd.DataFrame(
        {
            "weight": each["weight"],
            "rmsse": np.sqrt(each["squared"] / each["scale"]) * each["weight"],
            "mase": each["absolute"] / each["step"] * each["weight"],
        }
    )
    return totals.join(weighted.groupby(level=keys).sum())[list(SUMS)]


def quantile_loss(counts: np.ndarray, quantile: np.ndarray) -> np.ndarray:
    """Mean over the levels of twice the pinball loss of quantiles [..., Q] against counts [...]."""
    miss = counts[..., None] - quantile
    return np.asarray(2 * np.maximum(miss * np.array(LEVELS), -miss * (1 - np.array(LEVELS))).mean(axis=-1))


@dataclass(frozen=True)
class Yardstick:
    """What errors of M nodes are measured by, taken before the first cutoff; see `scales`.

    Attributes:
        scale, step: [M] mean squared and mean absolute weekly difference, NaN where it is 0.
        weight: [M] recent volume.
    """

    scale: np.ndarray
    step: np.ndarray
    weight: np.ndarray


def yardstick(counts: np.ndarray) -> Yardstick:
    """The yardstick of nodes from their counts [M, T] up to the first cutoff, NaN where missing."""
    difference = counts[:, SEASON:] - counts[:, :-SEASON]
    there = ~np.isnan(difference)
    number = np.maximum(there.sum(axis=1), 1)
    squared, absolute = (np.where(there, x, 0.0).sum(axis=1) / number for x in (difference**2, np.abs(difference)))
    return Yardstick(np.where(squared > 0, squared, np.nan), np.where(absolute > 0, absolute, np.nan), np.nansum(counts[:, -WEIGHT_DAYS:], axis=1))


def node_sums(means: np.ndarray, dispersion: np.ndarray, counts: np.ndarray, by: Yardstick) -> pd.DataFrame:
    """`sums` of each node over its windows, from arrays: for many nodes in a fraction of the time and memory of a long frame.

    Args:
        means: [M, W, H], NaN where there is no forecast.
        dispersion: [M, H].
        counts: [M, W, H], NaN where nothing is known.

    Returns:
        frame of `SUMS`, a row per node; sums of any groups of nodes may be added up before `ratios` is taken.
    """
    return span_sums(means, dispersion, counts, by, [slice(None)])[0]


def span_sums(means: np.ndarray, dispersion: np.ndarray | None, counts: np.ndarray, by: Yardstick, spans: Sequence[slice]) -> list[pd.DataFrame]:
    """`node_sums` of spans of the horizon, such as its weeks, a frame per span: quantiles, which take the time, are derived once for all.

    Args:
        means, dispersion, counts, by: see `node_sums`; without dispersion the means alone are scored, and loss, in80 and in90 are NaN.
        spans: of the last axis.
    """
    parts = []
    for start in range(0, len(means), NODES_AT_ONCE):
        rows = slice(start, start + NODES_AT_ONCE)
        spread = None if dispersion is None else dispersion[rows]
        parts.append(_span_sums(means[rows], spread, counts[rows], by.scale[rows], by.step[rows], by.weight[rows], spans))
    return [pd.concat(of_span, ignore_index=True) for of_span in zip(*parts, strict=True)]


def _span_sums(
    means: np.ndarray,
    dispersion: np.ndarray | None,
    counts: np.ndarray,
    scale: np.ndarray,
    step: np.ndarray,
    weight: np.ndarray,
    spans: Sequence[slice],
) -> list[pd.DataFrame]:
    use = np.isfinite(means) & np.isfinite(counts)
    mean, count = np.where(use, means, 0.0), np.where(use, counts, 0.0)
    error = mean - count
    days = {
        "rows": use,
        "count": count,
        "mean": mean,
        "absolute": np.abs(error),
        "squared": error**2,
    }
    if dispersion is None:
        days |= dict.fromkeys(("loss", "in80", "in90"), np.full(mean.shape, np.nan))
    else:
        quantile = quantiles(mean, np.broadcast_to(dispersion[:, None], mean.shape))
        q = dict(zip(QUANTILE_NAMES, np.moveaxis(quantile, -1, 0), strict=True))
        days["loss"] = np.where(use, quantile_loss(count, quantile), 0.0)
        days["in80"] = use & (q["q10"] <= count) & (count <= q["q90"])
        days["in90"] = use & (q["q05"] <= count) & (count <= q["q95"])
    out = []
    for span in spans:
        windows = {name: values[..., span].sum(axis=2) for name, values in days.items()}
        number = windows["rows"]
        counted = (number > 0) & ~np.isnan(scale * step)[:, None] & (weight > 0)[:, None]
        squared, absolute = (windows[name] / np.maximum(number, 1) for name in ("squared", "absolute"))
        added = {name: values.sum(axis=1) for name, values in windows.items()}
        added["rmsse"] = np.where(counted, np.sqrt(squared / scale[:, None]) * weight[:, None], 0.0).sum(axis=1)
        added["mase"] = np.where(counted, absolute / step[:, None] * weight[:, None], 0.0).sum(axis=1)
        added["weight"] = (counted * weight[:, None]).sum(axis=1)
        out.append(pd.DataFrame(added)[list(SUMS)])
    return out


def ratios(added: pd.DataFrame) -> pd.DataFrame:
    """The scores of rows of `sums`: rows, WRMSSE, WAPE, WQL, MASE, cover80, cover90, bias."""
    came = added["count"].replace(0, np.nan)
    return pd.DataFrame(
        {
            "rows": added["rows"],
            "WRMSSE": added["rmsse"] / added["weight"],
            "WAPE": added["absolute"] / came,
            "WQL": added["loss"] / came,
            "MASE": added["mase"] / added["weight"],
            "cover80": added["in80"] / added["rows"],
            "cover90": added["in90"] / added["rows"],
            "bias": added["mean"] / came - 1,
        }
    )


def mean_of_levels(scores: pd.DataFrame) -> pd.DataFrame:
    """The plain mean of the levels' WRMSSE, WAPE and WQL, a row per model."""
    return scores.groupby("model")[["WRMSSE", "WAPE", "WQL"]].mean().reset_index().assign(level="all")
