"""The supervisor: API, MLflow page and scheduler as processes of one machine, started in order and stopped cleanly."""

import ctypes
import errno
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import httpx
from pydantic import SecretStr

from forecasting.errors import InputError
from service.settings import Settings

STOP_SECONDS = 10.0  # from the polite signal to the kill
CALM_SECONDS = 60.0  # a process that has run so long starts anew at once; one that dies sooner waits
LONGEST_PAUSE = 60.0  # seconds between two starts of a process that keeps dying
READY_SECONDS = 60.0
SUPERVISOR = "WEISU_SUPERVISOR"  # tells a process the id of the supervisor that started it
PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>

log = logging.getLogger(__name__)


@dataclass
class _Child:
    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes]
    started: float
    pause: float = 1.0
    again_at: float | None = None


@dataclass
class Processes:
    """The running processes."""

    environment: Mapping[str, str]
    children: list[_Child] = field(default_factory=list)

    def start(self, name: str, command: Sequence[str]) -> None:
        """Starts a process; see `watch` for what happens when it dies."""
        self.children.append(_Child(name, command, self._spawn(command), time.monotonic()))

    def _spawn(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C reaches the supervisor alone, which then stops the others in order. What they print goes to
        # stderr: stdout is for answers.
        return subprocess.Popen(
            [sys.executable, "-m", "service.cli", *command],
            env=dict(self.environment),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
        )

    def failed(self) -> str | None:
        """Name of a process that has ended."""
        return next((c.name for c in self.children if c.process.poll() is not None), None)

    def watch(self, stopped: Callable[[], bool]) -> None:
        """Starts dead processes anew, with growing pauses, until `stopped` says so."""
        while not stopped():
            now = time.monotonic()
            for child in self.children:
                if child.process.poll() is None:
                    continue
                if child.again_at is None:
                    _kill_group(child)  # what it started would hold its port
                    child.pause = 1.0 if now - child.started > CALM_SECONDS else min(child.pause * 2, LONGEST_PAUSE)
                    child.again_at = now + child.pause
                    log.error("process.died", extra={"child": child.name, "code": child.process.returncode, "again_in": child.pause})
                elif now >= child.again_at:
                    child.process, child.started, child.again_at = self._spawn(child.command), now, None
            time.sleep(0.2)

    def stop(self) -> None:
        """Stops all, the last started first; what does not end in time is killed with all that it started."""
        for child in reversed(self.children):
            if child.process.poll() is None:
                child.process.terminate()
        end = time.monotonic() + STOP_SECONDS
        for child in reversed(self.children):
            try:
                child.process.wait(max(end - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                log.warning("process.killed", extra={"child": child.name})
            _kill_group(child)
            child.process.wait()


def _kill_group(child: _Child) -> None:
    """Kills a process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(child.process.pid, signal.SIGKILL)


@contextmanager
def running(settings: Settings, stopped: Callable[[], bool]) -> Iterator[Processes]:
    """MLflow page (unless a server elsewhere keeps the runs), API and scheduler, up and answering; stopped when the block ends.

    Args:
        stopped: says that a signal to stop has come while they start.

    Raises:
        InputError: a port is in use, or a process ends or does not answer in time.
        KeyboardInterrupt: `stopped` said so.
    """
    for name, host in addresses(settings).items():
        require_free(host, getattr(settings, name), name)
    processes = Processes(os.environ | environment(settings) | {SUPERVISOR: str(os.getpid())})
    try:
        if not settings.mlflow_elsewhere:
            processes.start("mlflow", ["mlflow"])
        processes.start("api", ["api"])
        if not settings.mlflow_elsewhere:
            _wait(processes, f"http://{settings.mlflow_host}:{settings.mlflow_port}/health", stopped)
        _wait(processes, f"http://{settings.host}:{settings.api_port}/livez", stopped)
        processes.start("scheduler", ["scheduler"])
        yield processes
    finally:
        processes.stop()


def end_with_supervisor() -> None:
    """Lets this process be told to stop (SIGTERM) when the supervisor that started it is gone, even if that was killed.

    Holds across `exec`, not for what this process starts. Without a supervisor nothing happens.
    """
    supervisor = os.environ.get(SUPERVISOR)
    if supervisor is None or sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        log.warning("supervisor.not_followed", extra={"reason": os.strerror(ctypes.get_errno())})
    if os.getppid() != int(supervisor):  # it was gone before we could ask
        raise SystemExit(128 + signal.SIGTERM)


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Turns SIGINT, SIGTERM and SIGHUP (a closed terminal) into a question: has one come?"""
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def environment(settings: Settings) -> dict[str, str]:
    """The settings as environment variables, so that every process has the same."""
    return {f"WEISU_{name.upper()}": _as_text(value) for name, value in settings.model_dump().items()}


def _as_text(value: object) -> str:
    """A setting as it is read from the environment."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, (tuple, dict)):
        return json.dumps(value)
    return str(value.resolve() if isinstance(value, Path) else value)


def addresses(settings: Settings) -> dict[str, str]:
    """The setting of each port that is listened on, and the address to listen on."""
    ours = {} if settings.mlflow_elsewhere else {"mlflow_port": settings.mlflow_host}
    return {"api_port": settings.host, **ours}


def family(host: str) -> socket.AddressFamily:
    """The kind of an address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def require_free(host: str, port: int, setting: str) -> None:
    """Raises InputError if a port is in use."""
    if not is_free(host, port):
        raise InputError(f"port {port} is in use", host, f"stop what uses it or set WEISU_{setting.upper()} to another one")


def is_free(host: str, port: int) -> bool:
    """Whether nobody listens on a port. Raises InputError if one cannot listen there for another reason."""
    with socket.socket(family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise InputError(
                f"cannot listen on port {port}: {error.strerror}", host, "set WEISU_HOST, WEISU_MLFLOW_HOST or the port to one that it can"
            ) from None
    return True


def _wait(processes: Processes, url: str, stopped: Callable[[], bool]) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        if stopped():
            raise KeyboardInterrupt
        if dead := processes.failed():
            raise InputError(f"the process '{dead}' ended at once", "start", "its message stands above")
        with suppress(httpx.TransportError):
            if httpx.get(url, timeout=2, trust_env=False).status_code == httpx.codes.OK:
                return
        time.sleep(0.1)
    raise InputError(f"no answer within {READY_SECONDS:.0f} s", url, "look at the log above")
