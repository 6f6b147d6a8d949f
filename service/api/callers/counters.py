"""Counters of fixed windows in memory, for the library that limits rates."""

import time
from threading import Lock

from limits.storage import Storage

TIDY = 60.0  # seconds between two looks for windows that have ended: as long as the windows are


class Counters(Storage):
    """As the library's own `MemoryStorage`, which starts a thread for nearly every request that comes a hundredth of a second after the one before:
    a quarter of what a poll cost. Here whoever counts tidies up, once a minute."""

    STORAGE_SCHEME = None  # made by hand, never by an address

    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[str, tuple[float, int]] = {}  # key -> when it ends, seconds since 1970; what was counted in it
        self._tidied = time.time()
        self._lock = Lock()

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        return ()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Counts in the window of a key; the first one opens it, for `expiry` seconds. Returns what it holds now."""
        with self._lock:
            now = time.time()
            if not 0 <= now - self._tidied < TIDY:
                self._windows = {key: window for key, window in self._windows.items() if window[0] > now}
                self._tidied = now
            end, counted = self._windows.get(key, (0.0, 0))
            if end <= now:
                end, counted = now + expiry, 0
            self._windows[key] = end, counted + amount
            return counted + amount

    def get(self, key: str) -> int:
        """What the window of a key holds; 0: none is open."""
        end, counted = self._windows.get(key, (0.0, 0))
        return counted if end > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """When the window of a key ends, seconds since 1970; now: none is open."""
        return self._windows.get(key, (time.time(), 0))[0]

    def check(self) -> bool:
        return True

    def clear(self, key: str) -> None:
        with self._lock:
            self._windows.pop(key, None)

    def reset(self) -> int:
        """Closes all windows; returns how many."""
        with self._lock:
            closed, self._windows = len(self._windows), {}
            return closed

    def __len__(self) -> int:
        return len(self._windows)
