"""Worker processes end with the block that they were made for."""

import multiprocessing
import os
import time
from concurrent.futures import Future

import pytest

from experiments import workers

LONG = 120.0  # seconds of work that nobody waits for


def test_every_process_works_and_all_have_ended_after_the_block() -> None:
    with workers.pool(2) as pool:
        assert len(multiprocessing.active_children()) == 2
        assert pool.submit(os.getpid).result() in {child.pid for child in multiprocessing.active_children()}
    assert not multiprocessing.active_children()


def begin(futures: list[Future[None]], error: type[BaseException]) -> None:
    """Gives the processes more than they can do at once, and fails."""
    with workers.pool(2) as pool:
        futures += [pool.submit(time.sleep, LONG) for _ in range(6)]
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_ends_work_that_is_half_done(error: type[BaseException]) -> None:
    started = time.monotonic()
    futures: list[Future[None]] = []
    with pytest.raises(error):
        begin(futures, error)
    assert not multiprocessing.active_children()
    assert [future.done() for future in futures] == [True] * 6
    assert time.monotonic() - started < LONG
