"""`/v1/alerts/{id}/feedback` and `/v1/alerts/verdicts`: what alerts turned out to be."""

import math
import threading
from datetime import timedelta
from typing import Any

import pytest
from api_city import NOW, Ask, City
from fastapi.testclient import TestClient


def judge(client: TestClient, verdict: Any, alert_id: str = "a", **more: Any) -> Any:
    return client.post(f"/v1/alerts/{alert_id}/feedback", json={"verdict": verdict, **more})


@pytest.mark.parametrize("verdict", ["true", "false", "acted"])
@pytest.mark.parametrize("status", ["open", "acknowledged", "resolved"])
def test_a_verdict_stands_in_the_alert_and_with_name_and_note_in_its_history(city: City, ask_as: Ask, verdict: str, status: str) -> None:
    city.alert("a", status=status, resolved_at=NOW if status == "resolved" else None)
    answer = judge(ask_as("alerts:write", name="海淀值班长"), verdict, note="已派抢修")
    assert answer.status_code == 200
    alert = answer.json()
    assert (alert["verdict"], alert["judged_at"], alert["status"]) == (verdict, NOW.isoformat(), status)
    assert alert["history"][-1] == {
        "seq": len(alert["history"]),
        "at": NOW.isoformat(),
        "actor": "海淀值班长",
        "action": f"judged_{verdict}",
        "level": "yellow",
        "status": status,
        "note": "已派抢修",
    }


@pytest.mark.parametrize(("sent", "verdict"), [(True, "true"), (False, "false")])
def test_json_s_own_true_and_false_are_understood(city: City, ask: TestClient, sent: bool, verdict: str) -> None:
    city.alert("a")
    assert judge(ask, sent).json()["verdict"] == verdict


def test_judging_twice_changes_nothing(city: City, ask: TestClient) -> None:
    city.alert("a")
    once, twice = (judge(ask, "acted", note=note).json() for note in ("first", "second"))
    assert once == twice


def test_nobody_overrules_a_colleague_by_accident(city: City, ask: TestClient) -> None:
    city.alert("a")
    acted = judge(ask, "acted").json()
    answer = judge(ask, "false")
    assert (answer.status_code, answer.json()["where"], answer.json()["mend"]) == (409, "verdict", 'send "replaces": "acted" to overrule it')
    assert judge(ask, "false", replaces="true").status_code == 409
    assert ask.get("/v1/alerts/a").json() | {"why": None} == acted | {"why": None}
    overruled = judge(ask, "false", replaces="acted", note="no crew went").json()
    assert (overruled["verdict"], [event["action"] for event in overruled["history"]]) == ("false", ["raised", "judged_acted", "judged_false"])


def test_a_verdict_can_be_withdrawn(city: City, ask: TestClient) -> None:
    city.alert("a")
    judge(ask, "false")
    alert = judge(ask, None, replaces="false").json()
    assert (alert["verdict"], alert["judged_at"], alert["history"][-1]["action"]) == (None, None, "verdict_withdrawn")
    assert judge(ask, None).json() == alert


def test_what_has_no_verdict_cannot_be_overruled(city: City, ask: TestClient) -> None:
    city.alert("a")
    answer = judge(ask, "false", replaces="true")
    assert (answer.status_code, answer.json()["where"]) == (409, "replaces")


def test_of_many_who_judge_at_once_one_is_recorded(city: City, ask: TestClient) -> None:
    city.alert("a")
    answers: list[tuple[str, int]] = []
    threads = [threading.Thread(target=lambda v=v: answers.append((v, judge(ask, v).status_code))) for v in ("true", "false", "acted") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alert = ask.get("/v1/alerts/a").json()
    assert {v for v, status in answers if status == 200} == {alert["verdict"]}
    assert sorted(status for _, status in answers) == [200, 200, 409, 409, 409, 409]
    assert len(alert["history"]) == 2


@pytest.mark.parametrize("body", [{}, {"verdict": "maybe"}, {"verdict": 1}, {"verdict": "true", "actor": "x"}, {"verdict": "true", "note": "\x00"}])
def test_what_is_no_verdict_is_refused(city: City, ask: TestClient, body: dict[str, Any]) -> None:
    city.alert("a")
    assert ask.post("/v1/alerts/a/feedback", json=body).status_code == 422
    assert ask.get("/v1/alerts/a").json()["verdict"] is None


def test_who_may_not_resolve_an_alert_may_not_judge_it(city: City, ask_as: Ask) -> None:
    city.alert("a", area="ALL")
    assert judge(ask_as("alerts:read"), "false").status_code == 403
    assert judge(ask_as("alerts:write", districts=["110108"]), "false").status_code == 403
    assert judge(ask_as("alerts:write", districts=["110105"]), "false").status_code == 403
    assert judge(ask_as("alerts:write"), "false", "nobody").status_code == 404


def test_alerts_are_found_by_their_verdict(city: City, ask: TestClient) -> None:
    for verdict in ("true", "false", "acted", None):
        city.alert(f"{verdict}", verdict=verdict)
    for verdicts, expected in ((["false"], {"false"}), (["none", "acted"], {"None", "acted"}), ([], {"true", "false", "acted", "None"})):
        items = ask.get("/v1/alerts", params={"verdict": verdicts}).json()["items"]
        assert {alert["alert_id"] for alert in items} == expected


def test_an_alert_acted_on_whose_complaints_never_came_is_not_counted_false(city: City, ask: TestClient) -> None:
    city.alert("a", kind="SEASONAL", status="resolved", resolved_at=NOW)
    judge(ask, "acted")
    (row,) = ask.get("/v1/alerts/verdicts").json()["items"]
    assert (row["raised"], row["acted"], row["false"], row["false_share"]) == (1, 1, 0, None)


def test_verdicts_are_counted_by_category_and_kind(city: City, ask: TestClient) -> None:
    many = {("HEAT", "SPIKE"): ["true", "false", "false", "false", "acted", None], ("HEAT", "DATA"): [None], ("NOISE", "SPIKE"): ["true"]}
    for (category, kind), verdicts in many.items():
        for number, verdict in enumerate(verdicts):
            city.alert(f"{category}{kind}{number}", category=category, kind=kind, verdict=verdict, judged_at=NOW)
    items = ask.get("/v1/alerts/verdicts").json()["items"]
    assert [(row["category"], row["kind"], row["raised"]) for row in items] == [("HEAT", "DATA", 1), ("HEAT", "SPIKE", 6), ("NOISE", "SPIKE", 1)]
    spikes = items[1]
    assert (spikes["true"], spikes["false"], spikes["acted"], spikes["not_judged"], spikes["false_share"]) == (1, 3, 1, 1, 0.75)
    assert spikes["label"] == {"zh": "HEAT", "en": "HEAT"}


@pytest.mark.parametrize(
    ("params", "raised"),
    [
        ({"from": "2025-11-09"}, 1),
        ({"to": "2025-11-08"}, 1),
        ({"from": "2025-11-08", "to": "2025-11-09"}, 2),
        ({"from": "2025-11-10"}, 0),
        ({"from": "2020-01-01", "to": "2029-12-31"}, 2),
    ],
)
def test_verdicts_are_those_of_alerts_raised_on_the_days_asked_for(city: City, ask: TestClient, params: dict[str, str], raised: int) -> None:
    city.alert("a", raised_at=NOW)
    city.alert("b", raised_at=NOW.replace(hour=0, minute=0) - timedelta(seconds=1))
    items = ask.get("/v1/alerts/verdicts", params=params).json()["items"]
    assert sum(row["raised"] for row in items) == raised


def test_a_limited_key_counts_the_alerts_that_it_sees(city: City, ask_as: Ask) -> None:
    city.alert("own")
    city.alert("concerned", area="ALL")
    city.alert("other", area="110105", districts=[])
    items = ask_as("alerts:read", districts=["110108"]).get("/v1/alerts/verdicts").json()["items"]
    assert [row["raised"] for row in items] == [2]


def test_thresholds_tell_what_verdicts_have_made_of_them(city: City, ask: TestClient) -> None:
    assert ask.get("/v1/alerts/thresholds").json() == {"items": [], "next": None}
    for number in range(12):
        city.alert(f"a{number}", verdict="false" if number < 10 else "true", judged_at=NOW)
    city.alert("acted", verdict="acted", judged_at=NOW)
    city.alert("other family", kind="SEASONAL", category="NOISE", verdict="false", judged_at=NOW)
    city.alert("long ago", category="NOISE", verdict="false", judged_at=NOW, raised_at=NOW - timedelta(days=366))
    items = {row["category"]: row for row in ask.get("/v1/alerts/thresholds").json()["items"]}
    assert items.keys() == {"ALL", "HEAT", "UTILITY"}
    heat = items["HEAT"]
    assert (heat["true"], heat["false"], heat["false_share"], heat["meant_share"]) == (2, 10, 14 / 20, 0.5)
    assert heat["times_as_often"] == pytest.approx(3 / 7)
    assert heat["stricter"] == pytest.approx(4.25 * math.log10(7 / 3))
    judge(ask, None, "a0", replaces="false")
    assert ask.get("/v1/alerts/thresholds").json()["items"][0]["false"] == 9
