"""Small cities with a store of their own and an MLflow store that is there already: making one takes seconds."""

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from job_city import DAYS, City, counts, day

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns of others' deprecations when it is imported
    from mlflow import MlflowClient

    from service.jobs import nightly


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bare`: an empty store; `trained`: sixty days of counts, the first night done; both with an MLflow store."""
    folder = tmp_path_factory.mktemp("cities")
    for name in ("bare", "trained"):
        city = City.empty(folder / name)
        settings = city.settings(day(DAYS))
        (city.folder / "mlflow").mkdir()
        if name == "bare":
            MlflowClient(tracking_uri=settings.tracking_uri).search_experiments()
        else:
            shutil.copy(folder / "bare" / "mlflow" / "mlflow.db", city.folder / "mlflow" / "mlflow.db")
            city.bring(counts(DAYS))
            nightly.run(city.engine, settings)
        city.engine.dispose()
    return folder


def _copy(source: Path, target: Path) -> Iterator[City]:
    shutil.copytree(source, target)
    city = City.empty(target)
    yield city
    city.engine.dispose()


@pytest.fixture
def bare(made_once: Path, tmp_path: Path) -> Iterator[City]:
    """A city without a count."""
    yield from _copy(made_once / "bare", tmp_path / "data")


@pytest.fixture
def trained(made_once: Path, tmp_path: Path) -> Iterator[City]:
    """A city on the morning after its sixtieth day: trained, published, watched."""
    yield from _copy(made_once / "trained", tmp_path / "data")


@pytest.fixture
def unseen(trained: City, made_once: Path) -> City:
    """A trained city whose MLflow knows of nothing."""
    shutil.rmtree(trained.folder / "mlflow")
    shutil.copytree(made_once / "bare" / "mlflow", trained.folder / "mlflow")
    return trained
