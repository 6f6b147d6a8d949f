"""Counters of windows: those of the library's own memory, without its threads."""

import random
import threading
import time

import pytest
from limits.storage import MemoryStorage

from service.api.callers.counters import TIDY, Counters


class Clock:
    """The time of the machine, which stands still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_762_660_800.0
        monkeypatch.setattr(time, "time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_they_count_what_the_library_s_own_storage_counts(clock: Clock) -> None:
    chance = random.Random(3)
    own, theirs = Counters(), MemoryStorage()
    for _ in range(2_000):
        clock.now += chance.choice([0, 0.01, 1, 7, 40])
        key, amount = chance.choice("abc"), chance.choice([1, 1, 20])
        if chance.random() < 0.6:
            assert own.incr(key, 60, amount) == theirs.incr(key, 60, amount)
        assert own.get(key) == theirs.get(key)
        if own.get(key):
            assert own.get_expiry(key) == theirs.get_expiry(key)


def test_they_start_no_thread() -> None:
    before = threading.active_count()
    counters = Counters()
    for key in range(100):
        counters.incr(f"{key}", 60)
    assert threading.active_count() == before


def test_windows_that_have_ended_are_forgotten(clock: Clock) -> None:
    counters = Counters()
    for key in range(100):
        counters.incr(f"{key}", 60)
    clock.now += TIDY
    counters.incr("next", 60)
    assert len(counters) == 1


def test_nothing_is_lost_between_threads() -> None:
    counters = Counters()

    def count() -> None:
        for _ in range(5_000):
            counters.incr("key", 60)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters.get("key") == 20_000
