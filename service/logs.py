"""Logs: one line an event on stderr, a stable event name and its values."""

import logging
import sys

_USUAL = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class _Line(logging.Formatter):
    """`2026-11-20T02:00:01+0000 INFO training.start run=3`."""

    def format(self, record: logging.LogRecord) -> str:
        values = " ".join(f"{key}={value}" for key, value in record.__dict__.items() if key not in _USUAL)
        line = f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S%z')} {record.levelname} {record.getMessage()} {values}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up(level: str) -> None:
    """Sends our own events of this level, and other packages' warnings, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a look that is skipped while one is at work is as it should be
    for name in ("service", "experiments", "forecasting"):
        logging.getLogger(name).setLevel(level)
