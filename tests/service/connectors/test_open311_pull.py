"""Tickets from an Open311 endpoint: a real server that keeps to GeoReport v2, with pages or without."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from other_side import Asked, OtherSide, Reply
from sqlalchemy import Engine, select

from forecasting.errors import InputError
from service.connectors import pull
from service.settings import Settings
from service.store import ingest_reports, ingests, pulls
from service.store.engine import reading
from service.store.schema import tickets

Pulling = Callable[..., Settings]
NOW = datetime(2025, 11, 8, 23, 30, tzinfo=UTC)


class Endpoint:
    """An endpoint of a city.

    Attributes:
        requests: moment and id of all that were requested.
        pages: whether it knows pages.
        most: requests that it answers with at most.
    """

    def __init__(self, side: OtherSide, pages: bool = True, most: int = 100) -> None:
        self.requests: dict[str, datetime] = {}
        self.pages, self.most = pages, most
        self.side = side
        side.answer = self.answer

    def add(self, number: int, begin: datetime, every: timedelta) -> None:
        first = len(self.requests)
        self.requests |= {f"{first + n:05}": begin + n * every for n in range(number)}

    def answer(self, asked: Asked) -> Reply:
        start, end = (datetime.fromisoformat(asked.params[name]) for name in ("start_date", "end_date"))
        if asked.path != "/v2/requests.json" or end - start > timedelta(days=90):
            return Reply(b"[]", 400)
        found = [name for name, moment in self.requests.items() if start <= moment <= end]
        size = min(self.most, int(asked.params["page_size"]))
        page = int(asked.params["page"]) - 1 if self.pages else 0
        return Reply(json.dumps([self.one(name) for name in found[page * size :][:size]]).encode())

    def one(self, name: str) -> dict[str, Any]:
        return {
            "service_request_id": name,
            "status": "open",
            "service_name": "Heat",
            "service_code": 17,
            "description": "王小明 13912345678",
            "requested_datetime": self.requests[name].isoformat(),
            "updated_datetime": None,
            "extended_attributes": {"zone": "110105"},
            "media_url": [],
            "lat": 39.9,
            "long": 116.4,
        }

    @property
    def windows(self) -> list[tuple[str, str]]:
        return list(dict.fromkeys((one.params["start_date"], one.params["end_date"]) for one in self.side.asked))


def what(side: OtherSide, **changes: Any) -> dict[str, Any]:
    return {"name": "city", "url": f"{side.url}/v2/", "start": "2025-08-01", "window_days": 90} | changes


def stored(engine: Engine) -> set[str]:
    with reading(engine) as conn:
        rows = conn.execute(select(tickets.c.ticket_id, tickets.c.area, tickets.c.category)).all()
    assert {(row.area, row.category) for row in rows} <= {("110105", "Heat")}
    return {row.ticket_id for row in rows}


def test_the_history_comes_in_windows_and_pages_and_then_only_what_is_new(engine: Engine, side: OtherSide, pulling: Pulling) -> None:
    endpoint = Endpoint(side)
    endpoint.add(250, datetime(2025, 8, 1, tzinfo=UTC), timedelta(hours=8))
    settings = pulling(open311=[what(side)])
    done = pull.run(engine, settings, "city")
    assert (done.rows, done.added) == (250, 250)
    assert stored(engine) == set(endpoint.requests)
    assert endpoint.windows == [("2025-07-31T16:00:00Z", "2025-10-29T16:00:00Z"), ("2025-10-29T16:00:00Z", "2025-11-08T23:30:00Z")]
    side.asked.clear()
    endpoint.add(1, NOW - timedelta(days=6), timedelta())  # was published late
    again = pull.run(engine, settings, "city")
    assert (again.added, again.changed) == (1, 0)
    assert endpoint.windows == [("2025-11-01T23:30:00Z", "2025-11-08T23:30:00Z")]


def test_an_endpoint_without_pages_is_asked_for_shorter_windows(engine: Engine, side: OtherSide, pulling: Pulling) -> None:
    endpoint = Endpoint(side, pages=False, most=50)
    endpoint.add(180, datetime(2025, 10, 1, tzinfo=UTC), timedelta(hours=5))
    pull.run(engine, pulling(open311=[what(side)]), "city")
    assert stored(engine) == set(endpoint.requests)
    assert len(side.asked) < 60


def test_what_one_moment_hides_without_pages_is_told(engine: Engine, side: OtherSide, pulling: Pulling) -> None:
    endpoint = Endpoint(side, pages=False, most=50)
    endpoint.add(60, datetime(2025, 11, 8, tzinfo=UTC), timedelta(seconds=1))
    with pytest.raises(InputError, match="without pages"):
        pull.run(engine, pulling(open311=[what(side, start="2025-11-08")]), "city")
    assert stored(engine) == set()


def test_a_failure_keeps_the_windows_before_it_and_the_next_pull_goes_on_there(engine: Engine, side: OtherSide, pulling: Pulling) -> None:
    endpoint = Endpoint(side)
    endpoint.add(100, datetime(2025, 8, 1, tzinfo=UTC), timedelta(days=1))
    settings = pulling(open311=[what(side, window_days=30, overlap_days=0, api_key="s3cret", jurisdiction="city.gov")])
    side.answer = lambda asked: endpoint.answer(asked) if asked.params["start_date"] < "2025-09" else Reply(b"", 500)
    with pytest.raises(InputError, match="answers with 500") as caught:
        pull.run(engine, settings, "city")
    assert "s3cret" not in str(caught.value)
    assert {one.params["api_key"] for one in side.asked} == {"s3cret"}
    assert {one.params["jurisdiction_id"] for one in side.asked} == {"city.gov"}
    assert 50 <= len(stored(engine)) < 100
    with reading(engine) as conn:
        assert pulls.get(conn, "city").watermark == "2025-09-29T16:00:00+00:00"
    side.asked.clear()
    side.answer = endpoint.answer
    pull.run(engine, settings, "city")
    assert endpoint.windows[0] == ("2025-09-29T16:00:00Z", "2025-10-29T16:00:00Z")
    assert stored(engine) == set(endpoint.requests)


@pytest.mark.parametrize("body", [b"<html/>", b'{"error": 1}', b""])
def test_what_is_no_list_of_requests_is_an_error(engine: Engine, side: OtherSide, pulling: Pulling, body: bytes) -> None:
    side.answer = lambda _: Reply(body)
    with pytest.raises(InputError, match="no list of requests"):
        pull.run(engine, pulling(open311=[what(side)]), "city")


def test_an_empty_window_is_behind_us(engine: Engine, side: OtherSide, pulling: Pulling) -> None:
    Endpoint(side)
    assert pull.run(engine, pulling(open311=[what(side)]), "city") == pull.Pulled()
    with reading(engine) as conn:
        assert pulls.get(conn, "city").watermark == NOW.isoformat()


def test_a_window_of_which_every_row_is_wrong_is_recorded_and_told_and_the_pull_goes_on(
    engine: Engine, side: OtherSide, pulling: Pulling, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = Endpoint(side)
    endpoint.add(10, datetime(2025, 8, 1, tzinfo=UTC), timedelta(days=1))
    endpoint.add(3, datetime(2025, 11, 7, tzinfo=UTC), timedelta(hours=1))
    side.answer = lambda asked: without_moments(endpoint.answer(asked)) if asked.params["start_date"] < "2025-09" else endpoint.answer(asked)
    done = pull.run(engine, pulling(open311=[what(side)]), "city")
    assert (done.rows, done.added, done.rejected) == (13, 3, 10)
    assert stored(engine) == {"00010", "00011", "00012"}
    with reading(engine) as conn:
        assert pulls.get(conn, "city").watermark == NOW.isoformat()
        second, first = ingests.list_recent(conn)
        report = ingest_reports.get(conn, first.id)
    assert (first.status, first.rows, first.rejected, second.rejected) == (ingests.DONE, 10, 10, 0)
    assert report is not None
    assert [reject.ticket_id for reject in report.rejects] == [f"{n:05}" for n in range(10)]
    (told,) = [record for record in caplog.records if record.message == "pull.all_rejected"]
    assert (told.pull, told.ingest, told.rejected) == ("city", first.id, 10)  # type: ignore[attr-defined]


def without_moments(reply: Reply) -> Reply:
    rows = [one | {"requested_datetime": "soon"} for one in json.loads(reply.body)]
    return Reply(json.dumps(rows).encode(), reply.status)
