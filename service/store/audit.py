"""The audit log: what people and the service did to what is served, and when; only ever added to."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from service.store.schema import audit_log

ROLLBACK, ALIASES = "rollback", "aliases"
RETRIED = "ingest_retried"
ACKNOWLEDGED, RESOLVED, JUDGED = "alert_acknowledged", "alert_resolved", "alert_judged"
SILENCED, SILENCE_ENDED = "silenced", "silence_ended"
WEBHOOK_MADE, WEBHOOK_CHANGED, WEBHOOK_REMOVED = "webhook_made", "webhook_changed", "webhook_removed"
WEBHOOK_ENABLED, WEBHOOK_DISABLED, WEBHOOK_SECRET = "webhook_enabled", "webhook_disabled", "webhook_secret"
WEBHOOKS = (WEBHOOK_MADE, WEBHOOK_CHANGED, WEBHOOK_REMOVED, WEBHOOK_ENABLED, WEBHOOK_DISABLED, WEBHOOK_SECRET)
ACTIONS = (ROLLBACK, ALIASES, ACKNOWLEDGED, RESOLVED, JUDGED, SILENCED, SILENCE_ENDED, *WEBHOOKS, RETRIED)
"""rollback: the published pointer was moved by hand. aliases: the registry's aliases followed the pointer. alert_*, silence*: what people did
to alerts. webhook_*: what became of a webhook; _secret: it was given a new one. ingest_retried: tickets that could not be
counted were put back into the queue."""


@dataclass(frozen=True)
class Entry:
    """One row of the log.

    Attributes:
        actor: the name of an API key, or who ran a command.
        action: one of ACTIONS.
        subject: what it was done to.
        detail: what else is worth knowing; plain values.
    """

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]


def record(conn: Connection, now: datetime, actor: str, action: str, subject: str, detail: Mapping[str, Any]) -> None:
    """Adds an entry, in the transaction of what it tells of."""
    conn.execute(insert(audit_log).values(at=now, actor=actor, action=action, subject=subject, detail=dict(detail)))


def newest(conn: Connection, action: str) -> Entry | None:
    """The last entry of an action; None: it never happened."""
    row = conn.execute(select(audit_log).where(audit_log.c.action == action).order_by(audit_log.c.seq.desc()).limit(1)).one_or_none()
    return None if row is None else Entry(**row._mapping)


def of_action(conn: Connection, action: str) -> list[Entry]:
    """All entries of an action, the oldest first."""
    return [Entry(**row._mapping) for row in conn.execute(select(audit_log).where(audit_log.c.action == action).order_by(audit_log.c.seq))]


@dataclass(frozen=True)
class Wanted:
    """Which entries; empty or None means all.

    Attributes:
        since, before: moments between which it was done, the latter excluded.
    """

    actor: str | None = None
    actions: Collection[str] = ()
    subject: str | None = None
    since: datetime | None = None
    before: datetime | None = None


def entries(conn: Connection, limit: int = 100, wanted: Wanted | None = None, before: int | None = None) -> list[Entry]:
    """The last entries, the newest first.

    Args:
        before: only those with a lower number.
    """
    c, asked = audit_log.c, wanted or Wanted()
    query = select(audit_log)
    for column, value in ((c.actor, asked.actor), (c.subject, asked.subject)):
        if value is not None:
            query = query.where(column == value)
    if asked.actions:
        query = query.where(c.action.in_(asked.actions))
    if asked.since is not None:
        query = query.where(c.at >= asked.since)
    if asked.before is not None:
        query = query.where(c.at < asked.before)
    if before is not None:
        query = query.where(c.seq < before)
    return [Entry(**row._mapping) for row in conn.execute(query.order_by(c.seq.desc()).limit(limit))]
