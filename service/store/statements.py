"""Who wants to know is told of each statement when it has ended."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext


@dataclass(frozen=True)
class Statement:
    """A statement that has ended.

    Attributes:
        kind: of the database: sqlite or postgresql.
        text: with marks in the place of its values.
        began, ended: nanoseconds since 1970.
        of_connection: it is one of the connection itself: BEGIN, a pragma, the writers' lock.
        error: the kind of the error with which it failed; its text would quote the row.
    """

    kind: str
    text: str
    began: int
    ended: int
    of_connection: bool
    error: str | None


def tell(engine: Engine, listener: Callable[[Statement], None]) -> None:
    """Tells a listener of the statements of an engine from now on, in the thread and the context in which they are made."""

    def begin(conn: Connection, *_: Any) -> None:
        conn.info["began"] = time.time_ns()

    def end(conn: Connection, text: str, context: Any, error: str | None) -> None:
        began, ended = conn.info.pop("began", None), time.time_ns()
        if began is not None:
            of_connection = getattr(context, "compiled", None) is None
            listener(Statement(conn.dialect.name, text, began, ended, of_connection, error))

    def succeed(conn: Connection, _cursor: object, text: str, _parameters: object, context: object, _many: bool) -> None:
        end(conn, text, context, None)

    def fail(failed: ExceptionContext) -> None:
        if failed.connection is not None and failed.statement is not None:
            end(failed.connection, failed.statement, failed.execution_context, type(failed.original_exception).__name__)

    event.listen(engine, "before_cursor_execute", begin)
    event.listen(engine, "after_cursor_execute", succeed)
    event.listen(engine, "handle_error", fail)
