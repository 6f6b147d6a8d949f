"""What each part of the champion is worth: the champion without it, on the same cutoffs, and its members alone.

    python -m experiments.benchmarks.accuracy.worth OUT '{"name": …, "counts": …, …}'

Everything is fitted once at each cutoff, the booster once more without each group of features; a variant is a choice of what was fitted,
weighed, reconciled and calibrated anew.
"""

import json
import sys
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments import files, recipes, workers
from experiments.benchmarks import kept, runs
from experiments.benchmarks.accuracy import measured, product, scorer, scores
from experiments.benchmarks.accuracy.scores import Draws
from experiments.benchmarks.panels import HORIZON, Panel
from experiments.benchmarks.runs import Record, Run
from forecasting import backtest, features, training
from forecasting.drivers import from_frame
from forecasting.forecast_set import with_quantiles
from forecasting.hierarchy import Hierarchy, Tree
from forecasting.models.base import Known, Model
from forecasting.models.boosting import Boosting
from forecasting.panel import from_counts
from forecasting.recipe import CHAMPION, Recipe
from forecasting.training import Backtested, Champion

NAME = "worth"
PANELS = ("boston-311-pest", "chicago-burglary-2011-14", "city-0.1")  # unless others are chosen: two real ones of middle size, one with drivers
CORES = 2
SEED = 0


class BottomUp(Hierarchy):
    """Sums are the sums of the series' forecasts."""

    def reconcile(self, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
        return self.total(np.maximum(means[: self.n_series], 0.0))


class Apart(Hierarchy):
    """Every node keeps its own forecast, and nothing adds up."""

    def reconcile(self, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
        return np.asarray(np.maximum(means, 0.0))


RECONCILED: dict[str, type[Hierarchy]] = {"bottom-up": BottomUp, "not reconciled": Apart}


@dataclass(frozen=True)
class TakenApart:
    """What was measured on a panel.

    Attributes:
        panel: its name.
        record: of the run.
        outdated: whether code or inputs have changed since.
        draws: scores of the variants and members; empty if the run failed.
        sums: from which they are drawn.
    """

    panel: str
    record: Record
    outdated: bool
    draws: Draws
    sums: pd.DataFrame | None = None


def run_of(panel: Panel, work: Path) -> Run:
    """The run that takes the champion apart on a panel."""
    asked = {"name": panel.name, "counts": str(panel.counts), "drivers": str(panel.drivers) if panel.drivers else None, "country": panel.country}
    out = work / panel.name / "worth.parquet"
    code = runs.code(runs.behind(Path(__file__), ["experiments.benchmarks"]))
    inputs = runs.fingerprint(panel.fingerprint, code, product.recipe_text(), panel.cutoffs(), panel.country)
    return Run(out, runs.program(__name__, out, asked), inputs)


def collect(panel: Panel, number: int, work: Path, folder: Path | None = None) -> TakenApart | None:
    """What a run has left or what is kept of it, if there was one; nothing is run.

    Args:
        folder: of what is kept of the panel.
    """
    run = run_of(panel, work)
    wanted = scorer.fingerprint(NAME, run.fingerprint)
    own, other = runs.record(run.out), kept.records(folder).get(NAME) if folder else None
    if own:
        own = replace(own, fingerprint=scorer.fingerprint(NAME, own.fingerprint))
    record = runs.latest(wanted, own, other)
    if record is None:
        return None
    if record.error:
        sums = None
    elif folder and record is other:
        sums = _kept(folder, record)
    else:
        sums = runs.frame(run.out)
    draws = scores.resampled(sums, number) if sums is not None else {}
    return TakenApart(panel.name, record, record.fingerprint != wanted, draws, sums)


def _kept(folder: Path, record: Record) -> pd.DataFrame | None:
    rows = kept.table(folder, NAME, record.fingerprint)
    return None if rows is None else rows.set_index(measured.INDEX["sums"])


def is_kept(panel: Panel, work: Path, folder: Path) -> bool:
    """Whether a result is kept that a run would give again."""
    one = collect(panel, 0, work, folder)
    return one is not None and not one.outdated and bool(one.draws)


def variants(recipe: Recipe) -> tuple[tuple[Model, ...], dict[str, tuple[int, ...]]]:
    """What is fitted, and which of it each variant has.

    The champion; the champion without each member of the blend in turn; its booster without each group of features in turn. What is there
    to be compared with has no part in the blend, and stays.
    """
    models, everyone = list(recipe.members), tuple(range(len(recipe.members)))
    found = {CHAMPION: everyone}
    found |= {f"without {model.name}": tuple(j for j in everyone if j != k) for k, model in enumerate(recipe.members) if not model.reference}
    for k, model in enumerate(recipe.members):
        if isinstance(model, Boosting):
            for group in features.GROUPS:
                found[f"without {group}"] = tuple(len(models) if j == k else j for j in everyone)
                models.append(replace(model, without=(group,)))
    return tuple(models), found


def at_cutoff(panel: Panel, recipe: Recipe, cutoff: str) -> pd.DataFrame:
    """The forecasts of every variant and of every member alone at a cutoff: rows of `backtest.run`, `model` being the variant."""
    weather = from_frame(files.drivers(panel.drivers, "Asia/Shanghai")) if panel.drivers else None
    known = Known(from_counts(files.counts(panel.counts)), Tree(), Tree(), weather, panel.country).at(pd.Timestamp(cutoff))
    models, chosen = variants(recipe)
    fitted = training.backtest_members(known, models, HORIZON, recipe.windows, SEED)
    whole = part(fitted, chosen[CHAMPION])
    made = {name: training.assemble(part(fitted, members), None, recipe.shrink) for name, members in chosen.items()}
    made |= {name: training.assemble(reconciled(whole, kind), None, recipe.shrink) for name, kind in RECONCILED.items()}
    made |= {model.name: training.assemble(whole, (model.name,), recipe.shrink) for model in recipe.members}
    return pd.concat([_rows(champion, name, cutoff) for name, champion in made.items()], ignore_index=True)


def part(fitted: Backtested, members: tuple[int, ...]) -> Backtested:
    """Some of what was fitted."""
    models, last = tuple(fitted.models[k] for k in members), tuple(fitted.fitted[k] for k in members)
    return replace(fitted, models=models, fitted=last, forecasts=fitted.forecasts[list(members)])


def reconciled(fitted: Backtested, kind: type[Hierarchy]) -> Backtested:
    """The same, whose forecasts are made to agree in another way."""
    known = replace(fitted.known)
    vars(known)["hierarchy"] = kind(known.hierarchy.nodes, known.hierarchy.sums)  # where its cached one stands
    return replace(fitted, known=known)


def _rows(champion: Champion, name: str, cutoff: str) -> pd.DataFrame:
    frame = with_quantiles(champion.forecast().frame).rename(columns={"area": "district"})
    made = frame.assign(cutoff=pd.Timestamp(cutoff), model=name)[[*backtest.COLUMNS, "dispersion"]]
    return made.astype(dict.fromkeys(("district", "category", "model"), "category"))  # there are millions of rows


def measure(panel: Panel, recipe: Recipe, executor: Executor | None = None) -> pd.DataFrame:
    """`metrics.SUMS` of every variant and member, by model, level and cutoff."""
    one_thread = replace(recipe, members=tuple(replace(m, threads=1) if isinstance(m, Boosting) else m for m in recipe.members))
    work = partial(at_cutoff, panel, one_thread)
    parts = list(executor.map(work, panel.cutoffs()) if executor else map(work, panel.cutoffs()))
    truth, names = scores.truth_of(panel), list(parts[0]["model"].unique())
    frames = ({name: pd.concat([p[p["model"] == name] for p in parts]).astype({"district": str, "category": str, "model": str})} for name in names)
    return pd.concat([scores.summed(frame, truth) for frame in frames])


def main(out: Path, asked: dict[str, Any]) -> None:
    """Measures a panel and writes the table."""
    panel = Panel(asked["name"], Path(asked["counts"]), Path(asked["drivers"]) if asked["drivers"] else None, None, asked["country"])
    with workers.pool(CORES) as pool:
        measure(panel, recipes.load(None), pool).to_parquet(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
