"""Rows of somebody else's database, behind a watermark: read only, and never all at once."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from sqlalchemy import URL, ColumnClause, Connection, CursorResult, Engine, column, create_engine, literal, make_url, or_, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from forecasting.errors import InputError

CONNECT = 10  # seconds that its server has to answer
ROWS_AT_ONCE = 2_000  # that are held
_NAMES_ONLY = ("08", "28", "3D", "42", "57")  # classes of PostgreSQL's errors whose text tells names, never what a row says

_END = re.compile(r"\s*;\s*(--[^\n]*)?\s*$")

Mark = datetime | date | int | float | Decimal | str
KINDS = (datetime, date, int, float, Decimal, str)  # of watermarks
_READERS: dict[str, Callable[[str], Mark]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "int": int,
    "float": float,
    "Decimal": Decimal,
    "str": str,
}


def written(mark: Mark) -> str:
    """A watermark as text, from which `read_mark` makes the same value again."""
    return json.dumps([type(mark).__name__, mark.isoformat() if isinstance(mark, date) else str(mark)])


def read_mark(text_: str) -> Mark:
    """A watermark that `written` wrote."""
    kind, value = json.loads(text_)
    return _READERS[kind](value)


def earlier(mark: Mark, overlap: int) -> Mark:
    """So far before a watermark: minutes (of dates whole days), of a number its own unit. A text that is no moment stays as it is."""
    if isinstance(mark, datetime):
        return mark - timedelta(minutes=overlap)
    if isinstance(mark, date):
        return mark - timedelta(days=-(-overlap // (24 * 60)))
    if isinstance(mark, str):
        moment = _moment(mark)
        return mark if moment is None else _as_text(moment - timedelta(minutes=overlap), mark)
    return mark - overlap


def not_after(mark: Mark, now: datetime, zone: ZoneInfo) -> Mark:
    """A watermark that is not later than now: one row of the year 2099 must not hide those that are to come.

    Args:
        zone: in which moments without an offset are meant.
    """
    local = now.astimezone(zone).replace(tzinfo=None)
    if isinstance(mark, datetime):
        return min(mark, now if mark.tzinfo else local)
    if isinstance(mark, date):
        return min(mark, local.date())
    if isinstance(mark, str) and (moment := _moment(mark)) is not None:
        latest = now if moment.tzinfo else local
        return mark if moment <= latest else _as_text(latest.astimezone(moment.tzinfo) if moment.tzinfo else latest, mark)
    return mark


@contextmanager
def rows(url: str, query: str, watermark: str, since: Mark | None, where: str) -> Iterator[tuple[list[str], Iterator[Sequence[Any]]]]:
    """The columns and the rows of a query, in the order of their watermark.

    A transaction of PostgreSQL or SQLite is read only; elsewhere nothing is ever committed.

    Args:
        url: any address of SQLAlchemy.
        watermark: the column of the query that is compared; rows without a value in it are always there.
        since: from this value on; None: all.
        where: what errors name.
    Raises:
        InputError: the database does not let us in, or the query cannot be run; the message tells nothing that a row says, and no password.
    """
    with ExitStack() as stack:
        with _told_safely(url, where):
            mark: ColumnClause[Any] = column(watermark)
            pulled = text(_END.sub("", query).replace(":", r"\:") + "\n").columns(mark).subquery("pulled")
            asked = select(text("*")).select_from(pulled).order_by(pulled.c[watermark])
            if since is not None:
                asked = asked.where(or_(pulled.c[watermark] >= literal(since), pulled.c[watermark].is_(None)))
            conn = stack.enter_context(_engine(url, where).connect())
            found = stack.enter_context(_read_only(conn).execute(asked))
            names = list(found.keys())
        yield names, _each(found, url, where)


def _each(found: CursorResult[Any], url: str, where: str) -> Iterator[Sequence[Any]]:
    with _told_safely(url, where):
        for part in found.partitions(ROWS_AT_ONCE):
            yield from part


@contextmanager
def _told_safely(url: str, where: str) -> Iterator[None]:
    """Errors of the other database, as bad input."""
    try:
        yield
    except SQLAlchemyError as error:
        raise InputError(f"cannot be read ({_told(error, url)})", where, "correct its url or query; see docs/connectors.md") from None


def _engine(url: str, where: str) -> Engine:
    mend = "write it like postgresql://user:password@host/database"
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise InputError("its url is no address of a database", where, mend) from None
    kind = address.get_backend_name()
    if kind == "sqlite":
        return create_engine(address, creator=lambda: _file(address), poolclass=NullPool)
    if address.drivername in ("postgresql", "postgres"):
        address = address.set(drivername="postgresql+psycopg")
    given = {"connect_timeout": CONNECT, "application_name": "weisu pull"} if kind in ("postgresql", "postgres") else {}
    try:
        return create_engine(address, poolclass=NullPool, connect_args=given)
    except (NoSuchModuleError, ModuleNotFoundError):
        raise InputError(f"there is no driver for '{address.drivername}'", where, "install its package, or name another in the url") from None


def _file(url: URL) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(url.database or '')}?mode=ro", uri=True, check_same_thread=False)


def _read_only(conn: Connection) -> Connection:
    options: dict[str, Any] = {"stream_results": True, "max_row_buffer": ROWS_AT_ONCE}
    return conn.execution_options(**options, **({"postgresql_readonly": True} if conn.dialect.name == "postgresql" else {}))


def _told(error: SQLAlchemyError, url: str) -> str:
    """What may be told of an error: never what a row says, never a password."""
    original = error.orig if isinstance(error, DBAPIError) else None
    state = getattr(original, "sqlstate", None)
    if original is None or (state is not None and not state.startswith(_NAMES_ONLY)):
        return type(original or error).__name__
    primary = getattr(getattr(original, "diag", None), "message_primary", None)
    lines = (primary or str(original)).splitlines()
    password = make_url(url).password
    told = lines[0].strip().rstrip(".") if lines else type(original).__name__
    return told.replace(str(password), "***") if password else told


def _moment(mark: str) -> datetime | None:
    try:
        return datetime.fromisoformat(mark)
    except ValueError:
        return None


def _as_text(moment: datetime, like: str) -> str:
    """A moment written as another text is, so that texts compare as moments do."""
    return moment.isoformat(like[10:11] or " ", "auto")[: max(len(like), 10)] if moment.tzinfo is None else moment.isoformat(like[10:11] or " ")
