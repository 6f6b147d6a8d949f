"""A PostgreSQL server of one's own, from the binaries that are installed: for benchmarks and tests."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from forecasting.errors import InputError

USER = "postgres"  # PostgreSQL's server refuses to run as root
OWNER, PASSWORD = "weisu", "right"
START_WITHIN = 60  # seconds


@dataclass
class Server:
    """A server. Its socket lets everybody in as OWNER; over TCP it asks for the PASSWORD.

    Attributes:
        folder: where its socket is.
        port: of the socket, and on 127.0.0.1.
        command: starts it. owner: as whom.
        process: at work; None: it is stopped.
    """

    folder: Path
    port: int
    command: list[str]
    owner: dict[str, Any]
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Starts it, unless it runs, and waits until it answers. Raises InputError if it does not."""
        if self.process is None:
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(self.command, stdout=log, stderr=log, **self.owner)
            _await(self, self.process)

    def stop(self) -> None:
        """Stops it at once and tidily, with everybody still connected."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait()
            self.process = None

    def address(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql://{OWNER}@/{database}?host={self.folder}&port={self.port}"

    def run(self, statement: str) -> None:
        """Runs a statement outside a transaction, as making and dropping a database must be."""
        with psycopg.connect(host=str(self.folder), port=self.port, user=OWNER, dbname="postgres", autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def running(settings: Mapping[str, object]) -> Iterator[Server]:
    """Starts a server with an empty cluster in a temporary folder, and stops and deletes it at the end.

    Args:
        settings: parameters of its configuration (`fsync`, …).
    Raises:
        InputError: no server is installed, or it does not start.
    """
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="weisu-pg-", dir="/tmp"))  # the path of a socket holds 107 bytes at most
    server: Server | None = None
    try:
        owner = _owner(folder)
        _make_cluster(binaries, folder, owner)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        chosen = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": folder, **settings}
        command = [str(binaries / "postgres"), "-D", str(folder / "data"), *(f"--{name}={value}" for name, value in chosen.items())]
        server = Server(folder, port, command, owner)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder)


def _binaries() -> Path:
    """The folder of the newest server that is installed; Debian keeps it off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parents[1].name))
    on_path = shutil.which("postgres")
    if not found and not on_path:
        raise InputError("PostgreSQL's server is not installed", "PostgreSQL", "install it: apt-get install postgresql")
    return found[-1].parent if found else Path(str(on_path)).parent


def _owner(folder: Path) -> dict[str, Any]:
    """How its programs are started, and a folder that they may use."""
    if os.geteuid() != 0:
        return {"cwd": folder}
    entry = pwd.getpwnam(USER)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return {"cwd": folder, "user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _make_cluster(binaries: Path, folder: Path, owner: dict[str, Any]) -> None:
    (folder / "password").write_text(PASSWORD)
    access = ("--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={folder / 'password'}")
    command = (binaries / "initdb", "-D", folder / "data", "-U", OWNER, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", *access)
    made = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **owner)
    if made.returncode != 0:
        raise InputError(f"no cluster can be made ({' '.join(made.stderr.split())})", "PostgreSQL")


def _await(server: Server, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_WITHIN
    while True:
        try:
            server.run("select 1")
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > until:
                log = " ".join((server.folder / "log").read_text().split())
                raise InputError(f"the server did not start ({log})", "PostgreSQL") from None
            time.sleep(0.05)
        else:
            return
