"""The registered model: a version a training, and the aliases that say what each is to the service.

The store says what is served; the aliases follow it. `champion` is the version whose forecasts are published, `previous` the one to which a
rollback goes, `challenger` the newest one made in shadow or, where no challenger is set, the one that the gate refused, while it is refused.
"""

from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from experiments import mlflow_database

MODEL = "weisu-demand"
CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
ALIASES = (CHAMPION, PREVIOUS, CHALLENGER)


class Unreachable(ConnectionError):
    """MLflow cannot be reached, or what is there is no registry."""


def register(client: MlflowClient, run_id: str, artifact_uri: str) -> int:
    """Registers the model of a run as a new version, without an alias; returns its number."""
    if not client.search_registered_models(f"name = '{MODEL}'"):
        client.create_registered_model(MODEL, description="Demand of a city's hotline: blend of members, its weights and dispersion.")
    return int(client.create_model_version(MODEL, source=f"{artifact_uri}/model", run_id=run_id).version)


def named(client: MlflowClient) -> set[str]:
    """The runs that an alias stands for."""
    if not client.search_registered_models(f"name = '{MODEL}'"):
        return set()
    versions = client.get_registered_model(MODEL).aliases.values()
    return {str(client.get_model_version(MODEL, str(version)).run_id) for version in versions}


def follow(uri: str, wanted: Mapping[str, str | None]) -> dict[str, int]:
    """Sets the aliases, and takes away those that stand for nothing.

    Args:
        uri: the MLflow store: a server's address or a database.
        wanted: alias -> MLflow run, or None.

    Returns:
        MLflow run -> version, of those that are registered. An alias whose run is not (yet) registered is taken away: better none than a
        wrong one.

    Raises:
        Unreachable: MLflow does not answer.
    """
    try:
        at = mlflow_database.address(uri)
        return _follow(MlflowClient(tracking_uri=at, registry_uri=at), wanted)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise Unreachable(next(iter(str(error).splitlines()), "")) from None


def _follow(client: MlflowClient, wanted: Mapping[str, str | None]) -> dict[str, int]:
    if not client.search_registered_models(f"name = '{MODEL}'"):
        return {}
    versions: dict[str, int] = {}
    for run in {run for run in wanted.values() if run}:
        found = client.search_model_versions(f"name = '{MODEL}' and run_id = '{run}'")
        if found:
            versions[run] = max(int(one.version) for one in found)
    now = {alias: int(version) for alias, version in client.get_registered_model(MODEL).aliases.items()}
    for alias in ALIASES:
        version = versions.get(wanted.get(alias) or "")
        if version is None and alias in now:
            client.delete_registered_model_alias(MODEL, alias)
        elif version is not None and now.get(alias) != version:
            client.set_registered_model_alias(MODEL, alias, str(version))
    return versions
