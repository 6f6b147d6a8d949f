"""Clients that load an API: wrk for as much as it bears, and a steady rate for how long one waits."""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import perf_counter

from forecasting.errors import InputError

CONNECTIONS = 16  # kept alive, as a proxy in front of it keeps them
WRK_SECONDS = 10


@dataclass(frozen=True)
class Ask:
    """A GET request: path with its query, and headers."""

    path: str
    headers: tuple[tuple[str, str], ...]

    @classmethod
    def with_key(cls, path: str, key: str, **headers: str) -> "Ask":
        """A request with a key; `if_none_match` stands for `If-None-Match`."""
        more = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        return cls(path, (("Authorization", f"Bearer {key}"), *more))


@dataclass(frozen=True)
class Pace:
    """What wrk has seen: requests a second, and the answers that were neither 2xx nor 3xx."""

    per_second: float
    refused: int


def pace(folder: Path, port: int, asks: Sequence[Ask], seconds: int = WRK_SECONDS) -> Pace:
    """Sends requests, one after the other in turn, as fast as they are answered over `CONNECTIONS` connections.

    Raises:
        InputError: wrk is not installed.
    """
    if shutil.which("wrk") is None:
        raise InputError("wrk is not installed", "bench-load", "install it: apt-get install wrk")
    script = folder / "asks.lua"
    quoted = [f"{{{json.dumps(ask.path)}, {{{', '.join(f'[{json.dumps(k)}]={json.dumps(v)}' for k, v in ask.headers)}}}}}" for ask in asks]
    script.write_text(
        "local asks = {\n" + ",\n".join(quoted) + "\n}\nlocal n = 0\n"
        "request = function()\n  n = n % #asks + 1\n  return wrk.format('GET', asks[n][1], asks[n][2])\nend\n"
    )
    command = ["wrk", "-t", "1", "-c", f"{CONNECTIONS}", "-d", f"{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", told)
    assert found, told
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    return Pace(float(found[1]), int(refused[1]) if refused else 0)


def waits(port: int, asks: Sequence[Ask], rate: float, seconds: float) -> list[tuple[float, int]]:
    """Sends requests in turn at a steady rate, whether or not the earlier ones are answered; seconds and status of each.

    Time counts from the moment at which a request was due: one that had to wait for others waits as long as its sender would.
    """
    return asyncio.run(_waits(port, asks, rate, round(rate * seconds)))


async def _waits(port: int, asks: Sequence[Ask], rate: float, number: int) -> list[tuple[float, int]]:
    found: list[tuple[float, int]] = []
    numbers, began = count(), perf_counter() + 0.1

    async def sender() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (turn := next(numbers)) < number:
            due = began + turn / rate
            await asyncio.sleep(max(due - perf_counter(), 0.0))
            status = await _exchange(reader, writer, asks[turn % len(asks)])
            found.append((perf_counter() - due, status))
        writer.close()

    await asyncio.gather(*(sender() for _ in range(CONNECTIONS)))
    return found


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ask: Ask) -> int:
    """One request and its answer over an open connection; its status."""
    lines = [f"GET {ask.path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in ask.headers), "", ""]
    writer.write("\r\n".join(lines).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    length = re.search(rb"\r\ncontent-length: (\d+)", head.lower())
    if length:
        await reader.readexactly(int(length[1]))
    return status
