"""One scheduler at a time: chosen by the database where it is a server, by a lock on a file where it is one."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from forecasting.errors import InputError

LEADERS_LOCK = 0x77656973756C  # "weisul": another one than the writers'


@contextmanager
def leading(db: Engine, folder: Path) -> Iterator[Callable[[], bool]]:
    """Leads as long as the block lasts; however the process ends, another may lead then.

    Args:
        folder: of the file that is locked beside an SQLite database.

    Yields:
        says whether this process leads still: a server that was restarted has forgotten it.

    Raises:
        InputError: another process leads.
    """
    with _by_session(db) if db.dialect.name == "postgresql" else _by_file(folder) as held:
        yield held


@contextmanager
def _by_session(db: Engine) -> Iterator[Callable[[], bool]]:
    conn = db.connect().execution_options(isolation_level="AUTOCOMMIT")  # a transaction would stay open for months
    conn.detach()  # from the pool: the lock is the session's, and goes with it
    try:
        if not conn.execute(text(f"SELECT pg_try_advisory_lock({LEADERS_LOCK})")).scalar_one():
            raise _another(f"database {db.url.database}")

        def held() -> bool:
            try:
                conn.execute(text("SELECT 1"))
            except SQLAlchemyError:
                return False
            return True

        yield held
    finally:
        conn.close()


@contextmanager
def _by_file(folder: Path) -> Iterator[Callable[[], bool]]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "scheduler.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _another(str(folder)) from None
        yield lambda: True


def _another(where: str) -> InputError:
    return InputError("another scheduler is at work", where, "stop it first: one is enough")
