"""`/v1/alerts`: found, acknowledged, resolved."""

import io
import threading
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from api_city import NOW, Ask, City
from fastapi.testclient import TestClient

from service.store import counters

FIELDS = ["alert_id", "kind", "level", "status", "area", "category", "districts", "onset", "peak"]
FIELDS += ["observed", "expected", "lower", "upper", "p_value", "reason_zh", "reason_en", "reason"]
FIELDS += ["raised_at", "changed_at", "resolved_at", "labels", "verdict", "judged_at"]
FIELDS += ["short_zh", "short_en", "notice", "lead_unit", "supporting_units", "time_limit", "silenced_by", "since_observed", "since_expected"]


def found(client: TestClient, **params: Any) -> list[str]:
    answer = client.get("/v1/alerts", params=params)
    assert answer.status_code == 200, answer.text
    return [alert["alert_id"] for alert in answer.json()["items"]]


def test_an_alert_is_told_whole(city: City, ask: TestClient) -> None:
    city.alert("a")
    (alert,) = ask.get("/v1/alerts").json()["items"]
    assert list(alert) == FIELDS
    assert alert == {
        "alert_id": "a",
        "kind": "SPIKE",
        "level": "yellow",
        "status": "open",
        "area": "110108",
        "category": "HEAT",
        "districts": [{"district": "110108", "observed": 61.0, "expected": 22.5}],
        "onset": "2025-11-08",
        "peak": None,
        "observed": 61.0,
        "expected": 22.5,
        "lower": 14.0,
        "upper": 32.0,
        "p_value": 2e-6,
        "reason_zh": "海淀区供热采暖昨日61件",
        "reason_en": "Heating in Haidian: 61 yesterday",
        "reason": "Heating in Haidian: 61 yesterday",
        "raised_at": "2025-11-09T06:30:00+08:00",
        "changed_at": "2025-11-09T06:30:00+08:00",
        "resolved_at": None,
        "labels": {"area": {"zh": "海淀区", "en": "Haidian"}, "category": {"zh": "HEAT", "en": "HEAT"}},
        "verdict": None,
        "judged_at": None,
        "short_zh": "【诉求预警(内部)】黄色·突增·海淀区·HEAT:11-08 受理 61 件,预期 22 件(90% 区间 14–32)",
        "short_en": "[internal demand alert] yellow spike, HEAT in Haidian: 61 on 11-08, 22 expected (90 % interval 14–32)",
        "notice": {"zh": "诉求预警(内部)", "en": "internal demand alert"},
        "lead_unit": None,
        "supporting_units": None,
        "time_limit": None,
        "silenced_by": [],
        "since_observed": None,
        "since_expected": None,
    }


def test_units_and_time_limit_are_those_of_the_category_or_of_the_nearest_above_it(city: City, ask: TestClient) -> None:
    with city.engine.begin() as conn:
        conn.exec_driver_sql("update categories set lead_unit = '市城市管理委', time_limit = '7 d', supporting_units = '属地' where code = 'UTILITY'")
        conn.exec_driver_sql("update categories set time_limit = '24 h', lead_unit = '' where code = 'HEAT'")
        counters.step(conn, counters.TREES)  # as whoever changes the trees does
    city.alert("a")
    city.alert("b", category="HEAT->*")
    for alert in ask.get("/v1/alerts").json()["items"]:
        assert (alert["lead_unit"], alert["supporting_units"], alert["time_limit"]) == ("市城市管理委", "属地", "24 h")
        assert alert["short_zh"].endswith(";牵头:市城市管理委;时限:24 h")


def test_one_alert_comes_with_its_history(city: City, ask: TestClient) -> None:
    city.alert("a")
    alert = ask.get("/v1/alerts/a").json()
    assert list(alert) == [*FIELDS, "history", "why"]
    assert alert["history"] == [
        {"seq": 1, "at": "2025-11-09T06:30:00+08:00", "actor": "watch", "action": "raised", "level": "yellow", "status": "open", "note": None}
    ]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, {"chaoyang", "street", "city", "haidian", "data"}),
        ({"status": "open"}, {"chaoyang", "city", "haidian", "data"}),
        ({"status": ["acknowledged", "resolved"]}, {"street"}),
        ({"kind": "DATA"}, {"data"}),
        ({"kind": ["DATA", "SEASONAL"]}, {"data", "city"}),
        ({"level": "blue"}, {"chaoyang", "street", "city", "haidian", "data"}),
        ({"level": "orange"}, {"street", "city"}),
        ({"level": "red"}, {"city"}),
        ({"district": "110105"}, {"chaoyang", "street", "city"}),  # the city's alert names it as concerned
        ({"district": "110105A"}, {"street"}),
        ({"district": ["110108", "UNKNOWN"]}, {"haidian", "data"}),
        ({"district": "ALL"}, {"chaoyang", "street", "city", "haidian", "data"}),
        ({"category": "UTILITY"}, {"chaoyang", "street", "haidian"}),
        ({"category": "HEAT"}, {"chaoyang", "haidian"}),
        ({"category": "ALL"}, {"chaoyang", "street", "city", "haidian", "data"}),
        ({"since": "2025-11-08"}, {"haidian", "data"}),
        ({"since": "2025-11-09T06:30:00+08:00"}, {"haidian", "data"}),
        ({"since": "2025-11-09T06:31:00+08:00"}, set()),
        ({"district": "110105", "level": "orange", "status": "open"}, {"city"}),
    ],
)
def test_filters_find_what_they_say(city: City, ask: TestClient, params: dict[str, Any], expected: set[str]) -> None:
    old = {"raised_at": NOW - timedelta(days=3), "changed_at": NOW - timedelta(days=3)}
    city.alert("chaoyang", area="110105", level="blue", districts=[], **old)
    city.alert("street", area="110105A", level="orange", category="WATER", status="acknowledged", districts=[], **old)
    concerned = [{"code": "110105", "observed": None, "expected": 3.0}]
    city.alert("city", area="ALL", category="ALL", kind="SEASONAL", level="red", districts=concerned, observed=None, **old)
    city.alert("haidian")
    city.alert("data", area="UNKNOWN", kind="DATA", category="NOISE", districts=[])
    assert set(found(ask, **params)) == expected


def test_what_is_filed_under_an_inner_category_directly_is_found_by_it(city: City, ask: TestClient) -> None:
    city.alert("own", category="UTILITY->*")
    city.alert("other", category="NOISE->*")
    assert found(ask, category="UTILITY") == ["own"]


def test_the_newest_come_first_and_pages_lose_none(city: City, ask: TestClient) -> None:
    for number in range(7):
        city.alert(f"a{number}", raised_at=NOW - timedelta(hours=number // 2))
    whole = found(ask)
    assert whole == ["a1", "a0", "a3", "a2", "a5", "a4", "a6"]
    paged: list[str] = []
    following = None
    while True:
        answer = ask.get("/v1/alerts", params={"limit": 2, **({"next": following} if following else {})}).json()
        paged += [alert["alert_id"] for alert in answer["items"]]
        following = answer["next"]
        if following is None:
            break
        city.alert(f"late {len(paged)}", raised_at=NOW)  # what comes in meanwhile shifts nothing
    assert paged == whole


def test_acknowledging_puts_name_and_note_into_the_history(city: City, ask_as: Ask) -> None:
    city.alert("a")
    alert = ask_as("alerts:write", name="海淀值班长").post("/v1/alerts/a/ack", json={"note": "已通知供热单位"}).json()
    assert alert["status"] == "acknowledged"
    assert alert["changed_at"] == NOW.isoformat()
    assert alert["history"][-1] == {
        "seq": 2,
        "at": NOW.isoformat(),
        "actor": "海淀值班长",
        "action": "acknowledged",
        "level": "yellow",
        "status": "acknowledged",
        "note": "已通知供热单位",
    }


@pytest.mark.parametrize("body", [{}, {"json": {}}, {"json": {"note": None}}, {"json": None}])
def test_a_note_may_be_left_out(city: City, ask: TestClient, body: dict[str, Any]) -> None:
    city.alert("a")
    answer = ask.post("/v1/alerts/a/resolve", **body)
    assert (answer.status_code, answer.json()["status"], answer.json()["resolved_at"]) == (200, "resolved", NOW.isoformat())


def test_doing_it_twice_changes_nothing(city: City, ask: TestClient) -> None:
    city.alert("a")
    for path in ("/v1/alerts/a/ack", "/v1/alerts/a/resolve"):
        once, twice = (ask.post(path, json={"note": note}) for note in ("first", "second"))
        assert (once.status_code, twice.status_code) == (200, 200)
        assert once.json() == twice.json()


def test_a_resolved_alert_cannot_be_acknowledged(city: City, ask: TestClient) -> None:
    city.alert("a")
    resolved = ask.post("/v1/alerts/a/resolve").json()
    answer = ask.post("/v1/alerts/a/ack")
    assert answer.status_code == 409
    assert "resolved" in answer.json()["detail"]
    assert ask.get("/v1/alerts/a").json() | {"why": None} == resolved | {"why": None}


def test_of_many_who_acknowledge_at_once_all_are_answered_and_one_is_recorded(city: City, ask: TestClient) -> None:
    city.alert("a")
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(ask.post("/v1/alerts/a/ack").status_code)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 6
    assert [event["action"] for event in ask.get("/v1/alerts/a").json()["history"]] == ["raised", "acknowledged"]


def test_the_csv_twin_is_flat_and_harmless(city: City, ask: TestClient) -> None:
    concerned = [{"code": "110108", "observed": 9.0, "expected": 1.0}, {"code": "110105", "observed": 5.0, "expected": 1.0}]
    city.alert("a", districts=concerned, reason_en="=cmd|' /C calc'!A0", reason_zh='@热线, "引号"\n换行')
    answer = ask.get("/v1/alerts", params={"format": "csv", "bom": "true"})
    table = pd.read_csv(io.BytesIO(answer.content), dtype=str, keep_default_na=False)
    assert table.shape[0] == 1
    row = table.iloc[0]
    assert row["districts"] == "110108;110105"
    assert row["reason_en"] == "'=cmd|' /C calc'!A0"
    assert row["reason_zh"] == '\'@热线, "引号"\n换行'
    assert (row["area_zh"], row["area_en"]) == ("海淀区", "Haidian")
    assert row["raised_at"] == "2025-11-09T06:30:00+08:00"
    assert (row["peak"], row["resolved_at"]) == ("", "")
    assert float(row["p_value"]) == 2e-6


def test_no_alerts_are_an_empty_list_and_an_empty_table(ask: TestClient) -> None:
    answer = ask.get("/v1/alerts").json()
    assert (answer["items"], answer["next"], answer["seq"]) == ([], None, 0)
    assert ask.get("/v1/alerts", params={"format": "csv"}).text.startswith("alert_id,kind,level")


def test_the_reason_of_a_city_wide_alert_tells_a_limited_key_nothing_of_other_districts(city: City, ask_as: Ask) -> None:
    concerned = [{"code": "110105", "observed": 77.0, "expected": 3.0}, {"code": "110108", "observed": 13.0, "expected": 2.0}]
    zh, en = "全市90件;超出最多的是朝阳区(77 件,平常 3)", "90 in the whole city; farthest above in Chaoyang (77 where 3 are usual)"
    for alert_id, kind in (("a", "SPIKE"), ("b", "SEASONAL"), ("c", "DATA")):
        city.alert(alert_id, area="ALL", kind=kind, districts=concerned, observed=90.0, reason_zh=zh, reason_en=en)
    paths = ["/v1/alerts", "/v1/alerts?format=csv", "/v1/alerts/a", "/v1/alerts/b", "/v1/alerts/c"]
    paths += ["/v1/alerts/changes?after=0", "/v1/alerts/alertmanager", "/v1/status"]
    limited = ask_as("alerts:read", districts=["110108"])
    for path in paths:
        answer = limited.get(path)
        assert answer.status_code == 200, path
        assert not {name for name in ("Chaoyang", "朝阳") if name in answer.text}, path
    told = limited.get("/v1/alerts/a").json()
    assert (
        told["reason"]
        == told["reason_en"]
        == "[internal demand alert] yellow spike, HEAT in the whole city: 90 on 11-08, 22 expected (90 % interval 14–32)"
    )
    assert limited.get("/v1/alerts/c").json()["reason_zh"] == "多个区的数据有异常,本区在内。"
    whole = ask_as("alerts:read").get("/v1/alerts").json()["items"]
    assert {(alert["reason_zh"], alert["reason_en"]) for alert in whole} == {(zh, en)}
