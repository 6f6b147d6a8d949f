"""Weather that comes by itself: from a real server, in the shapes of public services, and when that server misbehaves."""

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from other_side import Asked, OtherSide, Reply
from sqlalchemy import Engine, select

from forecasting.errors import InputError
from service.connectors import pull, web
from service.jobs import weather as weather_notes
from service.settings import Settings
from service.store import areas, drivers, ingests, jobs, pulls
from service.store.engine import reading, writing
from service.store.schema import drivers as table

Pulling = Callable[..., Settings]

FETCHED = datetime(2025, 11, 8, 23, 30, tzinfo=UTC)
DAYS = ["2025-11-09", "2025-11-10", "2025-11-11"]
ARRAYS = {"daily": {"time": DAYS, "temperature_2m_max": [9.5, None, -2], "rain_sum": [0, 1.5, 0]}, "generationtime_ms": 0.1}
OBJECTS = {
    "updateTime": "2025-11-09T06:00+08:00",
    "daily": [{"fxDate": DAYS[0], "tempMax": "9.5"}, {"fxDate": DAYS[1]}, {"fxDate": DAYS[2], "tempMax": "-2"}],
}
CSV = "date;issued;tmax\r\n2025-11-09;2025-11-09T06:00;9.5\r\n2025-11-10;2025-11-09T06:00;\r\n2025-11-11;2025-11-09T06:00;-2\r\n"


def forecast(side: OtherSide, **changes: Any) -> dict[str, Any]:
    """A pull of daily maxima in parallel lists."""
    return {"name": "weather", "url": f"{side.url}/v1?key=s3cret", "date": "daily.time", "values": {"tmax": "daily.temperature_2m_max"}} | changes


def answers(side: OtherSide, document: Any, **headers: str) -> None:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    side.answer = lambda _: Reply(body, headers=headers)


def stored(engine: Engine) -> list[tuple[Any, ...]]:
    c = table.c
    with reading(engine) as conn:
        rows = conn.execute(select(c.name, c.area, c.day, c.value, c.issued_at, c.observed).order_by(c.name, c.area, c.day, c.issued_at))
        return [tuple(row) for row in rows]


def job(engine: Engine, name: str = "weather") -> jobs.Job:
    with reading(engine) as conn:
        found = jobs.get(conn, pull.JOB + name)
    assert found is not None
    return found


def fails(engine: Engine, settings: Settings, told: str) -> None:
    """The pull fails, says why, and stores nothing."""
    before = stored(engine)
    with pytest.raises(InputError, match=told) as caught:
        pull.run(engine, settings, "weather")
    assert "s3cret" not in str(caught.value)
    assert stored(engine) == before
    error = job(engine).error
    assert error is not None
    assert "s3cret" not in error


ISSUED = datetime(2025, 11, 8, 22, tzinfo=UTC)
MAXIMA = [(date(2025, 11, 9), 9.5), (date(2025, 11, 11), -2.0)]


@pytest.mark.parametrize(
    ("document", "changes", "issued"),
    [
        (ARRAYS, {}, FETCHED),
        (OBJECTS, {"date": "daily.fxDate", "values": {"tmax": "daily.tempMax"}, "issued_at": "updateTime"}, ISSUED),
        (CSV.encode(), {"format": "csv", "date": "date", "values": {"tmax": "tmax"}, "issued_at": "issued"}, ISSUED),
        (
            {"list": [{"dt": 1762660800, "main": {"max": 9.5}}, {"dt": 1762833600, "main": {"max": -2}}]},  # noon in Shanghai
            {"date": "list.dt", "values": {"tmax": "list.main.max"}},
            FETCHED,
        ),
    ],
    ids=["parallel lists", "a list of objects", "CSV", "seconds since 1970"],
)
def test_a_forecast_is_kept_with_the_moment_of_its_issue(
    engine: Engine, side: OtherSide, pulling: Pulling, document: Any, changes: dict[str, Any], issued: datetime
) -> None:
    answers(side, document)
    settings = pulling(drivers=[forecast(side, **changes)])
    done = pull.run(engine, settings, "weather")
    assert (done.rows, done.added, done.rejected) == (2, 2, 0)
    assert stored(engine) == [("tmax", "ALL", day, value, issued, False) for day, value in MAXIMA]
    assert side.asked[0].params == {"key": "s3cret"}


def test_a_later_forecast_stands_beside_the_earlier_one_and_an_observation_beside_both(engine: Engine, side: OtherSide, pulling: Pulling) -> None:
    answers(side, ARRAYS)
    pull.run(engine, pulling(drivers=[forecast(side)]), "weather")
    answers(side, {"daily": {"time": DAYS, "temperature_2m_max": [8, 7, 6]}})
    later = "2025-11-09T12:00:00+08:00"
    pull.run(engine, pulling(later, drivers=[forecast(side)]), "weather")
    pull.run(engine, pulling("2025-11-10T08:00:00+08:00", drivers=[forecast(side, name="seen", observed=True)]), "seen")
    day = [row[3:] for row in stored(engine) if row[2] == date(2025, 11, 9)]
    noon, midnight = datetime(2025, 11, 9, 4, tzinfo=UTC), datetime(2025, 11, 9, 16, tzinfo=UTC)
    assert day == [(9.5, FETCHED, False), (8.0, noon, False), (8.0, midnight, True)]
    assert len([row for row in stored(engine) if row[5]]) == 1  # the days that are not over are no observations yet


def test_several_drivers_of_a_district_come_with_one_request(engine: Engine, side: OtherSide, pulling: Pulling) -> None:
    with writing(engine) as conn:
        areas.join(conn, {"110105": "ALL"}, FETCHED)
    answers(side, ARRAYS)
    values = {"tmax": "daily.temperature_2m_max", "rain": "daily.rain_sum"}
    pull.run(engine, pulling(drivers=[forecast(side, values=values, district="110105", headers={"X-Key": "k"})]), "weather")
    assert {(row[0], row[1]) for row in stored(engine)} == {("rain", "110105"), ("tmax", "110105")}
    assert len(stored(engine)) == 5
    assert side.asked[0].headers["x-key"] == "k"


def test_days_before_the_issue_are_no_forecast(engine: Engine, side: OtherSide, pulling: Pulling) -> None:
    answers(side, {"daily": {"time": ["2025-11-07", "2025-11-08", "2025-11-09"], "temperature_2m_max": [1, 2, 3]}})
    pull.run(engine, pulling(drivers=[forecast(side)]), "weather")
    assert [row[2:4] for row in stored(engine)] == [(date(2025, 11, 9), 3.0)]


def test_what_has_not_changed_is_neither_fetched_nor_stored_again(engine: Engine, side: OtherSide, pulling: Pulling) -> None:
    settings = pulling(drivers=[forecast(side)])

    def answer(asked: Asked) -> Reply:
        known = asked.headers.get("if-none-match") == '"v1"' and asked.headers.get("if-modified-since") == "Sun, 09 Nov 2025 00:00:00 GMT"
        return (
            Reply(status=304)
            if known
            else Reply(json.dumps(ARRAYS).encode(), headers={"ETag": '"v1"', "Last-Modified": "Sun, 09 Nov 2025 00:00:00 GMT"})
        )

    side.answer = answer
    pull.run(engine, settings, "weather")
    first, fresh = stored(engine), job(engine).late_at
    for _ in range(2):
        assert pull.run(engine, pulling("2025-11-09T12:00:00+08:00", drivers=[forecast(side)]), "weather") == pull.Pulled()
    answers(side, ARRAYS)  # the same bytes from a server that knows no ETag
    assert pull.run(engine, pulling("2025-11-09T12:00:00+08:00", drivers=[forecast(side)]), "weather") == pull.Pulled()
    assert stored(engine) == first
    assert job(engine).late_at == fresh, "the same forecast again is no fresher"
    with reading(engine) as conn:
        assert len(ingests.list_recent(conn)) == 1


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (b"<html>maintenance</html>", "is no JSON"),
        (b'{"daily": {"time": ["2025-1', "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        ({"daily": {"time": DAYS}}, "has no 'daily.temperature_2m_max'"),
        ({"daily": {"temperature_2m_max": [1, 2, 3]}}, "has no 'daily.time'"),
        ({"error": True, "reason": "s3cret is over its limit"}, "has no 'daily.time'"),
        ({"daily": {"time": DAYS, "temperature_2m_max": [1, 2]}}, "2 values for the 3 dates"),
        ({"daily": {"time": DAYS, "temperature_2m_max": [{"v": 1}] * 3}}, "no plain values"),
        ({"daily": {"time": DAYS, "temperature_2m_max": ["warm"] * 3}}, "value is no number"),
        ({"daily": {"time": ["today"] * 3, "temperature_2m_max": [1, 1, 1]}}, "date is no date"),
        (
            {"daily": {"time": [f"{DAYS[0]}T0{hour}:00" for hour in range(3)], "temperature_2m_max": [1, 2, 3]}},
            "several values of 'tmax' for one day",
        ),
        ({"daily": {"time": [], "temperature_2m_max": []}}, "has no|no value"),
    ],
)
def test_what_is_not_as_agreed_is_an_error_and_not_weather(engine: Engine, side: OtherSide, pulling: Pulling, document: Any, told: str) -> None:
    answers(side, document)
    fails(engine, pulling(drivers=[forecast(side)]), told)


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(b"broken", 500), "answers with 500"),
        (Reply(b"", 404), "answers with 404"),
        (Reply(b"", 403), "does not let us in"),
        (Reply(b"", 302, {"Location": "http://example.com/"}), "redirect"),
        (Reply(b"{}", 200, {"Content-Length": "100"}), "cannot be reached"),
    ],
)
def test_a_server_that_fails_is_named_without_its_key(engine: Engine, side: OtherSide, pulling: Pulling, reply: Reply, told: str) -> None:
    side.answer = lambda _: reply
    settings = pulling(drivers=[forecast(side, url=f"{side.url.replace('//', '//user:s3cret@')}/v1?key=s3cret")])
    fails(engine, settings, told)


def test_nobody_at_the_address_is_an_error(engine: Engine, side: OtherSide, pulling: Pulling) -> None:
    fails(engine, pulling(drivers=[forecast(side, url="http://127.0.0.1:9/?key=s3cret")]), "cannot be reached")


def test_slow_and_endless_answers_are_cut_off(engine: Engine, side: OtherSide, pulling: Pulling, monkeypatch: pytest.MonkeyPatch) -> None:
    def drips(write: Callable[[bytes], Any]) -> None:
        for _ in range(100):
            write(b" ")
            time.sleep(0.05)

    def floods(write: Callable[[bytes], Any]) -> None:
        for _ in range(1000):
            write(b" " * 100_000)

    settings = pulling(drivers=[forecast(side)])
    monkeypatch.setattr(web, "MOST_BYTES", 1 << 20)
    side.answer = lambda _: Reply(floods)
    fails(engine, settings, "more than 1 MB")
    monkeypatch.setattr(web, "DEADLINE", 0.2)
    side.answer = lambda _: Reply(drips)
    fails(engine, settings, "has not answered within")
    monkeypatch.setattr(web, "READ", 0.2)
    side.answer = lambda _: Reply(lambda write: time.sleep(0.5))
    fails(engine, settings, "does not answer in time")


def test_a_busy_server_is_asked_again_when_it_says_so(engine: Engine, side: OtherSide, pulling: Pulling) -> None:
    side.answer = lambda _: Reply(b"", 429, {"Retry-After": "0"}) if len(side.asked) < 2 else Reply(json.dumps(ARRAYS).encode())
    assert pull.run(engine, pulling(drivers=[forecast(side)]), "weather").added == 2
    side.answer = lambda _: Reply(b"", 503, {"Retry-After": "3600"})
    fails(engine, pulling(drivers=[forecast(side)]), "answers with 503")


def test_after_a_failure_the_pauses_grow_and_a_success_ends_them(engine: Engine, side: OtherSide, pulling: Pulling) -> None:
    settings = pulling(drivers=[forecast(side, every_minutes=180)])
    answers(side, b"")
    pauses = []
    for _ in range(8):
        fails(engine, settings, "is no JSON")
        pauses.append((job(engine).next_at - FETCHED) // timedelta(minutes=1))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    with reading(engine) as conn:
        assert not pull.is_due(conn, settings, "weather")
        assert pull.is_due(conn, pulling("2025-11-09T08:31:00+08:00", drivers=[]), "weather")
    answers(side, ARRAYS)
    pull.run(engine, settings, "weather")
    assert (job(engine).error, job(engine).next_at) == (None, FETCHED + timedelta(minutes=180))
    with reading(engine) as conn:
        assert pulls.get(conn, "weather").failures == 0


def test_weather_that_is_late_is_a_note_on_the_data(engine: Engine, side: OtherSide, pulling: Pulling) -> None:
    what = forecast(side, late_after_hours=24)
    answers(side, ARRAYS)
    pull.run(engine, pulling(drivers=[what]), "weather")
    answers(side, b"")

    def notes(now: str) -> list[str]:
        with reading(engine) as conn:
            return [note.reason_en for note in weather_notes.late(conn, pulling(now, drivers=[what]), date(2025, 11, 9))]

    assert notes("2025-11-10T07:29:00+08:00") == []
    with pytest.raises(InputError):
        pull.run(engine, pulling("2025-11-10T07:29:00+08:00", drivers=[what]), "weather")
    (note,) = notes("2025-11-10T07:31:00+08:00")
    assert "(weather) is late since 2025-11-10 07:30" in note


def test_no_log_line_tells_a_key(engine: Engine, side: OtherSide, pulling: Pulling, caplog: pytest.LogCaptureFixture) -> None:
    settings = pulling(drivers=[forecast(side, url=f"{side.url.replace('//', '//user:s3cret@')}/v1?key=s3cret", headers={"X-Key": "s3cret"})])
    assert "s3cret" not in repr(settings)
    with caplog.at_level(logging.DEBUG):
        answers(side, ARRAYS)
        pull.run(engine, settings, "weather")
        answers(side, b"")
        fails(engine, settings, "is no JSON")
    assert "s3cret" not in caplog.text


def test_what_was_known_when_is_told_as_it_was_issued(engine: Engine, side: OtherSide, pulling: Pulling) -> None:
    answers(side, ARRAYS)
    pull.run(engine, pulling(drivers=[forecast(side)]), "weather")
    with reading(engine) as conn:
        assert len(drivers.known(conn, drivers.Wanted(FETCHED), 10)) == 2
        assert len(drivers.known(conn, drivers.Wanted(FETCHED - timedelta(seconds=1)), 10)) == 0
