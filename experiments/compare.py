"""Two backtests of the same cutoffs side by side: is one better, or is it noise?

Both see the same days, so that only their differences count, one figure a cutoff. Interval: paired circular block bootstrap (see `bootstrap`), its
ends moved outwards as Student's t asks for with few cutoffs (Hesterberg 2015). Test: Diebold & Mariano (1995) with the small-sample correction of
Harvey, Leybourne & Newbold (1997). Where many are tested at once, p is adjusted after Benjamini & Hochberg (1995).
"""

import numpy as np
import pandas as pd
from scipy import stats

from experiments import bootstrap
from forecasting import metrics
from forecasting.hierarchy import ALL
from forecasting.recipe import CHAMPION

METRICS = {"WRMSSE": ("rmsse", "weight"), "WAPE": ("absolute", "count"), "WQL": ("loss", "count")}
"""Of what in `metrics.SUMS` each score is the ratio."""
HEADLINE = "WRMSSE"  # of the mean of the levels: by this figure one recipe is said to be better than another
EVERY = "all"  # the plain mean of the levels
LEVELS = (EVERY, "city", "district", "category", "series")
ROW = ["model", "level", "category", "metric"]
"""What a comparison is made of: a level, with `ALL` as its category, or a single category of the city."""

DRAWS = 10_000  # so that some twenty lie beyond the ends of an interval that few cutoffs widen
LEAST = 6  # windows without a common day: with five, all of one sign is by chance once in sixteen times, and nothing could ever be told
SURE = 1 - bootstrap.COVERED
ALIKE = 1e-9  # of a score: less is rounding

BETTER, WORSE, NOISE, FEW = "better", "worse", "no difference beyond noise", "too few cutoffs to tell"


def losses(forecasts: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """What each cutoff adds to each score.

    Args:
        forecasts: rows of `backtest`'s long table.
        truth: `metrics.actuals` of the whole panel.

    Returns:
        a row per `ROW`, a column per cutoff that has actuals; the mean of a row is the score over all cutoffs. The plain mean over the levels, too.
    """
    single = forecasts[(forecasts["district"] == ALL) & (forecasts["category"] != ALL)]
    by_level = _shares(metrics.sums(forecasts, truth, ("model", "level", "cutoff")))
    by_category = _shares(metrics.sums(single, truth, ("model", "category", "cutoff")))
    mean = by_level.groupby(["model", "metric"]).mean()
    parts = [mean.assign(level=EVERY, category=ALL), by_level.assign(category=ALL), by_category.assign(level="category")]
    made = pd.concat([part.reset_index().set_index(ROW) for part in parts]).sort_index()
    return made.set_axis(pd.DatetimeIndex(made.columns, name="cutoff"), axis=1)


def _shares(sums: pd.DataFrame) -> pd.DataFrame:
    """Sums by group and cutoff as shares of the mean denominator, which two forecasts of the same days have in common; others are left out."""
    sums, parts = sums.fillna(0.0), []
    for metric, (above, below) in METRICS.items():
        top, bottom = (sums.pivot_table(name, list(sums.index.names[:-1]), "cutoff", fill_value=0.0) for name in (above, below))
        mean = bottom.mean(axis=1)
        parts.append(top[mean > 0].div(mean[mean > 0], axis=0).assign(metric=metric).set_index("metric", append=True))
    return pd.concat(parts)


def compare(a: pd.DataFrame, b: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """How b differs from a, with what that is worth.

    Args:
        a, b: `losses` of the same cutoffs; rows that only one of them has are left out.
        horizon: days ahead; windows of neighbouring cutoffs may overlap.

    Returns:
        a row per `ROW`: `a`, `b` the scores; `difference` b / a - 1, with `low` and `high`, a 95 % interval; `p` of no difference; `p_adjusted`,
        among the categories of a metric; `verdict` on b. NaN where a is 0.
    """
    rows = a.index[a.index.isin(b.index)]
    cutoffs = pd.DatetimeIndex(a.columns)
    overlap, separate = overlapping(cutoffs, horizon), separate_windows(cutoffs, horizon)
    n = len(cutoffs)
    block = min(max(int(n ** (1 / 3)), overlap * 3 // 2), n)  # the usual rate, and longer than what certainly hangs together
    weights = bootstrap.circular_blocks(n, DRAWS, block) / n
    tail = _tail(n // block)
    made = []
    for x, y in zip(a.loc[rows].to_numpy(), b.loc[rows].to_numpy(), strict=True):
        d = np.where(np.abs(y - x) <= ALIKE * x.mean(), 0.0, y - x)
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = np.where((one := weights @ x) > 0, weights @ d / one, np.nan)
        told = bootstrap.estimate(drawn, tail) if np.isfinite(drawn).all() else bootstrap.Estimate(np.nan, np.nan, np.nan)
        made.append((x.mean(), y.mean(), told.value, told.low, told.high, diebold_mariano(d, overlap)))
    table = pd.DataFrame(made, columns=["a", "b", "difference", "low", "high", "p"], index=rows).reset_index()
    table["p_adjusted"] = table["p"]
    for _, family in table[table["category"] != ALL].groupby(["model", "metric"]):
        table.loc[family.index, "p_adjusted"] = adjusted(family["p"])
    table["verdict"] = verdicts(table, separate)
    return table.sort_values(ROW, key=_order, kind="stable", ignore_index=True)


def _order(column: pd.Series) -> pd.Series:
    """The champion before members, levels before single categories, both in the order of `LEVELS`, scores in that of `METRICS`."""
    if column.name in ("level", "metric"):
        return column.map({name: i for i, name in enumerate((*LEVELS, *METRICS))})
    return column.where(~column.isin([CHAMPION, ALL]), "")


def by_cutoff(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Rows of `ROW` and `cutoff`: what it adds to the scores `a` and `b`, and their `difference`, b - a."""
    one, other = (
        losses.melt(ignore_index=False, var_name="cutoff", value_name=name).set_index("cutoff", append=True) for name, losses in (("a", a), ("b", b))
    )
    both = one.join(other, how="inner").sort_index()
    return both.assign(difference=both["b"] - both["a"]).reset_index()


def overlapping(cutoffs: pd.DatetimeIndex, horizon: int) -> int:
    """How many cutoffs in a row have windows that share a day with the first of them, itself included: 1 where no windows overlap."""
    return max(int((cutoffs[i:] < cutoff + pd.Timedelta(days=horizon)).sum()) for i, cutoff in enumerate(cutoffs))


def separate_windows(cutoffs: pd.DatetimeIndex, horizon: int) -> int:
    """How many windows one can choose without a common day."""
    count, free = 0, pd.Timestamp.min
    for cutoff in cutoffs:
        if cutoff >= free:
            count, free = count + 1, cutoff + pd.Timedelta(days=horizon)
    return count


def diebold_mariano(d: np.ndarray, overlap: int = 1) -> float:
    """Two-sided p of the hypothesis that a loss is no greater and no smaller than another.

    Args:
        d: [n] differences of the losses, in the order of time.
        overlap: how many in a row may hang together, as forecasts so many steps ahead do.

    Returns:
        p, after Student's t; 1 where nothing differs, NaN of one difference alone.
    """
    n = len(d)
    if not d.any():
        return 1.0
    if n < 2:
        return float("nan")
    h = min(overlap, n - 1)
    off = d - d.mean()
    lagged = np.array([off[k:] @ off[: n - k] / n for k in range(h)])
    variance = lagged[0] + 2 * lagged[1:].sum()
    if variance <= 0:  # the sum of few may be; with Bartlett's weights it is not
        variance = lagged[0] + 2 * ((1 - np.arange(1, h) / h) * lagged[1:]).sum()
    if variance <= (ALIKE * d.mean()) ** 2:
        return 0.0  # the same difference at every cutoff
    correction = (n + 1 - 2 * h + h * (h - 1) / n) / n
    statistic = d.mean() / np.sqrt(variance / n) * np.sqrt(correction)
    return float(2 * stats.t.sf(abs(statistic), n - 1))


def _tail(n: int) -> float:
    """Share of resamples beyond each end of an interval, so that with n blocks it covers what it says: percentiles alone are too narrow."""
    if n < 2:
        return 0.0
    wide = np.sqrt(n / (n - 1)) * stats.t.ppf(1 - SURE / 2, n - 1)
    return float(stats.norm.sf(wide))


def adjusted(p: pd.Series) -> np.ndarray:
    """Each p as it counts among all of them: of those below 0.05 about one in twenty is chance. NaN stays."""
    out = p.to_numpy(float, copy=True)
    there = ~np.isnan(out)
    if there.any():
        out[there] = stats.false_discovery_control(out[there])
    return out


def verdicts(table: pd.DataFrame, separate: int) -> np.ndarray:
    """In words: a difference is one where the interval leaves out zero and the adjusted p is below 0.05."""
    clear = table["p_adjusted"] < SURE
    found = np.select([clear & (table["high"] < 0), clear & (table["low"] > 0)], [BETTER, WORSE], NOISE)
    return found if separate >= LEAST else np.full(len(table), FEW)


def headline(table: pd.DataFrame) -> pd.Series:
    """The row by which two recipes are told apart: the champion, or the first model, at the mean of the levels."""
    of = CHAMPION if (table["model"] == CHAMPION).any() else table["model"].iloc[0]
    row: pd.Series = table[(table["model"] == of) & (table["level"] == EVERY) & (table["metric"] == HEADLINE)].iloc[0]
    return row


def sentence(row: pd.Series, cutoffs: pd.DatetimeIndex, horizon: int, names: tuple[str, str] = ("a", "b")) -> str:
    """A headline in words, and what so many cutoffs can tell.

    Args:
        row: `difference` of b, `low`, `high`, `p`, `verdict`.
        names: of a and b.
    """
    a, b = names
    number, separate = len(cutoffs), separate_windows(cutoffs, horizon)
    if row["verdict"] == FEW:
        return (
            f"too few cutoffs to tell: {number} with {separate} separate windows of {horizon} days; "
            f"from {LEAST} on a difference can be told from noise, a small one with 12 and more"
        )
    if row["low"] == row["high"] == 0:
        return f"{NOISE} between {a} and {b}: {HEADLINE} is the same at all {number} cutoffs"
    told = f"{HEADLINE} {row['difference']:+.1%} ({row['low']:+.1%} to {row['high']:+.1%}, p {row['p']:.3f}) over {number} cutoffs"
    if row["verdict"] in (BETTER, WORSE):
        return f"{b} is {row['verdict']} than {a}: {told}"
    seen = max((row["high"] - row["low"]) / 2, 0.001)
    return f"{NOISE} between {a} and {b}: {told}; less than about {seen:.1%} cannot be seen with these cutoffs"
