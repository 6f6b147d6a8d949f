"""Alerts in the shape that Alertmanager's API v2 takes, with a watchdog and late jobs among them.

Labels identify an alert there, and notifications are routed, grouped and silenced by them: kind, level, area and category, no more, so that
there are as many different ones as nodes and not as many as alerts. What changes from pass to pass stands in the annotations. An alert that
changes its kind, level or node is another one there; the one before ends by itself, as it is not told again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.store.alerts import Alert
from service.store.jobs import NIGHTLY, SCHEDULER, WATCH, Job

LASTS = timedelta(minutes=15)  # what is not told again within it counts as over; who fetches every five minutes may miss two turns
RESOLVED_TOLD = timedelta(hours=1)  # for so long an end is told: who was away until then has forgotten the alert by itself
WATCHDOG, LATE, JOB_LATE = "Watchdog", "WatchdogLate", "JobLate"
CRITICAL = (NIGHTLY, SCHEDULER)  # jobs without which forecasts grow old; the others leave something out


@dataclass(frozen=True)
class Posted:
    """One element of the array.

    Attributes:
        path: where it is told whole, below the API's address.
    """

    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime
    path: str


@dataclass(frozen=True)
class Texts:
    """An alert in words, Chinese and English: its short form and its reason."""

    short: tuple[str, str]
    reason: tuple[str, str]


def posted(alerts: Iterable[tuple[Alert, Texts]], now: datetime) -> list[Posted]:
    """The alerts, newest first as they come; of several with the same labels the first one alone."""
    found: dict[tuple[str, ...], Posted] = {}
    for alert, texts in alerts:
        one = _posted(alert, texts, now)
        found.setdefault(tuple(one.labels.values()), one)
    return list(found.values())


def watchdog(watched_at: datetime | None, late: bool, late_at: datetime | None, now: datetime) -> Posted:
    """An alert that fires as long as detection is in time, and ends by itself when it is late; then another one.

    Args:
        watched_at, late, late_at: when detection last succeeded, whether it is late, and from when on it is.
    """
    if late or watched_at is None or late_at is None:
        zh, en = "检测未按时运行:没有预警不代表一切正常", "detection is late: that there is no alert does not mean that all is calm"
        starts, ends = min(late_at or now, now), now + LASTS
    else:
        zh, en = "检测按时运行", "detection is in time"
        starts, ends = watched_at, min(late_at, now + LASTS)
    labels = {"alertname": LATE, "severity": "critical"} if late else {"alertname": WATCHDOG, "severity": "none"}
    return Posted(labels, {"summary": en, "summary_zh": zh}, starts, ends, "/v1/status")


def late_jobs(scheduled: Iterable[Job], now: datetime, told_at: datetime) -> list[Posted]:
    """An alert for each job that should have succeeded and has not. It ends by itself when the job succeeds, for it is not told again.

    Args:
        scheduled: the jobs; detection is left out, for the watchdog tells of it.
        now: by which they are late or not.
        told_at: the moment from which it lasts, see `watchdog`.
    """
    return [_late(job, told_at) for job in scheduled if job.name != WATCH and job.is_late(now)]


def _late(job: Job, told_at: datetime) -> Posted:
    labels = {"alertname": JOB_LATE, "severity": "critical" if job.name in CRITICAL else "warning", "job": job.name}
    words = {"summary": f"the job {job.name} has not succeeded in time", "summary_zh": f"任务 {job.name} 未按时完成"}
    reason = {"description": job.error.splitlines()[0]} if job.error else {}
    return Posted(labels, words | reason, min(job.late_at, told_at), told_at + LASTS, "/v1/status")


def _posted(alert: Alert, texts: Texts, now: datetime) -> Posted:
    name = "".join(word.capitalize() for word in alert.kind.split("_"))
    return Posted(
        {"alertname": f"Weisu{name}", "severity": alert.level, "area": alert.area, "category": alert.category},
        {
            "summary": texts.short[1],
            "summary_zh": texts.short[0],
            "description": texts.reason[1],
            "description_zh": texts.reason[0],
            "alert_id": alert.id,
            "status": alert.status,
        },
        alert.raised_at,
        alert.resolved_at or now + LASTS,
        f"/v1/alerts/{alert.id}",
    )
