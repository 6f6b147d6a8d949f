"""The whole database in one file, made while everybody works, and brought back."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import Engine, exists, select

from forecasting.errors import InputError
from service.store.engine import reading
from service.store.schema import ingests

SQLITE, POSTGRESQL = b"SQLite format 3\0", b"PGDMP"  # how the files begin


def backup(db: Engine, path: Path) -> None:
    """Writes the database as it is at one moment: SQLite as a database, PostgreSQL as an archive of `pg_dump`. The file appears when it is whole.

    Raises:
        InputError: it cannot be written, or PostgreSQL's programs are not installed or fail.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if db.dialect.name == "postgresql":
            _run("pg_dump", db, ["--format=custom", f"--file={part}"])
        else:
            with closing(sqlite3.connect(str(db.url.database))) as source, closing(sqlite3.connect(part)) as target:
                source.backup(target)
                target.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
        part.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise InputError(f"the backup cannot be written ({error})", str(path), "choose another folder, or make room") from None
    finally:
        with suppress(OSError):  # it is not there, or cannot be
            part.unlink()


def restore(db: Engine, path: Path, force: bool = False) -> None:
    """Brings a backup back, all of it or nothing; the tables are then as old as the backup: `upgrade` them.

    Args:
        force: in the place of what the database holds.

    Raises:
        InputError: the file is none, or one of another kind of database; the database holds something already; PostgreSQL's programs fail.
    """
    kind = POSTGRESQL if db.dialect.name == "postgresql" else SQLITE
    if not _head(path).startswith(kind):
        what = {SQLITE: "an SQLite database", POSTGRESQL: "an archive of pg_dump"}[kind]
        raise InputError(f"is not {what}", str(path), "give a file that `weisu backup` wrote from the same kind of database")
    if not force and _holds_something(db):
        raise InputError("the database holds something already", "restore", "replace it with --force, or name another one with WEISU_DATABASE_URL")
    if kind == POSTGRESQL:
        _run("pg_restore", db, ["--clean", "--if-exists", "--no-owner", "--single-transaction", "--exit-on-error", str(path)])
        return
    try:
        with closing(sqlite3.connect(f"file:{path.resolve()}?mode=ro", uri=True)) as source:
            if (found := source.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise InputError(f"is damaged ({found})", str(path), "take another backup")
            with closing(sqlite3.connect(str(db.url.database))) as target:
                source.backup(target)
    except sqlite3.Error as error:
        raise InputError(f"cannot be brought back ({error})", str(path), "stop what uses the database, or take another backup") from None


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", str(path), "give the path of a backup") from None


def _holds_something(db: Engine) -> bool:
    with reading(db) as conn:
        return bool(conn.execute(select(exists(select(ingests.c.id)))).scalar_one())


def _run(program: str, db: Engine, arguments: Sequence[str]) -> None:
    url = db.url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    environment = os.environ | ({"PGPASSWORD": str(db.url.password)} if db.url.password else {})  # everybody sees what stands on a command line
    command = [_program(program), f"--dbname={url}", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise InputError(f"{program} failed ({' '.join(done.stderr.split())[:300]})", "PostgreSQL", "mend what it says")


def _program(name: str) -> str:
    """The newest one that is installed: an older one does not understand a newer server."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parents[1].name))
    program = str(found[-1]) if found else shutil.which(name)
    if program is None:
        raise InputError(f"{name} is not installed", "PostgreSQL", "install its client: apt-get install postgresql-client")
    return program
