"""From what detection finds each day to alerts that live: raised once, followed, moved, escalated, resolved.

For every day:
1. A finding belongs to a running alert of its kind and category whose area is the same, above or below it; otherwise it raises one.
2. A running alert follows its finding: newest numbers, the highest level so far, the earliest onset, the broadest area.
3. A second alert that turns out to be part of the same event is resolved with a note that says so.
4. An alert that was not found for `USUAL_DAYS` days is resolved.
The same day applied twice changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection

from forecasting.detection.finding import Finding
from forecasting.detection.levels import LEVELS
from forecasting.hierarchy import ALL, Tree
from service.store import alerts
from service.store.alerts import Alert

USUAL_DAYS = 3  # days in a row without the event after which it is over: closing late costs nothing, flapping costs trust
ACTOR = "weisu"


@dataclass(frozen=True)
class Applied:
    """What a day's findings did to the alerts."""

    raised: int = 0
    followed: int = 0
    resolved: int = 0


def apply(conn: Connection, kind: str, findings: Sequence[Finding], day: date, now: datetime, forecast_set_id: int, areas: Tree) -> Applied:
    """Carries the alerts of one kind over a finished day, in the caller's transaction.

    Args:
        kind: the kind of all findings; alerts of other kinds are left alone.
        findings: what was found on the day, possibly nothing.
        day: the finished day.
        now: the moment of the changes.
        forecast_set_id: the forecast set by which it was found.
        areas: the area tree.
    """
    running = [alert for alert in alerts.running(conn) if alert.kind == kind]
    seen: set[str] = set()
    raised = 0
    for finding in sorted(findings, key=lambda f: len(areas.path(f.area))):  # the broadest first: parts then join it
        same = [a for a in running if a.category == finding.category and _related(areas, a.area, finding.area)]
        if not same:
            alert = _new(finding, now, forecast_set_id)
            if alerts.get(conn, alert.id):  # somebody has resolved it on the very day: it stays so
                continue
            alerts.insert(conn, alert, ACTOR, now)
            running.append(alert)
            seen.add(alert.id)
            raised += 1
            continue
        keep = same[0]
        if keep.id not in seen:
            _follow(conn, keep, finding, now, forecast_set_id, areas)
            seen.add(keep.id)
        for part in same[1:]:
            alerts.change_status(conn, part.id, {"open", "acknowledged"}, "resolved", ACTOR, f"part of {keep.id}", now)
            running.remove(part)
    resolved = 0
    for alert in running:
        if alert.id in seen or day <= alert.last_day:
            continue
        usual = (day - alert.last_day).days
        alerts.update(conn, alert.id, {"usual_days": usual}, action=None, actor=ACTOR, now=now)
        if usual >= USUAL_DAYS:
            note = f"usual again for {usual} days"
            resolved += alerts.change_status(conn, alert.id, {"open", "acknowledged"}, "resolved", ACTOR, note, now)
    return Applied(raised, len(seen) - raised, resolved)


def _related(areas: Tree, one: str, other: str) -> bool:
    return one in areas.path(other) or other in areas.path(one)


def _new(finding: Finding, now: datetime, forecast_set_id: int) -> Alert:
    name = f"{finding.kind}|{finding.area}|{finding.category}|{finding.onset}|{finding.day}"
    return Alert(
        id=sha256(name.encode()).hexdigest()[:16],
        kind=finding.kind,
        level=finding.level,
        status="open",
        usual_days=0,
        onset=finding.onset,
        raised_at=now,
        changed_at=now,
        resolved_at=None,
        forecast_set_id=forecast_set_id,
        **_numbers(finding),
    )


def _numbers(finding: Finding) -> dict[str, Any]:
    """The columns of an alert that follow the newest finding."""
    return {
        "area": finding.area,
        "category": finding.category,
        "districts": [{"code": p.district, "observed": p.observed, "expected": p.expected} for p in finding.districts],
        "last_day": finding.day,
        "peak": finding.peak,
        "observed": finding.observed,
        "expected": finding.expected,
        "lower": finding.lower,
        "upper": finding.upper,
        "p_value": finding.p_value,
        "reason_zh": finding.reason_zh,
        "reason_en": finding.reason_en,
    }


def _follow(conn: Connection, alert: Alert, finding: Finding, now: datetime, forecast_set_id: int, areas: Tree) -> None:
    """Brings a running alert up to the day's finding."""
    if finding.day < alert.last_day:
        return
    changes = _numbers(finding) | {"usual_days": 0, "onset": min(alert.onset, finding.onset), "forecast_set_id": forecast_set_id}
    if len(areas.path(finding.area)) > len(areas.path(alert.area)):  # one district is still at it: the event stays where it was placed
        changes["area"] = alert.area
    if alert.kind == "SPIKE" and (alert.observed or 0.0) > finding.observed:
        changes["peak"] = alert.peak
    higher = LEVELS.index(finding.level) > LEVELS.index(alert.level)
    if higher:
        changes["level"] = finding.level
    moved = changes["area"] != alert.area
    before = {"districts": alert.districts} | {key: getattr(alert, key) for key in changes}
    if before == changes:
        return
    note = f"now at {'the whole city' if finding.area == ALL else finding.area}" if moved else None
    alerts.update(conn, alert.id, changes, action="escalated" if higher else "moved" if moved else None, actor=ACTOR, now=now, note=note)
