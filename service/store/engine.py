"""Opening the database: pragmas, transactions, migrations."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url

from forecasting.errors import InputError

MIGRATIONS = Path(__file__).parent / "migrations"

PRAGMAS = (
    "PRAGMA busy_timeout=5000",  # milliseconds to wait for another writer
    "PRAGMA journal_mode=WAL",  # readers and the one writer do not wait for each other
    "PRAGMA synchronous=FULL",  # what is committed survives a power cut
    "PRAGMA foreign_keys=ON",
    "PRAGMA cache_size=-65536",  # KiB; a batch of tickets touches more pages than the default 2 MiB holds
    "PRAGMA wal_autocheckpoint=16384",  # pages; fewer, longer checkpoints while a large file comes in
)

_WRITES = "weisu_writes"


def open_engine(url: str) -> Engine:
    """Opens the database at an SQLAlchemy address. Nothing is created: see `upgrade` and `require_current`."""
    return _engine(url, "rw")


def upgrade(url: str) -> None:
    """Creates the database (and, for SQLite, its folder) if there is none, and brings its tables up to date.

    Raises:
        InputError: the address is not one of a database, or the folder cannot be written.
    """
    path = _sqlite_path(url)
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror})", str(path), "choose another folder with WEISU_DATA_DIR") from None
    engine = _engine(url, "rwc")
    try:
        with writing(engine) as conn:
            config = _alembic()
            config.attributes["connection"] = conn
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def require_current(engine: Engine) -> None:
    """Checks that the database is there and has today's tables.

    Raises:
        InputError: it is missing, or its tables are older or newer than this program.
    """
    path = _sqlite_path(engine.url.render_as_string(hide_password=False))
    if path is not None and not path.is_file():
        raise InputError("there is no database", str(path), "run `weisu db upgrade`")
    with engine.connect() as conn:
        found = set(MigrationContext.configure(conn).get_current_heads())
    script = ScriptDirectory.from_config(_alembic())
    if found == set(script.get_heads()):
        return
    if found - {revision.revision for revision in script.walk_revisions()}:
        raise InputError("the database was written by a newer version", engine.url.render_as_string(), "install that version")
    raise InputError("the database is not up to date", engine.url.render_as_string(), "run `weisu db upgrade`")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One write transaction: committed at the end of the block, undone if the block raises."""
    with engine.connect() as conn:
        conn = conn.execution_options(**{_WRITES: True})
        with conn.begin():
            yield conn


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One read transaction: everything read in the block is of one moment."""
    with engine.connect() as conn, conn.begin():
        yield conn


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _sqlite_path(url: str) -> Path | None:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:":
        raise InputError("a database in memory is lost when the program ends", url, "name a file: sqlite:////path/weisu.db")
    return Path(parsed.database).resolve()


def _engine(url: str, mode: str) -> Engine:
    path = _sqlite_path(url)
    if path is None:
        return create_engine(url)

    def connect() -> sqlite3.Connection:
        # An explicit mode keeps SQLite from creating an empty file; without an isolation level the driver begins no
        # transaction by itself, so that `_begin` below decides its kind.
        return sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, check_same_thread=False, isolation_level=None)

    engine = create_engine(url, creator=connect)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in PRAGMAS:
        connection.execute(pragma)


def _begin(conn: Connection) -> None:
    # A transaction that reads first and writes later can fail at once when another writer came between: take the lock at the start.
    conn.exec_driver_sql("BEGIN IMMEDIATE" if conn.get_execution_options().get(_WRITES) else "BEGIN")
