"""One training: backtest the members, weigh them, score the champion against its baselines, forecast."""

import hashlib
import json
import resource
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from forecasting import metrics, training
from forecasting.errors import InputError
from forecasting.forecast_set import ForecastSet, with_quantiles
from forecasting.hierarchy import ALL
from forecasting.models.base import NO_OPINION, Fitted, Known, NoOpinion
from forecasting.recipe import CHAMPION, MODELS, Recipe
from forecasting.training import Backtested, Champion

SUMS = "sha256.json"  # of every file of a saved model


@dataclass(frozen=True)
class Night:
    """What one training made.

    Attributes:
        recipe: what was decided before.
        champion: the trained blend.
        forecast_set: its forecasts.
        scores: a row per model and level, over the windows of the backtest; the champion's weights for a window come from the others.
        series_scores: the champion's and baselines' scores of every series.
        seconds: how long each step took.
        peak_mb: peak resident memory of this process, MB; the workers of an executor come on top.
        fingerprint: SHA-256 of what was learnt from.
    """

    recipe: Recipe
    champion: Champion
    forecast_set: ForecastSet
    scores: pd.DataFrame
    series_scores: pd.DataFrame
    seconds: dict[str, float]
    peak_mb: float
    fingerprint: str


def train(
    known: Known, recipe: Recipe, horizon: int, seed: int = 0, executor: Executor | None = None, progress: Callable[[str], None] | None = None
) -> Night:
    """Trains on all that is known.

    Args:
        known: what is known at the end of the business date.
        recipe: members and settings.
        horizon: days to forecast.
        seed: the same inputs and seed give the same forecasts.
        executor: where independent fits may run.
        progress: told the name of each step as it begins.
    """
    say = progress or (lambda _: None)
    seconds = {}
    started = time.perf_counter()
    say("fitting members")
    members = training.backtest_members(known, recipe.members, horizon, recipe.windows, seed, executor)
    seconds["fit"] = time.perf_counter() - started
    say("weighing and calibrating")
    champion = training.assemble(members, None, recipe.shrink)
    forecast_set = champion.forecast(explained=True)
    seconds["assemble"] = time.perf_counter() - started - seconds["fit"]
    say("scoring")
    scores, series_scores = _scores(members, recipe)
    seconds["total"] = time.perf_counter() - started
    return Night(recipe, champion, forecast_set, scores, series_scores, seconds, _peak_mb(), fingerprint(known))


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


def _scores(members: Backtested, recipe: Recipe) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores by level and by series, in the windows of the members' backtest."""
    if not members.origins:
        empty = metrics.score(pd.DataFrame({"cutoff": [], "district": [], "category": [], "date": []}), metrics.actuals(members.known.panel))
        return empty, empty
    able = [model for model, fitted in zip(members.models, members.fitted, strict=True) if fitted is not None]
    parts = [_window_rows(training.assemble(members, (model.name,), recipe.shrink), model.name, None) for model in able]
    several = len(members.origins) > 1
    parts += [_window_rows(training.assemble(members, None, recipe.shrink, w if several else None), CHAMPION, w) for w in range(len(members.origins))]
    table = pd.concat(parts, ignore_index=True)
    truth = metrics.actuals(members.known.panel)
    scores = metrics.score(table, truth)
    bottom = table[(metrics.level_of(table) == "series") & table["model"].isin([CHAMPION, *(m.name for m in members.models if m.reference)])]
    return scores, metrics.score(bottom, truth, by=("model", "district", "category"))


def _window_rows(champion: Champion, name: str, window: int | None) -> pd.DataFrame:
    """Rows of one window (or all), as `metrics.score` reads them: series, districts, categories and the city."""
    members = champion.backtested
    nodes = members.known.hierarchy.nodes
    leaves = set(members.known.panel.series["category"]) | {ALL}
    rows = np.flatnonzero(nodes["category"].isin(leaves).to_numpy())
    means, dispersion = training.in_windows(champion)[rows], champion.dispersion.at(members.horizon)[rows]
    parts = []
    for w in range(len(members.origins)) if window is None else [window]:
        cutoff = members.known.panel.days[members.origins[w]]
        frame = pd.DataFrame(
            {
                "district": np.repeat(nodes["area"].to_numpy()[rows], members.horizon),
                "category": np.repeat(nodes["category"].to_numpy()[rows], members.horizon),
                "date": np.tile((cutoff + pd.to_timedelta(np.arange(1, members.horizon + 1), unit="D")).to_numpy(), len(rows)),
                "mean": means[:, w].ravel(),
                "dispersion": dispersion.ravel(),
            }
        )
        parts.append(with_quantiles(frame.dropna(subset="mean")).assign(model=name, cutoff=cutoff))
    return pd.concat(parts, ignore_index=True)


def _peak_mb() -> float:
    """Peak resident memory of this process, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
