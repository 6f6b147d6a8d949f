"""Asking other services over HTTP: limits of time and size, only what has changed, and errors that name no key and no password."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from forecasting.errors import InputError

CONNECT, READ = 10.0, 30.0  # seconds that a server has to answer, and to go on answering
DEADLINE = 120.0  # seconds until a whole answer is there
MOST_BYTES = 16 << 20  # of an answer: a weather forecast of a hundred places has less than one
TRIES = 6  # of a request that the server wants later
LONGEST_WAIT = 60.0  # seconds that we wait when it does; else the next pull comes again

for _name in ("httpx", "httpcore"):  # they would log addresses and headers, keys included
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        content: its bytes; None: nothing has changed.
        etag, last_modified: how its server names this version.
    """

    content: bytes | None
    etag: str | None = None
    last_modified: str | None = None


def get(
    url: str,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    etag: str | None = None,
    last_modified: str | None = None,
) -> Answer:
    """Asks for a URL. A server that is busy (429, 503) is asked again when it says so, within limits.

    Args:
        params: added to those of the URL.
        etag, last_modified: of the version that is known.
    Raises:
        InputError: it cannot be reached, is too slow, answers with an error or with too much; the message has its host and path alone.
    """
    wanted = {"Accept-Encoding": "identity", "User-Agent": "weisu", **(headers or {})}
    if etag:
        wanted["If-None-Match"] = etag
    if last_modified:
        wanted["If-Modified-Since"] = last_modified
    for last in (*(False,) * (TRIES - 1), True):
        answer = _once(url, wanted, params, last)
        if isinstance(answer, Answer):
            return answer
        time.sleep(answer)
    raise AssertionError


def shown(url: str) -> str:
    """An address without user, password and question, in which keys stand."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _once(url: str, headers: Mapping[str, str], params: Mapping[str, str] | None, last: bool) -> Answer | float:
    """The answer, or the seconds after which the server wants to be asked again."""
    end = time.monotonic() + DEADLINE
    where = shown(url)
    try:
        address = httpx.URL(url)
        address = address.copy_merge_params(dict(params)) if params else address
        with (
            httpx.Client(timeout=httpx.Timeout(READ, connect=CONNECT)) as client,
            client.stream("GET", address, headers=dict(headers)) as response,
        ):
            if response.status_code == 304:
                return Answer(None, headers.get("If-None-Match"), headers.get("If-Modified-Since"))
            wait = _wait(response)
            if wait is not None and not last:
                return wait
            if response.is_redirect:
                raise InputError(f"answers with a redirect ({response.status_code})", where, "name the address to which it leads")
            if response.status_code in (401, 403):
                raise InputError(f"does not let us in ({response.status_code})", where, "correct the key or password")
            if not response.is_success:
                raise InputError(f"answers with {response.status_code}", where, "see whether the service works; it is tried again")
            content = bytearray()
            for part in response.iter_bytes():
                content += part
                if len(content) > MOST_BYTES:
                    raise InputError(f"answers with more than {MOST_BYTES >> 20} MB", where, "ask for less")
                if time.monotonic() > end:
                    raise InputError(f"has not answered within {DEADLINE:.0f} s", where, "see whether the service works; it is tried again")
            return Answer(bytes(content), response.headers.get("etag"), response.headers.get("last-modified"))
    except InputError:
        raise
    except httpx.TimeoutException:
        raise InputError("does not answer in time", where, "see whether the service works; it is tried again") from None
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise InputError(f"cannot be reached ({type(error).__name__})", where, "correct the address, or see whether the service works") from None
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise InputError("is no address, or a header of the request is none", where, "correct the address and the headers") from None


def _wait(response: httpx.Response) -> float | None:
    """Seconds after which a busy server wants to be asked again; None: it is not busy, or it takes too long."""
    if response.status_code not in (429, 503):
        return None
    told = response.headers.get("retry-after", "")
    seconds = float(told) if told.isdecimal() else None
    return None if seconds is None or seconds > LONGEST_WAIT else max(seconds, 1.0)
