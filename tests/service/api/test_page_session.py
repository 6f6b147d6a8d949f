"""The page on this machine: a token is exchanged once for a cookie, which tells who asks and lets no foreign page act."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from api_city import NOW, Ask, City
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.api.callers.sessions import LIFETIME
from service.store import page_tokens
from service.store.engine import writing

HERE = "http://testserver"


@pytest.fixture
def browser(city: City) -> Iterator[TestClient]:
    with TestClient(create_app(city.settings)) as browser:
        yield browser


def token(city: City) -> str:
    with writing(city.engine) as conn:
        return page_tokens.create(conn, NOW)


def test_a_token_opens_a_session_that_scripts_and_other_sites_cannot_have(city: City, browser: TestClient) -> None:
    answer = browser.get("/", params={"token": token(city)}, follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    name, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert name.startswith("weisu_8000=")
    assert {"HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={LIFETIME}"} == set(attributes)
    assert browser.get("/v1/forecasts").status_code == 200
    assert browser.get("/v1/alerts").status_code == 200
    assert browser.get("/docs").status_code == 200


def test_a_token_is_good_once(city: City, browser: TestClient) -> None:
    used = token(city)
    browser.get("/", params={"token": used})
    with TestClient(create_app(city.settings)) as other:  # another worker, which has never seen it
        answer = other.get("/", params={"token": used})
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert "Set-Cookie" not in answer.headers
        assert other.get("/v1/forecasts").status_code == 401


def test_without_key_or_session_the_page_tells_no_data(browser: TestClient) -> None:
    assert browser.get("/").status_code == 200
    assert browser.get("/v1/status").status_code == 401


def test_a_session_does_what_a_duty_officer_does_and_no_more(city: City, browser: TestClient) -> None:
    city.alert("a")
    browser.get("/", params={"token": token(city)})
    headers = {"Origin": HERE}
    assert browser.post("/v1/alerts/a/ack", headers=headers).json()["history"][-1]["actor"] == "page"
    assert browser.post("/v1/models/rollback", headers=headers).status_code == 403
    assert browser.post("/v1/tickets", json=[], headers=headers).status_code == 403


@pytest.mark.parametrize(
    "origin", [None, "", "null", "http://evil.example", "http://testserver.evil.example", "http://testserver:1", "http://[", "//"]
)
def test_a_foreign_page_changes_nothing(city: City, browser: TestClient, origin: str | None) -> None:
    city.alert("a")
    browser.get("/", params={"token": token(city)})
    answer = browser.post("/v1/alerts/a/ack", headers={} if origin is None else {"Origin": origin})
    assert answer.status_code == 403
    assert answer.json()["where"] == "Origin"
    assert browser.get("/v1/alerts/a").json()["status"] == "open"


def test_a_key_needs_no_origin(city: City, ask_as: Ask) -> None:
    city.alert("a")
    assert ask_as("alerts:write").post("/v1/alerts/a/ack").status_code == 200


def test_a_cookie_that_is_changed_or_of_another_installation_or_too_old_opens_nothing(city: City, browser: TestClient) -> None:
    browser.get("/", params={"token": token(city)})
    (cookie,) = browser.cookies.jar
    value = str(cookie.value)
    session, begun, signature = value.split(".")
    later = f"{session}.{begun[:-1]}{'A' if begun[-1] != 'A' else 'B'}.{signature}"
    other_signature = ("0" if signature[0] != "0" else "1") + signature[1:]
    for wrong in (later, f"{session}.{begun}.{other_signature}", "", "a.b.c", "9" * 5000, f"{session}.{begun}.{'0' * 43}", f"{session}.{begun}"):
        browser.cookies.clear()
        browser.cookies.set(cookie.name, wrong)
        assert browser.get("/v1/status").status_code == 401, wrong
    browser.cookies.clear()
    elsewhere = city.settings.model_copy(update={"hash_key": type(city.settings.hash_key)("another secret")})
    tomorrow = city.settings.model_copy(update={"as_of": (NOW + timedelta(seconds=LIFETIME)).isoformat()})
    just_before = city.settings.model_copy(update={"as_of": (NOW + timedelta(seconds=LIFETIME - 1)).isoformat()})
    for settings, status in ((elsewhere, 401), (tomorrow, 401), (just_before, 200)):
        settings.__dict__.pop("clock", None)  # it is remembered
        with TestClient(create_app(settings), cookies={cookie.name: value}) as other:
            assert other.get("/v1/status").status_code == status


def test_whoever_tries_tokens_is_stopped_even_with_a_right_one(city: City) -> None:
    settings = city.settings.model_copy(update={"failures_per_minute": 3})
    with TestClient(create_app(settings)) as guessing:
        statuses = [guessing.get("/", params={"token": f"guess {number}"}).status_code for number in range(5)]
        assert statuses == [401, 401, 401, 429, 429]
        right = token(city)
        assert guessing.get("/", params={"token": right}).status_code == 429
        with writing(city.engine) as conn:
            assert page_tokens.redeem(conn, right, NOW), "it was not even looked at"


@pytest.mark.parametrize("odd", ["", "%00", "%ff", "x" * 101, "token&token=b"])
def test_what_is_no_token_is_a_problem(browser: TestClient, odd: str) -> None:
    answer = browser.get(f"/?token={odd}")
    assert answer.status_code in ((200,) if odd == "" else (401, 422))
    assert "Set-Cookie" not in answer.headers
