"""Opening the database, SQLite or PostgreSQL: transactions and migrations that mean the same in both.

| | SQLite | PostgreSQL |
|---|---|---|
| a read transaction sees one moment | WAL | REPEATABLE READ |
| one writer at a time, from its first statement on | BEGIN IMMEDIATE | an advisory lock |
| a batch alone need not survive a power cut | synchronous=NORMAL | synchronous_commit=off |

With one writer at a time, what a transaction has read still holds when it writes. Readers wait for nobody.
"""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, TimeoutError

from forecasting.errors import InputError

if TYPE_CHECKING:  # Alembic is 11 MB, which processes that only look whether the tables are today's do without
    import psycopg
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"

WAIT = 5.0  # seconds that a writer waits for another one
POLL = 0.001  # seconds between two looks at SQLite's lock: its own waiting sleeps ever longer, and would miss the gaps
GAP = 0.005  # seconds between two batches, in which others get their turn
CONNECT = 5  # seconds that a PostgreSQL server has to answer
UNHEARD = 10  # seconds after which a connection over which nothing comes back is given up: a cable was pulled
LOOKED = 2  # seconds between two looks of a server at work whether its client lives: fewer than WAIT, so that no writer gives up for a dead one
PAUSE = 60.0  # seconds that a writer's process may do nothing: it takes a few at most between two statements, while all others wait for it
STANDSTILL = 7200  # seconds that a reader's may: more than the longest that an answer waits for whoever reads it (WEISU_REQUEST_SECONDS, 3,600)
ENDED_IDLE = "25P03"  # what PostgreSQL says to who was idle for longer
# What it says to who writes to a standby, as which a server may be back after a failover: a transaction that only reads cannot write, or, to a
# connection that has read before, a transaction that writes cannot begin.
NOT_WRITABLE = ("25006", "0A000")
# What a statement can bring about by what it holds, though drivers class it with a server that is away: a limit of the program's (a key too long),
# more time than a statement may take, more memory than there is, more room for temporary files than is allowed.
OF_CONTENT = ("54", "57014", "53200", "53400")
ADVISORY_LOCK = 0x7765697375  # "weisu": the writers' lock in a PostgreSQL database

# A server keeps a session, and its locks, until it hears that the client is gone: of a machine that went without a word after a minute and not
# after the two hours of the default, and while it works for the client as well (PostgreSQL 14 and later). A client that lives but is suspended in
# the middle of a transaction, with its container or its machine, loses it: a writer soon, for it keeps everybody from writing.
SESSION = f"""SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3;
    SET idle_in_transaction_session_timeout = '{STANDSTILL}s'"""
SESSION_OF_14 = f"{SESSION}; SET client_connection_check_interval = '{LOOKED}s'"

PRAGMAS = (
    f"PRAGMA busy_timeout={WAIT * 1000:.0f}",
    "PRAGMA page_size=8192",  # of a new file: rows of tickets are long
    "PRAGMA journal_mode=WAL",  # readers and the one writer do not wait for each other
    "PRAGMA synchronous=FULL",  # what is committed survives a power cut
    "PRAGMA foreign_keys=ON",
    "PRAGMA cache_size=-65536",  # KiB; a batch of tickets touches more pages than the default 2 MiB holds
    "PRAGMA wal_autocheckpoint=8192",  # pages; fewer, longer checkpoints while a large file comes in
)

# A batch joins a few rows with a large table whose statistics lag behind while a file comes in: always by its index, planned each time anew.
BATCH_PLANS = (
    "enable_seqscan=off",
    "enable_hashjoin=off",
    "enable_mergejoin=off",
    "max_parallel_workers_per_gather=0",
    "plan_cache_mode=force_custom_plan",
    "jit=off",
    "synchronous_commit=off",
)

_WRITES, _BATCH = "weisu_writes", "weisu_batch"
_EXAMPLE = "write it like sqlite:////path/weisu.db or postgresql://user:password@host:5432/weisu"


def open_engine(url: str) -> Engine:
    """Opens the database at an address, `sqlite:///…` or `postgresql://…`. Nothing is created: see `upgrade` and `require_current`.

    Raises:
        InputError: the address is not one of a database of these kinds.
    """
    return _engine(url, "rw")


def upgrade(url: str, revision: str = "head") -> None:
    """Brings the tables up to date, or to an earlier revision; an SQLite database (and its folder) is created if there is none.

    Raises:
        InputError: the address is not one of a database, the folder cannot be written, or the database cannot be reached.
    """
    from alembic import command

    path = _sqlite_path(_parsed(url))
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror})", str(path), "choose another folder with WEISU_DATA_DIR") from None
    engine = _engine(url, "rwc")
    try:
        _require_answer(engine)
        with writing(engine) as conn:
            config = _alembic()
            config.attributes["connection"] = conn
            command.upgrade(config, revision)
    finally:
        engine.dispose()


def require_current(engine: Engine) -> None:
    """Checks that the database is there and has today's tables.

    Raises:
        InputError: it is missing or cannot be reached, or its tables are older or newer than this program.
    """
    path = _sqlite_path(engine.url)
    if path is not None and not path.is_file():
        raise InputError("there is no database", str(path), "run `weisu db upgrade`")
    _require_answer(engine)
    with engine.connect() as conn:
        written = inspect(conn).has_table("alembic_version")
        found = set(conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalars()) if written else set()
    if found == {newest()}:
        return
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(_alembic())
    if found - {revision.revision for revision in script.walk_revisions()}:
        raise InputError("the database was written by a newer version", _shown(engine.url), "install that version")
    raise InputError("the database is not up to date", _shown(engine.url), "run `weisu db upgrade`")


def newest() -> str:
    """The revision of today's tables: files of migrations are numbered in their order."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("*.py"))


@contextmanager
def writing(engine: Engine, batch: bool = False) -> Iterator[Connection]:
    """One write transaction: committed at the end of the block, undone if the block raises.

    Args:
        batch: it is one of many in a row, with gaps between them for others. A power cut may take it back, whole, until a transaction that is
            no batch has followed.
    """
    with engine.connect() as conn:
        conn = conn.execution_options(**{_WRITES: True, _BATCH: batch})
        with conn.begin():
            yield conn
    if batch and engine.dialect.name == "sqlite":  # PostgreSQL's lock is a queue
        time.sleep(GAP)


@contextmanager
def reading(engine: Engine, apart: bool = False) -> Iterator[Connection]:
    """One read transaction: everything read in the block is of one moment.

    Args:
        apart: it lasts as long as somebody likes to read: its connection is none of those that others wait for.
    """
    with engine.connect() as conn:
        if engine.dialect.name == "postgresql":
            conn = conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        if apart:
            conn.detach()
        with conn.begin():
            yield conn


def is_outage(error: Exception) -> bool:
    """Whether the store as such failed, being away, full or busy, so that the same may succeed later; else it may be what the statement held.

    Drivers have one class for both: what is left are SQLite's general error (a sum that overflows) and PostgreSQL's `OF_CONTENT`. Of these a server
    in need says some as well: who counts attempts notes each in the store, which fails as an outage while the need lasts.
    """
    if not isinstance(error, OperationalError):
        return isinstance(error, InterfaceError | TimeoutError)
    return getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR and not _sqlstate(error.orig).startswith(OF_CONTENT)


@contextmanager
def told_as_usual(conn: Connection) -> Iterator[None]:
    """What the driver raises in the block, asked past SQLAlchemy, is raised as SQLAlchemy raises it: else nobody knows it for an outage."""
    try:
        yield
    except conn.dialect.loaded_dbapi.Error as error:
        conn._handle_dbapi_exception(error, None, None, None, None)  # its one way; it tells `_as_gone`, and lets go a connection that is lost


def _sqlstate(error: object) -> str:
    """PostgreSQL's code of an error, or nothing."""
    return getattr(error, "sqlstate", None) or ""


def _alembic() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        raise InputError("is no address of a database", "WEISU_DATABASE_URL", _EXAMPLE) from None
    kind = parsed.get_backend_name()
    if kind in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise InputError(f"'{kind}' is neither sqlite nor postgresql", "WEISU_DATABASE_URL", _EXAMPLE)
    return parsed


def _sqlite_path(url: URL) -> Path | None:
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:":
        raise InputError("a database in memory is lost when the program ends", str(url), "name a file: sqlite:////path/weisu.db")
    return Path(url.database).resolve()


def _shown(url: URL) -> str:
    """An address without its secrets."""
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)


def _require_answer(engine: Engine) -> None:
    """Raises InputError, in one line and without the password, if the database does not let us in."""
    try:
        with engine.connect():
            pass
    except DBAPIError as error:
        text = str(error.orig)
        found = re.findall(r"(?:failed|FATAL): +([^\n]+)", text) or text.splitlines()[:1] or [type(error.orig).__name__]
        says = found[-1].rpartition("FATAL: ")[2].strip().rstrip(".")
        raise InputError(f"the database cannot be opened ({says})", _shown(engine.url), _mend(engine.url, text)) from None


def _mend(url: URL, text: str) -> str:
    if url.get_backend_name() == "sqlite":
        return "name another file with WEISU_DATABASE_URL"
    if "does not exist" in text and f'database "{url.database}"' in text:
        return f"create it: createdb {url.database}"
    if "authentication" in text or "password" in text or "role" in text:
        return "correct user and password in WEISU_DATABASE_URL"
    return "start the server, or correct WEISU_DATABASE_URL"


def _engine(url: str, mode: str) -> Engine:
    address = _parsed(url)
    path = _sqlite_path(address)
    if path is None:
        # A server may be restarted between two requests: `pool_pre_ping` looks first.
        arguments = {"connect_timeout": CONNECT, "tcp_user_timeout": 1000 * UNHEARD, "keepalives_idle": UNHEARD, "application_name": "weisu"}
        engine = create_engine(address, pool_pre_ping=True, connect_args=arguments)
        event.listen(engine, "connect", _prepare_postgresql)
        event.listen(engine, "begin", _begin_postgresql)
        event.listen(engine, "handle_error", _as_gone)
        return engine

    def connect() -> sqlite3.Connection:
        # An explicit mode keeps SQLite from creating an empty file; without an isolation level the driver begins no
        # transaction by itself, so that `_begin_sqlite` below decides its kind.
        return sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, check_same_thread=False, isolation_level=None)

    engine = create_engine(address, creator=connect)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in PRAGMAS:
        connection.execute(pragma)


def _prepare_postgresql(connection: "psycopg.Connection", _record: object) -> None:
    connection.execute(SESSION_OF_14 if connection.info.server_version >= 140000 else SESSION)
    connection.commit()  # settings of a transaction that is undone are undone


def _as_gone(context: ExceptionContext) -> OperationalError | None:
    """What PostgreSQL does not count among its outages, and is one: whoever tries again succeeds.

    A session was ended because its process was suspended. Or a writer is led to a standby: all connections are let go then, for the address may lead
    elsewhere by now. (Who only reads and writes all the same is told `25006` as well: that is a fault of ours.)
    """
    ended, conn = context.original_exception, context.connection
    state = _sqlstate(ended)
    if state in NOT_WRITABLE and conn is not None and conn.get_execution_options().get(_WRITES):
        context.is_disconnect = True
    elif state != ENDED_IDLE:
        return None
    return OperationalError(context.statement, context.parameters, ended)


def _begin_sqlite(conn: Connection) -> None:
    options = conn.get_execution_options()
    if not options.get(_WRITES):
        conn.exec_driver_sql("BEGIN")
        return
    conn.exec_driver_sql(f"PRAGMA synchronous={'NORMAL' if options.get(_BATCH) else 'FULL'}")
    conn.exec_driver_sql("PRAGMA busy_timeout=0")
    try:
        until = time.monotonic() + WAIT
        while not _begun(conn, time.monotonic() >= until):
            time.sleep(POLL)
    finally:
        conn.exec_driver_sql(PRAGMAS[0])


def _begun(conn: Connection, last: bool) -> bool:
    # A transaction that reads first and writes later can fail at once when another writer came between: take the lock at the start.
    try:
        conn.exec_driver_sql("BEGIN IMMEDIATE")
    except OperationalError as error:
        if last or not isinstance(error.orig, sqlite3.OperationalError) or error.orig.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _begin_postgresql(conn: Connection) -> None:
    options = conn.get_execution_options()
    if options.get(_WRITES):
        limits = (f"lock_timeout={WAIT * 1000:.0f}", f"idle_in_transaction_session_timeout={PAUSE * 1000:.0f}")
        settings = (*limits, *(BATCH_PLANS if options.get(_BATCH) else ()))
        conn.exec_driver_sql("; ".join(f"SET LOCAL {setting}" for setting in settings))
        conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
