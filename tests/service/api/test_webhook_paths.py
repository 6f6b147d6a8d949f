"""`/v1/webhooks`: who is told, what became of the messages, and who may see and change it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from api_city import NOW, Ask, City
from fastapi.testclient import TestClient
from webhook_receiver import Receiver, receiving

from service.alerting.receivers import Receivers
from service.api.alerts.outgoing import Outgoing
from service.api.app import create_app
from service.jobs import delivery
from service.settings import Settings
from service.store import audit, keys, webhooks
from service.store.engine import reading, writing

URL = "https://alarm.example/weisu"
OPERATIONS = [("get", ""), ("patch", ""), ("delete", ""), ("post", "/enable"), ("post", "/test"), ("post", "/secret"), ("get", "/deliveries")]
"""On one webhook: methods and ends of the path."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def private(city: City) -> Iterator[TestClient]:
    """The API of an installation that lets webhooks go to this machine."""
    settings = city.settings.model_copy(update={"webhook_private": True})
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {city.key()}"}) as client:
        yield client


def send(city: City) -> None:
    """A turn of the scheduler's sender, to the end."""
    settings = city.settings.model_copy(update={"webhook_private": True})
    sender = delivery.sender(city.engine, settings, Outgoing(settings, city.engine).changes)
    sender.step()
    assert sender.wait(30)


def made(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/webhooks", json={"url": URL} | body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_webhook_shows_its_secret_once(ask: TestClient) -> None:
    hook = made(ask, description="大屏", level="orange", areas=["110108"], categories=["HEAT", "HEAT"], kinds=["SPIKE"], events=["raised"])
    secret = hook.pop("secret")
    assert secret.startswith("whsec_")
    assert len(secret) == 50
    path = f"/v1/webhooks/{hook['webhook_id']}"
    assert ask.get(path).json() == hook
    assert ask.get("/v1/webhooks").json() == {"items": [hook], "next": None}
    assert secret[6:] not in ask.get("/v1/webhooks").text + ask.get(path).text
    assert {name: hook[name] for name in ("url", "description", "level", "areas", "categories", "kinds", "events", "enabled", "districts")} == {
        "url": URL,
        "description": "大屏",
        "level": "orange",
        "areas": ["110108"],
        "categories": ["HEAT"],
        "kinds": ["SPIKE"],
        "events": ["raised"],
        "enabled": True,
        "districts": None,
    }


def test_what_is_sent_is_what_the_api_shows(city: City, private: TestClient, receiver: Receiver) -> None:
    hook = made(private, url=receiver.url)
    city.alert("a")
    private.post("/v1/alerts/a/ack", json={"note": "派单"})
    send(city)
    told = [one.verified(hook["secret"]) for one in receiver.came]
    assert [one["data"] for one in told] == private.get("/v1/alerts/changes", params={"after": 0}).json()["items"]
    assert [one["type"] for one in told] == ["alert.raised", "alert.acknowledged"]
    shown = private.get("/v1/alerts/a").json()
    assert told[1]["data"]["alert"] == {name: value for name, value in shown.items() if name in told[1]["data"]["alert"]}


def test_the_deliveries_tell_every_attempt_and_come_in_pages(city: City, private: TestClient, receiver: Receiver) -> None:
    hook = made(private, url=receiver.url)
    path = f"/v1/webhooks/{hook['webhook_id']}/deliveries"
    receiver.answers = lambda came: (200, {}, "好".encode()) if came.message_id.endswith("_1") else (503, {}, b"busy")
    for name in "abc":
        city.alert(name)
    assert private.get(path).json() == {"items": [], "next": None}
    send(city)
    third, second, first = private.get(path).json()["items"]
    assert (first["status"], first["seq"], first["type"], first["next_attempt"]) == ("delivered", 1, "alert.raised", None)
    (attempt,) = first["attempts"]
    assert (attempt["number"], attempt["status"], attempt["error"], attempt["answer"]) == (1, 200, None, "好")
    assert attempt["milliseconds"] >= 0
    assert (second["status"], second["attempts"][0]["error"], second["attempts"][0]["answer"]) == ("waiting", "answered 503", "busy")
    assert (third["status"], third["attempts"], third["finished_at"]) == ("waiting", [], None)
    assert [one["seq"] for one in private.get(path, params={"status": "waiting"}).json()["items"]] == [3, 2]
    page = private.get(path, params={"limit": 2}).json()
    rest = private.get(path, params={"limit": 2, "next": page["next"]}).json()
    assert ([one["seq"] for one in page["items"] + rest["items"]], rest["next"]) == ([3, 2, 1], None)
    assert receiver.came[0].message_id == first["message_id"]
    state = private.get("/v1/status").json()["webhooks"]
    assert (state["enabled"], state["disabled"], state["waiting"]) == (1, 0, 2)
    assert state["oldest_waiting"] == second["created_at"]


def test_a_test_is_sent_signed_like_everything(city: City, private: TestClient, receiver: Receiver) -> None:
    hook = made(private, url=receiver.url, events=["resolved"])
    for _ in range(2):
        answer = private.post(f"/v1/webhooks/{hook['webhook_id']}/test").json()
        assert (answer["type"], answer["seq"], answer["status"]) == ("weisu.test", None, "waiting")
    send(city)
    told = [one.verified(hook["secret"]) for one in receiver.came]
    assert [one["type"] for one in told] == ["weisu.test"] * 2
    assert len(set(receiver.ids())) == 2
    assert receiver.ids()[1] == answer["message_id"]


def test_a_disabled_webhook_says_why_and_is_enabled_by_hand(city: City, private: TestClient, receiver: Receiver) -> None:
    hook = made(private, url=receiver.url)
    path = f"/v1/webhooks/{hook['webhook_id']}"
    receiver.answers = lambda _: (410, {}, b"")
    city.alert("a")
    send(city)
    state = private.get(path).json()
    assert (state["enabled"], state["disabled_because"]) == (False, "the receiver answered 410: it wants no more")
    assert private.get("/v1/status").json()["webhooks"]["disabled"] == 1
    answer = private.post(f"{path}/test")
    assert (answer.status_code, answer.json()["mend"]) == (409, "enable it first")
    for _ in range(2):
        state = private.post(f"{path}/enable").json()
        assert (state["enabled"], state["disabled_because"], state["seq"]) == (True, None, 1)


def test_a_new_secret_signs_beside_the_old_one_for_a_day(city: City, private: TestClient, receiver: Receiver) -> None:
    hook = made(private, url=receiver.url)
    renewed = private.post(f"/v1/webhooks/{hook['webhook_id']}/secret").json()
    assert renewed["secret"] != hook["secret"]
    assert renewed["old_secret_until"] is not None
    city.alert("a")
    send(city)
    assert receiver.came[0].verified(hook["secret"]) == receiver.came[0].verified(renewed["secret"])


def test_what_is_left_out_of_a_change_stays(ask: TestClient) -> None:
    hook = made(ask, level="orange", areas=["110108"], kinds=["SPIKE"])
    secret = hook.pop("secret")
    path = f"/v1/webhooks/{hook['webhook_id']}"
    assert ask.patch(path, json={}).json() == hook
    changed = ask.patch(path, json={"level": None, "areas": ["110105A", "110105"], "description": "新"}).json()
    assert changed == hook | {"level": None, "areas": ["110105", "110105A"], "description": "新"}
    assert ask.patch(path, json={"areas": []}).json()["areas"] == []
    assert ask.patch(path, json={"url": "https://other.example/"}).json()["url"] == "https://other.example/"
    assert secret not in ask.get(path).text


def test_a_deleted_webhook_is_gone_with_its_messages(city: City, private: TestClient, receiver: Receiver) -> None:
    hook = made(private, url=receiver.url)
    path = f"/v1/webhooks/{hook['webhook_id']}"
    receiver.answers = lambda _: (500, {}, b"")
    city.alert("a")
    send(city)
    assert private.delete(path).json()["webhook_id"] == hook["webhook_id"]
    assert private.get("/v1/webhooks").json()["items"] == []
    assert private.get("/v1/status").json()["webhooks"] == {"enabled": 0, "disabled": 0, "waiting": 0, "oldest_waiting": None}
    for method, tail in OPERATIONS:
        answer = private.request(method, path + tail, json={} if method == "patch" else None)
        assert (answer.status_code, answer.json()["where"]) == (404, "webhook_id"), (method, tail)


def test_it_ends_with_the_key_that_made_it_and_goes_on_with_one_that_enables_it(city: City, private: TestClient, receiver: Receiver) -> None:
    first, second = city.key(), city.key()
    with_first, with_second = ({"Authorization": f"Bearer {key}"} for key in (first, second))
    hook = private.post("/v1/webhooks", json={"url": receiver.url}, headers=with_first).json()["webhook_id"]

    def revoke(key: str) -> dict[str, Any]:
        with writing(city.engine) as conn:
            assert keys.revoke(conn, key.split("_")[1], NOW)
        city.alert(f"after {key[-4:]}")
        send(city)
        found: dict[str, Any] = private.get(f"/v1/webhooks/{hook}").json()
        return found

    state = revoke(first)
    assert (state["enabled"], state["disabled_because"]) == (False, f"its key '值班长' ({first.split('_')[1]}) was revoked")
    assert private.post(f"/v1/webhooks/{hook}/enable", headers=with_second).json()["enabled"]
    city.alert("told")
    send(city)
    assert [json.loads(one.body)["data"]["alert"]["alert_id"] for one in receiver.came] == ["told"]
    assert not revoke(second)["enabled"]


def test_everything_stands_in_the_audit_log_and_no_secret_does(city: City, ask: TestClient) -> None:
    hook = made(ask)
    path = f"/v1/webhooks/{hook['webhook_id']}"
    ask.patch(path, json={"level": "red"})
    newer = ask.post(f"{path}/secret").json()["secret"]
    ask.delete(path)
    with reading(city.engine) as conn:
        entries = audit.entries(conn)[::-1]
    assert [(one.action, one.subject, one.actor) for one in entries] == [
        (action, f"webhook {hook['webhook_id']}", "值班长")
        for action in (audit.WEBHOOK_MADE, audit.WEBHOOK_CHANGED, audit.WEBHOOK_SECRET, audit.WEBHOOK_REMOVED)
    ]
    assert entries[1].detail["changed"] == ["level"]
    assert not any(secret in str(entries) for secret in (hook["secret"], newer))


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "body.url"),
        ({"url": ""}, "url"),
        ({"url": "http://127.0.0.1:8000/"}, "url"),
        ({"url": "http://[::ffff:169.254.169.254]/"}, "url"),
        ({"url": "http://localhost/"}, "url"),
        ({"url": "ftp://alarm.example/"}, "url"),
        ({"url": "https://u:p@alarm.example/"}, "url"),
        ({"url": URL, "level": "purple"}, "body.level"),
        ({"url": URL, "kinds": ["OTHER"]}, "body.kinds.0"),
        ({"url": URL, "areas": ["999"]}, "body.areas"),
        ({"url": URL, "areas": "110108"}, "body.areas"),
        ({"url": URL, "categories": ["GAS"]}, "body.categories"),
        ({"url": URL, "events": ["exploded"]}, "body.events.0"),
        ({"url": URL, "secret": "mine"}, "body.secret"),
        ({"url": URL, "description": "x" * 201}, "body.description"),
        ({"url": URL, "description": "a\u0000b"}, "body"),
        ({"url": URL, "areas": ["\u0000"]}, "body"),
        ({"url": URL, "areas": ["110108"] * 201}, "body.areas"),
        ({"url": URL, "areas": 5}, "body.areas"),
        ({"url": URL, "categories": True}, "body.categories"),
        ([], "body"),
    ],
)
def test_bad_input_is_said_and_makes_nothing(ask: TestClient, body: Any, where: str) -> None:
    answer = ask.post("/v1/webhooks", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["where"] == where
    assert ask.get("/v1/webhooks").json()["items"] == []


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"url": None}, "body.url"),
        ({"areas": None}, "body.areas"),
        ({"areas": ["999"]}, "body.areas"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"seq": 0}, "body.seq"),
    ],
)
def test_a_bad_change_changes_nothing(ask: TestClient, body: Any, where: str) -> None:
    hook = made(ask)
    path = f"/v1/webhooks/{hook['webhook_id']}"
    before = ask.get(path).json()
    answer = ask.patch(path, json=body | ({} if "level" in body else {"level": "red"}))
    assert (answer.status_code, answer.json()["where"]) == (422, where)
    assert ask.get(path).json() == before


def test_there_are_only_so_many(ask: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MOST", 2)
    for _ in range(2):
        made(ask)
    assert ask.post("/v1/webhooks", json={"url": URL}).status_code == 409
    assert len(ask.get("/v1/webhooks").json()["items"]) == 2


def test_only_an_administrator_sees_or_changes_webhooks(ask_as: Ask) -> None:
    path = f"/v1/webhooks/{made(ask_as('admin'))['webhook_id']}"
    client = ask_as("alerts:read", "alerts:write", "forecasts:read", "tickets:write")
    for method, tail in OPERATIONS:
        assert client.request(method, path + tail, json={} if method == "patch" else None).status_code == 403, (method, tail)
    assert client.get("/v1/webhooks").status_code == 403
    assert client.post("/v1/webhooks", json={"url": URL}).status_code == 403


def test_a_limited_administrator_makes_webhooks_for_its_own_districts_alone(ask_as: Ask) -> None:
    whole = made(ask_as("admin"))["webhook_id"]
    limited = ask_as("admin", districts=["110105"])
    for foreign in (["110108"], ["ALL"], ["110105A", "UNKNOWN"]):
        assert limited.post("/v1/webhooks", json={"url": URL, "areas": foreign}).status_code == 403
    own = made(limited, areas=["110105A"])
    assert own["districts"] == ["110105"]
    assert [one["webhook_id"] for one in limited.get("/v1/webhooks").json()["items"]] == [own["webhook_id"]]
    for method, tail in OPERATIONS:
        answer = limited.request(method, f"/v1/webhooks/{whole}{tail}", json={} if method == "patch" else None)
        assert answer.status_code == 403, (method, tail)
    assert limited.patch(f"/v1/webhooks/{own['webhook_id']}", json={"areas": ["110108"]}).status_code == 403
    assert len(ask_as("admin").get("/v1/webhooks").json()["items"]) == 2


def test_the_installation_s_list_lets_a_private_receiver_in(city: City) -> None:
    settings = city.settings.model_copy(update={"webhook_allow": ("10.1.0.0/16", "alarm.city")})
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {city.key()}"}) as client:
        assert client.post("/v1/webhooks", json={"url": "http://10.1.2.3:8080/"}).status_code == 200
        assert client.post("/v1/webhooks", json={"url": "http://10.2.2.3:8080/"}).status_code == 422


def test_the_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEISU_WEBHOOK_ALLOW", '["alarm.city", "10.1.0.0/16"]')
    settings = Settings()
    assert settings.webhook_private is False
    assert Receivers.of(settings.webhook_private, settings.webhook_allow).hosts == {"alarm.city"}
