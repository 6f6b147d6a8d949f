"""A limit to the size of a request's body, answered with a problem document like every other error.

FastAPI's own `max_body_size` answers in plain text.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message


def limited_to(most: int) -> type[APIRoute]:
    """A `route_class` for routes that take no more than `most` bytes; more is answered with 413 before it is read."""

    too_large = HTTPException(413, f"the body is larger than {most} bytes")

    class LimitedRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def limited(request: Request) -> Response:
                announced = request.headers.get("content-length", "")
                taken = 0

                async def receive() -> Message:
                    nonlocal taken
                    message = await request.receive()
                    taken += len(message.get("body", b""))
                    if taken > most:
                        raise too_large
                    return message

                if announced.isdecimal() and int(announced) > most:
                    raise too_large
                return await handle(Request(request.scope, receive))

            return limited

    return LimitedRoute
