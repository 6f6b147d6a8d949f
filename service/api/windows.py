"""Moving windows of a minute: how much each of many has had of late. A window is right at its edges, for it remembers every moment."""

import threading
import time
from collections import deque

SECONDS = 60.0


class Windows:
    """A window for each of many, in the memory of one process; safe to use from several threads.

    What is out of its window is forgotten when its owner comes again, and once in a minute of all others: nobody who stays away takes room.

    Args:
        most: what one may have in a minute.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._moments: dict[str, deque[float]] = {}  # of each, the oldest first
        self._latest = time.time()
        self._swept = self._latest
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._moments)

    def has_room(self, who: str, cost: int = 1) -> bool:
        """Whether somebody may have so much more."""
        with self._lock:
            return len(self._of(who, self._now())) + cost <= self.most

    def take(self, who: str, cost: int = 1) -> tuple[bool, int, float]:
        """Lets somebody have so much more, or nothing of it: whether it was let, what is left, and seconds until the oldest counts no longer."""
        with self._lock:
            now = self._now()
            moments = self._of(who, now)
            let = len(moments) + cost <= self.most
            if let:
                moments.extend([now] * cost)
                self._moments[who] = moments
            return let, self.most - len(moments), moments[0] + SECONDS - now if moments else 0.0

    def _of(self, who: str, now: float) -> deque[float]:
        moments = self._moments.get(who)
        if moments is None:
            return deque()
        while moments and moments[0] < now - SECONDS:
            moments.popleft()
        return moments

    def _now(self) -> float:
        """The clock's moment. When it was set back all begins anew: what came before would count until the clock has gone the same way again."""
        now = time.time()
        if now < self._latest - 1:
            self._moments.clear()
            self._swept = now
        if now > self._swept + SECONDS:
            self._moments = {who: moments for who, moments in self._moments.items() if moments[-1] >= now - SECONDS}
            self._swept = now
        self._latest = now
        return now
