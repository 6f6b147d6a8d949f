"""Who asks: the bearer of a key, of a token of the identity provider, or the person at the page of this machine."""

import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from service import secret
from service.api.callers.held import Held
from service.api.callers.rates import Rates, cost_of
from service.api.callers.sessions import Sessions
from service.api.errors import NotValid, Problem
from service.api.remembered import Remembered
from service.settings import Settings
from service.store import keys
from service.store.engine import writing
from service.store.keys import Caller

if TYPE_CHECKING:
    from service.api.callers.oidc import Issuer

log = logging.getLogger(__name__)

GATHER = 1.0  # seconds in which uses of keys are gathered: four hundred centres are one transaction
CHALLENGE = 'Bearer realm="weisu"'
_INVALID = {"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"'}


class Access:
    """What one API worker knows about callers.

    Attributes:
        rates: what each of them has asked for of late.
        held: the answers that each of them holds open.
        sessions: the page's cookies.
    """

    def __init__(self, settings: Settings, engine: Engine, remembered: Remembered) -> None:
        self.settings = settings
        self.rates = Rates(settings.requests_per_minute, settings.failures_per_minute)
        self.held = Held()
        self.sessions = Sessions(settings)
        self._engine, self._remembered = engine, remembered
        self._secret = secret.of_keys(settings)
        self._issuer = _issuer(settings) if settings.oidc_issuer else None
        self._uses = _Uses(self._note_uses)

    async def caller(self, request: Request, token: str | None) -> Caller:
        """Who sends a request.

        Args:
            token: what its `Authorization` header bears; None without one.

        Raises:
            Problem: 401, neither a valid key or token nor a session; 403, a session's change that may come from a foreign page; 429, too many
                requests without a valid key from this address; 503, an identity provider that was never heard.
        """
        request.state.token = token
        try:
            return await self._known(request, token)
        except NotValid as error:
            raise self._refused(request, str(error), {"WWW-Authenticate": CHALLENGE} if token is None else _INVALID) from None

    async def still(self, request: Request) -> None:
        """For answers that last: that what a request was let in by opens something still.

        Raises:
            Problem: 401, it does not; 503 as `caller`.
            SQLAlchemyError: the store has not answered for so long that no key is believed any more.
        """
        try:
            await self._known(request, request.state.token)
        except NotValid as error:
            raise Problem(401, str(error), where="Authorization", headers=_INVALID) from None

    async def _known(self, request: Request, token: str | None) -> Caller:
        """Who sends a request. Raises NotValid: nobody whom we know; Problem 403 and 503 as `caller`."""
        if token is None:
            found = self.sessions.caller(request)
            if found is None:
                raise NotValid("the request carries no key")
            return found
        if self._issuer is not None and not token.startswith(keys.BEGINS):
            return await run_in_threadpool(self._issuer.caller, token)
        found = self._remembered.known_caller(token) or await run_in_threadpool(self._remembered.caller, token)
        if found is None:
            raise NotValid("the key is mistyped, unknown, expired or revoked")
        return found

    def admit(self, request: Request, caller: Caller, token: str | None) -> None:
        """Takes a request off what its caller has left, and notes that the key was used. The envelope tells what is left.

        Raises:
            Problem: 429, nothing is left.
        """
        if token is not None and token.startswith(keys.BEGINS):
            self._uses.note(caller.id, token)
        request.state.key_id = caller.id
        request.state.quota = self.rates.charge(caller.id, cost_of(request)).headers

    def close(self) -> None:
        """Ends what works beside the requests."""
        self._uses.close()

    def _refused(self, request: Request, detail: str, headers: Mapping[str, str]) -> Problem:
        self.rates.failed(request)
        return Problem(401, detail, where="Authorization", headers=headers)

    def _note_uses(self, tokens: Iterable[str]) -> None:
        try:
            with writing(self._engine) as conn:
                keys.note_uses(conn, tokens, self.settings.clock.now(), secret=self._secret)
        except SQLAlchemyError as error:  # the next uses tell again
            log.info("keys.uses_not_noted", extra={"error": type(error).__name__})


def _issuer(settings: Settings) -> "Issuer":
    from service.api.callers.oidc import Issuer  # with PyJWT: most installations have no identity provider

    return Issuer(settings)


class _Uses:
    """Writes down the last use of keys: one thread, beside the requests, at most once a minute and key; those of one second in one transaction."""

    def __init__(self, write: Callable[[Iterable[str]], None]) -> None:
        self._write = write
        self._noted: dict[str, float] = {}  # by id of a key that was verified
        self._waiting: list[str] = []
        self._closing = Event()
        self._thread = ThreadPoolExecutor(1, "key-uses")

    def note(self, key_id: str, token: str) -> None:
        now = monotonic()
        if now - self._noted.get(key_id, -1e9) >= keys.USE_EVERY / timedelta(seconds=1):
            self._noted[key_id] = now
            self._waiting.append(token)
            if len(self._waiting) == 1:
                self._thread.submit(self._write_down)

    def close(self) -> None:
        self._closing.set()
        self._thread.shutdown(cancel_futures=True)

    def _write_down(self) -> None:
        self._closing.wait(GATHER)
        waiting, self._waiting = self._waiting, []
        self._write(waiting)
