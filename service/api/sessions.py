"""The page's session: a one-time token in the address becomes a signed cookie, so that a person on this machine needs no key.

The cookie is kept from scripts (HttpOnly) and goes with requests of our own pages alone (SameSite=Strict); a request that changes something
must besides say, in its `Origin` header, that a page of this very address sends it.
"""

import hashlib
import hmac
import re
import secrets
from urllib.parse import urlsplit

from fastapi import Request, Response

from service import secret
from service.api.errors import Problem
from service.settings import Settings
from service.store.keys import Caller

LIFETIME = 12 * 3600  # seconds: a shift
SCOPES = frozenset({"forecasts:read", "alerts:read", "alerts:write"})  # what a duty officer does at a page
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM = re.compile(r"(\d{1,12}\.[0-9a-f]{16})\.([0-9a-f]{64})", re.ASCII)


class Sessions:
    """Makes and reads the cookies of an installation; none is stored."""

    def __init__(self, settings: Settings) -> None:
        self._clock = settings.clock
        self._key = secret.derived(settings, "page sessions")
        self.cookie = f"weisu_{settings.api_port}"  # browsers do not tell the ports of a host apart: two demos would log each other out

    def begin(self, request: Request, response: Response) -> None:
        """Lets a response begin a session."""
        told = f"{int(self._clock.now().timestamp()) + LIFETIME}.{secrets.token_hex(8)}"
        response.set_cookie(
            self.cookie,
            f"{told}.{self._signed(told)}",
            max_age=LIFETIME,
            path="/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )

    def caller(self, request: Request) -> Caller | None:
        """Whose session a request carries; None: none that is valid. Raises Problem 403 for a change that may come from a foreign page."""
        form = _FORM.fullmatch(request.cookies.get(self.cookie, ""))
        if form is None or not hmac.compare_digest(self._signed(form[1]), form[2]):
            return None
        end, _, session = form[1].partition(".")
        if int(end) <= self._clock.now().timestamp():
            return None
        if request.method not in _SAFE and not _of_our_page(request):
            detail = "a change needs a key, or an Origin header that says that our own page asks for it"
            raise Problem(403, detail, where="Origin", mend="send a key: 'Authorization: Bearer weisu_…'")
        return Caller(f"page {session}", "page", SCOPES, None)

    def _signed(self, told: str) -> str:
        return hmac.new(self._key, told.encode(), hashlib.sha256).hexdigest()


def _of_our_page(request: Request) -> bool:
    """Whether a browser says that a page from the host of the request sends it."""
    host, origin = request.headers.get("host", ""), request.headers.get("origin", "")
    try:
        return bool(host) and urlsplit(origin).netloc == host
    except ValueError:  # a broken address
        return False
