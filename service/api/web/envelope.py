"""What every request and answer has, whatever its path: an id, a time limit, headers, and an end that is a problem document."""

import asyncio
import logging
import re
import secrets
from itertools import count

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import Problem, problem_response
from service.logs import REQUEST_ID

log = logging.getLogger(__name__)

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # an address may hold a token
    "Cache-Control": "no-store",  # what a path does not allow to be kept is kept nowhere
}
_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
_WORKER, _NUMBERS = secrets.token_hex(8), count(1)  # an id is its worker's own number and the request's: nobody need ask the system for chance
_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}", re.ASCII)


class Envelope:
    """The outermost part of the application.

    Args:
        seconds: after so long without an answer, or without anything more of a body, a request is given up.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app, self.seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _ID.fullmatch(given) else f"{_WORKER}{next(_NUMBERS):016x}"
        scope.setdefault("state", {})["request_id"] = request_id
        before = REQUEST_ID.set(request_id)
        exchange = _Exchange(scope, receive, send, self.seconds)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except Exception:
            if not await exchange.fail():
                raise  # half of an answer is out: the server cuts the connection
        finally:
            exchange.end()
            REQUEST_ID.reset(before)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, seconds: float) -> None:
        self.scope, self._receive, self._send, self.seconds = scope, receive, send, seconds
        self.answered = False  # an answer has begun
        self.given_up = False  # what the application still says is not heard
        self._reading = False
        self._loop = asyncio.get_running_loop()
        self._alarm = self._loop.call_later(seconds, self._ring)
        self._late: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        if self.given_up:
            return {"type": "http.disconnect"}
        self._reading = True
        message = await self._receive()
        self._reading = False
        if not self.answered:
            self._alarm.cancel()
            self._alarm = self._loop.call_later(self.seconds, self._ring)
        return message

    async def send(self, message: Message) -> None:
        if not self.given_up:
            await self._say(message)

    async def fail(self) -> bool:
        """Answers for an application that has raised; False if an answer had begun."""
        if self.given_up:
            return True
        log.error("request.failed", extra={"method": self.scope["method"], "path": self.scope["path"]}, exc_info=True)
        if self.answered:
            return False
        await self._answer(Problem(500, "something went wrong in the service; it is not your request"))
        return True

    def end(self) -> None:
        """The application is done with it."""
        self._alarm.cancel()

    def _ring(self) -> None:
        if not self.answered:
            self.given_up = True
            self._late = self._loop.create_task(self._answer(self._too_late()))

    def _too_late(self) -> Problem:
        """What to say in the place of an application that says nothing. A thread that works on it works on: nothing can end it."""
        if self._reading:
            return Problem(408, f"nothing more of the body has come for {self.seconds:g} s", where="body", mend="send it again")
        log.error("request.given_up", extra={"method": self.scope["method"], "path": self.scope["path"], "seconds": self.seconds})
        return Problem(503, f"no answer within {self.seconds:g} s", mend="ask for less, or try again later", headers={"Retry-After": "30"})

    async def _answer(self, problem: Problem) -> None:
        await problem_response(Request(self.scope), problem)(self.scope, self.receive, self._say)

    async def _say(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.answered = True
            self._alarm.cancel()
            self._complete(message)
        await self._send(message)

    def _complete(self, message: Message) -> None:
        """Adds the headers that every answer has; what a path has set itself stays."""
        state, headers = self.scope["state"], message.setdefault("headers", [])
        there = {name for name, _ in headers}
        headers += [pair for pair in _HEADERS if pair[0] not in there]
        headers.append((b"x-request-id", state["request_id"].encode()))
        headers += [(name.lower().encode(), value.encode()) for name, value in state.get("quota", {}).items() if name.lower().encode() not in there]
