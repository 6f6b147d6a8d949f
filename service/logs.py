"""Logs: one line an event on stderr, a stable event name and its values, to be read by people or, as JSON, by programs.

What an HTTP request makes us say carries its id.
"""

import json
import logging
import sys
import time
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the HTTP request at work here; empty: none is."""

_USUAL = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_MOMENT = "%Y-%m-%dT%H:%M:%S%z"


def _values(record: logging.LogRecord) -> dict[str, Any]:
    told = {key: value for key, value in record.__dict__.items() if key not in _USUAL}
    request_id = REQUEST_ID.get()
    return {**told, "request_id": request_id} if request_id else told


@lru_cache(1)
def _moment(second: int) -> str:
    """A moment as every line tells it; a worker writes a thousand lines in a second."""
    return time.strftime(_MOMENT, time.localtime(second))


class _Line(logging.Formatter):
    """`2026-11-20T02:00:01+0000 INFO training.start run=3`."""

    def format(self, record: logging.LogRecord) -> str:
        values = " ".join(f"{key}={_printable(str(value))}" for key, value in _values(record).items())
        line = f"{_moment(int(record.created))} {record.levelname} {record.getMessage()} {values}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _printable(text: str) -> str:
    """A value on one line: what somebody sent cannot begin a line of its own."""
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


class _Json(logging.Formatter):
    """`{"at": "2026-11-20T02:00:01+0000", "level": "INFO", "event": "training.start", "run": 3}`; a traceback is one member, so a line stays one."""

    def format(self, record: logging.LogRecord) -> str:
        told = {"at": _moment(int(record.created)), "level": record.levelname, "event": record.getMessage()}
        error = {"error": self.formatException(record.exc_info)} if record.exc_info else {}
        return json.dumps({**_values(record), **told, **error}, ensure_ascii=False, default=str)


def set_up(level: str, form: str = "text") -> None:
    """Sends our own events of this level, and other packages' warnings, to stderr; the form is `text` or `json`."""
    # Where in the code, in which process and thread a line is written, no line tells: see "Optimization" in the documentation of `logging`.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Line())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a look that is skipped while one is at work is as it should be
    for name in ("service", "experiments", "forecasting"):
        logging.getLogger(name).setLevel(level)
