"""Memory of a worker goes back to the system."""

import subprocess
import sys

import pytest

FREED = """
import sys
import numpy as np
from pathlib import Path
from service.api.memory import give_back

def mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("RssAnon"))

if sys.argv[1] == "given back":
    give_back()
np.ones(2 << 20)  # the C library sees a large array come and go
before = mb()
arrays, between = [], []
for number in range(40):
    arrays.append(np.ones(1 << 19))  # 4 MB
    between.append(bytes([number]) * 50_000)
del arrays
print(mb() - before)
"""


def kept(how: str) -> int:
    """MB that a process keeps of 160 that it freed."""
    done = subprocess.run([sys.executable, "-c", FREED, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux is meant")
def test_what_large_arrays_took_is_given_back_though_small_ones_lie_between() -> None:
    assert kept("as it comes") > 100, "else the test shows nothing"
    assert kept("given back") < 20
