"""A process that dies is started anew."""

import os
import time
from pathlib import Path

import pytest

from service.jobs.supervisor import Processes

PROGRAM = "import sys, time\nopen(sys.argv[1], 'a').write('x')\ntime.sleep(0.1)\n"


def test_what_dies_is_said_and_started_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "service").mkdir()
    (folder / "service" / "__init__.py").touch()
    (folder / "service" / "cli.py").write_text(PROGRAM)
    monkeypatch.chdir(folder)  # where `python -m service.cli` finds the program above
    started = folder / "started"
    processes = Processes({**os.environ, "PYTHONPATH": str(folder)})
    end = time.monotonic() + 20
    try:
        processes.start("short", [str(started)])
        processes.watch(lambda: time.monotonic() > end or (started.exists() and len(started.read_text()) >= 2))
    finally:
        processes.stop()
    assert len(started.read_text()) >= 2
