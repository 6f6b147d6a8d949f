"""`/v1/alerts/stream`: changes as they happen, and again from where a client was cut off."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import httpx
import pytest
from api_city import NOW, Ask, City
from fastapi.testclient import TestClient
from processes import Bench, free_port, until

from service.api.alerts import feed_paths
from service.api.callers import held
from service.store import keys
from service.store.engine import writing

STREAM = "/v1/alerts/stream"


@dataclass
class Event:
    """One event of a stream, as the specification reads its lines."""

    fields: dict[str, str] = field(default_factory=dict)

    @property
    def seq(self) -> int:
        return int(self.fields["id"])

    @property
    def kind(self) -> str:
        return self.fields["event"]


def events(lines: Iterator[str]) -> Iterator[Event]:
    event = Event()
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            event.fields[name] = value
        elif event.fields:
            yield event
            event = Event()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams that end when they have told what there is."""
    monkeypatch.setattr(feed_paths, "STREAM_LASTS", 0.0)


def read(client: TestClient, last: str | None = None, **params: int) -> list[Event]:
    answer = client.get(STREAM, params=params, headers={} if last is None else {"Last-Event-ID": last})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return list(events(iter(answer.text.splitlines())))


@pytest.mark.usefixtures("short")
def test_each_event_is_a_change_under_its_number_and_the_state_of_the_watch_follows(city: City, ask: TestClient) -> None:
    city.alert("a")
    city.alert("b")
    told = read(ask, after=0)
    changes = ask.get("/v1/alerts/changes", params={"after": 0}).json()
    assert [(event.kind, event.seq) for event in told] == [("alert", 1), ("alert", 2), ("watch", 2)]
    assert [json.loads(event.fields["data"]) for event in told] == [*changes["items"], changes["watch"]]


@pytest.mark.usefixtures("short")
def test_who_comes_back_is_told_what_came_since_and_who_is_new_what_comes(city: City, ask: TestClient) -> None:
    for alert_id in "abc":
        city.alert(alert_id)
    assert [event.seq for event in read(ask, "1", after=0) if event.kind == "alert"] == [2, 3]  # the header goes before the parameter
    assert [(event.kind, event.seq) for event in read(ask)] == [("watch", 3)]


@pytest.mark.usefixtures("short")
def test_a_limited_key_hears_of_its_own_alerts(city: City, ask_as: Ask) -> None:
    city.alert("own")
    city.alert("foreign", area="110105")
    told = read(ask_as("alerts:read", districts=["110108"]), after=0)
    assert [(event.kind, event.seq) for event in told] == [("alert", 1), ("watch", 2)]


@pytest.mark.parametrize("last", ["", "x", "-1", "1.5", "٣", "9" * 40])
def test_a_number_that_is_none_is_refused(ask: TestClient, last: str) -> None:
    answer = ask.get(STREAM, headers={"Last-Event-ID": last.encode()})
    assert (answer.status_code, answer.json()["where"]) == (422, "Last-Event-ID")


def test_a_number_that_was_never_given_sends_the_reader_to_the_list(ask: TestClient) -> None:
    answer = ask.get(STREAM, headers={"Last-Event-ID": "7"})
    assert (answer.status_code, answer.headers["content-type"]) == (410, "application/problem+json")


def test_one_stream_too_many_is_refused(ask: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_paths, "MOST_STREAMS", 0)
    answer = ask.get(STREAM)
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert "/v1/alerts/changes" in answer.json()["mend"]


@contextmanager
def listening(base: str, key: dict[str, str]) -> Iterator[list[tuple[float, Event]]]:
    """What a stream tells, and when, until the server ends it."""
    told: list[tuple[float, Event]] = []

    def listen() -> None:
        with suppress(httpx.TransportError), httpx.stream("GET", f"{base}{STREAM}", headers=key, timeout=60, trust_env=False) as answer:
            for event in events(answer.iter_lines()):
                told.append((time.monotonic(), event))

    thread = threading.Thread(target=listen)
    thread.start()
    yield told
    thread.join(20)
    assert not thread.is_alive(), "the stream did not end"


def test_many_wait_on_a_real_server_without_a_thread_are_told_within_a_second_and_let_go_when_it_stops(city: City, bench: Bench) -> None:
    port = free_port()
    base, key = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {city.key()}"}
    process = bench.start("api", data_dir=city.settings.data_dir, as_of=city.settings.as_of, timezone=city.settings.timezone, api_port=port)
    until("the API answers", lambda: answers(base))
    polled: list[tuple[float, list[int]]] = []
    many = httpx.Limits(max_connections=100)

    def poll(after: int) -> None:
        answer = client.get("/v1/alerts/changes", params={"after": after, "wait": 60})
        polled.append((time.monotonic(), [change["seq"] for change in answer.json()["items"]]))

    with listening(base, key) as told, httpx.Client(base_url=base, headers=key, timeout=90, trust_env=False, limits=many) as client:
        until("the stream is open", lambda: told)
        waiting = [threading.Thread(target=poll, args=[0]) for _ in range(60)]  # more than there are worker threads
        for thread in waiting:
            thread.start()
        time.sleep(2)
        begun = time.monotonic()
        assert client.get("/v1/status").status_code == 200
        assert time.monotonic() - begun < 2
        begun = time.monotonic()
        city.alert("a")
        for thread in waiting:
            thread.join(20)
        assert [found for _, found in polled] == [[1]] * 60
        assert max(at for at, _ in polled) - begun < 3  # within one second, and a busy machine with sixty threads of clients
        until("the stream tells it", lambda: [event.seq for _, event in told if event.kind == "alert"] == [1], 5)
        at_the_end = threading.Thread(target=poll, args=[1])
        at_the_end.start()
        time.sleep(1)
        process.terminate()
        process.wait(15)
        at_the_end.join(15)
    assert [found for _, found in polled[60:]] == [[]]


def test_a_stream_ends_within_seconds_of_its_key_and_tells_it_nothing_more(city: City, bench: Bench) -> None:
    port = free_port()
    base, key, other = f"http://127.0.0.1:{port}", city.key(), city.key()
    process = bench.start("api", data_dir=city.settings.data_dir, as_of=city.settings.as_of, timezone=city.settings.timezone, api_port=port)
    until("the API answers", lambda: answers(base))
    polled: list[httpx.Response] = []

    def poll() -> None:
        ask = {"params": {"after": 0, "wait": 60}, "headers": {"Authorization": f"Bearer {key}"}}
        polled.append(httpx.get(f"{base}/v1/alerts/changes", timeout=90, trust_env=False, **ask))  # type: ignore[arg-type]

    with listening(base, {"Authorization": f"Bearer {key}"}) as told:
        until("the stream is open", lambda: told)
        polling = threading.Thread(target=poll)
        polling.start()
        time.sleep(1)
        with writing(city.engine) as conn:
            assert keys.revoke(conn, key.split("_")[1], NOW)
        begun = time.monotonic()
        time.sleep(1)
        city.alert("a")
        polling.join(20)
    assert time.monotonic() - begun < feed_paths.LOOK_AT_KEY + 3  # and a busy machine
    assert [event.kind for _, event in told] == ["watch"]
    assert [(answer.status_code, answer.json()["where"]) for answer in polled] == [(401, "Authorization")]
    changes = httpx.get(f"{base}/v1/alerts/changes", params={"after": 0}, headers={"Authorization": f"Bearer {other}"}, trust_env=False)
    assert changes.status_code == 200
    process.terminate()
    process.wait(15)


def test_one_key_cannot_hold_more_than_its_share(city: City, ask: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "MOST_OF_ONE", 1)
    city.alert("a")
    waiting = threading.Thread(target=lambda: ask.get("/v1/alerts/changes", params={"after": 1, "wait": 4}))
    waiting.start()
    time.sleep(1)
    for answer in (ask.get(STREAM), ask.get("/v1/alerts/changes", params={"after": 1, "wait": 1})):
        assert (answer.status_code, answer.headers["content-type"]) == (429, "application/problem+json")
        assert 0 < int(answer.headers["Retry-After"]) <= 60
        assert "RateLimit" in answer.headers
    assert seqs(ask.get("/v1/alerts/changes", params={"after": 0, "wait": 60})) == [1]  # what need not wait holds nothing
    another = {"Authorization": f"Bearer {city.key('alerts:read')}"}
    assert seqs(ask.get("/v1/alerts/changes", params={"after": 1, "wait": 1}, headers=another)) == []
    waiting.join(10)
    assert ask.get("/v1/alerts/changes", params={"after": 1, "wait": 1}).status_code == 200


def seqs(answer: httpx.Response) -> list[int]:
    return [change["seq"] for change in answer.json()["items"]]


def answers(base: str) -> bool:
    try:
        return httpx.get(f"{base}/livez", timeout=1, trust_env=False).status_code == 200
    except httpx.TransportError:
        time.sleep(0.05)
        return False
