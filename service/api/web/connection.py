"""A client's connection. One that does not take what it has asked for is ended: an export holds a moment of the database until it is read."""

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = logging.getLogger(__name__)


def patient_for(seconds: float) -> type[HttpToolsProtocol]:
    """An HTTP protocol for uvicorn (`http=`) that ends a connection if a part of an answer is not taken within so many seconds.

    A part is what is sent at once: a page, some 20,000 rows of a file. The server learns of it as of any client that has gone, and what the
    answer was read from is let go. Only what does not fit into the system's own buffers is waited for.
    """

    class Connection(HttpToolsProtocol):
        _alarm: asyncio.TimerHandle | None = None

        def pause_writing(self) -> None:
            super().pause_writing()
            self._alarm = self.loop.call_later(seconds, self._give_up)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._calm()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._calm()

        def _give_up(self) -> None:
            told: dict[str, Any] = {"method": self.scope["method"], "path": self.scope["path"], "seconds": seconds}
            log.warning("answer.not_taken", extra=told)
            self.transport.abort()  # to close it would wait until the rest is taken

        def _calm(self) -> None:
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None

    return Connection
