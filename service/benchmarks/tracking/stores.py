"""MLflow as a night may meet it: a database or a real server over one, and servers that are dead, silent, slow or whose disk is full."""

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path

import httpx

from experiments import mlflow_database
from forecasting.errors import InputError
from service.benchmarks.server import Server

START_WITHIN = 120  # seconds
HELD = 3.0  # seconds for which the slow line keeps each answer: a night has some dozens of requests
BLOCK = 65_536  # bytes that the line passes on at once

_NUMBERS = count(1)  # of databases on the PostgreSQL server


@contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    """MLflow's SQLite file, written directly: as the service has it unless told otherwise."""
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow_database.make(uri)
    yield uri


@contextmanager
def postgresql(server: Server) -> Iterator[str]:
    """A database of MLflow's own on a PostgreSQL server, written directly: as `compose.yaml` has it."""
    name = f"mlflow{next(_NUMBERS)}"
    server.run(f"create database {name}")
    uri = server.address(name)
    made = subprocess.run([sys.executable, "-c", _FIRST_LOOK, mlflow_database.address(uri)], capture_output=True, text=True, check=False)
    if made.returncode:
        raise InputError(f"MLflow cannot use {name} ({made.stderr.strip().splitlines()[-1]})", "PostgreSQL")
    yield uri


_FIRST_LOOK = "import sys, mlflow; mlflow.MlflowClient(tracking_uri=sys.argv[1]).search_experiments(max_results=1)"  # makes the tables


@contextmanager
def served(uri: str, folder: Path, prepare: Callable[[], None] | None = None) -> Iterator[str]:
    """`weisu mlflow` over a database that is there, a process of its own: its address.

    Args:
        uri: the database.
        folder: where the server keeps files.
        prepare: called in the new process before it becomes the server.
    """
    port = _free_port()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("WEISU_")}
    settings = {"WEISU_DATA_DIR": f"{folder}", "WEISU_MLFLOW_TRACKING_URI": uri, "WEISU_MLFLOW_PORT": f"{port}"}
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "mlflow"],
            env=plain | settings,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=prepare,
            start_new_session=True,
        )
    try:
        _await(f"http://127.0.0.1:{port}", process, folder / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def full(folder: Path) -> Iterator[str]:
    """A server that answers, and whose database and files cannot grow."""
    with sqlite(folder) as uri:
        most = (folder / "mlflow.db").stat().st_size
        with served(uri, folder, partial(resource.setrlimit, resource.RLIMIT_FSIZE, (most, most))) as address:
            yield address


@contextmanager
def dead() -> Iterator[str]:
    """An address at which nobody listens."""
    yield f"http://127.0.0.1:{_free_port()}"


@contextmanager
def silent() -> Iterator[str]:
    """A server that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []
        _each_connection(server, taken.append)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        _close([server, *taken])


@contextmanager
def slow(address: str) -> Iterator[str]:
    """A line to a server on which every answer takes some seconds."""
    to = ("127.0.0.1", int(address.rpartition(":")[2]))
    with socket.create_server(("127.0.0.1", 0)) as server:
        ends: list[socket.socket] = []
        names = tuple(f"Host: 127.0.0.1:{port}".encode() for port in (server.getsockname()[1], to[1]))  # the server answers to its own name only

        def connect(caller: socket.socket) -> None:
            called = socket.create_connection(to)
            ends.extend((caller, called))
            for source, target, held in ((caller, called, 0.0), (called, caller, HELD)):
                threading.Thread(target=_pass_on, args=(source, target, held, names), daemon=True).start()

        _each_connection(server, connect)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        _close([server, *ends])


def _each_connection(server: socket.socket, taken: Callable[[socket.socket], None]) -> None:
    def take() -> None:
        with suppress(OSError):  # it was closed: this is over
            while True:
                taken(server.accept()[0])

    threading.Thread(target=take, daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket, held: float, names: tuple[bytes, bytes]) -> None:
    with suppress(OSError):
        while content := source.recv(BLOCK):
            time.sleep(held)
            target.sendall(content.replace(*names))
        target.shutdown(socket.SHUT_WR)


def _close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


def _await(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_WITHIN
    while True:
        with suppress(httpx.TransportError):
            if httpx.get(f"{address}/health", timeout=2, trust_env=False).status_code == httpx.codes.OK:
                return
        if process.poll() is not None or time.monotonic() > until:
            raise InputError(f"`weisu mlflow` did not start ({' '.join(log.read_text().split())[-300:]})", "MLflow")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
