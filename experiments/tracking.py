"""How a run looks in MLflow, and how it gets there: experiments, runs with their children, the registered model."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from mlflow import MlflowClient
from mlflow.entities import Dataset as MlflowDataset
from mlflow.entities import DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from experiments import mlflow_database, registry

EXPERIMENT = "weisu-nightly"
ROOT = Path(__file__).parents[1]
KIND = {"mlflow.experimentKind": "custom_model_development"}  # a training and not a chat, in MLflow's words

FAILURES = (MlflowException, SQLAlchemyError, OSError)
"""What is raised where the store cannot be reached or does not take something."""

PARENT = "mlflow.parentRunId"
LET_IN, ENDED = "let_in", "ended"  # tags: whether the gate let it in; why an attempt ended of which nothing was published
DESCRIPTION = "mlflow.note.content"  # the tag that MLflow's page shows as a run's description
AT_ONCE = 900  # metrics of one request; MLflow takes 1,000 of all kinds
WORDS_AT_ONCE = 100  # parameters of one request
LONGEST_PARAMETER = 6000  # characters; MLflow refuses more
DIGEST = 36  # characters of a data set's digest that MLflow takes


@dataclass(frozen=True)
class Dataset:
    """What was learnt from.

    Attributes:
        name: such as the city's store.
        digest: the fingerprint; MLflow's page shows the first characters.
        profile: what is worth knowing of it: days, series, tickets.
    """

    name: str
    digest: str
    profile: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """One run as MLflow shows it.

    Attributes:
        name: what its page calls it.
        params: settings, flat.
        metrics: key, value, step; a key with several steps is a curve.
        tags: what runs are searched and grouped by.
        dataset: None: none is named.
        seconds: how long it took.
    """

    name: str
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Sequence[tuple[str, float, int]] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    dataset: Dataset | None = None
    seconds: float = 0.0


def connect(uri: str) -> MlflowClient:
    """A client of an MLflow store: a server's address or a database. A SQLite file that is not there yet is made."""
    mlflow_database.make(uri)
    at = mlflow_database.address(uri)
    return MlflowClient(tracking_uri=at, registry_uri=at)


def experiment_id(client: MlflowClient, uri: str, artifacts: Path, name: str) -> str:
    """Id of an experiment, which is made if there is none, and brought back if somebody has deleted it."""
    found = client.get_experiment_by_name(name)
    if found is None:
        location = None if urlparse(uri).scheme in ("http", "https") else artifacts.resolve().as_uri()
        return str(client.create_experiment(name, artifact_location=location, tags=KIND))
    if found.lifecycle_stage != "active":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def begin(client: MlflowClient, experiment: str, run: Run, moment: int, parent: str = "") -> str:
    """Creates a run with its tags, in one request, and returns its id."""
    tags = {"mlflow.user": "weisu", "mlflow.source.name": "weisu", **run.tags, **({PARENT: parent} if parent else {})}
    started = moment - round(run.seconds * 1000)
    return str(client.create_run(experiment, start_time=started, tags=tags, run_name=run.name).info.run_id)


def fill(client: MlflowClient, run_id: str, run: Run, moment: int) -> None:
    """Logs parameters, metrics and data set. Done again, it changes nothing: a request that got lost half-way may be repeated."""
    metrics = [Metric(key, value, moment, step) for key, value, step in run.metrics]
    params = [Param(key, value[:LONGEST_PARAMETER]) for key, value in run.params.items()]
    for first in range(0, len(params), WORDS_AT_ONCE):
        client.log_batch(run_id, params=params[first : first + WORDS_AT_ONCE])
    for first in range(0, len(metrics), AT_ONCE):
        client.log_batch(run_id, metrics=metrics[first : first + AT_ONCE])
    if run.dataset is not None:
        profile, source = json.dumps(dict(run.dataset.profile)), json.dumps({"uri": run.dataset.name})
        dataset = MlflowDataset(run.dataset.name, run.dataset.digest[:DIGEST], "local", source, profile=profile)
        client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def end(client: MlflowClient, run_id: str, moment: int) -> None:
    """Says that a run is complete."""
    client.set_terminated(run_id, "FINISHED", end_time=moment)


def reason(error: Exception) -> str:
    """Why something was not taken, in a line."""
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__


def nothing_came_of(client: MlflowClient, experiment: str, tags: Mapping[str, str], status: str, why: str) -> None:
    """Says of complete runs that their attempt ended before it was published, and takes their models out of the registry.

    Args:
        tags: that the runs have, all of one attempt.
        status: 'FAILED' or 'KILLED'.
        why: for the tag `ENDED`.
    """
    wanted = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
    for run in client.search_runs([experiment], f"{wanted} and attributes.status = 'FINISHED'"):
        run_id = run.info.run_id
        for version in client.search_model_versions(f"run_id = '{run_id}'"):
            client.delete_model_version(registry.MODEL, version.version)
        for name, value in ((LET_IN, "false"), (ENDED, why)):
            client.set_tag(run_id, name, value)
        client.set_terminated(run_id, status, end_time=run.info.end_time)  # last: what is broken off before is found again


def register(client: MlflowClient, run_id: str) -> None:
    """Makes a run's model the newest version of the registered one; a version that an earlier attempt left half-made goes."""
    for version in client.search_model_versions(f"run_id = '{run_id}'"):
        client.delete_model_version(registry.MODEL, version.version)
    registry.register(client, run_id, str(client.get_run(run_id).info.artifact_uri))


def code_version() -> str:
    """The package's version and, in a checkout, its commit; `-dirty` where files differ from it."""
    commit = ""
    if (ROOT / ".git").exists():
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
        with suppress(OSError):  # no git here
            commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return f"{metadata.version('weisu')}+{commit}" if commit else metadata.version("weisu")
