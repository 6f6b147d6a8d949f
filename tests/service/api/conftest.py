"""A small city in a real database, and the API over it."""

import shutil
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import uvicorn
from api_city import HERE, NOW, PLACES, TOPICS, YESTERDAY, ZONE, City, daily_cells
from starlette.exceptions import StarletteDeprecationWarning

from service.api import remembered
from service.api.app import create_app
from service.settings import Settings
from service.store import areas, categories, counts, ingests
from service.store.engine import open_engine, upgrade, writing

with warnings.catch_warnings():
    warnings.simplefilter("ignore", StarletteDeprecationWarning)  # the client on httpx works; it asks for httpx2 when it is imported
    from fastapi.testclient import TestClient


@pytest.fixture(autouse=True)
def _looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test changes in the store is seen at once, and nothing is answered from memory: see `test_remembered.py` for that."""
    monkeypatch.setattr(remembered, "SECONDS", 0.0)
    monkeypatch.setattr(remembered, "LARGEST", -1)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `bare.db`, up to date and empty, and `city.db`: both trees, counts, a published forecast set."""
    folder = tmp_path_factory.mktemp("databases")
    upgrade(f"sqlite:///{folder / 'bare.db'}")
    shutil.copy(folder / "bare.db", folder / "city.db")
    engine = open_engine(f"sqlite:///{folder / 'city.db'}")
    with writing(engine) as conn:
        areas.join(conn, {street: district for district, streets in PLACES.items() for street in streets}, NOW)
        areas.join(conn, dict.fromkeys(PLACES, "ALL"), NOW)
        categories.join(conn, {leaf: top for top, leaves in TOPICS.items() for leaf in leaves} | dict.fromkeys(TOPICS, "ALL"), NOW)
        conn.exec_driver_sql("update areas set zh = '海淀区', en = 'Haidian', population = 3133469 where code = '110108'")
        ingest = ingests.begin(conn, "counts", "counts.csv", NOW - timedelta(hours=2))
        counts.set_baseline(conn, ingest, daily_cells(), NOW)
        ingests.finish(conn, ingest, NOW - timedelta(hours=1))
    City(Settings(data_dir=folder), engine).publish(YESTERDAY, NOW - timedelta(hours=5))
    engine.dispose()
    return folder


def _over(database: Path, folder: Path) -> Iterator[City]:
    settings = Settings(data_dir=folder, as_of=NOW.isoformat(), timezone=ZONE.key)
    shutil.copy(database, folder / "weisu.db")
    engine = open_engine(settings.store_url)
    yield City(settings, engine)
    engine.dispose()


@pytest.fixture
def bare_city(made_once: Path, tmp_path: Path) -> Iterator[City]:
    """An up-to-date database with nothing in it."""
    yield from _over(made_once / "bare.db", tmp_path)


@pytest.fixture
def city(made_once: Path, tmp_path: Path) -> Iterator[City]:
    """Both trees, counts, and a published forecast set."""
    yield from _over(made_once / "city.db", tmp_path)


@pytest.fixture
def client(city: City) -> Iterator[TestClient]:
    """The API without a key."""
    with TestClient(create_app(city.settings), raise_server_exceptions=False, client=HERE) as client:
        yield client


@pytest.fixture
def ask(city: City, client: TestClient) -> TestClient:
    """The API with a key that may do everything."""
    client.headers["Authorization"] = f"Bearer {city.key()}"
    return client


@pytest.fixture
def ask_bare(bare_city: City) -> Iterator[TestClient]:
    """The API over an empty database, with a key that may do everything."""
    with TestClient(create_app(bare_city.settings), headers={"Authorization": f"Bearer {bare_city.key()}"}) as client:
        yield client


@pytest.fixture
def ask_as(city: City, client: TestClient) -> Callable[..., TestClient]:
    """The API with a key of these scopes and districts."""

    def with_key(*scopes: str, districts: list[str] | None = None, name: str = "某人") -> TestClient:
        client.headers["Authorization"] = f"Bearer {city.key(*scopes, districts=districts, name=name)}"
        return client

    return with_key


@pytest.fixture
def address(city: City) -> Iterator[str]:
    """A server on a free port of this machine."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(city.settings), log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()
