"""Commands typed in this process: real ones on a real store, without the second that a new process takes to start."""

import logging
import signal
from collections.abc import Callable, Iterator

import pytest
from processes import Bench

from service.cli import main

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Typed]:
    """Runs a command on a machine and returns its exit code and what it wrote to stdout and stderr."""
    root = logging.getLogger()
    handlers, level, on_stop = root.handlers[:], root.level, signal.getsignal(signal.SIGTERM)

    def run(bench: Bench, *arguments: str, **settings: object) -> tuple[int, str, str]:
        with monkeypatch.context() as patch:
            patch.chdir(bench.folder)
            for name, value in bench.environment(settings).items():
                patch.setenv(name, value)
            code = main(list(arguments))
        return (code, *capfd.readouterr())

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)
    signal.signal(signal.SIGTERM, on_stop)
