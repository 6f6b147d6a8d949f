"""What the store said a moment ago: what nearly every answer needs and what seldom moves.

A worker asks for the counters, the trees, the published forecasts and the keys about twice a second, and not for each request. It asks beside
the requests, before what it knows is too old, so that while they keep coming none of them waits for the store or for a new set that is read.
While the store does not answer, what it said last goes on being served, and says since when nothing newer is known.
"""

import copy
import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic

from fastapi import Response
from sqlalchemy import Connection, Engine
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import NO_ANSWER
from service.api.forecasts.published import LoadedSet, PublishedForecasts
from service.api.trees.nodes import Area, Category, Nodes, area_tree, category_tree
from service.clock import Clock
from service.store import counters, forecast_sets, keys
from service.store.engine import reading
from service.store.keys import Caller

log = logging.getLogger(__name__)

SECONDS = 0.8  # what was read earlier is too old: workers agree within a second after a publish, and a revoked key is refused within it
AHEAD = 0.6  # part of that time after which a request makes the worker look beside it
PATIENCE = 0.1  # seconds that a request waits for another one's look; a new set of a large city takes longer to read, and the old one is still right
BELIEVED = 3600.0  # seconds without an answer of the store, after which no key is believed any more
KEYS = 10_000  # that are remembered; each takes about half a kilobyte
ROOM = 40 << 20  # bytes of ready answers and all that goes with them: those about 2,000 series of 28 days
LARGEST = 1 << 20  # bytes of an answer that is kept: a larger one is a download, which nobody repeats at once
BESIDE = 2 << 10  # bytes that an answer takes beside its body and its question: that nothing has changed is told without a body at all


class Answers:
    """Answers that are ready to be sent again; when there is no room, those not asked for longest go. Used by the event loop alone."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[float, int, Response]] = OrderedDict()  # until when, the room that it takes, and the answer
        self._bytes = 0

    def get(self, question: Hashable) -> Response | None:
        """The answer to a question, if there is one that may be given still."""
        found = self._kept.get(question)
        if found is None or monotonic() > found[0]:
            return None
        self._kept.move_to_end(question)
        return _copy(found[2])

    def put(self, question: Hashable, answer: Response, seconds: float) -> None:
        """Keeps an answer, as it is now, for so many seconds; whoever sends it may add headers."""
        if len(answer.body) > LARGEST:
            return
        room = len(answer.body) + len(str(question)) + BESIDE
        before = self._kept.pop(question, None)
        self._kept[question] = (monotonic() + seconds, room, _copy(answer))
        self._bytes += room - (0 if before is None else before[1])
        while self._bytes > ROOM:
            self._bytes -= self._kept.popitem(last=False)[1][1]


def _copy(answer: Response) -> Response:
    made = copy.copy(answer)
    made.raw_headers = list(answer.raw_headers)
    return made


@dataclass(frozen=True)
class City:
    """What the store said at one moment.

    Attributes:
        current: the set that the pointer names; None before the first one is published.
        moves: the counters; they tell of every change of an alert and of labels.
        keys: ids of the keys that may be used.
        stale_since: when the store answered last, if it has not answered since; None: this is what it says.
        answers: those that were given from these trees and this set.
    """

    areas: Nodes[Area]
    categories: Nodes[Category]
    current: LoadedSet | None
    moves: frozenset[tuple[str, int]]
    keys: frozenset[str]
    stale_since: datetime | None = None
    answers: Answers = field(default_factory=Answers, compare=False, repr=False)


@dataclass(frozen=True)
class _Heard:
    """What a look brought, whole: it takes the place of the one before in one step.

    Attributes:
        writes: how often something had been written through this worker when the look began: what was written later, it may have missed.
        at: when it began, in monotonic seconds: the clock on the wall may jump.
    """

    city: City
    writes: int
    at: float


class Remembered:
    """What one worker has heard from the store. Safe to use from several threads.

    Attributes:
        writes: how often something was written through this worker.
    """

    def __init__(self, engine: Engine, forecasts: PublishedForecasts, clock: Clock, secret: bytes) -> None:
        self._engine, self._forecasts, self._clock, self._secret = engine, forecasts, clock, secret
        self.writes = 0
        self._heard: _Heard | None = None
        self._answered, self._answered_at = clock.now(), monotonic()
        self._unreadable: int | None = None  # the published set, if it could not be read
        self._looking = threading.Lock()
        self._beside = ThreadPoolExecutor(1, "look")
        self._callers: dict[bytes, Caller] = {}

    def known(self) -> City | None:
        """What was read within `SECONDS`, and since the last write through this worker, without waiting for anything; None: there is no such."""
        heard = self._heard
        if heard is None or heard.writes != self.writes:
            return None
        age = monotonic() - heard.at
        if AHEAD * SECONDS <= age < SECONDS and self._looking.acquire(blocking=False):
            self._beside.submit(self._look_beside)
        return heard.city if age < SECONDS else None

    def city(self) -> City:
        """The same, read anew if there is none; from the store's last word if it does not answer.

        While somebody else looks, what is too old is right still, and not waited for beyond `PATIENCE`; what may lack the caller's own write is not.

        Raises:
            DBAPIError: the store does not answer, and never has.
        """
        before = self._heard
        old = None if before is None or before.writes != self.writes else before.city
        if not self._looking.acquire(timeout=-1 if old is None else PATIENCE):
            assert old is not None
            return old
        try:
            heard = self._heard
            fresh = heard is not None and heard.writes == self.writes and monotonic() - heard.at < SECONDS
            return heard.city if heard is not None and fresh else self._look()
        finally:
            self._looking.release()

    def trees(self, conn: Connection, moves: Mapping[str, int]) -> tuple[Nodes[Area], Nodes[Category]]:
        """Both trees as a transaction sees them: those that are remembered, if its counters say that nothing has moved in them."""
        heard = self._heard
        if heard is not None and _labels(heard.city.moves) == moves.get(counters.TREES, 0):
            return heard.city.areas, heard.city.categories
        return area_tree(conn), category_tree(conn)

    def forget(self) -> None:
        """Something was written: what looks that have begun bring is not believed, and the next request looks anew. Used by the event loop alone."""
        self.writes += 1

    def known_caller(self, token: str) -> Caller | None:
        """The caller behind a key that was used before and not revoked within `SECONDS`, without waiting for anything; None: ask `caller`."""
        city = self.known()
        return None if city is None else self._remembered(city, token)

    def caller(self, token: str) -> Caller | None:
        """The caller behind a key, or None if it is malformed, unknown or revoked. A store that does not answer has revoked none.

        Raises:
            DBAPIError: the store does not answer, and the key has not been used before, or too much time has passed.
        """
        found = self._remembered(self.city(), token)
        if found is not None:
            return found
        with reading(self._engine) as conn:
            caller = keys.verify(conn, token, self._clock.now(), secret=self._secret)
        if caller is not None:
            if len(self._callers) >= KEYS:
                self._callers.clear()
            self._callers[_digest(token)] = caller
        return caller

    def _remembered(self, city: City, token: str) -> Caller | None:
        if city.stale_since is not None and monotonic() - self._answered_at > BELIEVED:
            return None
        found = self._callers.get(_digest(token))
        return found if found is not None and found.id in city.keys else None

    def _current(self, conn: Connection) -> LoadedSet | None:
        """The published set; the one before it, or none, if it cannot be read, for whatever reason: alerts and keys do not depend on it."""
        try:
            return self._forecasts.current(conn)
        except NO_ANSWER:
            raise
        except Exception:
            pointer = forecast_sets.pointer(conn)
            if pointer != self._unreadable:  # told once, not twice a second
                log.exception("forecasts.not_read", extra={"forecast_set": pointer})
                self._unreadable = pointer
            return None if self._heard is None else self._heard.city.current

    def _look_beside(self) -> None:
        try:
            self._look()
        finally:  # a request that finds it too old looks for itself, and is told what is wrong
            self._looking.release()

    def _look(self) -> City:
        before, writes, began = None if self._heard is None else self._heard.city, self.writes, monotonic()
        try:
            with reading(self._engine) as conn:
                moves = frozenset(counters.read(conn).items())
                current, usable = self._current(conn), keys.usable(conn, self._clock.now())
                if before is not None and before.current == current and _labels(before.moves) == _labels(moves):
                    found = replace(before, moves=moves, keys=usable, stale_since=None)  # with its answers
                else:
                    found = City(area_tree(conn), category_tree(conn), current, moves, usable)
        except NO_ANSWER:
            if before is None:
                raise
            found = before if before.stale_since else replace(before, stale_since=self._answered)
            began = monotonic()  # a store that is away is not asked again at once, however long it took to find out
        else:
            self._answered, self._answered_at = self._clock.now(), monotonic()
        self._heard = _Heard(found, writes, began)
        return found


class ForgettingWrites:
    """Who has changed something and asks the same worker again finds it changed: what was heard before is forgotten before the answer goes out.

    So does who is told that somebody else has changed it (409). Tickets and drivers change nothing that is remembered: what comes of them comes
    later, from detection and training. Nor does what was refused, or failed: a store that hangs must not make everybody wait for it.
    """

    SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
    INTAKE = frozenset({"/v1/tickets", "/v1/drivers"})

    def __init__(self, app: ASGIApp, remembered: Remembered) -> None:
        self._app, self._remembered = app, remembered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in self.SAFE or scope["path"] in self.INTAKE:
            await self._app(scope, receive, send)
            return

        async def forgetting(message: Message) -> None:
            if message["type"] == "http.response.start" and (message["status"] < 400 or message["status"] == 409):
                self._remembered.forget()
            await send(message)

        await self._app(scope, receive, forgetting)


def _labels(moves: frozenset[tuple[str, int]]) -> int:
    """The counter of the trees."""
    return dict(moves).get(counters.TREES, 0)


def _digest(token: str) -> bytes:
    """By what a key is remembered: not by itself."""
    return hashlib.sha256(token.encode()).digest()
