"""The page's session: a one-time token in the address becomes a signed cookie, so that a person on this machine needs no key.

The cookie is kept from scripts (HttpOnly) and goes with requests of our own pages alone (SameSite=Strict); a request that changes something
must besides say, in its `Origin` header, that a page of this very address sends it.
"""

import hashlib
import secrets
from urllib.parse import urlsplit

from fastapi import Request, Response
from itsdangerous import BadSignature, TimestampSigner

from service import secret
from service.api.errors import Problem
from service.clock import Clock
from service.settings import Settings
from service.store.keys import Caller

LIFETIME = 12 * 3600  # seconds: a shift
SCOPES = frozenset({"forecasts:read", "alerts:read", "alerts:write"})  # what a duty officer does at a page
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Sessions:
    """Makes and reads the cookies of an installation; none is stored."""

    def __init__(self, settings: Settings) -> None:
        self._signer = _Signer(secret.derived(settings, "page sessions"), settings.clock)
        self.cookie = f"weisu_{settings.api_port}"  # browsers do not tell the ports of a host apart: two demos would log each other out

    def begin(self, request: Request, response: Response) -> None:
        """Lets a response begin a session."""
        response.set_cookie(
            self.cookie,
            self._signer.sign(secrets.token_hex(8)).decode(),
            max_age=LIFETIME,
            path="/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )

    def caller(self, request: Request) -> Caller | None:
        """Whose session a request carries; None: none that is valid. Raises Problem 403 for a change that may come from a foreign page."""
        try:
            session = self._signer.unsign(request.cookies.get(self.cookie, ""), max_age=LIFETIME - 1).decode()  # so many whole seconds old at most
        except BadSignature:  # or too old
            return None
        if request.method not in _SAFE and not _of_our_page(request):
            detail = "a change needs a key, or an Origin header that says that our own page asks for it"
            raise Problem(403, detail, where="Origin", mend="send a key: 'Authorization: Bearer weisu_…'")
        return Caller(f"page {session}", "page", SCOPES, None)


class _Signer(TimestampSigner):
    """Signs with the moment of the service's clock."""

    def __init__(self, key: bytes, clock: Clock) -> None:
        super().__init__(key, digest_method=hashlib.sha256)
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(self._clock.now().timestamp())


def _of_our_page(request: Request) -> bool:
    """Whether a browser says that a page from the host of the request sends it."""
    host, origin = request.headers.get("host", ""), request.headers.get("origin", "")
    try:
        return bool(host) and urlsplit(origin).netloc == host
    except ValueError:  # a broken address
        return False
