"""Tickets over HTTP: each counts once, whatever is sent, and however often."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import httpx
import pytest
from api_city import Ask, City
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from service.api.app import create_app
from service.intake import ingest, requests
from service.intake.bodies import ROWS
from service.settings import Settings
from service.store import counts
from service.store import ingests as ledger
from service.store.engine import reading
from service.store.schema import areas, categories, count_changes, ingest_reports, ingests, staged_tickets, tickets, waiting_ingests

DAY = date(2025, 9, 9)  # of which the city has no counts of another origin
NDJSON = {"Content-Type": "application/x-ndjson"}


def ticket(ticket_id: str = "a", **values: object) -> dict[str, Any]:
    return {"ticket_id": ticket_id, "created_at": f"{DAY}T07:00:00", "district": "110108", "category": "HEAT"} | values


def lines(*rows: object) -> str:
    return "\n".join(row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)


def with_settings(city: City, **changes: object) -> Settings:
    return Settings(**city.settings.model_dump() | changes)


def stored(city: City, *columns: str) -> list[tuple[Any, ...]]:
    with reading(city.engine) as conn:
        return [tuple(row) for row in conn.execute(select(*(tickets.c[name] for name in columns)).order_by(tickets.c.source, tickets.c.ticket_id))]


def counted(city: City, area: str = "110108", category: str = "HEAT") -> int:
    with reading(city.engine) as conn:
        return int(counts.daily(conn, [area], [category], DAY, DAY)["count"].sum())


def sizes(city: City) -> dict[str, int]:
    with reading(city.engine) as conn:
        tables = (tickets, staged_tickets, waiting_ingests, count_changes, areas, categories)
        return {table.name: conn.execute(select(func.count()).select_from(table)).scalar_one() for table in tables}


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["mend"]
    return document


def numbers(answer: httpx.Response) -> dict[str, int]:
    names = ("rows", "added", "changed", "unchanged", "rejected", "later")
    return {name: answer.json()[name] for name in names if answer.json()[name]}


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (json.dumps([ticket("a"), ticket("b")]), "application/json"),
        (json.dumps([ticket("a"), ticket("b")], indent=2), "application/json; charset=UTF-8"),
        (lines(ticket("a"), "", ticket("b"), ""), "application/x-ndjson"),
        ("\ufeff" + lines(ticket("a"), ticket("b")), "application/ndjson"),
    ],
)
def test_tickets_are_counted_when_the_answer_comes(city: City, ask: TestClient, body: str, form: str) -> None:
    answer = ask.post("/v1/tickets", content=body.encode(), headers={"Content-Type": form})
    assert answer.status_code == 200, answer.text
    assert numbers(answer) == {"rows": 2, "added": 2}
    document = answer.json()
    assert (document["kind"], document["status"], document["rejects"], document["error"]) == ("tickets", "done", [], None)
    assert (document["first_day"], document["last_day"]) == (f"{DAY}", f"{DAY}")
    assert counted(city) == 2
    assert ask.get(f"/v1/ingests/{document['id']}").json() == document


def test_one_ticket_needs_no_array(city: City, ask: TestClient) -> None:
    assert numbers(ask.post("/v1/tickets", json=ticket())) == {"rows": 1, "added": 1}
    assert counted(city) == 1


def test_today_s_counts_and_the_status_follow(ask: TestClient) -> None:
    today = {"district": "110111", "created_at": "2025-11-09T07:00:00"}
    question = {"area": "110111", "category": "HEAT", "from": "2025-11-09", "to": "2025-11-09"}
    for expected in (1, 2):
        sent = ask.post("/v1/tickets", json=[ticket(str(expected), **today)]).json()
        assert ask.get("/v1/counts", params=question).json()["items"][0]["count"] == expected
    assert ask.get("/v1/status").json()["last_ingest"]["id"] == sent["id"]


def test_the_same_body_again_changes_nothing(city: City, ask: TestClient) -> None:
    body = [ticket("a"), ticket("b"), ticket("a")]
    assert numbers(ask.post("/v1/tickets", json=body)) == {"rows": 3, "added": 2, "unchanged": 1}
    before, rows = sizes(city), stored(city, "ticket_id", "created_at", "area")
    assert numbers(ask.post("/v1/tickets", json=body)) == {"rows": 3, "unchanged": 3}
    assert (sizes(city), stored(city, "ticket_id", "created_at", "area")) == (before, rows)
    assert counted(city) == 2


def test_a_correction_moves_the_ticket_s_count(city: City, ask: TestClient) -> None:
    ask.post("/v1/tickets", json=ticket())
    assert numbers(ask.post("/v1/tickets", json=ticket(category="WATER"))) == {"rows": 1, "changed": 1}
    assert (counted(city), counted(city, category="WATER")) == (0, 1)


def test_two_sources_may_use_the_same_ticket_id(city: City, ask: TestClient) -> None:
    assert numbers(ask.post("/v1/tickets", json=[ticket(source="app"), ticket()])) == {"rows": 2, "added": 2}
    assert stored(city, "source") == [("app",), ("hotline",)]


def test_numbers_are_taken_as_they_are_written(city: City, ask: TestClient) -> None:
    body = lines('{"ticket_id": 12345678901234567890123, "created_at": "2025-11-09", "district": 110108, "category": "HEAT", "lat": 39.96}')
    assert ask.post("/v1/tickets", content=body, headers=NDJSON).json()["added"] == 1
    assert stored(city, "ticket_id", "area", "lat") == [("12345678901234567890123", "110108", 39.96)]


def test_members_that_are_not_known_are_ignored_and_never_stored(city: City, ask: TestClient) -> None:
    secret = "王小明"
    answer = ask.post("/v1/tickets", json=ticket(来电人=secret, phone="13912345678", nested={"a": [secret]}, whatever=secret))
    assert numbers(answer) == {"rows": 1, "added": 1}
    folder = city.settings.data_dir
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"110108" in written
    assert secret.encode() not in written
    assert b"13912345678" not in written


def test_the_headers_of_an_export_are_understood(city: City, ask: TestClient) -> None:
    row = {"工单编号": "x", "来电时间": "2025-11-09 06:00:00", "被反映区": "海淀区", "问题分类": "HEAT"}
    assert ask.post("/v1/tickets", json=[row]).json()["added"] == 1
    assert stored(city, "ticket_id", "area") == [("x", "110108")]


def test_wrong_tickets_are_rejected_with_place_field_and_reason_and_the_others_taken(city: City, ask: TestClient) -> None:
    body = [
        ticket("good"),
        ticket("b", created_at="soon"),
        {"created_at": "2025-11-09", "category": "HEAT", "caller_name": "王小明"},
        ticket("d", category=None),
        7,
        ticket("f", district=["110108"]),
        ticket("g", created_at="1899-01-01"),
        ticket("x" * 201),
    ]
    answer = ask.post("/v1/tickets", json=body)
    assert answer.status_code == 200
    assert numbers(answer) == {"rows": 8, "added": 1, "rejected": 7}
    rejects = answer.json()["rejects"]
    assert [(one["index"], one["line"], one["ticket_id"], one["field"]) for one in rejects] == [
        (1, None, "b", "created_at"),
        (2, None, "", "ticket_id"),
        (3, None, "d", "category"),
        (4, None, "", ""),
        (5, None, "", "district"),
        (6, None, "g", "created_at"),
        (7, None, "", "ticket_id"),
    ]
    assert rejects[0]["reason"] == "created_at is no moment"
    assert "王小明" not in answer.text
    assert "soon" not in answer.text
    assert counted(city) == 1


def test_in_ndjson_wrong_tickets_are_named_by_their_line(ask: TestClient) -> None:
    answer = ask.post("/v1/tickets", content=lines(ticket(), "", ticket("b", category=""), "[1]"), headers=NDJSON)
    assert [(one["index"], one["line"], one["field"]) for one in answer.json()["rejects"]] == [(None, 3, "category"), (None, 4, "")]


@pytest.mark.parametrize("bad", ["\\ud800", "\\u0000"])
@pytest.mark.parametrize("name", ["ticket_id", "district", "category", "source", "created_at"])
def test_what_no_database_can_store_is_rejected(city: City, ask: TestClient, name: str, bad: str) -> None:
    row = json.dumps(ticket() | {"ticket_id": "b", name: "?"}).replace('"?"', f'"{bad}"')
    answer = ask.post("/v1/tickets", content=lines(ticket("a"), row), headers=NDJSON)
    assert numbers(answer) == {"rows": 2, "added": 1, "rejected": 1}
    assert answer.json()["rejects"][0]["field"] == name


@pytest.mark.parametrize("keep_text", [False, True])
@pytest.mark.parametrize("name", ["title", "text", "closure_text", "caller", "closed_at", "ticket_type"])
def test_a_value_of_the_wrong_type_is_rejected_even_where_it_would_not_be_kept(city: City, name: str, keep_text: bool) -> None:
    body = [ticket("a", **{name: "x"}), ticket("b", **{name: {}}), ticket("c", **{name: ["王小明"]}), ticket("d", **{name: True}), ticket("e")]
    with TestClient(create_app(with_settings(city, keep_text=keep_text)), headers={"Authorization": f"Bearer {city.key()}"}) as ask:
        answer = ask.post("/v1/tickets", json=body)
        assert numbers(answer) == {"rows": 5, "added": 2, "rejected": 3}
        assert [(one["index"], one["field"]) for one in answer.json()["rejects"]] == [(1, name), (2, name), (3, name)]
        assert "王小明" not in answer.text
        alone = problem(ask.post("/v1/tickets", json=ticket("f", **{name: {}})), 422)
        assert alone["rejects"][0]["reason"] == f"{name} is neither text nor number"


def test_a_place_that_is_no_number_is_rejected_and_one_that_says_it_is_unknown_is_none(city: City, ask: TestClient) -> None:
    wrong = [ticket(f"w{place}", lat=cell) for place, cell in enumerate(["north", {}, True, "1e999"])]
    right = [ticket(f"{place}", lat=cell) for place, cell in enumerate([39.5, "39.5", None, "", "N/A", " 7 "])]
    answer = ask.post("/v1/tickets", json=[*wrong, *right])
    assert numbers(answer) == {"rows": 10, "added": 6, "rejected": 4}
    assert {one["field"] for one in answer.json()["rejects"]} == {"lat"}
    assert [lat for (lat,) in stored(city, "lat")] == [39.5, 39.5, None, None, None, 7.0]


def test_if_no_ticket_is_right_the_answer_is_an_error_that_says_why(city: City, ask: TestClient) -> None:
    before = sizes(city)
    document = problem(ask.post("/v1/tickets", json=[ticket(created_at="soon", district="新区"), ticket(category="")]), 422)
    assert document["where"] == "body"
    assert [one["field"] for one in document["rejects"]] == ["created_at", "category"]
    assert sizes(city) == before


@pytest.mark.parametrize("body", ["[]", ""])
def test_a_body_without_tickets_is_an_error(ask: TestClient, body: str) -> None:
    form = {"Content-Type": "application/json"} if body else NDJSON
    assert "no" in problem(ask.post("/v1/tickets", content=body, headers=form), 422)["detail"]


@pytest.mark.parametrize(
    ("body", "form", "told"),
    [
        (b'[{"ticket_id": 1},\n {"ticket_id" 2}]', "application/json", "line 2"),
        (b'[{"ticket_id": 1}', "application/json", "line 1"),
        (b'[{"ticket_id": 1}] ]', "application/json", "line 1"),
        (b'[\n\n{"ticket_id": NaN}]', "application/json", "line 3"),
        (b"[" * 100_000, "application/json", "line 1"),
        (b'[\n"\xff"]', "application/json", "line 2 is no UTF-8"),
        (b"<ticket/>", "application/json", "line 1"),
        (b"", "application/json", "line 1"),
        (b'{"ticket_id": 1}\n\n{"ticket_id": 2\n', "application/x-ndjson", "line 3"),
        (b'{"ticket_id": 1} {"ticket_id": 2}\n', "application/x-ndjson", "line 1"),
        (b'{"ticket_id": 1}\n{"ticket_id": "\xff"}\n', "application/x-ndjson", "line 2 is no UTF-8"),
    ],
)
def test_a_body_that_is_no_json_is_refused_as_a_whole_and_its_line_named(city: City, ask: TestClient, body: bytes, form: str, told: str) -> None:
    before = sizes(city)
    document = problem(ask.post("/v1/tickets", content=body, headers={"Content-Type": form}), 422)
    assert told in document["detail"]
    assert document["where"] == "body"
    assert sizes(city) == before


def test_a_body_that_breaks_in_a_later_batch_leaves_nothing(city: City, ask: TestClient) -> None:
    before = sizes(city)
    rows = [ticket(str(number), district="新区") for number in range(ROWS + 5)]
    assert f"line {ROWS + 6}" in problem(ask.post("/v1/tickets", content=lines(*rows, "{"), headers=NDJSON), 422)["detail"]
    assert sizes(city) == before


@pytest.mark.parametrize("path", ["/v1/tickets", "/v1/drivers"])
def test_a_worker_that_stood_still_while_it_read_a_body_asks_for_it_again(
    city: City, ask: TestClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    before, body = sizes(city), [ticket() | {"name": "rain", "date": str(DAY), "value": 1}]
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "renew", lambda *_: False)  # it was taken for dead
        answer = ask.post(path, json=body)
    document = problem(answer, 503)
    assert "stood still" in document["detail"]
    assert document["mend"] == "send it again: nothing is counted twice"
    assert int(answer.headers["Retry-After"]) > 0
    assert sizes(city) == before | {"staged_tickets": sizes(city)["staged_tickets"]}  # what it staged is dropped by who took it
    assert ask.post(path, json=body).status_code == 200


@pytest.mark.parametrize(
    ("headers", "where"),
    [
        ({"Content-Type": "text/plain"}, "Content-Type"),
        ({"Content-Type": ""}, "Content-Type"),
        ({"Content-Type": "application/json; charset=gbk"}, "Content-Type"),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, "Content-Encoding"),
    ],
)
def test_an_unknown_form_of_body_is_a_415(ask: TestClient, headers: dict[str, str], where: str) -> None:
    assert problem(ask.post("/v1/tickets", content=json.dumps(ticket()).encode(), headers=headers), 415)["where"] == where


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_beyond_the_limit_is_a_413(city: City, announced: bool) -> None:
    settings = with_settings(city, intake_body_mb=1)
    body = json.dumps([ticket(text="x" * 1_100_000)]).encode()
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {city.key()}"}) as client:
        answer = client.post("/v1/tickets", content=body if announced else iter([body]), headers={"Content-Type": "application/json"})
        assert "larger than 1048576 bytes" in problem(answer, 413)["detail"]
        assert client.post("/v1/tickets", json=[ticket(text="x" * 900_000)]).status_code == 200


# Moments


@pytest.mark.parametrize(
    ("created", "moment"),
    [
        ("2025-11-09T07:00:00+08:00", "2025-11-08T23:00:00+00:00"),
        ("2025-11-08T23:00:00Z", "2025-11-08T23:00:00+00:00"),
        ("2025-11-09 07:00", "2025-11-08T23:00:00+00:00"),
        ("2025-11-08T18:00:00.250-05:00", "2025-11-08T23:00:00.250000+00:00"),
    ],
)
def test_a_moment_may_be_aware_or_local(city: City, ask: TestClient, created: str, moment: str) -> None:
    assert ask.post("/v1/tickets", json=ticket(created_at=created)).json()["first_day"] == "2025-11-09"
    assert [row[0].isoformat() for row in stored(city, "created_at")] == [moment]


def test_in_the_hour_that_comes_twice_an_offset_tells_which(city: City) -> None:
    settings = with_settings(city, timezone="America/New_York")
    rows = [ticket("1", created_at="2025-11-02T01:30"), ticket("2", created_at="2025-11-02T01:30-05:00"), ticket("3", created_at="2025-03-09T02:30")]
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {city.key()}"}) as client:
        assert client.post("/v1/tickets", json=rows).json()["added"] == 3
    assert [row[0].isoformat() for row in stored(city, "created_at")] == [
        "2025-11-02T05:30:00+00:00",
        "2025-11-02T06:30:00+00:00",
        "2025-03-09T07:00:00+00:00",
    ]


def test_a_ticket_later_than_the_clock_is_left_out_and_counted_when_its_time_has_come(city: City, ask: TestClient) -> None:
    later = ticket("b", created_at="2025-11-09T07:31:00", district="新区")
    answer = ask.post("/v1/tickets", json=[ticket("a"), later])
    assert numbers(answer) == {"rows": 2, "added": 1, "later": 1}
    assert answer.json()["new_areas"] == []
    settings = with_settings(city, as_of="2025-11-09T07:32:00+08:00")
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {city.key()}"}) as client:
        again = client.post("/v1/tickets", json=[ticket("a"), later])
    assert numbers(again) == {"rows": 2, "added": 1, "unchanged": 1}
    assert again.json()["new_areas"] == ["新区"]


def test_codes_met_for_the_first_time_join_the_trees_and_are_told(ask: TestClient) -> None:
    answer = ask.post("/v1/tickets", json=[ticket("a", district="110199", category="噪声->广场舞")])
    assert (answer.json()["new_areas"], answer.json()["new_categories"]) == (["110199"], ["噪声", "噪声->广场舞"])
    assert "110199" in {one["district"] for one in ask.get("/v1/districts").json()["items"]}


# Keys that are limited to districts


def test_a_limited_key_brings_tickets_of_its_own_districts_alone(city: City, ask_as: Ask) -> None:
    client = ask_as("tickets:write", districts=["110105"])
    body = [
        ticket("own", district="110105"),
        ticket("street", district="110105", street="110105A"),
        ticket("new street", district="110105", street="望京"),
        ticket("by street", district=None, street="110105B"),
        ticket("foreign", district="110108"),
        ticket("new district", district="110199"),
        ticket("none", district=None),
        ticket("all", district="ALL"),
    ]
    answer = client.post("/v1/tickets", json=body)
    assert numbers(answer) == {"rows": 8, "added": 4, "rejected": 4}
    assert [(one["index"], one["field"]) for one in answer.json()["rejects"]] == [(place, "district") for place in (4, 5, 6, 7)]
    assert answer.json()["new_areas"] == ["望京"]
    assert {row[0] for row in stored(city, "area")} == {"110105", "110105A", "110105B", "望京"}


def test_a_limited_key_cannot_take_over_another_district_s_ticket(city: City, ask_as: Ask) -> None:
    ask_as("tickets:write").post("/v1/tickets", json=ticket("a"))
    client = ask_as("tickets:write", districts=["110105"])
    answer = client.post("/v1/tickets", json=[ticket("a", district="110105"), ticket("b", district="110105")])
    assert numbers(answer) == {"rows": 2, "added": 1, "rejected": 1}
    assert [(one["index"], one["ticket_id"], one["field"]) for one in answer.json()["rejects"]] == [(0, "a", "ticket_id")]
    assert stored(city, "ticket_id", "area") == [("a", "110108"), ("b", "110105")]


def test_a_limited_key_sees_what_became_of_its_own_requests_alone(city: City, ask_as: Ask) -> None:
    foreign = ask_as("tickets:write").post("/v1/tickets", json=[ticket("a"), ticket("b", category="")]).json()["id"]
    client = ask_as("tickets:write", districts=["110105"])
    own = client.post("/v1/tickets", json=ticket("c", district="110105")).json()["id"]
    assert client.get(f"/v1/ingests/{own}").json()["added"] == 1
    for other in (foreign, 1):
        assert "limited" in problem(client.get(f"/v1/ingests/{other}"), 403)["detail"]


# Repeats under a key


def test_under_the_same_key_the_first_answer_comes_again(city: City, ask: TestClient) -> None:
    body = [ticket("a"), ticket("b", category="")]
    first = ask.post("/v1/tickets", json=body, headers={"Idempotency-Key": "k1"})
    ask.post("/v1/tickets", json=ticket("a", category="WATER"))
    again = ask.post("/v1/tickets", json=body, headers={"Idempotency-Key": "k1"})
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert counted(city, category="WATER") == 1


def test_another_body_under_the_same_key_is_refused(city: City, ask: TestClient) -> None:
    ask.post("/v1/tickets", json=ticket("a"), headers={"Idempotency-Key": "k1"})
    document = problem(ask.post("/v1/tickets", json=ticket("b"), headers={"Idempotency-Key": "k1"}), 422)
    assert document["where"] == "Idempotency-Key"
    assert stored(city, "ticket_id") == [("a",)]


def test_a_refused_body_does_not_use_up_its_key(ask: TestClient) -> None:
    problem(ask.post("/v1/tickets", content=b"[", headers={"Idempotency-Key": "k1", "Content-Type": "application/json"}), 422)
    assert ask.post("/v1/tickets", json=ticket("a"), headers={"Idempotency-Key": "k1"}).status_code == 200


def test_two_senders_may_choose_the_same_key(ask_as: Ask) -> None:
    for name, ticket_id in (("one", "a"), ("other", "b")):
        answer = ask_as("tickets:write", name=name).post("/v1/tickets", json=ticket(ticket_id), headers={"Idempotency-Key": "k"})
        assert answer.json()["added"] == 1


@pytest.mark.parametrize("key", ["", "x" * 201, "two words"])
def test_a_key_is_short_and_plain(ask: TestClient, key: str) -> None:
    assert problem(ask.post("/v1/tickets", json=ticket(), headers={"Idempotency-Key": key}), 422)["where"].lower() == "idempotency-key"


# Larger bodies


@pytest.fixture
def ask_small(city: City) -> Callable[[], TestClient]:
    """The API that counts at most two tickets at once."""
    settings = with_settings(city, intake_rows_at_once=2)
    return lambda: TestClient(create_app(settings), headers={"Authorization": f"Bearer {city.key()}"})


def test_a_larger_body_is_kept_and_counted_afterwards(city: City, ask_small: Callable[[], TestClient]) -> None:
    with ask_small() as client:
        body = [ticket(str(number)) for number in range(3)] + [ticket("b", category="")]
        answer = client.post("/v1/tickets", json=body, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 202
        assert answer.headers["Location"] == f"/v1/ingests/{answer.json()['id']}"
        assert (answer.json()["status"], answer.json()["rejected"], len(answer.json()["rejects"])) == ("applying", 1, 1)
        assert counted(city) == 0
        assert client.post("/v1/tickets", json=body, headers={"Idempotency-Key": "k"}).json() == answer.json()
        assert requests.apply_all_waiting(city.engine, city.settings.clock) == 1
        done = client.get(answer.headers["Location"]).json()
        assert (done["status"], done["added"], done["rejected"]) == ("done", 3, 1)
        assert client.post("/v1/tickets", json=body, headers={"Idempotency-Key": "k"}).json() == done
    assert counted(city) == 3
    assert (sizes(city)["staged_tickets"], sizes(city)["waiting_ingests"]) == (0, 0)


def test_a_correction_is_not_counted_before_what_it_corrects(city: City, ask_small: Callable[[], TestClient]) -> None:
    with ask_small() as client:
        assert client.post("/v1/tickets", json=[ticket(number) for number in "abc"]).status_code == 202
        assert client.post("/v1/tickets", json=[ticket("a", category="WATER")]).status_code == 202
        assert requests.apply_all_waiting(city.engine, city.settings.clock) == 2
        assert (counted(city), counted(city, category="WATER")) == (2, 1)
        assert client.post("/v1/tickets", json=[ticket("d")]).status_code == 200


def test_an_unknown_ingest_is_not_found(ask: TestClient) -> None:
    assert problem(ask.get("/v1/ingests/999"), 404)["where"] == "ingest_id"
    for wrong in ("0", "x", str(2**63)):
        problem(ask.get(f"/v1/ingests/{wrong}"), 422)


def test_what_a_file_brought_is_told_too(city: City, ask: TestClient) -> None:
    path = city.settings.data_dir / "t.csv"
    path.write_text("ticket_id,created_at,district,category\n1,2025-11-08,110108,HEAT\n2,soon,110108,HEAT\n")
    report = ingest.ingest(city.engine, path, city.settings.clock)
    document = ask.get(f"/v1/ingests/{report.ingest_id}").json()
    assert (document["status"], document["added"], document["rejected"], document["first_day"]) == ("done", 1, 1, "2025-11-08")
    assert document["rejects"] == [{"index": None, "line": 3, "ticket_id": "2", "field": "created_at", "reason": "created_at is no moment"}]


def test_the_reports_name_who_sent_them(city: City, ask: TestClient) -> None:
    sent = ask.post("/v1/tickets", json=ticket()).json()["id"]
    with reading(city.engine) as conn:
        assert conn.execute(select(ingest_reports.c.sender).where(ingest_reports.c.ingest_id == sent)).scalar_one()
        assert conn.execute(select(ingests.c.name).where(ingests.c.id == sent)).scalar_one() == "body"
