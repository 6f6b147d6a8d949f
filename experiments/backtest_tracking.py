"""How free experiments look in MLflow: a run per backtest, below one parent where several are compared.

Parameters are the recipe's settings and scores are named as those of a night (`metric_names`), so that both can be searched and drawn alike.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric

from experiments import metric_names, sweep, tracking, trials
from experiments.compare import LEVELS
from experiments.metric_names import HIGH, LOW, VERSUS, WINDOWS, P
from experiments.rolling import Request
from experiments.tracking import Dataset, Run
from experiments.trials import Tried
from forecasting.hierarchy import ALL
from forecasting.recipe import CHAMPION

EXPERIMENT = "weisu-backtests"
BACKTEST = "backtest"  # the kind of a recipe's run; that of several has another, so that its figures are not found beside those of its best
SCORES = ("WRMSSE", "WAPE", "WQL", "MASE", "cover80", "cover90", "bias")
LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}  # a dead server costs ten seconds, whenever it dies


class NotTracked(Exception):
    """MLflow could not be reached or would not take it; says why in one line."""


def record(
    tried: Sequence[Tried], request: Request, uri: str, artifacts: Path, tables: Mapping[str, pd.DataFrame] | None = None, said: str = ""
) -> str:
    """Records backtests.

    Args:
        tried: one, or several that are compared: they become children of a run that is named after all of them.
        request: what they were made with.
        uri: the MLflow store: a server's address or a database.
        artifacts: folder of the artifacts where the store is a local database.
        tables: name -> table of what was compared; `comparison` has the rows of `trials.ranked`.
        said: the comparison in a sentence.

    Returns:
        the id of the run, or of the parent.

    Raises:
        NotTracked: MLflow could not be reached, or would not take it. What has been recorded until then stays.
    """
    try:
        with _limited():
            client = tracking.connect(uri)
            return _record(client, tracking.experiment_id(client, uri, artifacts, EXPERIMENT), tried, request, tables or {}, said)
    except tracking.FAILURES as error:
        raise NotTracked(next(iter(str(error).splitlines()), type(error).__name__)) from None


def _record(client: MlflowClient, experiment: str, tried: Sequence[Tried], request: Request, tables: Mapping[str, pd.DataFrame], said: str) -> str:
    common = {
        "fingerprint": trials.fingerprint(request),
        "code_version": tracking.code_version(),
        "cutoffs": ",".join(cutoff.strip() for cutoff in request.cutoffs),
        "mlflow.source.name": "weisu backtest",
    }
    if len(tried) == 1:
        return _log(client, experiment, tried[0], request, common | {"kind": BACKTEST}, pd.DataFrame(), _now())
    kind = "sweep" if any(one.trial.changed for one in tried) else "comparison"
    names = " against ".join(one.trial.label for one in tried[::-1]) if kind == "comparison" else f"sweep of {tried[0].trial.label}"
    table, ranking = tables["comparison"], tables["ranking"].set_index("trial")
    of_each = {one.trial.name: table[table["trial"] == one.trial.name] for one in tried}
    best = next(one for one in tried if one.trial.name == ranking.index[0])
    told = common | {"kind": kind, "verdict": said, "best": best.trial.label, tracking.DESCRIPTION: said}
    seconds = sum(one.seconds for one in tried)
    parameters = {"trials": str(len(tried)), **_task(request)}
    parent = Run(names, parameters, _told(best, of_each[best.trial.name], seconds), told, _dataset(request, common), seconds)
    moment = _now()
    parent_id = tracking.begin(client, experiment, parent, moment)
    tracking.fill(client, parent_id, parent, moment)
    ended = moment - round(seconds * 1000)
    for one in tried:  # in the order and at the moments in which they were made: MLflow lists runs by it
        ended += round(one.seconds * 1000)
        verdict = ranking["verdict"][one.trial.name]
        tags = common | {"kind": BACKTEST, "trial": one.trial.name} | ({"verdict": verdict} if verdict else {})
        _log(client, experiment, one, request, tags, of_each[one.trial.name], ended, parent_id)
    with tempfile.TemporaryDirectory() as folder:
        trials.write(tables, Path(folder))
        for name in ("ranking", "comparison"):  # MLflow's page shows CSV as a table
            tables[name].to_csv(Path(folder) / f"{name}.csv", index=False, float_format="%.6g")
        client.log_artifacts(parent_id, folder)
    tracking.end(client, parent_id, _now())
    return parent_id


def _log(
    client: MlflowClient, experiment: str, one: Tried, request: Request, tags: dict[str, str], compared: pd.DataFrame, moment: int, parent: str = ""
) -> str:
    settings = {key: str(value) for key, value in one.trial.recipe.settings().items()}
    name = f"{one.trial.label} (base)" if one.trial.name == sweep.BASE else one.trial.label
    run = Run(name, settings | _task(request), _told(one, compared, one.seconds), tags, _dataset(request, tags), one.seconds)
    run_id = tracking.begin(client, experiment, run, moment, parent)
    tracking.fill(client, run_id, run, moment)
    points = list(curves(one))
    for start in range(0, len(points), tracking.AT_ONCE):
        client.log_batch(run_id, metrics=points[start : start + tracking.AT_ONCE])
    for name in ("forecasts.parquet", "scores.parquet", trials.RECIPE):
        if (one.folder / name).exists():
            client.log_artifact(run_id, str(one.folder / name))
    tracking.end(client, run_id, moment)
    return run_id


def _told(one: Tried, compared: pd.DataFrame, seconds: float) -> list[tuple[str, float, int]]:
    """A recipe's figures that are no curves."""
    figures = scores(one) | differences(compared) | {metric_names.usage("seconds.total"): seconds}
    return [(name, value, 0) for name, value in figures.items()]


def _dataset(request: Request, tags: Mapping[str, str]) -> Dataset:
    return Dataset(_data(request).name, tags["fingerprint"], {})


def scores(one: Tried) -> dict[str, float]:
    """Scores over all cutoffs, of the champion and of what else was asked for."""
    out = {}
    rows = sorted(one.scores.to_dict("records"), key=lambda row: (row["model"] != CHAMPION, LEVELS.index(row["level"])))
    for row in rows:
        for name in SCORES:
            if pd.notna(row[name]):
                out[metric_names.score(row["level"], name, _member(row["model"]))] = float(row[name])
    return out


def curves(one: Tried) -> Iterator[Metric]:
    """What each cutoff adds to each level's score: at the cutoff's own moment, the step being its number, from 1."""
    levels = one.losses.xs(ALL, level="category") if len(one.losses) else one.losses
    for key, values in zip(levels.index, levels.to_numpy(), strict=True):
        model, level, metric = map(str, key)
        name = metric_names.score(level, metric, _member(model), WINDOWS)
        for step, (cutoff, value) in enumerate(zip(levels.columns, values, strict=True), 1):
            yield Metric(name, float(value), int(cutoff.timestamp() * 1000), step)


def differences(compared: pd.DataFrame) -> dict[str, float]:
    """Share by which each level's score lies above that of the first recipe (below: negative), its interval and p."""
    out: dict[str, float] = {}
    for row in compared[compared["category"] == ALL].to_dict("records") if len(compared) else ():
        for section, column in ((VERSUS, "difference"), (LOW, "low"), (HIGH, "high"), (P, "p")):
            if pd.notna(row[column]):
                out[metric_names.score(row["level"], row["metric"], _member(row["model"]), section)] = float(row[column])
    return out


def _now() -> int:
    """Milliseconds since 1970."""
    return round(time.time() * 1000)


def _member(model: str) -> str:
    """As `metric_names` has it: a run is of a recipe's champion."""
    return "" if model == CHAMPION else model


def _task(request: Request) -> dict[str, str]:
    """What all runs of a comparison have in common."""
    task = {"horizon": request.horizon, "seed": request.seed, "country": request.country, "models": ",".join(request.models)}
    return {key: str(value) for key, value in (task | {"n_cutoffs": len(request.cutoffs), "data": _data(request).name}).items()}


def _data(request: Request) -> Path:
    path = request.counts or request.tickets
    assert path is not None  # a backtest has been made of it
    return path


@contextmanager
def _limited() -> Iterator[None]:
    """MLflow reads how long it waits from the environment, at each request."""
    before = {name: os.environ.get(name) for name in LIMITS}
    os.environ.update(LIMITS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
