"""How a training looks in MLflow: one run with parameters, fingerprint, scores by level, artifacts and a registered model."""

import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlparse

# Read by MLflow when it is imported or first used: no telemetry, and a dead server costs seconds and not minutes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from experiments import night, registry
from experiments.night import Night

EXPERIMENT = "weisu-nightly"
ALIAS = "champion"
KIND = {"mlflow.experimentKind": "custom_model_development"}  # MLflow's page then shows a training and not a chat

log = logging.getLogger(__name__)


def record(result: Night, uri: str, artifacts: Path, tags: Mapping[str, str]) -> str | None:
    """Records a training and registers its model.

    Args:
        result: the training.
        uri: the MLflow store: a server's address or a database.
        artifacts: folder of the artifacts where the store is a local database.
        tags: what else is known of the run, such as the business date.

    Returns:
        the run's id; None if MLflow could not be reached: a forecast is worth more than its record.
    """
    try:
        return _record(result, uri, artifacts, tags)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        log.warning("mlflow.unreachable", extra={"uri": urlparse(uri).scheme, "reason": str(error).splitlines()[0] if str(error) else ""})
        return None


def _record(result: Night, uri: str, artifacts: Path, tags: Mapping[str, str]) -> str:
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        location = None if urlparse(uri).scheme in ("http", "https") else artifacts.resolve().as_uri()
        experiment_id = client.create_experiment(EXPERIMENT, artifact_location=location, tags=KIND)
    else:
        experiment_id = experiment.experiment_id
    all_tags = {**tags, "fingerprint": result.fingerprint, "known_until": f"{result.champion.backtested.known.cutoff:%Y-%m-%d}"}
    run = client.create_run(experiment_id, run_name=f"night {tags.get('business_date', '')}".strip(), tags=all_tags)
    run_id = str(run.info.run_id)
    now = run.info.start_time
    client.log_batch(
        run_id,
        metrics=[Metric(key, value, now, 0) for key, value in flat_metrics(result).items()],
        params=[Param(key, str(value)) for key, value in parameters(result).items()],
        tags=[RunTag("model", ALIAS)],
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        night.save_models(result, root / "model")
        result.scores.to_csv(root / "scores.csv", index=False)
        result.series_scores.to_parquet(root / "series_scores.parquet", index=False)
        client.log_artifacts(run_id, str(root))
    client.set_terminated(run_id, "FINISHED")
    registry.register(client, run_id, str(run.info.artifact_uri))
    return run_id


def parameters(result: Night) -> dict[str, object]:
    """The recipe's settings and the size of what was learnt from."""
    panel = result.champion.backtested.known.panel
    size = {
        "series": len(panel.series),
        "days": len(panel.days),
        "first_day": f"{panel.days[0]:%Y-%m-%d}",
        "country": result.champion.backtested.known.country,
    }
    return {**result.recipe.settings(), **size, "horizon": result.champion.backtested.horizon}


def flat_metrics(result: Night) -> dict[str, float]:
    """Scores as 'level.WAPE' for the champion and 'level.WAPE.model' for the others, skill against the better baseline, each
    member's worth ('level.worth.model'), seconds, memory.
    """
    out = {f"seconds.{step}": value for step, value in result.seconds.items()} | {"peak_mb": result.peak_mb}
    for row in result.scores.to_dict("records"):
        suffix = "" if row["model"] == ALIAS else f".{row['model']}"
        for name in ("WRMSSE", "WAPE", "WQL", "cover80", "cover90", "bias"):
            if pd.notna(row[name]):
                out[f"{row['level']}.{name}{suffix}"] = float(row[name])
    for level, group in result.scores.groupby("level"):
        by_model = group.set_index("model")["WAPE"]
        baselines = by_model[by_model.index.isin([m.name for m in result.recipe.members if m.reference])]
        if ALIAS in by_model and len(baselines):
            out[f"{level}.skill"] = float(1 - by_model[ALIAS] / baselines.min())
    for row in result.worth.dropna().to_dict("records"):
        out[f"{row['level']}.worth.{row['member']}"] = float(row["WRMSSE"])
    return out
