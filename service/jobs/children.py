"""Commands run in processes of their own: what happens to them never ends the scheduler."""

import logging
import subprocess
import sys
import threading
from datetime import timedelta
from time import monotonic

LIMIT = timedelta(hours=2)  # after which a command, such as a training, is killed
STOP_SECONDS = 5.0  # from the polite signal to a child to the kill
NICE = 10  # the trainer gives way to the API
STOPPED = "the scheduler stops"  # what became of a command that ended with it, or did not begin for it

log = logging.getLogger(__name__)


class Children:
    """The commands that run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[subprocess.Popen[bytes]] = []
        self._stopping = False

    def run(self, *words: str) -> str | None:
        """Runs a command to its end; None if it succeeded, else what became of it."""
        command = " ".join(words)
        arguments = ["nice", "-n", str(NICE), sys.executable, "-m", "service.cli", *words]
        with self._lock:
            if self._stopping:
                return STOPPED
            process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL)
            self._running.append(process)
        try:
            process.wait(LIMIT.total_seconds())
        except subprocess.TimeoutExpired:
            log.error("child.too_long", extra={"command": command, "limit": str(LIMIT)})
            process.kill()
            process.wait()
        finally:
            with self._lock:
                self._running.remove(process)
        code = process.returncode
        if code and self._stopping:
            return STOPPED
        if code:
            log.error("child.failed", extra={"command": command, "code": code})
        return None if code == 0 else f"killed by signal {-code}" if code < 0 else f"exit code {code}: see the log"

    def stop(self) -> None:
        """Ends all that run, and lets no other begin."""
        with self._lock:
            self._stopping = True
            running = list(self._running)
        for process in running:
            process.terminate()
        end = monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(end - monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
