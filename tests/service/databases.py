"""Databases for tests, of both kinds: fresh, up to date, real."""

import shutil
from itertools import count
from pathlib import Path
from typing import Protocol

from alembic.script import ScriptDirectory
from sqlalchemy import Engine, exists, make_url, select, text

from service.benchmarks.server import Server
from service.store.engine import MIGRATIONS, open_engine, upgrade
from service.store.schema import metadata

_NUMBERS = count(1)  # of databases on the session's server, which outlives what makes them

HEAD = ScriptDirectory(str(MIGRATIONS)).get_current_head()


class Databases(Protocol):
    """Where fresh databases come from."""

    def bare(self) -> str:
        """The address of a database without a table."""

    def fresh(self) -> str:
        """The address of a database that is up to date, and no other test's."""

    def scratch(self, place: int = 0) -> Engine:
        """As `fresh`, opened, but it may be the one that had this place (0, 1, …) before, emptied: for the examples of a property."""

    def put_away(self) -> None:
        """Takes back those given so far."""

    def close(self) -> None:
        """Ends it all."""


def standby(server: Server, on: bool) -> None:
    """Lets a server come back as a standby, which can be read and not written, or as itself."""
    server.stop()
    signal = server.folder / "data" / "standby.signal"
    if on:
        signal.touch()
    else:
        signal.unlink()
    server.start()


class SqliteFiles:
    """Databases in files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.made = folder, 0
        self.scratches: dict[int, Engine] = {}
        upgrade(f"sqlite:///{folder / 'template'}")

    def bare(self) -> str:
        self.made += 1
        return f"sqlite:///{self.folder / f'{self.made}.db'}"

    def fresh(self) -> str:
        url = self.bare()
        shutil.copy(self.folder / "template", url.removeprefix("sqlite:///"))
        return url

    def scratch(self, place: int = 0) -> Engine:
        if place in self.scratches:
            self.scratches[place].dispose()
        self.scratches[place] = open_engine(self.fresh())
        return self.scratches[place]

    def close(self) -> None:
        for engine in self.scratches.values():
            engine.dispose()

    def put_away(self) -> None:
        for path in self.folder.glob("*.db*"):
            path.unlink()


class PostgresqlDatabases:
    """Databases on the session's server. To empty one is much quicker than to make one."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.spare: list[str] = []
        self.given: list[str] = []
        self.given_bare: list[str] = []
        self.template = self._create("template0")
        self.scratches: dict[int, Engine] = {}
        upgrade(self.server.address(self.template))

    def bare(self) -> str:
        self.given_bare.append(self._create("template0"))
        return self.server.address(self.given_bare[-1])

    def fresh(self) -> str:
        self.given.append(self.spare.pop() if self.spare else self._create(self.template))
        return self.server.address(self.given[-1])

    def kept(self) -> str:
        """As `bare`, but it is not taken back."""
        return self.server.address(self._create("template0"))

    def copy(self, url: str) -> str:
        """The address of a copy of a database that nobody has open."""
        self.given_bare.append(self._create(f"{make_url(url).database}"))
        return self.server.address(self.given_bare[-1])

    def scratch(self, place: int = 0) -> Engine:
        if place not in self.scratches:
            self.scratches[place] = open_engine(self.server.address(self._create(self.template)))
        self._empty(self.scratches[place])
        return self.scratches[place]

    def put_away(self) -> None:
        while self.given_bare:
            self.server.run(f"drop database {self.given_bare.pop()} with (force)")
        for name in self.given:
            self.server.run(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
            engine = open_engine(self.server.address(name))
            self._empty(engine)
            engine.dispose()
        self.spare += self.given
        self.given.clear()

    def close(self) -> None:
        for engine in self.scratches.values():
            engine.dispose()

    def _create(self, template: str) -> str:
        name = f"weisu_{next(_NUMBERS)}"
        self.server.run(f"create database {name} template {template}")
        return name

    @staticmethod
    def _empty(engine: Engine) -> None:
        tables = metadata.sorted_tables
        with engine.begin() as conn:
            filled = conn.execute(select(*(exists(select(1).select_from(table)) for table in tables))).one()
            doing = [f"delete from {table.name}" for table, full in zip(reversed(tables), reversed(filled), strict=True) if full]
            used = conn.execute(text("select sequencename from pg_sequences where last_value is not null")).scalars()
            doing += [f"alter sequence {sequence} restart" for sequence in used]
            doing += ["delete from alembic_version", f"insert into alembic_version values ('{HEAD}')"]
            conn.exec_driver_sql("; ".join(doing))
