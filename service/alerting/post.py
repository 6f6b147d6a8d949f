"""One attempt to hand a message to a receiver: to a checked address, within a limit of time, whatever the receiver does."""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from time import monotonic

import httpx

from forecasting.errors import InputError
from service.alerting.receivers import Receivers, Refused, port_of
from service.store.deliveries import Outcome

LIMIT = 15.0  # seconds of an attempt, all in all; a receiver takes a message and answers, and works on it later
CONNECT = 5.0  # seconds for one address
ANSWER_SECONDS = 2.0  # in which the answer's text is waited for; its status counts without
ANSWER = 300  # characters of an answer that are kept
USER_AGENT = f"weisu/{version('weisu')}"
GONE = 410  # the receiver wants no more


class Post:
    """Sends.

    Args:
        receivers: which addresses may be sent to.
        trusted: whose certificates are believed; by default those that the world believes, or SSL_CERT_FILE.
    """

    def __init__(self, receivers: Receivers, trusted: ssl.SSLContext | None = None) -> None:
        self.receivers = receivers
        self.trusted = trusted or httpx.create_ssl_context()

    def send(self, url: str, headers: Mapping[str, str], body: str) -> Outcome:
        """Posts a body, which is JSON, once. Never raises for what a receiver does: the outcome says it.

        Any status from 200 to 299 is a delivery; a redirect is none, for it could lead anywhere.
        """
        start = monotonic()
        status: int | None = None
        error: str | None = None
        wait: timedelta | None = None
        answer = ""
        try:
            target = self.receivers.check(url)
            addresses = self.receivers.resolve(target)
            status, answer, wait = asyncio.run(asyncio.wait_for(self._exchange(target, addresses, dict(headers), body.encode()), LIMIT))
            if not 200 <= status < 300:
                error = f"answered {status}"
        except Refused as refused:
            error = str(refused)
        except InputError as bad:
            error = bad.what
        except (TimeoutError, httpx.TimeoutException):
            error = f"no answer within {monotonic() - start:.0f} s"
        except (httpx.HTTPError, OSError) as failure:
            error = f"{type(failure).__name__}: {failure}".rstrip(": ")
        return Outcome(round(1000 * (monotonic() - start)), status, error, answer, wait)

    async def _exchange(self, url: httpx.URL, addresses: list[str], headers: dict[str, str], body: bytes) -> tuple[int, str, timedelta | None]:
        """Status, beginning of the answer, and how long to wait. Of several addresses the first that takes a connection is sent to."""
        timeout = httpx.Timeout(LIMIT, connect=CONNECT)
        headers |= {"Host": url.netloc.decode(), "Content-Type": "application/json", "User-Agent": USER_AGENT}
        async with httpx.AsyncClient(verify=self.trusted, trust_env=False, timeout=timeout) as client:
            for address in addresses:
                there = url.copy_with(host=address, port=port_of(url))
                # The certificate must be the name's, although the connection goes to the address.
                request = client.build_request("POST", there, headers=headers, content=body, extensions={"sni_hostname": url.raw_host.decode()})
                try:
                    response = await client.send(request, stream=True)
                except (httpx.ConnectError, httpx.ConnectTimeout):
                    if address == addresses[-1]:
                        raise
                    continue
                try:
                    return response.status_code, await _beginning(response), _wait(response.headers.get("retry-after", ""))
                finally:
                    await response.aclose()
        raise Refused("the name has no address")


async def _beginning(response: httpx.Response) -> str:
    """The first characters of an answer, as they came over the line: what is packed is not unpacked."""
    piece = b""
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(ANSWER_SECONDS):
            async for chunk in response.aiter_raw():
                piece += chunk[: 4 * ANSWER]
                if len(piece) >= 4 * ANSWER:  # bytes of the widest character
                    break
    text = "".join(letter if letter.isprintable() else " " for letter in piece.decode("utf-8", "replace"))
    return text[:ANSWER].strip()


def _wait(text: str) -> timedelta | None:
    """What `Retry-After` says: seconds or a date; None: nothing that can be read."""
    try:
        if text.isascii() and text.isdecimal():
            return timedelta(seconds=int(text))
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime.now(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
