"""Answers that are held open until something happens: how many of them a caller may have at once in this process."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from service.api.errors import Problem

MOST_OF_ONE = 64  # streams and long polls of a caller: the desks of a large control room that share a key, and a third of the streams of a worker
COME_BACK = 30  # seconds: half of the longest wait


class Held:
    """Those that are open now, by caller. The event loop alone counts them."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    @contextmanager
    def one(self, caller_id: str) -> Iterator[None]:
        """Counts an answer while it is held open. Raises Problem 429 if its caller has too many already."""
        if self._open[caller_id] >= MOST_OF_ONE:
            detail = f"the key has {MOST_OF_ONE} streams and waiting requests open already"
            mend = "end some of them, or ask /v1/alerts/changes without 'wait'"
            raise Problem(429, detail, where="Authorization", mend=mend, headers={"Retry-After": str(COME_BACK)})
        self._open[caller_id] += 1
        try:
            yield
        finally:
            self._open[caller_id] -= 1
            if not self._open[caller_id]:
                del self._open[caller_id]
