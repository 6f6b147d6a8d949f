"""How free experiments look in MLflow: a run per backtest, below one parent where several are compared.

Parameters are the recipe's settings and scores are named as those of a night, so that both can be searched and drawn alike:
`city.WRMSSE` is the champion's, `city.WRMSSE.prophet` a member's. `by_cutoff/…` has a step per cutoff, `difference/…` is against the first recipe.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlparse

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, Param
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from experiments import trials
from experiments.rolling import Request
from experiments.tracking import KIND
from experiments.trials import Tried
from forecasting.hierarchy import ALL
from forecasting.recipe import CHAMPION

EXPERIMENT = "weisu-backtests"
SCORES = ("WRMSSE", "WAPE", "WQL", "MASE", "cover80", "cover90", "bias")
AT_ONCE = 900  # metrics of a request; MLflow takes a thousand entities
DIGEST = 36  # characters that MLflow keeps of a data set's digest
ROOT = Path(__file__).parents[1]
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
        client = MlflowClient(tracking_uri=uri)
        with _limited():
            return _record(client, _experiment(client, uri, artifacts), tried, request, tables or {}, said)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise NotTracked(next(iter(str(error).splitlines()), type(error).__name__)) from None


def _record(client: MlflowClient, experiment: str, tried: Sequence[Tried], request: Request, tables: Mapping[str, pd.DataFrame], said: str) -> str:
    common = {
        "fingerprint": trials.fingerprint(request),
        "code_version": code_version(),
        "cutoffs": ",".join(cutoff.strip() for cutoff in request.cutoffs),
        "mlflow.source.name": "weisu backtest",
        "mlflow.source.type": "LOCAL",
    }
    if len(tried) == 1:
        return _run(client, experiment, tried[0], request, common | {"kind": "backtest"}, pd.DataFrame())
    kind = "sweep" if any(one.trial.changed for one in tried) else "comparison"
    names = " against ".join(one.trial.label for one in tried[::-1]) if kind == "comparison" else f"sweep of {tried[0].trial.label}"
    parent = client.create_run(experiment, run_name=names, tags=common | {"kind": kind, "verdict": said, "mlflow.note.content": said})
    parent_id = str(parent.info.run_id)
    client.log_batch(parent_id, params=[Param("trials", str(len(tried))), *_task(request)])
    table, verdicts = tables["comparison"], tables["ranking"].set_index("trial")["verdict"]
    for one in tried:
        tags = common | {"kind": kind, "trial": one.trial.name, "verdict": verdicts[one.trial.name], "mlflow.parentRunId": parent_id}
        _run(client, experiment, one, request, tags, table[table["trial"] == one.trial.name])
    with tempfile.TemporaryDirectory() as folder:
        trials.write(tables, Path(folder))
        for name in ("ranking", "comparison"):  # MLflow's page shows CSV as a table
            tables[name].to_csv(Path(folder) / f"{name}.csv", index=False, float_format="%.6g")
        client.log_artifacts(parent_id, folder)
    client.set_terminated(parent_id, "FINISHED")
    return parent_id


def _run(client: MlflowClient, experiment: str, one: Tried, request: Request, tags: dict[str, str], compared: pd.DataFrame) -> str:
    run = client.create_run(experiment, run_name=one.trial.label, tags=tags)
    run_id = str(run.info.run_id)
    client.log_batch(run_id, params=[*(Param(key, str(value)) for key, value in one.trial.recipe.settings().items()), *_task(request)])
    now = int(run.info.start_time)
    metrics = [Metric(name, value, now, 0) for name, value in (scores(one) | differences(compared)).items()]
    metrics += [Metric(name, value, int(cutoff.timestamp() * 1000), step) for name, step, cutoff, value in curves(one)]
    for start in range(0, len(metrics), AT_ONCE):
        client.log_batch(run_id, metrics=metrics[start : start + AT_ONCE])
    data = Dataset(_data(request).name, tags["fingerprint"][:DIGEST], "local", _data(request).resolve().as_uri())
    client.log_inputs(run_id, [DatasetInput(data)])
    for name in ("forecasts.parquet", "scores.parquet", trials.RECIPE):
        if (one.folder / name).exists():
            client.log_artifact(run_id, str(one.folder / name))
    client.set_terminated(run_id, "FINISHED")
    return run_id


def scores(one: Tried) -> dict[str, float]:
    """Scores over all cutoffs, as `level.WAPE` of the champion and `level.WAPE.model` of others."""
    out = {}
    for row in one.scores.to_dict("records"):
        for name in SCORES:
            if pd.notna(row[name]):
                out[_name(row["level"], name, row["model"])] = float(row[name])
    return out


def curves(one: Tried) -> Iterator[tuple[str, int, pd.Timestamp, float]]:
    """What each cutoff adds to each level's score: name, step (the cutoff's number, from 1), cutoff, value."""
    levels = one.losses.xs(ALL, level="category") if len(one.losses) else one.losses
    for key, values in zip(levels.index, levels.to_numpy(), strict=True):
        model, level, metric = map(str, key)
        for step, (cutoff, value) in enumerate(zip(levels.columns, values, strict=True), 1):
            yield f"by_cutoff/{_name(level, metric, model)}", step, cutoff, float(value)


def differences(compared: pd.DataFrame) -> dict[str, float]:
    """Share by which each level's score lies above that of the first recipe (below: negative), its interval and p."""
    out: dict[str, float] = {}
    for row in compared[compared["category"] == ALL].to_dict("records") if len(compared) else ():
        name = f"difference/{_name(row['level'], row['metric'], row['model'])}"
        values = {name: row["difference"], f"{name}.low": row["low"], f"{name}.high": row["high"], f"{name}.p": row["p"]}
        out |= {key: float(value) for key, value in values.items() if pd.notna(value)}
    return out


def code_version() -> str:
    """The package's version and, in a checkout, its commit; `-dirty` where files differ from it."""
    commit = ""
    if (ROOT / ".git").exists():
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
        with suppress(OSError):  # no git here
            commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return f"{version('weisu')}+{commit}" if commit else version("weisu")


def _name(level: str, metric: str, model: str) -> str:
    return f"{level}.{metric}" if model == CHAMPION else f"{level}.{metric}.{model}"


def _task(request: Request) -> list[Param]:
    """What all runs of a comparison have in common."""
    task = {"horizon": request.horizon, "seed": request.seed, "country": request.country, "models": ",".join(request.models)}
    return [Param(key, str(value)) for key, value in (task | {"n_cutoffs": len(request.cutoffs), "data": _data(request).name}).items()]


def _data(request: Request) -> Path:
    path = request.counts or request.tickets
    assert path is not None  # a backtest has been made of it
    return path


def _experiment(client: MlflowClient, uri: str, artifacts: Path) -> str:
    """The experiment's id; made where there is none."""
    there = client.get_experiment_by_name(EXPERIMENT)
    if there is not None:
        return str(there.experiment_id)
    location = None if urlparse(uri).scheme in ("http", "https") else artifacts.resolve().as_uri()
    return str(client.create_experiment(EXPERIMENT, artifact_location=location, tags=KIND))


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
