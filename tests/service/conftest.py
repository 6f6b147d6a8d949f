"""Databases for the tests of the service: fresh, up to date, real, of both kinds."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from databases import Databases, PostgresqlDatabases, SqliteFiles
from sqlalchemy import Engine

from service.benchmarks.server import Server, running
from service.store.engine import open_engine

KINDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server of this session's own. Without one that is installed, tests fail: to skip them would be to say that they pass."""
    with running({"fsync": "off", "max_connections": 100}) as server:
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


@pytest.fixture(scope="session")
def opened() -> list[Engine]:
    """The engines that a test was given; they are closed after it."""
    return []


@pytest.fixture(scope="session")
def new_engine(databases: Databases, opened: list[Engine]) -> Callable[[], Engine]:
    """Opens as many fresh, migrated databases as a test asks for."""

    def make() -> Engine:
        opened.append(open_engine(databases.fresh()))
        return opened[-1]

    return make


@pytest.fixture(scope="session")
def scratch_engine(databases: Databases, opened: list[Engine]) -> Callable[..., Engine]:
    """Opens a fresh, migrated database in the place (0, 1, …) of an earlier one: for the examples of a property, which leave it open."""
    return databases.scratch


@pytest.fixture(autouse=True)
def _databases_put_away(request: pytest.FixtureRequest) -> Iterator[None]:
    """Takes back a test's databases after it."""
    if "databases" not in request.fixturenames:
        yield
        return
    databases, opened = request.getfixturevalue("databases"), request.getfixturevalue("opened")
    yield
    while opened:
        opened.pop().dispose()
    databases.put_away()


@pytest.fixture
def engine(new_engine: Callable[[], Engine]) -> Engine:
    """A fresh, migrated database."""
    return new_engine()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for a test's files."""
    return tmp_path
