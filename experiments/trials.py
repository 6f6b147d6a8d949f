"""Free experiments: several recipes backtested on the same cutoffs."""

import hashlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from experiments import compare, files, rolling
from experiments.rolling import Request
from forecasting import metrics, panel
from forecasting.errors import InputError
from forecasting.hierarchy import ALL
from forecasting.recipe import MODELS, Recipe

RECIPE = "recipe.yaml"  # in the folder of each trial, with every setting: it can be given to --config


@dataclass(frozen=True)
class Trial:
    """A recipe to be tried.

    Attributes:
        name: of its folder: 'a', 'b', 'base', '07'.
        label: what a person calls it, such as the name of its file or what is changed.
        recipe: what is tried.
        changed: parameter -> value, what a sweep has set.
    """

    name: str
    label: str
    recipe: Recipe
    changed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tried:
    """What came of a trial.

    Attributes:
        folder: where its forecasts and scores are.
        scores: as `rolling.run` returns them.
        losses: see `compare.losses`; empty without actuals.
        seconds: that its backtest took.
    """

    trial: Trial
    folder: Path
    scores: pd.DataFrame
    losses: pd.DataFrame
    seconds: float


def run(
    trials: Sequence[Trial],
    request: Request,
    out: Path,
    progress: Callable[[int], None] | None = None,
    note: Callable[[str], None] | None = None,
    finished: Callable[[Tried], None] | None = None,
) -> list[Tried]:
    """Backtests one recipe after the other, each over its cutoffs with `request.workers` processes, into a folder of `out` each (one alone: `out`).

    A trial that is done is written, so that what comes after it may fail.

    Args:
        request: its recipe is not looked at.
        progress: called with the number of cutoffs done, of all trials together.
        note: called with what is to be said of the data, once.
        finished: called with each trial that is done.

    Raises:
        InputError: bad files or flags, or several trials and no day after the cutoffs to compare them on.
    """
    if (request.counts is None) == (request.tickets is None):
        raise InputError("give one of --counts and --tickets", "backtest", "a file of counts or one of tickets")
    for trial in trials:
        lacking = [name for name in request.models if name in MODELS and name not in {member.name for member in trial.recipe.members}]
        if lacking:
            raise InputError(f"'{lacking[0]}' is not in the recipe '{trial.label}'", "--models", "add it to the recipe's members")
    table = files.counts(request.counts) if request.counts else files.tickets(request.tickets, request.zone)  # type: ignore[arg-type]
    last = f"{table['date'].max():%Y-%m-%d}"
    if len(trials) > 1 and {cutoff.strip() for cutoff in request.cutoffs} == {last}:
        raise InputError(f"no day after {last}, on which the data end", "--cutoffs", "choose earlier ones: there is nothing to compare")
    said: set[str] = set()

    def once(line: str) -> None:
        if note and line not in said:
            note(line)
        said.add(line)

    made = []
    truth: pd.DataFrame | None = None
    with tempfile.TemporaryDirectory() as temporary:
        for i, trial in enumerate(trials):
            config = Path(temporary) / RECIPE
            config.write_text(yaml.safe_dump(trial.recipe.mapping(), sort_keys=False), "utf-8")
            folder = out / trial.name if len(trials) > 1 else out
            show = partial(_add, progress, i * len(request.cutoffs)) if progress else None
            began = time.perf_counter()
            scores = rolling.run(replace(request, config=config), folder, show, once)
            seconds = time.perf_counter() - began
            (folder / RECIPE).write_bytes(config.read_bytes())
            truth = _truth(table) if truth is None else truth
            losses = compare.losses(pd.read_parquet(folder / "forecasts.parquet"), truth) if len(scores) else pd.DataFrame()
            made.append(Tried(trial, folder, scores, losses, seconds))
            if finished:
                finished(made[-1])
    return made


def _add(progress: Callable[[int], None], before: int, done: int) -> None:
    progress(before + done)


def _truth(table: pd.DataFrame) -> pd.DataFrame:
    """What came; a pair that a day does not name is 0, as in the scores of `rolling.run`."""
    whole = panel.from_counts(table)
    return metrics.actuals(replace(whole, counts=np.nan_to_num(whole.counts)))


def ranked(tried: Sequence[Tried], horizon: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Several trials, each against the first.

    Returns:
        a row per trial, the best first: `rank`, `trial`, `label`, its scores at the mean of the levels, and, but for the first trial, by how much the
        score of `compare.HEADLINE` differs: `difference`, `low`, `high`, `p`, `p_adjusted` (among the trials), `verdict`;
        and the rows of `compare.compare` of each, with `trial`.
    """
    base, *others = tried
    tables = {one.trial.name: compare.compare(base.losses, one.losses, horizon) for one in others}
    heads = pd.DataFrame([compare.headline(table) for table in tables.values()]).infer_objects().assign(trial=list(tables))
    heads["p_adjusted"] = compare.adjusted(heads["p"])
    heads["verdict"] = compare.verdicts(heads, compare.separate_windows(pd.DatetimeIndex(base.losses.columns), horizon))
    rows = []
    for one in tried:
        means = one.losses.mean(axis=1).loc[str(heads["model"].iloc[0]), compare.EVERY, ALL]
        rows.append({"trial": one.trial.name, "label": one.trial.label, **{name: means[name] for name in compare.METRICS}})
    columns = ["trial", "difference", "low", "high", "p", "p_adjusted", "verdict"]
    ranking = pd.DataFrame(rows).merge(heads[columns], on="trial", how="left").fillna({"verdict": ""})
    ranking = ranking.sort_values(compare.HEADLINE, kind="stable", ignore_index=True)
    ranking.insert(0, "rank", range(1, len(ranking) + 1))
    return ranking, pd.concat([table.assign(trial=name) for name, table in tables.items()], ignore_index=True)


def conclusion(tried: Sequence[Tried], ranking: pd.DataFrame, horizon: int) -> str:
    """The best of those that are compared with the first trial, against it, in words."""
    first = tried[0].trial
    best = ranking[ranking["trial"] != first.name].iloc[0]
    told = compare.sentence(best, pd.DatetimeIndex(tried[0].losses.columns), horizon, (first.label, best["label"]))
    return told if len(tried) == 2 else f"the best of {len(tried) - 1}: {told}"


def differences(tried: Sequence[Tried]) -> pd.DataFrame:
    """`compare.by_cutoff` of each trial and the first, with `trial`."""
    return pd.concat([compare.by_cutoff(tried[0].losses, one.losses).assign(trial=one.trial.name) for one in tried[1:]], ignore_index=True)


def write(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Writes each table as NAME.parquet."""
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)


def fingerprint(request: Request) -> str:
    """SHA-256 of the input files."""
    digest = hashlib.sha256()
    for path in (request.counts, request.tickets, request.drivers):
        if path:
            with path.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()
