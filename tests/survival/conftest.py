"""Towns in which real processes are killed, stopped and starved, on both kinds of database; at the end a table of what was survived."""

import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from databases import Databases, PostgresqlDatabases, SqliteFiles
from processes import Bench
from sqlalchemy import Engine

from service.benchmarks.server import Server, running
from service.settings import Settings
from service.store.engine import open_engine

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns of others' deprecations when it is imported
    from mlflow import MlflowClient
    from town import Survived, Town, Trained
    from trained_cities import bare, made_once, trained, unseen

__all__ = ["bare", "made_once", "trained", "unseen"]

KINDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server, with fsync as in production."""
    with running({"max_connections": 100}) as server:
        yield server


@pytest.fixture(scope="session", params=KINDS)
def databases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Fresh databases of a kind: whatever uses this, or a fixture below, runs on each kind."""
    made: Databases
    if request.param == "sqlite":
        made = SqliteFiles(tmp_path_factory.mktemp("databases"))
    else:
        made = PostgresqlDatabases(request.getfixturevalue("postgresql"))
    yield made
    made.close()


@pytest.fixture
def engine(databases: Databases) -> Iterator[Engine]:
    """A fresh, migrated database."""
    made = open_engine(databases.fresh())
    yield made
    made.dispose()
    databases.put_away()


@pytest.fixture(scope="session")
def mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store without a run: making one takes seconds."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("mlflow"))
    (settings.data_dir / "mlflow").mkdir()
    MlflowClient(tracking_uri=settings.tracking_uri).search_experiments()
    return settings.data_dir / "mlflow" / "mlflow.db"


@pytest.fixture(scope="session")
def original(databases: Databases, mlflow_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A town whose first night is done, and in which nothing else happens: to train takes seconds, to copy what came of it does not."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "mlflow").mkdir()
    shutil.copy(mlflow_store, folder / "mlflow" / "mlflow.db")
    return Trained.made(folder, databases.kept() if isinstance(databases, PostgresqlDatabases) else "")


@pytest.fixture
def town_in(databases: Databases, original: Trained, bench: Bench) -> Iterator[Callable[[Path], Town]]:
    """Makes a town, its first night done, whose data lie in a folder; that of an SQLite database, too."""
    made: list[Town] = []

    def make(folder: Path) -> Town:
        url = databases.copy(original.url) if isinstance(databases, PostgresqlDatabases) else ""
        made.append(original.again(folder, url, bench))
        return made[-1]

    yield make
    bench.kill_all()
    for town in made:
        town.engine.dispose()
    databases.put_away()


@pytest.fixture
def town(town_in: Callable[[Path], Town], tmp_path: Path) -> Town:
    """A town on the morning after its sixtieth day."""
    return town_in(tmp_path / "data")


@pytest.fixture
def survived(record_property: Callable[[str, object], None]) -> Survived:
    """Notes a line of the table at the end."""
    return lambda told: record_property("survived", told)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what the tests recorded under "survived", and how long each took."""
    rows = [
        (report.nodeid.rpartition("::")[2], value, report.duration)
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        for name, value in report.user_properties
        if name == "survived" and report.when == "call"
    ]
    if rows:
        terminalreporter.section("survived")
        for name, value, seconds in rows:
            terminalreporter.write_line(f"{seconds:6.0f} s  {name}: {value}")
