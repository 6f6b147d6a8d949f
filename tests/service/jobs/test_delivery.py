"""From a change of an alert to a receiver: once into the outbox, at least once out of it, whatever the receiver or the sender does."""

import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from sqlalchemy import Engine
from standardwebhooks import WebhookVerificationError
from webhook_city import NOW, SEAL, Hook, Town, an_alert, go, in_background
from webhook_receiver import OK, Answer, Came, Receiver, receiving

from service.alerting import signing
from service.alerting.signing import Seal
from service.api.alerts.webhook_schemas import Event
from service.jobs import delivery
from service.jobs.delivery import ATTEMPTS, PAUSES, Sender
from service.store import alerts, audit, deliveries, keys, silences, webhooks
from service.store.categories import OWN
from service.store.deliveries import DELIVERED, GIVEN_UP, WAITING
from service.store.engine import reading, writing
from service.store.silences import Matchers


@pytest.fixture
def town(engine: Engine, folder: Path) -> Town:
    return Town.made(engine, folder)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def statuses(town: Town, hook: Hook) -> list[str]:
    return [one.status for one in town.outbox(hook)]


def failing(status: int = 500, **headers: str) -> Any:
    return lambda _: (status, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


def test_a_change_arrives_once_signed_and_in_the_words_of_the_specification(town: Town, receiver: Receiver) -> None:
    hook, sender = town.hook(receiver.url), town.sender()
    town.raised("a")
    for _ in range(3):
        go(sender)
    (came,) = receiver.came
    told = came.verified(hook.secret)
    assert told.keys() == {"type", "timestamp", "data"}
    assert (told["type"], told["timestamp"]) == ("alert.raised", NOW.astimezone(town.settings.zone).isoformat())
    assert (told["data"]["seq"], told["data"]["action"], told["data"]["actor"]) == (1, "raised", "weisu")
    assert (told["data"]["alert"]["alert_id"], told["data"]["alert"]["level"]) == ("a", "yellow")
    assert came.headers["content-type"] == "application/json"
    assert re.fullmatch(r"msg_[0-9a-z]+_1", came.message_id)
    assert abs(int(came.headers["webhook-timestamp"]) - time.time()) < 60
    with pytest.raises(WebhookVerificationError):
        came.verified(signing.new_secret())
    assert statuses(town, hook) == [DELIVERED]
    ((attempt,),) = town.attempts(hook)
    assert (attempt.number, attempt.http_status, attempt.error) == (1, 204, None)


def test_a_webhook_is_told_what_changes_after_it_was_made_each_change_in_its_place(town: Town, receiver: Receiver) -> None:
    town.raised("before")
    hook, sender = town.hook(receiver.url), town.sender()
    town.raised(*"abc")
    town.resolved("b")
    go(sender)
    told = [one.verified(hook.secret) for one in receiver.came]
    assert [(one["type"], one["data"]["alert"]["alert_id"], one["data"]["seq"]) for one in told] == [
        ("alert.raised", "a", 2),
        ("alert.raised", "b", 3),
        ("alert.raised", "c", 4),
        ("alert.resolved", "b", 5),
    ]
    assert (told[3]["data"]["actor"], told[3]["data"]["note"]) == ("值班长", "修好了")


@pytest.mark.parametrize(
    ("wanted", "heard"),
    [
        ({}, "blue red spike-noise street city data"),
        ({"level": "orange"}, "red"),
        ({"level": "yellow"}, "red spike-noise street city data"),
        ({"kinds": ["DATA", "EMERGING"]}, "data"),
        ({"areas": ["110105"]}, "street city"),
        ({"areas": ["110105A"]}, "street"),
        ({"areas": ["ALL"]}, "blue red spike-noise street city data"),
        ({"categories": ["UTILITY"]}, "blue red street city data"),
        ({"categories": ["NOISE"]}, "spike-noise"),
        ({"events": ["resolved"]}, ""),
        ({"level": "yellow", "areas": ["110108", "110105"], "categories": ["HEAT"], "kinds": ["SPIKE"], "events": ["raised"]}, "red street city"),
    ],
)
def test_it_is_told_what_it_asked_for(town: Town, receiver: Receiver, wanted: dict[str, Any], heard: str) -> None:
    hook, sender = town.hook(receiver.url, **wanted), town.sender()
    town.raised("blue", level="blue")
    town.raised("red", level="red")
    town.raised("spike-noise", category="NOISE", area="UNKNOWN")
    town.raised("street", area="110105A")
    town.raised("city", area="ALL", districts=[{"code": "110105", "observed": 1.0, "expected": 0.5}])
    town.raised("data", kind="DATA")
    go(sender)
    assert " ".join(one.verified(hook.secret)["data"]["alert"]["alert_id"] for one in receiver.came) == heard


def test_what_is_filed_on_an_inner_category_itself_belongs_to_it(town: Town, receiver: Receiver) -> None:
    hook, sender = town.hook(receiver.url, categories=["UTILITY"]), town.sender()
    town.raised("a", category=f"UTILITY{OWN}")
    go(sender)
    assert len(town.outbox(hook)) == 1


def test_a_webhook_of_a_limited_key_is_told_what_that_key_may_see(town: Town, receiver: Receiver) -> None:
    hook, sender = town.hook(receiver.url, districts=["110105"]), town.sender()
    both = [{"code": "110108", "observed": 9.0, "expected": 1.0}, {"code": "110105", "observed": 1.0, "expected": 0.5}]
    town.raised("own", area="110105A", districts=both)
    town.raised("foreign", districts=both)
    town.raised("city", area="ALL", districts=both)
    town.raised("city-of-others", area="ALL")
    go(sender)
    told = [one.verified(hook.secret)["data"]["alert"] for one in receiver.came]
    assert [one["alert_id"] for one in told] == ["own", "city"]
    assert [[place["district"] for place in one["districts"]] for one in told] == [["110105"], ["110105"]]


def test_a_silenced_alert_is_not_told_but_its_end_is(town: Town, receiver: Receiver) -> None:
    hook, sender = town.hook(receiver.url), town.sender()
    with writing(town.engine) as conn:
        silences.create(conn, Matchers("110108", "ALL", None, "orange"), "值班长", "检修", None, NOW + timedelta(hours=1), NOW)
    town.raised("silenced")
    town.raised("elsewhere", area="110105")
    town.raised("too-high", level="red")
    town.resolved("silenced")
    go(sender)
    told = [(one.verified(hook.secret)["type"], one.verified(hook.secret)["data"]["alert"]["alert_id"]) for one in receiver.came]
    assert told == [("alert.raised", "elsewhere"), ("alert.raised", "too-high"), ("alert.resolved", "silenced")]


def a_key(town: Town, **more: Any) -> str:
    """Id of a new key."""
    with writing(town.engine) as conn:
        return keys.create(conn, "监测", ["admin"], None, NOW - timedelta(days=2), secret=b"s", **more).split("_")[1]


def test_a_webhook_ends_with_the_key_that_made_it_and_says_so(town: Town, receiver: Receiver) -> None:
    key, other = a_key(town), a_key(town)
    hook, kept, sender = town.hook(receiver.url, key=key), town.hook(receiver.url, key=other), town.sender()
    town.raised("a")
    with writing(town.engine) as conn:
        assert keys.revoke(conn, key, NOW)
    town.raised("b")
    go(sender)
    assert (statuses(town, hook), statuses(town, kept)) == ([], [DELIVERED, DELIVERED])
    assert town.state(hook).disabled_because == f"its key '监测' ({key}) was revoked"
    with reading(town.engine) as conn:
        (entry,) = audit.entries(conn)
    assert (entry.action, entry.subject) == (audit.WEBHOOK_DISABLED, f"webhook {hook.id}")


def test_a_webhook_of_a_key_that_was_replaced_goes_on_with_the_new_one_and_ends_with_it(town: Town, receiver: Receiver) -> None:
    old, over = a_key(town), a_key(town, expires_at=NOW - timedelta(days=1))
    hook, late, sender = town.hook(receiver.url, key=old), town.hook(receiver.url, key=over), town.sender()
    with writing(town.engine) as conn:
        new = keys.rotate(conn, old, timedelta(minutes=1), NOW - timedelta(hours=1), secret=b"s").split("_")[1]
    town.raised("a")
    go(sender)
    assert statuses(town, hook) == [DELIVERED]
    assert town.state(late).disabled_because == f"its key '监测' ({over}) has expired"
    with writing(town.engine) as conn:
        assert keys.revoke(conn, new, NOW)
    go(sender)
    assert town.state(hook).disabled_because == f"its key '监测' ({new}) was revoked"


def test_a_webhook_that_a_token_made_ends_for_nothing_else_would_end_it(town: Town, receiver: Receiver) -> None:
    hook, sender = town.hook(receiver.url, key="oidc u1"), town.sender()
    town.raised("a")
    go(sender)
    assert statuses(town, hook) == []
    assert "enable it with a key" in (town.state(hook).disabled_because or "")


def silence(town: Town, hours: float, area: str = "110108", since: float = -3) -> int:
    """A silence from some hours after NOW (before it, mostly) until some hours after NOW."""
    begins, ends = (NOW + timedelta(hours=one) for one in (since, hours))
    with writing(town.engine) as conn:
        return silences.create(conn, Matchers(area, "ALL", None, "orange"), "值班长", "检修", None, ends, begins)[0].id


def raised_before(town: Town, hours: float, *alert_ids: str, **changes: Any) -> None:
    for alert_id in alert_ids:
        with writing(town.engine) as conn:
            at = NOW - timedelta(hours=hours)
            alerts.insert(conn, replace(an_alert(alert_id), **{"raised_at": at, "changed_at": at, **changes}), "weisu", at)


def told(receiver: Receiver, hook: Hook) -> list[tuple[str, str]]:
    messages = [one.verified(hook.secret) for one in receiver.came]
    return [(one["type"], one["data"]["alert"]["alert_id"]) for one in messages]


@pytest.mark.parametrize("events", [[], ["raised"]])
def test_what_was_silenced_and_still_runs_is_told_once_when_the_silence_is_over(town: Town, receiver: Receiver, events: list[str]) -> None:
    hook, sender = town.hook(receiver.url, events=events), town.sender()
    raised_before(town, 4, "before")
    silence(town, hours=-0.5)  # its end has passed when the sender looks
    raised_before(town, 2, "runs", "ended")
    with writing(town.engine) as conn:
        assert alerts.change_status(conn, "ended", ("open",), "resolved", "weisu", None, NOW - timedelta(hours=1))
    raised_before(town, 0.25, "after")
    for _ in range(2):
        go(sender)
    assert [one for one in told(receiver, hook) if one[0] != "alert.resolved"] == [
        ("alert.raised", "before"),
        ("alert.raised", "after"),
        ("alert.unsilenced", "runs"),
    ]
    with reading(town.engine) as conn:
        assert [event.action for event in alerts.history(conn, "runs")] == ["raised", "unsilenced"]


def test_what_was_silenced_is_told_when_somebody_ends_the_silence_though_the_clock_stands_still(town: Town, receiver: Receiver) -> None:
    hook, sender = town.hook(receiver.url), town.sender()
    number = silence(town, hours=1, since=0)
    town.raised("a")
    go(sender)
    assert told(receiver, hook) == []
    with writing(town.engine) as conn:
        assert silences.end(conn, number, "值班长", NOW)
    go(sender)
    assert told(receiver, hook) == [("alert.unsilenced", "a")]


def test_under_another_silence_it_waits_for_the_end_of_that_one_too(town: Town, receiver: Receiver) -> None:
    hook, sender = town.hook(receiver.url), town.sender()
    silence(town, hours=-1)
    other = silence(town, hours=2, area="ALL", since=-1.5)  # begins when the alert has been raised
    raised_before(town, 2, "a")
    go(sender)
    assert told(receiver, hook) == []
    with writing(town.engine) as conn:
        assert silences.end(conn, other, "值班长", NOW)
    go(sender)
    assert told(receiver, hook) == [("alert.unsilenced", "a")]


@pytest.mark.parametrize(
    ("wanted", "changes"),
    [
        ({"districts": ["110108"]}, {"area": "ALL", "districts": []}),
        ({"areas": ["110108"]}, {"area": "110105", "districts": []}),
        ({"kinds": ["EMERGING", "SPIKE"]}, {"kind": "FIRST_SEEN"}),
        ({"categories": ["HEAT"], "events": ["resolved"]}, {"category": "NOISE"}),
    ],
)
def test_a_webhook_is_told_once_that_an_alert_is_no_longer_among_those_it_asked_for(
    town: Town, receiver: Receiver, wanted: dict[str, Any], changes: dict[str, Any]
) -> None:
    town.raised("a")
    hook, sender = town.hook(receiver.url, **wanted), town.sender()
    with writing(town.engine) as conn:
        silences.create(conn, Matchers("ALL", "ALL", None, "orange"), "值班长", "检修", None, NOW + timedelta(hours=1), NOW)
        assert alerts.update(conn, "a", {"observed": 99.0, **changes}, action="moved", actor="weisu", now=NOW)
    town.resolved("a")
    go(sender)
    (told,) = [one.verified(hook.secret) for one in receiver.came]
    assert (told["type"], told["data"]["action"], told["data"]["status"], told["data"]["alert"]["status"]) == (
        "alert.left",
        "left",
        "resolved",
        "resolved",
    )
    assert (told["data"]["alert"]["kind"], told["data"]["alert"]["area"], told["data"]["alert"]["observed"]) == ("SPIKE", "110108", 61.0)


def test_a_webhook_that_asked_for_other_events_is_not_told_that_an_alert_has_left(town: Town, receiver: Receiver) -> None:
    hook, sender = town.hook(receiver.url, areas=["110108"], events=["raised", "moved"]), town.sender()
    town.raised("a")
    with writing(town.engine) as conn:
        assert alerts.update(conn, "a", {"area": "110105", "districts": []}, action="moved", actor="weisu", now=NOW)
    go(sender)
    assert [one.verified(hook.secret)["type"] for one in receiver.came] == ["alert.raised"]


def test_each_change_is_put_into_the_outbox_once_though_senders_race_and_fail(
    town: Town, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "AT_ONCE", 3)
    hooks = [town.hook(receiver.url), town.hook(receiver.url)]
    town.raised(*(f"a{number}" for number in range(10)))
    failed = town.sender()

    def broken(*_: object) -> Any:
        def tell(change: Any) -> dict[str, Any]:
            if change.event.seq == 3:
                raise ZeroDivisionError
            return {}

        return tell

    failed.documents = broken
    with pytest.raises(ZeroDivisionError):
        failed.collect()
    assert [town.outbox(hook) for hook in hooks] == [[], []]
    assert {town.state(hook).seq for hook in hooks} == {0}

    def collect() -> None:
        while town.sender().collect():
            pass

    threads = [in_background(collect) for _ in range(4)]
    for thread in threads:
        thread.join(30)
    for hook in hooks:
        assert [one.seq for one in town.outbox(hook)] == list(range(1, 11))
        assert town.state(hook).seq == 10


def test_a_message_is_tried_ten_times_within_75_hours_under_one_id_and_then_the_webhook_is_disabled(town: Town, receiver: Receiver) -> None:
    receiver.answers = failing(500)
    town.time.stand()
    hook, sender = town.hook(receiver.url), town.sender()
    town.raised("a")
    start = town.time()
    go(sender)
    for number, pause in enumerate(PAUSES, 1):
        town.time.go(seconds=pause.total_seconds() - 1)
        go(sender)
        assert len(receiver.came) == number, "a second too early"
        town.time.go(seconds=1)
        go(sender)
        assert len(receiver.came) == number + 1
    assert len(receiver.came) == ATTEMPTS == 10
    assert town.time() - start == timedelta(hours=75, minutes=35, seconds=5)
    assert len({one.message_id for one in receiver.came}) == 1
    assert len({one.headers["webhook-timestamp"] for one in receiver.came}) == 10
    assert len({one.body for one in receiver.came}) == 1
    state = town.state(hook)
    assert state.disabled_because == f"10 attempts to send {receiver.came[0].message_id} failed: answered 500"
    assert statuses(town, hook) == [GIVEN_UP]
    with reading(town.engine) as conn:
        entry = audit.newest(conn, audit.WEBHOOK_DISABLED)
        assert webhooks.tally(conn) == (0, 1)
    assert entry is not None
    assert (entry.actor, entry.subject) == ("weisu", f"webhook {hook.id}")
    town.raised("b")
    town.time.go(days=30)
    go(sender)
    assert len(receiver.came) == 10, "a disabled webhook is told nothing"
    assert len(town.outbox(hook)) == 1


def test_what_waits_for_a_webhook_is_given_up_with_it_and_enabled_it_hears_what_comes(town: Town, receiver: Receiver) -> None:
    receiver.answers = failing(410)
    hook, sender, key = town.hook(receiver.url), town.sender(), a_key(town)
    town.raised("a", "b")
    go(sender)
    assert len(receiver.came) == 1, "410 disables at once"
    assert statuses(town, hook) == [GIVEN_UP, GIVEN_UP]
    assert "410" in (town.state(hook).disabled_because or "")
    town.raised("missed")
    receiver.answers = lambda _: OK
    with writing(town.engine) as conn:
        webhooks.enable(conn, hook.id, key)
    town.raised("c")
    go(sender)
    assert [json.loads(one.body)["data"]["alert"]["alert_id"] for one in receiver.came[1:]] == ["c"]


@pytest.mark.parametrize(
    ("told", "pause"),
    [("3600", timedelta(hours=1)), ("1", PAUSES[0]), ("999999999", timedelta(hours=24)), ("soon", PAUSES[0])],
)
def test_a_receiver_may_ask_for_a_longer_pause_within_a_day(town: Town, receiver: Receiver, told: str, pause: timedelta) -> None:
    receiver.answers = failing(429, Retry_After=told)
    town.time.stand()
    hook = town.hook(receiver.url)
    town.raised("a")
    go(town.sender())
    assert town.outbox(hook)[0].next_at == town.time() + pause


def test_pauses_are_a_little_longer_or_shorter_by_chance(town: Town, receiver: Receiver) -> None:
    receiver.answers = failing()
    town.time.stand()
    hook = town.hook(receiver.url)
    town.raised("a")
    asked: list[tuple[float, float]] = []
    sender = town.sender()
    sender.chance = lambda low, high: (asked.append((low, high)), high)[1]
    go(sender)
    assert set(asked) == {(0.9, 1.1)}
    assert town.outbox(hook)[0].next_at == town.time() + timedelta(seconds=5.5)


def test_messages_come_in_order_and_a_hiccup_does_not_change_it(town: Town, receiver: Receiver) -> None:
    town.time.stand()
    town.hook(receiver.url)
    sender = town.sender()
    town.raised(*"abc")
    receiver.answers = lambda came: (503, {}, b"") if came.message_id.endswith("_2") and receiver.ids().count(came.message_id) == 1 else OK
    go(sender)
    assert [name[-2:] for name in receiver.ids()] == ["_1", "_2"], "c waits for b"
    town.time.go(seconds=5)
    go(sender)
    assert [name[-2:] for name in receiver.ids()] == ["_1", "_2", "_2", "_3"]


def test_one_message_that_fails_on_blocks_no_other(town: Town, receiver: Receiver) -> None:
    town.time.stand()
    hook, sender = town.hook(receiver.url), town.sender()
    town.raised(*"abc")
    receiver.answers = lambda came: (500, {}, b"") if came.message_id.endswith("_1") else OK
    go(sender)
    town.time.go(seconds=5)
    go(sender)
    assert [name[-2:] for name in receiver.ids()] == ["_1", "_1", "_2", "_3"]
    assert statuses(town, hook) == [WAITING, DELIVERED, DELIVERED]
    receiver.answers = lambda _: OK
    town.time.go(minutes=5)
    go(sender)
    assert statuses(town, hook) == [DELIVERED] * 3


def test_a_slow_receiver_delays_no_other_and_is_asked_one_thing_at_a_time(town: Town, receiver: Receiver) -> None:
    done, at_once, most = threading.Event(), 0, 0
    count = threading.Lock()

    def slow(_: Came) -> Answer:
        nonlocal at_once, most
        with count:
            at_once, most = at_once + 1, max(most, at_once + 1)
        done.wait(10)
        with count:
            at_once -= 1
        return OK

    receiver.answers = slow
    with receiving() as quick:
        for _ in range(3):
            town.hook(receiver.url)
        hook, sender = town.hook(quick.url), town.sender()
        town.raised("a", "b")
        start = time.monotonic()
        sender.step()
        while len(quick.came) < 2:
            assert time.monotonic() < start + 5
            time.sleep(0.01)
        town.raised("c")
        sender.step()
        while len(quick.came) < 3:
            assert time.monotonic() < start + 5
            time.sleep(0.01)
        assert most == 3, "one at a time for each of the slow ones"
        done.set()
        assert sender.wait(30)
    assert len(receiver.came) == 9
    assert statuses(town, hook) == [DELIVERED] * 3


def test_two_secrets_sign_while_they_overlap(town: Town, receiver: Receiver) -> None:
    hook, sender = town.hook(receiver.url), town.sender()
    newer, newest = signing.new_secret(), signing.new_secret()
    for secret in (newer, newest):
        with writing(town.engine) as conn:
            webhooks.renew_secret(conn, town.state(hook), SEAL.close(secret), town.time() + timedelta(hours=24))
    town.raised("a")
    go(sender)
    (came,) = receiver.came
    assert came.verified(newest) == came.verified(newer)
    assert len(came.headers["webhook-signature"].split()) == 2
    with pytest.raises(WebhookVerificationError):
        came.verified(hook.secret)
    with writing(town.engine) as conn:
        webhooks.change(conn, hook.id, {"old_secret_until": datetime.now(UTC)})
    town.raised("b")
    go(sender)
    assert receiver.came[1].verified(newest)
    with pytest.raises(WebhookVerificationError):
        receiver.came[1].verified(newer)


def test_secrets_do_not_stand_in_the_database_as_they_are(town: Town, receiver: Receiver) -> None:
    hook = town.hook(receiver.url)
    stored = town.state(hook).secret
    assert hook.secret[10:20] not in stored
    assert SEAL.open(stored) == hook.secret


def test_without_the_key_that_sealed_them_nothing_is_sent_and_the_reason_is_told(town: Town, receiver: Receiver) -> None:
    hook = town.hook(receiver.url)
    town.raised("a")
    go(town.sender(Seal(b"another key")))
    assert receiver.came == []
    ((attempt,),) = town.attempts(hook)
    assert "stored with another key" in (attempt.error or "")
    assert statuses(town, hook) == [WAITING]


def begin_and_die(town: Town, hook: Hook) -> None:
    """What a sender leaves behind that is killed in the middle of an attempt."""
    with writing(town.engine) as conn:
        due = deliveries.next_due(conn, hook.id, town.time())
        assert due is not None
        assert deliveries.begin(conn, due, town.time(), town.time() + town.sender()._pause(due.attempts + 1)) == due.attempts + 1


def test_what_a_killed_sender_was_at_is_sent_again_under_the_same_id(town: Town, receiver: Receiver) -> None:
    town.time.stand()
    hook = town.hook(receiver.url)
    town.raised("a", "b")
    town.sender().collect()
    begin_and_die(town, hook)
    go(town.sender())
    assert receiver.came == []
    town.time.go(seconds=5)
    go(town.sender())
    assert [name[-2:] for name in receiver.ids()] == ["_1", "_2"]
    first, second = town.attempts(hook)[0]
    assert (first.milliseconds, first.http_status, first.error) == (None, None, None)
    assert (second.number, second.http_status) == (2, 204)


def test_a_sender_that_dies_in_every_attempt_gives_up_as_well(town: Town, receiver: Receiver) -> None:
    town.time.stand()
    hook = town.hook(receiver.url)
    town.raised("a")
    town.sender().collect()
    for _ in range(ATTEMPTS):
        begin_and_die(town, hook)
        town.time.go(hours=30)
    go(town.sender())
    assert receiver.came == []
    assert statuses(town, hook) == [GIVEN_UP]
    assert town.state(hook).disabled_at is not None


def test_two_senders_make_one_attempt(town: Town, receiver: Receiver) -> None:
    town.time.stand()
    hook = town.hook(receiver.url)
    town.raised("a")
    town.sender().collect()
    with reading(town.engine) as conn:
        due = deliveries.next_due(conn, hook.id, town.time())
    assert due is not None
    for expected in (1, None):
        with writing(town.engine) as conn:
            assert deliveries.begin(conn, due, town.time(), town.time()) == expected


def test_a_webhook_may_be_deleted_while_it_is_told(town: Town, receiver: Receiver) -> None:
    hook, sender = town.hook(receiver.url), town.sender()

    def delete(_: Came) -> Answer:
        with writing(town.engine) as conn:
            webhooks.remove(conn, hook.id)
        return 500, {}, b""

    receiver.answers = delete
    town.raised("a", "b")
    go(sender)
    assert len(receiver.came) == 1
    with reading(town.engine) as conn:
        assert webhooks.list_webhooks(conn) == []
        assert deliveries.waiting(conn) == (0, None)


def test_nothing_goes_to_a_private_address_unless_that_is_allowed(town: Town, receiver: Receiver) -> None:
    hook = town.hook(receiver.url)
    town.raised("a")
    go(town.sender(private=False))
    assert receiver.came == []
    assert "no public address" in (town.attempts(hook)[0][0].error or "")


def test_finished_deliveries_go_after_a_while_and_waiting_ones_stay(town: Town, receiver: Receiver) -> None:
    town.time.stand()
    hook, sender = town.hook(receiver.url), town.sender()
    town.raised("a")
    go(sender)
    receiver.answers = failing()
    town.raised("b")
    go(sender)
    for before, gone in ((town.time(), 0), (town.time() + timedelta(seconds=1), 1)):
        with writing(town.engine) as conn:
            assert deliveries.drop_finished(conn, before) == gone
    assert statuses(town, hook) == [WAITING]


def test_the_sender_of_an_installation_uses_the_key_in_the_data_folder(town: Town) -> None:
    sender = delivery.sender(town.engine, town.settings, lambda *_: dict)
    assert isinstance(sender, Sender)
    key = (town.folder / "caller.key").read_text().strip().encode()
    assert Seal(key).open(sender.seal.close("whsec_x")) == "whsec_x"


def test_every_event_of_an_alert_can_be_subscribed_to() -> None:
    assert get_args(Event) == alerts.ACTIONS
