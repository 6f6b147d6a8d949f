"""One training: backtest the members, weigh them, forecast days and weeks, score the champion against its baselines."""

import hashlib
import json
import operator
import resource
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd

from forecasting import metrics, outlook, training
from forecasting.detection import issued
from forecasting.errors import InputError
from forecasting.forecast_set import ForecastSet
from forecasting.hierarchy import ALL
from forecasting.models.base import NO_OPINION, Fitted, Known, NoOpinion
from forecasting.recipe import CHAMPION, MODELS, Recipe
from forecasting.training import Backtested, Champion

SUMS = "sha256.json"  # of every file of a saved model
AT_ONCE = 2  # blends that are scored at once, each in arrays as large as the backtest: the two cores of the smallest machine

WEEK = 7  # days: scores are told by week ahead

Blend = tuple[tuple[str, ...] | None, int | None]
"""Names of its members, None: those of the champion; and the window that is scored, by weights from the others, None: all of them."""

Scored = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]
"""What `Night` has as scores, week_scores, series_scores, category_scores, worth, backtest."""


@dataclass(frozen=True)
class Night:
    """What one training made.

    Attributes:
        recipe: what was decided before.
        champion: the trained blend.
        forecast_set: its forecasts.
        outlook: its weeks, see `forecasting.outlook.make`.
        standing: by what its days are judged, see `forecasting.detection.issued.judged`.
        evidence: [N, D] how unusual the last days of the windows were at each series, as detection would have told, see `issued.judged`.
        scores: a row per model and level, over the windows of the backtest; the champion's weights for a window come from the others.
        week_scores: the same by `week` ahead, from 1.
        windows: what `scores` are ratios of, window by window: `model`, `level`, `origin` (position of the window's last known day) and
            `metrics.SUMS`; the sums of any windows may be added up.
        series_scores, category_scores: the champion's and baselines' scores of every series, and of every category in the whole city.
        worth: what each member of the blend adds: `member`, `level`, `WRMSSE`, the share by which the blend's score rises without it (blends
            of these members, weighed and scored on the same windows); no rows where one member is all there is.
        backtest: the champion's forecasts that were scored, see `_backtest`.
        seconds: how long each step took.
        peak_mb: peak resident memory of this process, MB.
        fingerprint: SHA-256 of what was learnt from.
        yardstick: position of the last day of which scores were scaled and weighted: those of different ones cannot be compared; -1: there are none.
    """

    recipe: Recipe
    champion: Champion
    forecast_set: ForecastSet
    outlook: pd.DataFrame
    standing: pd.DataFrame
    evidence: np.ndarray
    scores: pd.DataFrame
    week_scores: pd.DataFrame
    windows: pd.DataFrame
    series_scores: pd.DataFrame
    category_scores: pd.DataFrame
    worth: pd.DataFrame
    backtest: pd.DataFrame
    seconds: dict[str, float]
    peak_mb: float
    fingerprint: str
    yardstick: int


def train(
    known: Known, recipe: Recipe, horizon: int, seed: int = 0, progress: Callable[[str], None] | None = None, yardstick: int | None = None
) -> Night:
    """Trains on all that is known.

    Args:
        known: what is known at the end of the business date.
        recipe: members and settings.
        horizon: days to forecast.
        seed: the same inputs and seed give the same forecasts.
        progress: told the name of each step as it begins.
        yardstick: of another night of the same data that it is to be compared with, see `Night`; left out, scores are scaled by all days that are
            known before the first window, so that a recipe with more windows has another yardstick.
    """
    say = progress or (lambda _: None)
    seconds = {}
    started = time.perf_counter()
    say("fitting members")
    members = training.backtest_members(known, recipe.members, horizon, recipe.windows, seed)
    seconds["fit"] = time.perf_counter() - started
    say("weighing and calibrating")
    champion = training.assemble(members, None, recipe.shrink)
    last = (members.origins[0] if members.origins else -1) if yardstick is None or yardstick < 0 else yardstick
    forecast_set = champion.forecast(explained=True)
    seconds["assemble"] = time.perf_counter() - started - seconds["fit"]
    say("looking ahead and scoring")
    with ThreadPoolExecutor(1) as aside:
        weeks = aside.submit(outlook.make, champion, seed)
        judged = aside.submit(issued.judged, champion)
        scored = _scores(members, recipe, last)
    seconds["total"] = time.perf_counter() - started
    return Night(recipe, champion, forecast_set, weeks.result(), *judged.result(), *scored, seconds, _peak_mb(), fingerprint(known), last)


def fingerprint(known: Known) -> str:
    """SHA-256 of the counts, their days and their series: the same data gives the same fingerprint."""
    digest = hashlib.sha256()
    digest.update(known.panel.series.to_csv(index=False).encode())
    digest.update(f"{known.panel.days[0]:%Y-%m-%d}{known.panel.days[-1]:%Y-%m-%d}{known.country}".encode())
    digest.update(np.ascontiguousarray(known.panel.counts).tobytes())
    if known.drivers:
        digest.update(np.ascontiguousarray(known.drivers.observed).tobytes() + np.ascontiguousarray(known.drivers.forecast).tobytes())
    return digest.hexdigest()


def save_models(night: Night, folder: Path) -> None:
    """Writes the champion as text and tables, with a SHA-256 of each file; nothing in it runs code when it is loaded."""
    champion = night.champion
    for model, fitted in zip(champion.backtested.models, champion.backtested.fitted, strict=True):
        if fitted is not None:
            (folder / model.name).mkdir(parents=True)
            fitted.save(folder / model.name)
    nodes = champion.backtested.known.hierarchy.nodes
    names = [champion.backtested.models[k].name for k in champion.chosen]
    table = nodes.assign(**dict(zip(names, champion.serving.T, strict=True)), variance=champion.variances, dispersion=champion.dispersion.nodes)
    folder.mkdir(parents=True, exist_ok=True)
    table.to_parquet(folder / "blend.parquet", index=False)
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    sums = {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    (folder / SUMS).write_text(json.dumps(sums, indent=1, sort_keys=True))


def load_models(folder: Path) -> dict[str, Fitted]:
    """Reads the members that `save_models` wrote, by name.

    Raises:
        InputError: a file is missing, or is not the one that was written.
    """
    try:
        sums = json.loads((folder / SUMS).read_text())
        changed = [name for name, digest in sums.items() if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest]
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", str(folder), "take the model folder of another run") from None
    if changed:
        raise InputError(f"'{changed[0]}' is not the file that was written", str(folder), "take the model folder of another run")
    found: dict[str, Fitted] = {}
    for name, model in MODELS.items():
        if (folder / name).is_dir():
            found[name] = (NoOpinion if (folder / name / NO_OPINION).exists() else model.fitted).load(folder / name)
    return found


def _scores(members: Backtested, recipe: Recipe, last: int) -> Scored:
    """Scores by level, by level and week, what they are ratios of, by series and by category, in the windows of the members' backtest, the
    champion's weights for a window coming from the others; what each member is worth; and the champion's forecasts that were scored.
    """
    nodes = members.known.hierarchy.nodes
    leaves = nodes["category"].isin(set(members.known.panel.series["category"]) | {ALL})
    rows = np.flatnonzero((leaves & (nodes["level"] != "branch")).to_numpy())
    places = nodes.iloc[rows].rename(columns={"area": "district"}).reset_index(drop=True)
    by_level: dict[str, pd.DataFrame] = {}
    by_week: dict[str, pd.DataFrame] = {}
    by_window: dict[str, pd.DataFrame] = {}
    by_node: dict[str, dict[str, pd.DataFrame]] = {"series": {}, "category": {}}
    worth = []
    scored = np.full((len(rows), len(members.origins), members.horizon), np.nan, np.float32)
    scatter = np.full(scored.shape, np.nan, np.float32)
    if members.origins:
        yardstick = metrics.yardstick(members.known.counts[rows, : last + 1])
        spans = [slice(None), *(slice(first, first + WEEK) for first in range(0, members.horizon, WEEK))]

        def added(blend: Blend) -> dict[int, list[pd.DataFrame]]:
            names, window = blend
            champion = training.assemble(members, names, recipe.shrink, window if len(members.origins) > 1 else None)
            means = champion.in_windows[rows]
            dispersion = None if names in by_means else champion.dispersion.at(members.horizon)[rows]
            if window is not None:
                scored[:, window], scatter[:, window] = means[:, window], dispersion
            mine = range(len(members.origins)) if window is None else (window,)
            return {w: metrics.span_sums(means[:, [w]], dispersion, members.counts[rows][:, [w]], yardstick, spans) for w in mine}

        able = [model for model, fitted in zip(members.models, members.fitted, strict=True) if fitted is not None]
        blended = tuple(model.name for model in able if not model.reference)
        single: list[Blend] = [((model.name,), None) for model in able]
        own: list[Blend] = [(None, window) for window in range(len(members.origins))]
        without: list[Blend] = [(tuple(other for other in blended if other != name), None) for name in blended if len(blended) > 1]
        wanted = dict.fromkeys([*single, *own, (blended, None), *without])
        by_means = {names for names, _ in ((blended, None), *without)} - {names for names, _ in single}  # the rest of a score takes most of its time
        with ThreadPoolExecutor(AT_ONCE) as pool:
            made = dict(zip(wanted, pool.map(added, wanted), strict=True))
        sums = {model.name: made[one] for model, one in zip(able, single, strict=True)}
        sums[CHAMPION] = {w: parts for one in own for w, parts in made[one].items()}
        whole = _wrmsse(_over_windows(made[blended, None])[0], places["level"])
        for name, one in zip(blended, without, strict=False):  # none where one member is all there is
            worth.append((_wrmsse(_over_windows(made[one])[0], places["level"]) / whole - 1).rename("WRMSSE").reset_index().assign(member=name))
        compared = {CHAMPION, *(model.name for model in members.models if model.reference)}
        for name, each_window in sums.items():
            nodes_sums, *weeks = _over_windows(each_window)
            of_levels = {members.origins[w]: parts[0].groupby(places["level"]).sum() for w, parts in each_window.items()}
            by_window[name] = pd.concat(of_levels, names=["origin"])
            by_level[name] = _ratios(nodes_sums.groupby(places["level"]).sum())
            each = {week: _ratios(of_week.groupby(places["level"]).sum()) for week, of_week in enumerate(weeks, 1)}
            by_week[name] = pd.concat(each, names=["week"])
            for level, kept in by_node.items() if name in compared else ():
                at = (places["level"] == level).to_numpy()
                kept[name] = _ratios(nodes_sums[at].set_index(pd.MultiIndex.from_frame(places.loc[at, metrics.KEYS])))
    told = pd.concat(worth, ignore_index=True) if worth else pd.DataFrame(columns=["level", "WRMSSE", "member"])
    levels, weekly = _stacked(by_level, ["level"]), _stacked(by_week, ["level", "week"])
    windows = pd.concat(by_window, names=["model"]).reset_index() if by_window else pd.DataFrame(columns=["model", "level", "origin", *metrics.SUMS])
    single_series, categories = (_stacked(by_node[level], metrics.KEYS) for level in ("series", "category"))
    return levels, weekly, windows, single_series, categories, told[["member", "level", "WRMSSE"]], _backtest(members, places, rows, scored, scatter)


def _over_windows(parts: Mapping[int, list[pd.DataFrame]]) -> list[pd.DataFrame]:
    """The sums of all windows, of each span."""
    return [reduce(operator.add, of_span) for of_span in zip(*parts.values(), strict=True)]


def _ratios(sums: pd.DataFrame) -> pd.DataFrame:
    """Scores of what was scored at all."""
    return metrics.ratios(sums[sums["rows"] > 0])


def _backtest(members: Backtested, places: pd.DataFrame, rows: np.ndarray, means: np.ndarray, dispersion: np.ndarray) -> pd.DataFrame:
    """Long frame of forecasts made in the windows: `level`, `district`, `category`, `cutoff`, `date`, `horizon`, `count` (what came, NaN where
    it is missing), `mean`, `dispersion`; the texts as categoricals, for there may be millions of rows.

    Args:
        places: the L nodes' level, district, category. rows: [L] their positions among all nodes.
        means, dispersion: [L, W, H], NaN where there was no forecast.
    """
    n, w, h = means.shape
    cutoffs = members.known.panel.days[list(members.origins)]
    ahead = np.arange(1, h + 1, dtype=np.int16)
    dates = cutoffs.to_numpy()[:, None] + ahead * np.timedelta64(1, "D")
    codes = np.repeat(np.arange(n), w * h)
    frame = pd.DataFrame({name: places[name].astype("category").array.take(codes) for name in ("level", *metrics.KEYS)})
    frame["cutoff"] = np.tile(np.repeat(cutoffs.to_numpy(), h), n)
    frame["date"] = np.tile(dates.ravel(), n)
    frame["horizon"] = np.tile(ahead, n * w)
    frame["count"] = members.counts[rows].astype(np.float32).ravel()
    frame["mean"], frame["dispersion"] = means.ravel(), dispersion.ravel()
    return frame[frame["mean"].notna()].reset_index(drop=True)


def _wrmsse(sums: pd.DataFrame, levels: pd.Series) -> pd.Series:
    """WRMSSE by level of sums by node."""
    score: pd.Series = _ratios(sums.groupby(levels).sum())["WRMSSE"]
    return score


def _stacked(scores: dict[str, pd.DataFrame], keys: list[str]) -> pd.DataFrame:
    """The models' scores one below the other, with the keys as columns; no rows without models."""
    if not scores:
        return metrics.ratios(pd.DataFrame(columns=list(metrics.SUMS), dtype=float)).assign(model="", **dict.fromkeys(keys, ""))
    return pd.concat(scores, names=["model"]).reset_index().sort_values(["model", *keys], ignore_index=True)


def _peak_mb() -> float:
    """Peak resident memory of this process, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
