"""Who may ask what. The walk goes over every operation that the OpenAPI document names, so that a new one cannot be forgotten."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from api_city import NOW, Ask, City
from fastapi.testclient import TestClient
from processes import until

from service.secret import of_keys
from service.store import keys
from service.store.engine import reading, writing

OUTSIDE = {"/livez", "/readyz", "/"}


def operations(client: TestClient) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path with its parameters filled in, and description of every operation."""
    for path, item in client.get("/openapi.json").json()["paths"].items():
        for method, operation in item.items():
            yield method, path.format(alert_id="a", ingest_id="1", silence_id="1", webhook_id="w"), operation


def guarded(client: TestClient) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, operation) for method, path, operation in operations(client) if path not in OUTSIDE]


def is_problem(answer: httpx.Response, status: int) -> bool:
    return answer.status_code == status and answer.headers["content-type"] == "application/problem+json" and answer.json()["status"] == status


def call(client: TestClient, method: str, path: str) -> httpx.Response:
    """A request without a body, but where one is needed; of the stream, one that it cannot go on with: it would not end."""
    bodies: dict[str, Any] = {"post /v1/alerts/a/feedback": {"verdict": "true"}, "post /v1/silences": {"comment": "works", "ends": "2025-11-12"}}
    bodies |= {"post /v1/webhooks": {"url": "https://alarm.example"}, "patch /v1/webhooks/w": {"level": "red"}}
    headers = {"Last-Event-ID": "1000000"} if path.endswith("/stream") else {}
    return client.request(method, path, json=bodies.get(f"{method} {path}"), headers=headers)


def test_every_path_below_v1_and_no_other_needs_a_key(client: TestClient) -> None:
    assert len(guarded(client)) >= 10
    for method, path, operation in operations(client):
        assert path.startswith("/v1/") == ("security" in operation), (method, path)
        assert path.startswith("/v1/") == (path not in OUTSIDE), (method, path)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic d2Vpc3U6eA==", "Bearer weisu_x", "weisu_0123456789_x"])
def test_nothing_is_told_without_a_key(client: TestClient, header: str | None) -> None:
    for method, path, _ in guarded(client):
        answer = client.request(method, path, headers={} if header is None else {"Authorization": header})
        assert is_problem(answer, 401), (method, path, answer.text)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


def test_a_revoked_key_opens_nothing(city: City, ask: TestClient) -> None:
    assert ask.get("/v1/status").status_code == 200
    with writing(city.engine) as conn:
        for key in keys.list_keys(conn):
            keys.revoke(conn, key.id, NOW)
    for method, path, _ in guarded(ask):
        assert is_problem(ask.request(method, path), 401), (method, path)


def test_an_expired_key_opens_nothing(city: City, client: TestClient) -> None:
    with writing(city.engine) as conn:
        ends = {"now": NOW, "in a second": NOW + timedelta(seconds=1)}
        made = {
            name: keys.create(conn, name, ["admin"], None, NOW - timedelta(days=1), secret=of_keys(city.settings), expires_at=end)
            for name, end in ends.items()
        }
    status = {name: client.get("/v1/status", headers={"Authorization": f"Bearer {key}"}).status_code for name, key in made.items()}
    assert status == {"now": 401, "in a second": 200}


def test_the_last_use_of_a_key_is_noted_and_no_request_waits_for_it(city: City, ask: TestClient) -> None:
    def used() -> list[datetime | None]:
        with reading(city.engine) as conn:
            return [key.last_used_at for key in keys.list_keys(conn)]

    with writing(city.engine):  # nobody else can write
        assert ask.get("/v1/status").status_code == 200
        assert used() == [None]
    until("the use is noted", lambda: used() == [NOW])


def test_a_key_opens_what_its_scope_says_and_nothing_else(city: City, ask_as: Ask) -> None:
    city.alert("a")
    city.silence()
    city.webhook("w")
    for scope in keys.SCOPES:
        client = ask_as(scope)
        for method, path, operation in guarded(client):
            (needed,) = [scheme["key"] for scheme in operation["security"]]
            answer = call(client, method, path)
            if not needed or scope in needed or scope == "admin" or (scope == "alerts:write" and needed == ["alerts:read"]):
                # 404: it was deleted before; 409: another key resolved it before; 410: as `call` wants it; 415: the request carries no body
                assert answer.status_code in (200, 201, 409, 410, 415, *([404] if "/webhooks/w" in path else [])), (scope, method, path, answer.text)
            else:
                assert is_problem(answer, 403), (scope, method, path)
                assert f'scope="{needed[0]}"' in answer.headers["WWW-Authenticate"]
                assert needed[0] in answer.json()["detail"]


def test_a_limited_key_gets_no_foreign_district_anywhere(city: City, ask_as: Ask) -> None:
    city.alert("a", area="110105")
    city.silence(area="110105")
    city.webhook("w", districts=["110105"])
    client = ask_as(*keys.SCOPES, districts=["110108"])
    for method, path, operation in guarded(client):
        asked = {parameter["name"] for parameter in operation.get("parameters", [])}
        if path in ("/v1/alerts/a", "/v1/silences/1") or path.startswith(("/v1/alerts/a/", "/v1/webhooks/w")):
            assert is_problem(call(client, method, path), 403), (method, path)
        for name in asked & {"area", "district", "street"}:
            whole_city = () if path == "/v1/drivers" else ("ALL",)  # the weather of the whole city is everybody's
            for foreign in ("110105", "110105A", "UNKNOWN", "110108,110105", *whole_city):
                answer = client.request(method, path, params={name: foreign})
                assert is_problem(answer, 403), (method, path, foreign)
                assert "110108" in answer.json()["detail"]


def test_without_a_district_a_limited_key_gets_its_own(city: City, ask_as: Ask) -> None:
    for number, area in enumerate(["110105", "110105B", "110108", "ALL", "UNKNOWN"]):
        city.alert(f"a{number}", area=area, level="red" if area == "110108" else "blue")
    client = ask_as("forecasts:read", "alerts:read", districts=["110105"])
    assert {row["district"] for row in client.get("/v1/districts").json()["items"]} == {"110105"}
    assert {row["area"] for row in client.get("/v1/counts").json()["items"]} == {"110105"}
    assert {row["area"] for row in client.get("/v1/forecasts").json()["items"]} == {"110105"}
    assert {row["area"] for row in client.get("/v1/alerts").json()["items"]} == {"110105", "110105B"}
    status = client.get("/v1/status").json()
    assert status["open_alerts"] == {"blue": 2, "yellow": 0, "orange": 0, "red": 0}
    assert status["city_state"] == "blue"


def test_a_limited_key_may_ask_for_a_street_of_its_own(ask_as: Ask) -> None:
    client = ask_as("forecasts:read", districts=["110105"])
    assert {row["area"] for row in client.get("/v1/forecasts", params={"street": "110105A"}).json()["items"]} == {"110105A"}


def test_of_the_districts_concerned_a_limited_key_sees_its_own(city: City, ask_as: Ask) -> None:
    concerned = [{"code": "110108", "observed": 9.0, "expected": 1.0}, {"code": "110105", "observed": 5.0, "expected": 1.0}]
    city.alert("a", area="110105", districts=concerned)
    client = ask_as("alerts:read", districts=["110105"])
    assert [one["district"] for one in client.get("/v1/alerts/a").json()["districts"]] == ["110105"]


def city_wide(city: City, alert_id: str, *codes: str, **changes: Any) -> None:
    concerned = [{"code": code, "observed": 9.0, "expected": 1.0} for code in codes]
    city.alert(alert_id, area="ALL", districts=concerned, reason_en="Heating in the whole city", **changes)


def test_a_limited_key_sees_the_city_wide_alerts_that_concern_its_districts(city: City, ask_as: Ask) -> None:
    city_wide(city, "mine", "110108", "110105", level="orange")
    city_wide(city, "taken", "110105", level="yellow", status="acknowledged")
    city_wide(city, "others", "110108", "1101055", level="red")
    city_wide(city, "nobody's")
    city.alert("foreign", level="red", districts=[{"code": "110105", "observed": 1.0, "expected": 1.0}])
    city.alert("own", area="110105A", level="blue")
    client = ask_as("alerts:read", districts=["110105"])
    seen = {alert["alert_id"]: alert for alert in client.get("/v1/alerts").json()["items"]}
    assert seen.keys() == {"mine", "taken", "own"}
    assert [one["district"] for one in seen["mine"]["districts"]] == ["110105"]
    assert "HEAT in the whole city: 61 on 11-08" in seen["mine"]["reason_en"], "and nothing of other districts"
    assert {a["alert_id"] for a in client.get("/v1/alerts", params={"district": "110105"}).json()["items"]} == seen.keys()
    whole = client.get("/v1/alerts/mine").json()
    assert [one["district"] for one in whole["districts"]] == ["110105"]
    assert whole["history"]
    for hidden in ("others", "nobody's", "foreign"):
        assert is_problem(client.get(f"/v1/alerts/{hidden}"), 403), hidden
    status = client.get("/v1/status").json()
    assert status["city_state"] == "orange"
    assert status["open_alerts"] == {"blue": 1, "yellow": 0, "orange": 1, "red": 0}
    assert status["acknowledged_alerts"] == {"blue": 0, "yellow": 1, "orange": 0, "red": 0}


@pytest.mark.parametrize("action", ["ack", "resolve"])
def test_a_city_wide_alert_is_not_a_limited_key_s_to_change(city: City, ask_as: Ask, action: str) -> None:
    city_wide(city, "a", "110105")
    client = ask_as("alerts:write", districts=["110105"])
    before = client.get("/v1/alerts/a").json()
    assert is_problem(client.post(f"/v1/alerts/a/{action}"), 403)
    assert client.get("/v1/alerts/a").json() == before
    assert ask_as("alerts:write").post(f"/v1/alerts/a/{action}").status_code == 200


def test_a_limited_key_acts_on_its_own_district(city: City, ask_as: Ask) -> None:
    city.alert("a", area="110105B")
    assert ask_as("alerts:write", districts=["110105"]).post("/v1/alerts/a/ack").status_code == 200


def test_the_key_is_checked_before_the_question(client: TestClient) -> None:
    assert client.get("/v1/forecasts", params={"from": "rubbish", "area": "nowhere"}).status_code == 401
