"""How much a caller may ask for, and how often an address may fail: a minute from the first request on, in the memory of each API process."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from fastapi import Request
from limits import RateLimitItemPerMinute
from limits.strategies import FixedWindowRateLimiter

from service.api.callers.counters import Counters
from service.api.errors import Problem

FILE_COST = 20  # a file of a whole set takes about as long as twenty lists
ALL_ADDRESSES = 10  # times the failures of one address, from all together: bounds what is remembered of addresses
_FILES = ("csv", "ndjson", "parquet", "arrow")


@dataclass(frozen=True)
class Quota:
    """What is left to a caller.

    Attributes:
        most: requests in a minute.
        left: of these, now.
        seconds: until the oldest request of the window no longer counts.
    """

    most: int
    left: int
    seconds: int

    @property
    def headers(self) -> dict[str, str]:
        """As the IETF's draft "RateLimit header fields for HTTP" writes it."""
        return {"RateLimit-Policy": f'"key";q={self.most};w=60', "RateLimit": f'"key";r={self.left};t={self.seconds}'}


class Rates:
    """The windows of one API process.

    Args:
        requests: of a caller, in a minute.
        failures: of an address, in a minute.
    """

    def __init__(self, requests: int, failures: int) -> None:
        self._windows = FixedWindowRateLimiter(Counters())
        self._requests = RateLimitItemPerMinute(requests)
        self._failures = RateLimitItemPerMinute(failures)
        self._all_failures = RateLimitItemPerMinute(failures * ALL_ADDRESSES)
        self._clock = time.time()

    def charge(self, caller_id: str, cost: int) -> Quota:
        """Takes a request off what a caller has left.

        Raises:
            Problem: 429, nothing is left; `Retry-After` says when to ask again.
        """
        most = self._requests.amount
        self._look_at_the_clock()
        asked = (self._requests, "caller", caller_id)
        taken = self._windows.test(*asked, cost=min(cost, most)) and self._windows.hit(*asked, cost=min(cost, most))  # what is refused costs nothing
        reset, left = self._windows.get_window_stats(*asked)
        quota = Quota(most, max(left, 0), max(math.ceil(reset - time.time()), 1))
        if not taken:
            detail = f"the key has had its {most} requests of this minute"
            mend = "ask less often: keep what you have, use ETags, or take one file in the place of many pages"
            raise Problem(429, detail, where="Authorization", mend=mend, headers={**quota.headers, "Retry-After": str(quota.seconds)})
        return quota

    def failed(self, request: Request) -> None:
        """Notes a request that brought no valid key. Raises Problem 429 if its address, or all together, have brought too many."""
        self._count(request, self._windows.hit)

    def require_calm(self, request: Request) -> None:
        """Raises Problem 429 if the address of a request, or all together, have failed too often to be let try again."""
        self._count(request, self._windows.test)

    def _look_at_the_clock(self) -> None:
        """Begins anew when the clock was set back: what was asked before it would count until it has gone the same way again."""
        now = time.time()
        if now < self._clock - 1:
            self._windows.storage.reset()
        self._clock = now

    def _count(self, request: Request, within: Callable[..., bool]) -> None:
        self._look_at_the_clock()
        if not (within(self._all_failures, "failures") and within(self._failures, "failures", _network(request))):
            raise Problem(429, "too many requests without a valid key", where="Authorization", headers={"Retry-After": "60"})


def cost_of(request: Request) -> int:
    """How many requests this one counts as."""
    wanted = request.query_params.get("format", "")
    accepted = request.headers.get("accept", "")
    return FILE_COST if wanted in _FILES or any(f"/{form}" in accepted or f".{form}" in accepted for form in _FILES) else 1


def _network(request: Request) -> str:
    """Whom a failure is laid to: an address; of IPv6, where one household has 2**64 of them, its first half."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))
