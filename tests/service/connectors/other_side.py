"""The other side of a pull: a real HTTP server, whose answers a test decides."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    """A request that came: its path, the parameters of its question, its headers in lower case."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]


@dataclass
class Reply:
    """What is answered; `body` may be written in pieces."""

    body: bytes | Callable[[Callable[[bytes], Any]], None] = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class OtherSide:
    """A server under way.

    Attributes:
        url: of its root.
        asked: what came so far.
        answer: what it answers.
    """

    url: str
    asked: list[Asked] = field(default_factory=list)
    answer: Callable[[Asked], Reply] = lambda _: Reply()


@contextmanager
def running() -> Iterator[OtherSide]:
    """Starts a server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            params = {name: values[0] for name, values in parse_qs(parts.query).items()}
            asked = Asked(parts.path, params, {name.lower(): value for name, value in self.headers.items()})
            side.asked.append(asked)
            reply = side.answer(asked)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                if callable(reply.body):
                    reply.body(self.wfile.write)
                else:
                    self.wfile.write(reply.body)
            except OSError:  # the client had enough
                pass

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    side = OtherSide(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield side
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
