"""What a worker remembers of the store: for how long, and what happens while the store does not answer."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from api_city import HERE, NOW, YESTERDAY, City
from fastapi.testclient import TestClient
from processes import until
from sqlalchemy import event, update
from sqlalchemy.exc import OperationalError

from service.api import remembered
from service.api.app import create_app
from service.api.web.answer_cache import STALE_SINCE
from service.store import alerts, keys
from service.store.engine import writing
from service.store.schema import forecast_sets

SERIES = {"area": "110108", "category": "HEAT"}
LEAST = 0.05  # seconds, in the place of the half: the tests wait for it


@pytest.fixture
def remembering(monkeypatch: pytest.MonkeyPatch, _looks_each_time: None) -> None:
    """As in production, but for a shorter time."""
    monkeypatch.setattr(remembered, "SECONDS", LEAST)
    monkeypatch.setattr(remembered, "LARGEST", 1 << 20)


@pytest.fixture
def worker(city: City, remembering: None) -> Iterator[TestClient]:
    """A worker that remembers, and a key that may do everything."""
    with TestClient(create_app(city.settings), headers={"Authorization": f"Bearer {city.key()}"}, client=HERE) as client:
        yield client


def statements(client: TestClient) -> list[str]:
    """Everything that the worker asks the store from now on."""
    asked: list[str] = []
    app: Any = client.app
    event.listen(app.state.service.engine, "before_cursor_execute", lambda conn, cursor, text, *_: asked.append(text))
    return asked


def away(client: TestClient) -> dict[str, bool]:
    """A switch: while `gone` is true, the store refuses every connection."""
    switch = {"gone": False}
    app: Any = client.app

    def refuse(*_: object) -> None:
        if switch["gone"]:
            raise OperationalError("connect", {}, Exception("connection refused"))

    event.listen(app.state.service.engine, "engine_connect", refuse)
    return switch


def mean(answer: httpx.Response) -> float:
    found: float = answer.json()["items"][0]["mean"]
    return found


def of_the_answer(one: httpx.Response) -> dict[str, str]:
    """Headers that do not tell of the request."""
    return {name: value for name, value in one.headers.items() if name not in ("ratelimit", "x-request-id")}


def test_a_question_asked_again_asks_the_store_nothing(worker: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "SECONDS", 60.0)
    first = worker.get("/v1/forecasts", params=SERIES), worker.get("/v1/alerts")
    asked = statements(worker)
    again = worker.get("/v1/forecasts", params=SERIES), worker.get("/v1/alerts")
    assert [one.content for one in again] == [one.content for one in first]
    assert [of_the_answer(one) for one in again] == [of_the_answer(one) for one in first]
    assert asked == []


def test_another_series_of_a_known_set_asks_the_store_nothing_either(worker: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "SECONDS", 60.0)
    worker.get("/v1/forecasts", params=SERIES)
    asked = statements(worker)
    assert worker.get("/v1/forecasts", params=SERIES | {"area": "110105"}).status_code == 200
    assert asked == []


def test_a_new_set_is_served_within_the_time(city: City, worker: TestClient) -> None:
    before = mean(worker.get("/v1/forecasts", params=SERIES))
    city.publish(YESTERDAY, NOW - timedelta(hours=1), scale=2.0)
    time.sleep(LEAST)
    assert mean(worker.get("/v1/forecasts", params=SERIES)) == pytest.approx(2 * before)


def test_nobody_waits_while_the_store_is_looked_at_before_the_time_is_over(city: City, worker: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    before = mean(worker.get("/v1/forecasts", params=SERIES))
    monkeypatch.setattr(remembered, "SECONDS", 60.0)
    monkeypatch.setattr(remembered, "AHEAD", 0.0)
    city.publish(YESTERDAY, NOW - timedelta(hours=1), scale=2.0)
    app: Any = worker.app
    looks, may_go_on = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        looks.set()
        may_go_on.wait(30)

    event.listen(app.state.service.engine, "before_cursor_execute", slow)
    for _ in range(3):
        assert mean(worker.get("/v1/forecasts", params=SERIES)) == before
    assert looks.wait(30)
    may_go_on.set()
    until("the new set is seen", lambda: mean(worker.get("/v1/forecasts", params=SERIES)) == pytest.approx(2 * before), 30)


def test_a_revoked_key_is_refused_within_the_time(city: City, worker: TestClient) -> None:
    assert worker.get("/v1/alerts").status_code == 200
    with writing(city.engine) as conn:
        for key in keys.list_keys(conn):
            keys.revoke(conn, key.id, NOW)
    time.sleep(LEAST)
    assert worker.get("/v1/alerts").status_code == 401


def test_what_one_has_done_oneself_is_seen_at_once(city: City, worker: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "SECONDS", 60.0)
    city.alert("a")
    worker.app.state.service.remembered.forget()  # type: ignore[attr-defined]
    assert worker.get("/v1/alerts").json()["items"][0]["status"] == "open"
    worker.post("/v1/alerts/a/ack")
    assert worker.get("/v1/alerts").json()["items"][0]["status"] == "acknowledged"


@pytest.mark.parametrize("takes_long", ["reads", "does not answer"])
def test_a_look_that_began_before_one_s_own_rollback_does_not_bring_back_the_old_forecasts(
    city: City, worker: TestClient, monkeypatch: pytest.MonkeyPatch, takes_long: str
) -> None:
    before = mean(worker.get("/v1/forecasts", params=SERIES))
    city.publish(YESTERDAY, NOW - timedelta(hours=1), scale=2.0)
    time.sleep(LEAST)
    assert mean(worker.get("/v1/forecasts", params=SERIES)) == pytest.approx(2 * before)
    monkeypatch.setattr(remembered, "SECONDS", 60.0)
    monkeypatch.setattr(remembered, "AHEAD", 0.0)
    looks, may_go_on, usable = threading.Event(), threading.Event(), keys.usable

    def slow(*given: Any) -> frozenset[str]:
        first = not looks.is_set()
        looks.set()  # the pointer is read by now
        may_go_on.wait(30)
        if first and takes_long == "does not answer":
            raise OperationalError("select", {}, Exception("the server is gone"))
        return usable(*given)

    monkeypatch.setattr(keys, "usable", slow)
    worker.get("/v1/forecasts", params=SERIES)
    assert looks.wait(30)
    assert worker.post("/v1/models/rollback").status_code == 200
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(worker.get, "/v1/forecasts", params=SERIES)
        time.sleep(5 * remembered.PATIENCE)
        may_go_on.set()
        assert mean(asked.result(30)) == before
    assert mean(worker.get("/v1/forecasts", params=SERIES)) == before


def test_what_was_refused_makes_nobody_wait_for_the_store(worker: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "SECONDS", 60.0)
    worker.get("/v1/forecasts", params=SERIES)
    for path, body in (("/v1/silences", {"area": 1}), ("/v1/alerts/none/ack", {})):
        assert worker.post(path, json=body).status_code in (404, 422)
    asked = statements(worker)
    assert worker.get("/v1/forecasts", params=SERIES).status_code == 200
    assert asked == []


def test_a_change_by_somebody_else_is_seen_within_the_time(city: City, worker: TestClient) -> None:
    city.alert("a")
    time.sleep(LEAST)
    assert worker.get("/v1/alerts").json()["items"][0]["status"] == "open"
    with writing(city.engine) as conn:
        alerts.change_status(conn, "a", ("open",), "acknowledged", "somebody", None, NOW)
    time.sleep(LEAST)
    assert worker.get("/v1/alerts").json()["items"][0]["status"] == "acknowledged"


def test_what_one_may_see_is_not_told_to_one_who_may_not(city: City, worker: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    city.alert("a")
    monkeypatch.setattr(remembered, "SECONDS", 60.0)
    worker.app.state.service.remembered.forget()  # type: ignore[attr-defined]
    without = city.key("tickets:write")
    for path in ("/v1/alerts", "/v1/forecasts"):
        for headers, status in (({}, 200), ({}, 200), ({"Authorization": f"Bearer {without}"}, 403), ({"Authorization": "Bearer weisu_x"}, 401)):
            assert worker.get(path, headers=headers).status_code == status
        assert worker.get(path, headers={"Authorization": ""}).status_code == 401


def test_callers_of_other_districts_get_other_answers(city: City, worker: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    city.alert("a")
    monkeypatch.setattr(remembered, "SECONDS", 60.0)
    worker.app.state.service.remembered.forget()  # type: ignore[attr-defined]
    limited = {"Authorization": f"Bearer {city.key(districts=['110105'])}"}
    other = {"Authorization": f"Bearer {city.key(districts=['110108'])}"}
    worker.app.state.service.remembered.forget()  # type: ignore[attr-defined]
    asked = [worker.get("/v1/alerts", headers=headers).json()["items"] for headers in (limited, other, limited)]
    assert [len(items) for items in asked] == [0, 1, 0]
    rows = [{row["area"] for row in worker.get("/v1/forecasts", headers=headers).json()["items"]} for headers in (limited, other, limited)]
    assert rows == [{"110105"}, {"110108"}, {"110105"}]


def test_without_the_store_forecasts_are_served_and_marked(worker: TestClient) -> None:
    fresh = worker.get("/v1/forecasts", params=SERIES)
    assert (fresh.json()["stale_since"], STALE_SINCE in fresh.headers) == (None, False)
    switch = away(worker)
    switch["gone"] = True
    time.sleep(LEAST)
    for params in (SERIES, SERIES | {"area": "110105"}):  # one that was asked for before, and one that was not
        answer = worker.get("/v1/forecasts", params=params)
        assert answer.status_code == 200
        assert answer.json()["stale_since"] == answer.headers[STALE_SINCE] == NOW.isoformat()
    assert answer.json()["items"]
    assert worker.get("/v1/forecasts", params=SERIES).json()["items"] == fresh.json()["items"]
    assert worker.get("/v1/alerts").status_code == 503
    assert worker.get("/livez").status_code == 200
    assert worker.get("/readyz").status_code == 503
    metrics = worker.get("/metrics")
    assert (metrics.status_code, "weisu_store_answers 0.0" in metrics.text) == (200, True)
    switch["gone"] = False
    until("it has recovered", lambda: worker.get("/v1/forecasts", params=SERIES).json() == fresh.json(), 5)
    assert worker.get("/v1/alerts").status_code == 200
    assert worker.get("/readyz").status_code == 200


def test_without_the_store_only_keys_that_were_good_are_believed(city: City, worker: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    unused, revoked = city.key(), city.key()
    assert worker.get("/v1/forecasts", headers={"Authorization": f"Bearer {revoked}"}, params=SERIES).status_code == 200
    with writing(city.engine) as conn:
        (found,) = [key.id for key in keys.list_keys(conn) if key.id in revoked]
        keys.revoke(conn, found, NOW)
    time.sleep(LEAST)
    worker.get("/v1/forecasts", params=SERIES)
    away(worker)["gone"] = True
    time.sleep(LEAST)
    worker.get("/v1/forecasts", params=SERIES)
    assert worker.get("/v1/forecasts", params=SERIES).status_code == 200
    for token in (unused, revoked):
        assert worker.get("/v1/forecasts", headers={"Authorization": f"Bearer {token}"}, params=SERIES).status_code == 503
    monkeypatch.setattr(remembered, "BELIEVED", 0.0)
    assert worker.get("/v1/forecasts", params=SERIES).status_code == 503


def test_no_more_is_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "ROOM", 100)
    monkeypatch.setattr(remembered, "BESIDE", 0)
    monkeypatch.setattr(remembered, "LARGEST", 60)
    answers = remembered.Answers()
    for name in "abc":
        answers.put(name, remembered.Response(name * 40), 60.0)
    answers.put("large", remembered.Response("x" * 61), 60.0)
    kept = {name: answers.get(name) for name in ("a", "b", "c", "large")}
    assert [name for name, answer in kept.items() if answer] == ["b", "c"]
    assert kept["b"] is not None
    kept["b"].headers["X-Of-Mine"] = "1"
    again = answers.get("b")
    assert again is not None
    assert "X-Of-Mine" not in again.headers
    answers.put("b", remembered.Response("of a moment"), -1.0)
    assert answers.get("b") is None


def test_answers_of_few_bytes_to_questions_without_end_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "ROOM", 1 << 20)
    monkeypatch.setattr(remembered, "LARGEST", 1 << 20)  # which other tests keep from anything
    for length in (0, 30_000):
        answers = remembered.Answers()
        questions = [("/v1/alerts", "x" * length, number) for number in range(2_000)]
        for question in questions:
            answers.put(question, remembered.Response(status_code=304), 60.0)
        kept = sum(answers.get(question) is not None for question in questions)
        assert 0 < kept <= (1 << 20) / (length + 1_000)


def broken_set(city: City) -> None:
    """A published set whose bytes are none."""
    city.publish(YESTERDAY, NOW)
    with writing(city.engine) as conn:
        conn.execute(update(forecast_sets).where(forecast_sets.c.issued_at == NOW).values(blob=b"broken"))


def test_a_set_that_cannot_be_read_leaves_the_one_before_it_and_stops_neither_alerts_nor_the_end_of_a_key(
    city: City, worker: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    before = mean(worker.get("/v1/forecasts", params=SERIES))
    broken_set(city)
    time.sleep(2 * LEAST)
    assert mean(worker.get("/v1/forecasts", params=SERIES)) == before
    city.alert("new")
    time.sleep(2 * LEAST)
    assert worker.get("/v1/alerts").json()["items"][0]["alert_id"] == "new"
    with writing(city.engine) as conn:
        for key in keys.list_keys(conn):
            assert keys.revoke(conn, key.id, NOW)
    until("the key is refused", lambda: worker.get("/v1/alerts").status_code == 401)
    assert [record.message for record in caplog.records].count("forecasts.not_read") == 1


def test_where_the_only_set_cannot_be_read_alerts_are_told_and_forecasts_say_why(bare_city: City, remembering: None) -> None:
    broken_set(bare_city)
    with TestClient(create_app(bare_city.settings), headers={"Authorization": f"Bearer {bare_city.key()}"}, client=HERE) as client:
        assert client.get("/v1/alerts").status_code == 200
        answer = client.get("/v1/forecasts", params={"area": "ALL", "category": "ALL"})
        assert (answer.status_code, answer.json()["detail"]) == (503, "the published forecasts cannot be read")


def test_a_set_that_cannot_be_read_stops_neither_the_status_nor_the_metrics_nor_the_reasons_of_an_alert(city: City, worker: TestClient) -> None:
    broken_set(city)
    for alert_id, kind in (("a", "SPIKE"), ("b", "SEASONAL")):
        city.alert(alert_id, kind=kind, forecast_set_id=2, peak=YESTERDAY)
    time.sleep(2 * LEAST)
    for path in ("/v1/status", "/metrics", "/v1/alerts/a", "/v1/alerts/b"):
        assert worker.get(path).status_code == 200, path
    assert worker.get("/v1/status").json()["forecast_set"]["id"] == 1, "it is served still"
    assert "weisu_forecast_set_age_seconds 18000.0" in worker.get("/metrics").text
