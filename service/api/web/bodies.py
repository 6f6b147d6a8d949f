"""What is asked of a request's body before it is read, answered with a problem document like every other error: that it is JSON, and no larger than
its path takes.

Starlette's own `max_body_size` answers in plain text, and has one size for all paths.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message

from service.api.errors import Problem


def limited_to(most: int) -> type[APIRoute]:
    """A `route_class` for routes that take JSON, and no more than `most` bytes, nor than `WEISU_BODY_KB`: else 415 or 413, before it is read."""

    class LimitedRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle, takes_body = super().get_route_handler(), self.body_field is not None

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
                if takes_body:
                    _require_json(request)
                return await handle(Request(request.scope, receive))

            return limited

    return LimitedRoute


def _require_json(request: Request) -> None:
    """Raises Problem 415 if a request has a body that is not said to be JSON."""
    there = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    if there and not is_json:
        told = f"'{kind[:80]}' is no form of this body" if kind else "the body has no Content-Type"
        raise Problem(415, told, where="Content-Type", mend="send it as application/json")
