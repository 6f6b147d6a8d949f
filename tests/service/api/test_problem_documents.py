"""Every error has one shape: a problem document that says what, where, and how to mend it."""

import logging
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_city import NOW, City
from databases import standby
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from service.api.app import create_app
from service.api.errors import KINDS
from service.benchmarks.server import running
from service.settings import Settings
from service.store.engine import open_engine, upgrade, writing


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The document of an answer, its shape checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["type"] == f"urn:weisu:problem:{KINDS[status][0]}"
    assert document["title"] == KINDS[status][1]
    assert document["status"] == status
    assert document["instance"] == answer.request.url.path
    assert document["detail"]
    assert document["mend"]
    assert isinstance(document["where"], str)
    assert "Traceback" not in answer.text
    return document


@pytest.mark.parametrize("path", ["/nowhere", "/v1", "/v1/", "/v1/forecasts/", "/v1/alerts/a/nothing", "//evil.example/v1/forecasts"])
def test_there_is_nothing_at_an_unknown_path(client: TestClient, path: str) -> None:
    assert "nothing" in problem(client.get(f"http://testserver{path}"), 404)["detail"]


def test_a_method_that_does_nothing_names_those_that_do(ask: TestClient) -> None:
    answer = ask.delete("/v1/forecasts")
    assert "DELETE" in problem(answer, 405)["detail"]
    assert answer.headers["Allow"] == "GET"


@pytest.mark.parametrize(
    ("params", "where", "told"),
    [
        ({"from": "15.11.2025"}, "from", "'15.11.2025' is no date"),
        ({"from": "20251115"}, "from", "no date"),
        ({"from": "1763000000"}, "from", "no date"),
        ({"to": "2025-02-30"}, "to", "no date"),
        ({"from": "2025-11-11", "to": "2025-11-10"}, "from", "after"),
        ({"from": "2030-01-01"}, "from, to", "2025-11-09 to 2025-11-11"),
        ({"to": "2001-01-01"}, "from, to", "2025-11-09 to 2025-11-11"),
        ({"area": "110199"}, "area", "no area '110199'"),
        ({"district": "HEAT"}, "district", "no area 'HEAT'"),
        ({"category": "HEAT,COLD"}, "category", "no category 'COLD'"),
        ({"limit": "0"}, "limit", "greater"),
        ({"limit": "20001"}, "limit", "20000"),
        ({"limit": "many"}, "limit", "integer"),
        ({"format": "xlsx"}, "format", "'json'"),
        ({"distrct": "110108"}, "distrct", "no parameter 'distrct'"),
        ({"as_of": "yesterday"}, "as_of", "neither a date nor a moment"),
        ({"as_of": "9999-12-31"}, "as_of", "neither a date nor a moment"),
        ({"next": "rubbish"}, "next", "no token"),
        ({"next": "W10"}, "next", "no token"),
        ({"next": "é"}, "next", "no token"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_wrong(ask: TestClient, params: dict[str, str], where: str, told: str) -> None:
    document = problem(ask.get("/v1/forecasts", params=params), 422)
    assert document["where"] == where
    assert told in document["detail"]


def test_every_path_below_v1_refuses_a_parameter_that_it_does_not_have(city: City, ask: TestClient) -> None:
    city.alert("a")
    paths = ask.get("/openapi.json").json()["paths"]
    asked = [
        (method, re.sub("{.*?}", "a", path.replace("{ingest_id}", "1"))) for path, item in paths.items() for method in item if path.startswith("/v1/")
    ]
    assert len(asked) >= 10
    for method, path in asked:
        document = problem(ask.request(method, path, params={"distrct": "110108"}), 422)
        assert "distrct" in document["where"].split(", "), "beside a body that is missing, where one is needed"
        assert "no parameter 'distrct'" in document["detail"]
    assert ask.get("/v1/alerts/a").json()["status"] == "open"


def test_several_wrong_parameters_are_all_named(ask: TestClient) -> None:
    document = problem(ask.get("/v1/counts", params={"from": "x", "limit": "-1"}), 422)
    assert set(document["where"].split(", ")) == {"from", "limit"}


@pytest.mark.parametrize(
    ("name", "value"), [("status", "closed"), ("kind", "spike"), ("level", "purple"), ("since", "8 Nov"), ("since", "2025-13-01")]
)
def test_a_wrong_filter_of_alerts_is_named(ask: TestClient, name: str, value: str) -> None:
    assert problem(ask.get("/v1/alerts", params={name: value}), 422)["where"].startswith(name)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"{", "body"),
        (b"[1, 2]", "body"),
        (b'"note"', "body"),
        (b'{"note": 3}', "body.note"),
        (b'{"note": "\\u0000"}', "body.note"),
        (b'{"remark": "x"}', "body.remark"),
        (b'{"note": "' + b"x" * 2001 + b'"}', "body.note"),
        (b"\xff\xfe{", "body"),
        (b"[" * 10_000, "body"),
    ],
)
def test_a_bad_body_is_a_problem_and_changes_nothing(city: City, ask: TestClient, body: bytes, where: str) -> None:
    city.alert("a")
    answer = ask.post("/v1/alerts/a/ack", content=body, headers={"Content-Type": "application/json"})
    assert problem(answer, 422)["where"] == where
    assert ask.get("/v1/alerts/a").json()["status"] == "open"


@pytest.mark.parametrize("announced", [True, False])
def test_a_huge_body_is_turned_away(city: City, ask: TestClient, announced: bool) -> None:
    city.alert("a")
    body = b'{"note": "' + b"x" * 100_000 + b'"}'
    answer = ask.post("/v1/alerts/a/ack", content=body if announced else iter([body]), headers={"Content-Type": "application/json"})
    assert "larger than 16384 bytes" in problem(answer, 413)["detail"]


def test_an_unknown_alert_is_not_found(ask: TestClient) -> None:
    for answer in (ask.get("/v1/alerts/none"), ask.post("/v1/alerts/none/ack"), ask.post("/v1/alerts/none/resolve"), ask.get("/v1/alerts/%00")):
        assert problem(answer, 404)["where"] == "alert_id"


def test_before_the_first_night_there_are_no_forecasts(bare_city: City) -> None:
    with TestClient(create_app(bare_city.settings)) as client:
        answer = client.get("/v1/forecasts", headers={"Authorization": f"Bearer {bare_city.key()}"})
    assert "no forecasts are published yet" in problem(answer, 503)["detail"]


def test_a_database_that_fails_is_a_503_that_tells_nothing_of_it(city: City, ask: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    lose_tables(city.engine)
    with caplog.at_level(logging.CRITICAL, "service"):
        answer = ask.get("/v1/alerts")
    document = problem(answer, 503)
    assert answer.headers["Retry-After"]
    assert "api_keys" not in str(document)
    assert "SELECT" not in str(document).upper().replace("SELECTED", "")


def lose_tables(engine: Engine) -> None:
    with writing(engine) as conn:
        conn.exec_driver_sql("alter table api_keys rename to lost")


def test_a_database_that_takes_no_writes_after_a_failover_is_a_503_and_can_be_read(tmp_path: Path) -> None:
    ticket = {"ticket_id": "1", "created_at": "2024-01-05", "district": "D", "category": "X"}
    silence = {"area": "ALL", "category": "ALL", "comment": "works", "ends": "2099-01-01T00:00:00Z"}
    with running({"fsync": "off"}) as server:
        settings = Settings(data_dir=tmp_path, database_url=server.address("postgres"))
        upgrade(settings.store_url)
        engine = open_engine(settings.store_url)
        token = City(settings, engine).key()
        engine.dispose()
        standby(server, on=True)
        with TestClient(create_app(settings), headers={"Authorization": f"Bearer {token}"}, raise_server_exceptions=False) as client:
            for path, body in (("/v1/tickets", [ticket]), ("/v1/silences", silence)):
                answer = client.post(path, json=body)
                assert problem(answer, 503)["detail"] == "the database does not answer"
                assert answer.headers["Retry-After"] == "5"
            assert client.get("/v1/status").status_code == 200
            standby(server, on=False)
            assert client.post("/v1/tickets", json=[ticket]).status_code == 200


def test_a_fault_of_ours_is_a_500_that_tells_nothing_of_it(city: City, ask: TestClient) -> None:
    with writing(city.engine) as conn:  # a blob that is no forecast set cannot be the caller's fault
        conn.exec_driver_sql("update areas set level = 'district', zh = x'ff' where code = '110105'")
    document = problem(ask.get("/v1/districts"), 500)
    assert "not your request" in document["detail"]
    assert "File" not in str(document)


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59+00:00", "9999-12-31T00:00:00+08:00"])
def test_the_end_of_time_is_a_moment_at_which_all_of_today_is_known(city: City, ask: TestClient, moment: str) -> None:
    paths = ["/v1/forecasts", "/v1/forecasts/explain", "/v1/forecasts/heatmap", "/v1/counts", "/v1/counts/compare", "/v1/tickets", "/v1/drivers"]
    for path in paths:
        answer = ask.get(path, params={"as_of": moment})
        assert answer.status_code == 200, (path, answer.text)
        assert answer.json() == ask.get(path).json(), path


def test_what_a_database_does_not_take_is_no_fault_of_ours(engine: Engine, folder: Path) -> None:
    settings = Settings(data_dir=folder, database_url=engine.url.render_as_string(hide_password=False), as_of=NOW.isoformat())
    headers = {"Authorization": f"Bearer {City(settings, engine).key()}"}
    with TestClient(create_app(settings), headers=headers, raise_server_exceptions=False) as client:
        assert client.get("/v1/drivers", params={"name": "rain\0"}).json() == {"items": [], "next": None}
        assert problem(client.get("/v1/alerts", params={"since": "0001-01-01"}), 422)["where"] == "since"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/webhooks"),
        ("PATCH", "/v1/webhooks/w"),
        ("POST", "/v1/silences"),
        ("POST", "/v1/alerts/a/ack"),
        ("POST", "/v1/alerts/a/resolve"),
        ("POST", "/v1/alerts/a/feedback"),
        ("POST", "/v1/models/rollback"),
    ],
)
@pytest.mark.parametrize("form", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", None])
def test_a_body_that_is_not_sent_as_json_is_a_415(city: City, ask: TestClient, method: str, path: str, form: str | None) -> None:
    city.alert("a")
    city.webhook("w")
    headers = {} if form is None else {"Content-Type": form}
    found = problem(ask.request(method, path, content=b'{"url": "https://alarm.example"}', headers=headers), 415)
    assert found["where"] == "Content-Type"
    assert "application/json" in found["mend"]
    assert ask.request(method, path, content=b"{}", headers={"Content-Type": "application/problem+json; charset=utf-8"}).status_code != 415
