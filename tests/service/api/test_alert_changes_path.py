"""`/v1/alerts/changes`: what happened after a change, and nothing left out."""

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api_city import NOW, Ask, City
from fastapi.testclient import TestClient
from test_problem_documents import problem

from service.api.alerts.news import News
from service.store import alert_changes, alerts, jobs
from service.store.engine import writing

CHANGES = "/v1/alerts/changes"


def seqs(answer: dict[str, Any]) -> list[int]:
    return [change["seq"] for change in answer["items"]]


def test_a_change_tells_who_did_what_and_the_alert_as_the_list_tells_it(city: City, ask: TestClient) -> None:
    city.alert("a")
    ask.post("/v1/alerts/a/ack", json={"note": "去看"})
    answer = ask.get(CHANGES, params={"after": 1}).json()
    (change,) = answer["items"]
    (alert,) = ask.get("/v1/alerts").json()["items"]
    assert change == {
        "seq": 2,
        "at": NOW.isoformat(),
        "actor": "值班长",
        "action": "acknowledged",
        "level": "yellow",
        "status": "acknowledged",
        "note": "去看",
        "alert": alert,
    }
    assert (answer["next"], answer["more"]) == (2, False)


def test_without_a_number_it_says_where_the_feed_stands(city: City, ask: TestClient) -> None:
    city.alert("a")
    city.alert("b")
    answer = ask.get(CHANGES).json()
    assert (answer["items"], answer["next"], answer["more"]) == ([], 2, False)
    assert ask.get("/v1/alerts").json()["seq"] == 2


def test_parts_follow_each_other_without_a_seam(city: City, ask: TestClient) -> None:
    for k in range(5):
        city.alert(f"a{k}")
    answers = [ask.get(CHANGES, params={"after": after, "limit": 2}).json() for after in (0, 2, 4)]
    assert [seqs(answer) for answer in answers] == [[1, 2], [3, 4], [5]]
    assert [(answer["next"], answer["more"]) for answer in answers] == [(2, True), (4, True), (5, False)]


def test_a_limited_key_is_told_of_its_own_alerts_and_goes_on_past_the_others(city: City, ask_as: Ask) -> None:
    city.alert("own")
    city.alert("foreign", area="110105")
    city.alert("city", area="ALL", districts=[{"code": code, "observed": 9.0, "expected": 1.0} for code in ("110105", "110108")])
    city.alert("foreign too", area="110105A")
    client = ask_as("alerts:read", districts=["110108"])
    answer = client.get(CHANGES, params={"after": 0}).json()
    assert [(change["seq"], change["alert"]["alert_id"]) for change in answer["items"]] == [(1, "own"), (3, "city")]
    assert [one["district"] for one in answer["items"][1]["alert"]["districts"]] == ["110108"]
    assert answer["next"] == 4


def test_one_who_waits_is_told_within_a_second(city: City, ask: TestClient) -> None:
    city.alert("a")
    told: list[tuple[float, list[int]]] = []

    def wait() -> None:
        answer = ask.get(CHANGES, params={"after": 1, "wait": 30}).json()
        told.append((time.monotonic(), seqs(answer)))

    waiting = [threading.Thread(target=wait) for _ in range(3)]
    for thread in waiting:
        thread.start()
    time.sleep(0.7)
    assert told == []
    begun = time.monotonic()
    city.alert("b")
    for thread in waiting:
        thread.join(10)
    assert [found for _, found in told] == [[2]] * 3
    assert max(at for at, _ in told) - begun < 1.5  # one second, and a busy machine


def test_one_who_waits_in_vain_is_told_so_when_the_time_is_over(city: City, ask_as: Ask) -> None:
    city.alert("a")
    client = ask_as("alerts:read", districts=["110105"])
    begun = time.monotonic()
    answer = client.get(CHANGES, params={"after": 0, "wait": 1}).json()  # the change is not for this key
    assert time.monotonic() - begun >= 1
    assert (answer["items"], answer["next"]) == ([], 1)


def test_what_many_ask_for_at_once_is_read_once_and_one_who_goes_away_takes_nothing_from_the_others(city: City) -> None:
    reads: list[int] = []

    def read() -> int:
        reads.append(len(reads) + 1)
        number = reads[-1]
        time.sleep(0.1)
        return number

    async def many() -> list[int | BaseException]:
        news = News(city.engine)
        asking = [asyncio.create_task(news.once("the same", read)) for _ in range(50)]
        await asyncio.sleep(0.02)
        asking[0].cancel()
        found = await asyncio.gather(*asking[1:], news.once("another", read), return_exceptions=True)
        return [*found, await news.once("the same", read)]

    assert sorted(map(str, asyncio.run(many()))) == ["1"] * 49 + ["2", "3"]


@pytest.mark.parametrize("params", [{"after": -1}, {"after": "x"}, {"after": 2**60}, {"wait": 61}, {"limit": 0}, {"limit": 1001}, {"before": 1}])
def test_what_cannot_be_meant_is_refused(ask: TestClient, params: dict[str, Any]) -> None:
    answer = ask.get(CHANGES, params=params)
    assert (answer.status_code, answer.json()["where"]) == (422, next(iter(params)))


def test_a_number_that_is_not_kept_or_was_never_given_sends_the_reader_to_the_list(city: City, ask: TestClient) -> None:
    city.alert("a")
    answer = ask.get(CHANGES, params={"after": 5})
    assert (answer.status_code, answer.json()["where"]) == (410, "after")
    assert "backup" in answer.json()["detail"]
    with writing(city.engine) as conn:
        alert_changes.begin_anew(conn, datetime.now(UTC))
    answer = ask.get(CHANGES, params={"after": 1})
    assert answer.status_code == 410
    assert "/v1/alerts" in answer.json()["mend"]
    seq = ask.get("/v1/alerts").json()["seq"]
    ask.post("/v1/alerts/a/ack")
    assert seqs(ask.get(CHANGES, params={"after": seq}).json()) == [seq + 1]


def test_a_calm_city_is_told_from_a_service_that_no_longer_looks(city: City, ask: TestClient) -> None:
    def watch() -> dict[str, Any]:
        found: dict[str, Any] = ask.get("/v1/alerts").json()["watch"]
        assert ask.get(CHANGES).json()["watch"] == found
        return found

    def succeeded(ago: timedelta) -> None:
        at = NOW - ago
        with writing(city.engine) as conn:
            jobs.succeed(conn, jobs.WATCH, at, at + timedelta(minutes=10), at + timedelta(minutes=30))

    assert watch() == {"watched_at": None, "as_of": None, "late": True, "late_at": None}
    succeeded(timedelta(minutes=29))
    assert watch() == {
        "watched_at": (NOW - timedelta(minutes=29)).isoformat(),
        "as_of": None,
        "late": False,
        "late_at": (NOW + timedelta(minutes=1)).isoformat(),
    }
    succeeded(timedelta(minutes=31))
    assert watch()["late"] is True


def test_with_an_expected_number_nobody_decides_on_what_has_changed_since(city: City, ask: TestClient) -> None:
    city.alert("a")
    ask.post("/v1/alerts/a/ack", json={"expected_seq": 1}).raise_for_status()
    for path, body in (("resolve", {}), ("feedback", {"verdict": "true"})):
        answer = ask.post(f"/v1/alerts/a/{path}", json={**body, "expected_seq": 1})
        assert (answer.status_code, answer.json()["where"]) == (409, "expected_seq")
    assert ask.post("/v1/alerts/a/ack", json={"expected_seq": 1}).status_code == 200  # the same again
    assert ask.post("/v1/alerts/a/resolve", json={"expected_seq": 2}).json()["status"] == "resolved"


@pytest.mark.parametrize("given", [False, True, "1"])
def test_an_expected_number_that_is_none_decides_nothing(city: City, ask: TestClient, given: object) -> None:
    city.alert("a")
    assert problem(ask.post("/v1/alerts/a/ack", json={"expected_seq": given}), 422)["where"] == "body.expected_seq"
    assert ask.get("/v1/alerts/a").json()["status"] == "open"


def moved(city: City, alert_id: str, note: str = "now at the whole city", **changes: Any) -> None:
    with writing(city.engine) as conn:
        assert alerts.update(conn, alert_id, changes, action="moved", actor="weisu", now=NOW, note=note)


def concerned(*codes: str) -> list[alerts.ConcernedDistrict]:
    return [{"code": code, "observed": 9.0, "expected": 1.0} for code in codes]


def test_a_limited_key_is_told_once_that_an_alert_has_left_its_districts_and_nothing_of_where_it_is_now(city: City, ask_as: Ask) -> None:
    city.alert("a")
    moved(city, "a", area="ALL", districts=concerned("110105"), observed=999.0)
    with writing(city.engine) as conn:
        assert alerts.change_status(conn, "a", ("open",), "resolved", "weisu", None, NOW)
    client = ask_as("alerts:read", districts=["110108"])
    raised, left = client.get(CHANGES, params={"after": 0}).json()["items"]
    assert (raised["seq"], raised["action"], raised["alert"]["area"], raised["alert"]["observed"]) == (1, "raised", "110108", 61.0)
    assert (left["seq"], left["action"], left["status"], left["note"]) == (2, "left", "resolved", None)
    assert (left["alert"]["area"], left["alert"]["observed"], left["alert"]["status"]) == ("110108", 61.0, "resolved")
    assert left["alert"]["resolved_at"] == left["at"]
    for after in (1, 2):  # whoever reads in parts is told the same
        assert seqs(client.get(CHANGES, params={"after": after}).json()) == [2][after - 1 :]
    everything = ask_as("alerts:read").get(CHANGES, params={"after": 0}).json()
    assert [(one["action"], one["status"], one["alert"]["area"]) for one in everything["items"]] == [
        ("raised", "open", "ALL"),
        ("moved", "open", "ALL"),
        ("resolved", "resolved", "ALL"),
    ]


def test_an_alert_that_no_longer_concerns_a_district_when_it_ends_is_told_as_ended(city: City, ask_as: Ask) -> None:
    city.alert("a", area="ALL", districts=concerned("110105", "110108"))
    with writing(city.engine) as conn:  # no change in the feed
        assert alerts.update(conn, "a", {"districts": concerned("110105")}, action=None, actor="weisu", now=NOW)
        assert alerts.change_status(conn, "a", ("open",), "resolved", "weisu", "usual again", NOW)
    _, ended = ask_as("alerts:read", districts=["110108"]).get(CHANGES, params={"after": 0}).json()["items"]
    assert (ended["action"], ended["status"], ended["alert"]["status"]) == ("resolved", "resolved", "resolved")
    assert [one["district"] for one in ended["alert"]["districts"]] == ["110108"]


def test_an_alert_that_comes_into_a_district_is_told_from_then_on(city: City, ask_as: Ask) -> None:
    city.alert("a", area="110105", districts=concerned("110105"))
    moved(city, "a", area="ALL", districts=concerned("110105", "110108"))
    (came,) = ask_as("alerts:read", districts=["110108"]).get(CHANGES, params={"after": 0}).json()["items"]
    assert (came["seq"], came["action"], came["status"], came["alert"]["area"]) == (2, "moved", "open", "ALL")


def test_what_a_limited_key_does_not_see_is_passed_in_parts_too(city: City, ask_as: Ask) -> None:
    for k in range(5):
        city.alert(f"foreign {k}", area="110105", districts=[])
        city.alert(f"own {k}")
    client = ask_as("alerts:read", districts=["110108"])
    answers = [client.get(CHANGES, params={"after": after, "limit": 2}).json() for after in (0, 4, 8)]
    assert [(seqs(answer), answer["next"], answer["more"]) for answer in answers] == [([2, 4], 4, True), ([6, 8], 8, True), ([10], 10, False)]
