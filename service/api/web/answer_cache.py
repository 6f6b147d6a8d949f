"""Answers that are given again: while nothing has moved in the store, the same question has the same answer, ready as bytes.

A question is asked again and again: a page that is open on forty walls, four hundred centres that poll. Who asks and what they may is checked
each time.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.callers.access import Access
from service.api.deps import Service
from service.api.errors import Problem, problem_response
from service.api.remembered import City
from service.store.keys import Caller

STALE_SINCE = "Stale-Since"
"""Header of an answer that was given while the store did not answer: the moment of what is known."""
ALERTS = "/v1/alerts"  # below it an answer is another one when an alert has changed
ASKED_BY = (b"accept", b"if-none-match")  # the headers on which an answer depends

Endpoint = Callable[..., Any]


def repeated(seconds: float) -> Callable[[Endpoint], Endpoint]:
    """Makes an endpoint that is a function of its query, its caller and the store answer from memory, for so many seconds.

    The endpoint has the arguments `request`, `service` and `caller`, has no parameters in its path, and runs in a thread when its answer is
    not ready. A stream goes by.
    """

    def remembering(endpoint: Endpoint) -> Endpoint:
        @wraps(endpoint)
        async def answered(**given: Any) -> Response:
            request: Request = given["request"]
            service: Service = given["service"]
            city = service.remembered.known()
            if city is None:
                city = await run_in_threadpool(service.remembered.city)
            question = _question(request.scope, service, city, given["caller"])
            ready = city.answers.get(question)
            if ready is None:
                ready = await run_in_threadpool(_response, endpoint, given)
                if city.stale_since:
                    ready.headers[STALE_SINCE] = service.local(city.stale_since).isoformat()
                if not isinstance(ready, StreamingResponse):
                    city.answers.put(question, ready, seconds)
            return ready

        return answered

    return remembering


@dataclass(frozen=True)
class _Known:
    """Stands for the route of an answer from memory."""

    path: str


class Repeating:
    """Gives answers that are ready before FastAPI looks at a request, which takes ten times as long as to send one.

    They go to callers who are known, have the scopes and districts of the one who got the answer first, and ask the same: to them it would be the
    same. Whatever else comes goes on to the application.
    """

    def __init__(self, app: ASGIApp, service: Service, access: Access) -> None:
        self._app, self._service, self._access = app, service, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._ready(scope) or self._app)(scope, receive, send)

    def _ready(self, scope: Scope) -> Response | None:
        if scope["type"] != "http" or scope["method"] != "GET":
            return None
        city = self._service.remembered.known()
        scheme, _, token = next((value for name, value in scope["headers"] if name == b"authorization"), b"").partition(b" ")
        if city is None or scheme.lower() != b"bearer":
            return None
        key = token.decode("latin-1")
        caller = self._service.remembered.known_caller(key)
        if caller is None:
            return None
        ready = city.answers.get(_question(scope, self._service, city, caller))
        if ready is not None:
            scope["route"] = _Known(scope["path"])
            try:
                self._access.admit(Request(scope), caller, key)
            except Problem as problem:
                return problem_response(Request(scope), problem)
        return ready


def _question(scope: Scope, service: Service, city: City, caller: Caller) -> Hashable:
    """All that an answer depends on, beside the trees and the set of the city that keeps it."""
    asked_by = tuple(pair for pair in scope["headers"] if pair[0] in ASKED_BY)
    of_alerts = (city.moves, service.remembered.writes) if scope["path"].startswith(ALERTS) else None
    today = service.clock.local_now().date()
    return scope["path"], scope["query_string"], asked_by, caller.scopes, caller.districts, today, city.stale_since, of_alerts


def _response(endpoint: Endpoint, given: dict[str, Any]) -> Response:
    """Calls an endpoint in this thread; what it returns becomes what FastAPI would make of it."""
    made = endpoint(**given)
    if isinstance(made, BaseModel):
        headers = {name: value for one in given.values() if isinstance(one, Response) for name, value in one.headers.items()}
        return Response(made.model_dump_json(by_alias=True), media_type="application/json", headers=headers)
    assert isinstance(made, Response)
    return made
