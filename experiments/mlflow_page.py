"""What `weisu mlflow` serves: MLflow's own application, without its assistant.

The assistant drives programs of this machine's user, a shell among them, for whoever can ask on the loopback address: every user of the machine,
and every container and tunnel that ends there. MLflow has no switch that turns it off.
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

NAME = "weisu"  # of the entry point in `pyproject.toml` by which `mlflow server --app-name` finds `create_app`
ASSISTANT = re.compile(r"/(ajax-)?api/[^/]+/mlflow/assistant(/|$)", re.IGNORECASE)  # whatever the version and what stands before


def create_app() -> "ASGIApp":
    """MLflow's application behind the refusal; MLflow calls it in the process that serves."""
    from mlflow.server.fastapi_app import app  # late: the process that only looks for this function needs none of it

    return WithoutAssistant(app)


class WithoutAssistant:
    """Answers 403 for the assistant and hands everything else on."""

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] not in ("http", "websocket") or not ASSISTANT.search(scope["path"]):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"the assistant is switched off: it could run programs on this machine\n"})
