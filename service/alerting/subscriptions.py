"""Which changes a webhook is told, and in what words."""

import json
import secrets
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from forecasting.detection.levels import LEVELS
from forecasting.hierarchy import ALL, Tree
from service.store.alert_changes import Change
from service.store.alerts import LEFT, Alert
from service.store.deliveries import Message
from service.store.webhooks import Webhook

TEST = "weisu.test"  # the type of a test
NEWS = ("raised", "escalated", "turned", "moved")
STANDS_FOR = {LEFT: ("resolved",), "unsilenced": NEWS}  # what is told to those, too, who asked for other events: it tells of them


def heard(webhook: Webhook, change: Change, areas: Tree, categories: Tree) -> Change | None:
    """A change as a webhook is told it; None: it asked for others, or the key that made it may not see the alert."""
    seen = change.seen_by(lambda alert: wants(webhook, alert, areas, categories))
    events = webhook.wanted.events
    if seen is None or not events:
        return seen
    return None if {seen.event.action, *STANDS_FOR.get(seen.event.action, ())}.isdisjoint(events) else seen


def wants(webhook: Webhook, alert: Alert, areas: Tree, categories: Tree) -> bool:
    """Whether an alert is one of those that a webhook asked for, and one that the key that made it may see."""
    asked = webhook.wanted
    places, concerned = {*areas.path(alert.area)}, {one["code"] for one in alert.districts}
    if webhook.districts is not None and not (places | (concerned if alert.area == ALL else set())) & {*webhook.districts}:
        return False
    return (
        (asked.level is None or LEVELS.index(alert.level) >= LEVELS.index(asked.level))
        and (not asked.kinds or alert.kind in asked.kinds)
        and (not asked.areas or bool((places | concerned) & {*asked.areas}))
        and (not asked.categories or not {*asked.categories}.isdisjoint(categories.path(alert.category)))
    )


def told(webhook: Webhook, change: Change, data: Mapping[str, Any], zone: tzinfo) -> Message:
    """A change as a message.

    Args:
        data: the change as the API tells it.
        zone: the city's.
    """
    kind, seq = f"alert.{change.event.action}", change.event.seq
    return Message(f"msg_{webhook.id}_{seq}", webhook.id, seq, kind, _body(kind, change.event.at.astimezone(zone), data))


def test(webhook: Webhook, now: datetime, zone: tzinfo) -> Message:
    """A message that tells nothing, to see whether messages arrive."""
    data = {"webhook_id": webhook.id, "message_zh": "测试消息", "message_en": "a test"}
    return Message(f"msg_{webhook.id}_test_{secrets.token_hex(8)}", webhook.id, None, TEST, _body(TEST, now.astimezone(zone), data))


def _body(kind: str, moment: datetime, data: Mapping[str, Any]) -> str:
    return json.dumps({"type": kind, "timestamp": moment.isoformat(), "data": data}, ensure_ascii=False, separators=(",", ":"))
