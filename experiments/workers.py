"""Where work that comes in independent pieces is done: in processes of this machine, or in a Dask cluster."""

import asyncio
import hashlib
import logging
import multiprocessing
import os
import platform
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Executor, ProcessPoolExecutor
from contextlib import contextmanager
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from forecasting.errors import InputError

if TYPE_CHECKING:  # an extra, which need not be there
    from distributed import Client

SETTING = "WEISU_DASK_SCHEDULER"
PATIENCE = 10.0  # seconds for a scheduler, and then for its first worker, to answer
NUMBERS = ("numpy", "scipy", "pandas", "lightgbm")  # packages that decide what comes out


@contextmanager
def fan_out(pieces: int, processes: int, scheduler: str = "") -> Iterator[tuple[Executor | None, int]]:
    """Where pieces of work are done, and how many of them at a time; what is at work ends with the block if that fails.

    Args:
        pieces: how many there are.
        processes: of this machine, at most; a single one is this one, for which None stands.
        scheduler: address of a Dask scheduler, `tcp://host:8786`, whose workers do it instead, a piece each of their threads; empty: none.

    Raises:
        InputError: the cluster cannot be used, or was lost in the middle.
    """
    if scheduler:
        with _cluster(scheduler) as (cluster, threads):
            yield cluster, min(pieces, threads)
    elif (most := min(pieces, processes)) == 1:
        yield None, 1
    else:
        with pool(most) as made:
            yield made, most


@contextmanager
def _cluster(address: str) -> Iterator[tuple[Executor, int]]:
    """The executor of a Dask cluster, and its threads."""
    try:
        import dask
        from distributed import Client
        from distributed.client import ClosedClientError
        from distributed.comm import CommClosedError, connect
        from distributed.scheduler import KilledWorker, NoValidWorkerError, NoWorkerError
    except ModuleNotFoundError:
        raise InputError("Dask is not installed", SETTING, "install weisu with its extra: pip install '.[dask]'") from None
    where = f"{SETTING}, {address}"

    async def reach() -> None:
        (await connect(address, timeout=PATIENCE)).abort()

    try:
        asyncio.run(reach())  # before there is a client: one that never had a connection complains when it goes
    except (OSError, ValueError, TypeError) as error:  # nobody there; no address; TLS without a certificate
        said = "; ".join(str(error).splitlines())
        raise InputError(f"no Dask scheduler can be reached: {said}", where, "start one, name it like tcp://host:8786, or leave it out") from None
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # that the scheduler is gone is said below, once
    quiet = {"distributed.admin.large-graph-warning-threshold": "1TiB"}  # what is known at a cutoff goes with each piece: it is meant to
    lost = "see the logs of its scheduler and workers, and start again when it is well; without the setting this machine does the work"
    with dask.config.set(quiet):
        try:
            client = Client(address, timeout=PATIENCE, set_as_default=False)
            try:
                cluster = client.get_executor(pure=False)
                try:
                    yield cluster, _threads(client, where)
                finally:
                    cluster.shutdown(wait=False)  # what nobody waits for is not begun
            finally:
                client.close(timeout=1)
        except (CancelledError, CommClosedError, ClosedClientError) as error:
            raise InputError("the Dask scheduler was lost while it was at work", where, lost) from error
        except (KilledWorker, NoValidWorkerError, NoWorkerError) as error:
            raise InputError(f"the Dask cluster lost its workers: {' '.join(str(error).split())}", where, lost) from error


def _threads(client: "Client", where: str) -> int:
    """Threads of a cluster's workers. InputError if there is none, or one, or the scheduler, has other code than this process."""
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        raise InputError("the Dask scheduler has no worker", where, "start some: dask worker ADDRESS --nthreads 1 --nworkers CORES") from None
    here = versions()
    for who, there in _versions(client).items():
        if isinstance(there, Exception):
            raise InputError(f"{who} has no Weisu that works ({there})", where, "install the same one there")
        other = [f"{name} {there.get(name)} in the place of {version}" for name, version in here.items() if there.get(name) != version]
        if other:
            raise InputError(f"{who} has {', '.join(other)}", where, "install the same there, or other numbers come out")
    return sum(client.nthreads().values())


def _versions(client: "Client") -> dict[str, dict[str, str] | Exception]:
    """Who of a cluster has what, or why it cannot tell; the scheduler, too, must know what it hands on."""
    try:
        scheduler = client.run_on_scheduler(versions)
    except Exception as error:  # noqa: BLE001 - whatever it was, our code does not run there
        scheduler = error
    return {"the scheduler": scheduler} | {f"worker {name}": there for name, there in client.run(versions, on_error="return").items()}


def versions() -> dict[str, str]:
    """What decides which numbers come out: Python, packages, and the sources of our own."""
    code = hashlib.sha256()
    root = Path(__file__).parent.parent
    for package in ("forecasting", "experiments"):
        for path in sorted((root / package).rglob("*.py")):
            code.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return {"Weisu's code": code.hexdigest()[:12], "Python": platform.python_version()} | {name: metadata.version(name) for name in NUMBERS}


@contextmanager
def pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Spawned processes that end with the block: at once if it fails or is interrupted, and if this process is killed.

    Spawned, not forked: OpenMP hangs after a fork.
    """
    context = multiprocessing.get_context("spawn")
    follows, leads = context.Pipe(duplex=False)
    with follows, leads, ProcessPoolExecutor(processes, context, _follow, (follows,)) as made:
        try:
            _start(made, processes)
            yield made
        except BaseException:
            leads.close()  # the workers do not finish what they are at
            _nobody_reads(made)
            raise


def _nobody_reads(made: ProcessPoolExecutor) -> None:
    """Closes the end of the pipe from which the workers took their work.

    Before 3.11.5 Python waits for ever where a worker ends while work is sent to it (cpython issue 94777); later ones do the same themselves.
    """
    queue = getattr(made, "_call_queue", None)
    if queue is not None:
        queue._reader.close()


def _start(made: ProcessPoolExecutor, processes: int) -> None:
    """Starts the processes, deaf to Ctrl-C: it is for this process to say what then happens, also while they are being started."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a new process inherits it
    try:
        for _ in range(processes):
            made.submit(os.getpid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _follow(lead: Connection) -> None:
    """Ends this process when the other end of the pipe is closed, as it is when the process that holds it ends."""

    def follow() -> None:
        lead.poll(None)  # nothing is ever sent
        os._exit(1)

    threading.Thread(target=follow, name="lead", daemon=True).start()
