"""Logs: one line an event on stderr, a stable event name and its values, to be read by people or, as JSON, by programs."""

import json
import logging
import sys
from typing import Any

_USUAL = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_MOMENT = "%Y-%m-%dT%H:%M:%S%z"


def _values(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in record.__dict__.items() if key not in _USUAL}


class _Line(logging.Formatter):
    """`2026-11-20T02:00:01+0000 INFO training.start run=3`."""

    def format(self, record: logging.LogRecord) -> str:
        values = " ".join(f"{key}={value}" for key, value in _values(record).items())
        line = f"{self.formatTime(record, _MOMENT)} {record.levelname} {record.getMessage()} {values}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _Json(logging.Formatter):
    """`{"at": "2026-11-20T02:00:01+0000", "level": "INFO", "event": "training.start", "run": 3}`; a traceback is one member, so a line stays one."""

    def format(self, record: logging.LogRecord) -> str:
        told = {"at": self.formatTime(record, _MOMENT), "level": record.levelname, "event": record.getMessage()}
        error = {"error": self.formatException(record.exc_info)} if record.exc_info else {}
        return json.dumps({**_values(record), **told, **error}, ensure_ascii=False, default=str)


def set_up(level: str, form: str = "text") -> None:
    """Sends our own events of this level, and other packages' warnings, to stderr; the form is `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Line())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a look that is skipped while one is at work is as it should be
    for name in ("service", "experiments", "forecasting"):
        logging.getLogger(name).setLevel(level)
