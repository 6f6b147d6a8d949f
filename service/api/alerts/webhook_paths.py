"""`/v1/webhooks`: who is told of changes of alerts, and what became of each message."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from sqlalchemy import Connection

from forecasting.errors import InputError
from service.alerting import signing, subscriptions
from service.alerting.receivers import Receivers
from service.alerting.signing import Seal
from service.api.alerts.webhook_schemas import (
    DeliveryStatus,
    Webhook,
    WebhookAttempt,
    WebhookChange,
    WebhookDelivery,
    WebhookDeliveryPage,
    WebhookIn,
    WebhookPage,
    WebhookWithSecret,
)
from service.api.deps import Requires, Running, Service
from service.api.errors import Problem, problems
from service.api.trees.nodes import allowed, area_tree, category_tree
from service.api.web import pages
from service.api.web.bodies import limited_to
from service.api.web.parameters import NoParameters, Parameters
from service.clock import Clock
from service.secret import of as secret_of
from service.store import audit, deliveries, keys
from service.store import webhooks as store
from service.store.engine import reading, writing
from service.store.keys import Caller
from service.store.webhooks import Wanted

LARGEST_BODY = 262_144  # bytes; two filters of 200 long codes
OVERLAP = timedelta(hours=24)  # in which the secret before the present one signs as well
DELIVERIES = 50  # of a page

router = APIRouter(prefix="/webhooks", tags=["alerts"], route_class=limited_to(LARGEST_BODY))

WebhookId = Annotated[str, Path(description="`webhook_id` of the webhook.", max_length=100)]
Admin = Annotated[Caller, Requires("admin")]


@router.get("", operation_id="list_webhooks", summary="Webhooks")
def list_webhooks(service: Running, caller: Admin, _: NoParameters) -> WebhookPage:
    """Every webhook that the key may see, oldest first, without secrets. A key limited to districts sees those made for its districts.

    查询预警推送(Webhook)订阅;不含密钥。
    """
    with reading(service.engine) as conn:
        found = store.list_webhooks(conn)
    return WebhookPage(items=[_told(service, hook) for hook in found if _sees(caller, hook)], next=None)


@router.post("", operation_id="make_webhook", summary="Be told of changes of alerts", responses=problems(409, 413, 415))
def make_webhook(service: Running, caller: Admin, asked: WebhookIn, _: NoParameters) -> WebhookWithSecret:
    """Makes a webhook: every change of an alert from now on that fits is posted to its address, signed, at least once, for 75 hours if need be.

    The secret is in this answer and in no other. A key limited to districts is told what it may see. It is disabled within seconds when the key that
    made it is revoked or expires; where that was rotated, when the one in its place is. Therefore it takes a key: with a token of an identity
    provider the answer is 403. Addresses of private networks are refused unless the installation allows them.

    新建预警推送:预警变化即时推送,附签名,至少送达一次;密钥仅此一次显示。
    """
    _receivers(service).check(asked.url)
    secret, seal = signing.new_secret(), _seal(service)
    with writing(service.engine) as conn:
        _require_key(service, conn, caller)
        if len(store.list_webhooks(conn)) >= store.MOST:
            raise Problem(409, f"there are {store.MOST} webhooks already", mend="delete one that nobody needs")
        wanted = Wanted(asked.level, asked.kinds, *_nodes(conn, caller, asked.areas, asked.categories), asked.events)
        hook = store.add(conn, asked.url, asked.description, wanted, caller.districts, seal.close(secret), caller.name, _now(service), caller.id)
        _record(conn, service, caller, audit.WEBHOOK_MADE, hook)
    return WebhookWithSecret(**dict(_told(service, hook)), secret=secret)


@router.get("/{webhook_id}", operation_id="get_webhook", summary="One webhook", responses=problems(404))
def get_webhook(webhook_id: WebhookId, service: Running, caller: Admin, _: NoParameters) -> Webhook:
    """A webhook, without its secret.

    查询一个推送订阅。
    """
    with reading(service.engine) as conn:
        return _told(service, _found(conn, caller, webhook_id))


@router.patch("/{webhook_id}", operation_id="change_webhook", summary="Change a webhook", responses=problems(404, 413, 415))
def change_webhook(webhook_id: WebhookId, service: Running, caller: Admin, asked: WebhookChange, _: NoParameters) -> Webhook:
    """Changes what is given and leaves the rest. Messages that wait already go to the new address as they are.

    修改推送订阅;未给出的项不变。
    """
    given: dict[str, Any] = {name: getattr(asked, name) for name in asked.model_fields_set}
    empty = [name for name, value in given.items() if value is None and name != "level"]
    if empty:
        raise InputError("null means nothing here", f"body.{empty[0]}", "leave it out, or send an empty list for all")
    if "url" in given:
        _receivers(service).check(given["url"])
    with writing(service.engine) as conn:
        hook = _found(conn, caller, webhook_id)
        areas, categories = _nodes(conn, caller, given.get("areas", ()), given.get("categories", ()))
        store.change(conn, hook.id, given | {name: codes for name, codes in (("areas", areas), ("categories", categories)) if name in given})
        hook = _found(conn, caller, webhook_id)
        if given:
            _record(conn, service, caller, audit.WEBHOOK_CHANGED, hook, changed=sorted(given))
        return _told(service, hook)


@router.delete("/{webhook_id}", operation_id="delete_webhook", summary="Delete a webhook", responses=problems(404))
def delete_webhook(webhook_id: WebhookId, service: Running, caller: Admin, _: NoParameters) -> Webhook:
    """Deletes a webhook with what waits for it, and answers what it was.

    删除推送订阅及其待发消息。
    """
    with writing(service.engine) as conn:
        hook = _found(conn, caller, webhook_id)
        store.remove(conn, hook.id)
        _record(conn, service, caller, audit.WEBHOOK_REMOVED, hook)
    return _told(service, hook)


@router.post("/{webhook_id}/enable", operation_id="enable_webhook", summary="Let a webhook be told again", responses=problems(404))
def enable_webhook(webhook_id: WebhookId, service: Running, caller: Admin, _: NoParameters) -> Webhook:
    """After it was disabled: it is told what changes from now on, until the key that enables it ends; therefore that takes a key, as to make one.
    What it has missed stands in `/v1/alerts/changes`. Repeating it does nothing.

    重新启用推送;停用期间的变化请从 /v1/alerts/changes 补取。
    """
    with writing(service.engine) as conn:
        hook = _found(conn, caller, webhook_id)
        if hook.disabled_at is not None:
            _require_key(service, conn, caller)
            store.enable(conn, hook.id, caller.id)
            _record(conn, service, caller, audit.WEBHOOK_ENABLED, hook)
        return _told(service, _found(conn, caller, webhook_id))


@router.post("/{webhook_id}/secret", operation_id="renew_webhook_secret", summary="Give a webhook a new secret", responses=problems(404))
def renew_webhook_secret(webhook_id: WebhookId, service: Running, caller: Admin, _: NoParameters) -> WebhookWithSecret:
    """Makes a new secret, shown in this answer alone. For 24 hours the one before it signs as well, so that the receiver may change at any moment;
    an older one no longer.

    更换签名密钥;旧密钥在 24 小时内同时有效。
    """
    secret, seal, now = signing.new_secret(), _seal(service), _now(service)
    with writing(service.engine) as conn:
        store.renew_secret(conn, _found(conn, caller, webhook_id), seal.close(secret), now + OVERLAP)
        hook = _found(conn, caller, webhook_id)
        _record(conn, service, caller, audit.WEBHOOK_SECRET, hook)
    return WebhookWithSecret(**dict(_told(service, hook)), secret=secret)


@router.post("/{webhook_id}/test", operation_id="test_webhook", summary="Send a test", responses=problems(404, 409))
def send_test(webhook_id: WebhookId, service: Running, caller: Admin, _: NoParameters) -> WebhookDelivery:
    """Sends a message of type `weisu.test` within seconds; what came of it stands in the deliveries.

    发送一条测试消息;结果见 deliveries。
    """
    with writing(service.engine) as conn:
        hook = _found(conn, caller, webhook_id)
        if hook.disabled_at is not None:
            raise Problem(409, "the webhook is disabled", where="webhook_id", mend="enable it first")
        deliveries.put(conn, [subscriptions.test(hook, _now(service), service.settings.zone)], _now(service))
        (made,) = deliveries.list_deliveries(conn, hook.id, None, 1)
    return _delivery(service, made, [])


class DeliveryParameters(Parameters):
    """Parameters of `/v1/webhooks/{webhook_id}/deliveries`."""

    status: DeliveryStatus | None = Field(None, description="Only those.")
    limit: int = Field(DELIVERIES, ge=1, le=1000, description="Most rows of a page.")
    next: str | None = Field(None, max_length=500, description="`next` of the page before; send the other parameters again unchanged.")


@router.get("/{webhook_id}/deliveries", operation_id="list_webhook_deliveries", summary="What became of the messages", responses=problems(404))
def list_webhook_deliveries(
    request: Request, webhook_id: WebhookId, asked: Annotated[DeliveryParameters, Query()], service: Running, caller: Admin
) -> WebhookDeliveryPage:
    """The messages of a webhook, the newest first, each with its attempts: when, the status, how long it took, and how the answer begins.

    查询推送记录:每次尝试的时间、状态、耗时和应答摘要。
    """
    place = pages.place(request, asked.next, pages.number)
    with reading(service.engine) as conn:
        hook = _found(conn, caller, webhook_id)
        found = deliveries.list_deliveries(conn, hook.id, asked.status, asked.limit + 1, None if place is None else place[0])
        page = found[: asked.limit]
        attempts = deliveries.attempts(conn, [one.id for one in page])
    following = pages.token(request, page[-1].id) if len(found) > len(page) else None
    return WebhookDeliveryPage(items=[_delivery(service, one, attempts[one.id]) for one in page], next=following)


def _require_key(service: Service, conn: Connection, caller: Caller) -> None:
    """Raises Problem 403 for who has no key: a token is over within hours, a webhook would live on and nobody would end it with its maker."""
    if caller.id not in keys.usable(conn, service.clock.now()):
        mend = "make it with a key of the scope 'admin' ('weisu keys create'): the webhook ends when the key does"
        raise Problem(403, "a webhook lasts as long as the key that made it, and this request has none", where="Authorization", mend=mend)


def _receivers(service: Service) -> Receivers:
    return Receivers.of(service.settings.webhook_private, service.settings.webhook_allow)


def _seal(service: Service) -> Seal:
    return Seal(secret_of(service.settings))


def _now(service: Service) -> datetime:
    """The real time, by which messages are sent, even where the service's clock is frozen."""
    return Clock(service.settings.zone).now()


def _nodes(conn: Connection, caller: Caller, areas: Iterable[str], categories: Iterable[str]) -> tuple[list[str], list[str]]:
    """The codes of two filters, sorted. Raises InputError for an unknown one, Problem 403 for an area outside of the caller's districts."""
    places = area_tree(conn)
    wanted = places.known(areas, "body.areas")
    allowed(places, caller, wanted, "body.areas")
    return sorted(wanted), sorted(category_tree(conn).known(categories, "body.categories"))


def _sees(caller: Caller, hook: store.Webhook) -> bool:
    """Whether a webhook tells nothing that the caller may not see."""
    return caller.districts is None or (hook.districts is not None and caller.districts.issuperset(hook.districts))


def _found(conn: Connection, caller: Caller, webhook_id: str) -> store.Webhook:
    """A webhook. Raises Problem: there is none (404), or it is not the caller's to see (403)."""
    hook = store.get(conn, webhook_id) if webhook_id.isprintable() else None  # PostgreSQL refuses a NUL
    if hook is None:
        raise Problem(404, f"there is no webhook '{webhook_id}'", where="webhook_id", mend="see /v1/webhooks")
    if not _sees(caller, hook):
        raise Problem(403, f"your key is limited to {', '.join(sorted(caller.districts or ()))}; the webhook is not", where="webhook_id")
    return hook


def _record(conn: Connection, service: Service, caller: Caller, action: str, hook: store.Webhook, **detail: Any) -> None:
    audit.record(conn, service.clock.now(), caller.name, action, f"webhook {hook.id}", {"description": hook.description} | detail)


def _told(service: Service, hook: store.Webhook) -> Webhook:
    local = service.local
    overlap = hook.old_secret_until if hook.old_secret_until is not None and hook.old_secret_until > _now(service) else None
    return Webhook.model_validate(
        {
            **{name: getattr(hook, name) for name in Webhook.model_fields if hasattr(hook, name)},
            "webhook_id": hook.id,
            "created_at": local(hook.created_at),
            "enabled": hook.disabled_at is None,
            "disabled_at": None if hook.disabled_at is None else local(hook.disabled_at),
            "old_secret_until": None if overlap is None else local(overlap),
        }
    )


def _delivery(service: Service, one: deliveries.Delivery, attempts: Iterable[deliveries.Attempt]) -> WebhookDelivery:
    local = service.local
    return WebhookDelivery.model_validate(
        {
            **{name: getattr(one, name) for name in ("message_id", "seq", "type", "status")},
            "created_at": local(one.created_at),
            "next_attempt": local(one.next_at) if one.status == deliveries.WAITING else None,
            "finished_at": None if one.finished_at is None else local(one.finished_at),
            "attempts": [
                WebhookAttempt(
                    number=a.number, at=local(a.at), status=a.http_status, milliseconds=a.milliseconds, error=a.error, answer=a.answer or None
                )
                for a in attempts
            ],
        }
    )
