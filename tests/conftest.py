"""Real processes for the tests that need them, none of which outlives its test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import Bench, until


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A folder in which `weisu` runs as on somebody's machine; the test fails if a process is left behind."""
    bench = Bench(tmp_path / "machine")
    yield bench
    try:
        until("no process is left behind", lambda: not bench.living(), 10)
    finally:
        bench.kill_all()
