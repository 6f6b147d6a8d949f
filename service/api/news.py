"""What is newest in the feed of changes: one look twice a second for all clients of this process that wait, however many they are."""

import asyncio
import logging
from contextlib import suppress

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sse_starlette.sse import AppStatus
from starlette.concurrency import run_in_threadpool

from service.store import alert_changes
from service.store.engine import reading

LOOK_EVERY = 0.5  # seconds: a change is told within one, and a look costs one small query

log = logging.getLogger(__name__)


def stopping() -> bool:
    """Whether the server was told to stop: whoever waits is let go, for it waits for them."""
    return bool(AppStatus.should_exit)


class News:
    """The newest change, looked for while somebody waits. Belongs to one event loop; waiting takes no thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._newest = 0
        self._waiting = 0
        self._moved = asyncio.Event()

    async def after(self, seq: int, seconds: float) -> None:
        """Returns when there is a change after a number, when so many seconds are over, or when the server stops."""
        if not self._waiting:
            self._moved = asyncio.Event()
            self._looking = asyncio.create_task(self._look())
        self._waiting += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while self._newest <= seq and not stopping():
                        await self._moved.wait()
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._looking.cancel()

    async def _look(self) -> None:
        while not stopping():
            with suppress(SQLAlchemyError):  # those who wait see it themselves when they read
                newest = await run_in_threadpool(self._read)
                if newest != self._newest:
                    self._newest = newest
                    self._wake()
            await asyncio.sleep(LOOK_EVERY)
        self._wake()

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _read(self) -> int:
        with reading(self._engine) as conn:
            return alert_changes.newest(conn)
