"""Databases for the tests of the service: fresh, up to date, real."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.store.engine import open_engine, upgrade


@pytest.fixture(scope="session")
def new_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Engine]]:
    """Makes as many fresh, migrated databases as a test asks for. Another kind of database takes its place here."""
    folder = tmp_path_factory.mktemp("databases")
    upgrade(f"sqlite:///{folder / 'template.db'}")
    made: list[Engine] = []

    def make() -> Engine:
        path = folder / f"{len(made)}.db"
        shutil.copy(folder / "template.db", path)
        made.append(open_engine(f"sqlite:///{path}"))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


@pytest.fixture
def engine(new_engine: Callable[[], Engine]) -> Iterator[Engine]:
    """A fresh, migrated database."""
    engine = new_engine()
    yield engine
    engine.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for a test's files."""
    return tmp_path
