"""From what detection finds each day to alerts that live: raised once, followed, moved, escalated, resolved.

For every day:
1. A finding belongs to a running alert of its kinds as `forecasting.detection.events` says; otherwise it raises one.
2. Small ones of too many wait, as `forecasting.detection.ration` says; what waits is not in the store, and is found again.
3. A running alert follows its finding: newest numbers, the highest level so far, the earliest onset, the broadest place. What was EMERGING
   becomes SPIKE when a day alone is improbable, and stays so. What was FIRST_SEEN becomes either when it grows, in its own category: it is
   one alert, whichever kind is applied first. Notes on the DATA stay where they are.
4. A second alert that turns out to be part of the same event is resolved with a note that says so. The oldest goes on, or the one that has grown
   today where what is only new tells of both.
5. What somebody has resolved since the day is over for this day; if it is found on a later day, it is raised anew.
6. An alert that was not found for `events.USUAL_DAYS` days is resolved. A day without data is no usual day.
What people have said of it (acknowledged, judged, acted) stays. The same day applied twice changes nothing. The scores of the day are in
the store before: they say which days had data.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from math import inf
from typing import Any

import pandas as pd
from sqlalchemy import Connection

from forecasting.detection import events, ration
from forecasting.detection.events import LONGEST, USUAL_DAYS, Event
from forecasting.detection.finding import DATA, EXCESS, GROWS, SEASONAL, Finding
from forecasting.detection.levels import LEVELS
from forecasting.detection.running import outgrown
from forecasting.hierarchy import ALL, Tree
from service.store import alerts, day_scores
from service.store.alerts import Alert, AlertFilters

ACTOR = "weisu"
FORECAST = (SEASONAL, *EXCESS)  # kinds whose nodes are forecast, and have a score on every day with data


@dataclass(frozen=True)
class Applied:
    """What a day's findings did to the alerts."""

    raised: int = 0
    followed: int = 0
    resolved: int = 0


def apply(
    conn: Connection,
    kinds: Collection[str],
    findings: Sequence[Finding],
    day: date,
    now: datetime,
    forecast_set_id: int,
    areas: Tree,
    categories: Tree,
    budget: float | None = None,
) -> Applied:
    """Carries the alerts of some kinds over a finished day, in the caller's transaction.

    Args:
        kinds: kinds of one and the same event, those of all findings; alerts of other kinds are left alone.
        findings: what was found on the day, possibly nothing, in any order.
        day: the finished day.
        now: the moment of the changes.
        forecast_set_id: the forecast set by which it was found.
        areas, categories: the trees.
        budget: expected false demand alerts a day; None: as many as there are.
    """
    related = GROWS if set(kinds) <= set(GROWS) else kinds
    running = [one for one in alerts.running(conn) if one.kind in kinds or (one.kind in related and any(_same(one, f, areas) for f in findings))]
    since = datetime.combine(day, time.min, UTC) - timedelta(days=1)  # east of Greenwich a day begins before UTC's
    ended = AlertFilters(statuses=("resolved",), kinds=related, since=since)
    over = [alert for alert in alerts.list_alerts(conn, filters=ended, limit=None) if alert.last_day >= day]
    seen: set[str] = set()
    parts: set[str] = set()
    raised = resolved = 0
    there = [_event(alert) for alert in running]
    notes = set(kinds) == {DATA}
    found = events.notes(findings, [event.node for event in there]) if notes else events.assign(findings, there, areas, categories)
    fresh = [one for one in found if one.running or not any(_is_over(alert, one.finding, kinds, areas, categories) for alert in over)]
    for assigned in ration.told(fresh, _room(conn, kinds, day, budget)):
        finding, spread = assigned.finding, events.spread(assigned, there)
        if not assigned.running:
            alert = _new(finding, spread, now, forecast_set_id)
            if alert.kind in GROWS:
                alert = replace(alert, **_since(conn, finding, finding.onset))
            alerts.insert(conn, alert, ACTOR, now)
            raised += 1
        else:
            joined = [running[k] for k in assigned.running]
            alert = next((one for one in joined if outgrown(one.kind, one.last_day, finding)), joined[0])
            _follow(conn, alert, finding, spread, now, forecast_set_id)
            seen.add(alert.id)
        for part in (running[k] for k in (*assigned.running, *assigned.taken) if running[k].id != alert.id):
            resolved += alerts.change_status(conn, part.id, {"open", "acknowledged"}, "resolved", ACTOR, f"part of {alert.id}", now)
            parts.add(part.id)
    for alert in running:
        if alert.id in seen | parts or day <= alert.last_day or alert.kind not in kinds:
            continue
        usual = _usual_days(conn, alert, day, areas, categories)
        alerts.update(conn, alert.id, {"usual_days": usual}, action=None, actor=ACTOR, now=now)
        if usual >= USUAL_DAYS or day - alert.last_day >= timedelta(days=LONGEST):
            note = f"usual again for {usual} days" if usual else f"no data since {alert.last_day}"
            resolved += alerts.change_status(conn, alert.id, {"open", "acknowledged"}, "resolved", ACTOR, note, now)
    return Applied(raised, len(seen), resolved)


def _room(conn: Connection, kinds: Collection[str], day: date, budget: float | None) -> float:
    """How many small events may still begin on a day."""
    if budget is None or not set(kinds) <= set(GROWS):
        return inf
    return ration.left(alerts.found_on(conn, GROWS, day - timedelta(days=ration.look_back(budget))), day, budget)


def _node(alert: Alert) -> events.Node:
    return alert.area, alert.category


def _event(alert: Alert) -> Event:
    return Event(_node(alert), alert.onset, alert.spread or alert.onset, alert.last_day, alert.peak)


def _same(alert: Alert, finding: Finding, areas: Tree) -> bool:
    """Whether a finding of another kind tells the same: what is new and the burst that it becomes share their category."""
    return alert.category == finding.category and (finding.area in areas.path(alert.area) or alert.area in areas.path(finding.area))


def _is_over(alert: Alert, finding: Finding, kinds: Collection[str], areas: Tree, categories: Tree) -> bool:
    """Whether a finding is of an alert that was resolved."""
    if finding.kind == DATA:
        return _node(alert) == (finding.area, finding.category)
    if alert.kind not in kinds:
        return _same(alert, finding, areas)
    return events.is_over(finding, [_event(alert)], areas, categories)


def _usual_days(conn: Connection, alert: Alert, day: date, areas: Tree, categories: Tree) -> int:
    """Days with data since an alert was found last. Of what is too new to be forecast, those of the nodes above it."""
    since = alert.last_day + timedelta(days=1)
    if alert.kind in FORECAST:
        return len(day_scores.read(conn, since, day, [alert.area], [alert.category]))
    days = (day_scores.read(conn, since, day, [area], categories.path(alert.category))["date"].nunique() for area in areas.path(alert.area))
    return next((number for number in days if number), 0)


def _new(finding: Finding, spread: date, now: datetime, forecast_set_id: int) -> Alert:
    name = f"{finding.kind}|{finding.area}|{finding.category}|{finding.onset}|{finding.day}"
    return Alert(
        id=sha256(name.encode()).hexdigest()[:16],
        kind=finding.kind,
        level=finding.level,
        status="open",
        usual_days=0,
        onset=finding.onset,
        spread=spread,
        found=finding.day,
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


def _since(conn: Connection, finding: Finding, onset: date) -> dict[str, Any]:
    """The columns that sum up an event since its onset: the day with the most tickets, and how many came and were expected.

    What the newest finding tells is summed up as it was found, without what is known to be at fault; days before its onset by their scores.
    """
    scores = day_scores.read(conn, onset, finding.day, [finding.area], [finding.category])
    before = scores[scores["date"] < pd.Timestamp(finding.onset)]
    came, expected = float(before["observed"].sum()), float(before["expected"].sum())
    sums = {"since_observed": came + finding.since_observed, "since_expected": expected + finding.since_expected}
    return {"peak": _peak(scores, finding)} | sums


def _peak(scores: pd.DataFrame, finding: Finding) -> date:
    """Of a running day, which has no score yet, those that have come by now."""
    if not len(scores):
        return finding.peak
    most = scores["observed"].argmax()
    last = scores["date"].max().date()
    return finding.day if last < finding.day and finding.observed > scores["observed"].iloc[most] else scores["date"].iloc[most].date()


def _follow(conn: Connection, alert: Alert, finding: Finding, spread: date, now: datetime, forecast_set_id: int) -> None:
    """Brings a running alert up to the day's finding.

    Args:
        spread: the latest onset of what it has taken in, after the day.
    """
    if finding.day < alert.last_day or outgrown(alert.kind, alert.last_day, finding):
        return
    onset = min(alert.onset, finding.onset)
    changes = _numbers(finding) | {"usual_days": 0, "onset": onset, "spread": spread, "forecast_set_id": forecast_set_id}
    if alert.kind in GROWS:
        changes["kind"] = max(alert.kind, finding.kind, key=GROWS.index)
        changes |= _since(conn, finding, onset)
    higher = LEVELS.index(finding.level) > LEVELS.index(alert.level)
    if higher:
        changes["level"] = finding.level
    moved = _node(alert) != (finding.area, finding.category)
    before = {"districts": alert.districts} | {key: getattr(alert, key) for key in changes}
    if before == changes:
        return
    turned = changes.get("kind", alert.kind) != alert.kind
    place = "the whole city" if finding.area == ALL else finding.area
    told = [f"{changes['kind']}, was {alert.kind}"] if turned else []
    told += [f"now at {place}" + (f", {finding.category}" if finding.category != alert.category else "")] if moved else []
    action = "escalated" if higher else "turned" if turned else "moved" if moved else None
    alerts.update(conn, alert.id, changes, action=action, actor=ACTOR, now=now, note="; ".join(told) or None)
