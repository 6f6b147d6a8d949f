"""A limit to the size of a request's body, answered with a problem document like every other error.

Starlette's own `max_body_size` answers in plain text, and has one size for all paths.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message


def limited_to(most: int) -> type[APIRoute]:
    """A `route_class` for routes that take no more than `most` bytes, nor than `WEISU_BODY_KB`; more is answered with 413 before it is read."""

    class LimitedRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def limited(request: Request) -> Response:
                allowed = min(most, request.app.state.service.settings.body_kb << 10)
                too_large = HTTPException(413, f"the body is larger than {allowed} bytes")
                announced = request.headers.get("content-length", "")
                taken = 0

                async def receive() -> Message:
                    nonlocal taken
                    message = await request.receive()
                    taken += len(message.get("body", b""))
                    if taken > allowed:
                        raise too_large
                    return message

                if announced.isdecimal() and int(announced) > allowed:
                    raise too_large
                return await handle(Request(request.scope, receive))

            return limited

    return LimitedRoute
