"""`/v1/alerts/changes` and `/v1/alerts/stream`: what happens to alerts, in the order in which it happened, none left out."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.types import Receive, Scope, Send

from forecasting.errors import InputError
from service.api.alerts.feed_schemas import AlertChange, AlertChanges
from service.api.alerts.news import stopping
from service.api.alerts.state import AlertState
from service.api.alerts.view import AlertView
from service.api.callers.access import Access
from service.api.callers.held import Held
from service.api.deps import Requires, Running, Service
from service.api.errors import Problem, problem_response, problems
from service.api.web.parameters import Parameters
from service.store import alert_changes
from service.store.alert_changes import Kept
from service.store.engine import reading
from service.store.keys import Caller

LONGEST_WAIT = 60  # seconds: what stands between is often impatient with silence that lasts longer
USUAL_CHANGES, MOST_CHANGES = 100, 1000  # an answer of 1000 is 1.5 MB
LARGEST_SEQ = 2**53  # every JSON reader tells whole numbers apart up to here
_SEQ = re.compile("[0-9]{1,16}")

MOST_STREAMS = 200  # a worker: at a change each reads it for itself, all together in half a second
PING = 15  # seconds without a word after which a comment shows that the line is alive
STREAM_LASTS = 900.0  # seconds: the client comes again by itself, and shows its key again
LOOK_AT_KEY = 2.0  # seconds between two looks whether the key of one who waits was revoked or has expired; each is made in memory
RETRY = 2000  # milliseconds after which it does

router = APIRouter(prefix="/alerts", tags=["alerts"])


class ChangeParameters(Parameters):
    """Parameters of `/v1/alerts/changes`."""

    after: int | None = Field(
        None, ge=0, lt=LARGEST_SEQ, description="Changes after this number; left out: none, and `next` tells where the feed stands.", examples=[1042]
    )
    wait: int = Field(0, ge=0, le=LONGEST_WAIT, description="Seconds to wait for a change if there is none yet.", examples=[25])
    limit: int = Field(USUAL_CHANGES, ge=1, le=MOST_CHANGES, description="Changes in one answer, at most.", examples=[USUAL_CHANGES])


class StreamParameters(Parameters):
    """Parameters of `/v1/alerts/stream`."""

    after: int | None = Field(None, ge=0, lt=LARGEST_SEQ, description="Changes after this number; left out: those from now on.", examples=[1042])


@router.get("/changes", operation_id="list_alert_changes", summary="What happened to alerts after a change", responses=problems(410))
async def list_changes(
    request: Request, asked: Annotated[ChangeParameters, Query()], service: Running, caller: Annotated[Caller, Requires("alerts:read")]
) -> AlertChanges:
    """Every change of every alert, oldest first, each under a number that only goes up. Ask with `next` as `after` again and again: none is left
    out, whoever writes at the same time and whatever breaks down in between. Keep `next` only when you have dealt with the changes: what you ask
    for twice is told twice (at least once).

    With `wait` an answer without changes comes after so many seconds, or as soon as there is one. Where `after` is too old, or newer than the
    database (a backup was brought back), 410 says so: read `/v1/alerts` and go on from its `seq`. Silenced alerts are told too, marked. With a
    key limited to districts: the changes of alerts that it sees; one that moves to where it does not see it is told once as `left`, with the
    status `resolved`.

    预警变更流:按序号返回 after 之后的全部变更,不遗漏;wait 为长轮询秒数;410 表示须重新读取 /v1/alerts。
    """
    until = monotonic() + asked.wait
    page = await _read(service, caller, asked.after, asked.limit)
    if asked.after is None or page.items or not asked.wait:
        return page
    access: Access = request.app.state.access
    with access.held.one(caller.id):
        while not page.items and (left := until - monotonic()) > 0 and not stopping():
            await _wait(service, request, page.next, left)
            page = await _read(service, caller, page.next, asked.limit)
    return page


async def _wait(service: Service, request: Request, seq: int, seconds: float) -> None:
    """Waits for a change after a number, so many seconds at most; whoever is let go may still be told. Raises as `Access.still`."""
    access: Access = request.app.state.access
    until = monotonic() + seconds
    while True:
        await service.news.after(seq, min(LOOK_AT_KEY, max(until - monotonic(), 0.0)))
        await access.still(request)
        if service.news.newest > seq or monotonic() >= until or stopping():
            return


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `alert`: `id` is the number of the change, `data` the change as an item of `/v1/alerts/changes`. Events `watch`: "
        "`data` is `watch` as there, at the start and whenever it changes.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.get(
    "/stream",
    operation_id="stream_alerts",
    summary="What happens to alerts, as it happens",
    response_class=Response,
    responses=_STREAM | problems(410),
)
async def stream(
    request: Request,
    asked: Annotated[StreamParameters, Query()],
    service: Running,
    caller: Annotated[Caller, Requires("alerts:read")],
    last_event_id: Annotated[
        str | None, Header(description="Changes after this number, as clients send it by themselves; goes before `after`.")
    ] = None,
) -> EventSourceResponse:
    """The changes of `/v1/alerts/changes` as server-sent events. It ends after a quarter of an hour; a client comes back by itself with
    `Last-Event-ID` and is told what it missed. 503: too many are open already, ask `/v1/alerts/changes`.

    预警事件流(SSE):断线后凭 Last-Event-ID 续传;每 15 秒有心跳注释。
    """
    if last_event_id is not None and not _SEQ.fullmatch(last_event_id):
        raise InputError(f"'{last_event_id[:40]}' is no number of a change", "Last-Event-ID", "send the id of the last event, or leave it out")
    after = asked.after if last_event_id is None else int(last_event_id)
    page = await _read(service, caller, after, USUAL_CHANGES)
    access: Access = request.app.state.access
    return _Stream(access.held, caller.id, _events(service, request, caller, page))


class _Stream(EventSourceResponse):
    """A stream that finds room among those that are open, or is refused."""

    open: ClassVar[int] = 0  # in this process; the event loop alone counts them

    def __init__(self, held: Held, caller_id: str, events: AsyncIterator[ServerSentEvent]) -> None:
        super().__init__(events, ping=PING, headers={"Vary": "Authorization"})
        self._held, self._caller_id = held, caller_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._room(), self._held.one(self._caller_id):
                await super().__call__(scope, receive, send)
        except Problem as refused:
            await problem_response(Request(scope), refused)(scope, receive, send)

    @contextmanager
    def _room(self) -> Iterator[None]:
        if _Stream.open >= MOST_STREAMS:
            raise Problem(503, f"{MOST_STREAMS} streams are open already", mend="ask /v1/alerts/changes?wait=25", headers={"Retry-After": "30"})
        _Stream.open += 1
        try:
            yield
        finally:
            _Stream.open -= 1


async def _events(service: Service, request: Request, caller: Caller, page: AlertChanges) -> AsyncIterator[ServerSentEvent]:
    until, watch = monotonic() + STREAM_LASTS, None
    try:
        while not stopping():
            for change in page.items:
                yield ServerSentEvent(change.model_dump_json(), event="alert", id=str(change.seq))
            if page.watch != watch:
                watch = page.watch
                yield ServerSentEvent(watch.model_dump_json(), event="watch", id=str(page.next), retry=RETRY)
            left = until - monotonic()
            if left <= 0:
                return
            if not page.more:
                await _wait(service, request, page.next, min(left, PING))
            page = await _read(service, caller, page.next, USUAL_CHANGES)
    except (Problem, SQLAlchemyError):  # also: the key has ended; the client comes again and is told why
        return


async def _read(service: Service, caller: Caller, after: int | None, limit: int) -> AlertChanges:
    return await service.news.once((caller.districts, after, limit), partial(_changes, service, caller, after, limit))


def _changes(service: Service, caller: Caller, after: int | None, limit: int) -> AlertChanges:
    """The changes after a number. Raises Problem 410 if they cannot be told."""
    with reading(service.engine) as conn:
        state = AlertState.read(service, conn)
        kept = state.feed
        place = kept.newest if after is None else after
        if not kept.tells_after(place):
            raise _gone(kept, place)
        watch, items, more = state.watch_of(service, conn), [], False
        if place < kept.newest:
            view = AlertView.read(service, conn, caller, state)
            found = alert_changes.after(conn, place, limit + 1, None if view.own is None else view.sees)
            more = len(found) > limit
            items = [change_told(view, change) for change in found[:limit]]
    return AlertChanges(items=items, next=items[-1].seq if more else kept.newest, more=more, watch=watch)


def change_told(view: AlertView, change: alert_changes.Change) -> AlertChange:
    """A change as the API tells it."""
    event = change.event
    return AlertChange.model_validate(
        {
            "seq": event.seq,
            "at": view.service.local(event.at),
            **{name: getattr(event, name) for name in ("actor", "action", "level", "status", "note")},
            "alert": view.alert(change.alert),
        }
    )


def _gone(kept: Kept, place: int) -> Problem:
    told = "are not kept any longer" if place < kept.forgotten else "were never told by this database: a backup may have been brought back"
    detail = f"changes from {place} on {told}; the newest is {kept.newest}"
    return Problem(410, detail, where="after", mend="read /v1/alerts anew and go on with its 'seq'")
