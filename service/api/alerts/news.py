"""What is newest in the feed of changes: one look twice a second for all clients of this process that wait, however many they are."""

import asyncio
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sse_starlette.sse import AppStatus
from starlette.concurrency import run_in_threadpool

from service.store import alert_changes
from service.store.engine import reading

LOOK_EVERY = 0.5  # seconds: a change is told within one, and a look costs one small query

T = TypeVar("T")


def stopping() -> bool:
    """Whether the server was told to stop: whoever waits is let go, for it waits for them."""
    return bool(AppStatus.should_exit)


class News:
    """The newest change, looked for while somebody waits. Belongs to one event loop; waiting takes no thread.

    Attributes:
        newest: number of the newest change when it was looked for last.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.newest = 0
        self._waiting = 0
        self._moved = asyncio.Event()
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}

    async def after(self, seq: int, seconds: float) -> None:
        """Returns when there is a change after a number, when so many seconds are over, or when the server stops."""
        if not self._waiting:
            self._moved = asyncio.Event()
            self._looking = asyncio.create_task(self._look())
        self._waiting += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while self.newest <= seq and not stopping():
                        await self._moved.wait()
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._looking.cancel()

    async def once(self, key: Hashable, read: Callable[[], T]) -> T:
        """What a reading gives, made in a worker thread; whoever asks for the same while it is under way is given it too.

        All who wait want to know the same at the same moment: four hundred clients cost one reading.
        """
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(run_in_threadpool(read))
            task.add_done_callback(lambda _: self._under_way.pop(key))
        found: T = await asyncio.shield(task)  # that one of them goes away does not end it for the others
        return found

    async def _look(self) -> None:
        while not stopping():
            with suppress(SQLAlchemyError):  # those who wait see it themselves when they read
                newest = await run_in_threadpool(self._read)
                if newest != self.newest:
                    self.newest = newest
                    self._wake()
            await asyncio.sleep(LOOK_EVERY)
        self._wake()

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _read(self) -> int:
        with reading(self._engine) as conn:
            return alert_changes.newest(conn)
