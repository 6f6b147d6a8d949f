"""`/v1/alerts/alertmanager`: the alerts as Alertmanager takes them."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from sqlalchemy import Connection

from service.alerting import alertmanager
from service.alerting.alertmanager import Posted, Texts
from service.api.alerts.feed_schemas import AlertmanagerAlert, AlertmanagerAlerts
from service.api.alerts.state import AlertState
from service.api.alerts.view import AlertView
from service.api.deps import Requires, Running, Service
from service.api.web.parameters import NoParameters
from service.store import alerts as store
from service.store import jobs
from service.store.alerts import AlertFilters
from service.store.engine import reading
from service.store.keys import Caller

router = APIRouter(prefix="/alerts", tags=["alerts"])


@router.get("/alertmanager", operation_id="list_alerts_for_alertmanager", summary="Alerts as Alertmanager takes them")
def list_for_alertmanager(
    request: Request, service: Running, caller: Annotated[Caller, Requires("alerts:read")], _: NoParameters
) -> AlertmanagerAlerts:
    """The body of Alertmanager's `POST /api/v2/alerts`: every alert that runs, those resolved within the last hour with their end, and one more:
    `Watchdog`, which fires as long as detection is in time. It ends by itself when it is late, and `WatchdogLate` (severity `critical`) comes
    in its place. Every other job that is late, as `/v1/status` tells it, is a `JobLate` with its name as `job`: `critical` for the nightly
    training and the scheduler, else `warning`; it ends when the job succeeds. Silenced alerts are left out. Send it every few minutes: what is
    not told again within a quarter of an hour counts as over.

    以 Alertmanager API v2 的格式返回预警;Watchdog 表示检测按时运行,WatchdogLate 表示检测延误,JobLate 表示其他任务延误。
    """
    with reading(service.engine) as conn:
        found = posted_to(service, conn, caller)
    return AlertmanagerAlerts([_told(request, service, one) for one in found])


def posted_to(service: Service, conn: Connection, caller: Caller, now: datetime | None = None) -> list[Posted]:
    """What Alertmanager is told of alerts that a caller sees, the watchdog first, then jobs that are late: whoever has a key may see those.

    Args:
        now: the moment by which it ends unless it is told again; by default that of the service's clock, which may be frozen.
    """
    state = AlertState.read(service, conn)
    view = AlertView.read(service, conn, caller, state)
    seen = AlertFilters(visible=view.own, own=caller.districts or (), silenced=False, covers=view.silences)
    running = replace(seen, statuses=("open", "acknowledged"))
    since = state.now - alertmanager.RESOLVED_TOLD
    lately = replace(seen, statuses=("resolved",), since=since)
    found = store.list_alerts(conn, filters=running, limit=None)
    found += [alert for alert in store.list_alerts(conn, filters=lately, limit=None) if alert.resolved_at and alert.resolved_at >= since]
    alerts = alertmanager.posted(((alert, _texts(view, alert)) for alert in found), now or state.now)
    late_at = None if state.watch is None else state.watch.late_at
    told_at = now or state.now
    late = alertmanager.late_jobs(jobs.list_jobs(conn), state.now, told_at)
    return [alertmanager.watchdog(state.watched_at, state.late, late_at, told_at), *late, *alerts]


def _texts(view: AlertView, alert: store.Alert) -> Texts:
    told = view.alert(alert)
    return Texts((told.short_zh, told.short_en), (told.reason_zh, told.reason_en))


def _told(request: Request, service: Service, one: Posted) -> AlertmanagerAlert:
    address = str(request.base_url).rstrip("/") + one.path
    return AlertmanagerAlert(
        labels=one.labels, annotations=one.annotations, startsAt=service.local(one.starts_at), endsAt=service.local(one.ends_at), generatorURL=address
    )
