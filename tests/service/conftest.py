"""Databases for the tests of the service: fresh, up to date, real, of both kinds."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from sqlalchemy import Engine

from service.store.engine import open_engine, upgrade

KINDS = ("sqlite", "postgresql")
SERVER_USER = "postgres"  # PostgreSQL's server does not run as root
START_WITHIN = 60  # seconds


@pytest.fixture(scope="session")
def postgresql() -> Iterator[psycopg.Connection[Any]]:
    """A PostgreSQL server of this session's own, without fsync, and a connection to it as its owner.

    Its socket lets everybody in; over TCP it asks for the password "right".
    """
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="weisu-pg-", dir="/tmp"))  # the path of a socket holds 107 bytes at most
    (folder / "password").write_text("right")
    owner: dict[str, Any] = {"cwd": folder}
    if os.geteuid() == 0:
        owner |= {"user": SERVER_USER, "group": SERVER_USER, "extra_groups": []}
        entry = pwd.getpwnam(SERVER_USER)
        for path in (folder, folder / "password"):
            os.chown(path, entry.pw_uid, entry.pw_gid)
    access = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={folder / 'password'}"]
    made = subprocess.run(
        [binaries / "initdb", "-D", folder / "data", "-U", "weisu", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", *access],
        capture_output=True,
        text=True,
        check=False,
        **owner,
    )
    assert made.returncode == 0, made.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": folder, "fsync": "off", "max_connections": 100}
    with (folder / "log").open("wb") as log:
        command = [binaries / "postgres", "-D", folder / "data", *(f"--{name}={value}" for name, value in settings.items())]
        server = subprocess.Popen(command, stdout=log, stderr=log, **owner)
    try:
        with _connected(server, folder, port) as connection:
            yield connection
    finally:
        server.send_signal(signal.SIGINT)  # ends at once, and tidily
        server.wait(60)
        shutil.rmtree(folder)


def _binaries() -> Path:
    """The folder of the newest server that is installed."""
    on_path = shutil.which("initdb")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parents[1].name))
    if not on_path and not found:
        pytest.fail("these tests need PostgreSQL's server: apt-get install postgresql")
    return Path(on_path).parent if on_path else found[-1].parent


def _connected(server: "subprocess.Popen[bytes]", folder: Path, port: int) -> psycopg.Connection[Any]:
    until = time.monotonic() + START_WITHIN
    while True:
        try:
            return psycopg.connect(host=str(folder), port=port, user="weisu", dbname="postgres", autocommit=True)
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > until:
                pytest.fail(f"PostgreSQL's server did not start: {(folder / 'log').read_text()}")
            time.sleep(0.05)


class Databases(Protocol):
    """Where fresh databases come from."""

    def empty(self) -> str:
        """The address of a database without a table."""

    def fresh(self) -> str:
        """The address of a database that is up to date."""

    def drop_all(self) -> None:
        """Removes those made so far."""


class SqliteFiles:
    """Databases in files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.made = folder, 0
        upgrade(f"sqlite:///{folder / 'template'}")

    def empty(self) -> str:
        self.made += 1
        return f"sqlite:///{self.folder / f'{self.made}.db'}"

    def fresh(self) -> str:
        url = self.empty()
        shutil.copy(self.folder / "template", url.removeprefix("sqlite:///"))
        return url

    def drop_all(self) -> None:
        for path in self.folder.glob("*.db*"):
            path.unlink()


class PostgresqlDatabases:
    """Databases on the session's server."""

    def __init__(self, server: psycopg.Connection[Any]) -> None:
        self.server, self.made, self.live = server, 0, list[str]()
        upgrade(self._new("template0"))
        self.template = self.live.pop()

    def empty(self) -> str:
        return self._new("template0")

    def fresh(self) -> str:
        return self._new(self.template)

    def drop_all(self) -> None:
        while self.live:
            self.server.execute(f"drop database {self.live.pop()} with (force)".encode())

    def _new(self, template: str) -> str:
        self.made += 1
        self.live.append(f"weisu_{self.made}")
        self.server.execute(f"create database {self.live[-1]} template {template}".encode())
        return f"postgresql://weisu@/{self.live[-1]}?host={self.server.info.host}&port={self.server.info.port}"


@pytest.fixture(scope="session", params=KINDS)
def databases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Databases:
    """Fresh databases of a kind: whatever uses this, or a fixture below, runs on each kind."""
    if request.param == "sqlite":
        return SqliteFiles(tmp_path_factory.mktemp("databases"))
    return PostgresqlDatabases(request.getfixturevalue("postgresql"))


@pytest.fixture(scope="session")
def new_engine(databases: Databases) -> Callable[[], Engine]:
    """Opens as many fresh, migrated databases as a test asks for."""
    return lambda: open_engine(databases.fresh())


@pytest.fixture(autouse=True)
def _databases_dropped(request: pytest.FixtureRequest) -> Iterator[None]:
    """Removes a test's databases after it."""
    yield
    if "databases" in request.fixturenames:
        request.getfixturevalue("databases").drop_all()


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
