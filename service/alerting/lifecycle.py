"""From what detection finds each day to alerts that live: raised once, followed, moved, escalated, resolved.

For every day:
1. A finding belongs to a running alert of its kind and category whose area is the same, above or below it; otherwise it raises one.
2. A running alert follows its finding: newest numbers, the highest level so far, the earliest onset, the broadest area. Findings in several
   districts of a city-wide alert are put together; its numbers are then those of the districts that it lists.
3. A second alert that turns out to be part of the same event is resolved with a note that says so.
4. What somebody has resolved since the day is over for this day; if it is found on a later day, it is raised anew.
5. An alert that was not found for `USUAL_DAYS` days is resolved. A day without data is no usual day.
The same day applied twice changes nothing. The scores of the day are in the store before: they say which days had data.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection

from forecasting.detection.finding import SPIKE, Finding
from forecasting.detection.levels import LEVELS
from forecasting.hierarchy import ALL, Tree
from service.store import alerts, day_scores
from service.store.alerts import Alert, AlertFilters

USUAL_DAYS = 3  # days in a row without the event after which it is over: closing late costs nothing, flapping costs trust
LONGEST = 14  # days after which an alert is over although its node had no data, for it may be no node any more
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
        findings: what was found on the day, possibly nothing, in any order.
        day: the finished day.
        now: the moment of the changes.
        forecast_set_id: the forecast set by which it was found.
        areas: the area tree.
    """
    running = [alert for alert in alerts.running(conn) if alert.kind == kind]
    ended = AlertFilters(statuses=("resolved",), kinds=(kind,), since=datetime.combine(day, time.min, UTC))
    over = [alert for alert in alerts.list_alerts(conn, filters=ended, limit=None) if alert.last_day >= day]
    seen: set[str] = set()
    raised = resolved = 0
    # The broadest first: parts then join it.
    for finding in sorted(
        _gathered(findings, running, areas), key=lambda f: (len(areas.path(f.area)), -LEVELS.index(f.level), -abs(f.observed - f.expected), f.area)
    ):
        same = [a for a in running if a.category == finding.category and _related(areas, a.area, finding.area)]
        if not same:
            if any(a.category == finding.category and _related(areas, a.area, finding.area) for a in over):
                continue
            alert = _new(finding, now, forecast_set_id)
            alerts.insert(conn, alert, ACTOR, now)
            running.append(alert)
            seen.add(alert.id)
            raised += 1
            continue
        keep = same[0]
        if keep.id not in seen:
            running[running.index(keep)] = _follow(conn, keep, finding, now, forecast_set_id, areas)
            seen.add(keep.id)
        for part in same[1:]:
            resolved += alerts.change_status(conn, part.id, {"open", "acknowledged"}, "resolved", ACTOR, f"part of {keep.id}", now)
            running.remove(part)
    for alert in running:
        if alert.id in seen or day <= alert.last_day:
            continue
        since = alert.last_day + timedelta(days=1)
        usual = len(day_scores.read(conn, since, day, [alert.area], [alert.category]))
        alerts.update(conn, alert.id, {"usual_days": usual}, action=None, actor=ACTOR, now=now)
        if usual >= USUAL_DAYS or day - alert.last_day >= timedelta(days=LONGEST):
            note = f"usual again for {usual} days" if usual else f"no data since {alert.last_day}"
            resolved += alerts.change_status(conn, alert.id, {"open", "acknowledged"}, "resolved", ACTOR, note, now)
    return Applied(raised, len(seen) - raised, resolved)


def _gathered(findings: Sequence[Finding], running: Sequence[Alert], areas: Tree) -> list[Finding]:
    """Findings with those inside a running alert's area put together: where a city's event goes on in some districts, it tells of all of them."""
    left = list(findings)
    for alert in running:
        same = [f for f in left if f.category == alert.category and _related(areas, f.area, alert.area)]
        inside = sorted(
            (f for f in same if f.area != alert.area and alert.area in areas.path(f.area)), key=lambda f: (f.expected - f.observed, f.area)
        )
        if not inside or len(inside) < len(same):
            continue
        together = replace(
            inside[0],
            area=alert.area,
            level=max((f.level for f in inside), key=LEVELS.index),
            districts=tuple(part for f in inside for part in f.districts),
            onset=min(f.onset for f in inside),
            observed=sum(f.observed for f in inside),
            expected=sum(f.expected for f in inside),
            lower=sum(f.lower for f in inside),
            upper=sum(f.upper for f in inside),
            p_value=min(f.p_value for f in inside),
            reason_zh="".join(f.reason_zh for f in inside),
            reason_en=" ".join(f.reason_en for f in inside),
        )
        left = [f for f in left if f not in inside] + [together]
    return left


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


def _follow(conn: Connection, alert: Alert, finding: Finding, now: datetime, forecast_set_id: int, areas: Tree) -> Alert:
    """Brings a running alert up to the day's finding, and returns it as it is now."""
    if finding.day < alert.last_day:
        return alert
    changes = _numbers(finding) | {"usual_days": 0, "onset": min(alert.onset, finding.onset), "forecast_set_id": forecast_set_id}
    if alert.kind == SPIKE:
        came = day_scores.read(conn, changes["onset"], finding.day, [changes["area"]], [alert.category])
        if len(came):
            changes["peak"] = came["date"].iloc[came["observed"].argmax()].date()
    higher = LEVELS.index(finding.level) > LEVELS.index(alert.level)
    if higher:
        changes["level"] = finding.level
    moved = changes["area"] != alert.area
    before = {"districts": alert.districts} | {key: getattr(alert, key) for key in changes}
    if before == changes:
        return alert
    note = f"now at {'the whole city' if finding.area == ALL else finding.area}" if moved else None
    alerts.update(conn, alert.id, changes, action="escalated" if higher else "moved" if moved else None, actor=ACTOR, now=now, note=note)
    return replace(alert, **changes)
