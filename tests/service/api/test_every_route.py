"""Every route of the application, with every scope, and on foreign districts. A route without a rule in this file fails."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_city import Ask, City
from fastapi.staticfiles import StaticFiles
from fastapi.testclient import TestClient
from starlette.routing import Mount

from service.store import keys

DOCS = Path(__file__).parents[3] / "docs"
ANYBODY, ANY_KEY = "anybody", "any key"

# What each route asks for, written by hand: the application's own word for it is what is tested.
RULES = {
    "GET /livez": ANYBODY,
    "GET /readyz": ANYBODY,
    "GET /": ANYBODY,
    "GET /metrics": ANYBODY,
    "GET /openapi.json": ANYBODY,
    "GET /docs": ANYBODY,
    "GET /docs/oauth2-redirect": ANYBODY,
    "GET /v1/districts": "forecasts:read",
    "GET /v1/categories": "forecasts:read",
    "GET /v1/status": ANY_KEY,
    "GET /v1/runs": ANY_KEY,
    "GET /v1/models": ANY_KEY,
    "POST /v1/models/rollback": "admin",
    "GET /v1/counts": "forecasts:read",
    "GET /v1/counts/compare": "forecasts:read",
    "GET /v1/forecasts": "forecasts:read",
    "GET /v1/forecasts/heatmap": "forecasts:read",
    "GET /v1/forecasts/explain": "forecasts:read",
    "GET /v1/accuracy": "forecasts:read",
    "GET /v1/accuracy/drift": "forecasts:read",
    "GET /v1/alerts": "alerts:read",
    "GET /v1/alerts/verdicts": "alerts:read",
    "GET /v1/alerts/thresholds": "alerts:read",
    "GET /v1/alerts/{alert_id}": "alerts:read",
    "POST /v1/alerts/{alert_id}/ack": "alerts:write",
    "POST /v1/alerts/{alert_id}/resolve": "alerts:write",
    "POST /v1/alerts/{alert_id}/feedback": "alerts:write",
    "GET /v1/alerts/changes": "alerts:read",
    "GET /v1/alerts/stream": "alerts:read",
    "GET /v1/alerts/alertmanager": "alerts:read",
    "GET /v1/silences": "alerts:read",
    "POST /v1/silences": "alerts:write",
    "GET /v1/silences/{silence_id}": "alerts:read",
    "DELETE /v1/silences/{silence_id}": "alerts:write",
    "GET /v1/webhooks": "admin",
    "POST /v1/webhooks": "admin",
    "GET /v1/webhooks/{webhook_id}": "admin",
    "PATCH /v1/webhooks/{webhook_id}": "admin",
    "POST /v1/webhooks/{webhook_id}/enable": "admin",
    "POST /v1/webhooks/{webhook_id}/secret": "admin",
    "POST /v1/webhooks/{webhook_id}/test": "admin",
    "GET /v1/webhooks/{webhook_id}/deliveries": "admin",
    "DELETE /v1/webhooks/{webhook_id}": "admin",
    "GET /v1/tickets": "forecasts:read",
    "POST /v1/tickets": "tickets:write",
    "GET /v1/drivers": "forecasts:read",
    "POST /v1/drivers": "tickets:write",
    "GET /v1/ingests/{ingest_id}": "tickets:write",
    "GET /v1/audit": "admin",
}
PLACES = {"area", "district", "street"}
FILL = {"alert_id": "a", "ingest_id": "1", "silence_id": "1", "webhook_id": "w"}
BODIES: dict[str, Any] = {
    "POST /v1/alerts/{alert_id}/feedback": {"verdict": "true"},
    "POST /v1/silences": {"comment": "works", "ends": "2025-11-12"},
    "POST /v1/webhooks": {"url": "https://alarm.example"},
    "PATCH /v1/webhooks/{webhook_id}": {"level": "red"},
    "POST /v1/drivers": {"name": "rain", "date": "2025-11-08", "value": 1.5},
    "POST /v1/tickets": {"ticket_id": "1", "created_at": "2025-11-08", "district": "110108", "category": "HEAT"},
}
NO_STREAM = {"Last-Event-ID": "1000000"}  # it cannot go on from there, and ends
ON_ONE = {name for name in RULES if re.search("{(alert|silence|webhook)_id}", name)}
WHOLE_CITY = {"POST /v1/models/rollback", "GET /v1/audit"}  # a key limited to districts may not, whatever its scopes


def routes(candidates: Any) -> Iterator[str]:
    """Method and path of every route, those of included routers too."""
    for one in candidates:
        if hasattr(one, "effective_candidates"):
            yield from routes(one.effective_candidates())
        elif isinstance(one, Mount):
            assert isinstance(one.app, StaticFiles), f"an application of its own at {one.path}"
        else:
            yield from (f"{method} {one.path}" for method in one.methods if method != "HEAD")


def call(client: TestClient, name: str, **parameters: str) -> httpx.Response:
    method, path = name.split()
    headers = NO_STREAM if path.endswith("/stream") else {}
    return client.request(method, path.format(**FILL), params=parameters, json=BODIES.get(name), headers=headers, follow_redirects=False)


def opened(scope: str, rule: str) -> bool:
    """Whether a key of one scope opens a route, told independently of the application."""
    return rule in (ANYBODY, ANY_KEY, scope) or scope == "admin" or (scope, rule) == ("alerts:write", "alerts:read")


def test_every_route_has_a_rule_and_every_rule_a_route(client: TestClient) -> None:
    assert sorted(routes(client.app.routes)) == sorted(RULES)  # type: ignore[attr-defined]


def test_every_route_is_in_the_documentation() -> None:
    pages = "".join((DOCS / name).read_text("utf-8") for name in ("api.md", "operations.md"))
    paths = {name.split()[1] for name in RULES} - {"/docs/oauth2-redirect"}  # a part of the page /docs
    assert {path for path in paths if f"{path}\n" not in pages and f"`{path}`" not in pages} == set()


@pytest.mark.parametrize("scope", keys.SCOPES)
def test_every_route_opens_to_the_scopes_of_its_rule_and_to_no_other(city: City, ask_as: Ask, scope: str) -> None:
    city.alert("a")
    city.silence()
    city.webhook("w")
    client = ask_as(scope)
    for name, rule in RULES.items():
        answer = call(client, name)
        if opened(scope, rule):
            assert answer.status_code not in (401, 403), (name, answer.text)
            assert answer.status_code < 500, (name, answer.text)
        else:
            assert answer.status_code == 403, (name, answer.text)
            assert f'scope="{rule}"' in answer.headers["WWW-Authenticate"], name


def test_without_a_key_every_route_but_those_for_anybody_is_closed(client: TestClient) -> None:
    for name, rule in RULES.items():
        assert (call(client, name).status_code == 401) == (rule != ANYBODY), name


@pytest.mark.parametrize("scope", keys.SCOPES)
def test_no_route_tells_or_takes_anything_of_a_foreign_district(city: City, ask_as: Ask, scope: str) -> None:
    city.alert("a", area="110108", reason_en="a foreign matter", reason_zh="外区事项")
    city.silence(area="110108")
    city.webhook("w", districts=["110108"])
    client = ask_as(scope, districts=["110105"])
    document = client.get("/openapi.json").json()["paths"]
    for name, rule in RULES.items():
        if rule == ANYBODY or not opened(scope, rule):
            continue
        if name in ON_ONE or name in WHOLE_CITY:
            assert call(client, name).status_code == 403, name
            continue
        told = call(client, name)
        assert told.status_code in (200, 201, 403, 404, 410, 422), (name, told.text)
        assert "a foreign matter" not in told.text, name
        method, path = name.split()
        asked = {parameter["name"] for parameter in document[path][method.lower()].get("parameters", [])}
        for place in asked & PLACES:
            whole_city = () if name == "GET /v1/drivers" else ("ALL",)  # the weather of the whole city is everybody's
            for foreign in ("110108", "110105,110108", "UNKNOWN", *whole_city):
                assert call(client, name, **{place: foreign}).status_code == 403, (name, place, foreign)
        if told.status_code == 200:
            answer = told.json()
            rows = answer if isinstance(answer, list) else answer.get("items", [])
            found = {row[key] for row in rows for key in ("area", "district") if isinstance(row, dict) and row.get(key)}
            assert found <= {"110105", "110105A", "110105B"}, (name, found)
    assert ask_as("alerts:read").get("/v1/alerts/a").json()["status"] == "open"


@pytest.mark.parametrize("scope", keys.SCOPES)
def test_the_page_opens_to_every_scope_and_tells_nothing_of_a_foreign_district(city: City, ask_as: Ask, scope: str) -> None:
    city.alert("a", area="110108", reason_en="a foreign matter", reason_zh="外区事项")
    city.alert("b", area="110108", reason_en="a foreign matter", reason_zh="外区事项", kind="DATA")
    client = ask_as(scope, districts=["110105"])
    for language in ("zh", "en"):
        page = client.get("/", params={"lang": language}, headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert not re.search("a foreign matter|外区事项|110108|海淀|Haidian", page.text)
    del client.headers["Authorization"]
    assert client.get("/", headers={"Accept": "text/html"}).status_code == 401


def test_tickets_of_a_foreign_district_are_not_taken(city: City, ask_as: Ask) -> None:
    client = ask_as("tickets:write", districts=["110105"])
    answer = call(client, "POST /v1/tickets")
    assert answer.status_code == 422
    assert answer.json()["rejects"][0]["field"] == "district"


def test_every_route_that_takes_a_body_turns_a_huge_one_away(city: City, ask_as: Ask) -> None:
    city.alert("a")
    client = ask_as(*keys.SCOPES)
    for name in RULES:
        method, path = name.split()
        if method in ("POST", "PUT", "PATCH"):
            headers = {"Content-Type": "application/json", "Content-Length": str(1 << 40)}
            answer = client.request(method, path.format(**FILL), content=b"{", headers=headers)
            assert answer.status_code == 413, (name, answer.text)
