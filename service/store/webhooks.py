"""Webhooks: who is told of changes of alerts, of which ones, and whether they are told at present."""

import secrets
import string
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from service.store import alert_changes
from service.store.schema import webhook_attempts, webhook_deliveries, webhooks

MOST = 64  # each has a thread of its own while something is sent to it
_LETTERS = string.digits + string.ascii_lowercase  # as of keys: an id is read aloud on the telephone
_ID_LENGTH = 10


@dataclass(frozen=True)
class Wanted:
    """Of which alerts a webhook is told; empty or None means all.

    Attributes:
        level: the least level.
        areas, categories: codes of nodes, each with all below it; an alert elsewhere counts too if it lists one of the areas as concerned.
        events: of `alerts.ACTIONS`.
    """

    level: str | None = None
    kinds: Collection[str] = ()
    areas: Collection[str] = ()
    categories: Collection[str] = ()
    events: Collection[str] = ()


@dataclass(frozen=True)
class Webhook:
    """One webhook: a row of the table, column by column.

    Attributes:
        districts: codes of the districts to which the key that made it is limited; None: the whole city.
        secret, old_secret: sealed; the old one signs as well until `old_secret_until`.
        key_id: of the caller who made it, or enabled it last: it ends with that key. None: made before that was kept.
        disabled_at, disabled_because: since when and why nothing is sent; None: it is told.
        seq: number of the last change that was looked at for it.
    """

    id: str
    url: str
    description: str
    level: str | None
    kinds: list[str]
    areas: list[str]
    categories: list[str]
    events: list[str]
    districts: list[str] | None
    secret: str
    old_secret: str | None
    old_secret_until: datetime | None
    created_at: datetime
    created_by: str
    key_id: str | None
    disabled_at: datetime | None
    disabled_because: str | None
    seq: int

    @property
    def wanted(self) -> Wanted:
        """Of which alerts it is told."""
        return Wanted(self.level, self.kinds, self.areas, self.categories, self.events)

    def sealed_secrets(self, now: datetime) -> list[str]:
        """The secrets that sign now, the newest first."""
        old = self.old_secret if self.old_secret_until is not None and now < self.old_secret_until else None
        return [self.secret] if old is None else [self.secret, old]


def add(
    conn: Connection,
    url: str,
    description: str,
    wanted: Wanted,
    districts: Collection[str] | None,
    secret: str,
    maker: str,
    now: datetime,
    key_id: str | None = None,
) -> Webhook:
    """Makes a webhook, which is told of what changes from now on.

    Args:
        secret: sealed.
        maker, key_id: name and id of the key.
    """
    made = Webhook(
        id="".join(secrets.choice(_LETTERS) for _ in range(_ID_LENGTH)),
        url=url,
        description=description,
        **_lists(wanted),
        districts=None if districts is None else sorted(districts),
        secret=secret,
        old_secret=None,
        old_secret_until=None,
        created_at=now,
        created_by=maker,
        key_id=key_id,
        disabled_at=None,
        disabled_because=None,
        seq=alert_changes.newest(conn),
    )
    conn.execute(insert(webhooks).values({field.name: getattr(made, field.name) for field in fields(Webhook)}))
    return made


def get(conn: Connection, webhook_id: str) -> Webhook | None:
    """One webhook, or None."""
    row = conn.execute(select(webhooks).where(webhooks.c.id == webhook_id)).one_or_none()
    return None if row is None else Webhook(**row._mapping)


def list_webhooks(conn: Connection) -> list[Webhook]:
    """Every webhook, oldest first, disabled ones too."""
    return [Webhook(**row._mapping) for row in conn.execute(select(webhooks).order_by(webhooks.c.created_at, webhooks.c.id))]


def change(conn: Connection, webhook_id: str, values: Mapping[str, Any]) -> None:
    """Sets columns of a webhook."""
    if values:
        conn.execute(update(webhooks).where(webhooks.c.id == webhook_id).values(dict(values)))


def renew_secret(conn: Connection, webhook: Webhook, secret: str, old_until: datetime) -> None:
    """Gives a webhook a new secret; the one that it has had signs as well until `old_until`, one before that no longer."""
    change(conn, webhook.id, {"secret": secret, "old_secret": webhook.secret, "old_secret_until": old_until})


def disable(conn: Connection, webhook_id: str, because: str, now: datetime) -> bool:
    """Stops a webhook; False if it is stopped already, or is no more."""
    told = webhooks.c.disabled_at.is_(None)
    done = conn.execute(update(webhooks).where(webhooks.c.id == webhook_id, told).values(disabled_at=now, disabled_because=because))
    return done.rowcount == 1


def enable(conn: Connection, webhook_id: str, key_id: str) -> None:
    """Lets a webhook be told again, of what changes from now on, until the key that enables it ends."""
    change(conn, webhook_id, {"disabled_at": None, "disabled_because": None, "seq": alert_changes.newest(conn), "key_id": key_id})


def remove(conn: Connection, webhook_id: str) -> None:
    """Deletes a webhook and what was to be sent to it."""
    own = select(webhook_deliveries.c.id).where(webhook_deliveries.c.webhook_id == webhook_id)
    conn.execute(delete(webhook_attempts).where(webhook_attempts.c.delivery_id.in_(own)))
    conn.execute(delete(webhook_deliveries).where(webhook_deliveries.c.webhook_id == webhook_id))
    conn.execute(delete(webhooks).where(webhooks.c.id == webhook_id))


def tally(conn: Connection) -> tuple[int, int]:
    """How many webhooks are told, and how many are disabled."""
    every, told = conn.execute(select(func.count(), func.count().filter(webhooks.c.disabled_at.is_(None))).select_from(webhooks)).one()
    return told, every - told


def _lists(wanted: Wanted) -> dict[str, Any]:
    return {"level": wanted.level} | {name: list(getattr(wanted, name)) for name in ("kinds", "areas", "categories", "events")}
