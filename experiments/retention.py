"""How long MLflow keeps nights: of those that are old, a run that nothing points to goes, and one that something points to keeps its figures and its
model, without the tables and the page that only a look at a fresh night needs.
"""

import os
import subprocess
import sys
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from experiments import mlflow_database, registry, tracking

OF_A_FRESH_NIGHT = {"report.html", "backtest.parquet", "week_scores.parquet", "series_scores.parquet"}
PAGE = 1000  # runs of one request; MLflow gives no more
AT_ONCE = 100  # runs of one command


def tidy(uri: str, artifacts: Path, before: datetime, kept: Collection[str]) -> int:
    """Removes what is older than a moment; done again, it goes on where it was broken off.

    Runs of a database are removed for good; those of a server are marked as deleted, and its `mlflow gc` removes them.

    Args:
        uri: the MLflow store: a server's address or a database.
        artifacts: where files lie if the store is a database.
        kept: runs that stay, beside those that an alias of the registry stands for.

    Returns:
        how many runs went.

    Raises:
        MlflowException, SQLAlchemyError, OSError: the store cannot be reached or does not take it.
    """
    client = tracking.connect(uri)
    experiment = tracking.experiment_id(client, uri, artifacts, tracking.EXPERIMENT)
    stay = {*kept, *registry.named(client)}
    gone = 0
    for run in _old(client, experiment, before, ViewType.ACTIVE_ONLY):
        run_id = run.info.run_id
        files = get_artifact_repository(run.info.artifact_uri, tracking_uri=mlflow_database.address(uri))
        there = {file.path for file in client.list_artifacts(run_id)}
        for name in there & OF_A_FRESH_NIGHT if run_id in stay else there:
            files.delete_artifacts(name)
        if run_id not in stay:
            for version in client.search_model_versions(f"run_id = '{run_id}'"):
                client.delete_model_version(registry.MODEL, version.version)
            client.delete_run(run_id)
            gone += 1
    if not uri.startswith(("http://", "https://")):
        _remove(mlflow_database.address(uri), [run.info.run_id for run in _old(client, experiment, before, ViewType.DELETED_ONLY)])
    return gone


def _old(client: MlflowClient, experiment: str, before: datetime, kind: str) -> list[Run]:
    """The runs that were begun before a moment."""
    found: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment], f"attributes.start_time < {round(before.timestamp() * 1000)}", kind, PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _remove(address: str, run_ids: list[str]) -> None:
    """Removes runs that are marked as deleted, as MLflow itself does it."""
    for first in range(0, len(run_ids), AT_ONCE):
        ids = ",".join(run_ids[first : first + AT_ONCE])
        command = [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", address, "--run-ids", ids]
        done = subprocess.run(command, env=os.environ | {"MLFLOW_TRACKING_URI": address}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"mlflow gc: {next(reversed(done.stderr.strip().splitlines()), done.returncode)}")
