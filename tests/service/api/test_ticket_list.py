"""`GET /v1/tickets`: the tickets behind a count, exactly as many as it says."""

import base64
import csv
import io
import json
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from api_city import NOW, City
from fastapi.testclient import TestClient
from test_counts_path import every_page

COLUMNS = ["source", "ticket_id", "area", "category", "date", "created_at", "received_at", "updated_at", "closed_at", "status"]
DAYS = ["2025-09-08", "2025-09-09", "2025-11-04", "2025-11-05"]  # the city has counts without tickets of the last two


def ticket(number: int, chance: random.Random, **values: Any) -> dict[str, Any]:
    place = chance.choice([{"district": "110105", "street": "110105A"}, {"district": "110105"}, {"district": "110108"}, {"district": "UNKNOWN"}])
    day, hour, minute = chance.choice(DAYS[:2] * 5 + DAYS[2:]), chance.randrange(24), chance.randrange(60)
    return {
        "ticket_id": f"T{number}",
        "created_at": f"{day}T{hour:02d}:{minute:02d}",
        "category": chance.choice(["HEAT", "WATER", "NOISE"]),
        **place,
        **values,
    }


@pytest.fixture
def sent(ask: TestClient) -> TestClient:
    """The API over some hundred tickets, some of which have moved and some become consultations."""
    chance = random.Random(4)
    first = [ticket(number, chance) for number in range(240)]
    assert ask.post("/v1/tickets", json=first).status_code == 200
    later = [ticket(number, chance, updated_at=(NOW - timedelta(hours=2)).isoformat()) for number in range(0, 240, 6)]
    later += [one | {"ticket_type": "咨询", "updated_at": (NOW - timedelta(hours=2)).isoformat()} for one in first[3::12]]
    assert ask.post("/v1/tickets", json=later).status_code == 200
    return ask


def ask_tickets(client: TestClient, **params: Any) -> dict[str, Any]:
    answer = client.get("/v1/tickets", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_behind_any_cell_there_are_as_many_tickets_as_it_says(sent: TestClient) -> None:
    chance = random.Random(7)
    seen = set()
    for _ in range(60):
        node = {
            "area": chance.choice(["ALL", "110105", "110105A", "110108", "UNKNOWN"]),
            "category": chance.choice(["ALL", "UTILITY", "HEAT", "NOISE"]),
        }
        day = chance.choice(DAYS)
        asked = {**node, "from": day, "to": day}
        by_hour = chance.random() < 0.4
        rows = sent.get("/v1/counts", params={**asked, "granularity": "hour" if by_hour else "day"}).json()["items"]
        row = chance.choice(rows)
        found = ask_tickets(sent, **asked, **({"hour": row["hour"]} if by_hour else {}))
        assert found["count"] == row["count"] == found["tickets"] + found["without_ticket"]
        assert found["moved_since"] == 0
        assert len(found["items"]) == found["tickets"]
        assert len({(one["source"], one["ticket_id"]) for one in found["items"]}) == found["tickets"]
        assert all(one["date"] == day for one in found["items"])
        seen.add((found["tickets"] > 0, found["without_ticket"] > 0))
    assert {(True, False), (False, True)} <= seen


def test_a_ticket_stands_once_in_several_nodes_that_have_it(sent: TestClient) -> None:
    whole = ask_tickets(sent, area="110105,110105A", category="ALL,HEAT", **{"from": DAYS[0], "to": DAYS[1]})
    alone = ask_tickets(sent, area="110105", **{"from": DAYS[0], "to": DAYS[1]})
    assert whole["items"] == alone["items"]
    assert (whole["count"], whole["tickets"]) == (alone["count"], alone["tickets"])


def test_it_tells_nothing_of_who_called(sent: TestClient) -> None:
    row = ask_tickets(sent, **{"from": DAYS[0], "to": DAYS[0]})["items"][0]
    assert list(row) == COLUMNS
    assert row["created_at"].endswith("+08:00")


def test_what_gives_way_to_counts_is_behind_no_count(ask: TestClient) -> None:
    few = [{"ticket_id": "stray", "created_at": "2025-11-05T10:00", "district": "110108", "category": "HEAT"}]
    assert ask.post("/v1/tickets", json=few).status_code == 200
    found = ask_tickets(ask, area="110108", category="HEAT", **{"from": "2025-11-05", "to": "2025-11-05"})
    assert (found["tickets"], found["items"]) == (0, [])
    assert found["count"] == found["without_ticket"] > 0


def test_a_consultation_is_not_listed(ask: TestClient) -> None:
    one = {"ticket_id": "a", "created_at": f"{DAYS[0]}T07:00", "district": "110108", "category": "HEAT"}
    asked = {"from": DAYS[0], "to": "2025-10-01"}
    ask.post("/v1/tickets", json=[one])
    assert ask_tickets(ask, **asked)["tickets"] == 1
    ask.post("/v1/tickets", json=[one | {"ticket_type": "咨询"}])
    assert ask_tickets(ask, **asked)["tickets"] == 0


def test_as_of_tells_those_that_still_stand_where_they_stood_and_counts_the_others(ask: TestClient) -> None:
    then, moved = NOW - timedelta(days=3), NOW - timedelta(days=1)
    rows = [
        {"ticket_id": f"{n}", "created_at": f"{DAYS[0]}T07:00", "received_at": then.isoformat(), "district": "110108", "category": "HEAT"}
        for n in range(4)
    ]
    ask.post("/v1/tickets", json=rows)
    ask.post("/v1/tickets", json=[rows[0] | {"category": "NOISE", "updated_at": moved.isoformat()}])
    asked = {"area": "110108", "category": "HEAT", "from": DAYS[0], "to": DAYS[0]}
    at = {"as_of": (NOW - timedelta(days=2)).isoformat()}
    found = ask_tickets(ask, **asked, **at)
    assert found["count"] == ask.get("/v1/counts", params=asked | at).json()["items"][0]["count"] == 4
    assert (found["tickets"], found["without_ticket"], found["moved_since"]) == (3, 0, 1)
    assert {one["ticket_id"] for one in found["items"]} == {"1", "2", "3"}
    assert ask_tickets(ask, **asked)["tickets"] == 3
    early = ask.get("/v1/tickets", params={"as_of": "2020-01-01"})
    assert (early.status_code, early.json()["where"]) == (422, "as_of")


@pytest.mark.parametrize("limit", [1, 9, 50])
def test_pages_together_are_the_whole_in_their_order(sent: TestClient, limit: int) -> None:
    asked = {"from": DAYS[0], "to": DAYS[1], "category": "HEAT"}
    whole = ask_tickets(sent, **asked)["items"]
    assert whole == sorted(whole, key=lambda row: (row["date"], row["created_at"], row["source"], row["ticket_id"]))
    assert every_page(sent, "/v1/tickets", **asked, limit=limit) == whole


def test_a_file_has_them_all_part_by_part(sent: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"from": DAYS[0], "to": DAYS[1]}
    whole = ask_tickets(sent, **asked)["items"]
    monkeypatch.setattr("service.api.counts.ticket_list_paths.MOST_ROWS", 7)
    answer = sent.get("/v1/tickets", params={**asked, "format": "ndjson"})
    assert [json.loads(line) for line in answer.text.splitlines()] == whole
    assert answer.headers["content-disposition"] == 'attachment; filename="tickets-2025-09-08-2025-09-09.ndjson"'
    table = list(csv.reader(io.StringIO(sent.get("/v1/tickets", params={**asked, "format": "csv"}).text)))
    assert table[0] == COLUMNS
    assert [row[1] for row in table[1:]] == [row["ticket_id"] for row in whole]
    page = sent.get("/v1/tickets", params={**asked, "format": "csv", "limit": 5})
    assert len(page.text.splitlines()) == 6
    assert len(sent.get(page.links["next"]["url"]).text.splitlines()) == 6


def test_a_limited_key_sees_the_tickets_of_its_districts(city: City, sent: TestClient, ask_as: Callable[..., TestClient]) -> None:
    client = ask_as("forecasts:read", districts=["110105"])
    found = ask_tickets(client, **{"from": DAYS[0], "to": DAYS[1]})
    assert {one["area"] for one in found["items"]} == {"110105", "110105A"}
    assert found["count"] == found["tickets"] + found["without_ticket"]
    assert client.get("/v1/tickets", params={"area": "110108"}).status_code == 403


@pytest.mark.parametrize(
    ("params", "where"),
    [
        ({"hour": "24"}, "hour.0"),
        ({"hour": "7"}, "hour"),
        ({"hour": "7", "from": DAYS[0], "to": DAYS[1]}, "hour"),
        ({"hour": "7", "from": "0001-01-01", "to": "0001-01-01"}, "from, to"),
        ({"from": "2026-01-01"}, "from, to"),
        ({"next": "W10"}, "next"),
        ({"category": "COLD"}, "category"),
        ({"caller": "x"}, "caller"),
    ],
)
def test_a_wrong_question_is_named(sent: TestClient, params: dict[str, str], where: str) -> None:
    answer = sent.get("/v1/tickets", params=params)
    assert (answer.status_code, answer.json()["where"]) == (422, where)


def test_a_city_without_data_has_no_tickets(ask_bare: TestClient) -> None:
    found = ask_bare.get("/v1/tickets", params={"from": "0001-01-01", "hour": 7}).json()
    assert found == {"count": 0, "tickets": 0, "without_ticket": 0, "moved_since": 0, "items": [], "next": None}


def test_pages_go_on_whatever_the_names_of_tickets(ask: TestClient) -> None:
    about = {"source": "源" * 200, "created_at": f"{DAYS[0]}T07:00", "district": "110108", "category": "HEAT"}
    sent = [f"{number}　{'单' * 190}" for number in range(3)]
    assert ask.post("/v1/tickets", json=[about | {"ticket_id": one} for one in sent]).json()["added"] == 3
    rows = every_page(ask, "/v1/tickets", limit=1, **{"from": DAYS[0], "to": DAYS[0]})
    assert [row["ticket_id"] for row in rows] == sent


def test_half_a_character_in_a_token_is_bad_input(sent: TestClient) -> None:
    asked = {"from": DAYS[0], "to": DAYS[0], "limit": 1}
    place = json.loads(base64.urlsafe_b64decode(ask_tickets(sent, **asked)["next"] + "=="))
    broken = base64.urlsafe_b64encode(json.dumps([*place[:-1], "\ud800"]).encode()).decode().rstrip("=")
    answer = sent.get("/v1/tickets", params=asked | {"next": broken})
    assert (answer.status_code, answer.json()["where"]) == (422, "next")
