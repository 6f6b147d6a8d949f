"""`/v1/silences`: what nobody need hear of for a while, who said so, and why."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Request, Response
from pydantic import Field
from sqlalchemy import Connection

from forecasting.errors import InputError
from service.api.alerts.silence_schemas import Silence, SilenceIn, SilencePage, SilenceState
from service.api.alerts.view import label_of
from service.api.deps import Requires, Running, Service
from service.api.errors import Problem, problems
from service.api.trees.nodes import ALL, Nodes, allowed, area_tree, category_tree, visible
from service.api.web import pages
from service.api.web.bodies import limited_to
from service.api.web.parameters import DEFAULT_ROWS, NoParameters, Paged, as_of, since
from service.clock import Clock
from service.store import audit
from service.store import silences as store
from service.store.engine import reading, writing
from service.store.keys import Caller

LARGEST_BODY = 16_384  # bytes; as for alerts

router = APIRouter(prefix="/silences", tags=["alerts"], route_class=limited_to(LARGEST_BODY))

SilenceId = Annotated[int, Path(ge=1, lt=2**63, description="`silence_id` of the silence.")]


_SAME: dict[int | str, dict[str, Any]] = {200: {"model": Silence, "description": "The same silence of the same key is there already."}}


class SilenceParameters(Paged):
    """Parameters of `/v1/silences`."""

    state: list[SilenceState] = Field(["pending", "active"], description="One or more states, repeated.", examples=[["active"]])


@router.get("", operation_id="list_silences", summary="Silences")
def list_silences(
    request: Request, asked: Annotated[SilenceParameters, Query()], service: Running, caller: Annotated[Caller, Requires("alerts:read")]
) -> SilencePage:
    """Silences that hold or are to come, the newest first; `state=expired` for those that are over.

    With a key limited to districts: those on its own districts and streets, and those on the whole city, which cover its alerts too.

    查询静默:默认返回生效中和待生效的;限区密钥可见本区及全市静默。
    """
    place = pages.place(request, asked.next, pages.number)
    now, limit = service.clock.now(), asked.limit or DEFAULT_ROWS
    with reading(service.engine) as conn:
        areas, categories = area_tree(conn), category_tree(conn)
        own = visible(areas, caller)
        seen = None if own is None else own | {ALL}
        found = store.list_silences(conn, now, asked.state, seen, limit + 1, place[0] if place else None)
    page = found[:limit]
    following = pages.token(request, page[-1].id) if len(found) > len(page) else None
    return SilencePage(items=[_told(service, areas, categories, silence, now) for silence in page], next=following)


@router.post(
    "",
    operation_id="create_silence",
    summary="Silence alerts for a while",
    status_code=201,
    responses=_SAME | problems(413, 415),
)
def create_silence(
    asked: Annotated[SilenceIn, Body(description="What is silenced, until when, and why.")],
    response: Response,
    service: Running,
    caller: Annotated[Caller, Requires("alerts:write")],
    _: NoParameters,
) -> Silence:
    """Marks alerts on a node and below it as silenced, those that run and those to come: they stay in the list and in the feed, with the number of
    the silence in `silenced_by`, and go on living; the Alertmanager view leaves them out. Red alerts are covered only if `level` says so, and on
    categories of safety never; notes on the DATA only if `kind` names them. Sending it again makes no second one.

    With a key limited to districts: on these and what lies below them.

    新建静默:在期限内标记某区、某类别的预警;预警仍保留在列表中。红色预警须明示,涉及安全的红色预警不可静默;最长 30 天。
    """
    clock = service.clock
    starts = None if asked.starts is None else _moment(asked.starts, "starts", since, clock)
    ends = _moment(asked.ends, "ends", as_of, clock)
    with writing(service.engine) as conn:
        areas, categories = area_tree(conn), category_tree(conn)
        areas.known([asked.area], "area")
        categories.known([asked.category], "category")
        allowed(areas, caller, [asked.area], "area")
        matchers, now = store.Matchers(asked.area, asked.category, asked.kind, asked.level), clock.now()
        made, new = store.create(conn, matchers, caller.name, asked.comment, starts, ends, now)
        if new:
            detail = {"key": caller.id, **vars(matchers), "starts_at": made.starts_at.isoformat(), "ends_at": made.ends_at.isoformat()}
            audit.record(conn, now, caller.name, audit.SILENCED, _subject(made.id), detail)
    response.status_code = 201 if new else 200
    return _told(service, areas, categories, made, now)


@router.get("/{silence_id}", operation_id="get_silence", summary="One silence", responses=problems(404))
def get_silence(silence_id: SilenceId, service: Running, caller: Annotated[Caller, Requires("alerts:read")], _: NoParameters) -> Silence:
    """A silence, also one that is over.

    查询单条静默。
    """
    with reading(service.engine) as conn:
        areas, categories = area_tree(conn), category_tree(conn)
        found = _found(conn, areas, caller, silence_id, and_the_city=True)
    return _told(service, areas, categories, found, service.clock.now())


@router.delete("/{silence_id}", operation_id="end_silence", summary="End a silence", responses=problems(404))
def end_silence(silence_id: SilenceId, service: Running, caller: Annotated[Caller, Requires("alerts:write")], _: NoParameters) -> Silence:
    """Ends it now; it stays to be read, with the name of the key. Repeating it changes nothing, nor does ending one that is over.

    With a key limited to districts, only silences on these: one on the whole city answers 403.

    提前结束静默:记录操作者;重复提交不变。
    """
    with writing(service.engine) as conn:
        areas, categories = area_tree(conn), category_tree(conn)
        now = service.clock.now()
        _found(conn, areas, caller, silence_id)
        if store.end(conn, silence_id, caller.name, now):
            audit.record(conn, now, caller.name, audit.SILENCE_ENDED, _subject(silence_id), {"key": caller.id})
        found = _found(conn, areas, caller, silence_id)
    return _told(service, areas, categories, found, now)


def _found(conn: Connection, areas: Nodes[Any], caller: Caller, silence_id: int, and_the_city: bool = False) -> store.Silence:
    """A silence. Raises Problem: there is none (404), or it is none of the caller's (403)."""
    found = store.get(conn, silence_id)
    if found is None:
        raise Problem(404, f"there is no silence {silence_id}", where="silence_id", mend="see /v1/silences")
    area = found.matchers.area
    if not (and_the_city and area == ALL):
        allowed(areas, caller, [area], "silence_id")
    return found


def _told(service: Service, areas: Nodes[Any], categories: Nodes[Any], silence: store.Silence, now: datetime) -> Silence:
    matchers, local = silence.matchers, service.local
    return Silence.model_validate(
        {
            **vars(matchers),
            "silence_id": silence.id,
            "state": silence.state(now),
            "author": silence.author,
            "comment": silence.comment,
            "created_at": local(silence.created_at),
            "starts_at": local(silence.starts_at),
            "ends_at": local(silence.ends_at),
            "ended_at": None if silence.ended_at is None else local(silence.ended_at),
            "ended_by": silence.ended_by,
            "area_label": label_of(areas, matchers.area),
            "category_label": label_of(categories, matchers.category),
        }
    )


def _moment(text: str, where: str, read: Callable[[str, Clock], datetime], clock: Clock) -> datetime:
    try:
        return read(text, clock)
    except InputError as error:
        raise InputError(error.what, where, error.mend) from None


def _subject(silence_id: int) -> str:
    return f"silence {silence_id}"
