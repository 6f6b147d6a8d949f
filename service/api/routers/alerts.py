"""`/v1/alerts`: what to act on, and what was done about it."""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Annotated, Any, Literal

import pandas as pd
from fastapi import APIRouter, Body, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy import Connection

from forecasting.detection import feedback
from forecasting.detection.evidence import DECADE
from forecasting.detection.levels import LEVELS
from forecasting.hierarchy import Tree
from service.alerting import tuning
from service.api import pages
from service.api.alert_view import AlertView, label_of
from service.api.alert_why import why_of
from service.api.bodies import limited_to
from service.api.deps import Requires, Running, Service
from service.api.errors import Problem, problems
from service.api.nodes import Nodes, allowed, area_tree, category_tree
from service.api.parameters import DEFAULT_ROWS, NoParameters, Period, Table, named, since
from service.api.schemas import (
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
    Threshold,
    ThresholdList,
    Verdict,
    VerdictList,
    VerdictRow,
)
from service.api.tables import CSV, csv_response
from service.store import alerts as store
from service.store.engine import reading, writing
from service.store.keys import Caller

EARLIEST, LATEST = date(1970, 1, 2), date(9999, 1, 1)  # days whose ends every database and zone can tell; no alert lies beyond
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


@router.get("", operation_id="list_alerts", summary="Alerts", responses=CSV, response_model=AlertPage)
def list_alerts(
    request: Request, asked: Annotated[AlertParameters, Query()], service: Running, caller: Annotated[Caller, Requires("alerts:read")]
) -> AlertPage | StreamingResponse:
    """Alerts, the one raised last first.

    With a key limited to districts: those on its own districts and streets, and those on the whole city that concern one of its districts;
    of the districts concerned it sees its own.

    查询预警:可按状态、类型、最低级别、区、类别和时间筛选。限区密钥可见本区预警及涉及本区的全市预警。
    """
    place = pages.place(request, asked.next, pages.moment, pages.text)
    with reading(service.engine) as conn:
        view = AlertView.read(service, conn, caller)
        districts = named(view.areas, asked.district, "district")
        allowed(view.areas, caller, districts, "district")
        filters = store.AlertFilters(
            statuses=asked.status,
            kinds=asked.kind,
            levels=LEVELS[LEVELS.index(asked.level) :] if asked.level else (),
            areas=view.areas.under(districts) if districts else None,
            concerning=districts,
            categories=view.categories.under(named(view.categories, asked.category, "category")) if asked.category else None,
            visible=view.own,
            own=caller.districts or (),
            since=since(asked.since, service.clock) if asked.since else None,
            verdicts=[None if one == "none" else one for one in asked.verdict],
        )
        limit = asked.limit or (None if asked.format == "csv" else DEFAULT_ROWS)
        after = None if place is None else (place[0], place[1])
        found = store.list_alerts(conn, filters=filters, limit=None if limit is None else limit + 1, after=after)
    page = found[:limit]
    following = pages.token(request, page[-1].raised_at, page[-1].id) if len(found) > len(page) else None
    items = [view.alert(alert) for alert in page]
    if asked.format == "csv":
        return csv_response(request, "alerts", [_flat(items)], bom=asked.bom, next_page=following)
    return AlertPage(items=items, next=following)


@router.get("/verdicts", operation_id="list_verdicts", summary="What alerts turned out to be")
def list_verdicts(asked: Annotated[Period, Query()], service: Running, caller: Annotated[Caller, Requires("alerts:read")]) -> VerdictList:
    """How many alerts were raised on these days, and how many were true, false, acted on or not judged, by category and kind.

    One that was acted on is not counted false, whatever came of the complaints. With a key limited to districts: of the alerts that it sees.

    统计预警反馈:按类别和类型给出属实、误报、已处置、未评价的预警数;已处置的不计为误报。
    """
    first, last = (min(max(day, EARLIEST), LATEST) for day in asked.bounds(EARLIEST, LATEST))
    with reading(service.engine) as conn:
        view = AlertView.read(service, conn, caller)
        filters = store.AlertFilters(
            visible=view.own,
            own=caller.districts or (),
            raised_from=datetime.combine(first, time.min, service.clock.zone),
            raised_before=service.clock.end_of(last),
        )
        counted: dict[tuple[str, str], dict[str | None, int]] = {}
        for one in store.verdicts(conn, filters):
            counted.setdefault((one.category, one.kind), {})[one.verdict] = one.alerts
    return VerdictList(items=[_verdicts(view, category, kind, found) for (category, kind), found in sorted(counted.items())], next=None)


def _verdicts(view: AlertView, category: str, kind: str, found: Mapping[str | None, int]) -> VerdictRow:
    true, false, acted = (found.get(verdict, 0) for verdict in store.VERDICTS)
    return VerdictRow.model_validate(
        {
            "category": category,
            "kind": kind,
            "raised": sum(found.values()),
            "true": true,
            "false": false,
            "acted": acted,
            "not_judged": found.get(None, 0),
            "false_share": false / (true + false) if true + false else None,
            "label": label_of(view.categories, category),
        }
    )


@router.get("/thresholds", operation_id="list_thresholds", summary="What verdicts have made of the evidence asked for")
def list_thresholds(service: Running, caller: Annotated[Caller, Requires("alerts:read")], _: NoParameters) -> ThresholdList:
    """How much more or less evidence an alert needs in a category since people have judged alerts, and by which verdicts; without any, nothing.

    It is derived from the verdicts of the last 365 days each time, holds for the whole city, and keeps the budget of false alerts: who withdraws
    a verdict undoes what it did.

    查询反馈对各类别预警阈值的影响:误报多则从严,属实多则从宽,均有上下限;撤回反馈即恢复。
    """
    with reading(service.engine) as conn:
        categories = category_tree(conn)
        found = tuning.thresholds(conn, Tree({code: node.parent for code, node in categories.by_code.items()}), service.clock.now())
    items = [threshold_of(categories, code, one) for code, one in sorted(found.items()) if one.true or one.false]
    return ThresholdList(items=items, next=None)


def threshold_of(categories: Nodes[Any], category: str, one: feedback.Threshold) -> Threshold:
    """A threshold as the API tells it."""
    return Threshold(
        category=category,
        true=one.true,
        false=one.false,
        false_share=one.share,
        meant_share=feedback.MEANT,
        stricter=one.stricter,
        times_as_often=float(10.0 ** (-one.stricter / DECADE)),
        label=label_of(categories, category),
    )


@router.get("/{alert_id}", operation_id="get_alert", summary="One alert with its history and reasons", responses=problems(404))
def get_alert(alert_id: AlertId, service: Running, caller: Annotated[Caller, Requires("alerts:read")], _: NoParameters) -> AlertDetail:
    """An alert, everything that happened to it, and what it rests on: what came since when, who carries it, weather and calendar at work, the
    likely peak, similar past events and what they became, what verdicts have made of the evidence asked for.

    It is derived from what is stored: the forecasts as they were published, the days as the watch saw them. A key limited to districts may
    read one on the whole city that concerns one of its own.

    查询单条预警、处置过程及其依据:起始以来受理量、由哪些区或类别构成、天气与日历因素、可能的峰值、历史相似事件及结果、反馈对阈值的影响。
    """
    with reading(service.engine) as conn:
        view, alert = _found(service, conn, caller, alert_id)
        return AlertDetail(**dict(_told(conn, view, alert)), why=why_of(conn, view, caller, alert))


@router.post(
    "/{alert_id}/ack",
    operation_id="acknowledge_alert",
    summary="Acknowledge an alert",
    responses=problems(404, 409, 413),
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
    responses=problems(404, 409, 413),
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
    responses=problems(404, 409, 413),
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
        if not store.judge(conn, alert_id, judged.replaces, judged.verdict, caller.name, judged.note, service.clock.now()):
            detail = f"the alert has been judged '{before.verdict}'" if before.verdict else f"the alert has no verdict '{judged.replaces}'"
            mend = f'send "replaces": "{before.verdict}" to overrule it' if before.verdict else "leave 'replaces' out"
            raise Problem(409, detail, where="verdict" if before.verdict else "replaces", mend=mend)
        return _with_history(service, conn, caller, alert_id)


def _change(service: Service, caller: Caller, alert_id: str, expected: set[str], to: str, change: StatusChange | None) -> AlertWithHistory:
    with writing(service.engine) as conn:
        before = _with_history(service, conn, caller, alert_id)
        allowed(area_tree(conn), caller, [before.area], "alert_id")  # who may see a city-wide alert need not be the one to close it
        note = change.note if change else None
        if before.status == to:
            return before
        if not store.change_status(conn, alert_id, expected, to, caller.name, note, service.clock.now()):
            raise Problem(409, f"the alert is {before.status} and cannot become {to}", where="alert_id", mend="a resolved alert stays resolved")
        return _with_history(service, conn, caller, alert_id)


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
            "area_zh": item.labels.area.zh,
            "area_en": item.labels.area.en,
            "category_zh": item.labels.category.zh,
            "category_en": item.labels.category.en,
        }
        for item in items
    ]
    return pd.DataFrame(rows, columns=columns)
