"""`/v1/alerts`: what to act on, and what was done about it."""

from typing import Annotated, Literal

import pandas as pd
from fastapi import APIRouter, Body, Path, Query, Request, Response
from pydantic import Field
from sqlalchemy import Connection

from forecasting.detection.levels import LEVELS
from service.api.alerts.schemas import (
    Alert,
    AlertDetail,
    AlertEvent,
    AlertPage,
    AlertStatus,
    AlertWithHistory,
    Feedback,
    Kind,
    Level,
    StatusChange,
    Verdict,
)
from service.api.alerts.state import AlertState
from service.api.alerts.view import AlertView
from service.api.alerts.why import why_of
from service.api.deps import Requires, Running, Service
from service.api.errors import Problem, problems
from service.api.trees.nodes import allowed, area_tree
from service.api.web import etags, pages
from service.api.web.answer_cache import repeated
from service.api.web.bodies import limited_to
from service.api.web.forms import CSV_TWIN, chosen
from service.api.web.parameters import DEFAULT_ROWS, NoParameters, Table, named, since
from service.api.web.tables import CSV, csv_response
from service.store import alerts as store
from service.store import audit, forecast_sets
from service.store.engine import reading, writing
from service.store.keys import Caller

TWO_SECONDS = 2.0  # what changes with the clock alone (a silence that ends, a watch that is late) is told so much later
LARGEST_BODY = 16_384  # bytes; a note of 2000 Chinese characters written as \u escapes is 12 kB

router = APIRouter(prefix="/alerts", tags=["alerts"], route_class=limited_to(LARGEST_BODY))


AlertId = Annotated[str, Path(description="`alert_id` of the alert.", max_length=100)]
Change = Annotated[StatusChange | None, Body(description="A remark for the history; may be left out.")]


class AlertParameters(Table):
    """Parameters of `/v1/alerts`."""

    status: list[AlertStatus] = Field([], description="One or more statuses, repeated.", examples=[["open"]])
    kind: list[Kind] = Field([], description="One or more kinds, repeated.", examples=[["SPIKE"]])
    level: Level | None = Field(None, description="This level or a higher one.", examples=["yellow"])
    district: list[str] = Field([], description="Alerts on these areas or below them, or that name one of them as concerned.", examples=[["110108"]])
    category: list[str] = Field([], description="Alerts on these categories or below them.", examples=[["HEAT"]])
    since: str | None = Field(
        None, max_length=40, description="Raised or changed at or after this local date or moment.", examples=["2025-11-08T07:30+08:00"]
    )
    verdict: list[Verdict | Literal["none"]] = Field([], description="One or more verdicts, repeated; `none`: not judged.", examples=[["false"]])
    silenced: bool | None = Field(None, description="Only those that a silence covers now, or only the others.")


@router.get("", operation_id="list_alerts", summary="Alerts", responses=CSV | etags.NOT_MODIFIED, response_model=AlertPage)
@repeated(TWO_SECONDS)
def list_alerts(
    request: Request,
    response: Response,
    asked: Annotated[AlertParameters, Query()],
    service: Running,
    caller: Annotated[Caller, Requires("alerts:read")],
) -> AlertPage | Response:
    """Alerts, the one raised last first. Ask again with `If-None-Match`: an answer that has not changed costs next to nothing. `watch` tells a
    calm city from a service that no longer looks; `seq` is where to go on in `/v1/alerts/changes`.

    With a key limited to districts: those on its own districts and streets, and those on the whole city that concern one of its districts;
    of the districts concerned it sees its own.

    查询预警:可按状态、类型、最低级别、区、类别和时间筛选。限区密钥可见本区预警及涉及本区的全市预警。watch 表明检测是否按时运行。
    """
    form = chosen(request, response, asked.format, CSV_TWIN)
    place = pages.place(request, asked.next, pages.moment, pages.text)
    with reading(service.engine) as conn:
        state = AlertState.read(service, conn)
        tag = state.tag(request, caller, form)
        if same := etags.unchanged(request, tag):
            return same
        view = AlertView.read(service, conn, caller, state)
        districts = named(view.areas, asked.district, "district")
        allowed(view.areas, caller, districts, "district")
        filters = store.AlertFilters(
            statuses=asked.status,
            kinds=asked.kind,
            levels=LEVELS[LEVELS.index(asked.level) :] if asked.level else (),
            areas=view.areas.under(districts) if districts else None,
            concerning=districts,
            categories=view.under(named(view.categories, asked.category, "category")) if asked.category else None,
            visible=view.own,
            own=caller.districts or (),
            since=since(asked.since, service.clock) if asked.since else None,
            verdicts=[None if one == "none" else one for one in asked.verdict],
            silenced=asked.silenced,
            covers=view.silences,
        )
        limit = asked.limit or (None if form == "csv" else DEFAULT_ROWS)
        after = None if place is None else (place[0], place[1])
        found = store.list_alerts(conn, filters=filters, limit=None if limit is None else limit + 1, after=after)
        if same := etags.unchanged(request, tag, there=True):
            return same
        watch = state.watch_of(service, conn)
    page = found[:limit]
    following = pages.token(request, page[-1].raised_at, page[-1].id) if len(found) > len(page) else None
    items = [view.alert(alert) for alert in page]
    if form == "csv":
        table = csv_response(request, "alerts", [_flat(items)], bom=asked.bom, next_page=following)
        table.headers.update(etags.headers(tag))
        return table
    response.headers.update(etags.headers(tag))
    return AlertPage(items=items, next=following, seq=state.feed.newest, watch=watch)


@router.get(
    "/{alert_id}",
    operation_id="get_alert",
    summary="One alert with its history and reasons",
    responses=problems(404) | etags.NOT_MODIFIED,
    response_model=AlertDetail,
)
def get_alert(
    alert_id: AlertId, request: Request, response: Response, service: Running, caller: Annotated[Caller, Requires("alerts:read")], _: NoParameters
) -> AlertDetail | Response:
    """An alert, everything that happened to it, and what it rests on: what came since when, who carries it, weather and calendar at work, the
    likely peak, similar past events and what they became, what verdicts have made of the evidence asked for.

    It is derived from what is stored: the forecasts as they were published, the days as the watch saw them. A key limited to districts may
    read one on the whole city that concerns one of its own.

    查询单条预警、处置过程及其依据:起始以来受理量、由哪些区或类别构成、天气与日历因素、可能的峰值、历史相似事件及结果、反馈对阈值的影响。
    """
    with reading(service.engine) as conn:
        tag = AlertState.read(service, conn).tag(request, caller, forecast_sets.pointer(conn))
        if same := etags.unchanged(request, tag):
            return same
        view, alert = _found(service, conn, caller, alert_id)
        if same := etags.unchanged(request, tag, there=True):
            return same
        response.headers.update(etags.headers(tag))
        return AlertDetail(**dict(_told(conn, view, alert)), why=why_of(conn, view, caller, alert))


@router.post(
    "/{alert_id}/ack",
    operation_id="acknowledge_alert",
    summary="Acknowledge an alert",
    responses=problems(404, 409, 413, 415),
)
def acknowledge_alert(
    alert_id: AlertId, service: Running, caller: Annotated[Caller, Requires("alerts:write")], _: NoParameters, change: Change = None
) -> AlertWithHistory:
    """Says that somebody has taken the alert on; the key's name stands in the history. Repeating it changes nothing.

    With a key limited to districts, only alerts on these: one on the whole city answers 403.

    签收预警:已签收的原样返回,已办结的返回 409;限区密钥不能签收全市预警。
    """
    return _change(service, caller, alert_id, {"open"}, "acknowledged", change)


@router.post(
    "/{alert_id}/resolve",
    operation_id="resolve_alert",
    summary="Resolve an alert",
    responses=problems(404, 409, 413, 415),
)
def resolve_alert(
    alert_id: AlertId, service: Running, caller: Annotated[Caller, Requires("alerts:write")], _: NoParameters, change: Change = None
) -> AlertWithHistory:
    """Closes the alert; the key's name stands in the history. Repeating it changes nothing.

    With a key limited to districts, only alerts on these: one on the whole city answers 403.

    办结预警:已办结的原样返回;限区密钥不能办结全市预警。
    """
    return _change(service, caller, alert_id, {"open", "acknowledged"}, "resolved", change)


@router.post(
    "/{alert_id}/feedback",
    operation_id="judge_alert",
    summary="Say what an alert turned out to be",
    responses=problems(404, 409, 413, 415),
)
def judge_alert(
    alert_id: AlertId,
    service: Running,
    caller: Annotated[Caller, Requires("alerts:write")],
    _: NoParameters,
    judged: Annotated[Feedback, Body(description="The verdict, with a remark if there is one.")],
) -> AlertWithHistory:
    """Says that the alert was true, false, or acted on, while it runs or later; the key's name stands in the history. Its status stays.

    Repeating it changes nothing. Another verdict than the one that there is needs `replaces`, so that nobody overrules by accident what a
    colleague has said: one acted on does not become false because no complaints came. Verdicts move what is asked for as evidence in the
    category, see `/v1/alerts/thresholds`. With a key limited to districts, only alerts on these: one on the whole city answers 403.

    反馈预警:属实、误报或已处置;重复提交不变,更改已有结论须写明 replaces;已处置的不计为误报。
    """
    with writing(service.engine) as conn:
        before = _with_history(service, conn, caller, alert_id)
        allowed(area_tree(conn), caller, [before.area], "alert_id")
        if before.verdict == judged.verdict:
            return before
        _as_expected(before, judged)
        now = service.clock.now()
        if not store.judge(conn, alert_id, judged.replaces, judged.verdict, caller.name, judged.note, now):
            detail = f"the alert has been judged '{before.verdict}'" if before.verdict else f"the alert has no verdict '{judged.replaces}'"
            mend = f'send "replaces": "{before.verdict}" to overrule it' if before.verdict else "leave 'replaces' out"
            raise Problem(409, detail, where="verdict" if before.verdict else "replaces", mend=mend)
        audit.record(conn, now, caller.name, audit.JUDGED, f"alert {alert_id}", {"key": caller.id, "verdict": judged.verdict})
        return _with_history(service, conn, caller, alert_id)


def _change(service: Service, caller: Caller, alert_id: str, expected: set[str], to: str, change: StatusChange | None) -> AlertWithHistory:
    with writing(service.engine) as conn:
        before = _with_history(service, conn, caller, alert_id)
        allowed(area_tree(conn), caller, [before.area], "alert_id")  # who may see a city-wide alert need not be the one to close it
        note = change.note if change else None
        if before.status == to:
            return before
        if change:
            _as_expected(before, change)
        now = service.clock.now()
        if not store.change_status(conn, alert_id, expected, to, caller.name, note, now):
            raise Problem(409, f"the alert is {before.status} and cannot become {to}", where="alert_id", mend="a resolved alert stays resolved")
        done = audit.ACKNOWLEDGED if to == "acknowledged" else audit.RESOLVED
        audit.record(conn, now, caller.name, done, f"alert {alert_id}", {"key": caller.id})
        return _with_history(service, conn, caller, alert_id)


def _as_expected(alert: AlertWithHistory, change: StatusChange) -> None:
    """Raises Problem 409 if an alert has changed since the change that the caller knows."""
    newest = alert.history[-1].seq
    if change.expected_seq not in (None, newest):
        detail = f"the alert has changed since: its last change is {newest}"
        raise Problem(409, detail, where="expected_seq", mend="read the alert, decide again, and send the newest 'seq' of its history")


def _with_history(service: Service, conn: Connection, caller: Caller, alert_id: str) -> AlertWithHistory:
    return _told(conn, *_found(service, conn, caller, alert_id))


def _found(service: Service, conn: Connection, caller: Caller, alert_id: str) -> tuple[AlertView, store.Alert]:
    """An alert and its view. Raises Problem: there is none (404), or the caller may not see it (403)."""
    alert = store.get(conn, alert_id) if alert_id.isprintable() else None  # PostgreSQL refuses a NUL
    if alert is None:
        raise Problem(404, f"there is no alert '{alert_id}'", where="alert_id", mend="see /v1/alerts")
    view = AlertView.read(service, conn, caller)
    if not view.concerns(alert):
        allowed(view.areas, caller, [alert.area], "alert_id")
    return view, alert


def _told(conn: Connection, view: AlertView, alert: store.Alert) -> AlertWithHistory:
    events = [
        AlertEvent.model_validate(
            {
                "seq": event.seq,
                "at": view.service.local(event.at),
                "actor": event.actor,
                "action": event.action,
                "level": event.level,
                "status": event.status,
                "note": event.note,
            }
        )
        for event in store.history(conn, alert.id)
    ]
    return AlertWithHistory(**dict(view.alert(alert)), history=events)


def _flat(items: list[Alert]) -> pd.DataFrame:
    """Alerts as a table: the codes of the districts joined by `;`, the labels as columns."""
    columns = [name for name in Alert.model_fields if name not in ("labels", "notice")]
    columns += ["area_zh", "area_en", "category_zh", "category_en"]
    rows = [
        {
            **dict(item),
            "districts": ";".join(one.district for one in item.districts),
            "silenced_by": ";".join(map(str, item.silenced_by)),
            "area_zh": item.labels.area.zh,
            "area_en": item.labels.area.en,
            "category_zh": item.labels.category.zh,
            "category_en": item.labels.category.en,
        }
        for item in items
    ]
    return pd.DataFrame(rows, columns=columns)
