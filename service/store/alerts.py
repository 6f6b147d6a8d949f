"""Alerts and their history: every change of an alert is one row of `alert_events`, written in the same transaction."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from typing import Any, TypedDict

from sqlalchemy import Connection, Date, Row, Text, and_, case, cast, false, func, not_, or_, select
from sqlalchemy import insert as insert_rows
from sqlalchemy import update as update_rows

from service.store import counters, silences
from service.store.schema import Moment, alert_events, alerts
from service.store.silences import Cover

KINDS = ("SEASONAL", "SPIKE", "EMERGING", "FIRST_SEEN", "DATA")
STATUSES = ("open", "acknowledged", "resolved")
VERDICTS = ("true", "false", "acted")
"""What an alert turned out to be. acted: something was done about it; that no complaints came does not make it false."""
ACTIONS = (
    *("raised", "escalated", "turned", "moved", "acknowledged", "resolved"),
    *("judged_true", "judged_false", "judged_acted", "verdict_withdrawn", "unsilenced"),
)
"""What the history calls a change. turned: it is of another kind now. unsilenced: a silence under which it changed is over."""
LEFT = "left"  # what a reader is told instead where an alert goes on among those that he does not see, see `alert_changes`
CITY = "ALL"  # the area of an alert on the whole city


class ConcernedDistrict(TypedDict):
    """A district that an alert concerns, with its own count and expectation."""

    code: str
    observed: float | None
    expected: float


@dataclass(frozen=True)
class Alert:
    """An alert: one row of the table `alerts`, column by column.

    Attributes:
        districts: those concerned, greatest excess first.
        onset: first day of the unusual; last_day: the last day on which it was seen; usual_days: days in a row without it.
        peak: the day on which the most is expected or was seen, if known.
        observed, expected, lower, upper, p_value: the evidence, as `forecasting.detection.finding.Finding` defines it for each kind.
        verdict: one of `VERDICTS`, given at the moment `judged_at`; None: nobody has judged it.
        spread: the latest onset of what it has taken in.
        found: the day of the findings by which it was raised. None, as `spread`: of a time when that was not kept.
        since_observed, since_expected: tickets from the onset to the last day, of events alone; None: of others, or of a time when that was not kept.
    """

    id: str
    kind: str
    level: str
    status: str
    area: str
    category: str
    districts: list[ConcernedDistrict]
    onset: date
    last_day: date
    usual_days: int
    peak: date | None
    observed: float | None
    expected: float
    lower: float
    upper: float
    p_value: float
    reason_zh: str
    reason_en: str
    forecast_set_id: int
    raised_at: datetime
    changed_at: datetime
    resolved_at: datetime | None
    verdict: str | None = None
    judged_at: datetime | None = None
    spread: date | None = None
    found: date | None = None
    since_observed: float | None = None
    since_expected: float | None = None


@dataclass(frozen=True)
class AlertEvent:
    """One step in an alert's life: who did what, when, and the level and status after it. `seq` is its number in the feed, see `alert_changes`."""

    seq: int
    alert_id: str
    at: datetime
    actor: str
    action: str
    level: str
    status: str
    note: str | None


@dataclass(frozen=True)
class AlertFilters:
    """Which alerts; None or empty means all.

    Attributes:
        areas: codes of the nodes on which the alert may stand.
        concerning: (with `areas`) district codes; an alert elsewhere counts too if it lists one of them as concerned.
        visible: codes of the nodes that the caller may see at all.
        own: (with `visible`) the caller's district codes; an alert on the whole city counts too if it lists one of them as concerned.
        since: only those raised or changed at or after this moment.
        verdicts: of `VERDICTS`; None among them: not judged.
        raised_from, raised_before: moments between which they were raised, the latter excluded.
        silenced: whether one of the `covers` covers it.
    """

    statuses: Collection[str] = ()
    kinds: Collection[str] = ()
    levels: Collection[str] = ()
    areas: Collection[str] | None = None
    concerning: Collection[str] = ()
    categories: Collection[str] | None = None
    visible: Collection[str] | None = None
    own: Collection[str] = ()
    since: datetime | None = None
    verdicts: Collection[str | None] = ()
    raised_from: datetime | None = None
    raised_before: datetime | None = None
    silenced: bool | None = None
    covers: Collection[Cover] = ()


EVENT = [alert_events.c[field.name] for field in fields(AlertEvent)]
"""The columns of an event."""
_DAYS = [column.name for column in alerts.c if isinstance(column.type, Date)]
_MOMENTS = [column.name for column in alerts.c if isinstance(column.type, Moment)]

Place = tuple[datetime, str]  # (raised_at, id): where the next page begins


def list_alerts(conn: Connection, *, filters: AlertFilters | None = None, limit: int | None = 100, after: Place | None = None) -> list[Alert]:
    """Alerts that fit, the one raised last first.

    Args:
        limit: at most so many; None: all.
        after: only those that come after this (raised_at, id) in the same order; a page stays right while alerts are added.
    """
    query = select(alerts).where(*conditions(filters or AlertFilters()))
    if after is not None:
        raised_at, alert_id = after
        query = query.where(or_(alerts.c.raised_at < raised_at, and_(alerts.c.raised_at == raised_at, alerts.c.id < alert_id)))
    return [_alert(row) for row in conn.execute(query.order_by(alerts.c.raised_at.desc(), alerts.c.id.desc()).limit(limit))]


def get(conn: Connection, alert_id: str) -> Alert | None:
    """One alert, or None."""
    row = conn.execute(select(alerts).where(alerts.c.id == alert_id)).one_or_none()
    return None if row is None else _alert(row)


def history(conn: Connection, alert_id: str) -> list[AlertEvent]:
    """What happened to an alert, oldest first."""
    rows = conn.execute(select(*EVENT).where(alert_events.c.alert_id == alert_id).order_by(alert_events.c.seq))
    return [AlertEvent(*row) for row in rows]


def running(conn: Connection) -> list[Alert]:
    """Every alert that is not resolved, the one raised first first."""
    rows = conn.execute(select(alerts).where(alerts.c.status != "resolved").order_by(alerts.c.raised_at, alerts.c.id))
    return [_alert(row) for row in rows]


def found_on(conn: Connection, kinds: Collection[str], since: date) -> list[date]:
    """Of each alert of some kinds that was raised by findings of a day or a later one, that day."""
    rows = conn.execute(select(alerts.c.found).where(alerts.c.kind.in_(kinds), alerts.c.found >= since))
    return [day for (day,) in rows]


def tally(conn: Connection, filters: AlertFilters | None = None) -> dict[tuple[str, str, str], int]:
    """Number of alerts that fit by (kind, level, status); combinations without any are left out."""
    key = (alerts.c.kind, alerts.c.level, alerts.c.status)
    rows = conn.execute(select(*key, func.count()).where(*conditions(filters or AlertFilters())).group_by(*key))
    return {(kind, level, status): number for kind, level, status, number in rows}


@dataclass(frozen=True)
class Verdicts:
    """How many alerts of one category and kind were raised, and what they turned out to be."""

    category: str
    kind: str
    verdict: str | None
    alerts: int


def verdicts(conn: Connection, filters: AlertFilters | None = None, judged_by: datetime | None = None) -> list[Verdicts]:
    """Number of alerts that fit by category, kind and verdict.

    Args:
        judged_by: verdicts given later count as none.
    """
    verdict = alerts.c.verdict if judged_by is None else case((alerts.c.judged_at <= judged_by, alerts.c.verdict), else_=None)
    key = (alerts.c.category, alerts.c.kind, verdict)
    rows = conn.execute(select(*key, func.count()).where(*conditions(filters or AlertFilters())).group_by(*key))
    return [Verdicts(*row) for row in rows]


def insert(conn: Connection, alert: Alert, actor: str, now: datetime) -> None:
    """Adds an alert with its first event, "raised"."""
    conn.execute(insert_rows(alerts).values({field.name: getattr(alert, field.name) for field in fields(Alert)}))
    _record(conn, alert.id, "raised", actor, now, None)


def update(
    conn: Connection, alert_id: str, changes: Mapping[str, Any], *, action: str | None, actor: str, now: datetime, note: str | None = None
) -> bool:
    """Changes an alert that still runs.

    Args:
        changes: new values by column.
        action: what the history calls it ("escalated", "moved"); None for bookkeeping that nobody need hear of, which
            leaves `changed_at` and the history as they are.

    Returns:
        False, and nothing is changed, if there is no such alert or somebody has resolved it meanwhile.
    """
    values = dict(changes) if action is None else {**changes, "changed_at": now}
    changed = conn.execute(update_rows(alerts).where(alerts.c.id == alert_id, alerts.c.status != "resolved").values(values))
    if changed.rowcount != 1:
        return False
    if action is not None:
        _record(conn, alert_id, action, actor, now, note)
    elif changes.keys() - {"usual_days"}:  # nobody is shown these
        counters.step(conn, counters.ALERT_NUMBERS)
    return True


def change_status(conn: Connection, alert_id: str, expected: Collection[str], to: str, actor: str, note: str | None, now: datetime) -> bool:
    """Compare and swap: gives an alert the status `to` if it has one of the `expected` ones, and records it.

    Returns:
        False, and nothing is changed, if there is no such alert or its status is another one.
    """
    changed = conn.execute(
        update_rows(alerts)
        .where(alerts.c.id == alert_id, alerts.c.status.in_(expected))
        .values(status=to, changed_at=now, resolved_at=now if to == "resolved" else None)
    )
    if changed.rowcount != 1:
        return False
    _record(conn, alert_id, to, actor, now, note)
    return True


def judge(conn: Connection, alert_id: str, replaces: str | None, verdict: str | None, actor: str, note: str | None, now: datetime) -> bool:
    """Compare and swap: says what an alert turned out to be, whatever its status, if its verdict is still the one that is replaced.

    Args:
        replaces: the verdict that it has; None: it has none.
        verdict: one of `VERDICTS`; None withdraws the one that it has.

    Returns:
        False, and nothing is changed, if there is no such alert or its verdict is another one.
    """
    c = alerts.c
    changed = conn.execute(
        update_rows(alerts)
        .where(c.id == alert_id, c.verdict.is_(None) if replaces is None else c.verdict == replaces)
        .values(verdict=verdict, judged_at=None if verdict is None else now, changed_at=now)
    )
    if changed.rowcount != 1:
        return False
    _record(conn, alert_id, "verdict_withdrawn" if verdict is None else f"judged_{verdict}", actor, now, note)
    return True


def _record(conn: Connection, alert_id: str, action: str, actor: str, now: datetime, note: str | None) -> None:
    """Writes down what was done to an alert, and the alert after it."""
    alert = _alert(conn.execute(select(alerts).where(alerts.c.id == alert_id)).one())
    event = AlertEvent(counters.step(conn, counters.ALERT_CHANGES), alert_id, now, actor, action, alert.level, alert.status, note)
    conn.execute(insert_rows(alert_events).values(**asdict(event), snapshot=_kept(alert)))


def _kept(alert: Alert) -> dict[str, Any]:
    """An alert as a snapshot keeps it: days and moments as texts."""
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in vars(alert).items()}


def of_snapshot(kept: Mapping[str, Any]) -> Alert:
    """The alert that a snapshot keeps."""
    days = {name: date.fromisoformat(kept[name]) for name in _DAYS if kept.get(name) is not None}  # older snapshots know less
    return Alert(**{**kept, **days, **{name: datetime.fromisoformat(kept[name]) for name in _MOMENTS if kept[name] is not None}})


def _alert(row: Row[Any]) -> Alert:
    return Alert(**row._mapping)


def conditions(filters: AlertFilters) -> list[Any]:
    """The filters as conditions on the table."""
    found: list[Any] = []
    for column, wanted in ((alerts.c.status, filters.statuses), (alerts.c.kind, filters.kinds), (alerts.c.level, filters.levels)):
        if wanted:
            found.append(column.in_(wanted))
    if filters.areas is not None:
        found.append(or_(alerts.c.area.in_(filters.areas), *(_concerns(code) for code in filters.concerning)))
    if filters.categories is not None:
        found.append(alerts.c.category.in_(filters.categories))
    if filters.visible is not None:
        concerned = and_(alerts.c.area == CITY, or_(false(), *(_concerns(code) for code in filters.own)))
        found.append(or_(alerts.c.area.in_(filters.visible), concerned))
    if filters.since is not None:
        found.append(alerts.c.changed_at >= filters.since)
    if filters.verdicts:
        given = [one for one in filters.verdicts if one is not None]
        found.append(or_(alerts.c.verdict.in_(given), alerts.c.verdict.is_(None) if None in filters.verdicts else false()))
    if filters.raised_from is not None:
        found.append(alerts.c.raised_at >= filters.raised_from)
    if filters.raised_before is not None:
        found.append(alerts.c.raised_at < filters.raised_before)
    if filters.silenced is not None:
        covered = silences.covered(filters.covers)
        found.append(covered if filters.silenced else not_(covered))
    return found


def _concerns(code: str) -> Any:
    """Whether the JSON list of districts has a code. Read as text: SQLite and PostgreSQL have no JSON search in common."""
    return cast(alerts.c.districts, Text).contains(f'"code": {json.dumps(code)}', autoescape=True)
