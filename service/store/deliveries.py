"""The outbox of webhooks: what is to be sent, what became of it, and every attempt.

A change becomes a delivery and the webhook's place in the feed moves on in one transaction, so that each change is put here once. An attempt is
noted before it is made: a sender that dies in the middle, or cannot write what came of it, leaves a delivery that is tried again later.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, func, insert, or_, select, update

from service.store.schema import webhook_attempts, webhook_deliveries, webhooks

WAITING, DELIVERED, GIVEN_UP = "waiting", "delivered", "given_up"
STATUSES = (WAITING, DELIVERED, GIVEN_UP)
HOLDS_BACK = 2  # attempts of a delivery, before the last of which those after it wait: order outlasts a hiccup, one that fails on blocks nobody

_d, _a = webhook_deliveries.c, webhook_attempts.c


@dataclass(frozen=True)
class Message:
    """What is to be sent.

    Attributes:
        id: the header `webhook-id`.
        seq: number of the change; None: a test.
    """

    id: str
    webhook_id: str
    seq: int | None
    type: str
    body: str


@dataclass(frozen=True)
class Delivery:
    """A message on its way: a row of the table, column by column.

    Attributes:
        status: one of STATUSES.
        attempts: that were begun.
        next_at: a waiting one is not sent before.
    """

    id: int
    webhook_id: str
    message_id: str
    seq: int | None
    type: str
    body: str
    created_at: datetime
    status: str
    attempts: int
    next_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt.

    Attributes:
        http_status: None: there was no answer.
        error: why it counts as failed; None: it was delivered.
        answer: its first characters.
        wait: what the receiver asks to be left alone for.
    """

    milliseconds: int
    http_status: int | None = None
    error: str | None = None
    answer: str = ""
    wait: timedelta | None = None


@dataclass(frozen=True)
class Attempt:
    """An attempt at a delivery: a row of the table. Where all but the first three are None, the sender has not lived to tell."""

    delivery_id: int
    number: int
    at: datetime
    milliseconds: int | None
    http_status: int | None
    error: str | None
    answer: str | None


def put(conn: Connection, messages: Sequence[Message], now: datetime) -> None:
    """Adds messages, which may be sent at once."""
    if messages:
        state = {"created_at": now, "status": WAITING, "attempts": 0, "next_at": now}
        rows = [{"webhook_id": m.webhook_id, "message_id": m.id, "seq": m.seq, "type": m.type, "body": m.body} | state for m in messages]
        conn.execute(insert(webhook_deliveries), rows)


def lanes(conn: Connection, now: datetime) -> list[str]:
    """Ids of the webhooks that are told and for which something is due."""
    told = exists().where(webhooks.c.id == _d.webhook_id, webhooks.c.disabled_at.is_(None))
    return list(conn.scalars(select(_d.webhook_id).where(_d.status == WAITING, _d.next_at <= now, told).distinct().order_by(_d.webhook_id)))


def next_due(conn: Connection, webhook_id: str, now: datetime) -> Delivery | None:
    """The delivery that is to be tried now, in the order of the changes; None: there is none, or one that failed a moment ago holds it back."""
    own = (_d.webhook_id == webhook_id, _d.status == WAITING, or_(_d.next_at <= now, _d.attempts < HOLDS_BACK))
    row = conn.execute(select(webhook_deliveries).where(*own).order_by(_d.id).limit(1)).one_or_none()
    return None if row is None or row.next_at > now else _delivery(row)


def begin(conn: Connection, delivery: Delivery, now: datetime, next_at: datetime) -> int | None:
    """Notes that an attempt begins; its number. None: another sender has begun it meanwhile.

    Args:
        next_at: when it is tried again if nothing is heard of this one.
    """
    mine = (_d.id == delivery.id, _d.status == WAITING, _d.attempts == delivery.attempts)
    number = delivery.attempts + 1
    if conn.execute(update(webhook_deliveries).where(*mine).values(attempts=number, next_at=next_at)).rowcount != 1:
        return None
    conn.execute(insert(webhook_attempts).values(delivery_id=delivery.id, number=number, at=now))
    return number


def end(conn: Connection, delivery_id: int, number: int, outcome: Outcome, now: datetime, next_at: datetime) -> None:
    """Notes what came of an attempt: the delivery is made, or waits until `next_at`. One that was deleted meanwhile stays so."""
    told = {"milliseconds": outcome.milliseconds, "http_status": outcome.http_status, "error": outcome.error, "answer": outcome.answer}
    conn.execute(update(webhook_attempts).where(_a.delivery_id == delivery_id, _a.number == number).values(told))
    values: dict[str, Any] = {"next_at": next_at} if outcome.error is not None else {"status": DELIVERED, "finished_at": now}
    conn.execute(update(webhook_deliveries).where(_d.id == delivery_id).values(values))


def give_up(conn: Connection, webhook_id: str, now: datetime) -> int:
    """Lets go of all that waits for a webhook; how many that were."""
    mine = (_d.webhook_id == webhook_id, _d.status == WAITING)
    return conn.execute(update(webhook_deliveries).where(*mine).values(status=GIVEN_UP, finished_at=now)).rowcount


def list_deliveries(conn: Connection, webhook_id: str, status: str | None, limit: int, before: int | None = None) -> list[Delivery]:
    """Deliveries of a webhook, newest first.

    Args:
        status: one of STATUSES; None: all.
        before: only those with a smaller id.
    """
    query = select(webhook_deliveries).where(_d.webhook_id == webhook_id)
    if status is not None:
        query = query.where(_d.status == status)
    if before is not None:
        query = query.where(_d.id < before)
    return [_delivery(row) for row in conn.execute(query.order_by(_d.id.desc()).limit(limit))]


def attempts(conn: Connection, delivery_ids: Sequence[int]) -> dict[int, list[Attempt]]:
    """Attempts by delivery, oldest first."""
    found: dict[int, list[Attempt]] = {one: [] for one in delivery_ids}
    for row in conn.execute(select(webhook_attempts).where(_a.delivery_id.in_(delivery_ids)).order_by(_a.delivery_id, _a.number)):
        found[row.delivery_id].append(Attempt(*row))
    return found


def waiting(conn: Connection) -> tuple[int, datetime | None]:
    """How many deliveries wait, and since when the oldest of them."""
    number, oldest = conn.execute(select(func.count(), func.min(_d.created_at)).where(_d.status == WAITING)).one()
    return number, oldest


def drop_finished(conn: Connection, before: datetime) -> int:
    """Deletes what was delivered or given up before a moment; how many deliveries that were."""
    old = (_d.status != WAITING, _d.finished_at < before)
    conn.execute(delete(webhook_attempts).where(_a.delivery_id.in_(select(_d.id).where(*old))))
    return conn.execute(delete(webhook_deliveries).where(*old)).rowcount


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**row._mapping)
