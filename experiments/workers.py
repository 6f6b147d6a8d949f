"""Processes for work that comes in independent pieces."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection


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
