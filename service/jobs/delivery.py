"""Changes of alerts to those who asked to be told: into the outbox once, out of it until they have arrived.

1. Each change becomes a message for every webhook that wants it, and the webhook's place in the feed moves on in the same transaction. What
   happened under a silence becomes none; when the silence is over, that is a change of the alerts that still run.
2. Each webhook with something due has a lane, a thread of its own: a slow receiver delays nobody else. A lane sends one message after the other,
   in the order of the changes. One that fails is tried again 5 seconds later, and until then holds back those after it; when it fails again,
   they overtake it.
3. An attempt is noted before it is made. Whatever kills the sender, the message is tried again: it arrives at least once, perhaps twice.
4. What failed ten times within 75 hours is given up, and the webhook is disabled; so is one whose receiver answers 410, or whose key has ended.
   What waits for it is given up too, and it stays so until somebody enables it.

Receivers compare the time of a message with their own clock, so this follows the real one even where the service's clock is frozen.
"""

import logging
import random
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from forecasting.errors import InputError
from forecasting.hierarchy import Tree
from service.alerting import signing, silencing, subscriptions
from service.alerting.post import GONE, Post
from service.alerting.receivers import Receivers
from service.alerting.signing import Seal
from service.clock import Clock
from service.secret import of as secret_of
from service.settings import Settings
from service.store import alert_changes, areas, audit, categories, deliveries, keys, silences, webhooks
from service.store.alert_changes import Change
from service.store.alerts import LEFT
from service.store.categories import OWN
from service.store.deliveries import Delivery, Outcome
from service.store.engine import reading, writing
from service.store.webhooks import Webhook

EVERY = timedelta(seconds=2)  # how soon a change is on its way
# Between one attempt and the next: those that the specification of Standard Webhooks recommends, 75 h 35 min in all.
PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
ATTEMPTS = len(PAUSES) + 1
JITTER = 0.1  # by which pauses are longer or shorter, so that what failed together does not come back together
LONGEST_WAIT = timedelta(hours=24)  # that a receiver may ask for with Retry-After
LAST_WORD = timedelta(minutes=1)  # after the last attempt nothing is heard of it any more
AT_ONCE = 200  # changes that become messages in one transaction

ACTOR = "weisu"
NO_KEY = "it was made with a token and not with a key, so that nothing would end it: enable it with a key"
ENDS = ("resolved", LEFT)

Tell = Callable[[Change], dict[str, Any]]
Documents = Callable[[Connection, Sequence[str] | None], Tell]
"""How a change is told to a key that is limited to some districts (None: to none): as the API does it."""

log = logging.getLogger(__name__)


class Sender:
    """Sends what changes to the webhooks.

    Args:
        documents: how a change is told.
        now: the real time.
        chance: a number between its two arguments.
    """

    def __init__(
        self,
        db: Engine,
        settings: Settings,
        documents: Documents,
        post: Post,
        seal: Seal,
        now: Callable[[], datetime] | None = None,
        chance: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.db, self.settings, self.documents, self.post, self.seal, self.chance = db, settings, documents, post, seal, chance
        self.now = now or Clock(settings.zone).now
        self._lanes: dict[str, threading.Thread] = {}

    def step(self) -> None:
        """Lifts silences that are over, puts what changed into the outbox, and starts a lane for each webhook with something due; waits for none.

        Raises:
            SQLAlchemyError: the database does not answer.
        """
        self._lift()
        self._stop_those_of_ended_keys()
        while self.collect():
            pass
        with reading(self.db) as conn:
            due = deliveries.lanes(conn, self.now())
        self._lanes = {name: lane for name, lane in self._lanes.items() if lane.is_alive()}
        for name in due:
            if name not in self._lanes:
                # A daemon: whoever stops the scheduler does not wait for a receiver.
                self._lanes[name] = threading.Thread(target=self._lane, args=(name,), name=f"webhook {name}", daemon=True)
                self._lanes[name].start()

    def wait(self, seconds: float) -> bool:
        """Waits until all lanes are through; False if they are not by then."""
        for lane in list(self._lanes.values()):
            lane.join(seconds)
        return not any(lane.is_alive() for lane in self._lanes.values())

    def _lift(self) -> None:
        now = self.settings.clock.now()
        with reading(self.db) as conn:
            if not silences.to_lift(conn, now):
                return
        with writing(self.db) as conn:
            silencing.lift(conn, now, ACTOR)

    def _stop_those_of_ended_keys(self) -> None:
        now = self.settings.clock.now()
        with reading(self.db) as conn:
            ended, there = keys.ended(conn, now), {None, *(key.id for key in keys.list_keys(conn))}
            hooks = [hook for hook in webhooks.list_webhooks(conn) if hook.disabled_at is None]
        stopped = [(hook, NO_KEY if hook.key_id not in there else ended.get(hook.key_id or "")) for hook in hooks]
        if any(because for _, because in stopped):
            with writing(self.db) as conn:
                for hook, because in stopped:
                    if because:
                        self._stop(conn, hook, because, self.now())

    def collect(self) -> bool:
        """Puts the next changes into the outbox; whether there may be more."""
        with reading(self.db) as conn:
            newest = alert_changes.newest(conn)
            if all(hook.disabled_at is not None or hook.seq >= newest for hook in webhooks.list_webhooks(conn)):
                return False
        with writing(self.db) as conn:
            hooks = [hook for hook in webhooks.list_webhooks(conn) if hook.disabled_at is None]
            changes = alert_changes.after(conn, min((hook.seq for hook in hooks), default=newest), AT_ONCE)
            more = len(changes) == AT_ONCE
            until = changes[-1].event.seq if more else alert_changes.newest(conn)
            deliveries.put(conn, self._messages(conn, hooks, changes), self.now())
            for hook in hooks:
                if hook.seq < until:
                    webhooks.change(conn, hook.id, {"seq": until})
        return more

    def _messages(self, conn: Connection, hooks: Sequence[Webhook], changes: Sequence[Change]) -> list[deliveries.Message]:
        """What the webhooks are told, in the order of the changes."""
        places, kinds = _trees(conn)
        moments = [change.event.at for change in changes]
        quiet = silences.between(conn, min(moments), max(moments)) if changes else []
        covers = list(zip(quiet, silencing.covers(conn, quiet), strict=True))
        tell = {limit: self.documents(conn, limit) for limit in {_limit(hook) for hook in hooks}}
        messages = []
        for change, hook in ((change, hook) for change in changes for hook in hooks if hook.seq < change.event.seq):
            heard = subscriptions.heard(hook, change, places, kinds)
            # An end is told under a silence, too: who was told of an alert must hear that it is over.
            silenced = heard is not None and any(one.held(heard.event.at) and cover.covers(heard.alert) for one, cover in covers)
            if heard is not None and (heard.event.action in ENDS or not silenced):
                messages.append(subscriptions.told(hook, heard, tell[_limit(hook)](heard), self.settings.zone))
        return messages

    def _lane(self, name: str) -> None:
        try:
            while self._send_next(name):
                pass
        except SQLAlchemyError as error:  # what was sent and could not be noted is sent again
            log.warning("webhook.not_noted", extra={"webhook": name, "reason": str(error).splitlines()[0]})

    def _send_next(self, name: str) -> bool:
        """Makes one attempt at what is due for a webhook; False: there is nothing to be done for it now."""
        now = self.now()
        with writing(self.db) as conn:
            hook = webhooks.get(conn, name)
            delivery = deliveries.next_due(conn, name, now) if hook is not None and hook.disabled_at is None else None
            if hook is None or delivery is None:
                return False
            if delivery.attempts >= ATTEMPTS:  # the sender died in the last one
                self._stop(conn, hook, f"{ATTEMPTS} attempts to send {delivery.message_id} failed", now)
                return False
            number = deliveries.begin(conn, delivery, now, now + self._pause(delivery.attempts + 1))
        if number is None:
            return False
        outcome = self._attempt(hook, delivery, now)
        self._note(hook, delivery, number, outcome)
        return True

    def _attempt(self, hook: Webhook, delivery: Delivery, now: datetime) -> Outcome:
        try:
            signers = [self.seal.open(sealed) for sealed in hook.sealed_secrets(now)]
        except InputError as error:
            return Outcome(0, error=f"not sent: {error.what}; {error.mend}")
        return self.post.send(hook.url, signing.headers(delivery.message_id, signers, delivery.body, now), delivery.body)

    def _note(self, hook: Webhook, delivery: Delivery, number: int, outcome: Outcome) -> None:
        now = self.now()
        wait = max(self._pause(number), min(outcome.wait or timedelta(0), LONGEST_WAIT))
        told = {"webhook": hook.id, "delivery": delivery.message_id, "attempt": number, "ms": outcome.milliseconds}
        with writing(self.db) as conn:
            deliveries.end(conn, delivery.id, number, outcome, now, now + wait)
            if outcome.http_status == GONE:
                self._stop(conn, hook, f"the receiver answered {GONE}: it wants no more", now)
            elif outcome.error is not None and number >= ATTEMPTS:
                self._stop(conn, hook, f"{ATTEMPTS} attempts to send {delivery.message_id} failed: {outcome.error}", now)
        if outcome.error is None:
            log.info("webhook.delivered", extra=told)
        else:
            log.warning("webhook.failed", extra=told | {"reason": outcome.error})

    def _stop(self, conn: Connection, hook: Webhook, because: str, now: datetime) -> None:
        """Disables a webhook and gives up what waits for it."""
        if webhooks.disable(conn, hook.id, because, now):
            given_up = deliveries.give_up(conn, hook.id, now)
            audit.record(conn, now, ACTOR, audit.WEBHOOK_DISABLED, f"webhook {hook.id}", {"because": because, "given_up": given_up})
            log.warning("webhook.disabled", extra={"webhook": hook.id, "reason": because, "given_up": given_up})

    def _pause(self, attempts: int) -> timedelta:
        """From an attempt to the next one."""
        return PAUSES[attempts - 1] * self.chance(1 - JITTER, 1 + JITTER) if attempts < ATTEMPTS else LAST_WORD


def sender(db: Engine, settings: Settings, documents: Documents) -> Sender:
    """The sender of an installation.

    Raises:
        InputError: the key by which secrets are sealed cannot be read or made.
    """
    post = Post(Receivers.of(settings.webhook_private, settings.webhook_allow))
    return Sender(db, settings, documents, post, Seal(secret_of(settings)))


def _limit(hook: Webhook) -> tuple[str, ...] | None:
    return None if hook.districts is None else tuple(hook.districts)


def _trees(conn: Connection) -> tuple[Tree, Tree]:
    """The area tree, and the category tree with what is filed on an inner category itself."""
    places, kinds = areas.frame(conn), categories.frame(conn)
    own = {code + OWN: code for code in kinds["code"]}
    return Tree(dict(zip(places["code"], places["parent"], strict=True))), Tree(own | dict(zip(kinds["code"], kinds["parent"], strict=True)))
