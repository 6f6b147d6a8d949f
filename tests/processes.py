"""`weisu` as a process of its own, in a folder of its own: started, watched, killed, and found again wherever it ended up."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

PATIENCE = 300.0  # seconds: an upper limit for a busy machine, never a pause
MARK = "WEISU_TEST_MARK"  # every descendant inherits it, whatever its session or parent


class Bench:
    """A machine on which one test runs `weisu`.

    Attributes:
        folder: the working folder; the service's data lie in `.weisu` below it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._mark = uuid.uuid4().hex
        self._started: list[subprocess.Popen[bytes]] = []

    def environment(self, settings: Mapping[str, object] | None = None) -> dict[str, str]:
        """This process's environment without settings of its own, with the test's settings and the mark."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("WEISU_")}
        return plain | {f"WEISU_{name.upper()}": str(value) for name, value in (settings or {}).items()} | {MARK: self._mark}

    def run(self, *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        command = [sys.executable, "-m", "service.cli", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment(settings), capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
        )

    def start(self, *arguments: str, environment: Mapping[str, str] | None = None, **settings: object) -> subprocess.Popen[bytes]:
        """Starts a command; what it says goes to `out.txt` and `err.txt`. It gets more of an environment than the settings, if there is some."""
        command = [sys.executable, "-m", "service.cli", *arguments]
        with (self.folder / "out.txt").open("ab") as out, (self.folder / "err.txt").open("ab") as err:
            whole = self.environment(settings) | dict(environment or {})
            process = subprocess.Popen(command, cwd=self.folder, env=whole, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        self._started.append(process)
        return process

    @property
    def said(self) -> str:
        """What the started commands have written to stderr."""
        return (self.folder / "err.txt").read_text()

    def living(self) -> dict[int, str]:
        """Every process of this test that lives, and its command line."""
        found = {}
        for entry in Path("/proc").iterdir():
            with suppress(OSError):  # it ended meanwhile, or is another user's
                if entry.name.isdigit() and f"{MARK}={self._mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        return found

    def the(self, words: str) -> int:
        """The one living process whose command line ends with some words."""
        (pid,) = [pid for pid, command in self.living().items() if command.endswith(words)]
        return pid

    def kill_all(self) -> None:
        """Kills what lives."""
        for pid in self.living():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._started:
            process.wait()


def until(what: str, happened: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Waits until something has happened; fails with its name if it does not."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
