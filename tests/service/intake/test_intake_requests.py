"""Requests: staged as a whole, applied in their order, by whoever is there."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, event, func, select, update
from sqlalchemy.exc import IntegrityError, OperationalError, TimeoutError

from forecasting.errors import InputError
from service.clock import Clock, parse_as_of
from service.intake import ingest, requests
from service.intake.bodies import read_lines
from service.intake.files import Batch
from service.intake.mapping import Mapping
from service.intake.privacy import Privacy
from service.intake.requests import LEASE, Request
from service.store import areas as places_store
from service.store import audit, counts, ingest_reports, ingests, waiting_ingests
from service.store import tickets as tickets_store
from service.store.engine import open_engine, reading, writing
from service.store.schema import areas, staged_tickets, tickets
from service.store.schema import ingests as ledger
from service.store.schema import waiting_ingests as waiting
from service.store.waiting_ingests import PutBack

ZONE = ZoneInfo("Asia/Shanghai")
CLOCK = Clock(ZONE, parse_as_of("2024-02-01T12:00", ZONE))


def batches(*rows: tuple[str, str]) -> Iterator[Batch]:
    """Tickets of one day and district: id and category."""
    texts = [f'{{"ticket_id": "{name}", "created_at": "2024-01-05", "district": "D", "category": "{category}"}}' for name, category in rows]
    return read_lines(BytesIO("\n".join(texts).encode()), "tickets", Privacy())


def request(*rows: tuple[str, str], key: str | None = None, first: Iterator[Batch] | None = None) -> Request:
    return Request("0" * 64, first or batches(*rows), by_index=False, sender="someone", request_key=key)


def daily(engine: Engine) -> dict[str, int]:
    with reading(engine) as conn:
        return {str(row.category): int(row.count) for row in counts.daily(conn).itertuples(index=False)}


def left(engine: Engine) -> int:
    with reading(engine) as conn:
        return int(conn.execute(select(func.count()).select_from(staged_tickets)).scalar_one())


def status(engine: Engine, ingest_id: int) -> str:
    with reading(engine) as conn:
        return ingests.get(conn, ingest_id).status


def test_what_is_accepted_is_counted_when_it_is_applied(engine: Engine) -> None:
    accepted = requests.accept(engine, request(("1", "X"), ("2", "X")), CLOCK)
    assert (daily(engine), status(engine, accepted)) == ({}, ingests.APPLYING)
    assert requests.apply_waiting(engine, CLOCK, accepted)
    assert (daily(engine), status(engine, accepted), left(engine)) == ({"X": 2}, ingests.DONE, 0)
    assert not requests.apply_waiting(engine, CLOCK, accepted)


def test_only_the_first_of_the_queue_is_applied(engine: Engine) -> None:
    first = requests.accept(engine, request(("1", "X")), CLOCK)
    second = requests.accept(engine, request(("1", "Y")), CLOCK)
    assert not requests.apply_waiting(engine, CLOCK, second)
    assert requests.apply_all_waiting(engine, CLOCK) == 2
    assert daily(engine) == {"Y": 1}
    assert (status(engine, first), status(engine, second)) == (ingests.DONE, ingests.DONE)


def test_while_somebody_is_at_work_nobody_else_begins_and_after_the_lease_somebody_does(engine: Engine) -> None:
    accepted = requests.accept(engine, request(("1", "X")), CLOCK)
    now = datetime.now(UTC)
    with writing(engine) as conn:
        assert waiting_ingests.take(conn, accepted, now, now + LEASE)
    assert not requests.apply_waiting(engine, CLOCK, accepted)
    assert requests.apply_all_waiting(engine, CLOCK) == 0
    with writing(engine) as conn:
        waiting_ingests.renew(conn, accepted, now - timedelta(seconds=1))
    assert requests.apply_all_waiting(engine, CLOCK) == 1
    assert daily(engine) == {"X": 1}


def test_a_request_that_takes_longer_than_its_lease_is_taken_by_nobody_else(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "LEASE", timedelta(seconds=3))
    accepted = requests.accept(engine, request(("1", "X")), CLOCK)
    apply, taken = tickets_store.apply, list[bool]()

    def slow(engine: Engine, ingest_id: int, **more: Any) -> ingests.Totals:
        end = monotonic() + (0 if taken else 7)  # as one statement over millions of rows may take, before the first of them is stored
        while monotonic() < end:
            taken.append(requests.apply_waiting(engine, CLOCK, accepted))
            sleep(0.2)
        return apply(engine, ingest_id, **more)

    monkeypatch.setattr(tickets_store, "apply", slow)
    assert requests.apply_all_waiting(engine, CLOCK) == 1
    assert taken.count(False) > 5
    assert not any(taken)
    assert (status(engine, accepted), daily(engine)) == (ingests.DONE, {"X": 1})


def test_a_request_taken_over_from_a_process_that_stood_still_and_goes_on_is_counted_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = requests.accept(engine, request(("1", "X"), ("1", "Y"), ("2", "X")), CLOCK)
    following = requests.accept(engine, request(("2", "Y")), CLOCK)
    drop, others = tickets_store._drop_repeats, list[int]()

    def stands_still(engine: Engine, ingest_id: int, *more: Any) -> None:
        drop(engine, ingest_id, *more)
        if not others:
            others.append(0)
            rested(engine)  # the lease has run out
            others.append(requests.apply_all_waiting(engine, CLOCK))

    monkeypatch.setattr(tickets_store, "_drop_repeats", stands_still)
    requests.apply_all_waiting(engine, CLOCK)
    assert others == [0, 2]
    assert (status(engine, accepted), status(engine, following), daily(engine)) == (ingests.DONE, ingests.DONE, {"Y": 2})
    with reading(engine) as conn:
        assert ingests.get(conn, accepted).totals == ingests.Totals(added=2, unchanged=1)


def test_tidying_up_leaves_requests_that_wait_to_their_queue(engine: Engine) -> None:
    accepted = requests.accept(engine, request(("1", "X")), CLOCK)
    later = Clock(ZONE, CLOCK.now() + timedelta(hours=2))
    assert ingest.recover(engine, later) == []
    assert (status(engine, accepted), left(engine)) == (ingests.APPLYING, 1)


def test_a_body_that_breaks_off_leaves_nothing(engine: Engine) -> None:
    def breaks() -> Iterator[Batch]:
        yield from batches(("1", "X"))
        raise InputError("line 2 is no JSON", "body")

    with pytest.raises(InputError, match="line 2"):
        requests.accept(engine, request(first=breaks()), CLOCK)
    assert (left(engine), daily(engine)) == (0, {})
    with reading(engine) as conn:
        assert [(one.status, one.note) for one in ingests.list_recent(conn)] == [(ingests.FAILED, "body: line 2 is no JSON")]


def test_of_two_requests_under_one_key_the_one_that_is_read_first_counts(engine: Engine) -> None:
    def slow() -> Iterator[Batch]:
        requests.accept(engine, request(("1", "X"), key="k"), CLOCK)
        yield from batches(("1", "X"), ("2", "Neu"))

    with pytest.raises(requests.SentTwice):
        requests.accept(engine, request(key="k", first=slow()), CLOCK)
    assert requests.apply_all_waiting(engine, CLOCK) == 1
    assert (daily(engine), left(engine)) == ({"X": 1}, 0)
    with reading(engine) as conn:
        assert ingest_reports.sent_before(conn, "someone", "k") == 2
        assert ingest_reports.sent_before(conn, "another", "k") is None


def test_of_very_many_wrong_rows_the_first_are_listed_and_all_counted(engine: Engine) -> None:
    many = ingest_reports.LISTED_REJECTS + 500
    rows = [("good", "X"), *((f"bad{number}", "") for number in range(many))]
    accepted = requests.accept(engine, request(*rows), CLOCK)
    with reading(engine) as conn:
        report = ingest_reports.get(conn, accepted)
        assert ingests.get(conn, accepted).rejected == many
    assert report is not None
    assert [reject.line for reject in report.rejects] == list(range(2, ingest_reports.LISTED_REJECTS + 2))
    assert {reject.field for reject in report.rejects} == {"category"}


def test_a_request_without_a_right_row_adds_nothing_to_the_trees(engine: Engine) -> None:
    with pytest.raises(requests.NoneTaken) as caught:
        requests.accept(engine, request(("", "X"), ("2", "")), CLOCK)
    assert [(reject.line, reject.field) for reject in caught.value.rejects] == [(1, "ticket_id"), (2, "category")]
    with pytest.raises(InputError):
        requests.accept(engine, request(), CLOCK)
    with reading(engine) as conn:
        assert conn.execute(select(func.count()).select_from(tickets)).scalar() == 0
        assert conn.execute(select(func.count()).select_from(areas)).scalar() == 0


def of_district(district: str, **types: str) -> Iterator[Batch]:
    """Tickets of one day: id and type."""
    rows = [{"ticket_id": n, "created_at": "2024-01-05", "district": district, "category": "X", "ticket_type": types[n]} for n in types]
    return read_lines(BytesIO("\n".join(map(json.dumps, rows)).encode()), "tickets", Privacy())


@pytest.mark.parametrize("ticket_type", ["complaint", "consultation"])
def test_of_two_requests_that_wait_a_limited_one_does_not_take_over_the_ticket_of_the_one_before_it(engine: Engine, ticket_type: str) -> None:
    with writing(engine) as conn:
        places_store.join(conn, {"C": "ALL", "D": "ALL"}, CLOCK.now())
    first = requests.accept(engine, request(first=of_district("C", a="complaint")), CLOCK)
    rows = of_district("D", a=ticket_type, b="complaint")
    limited = Request("1" * 64, rows, by_index=True, sender="limited", districts=frozenset({"D"}), mapping=Mapping(not_demand=("consultation",)))
    second = requests.accept(engine, limited, CLOCK)
    assert requests.apply_all_waiting(engine, CLOCK) == 2
    with reading(engine) as conn:
        places = conn.execute(select(tickets.c.ticket_id, tickets.c.area, tickets.c.demand).order_by(tickets.c.ticket_id)).all()
        done, report = ingests.get(conn, second), ingest_reports.get(conn, second)
        assert ingests.get(conn, first).added == 1
    assert [tuple(row) for row in places] == [("a", "C", True), ("b", "D", True)]
    assert (done.status, done.added, done.changed) == (ingests.DONE, 1, 0)
    assert report is not None
    if ticket_type == "complaint":
        assert (done.rows, done.rejected) == (2, 1)
        (reject,) = report.rejects
        assert (reject.index, reject.line, reject.ticket_id, reject.reason) == (0, None, "a", "ticket_id belongs to another district")


def test_a_request_that_cannot_be_applied_is_recorded_as_failed_and_the_next_goes_on(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, sound = (requests.accept(engine, request((name, "X")), CLOCK) for name in "12")
    apply = tickets_store.apply

    def fails(engine: Engine, ingest_id: int, **more: Any) -> ingests.Totals:
        if ingest_id == broken:
            raise IntegrityError("insert", {"name": "王小明"}, Exception("a count is out of range, call 13912345678"))
        return apply(engine, ingest_id, **more)

    monkeypatch.setattr(tickets_store, "apply", fails)
    assert requests.apply_all_waiting(engine, CLOCK) == 2
    with reading(engine) as conn:
        found = ingests.get(conn, broken)
        assert not waiting_ingests.waits(conn, broken)
    assert found.status == ingests.FAILED
    assert found.note is not None
    assert "a count is out of range" in found.note
    assert "13912345678" not in found.note
    assert "王小明" not in found.note
    assert (status(engine, sound), daily(engine), left(engine)) == (ingests.DONE, {"X": 1}, 1)  # the row that was set aside


def test_a_request_waits_while_the_database_is_away(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = requests.accept(engine, request(("1", "X")), CLOCK)

    def fails(*_: Any, **__: Any) -> ingests.Totals:
        raise OperationalError("insert", {}, Exception("the server closed the connection"))

    monkeypatch.setattr(tickets_store, "apply", fails)
    with pytest.raises(OperationalError):
        requests.apply_all_waiting(engine, CLOCK)
    assert (status(engine, accepted), left(engine)) == (ingests.APPLYING, 1)


# Content that a database calls an error of its own operation, as it does a server that is away: a sum that overflows; a key that is too long, a
# statement that takes longer than it may, or needs more memory or more room than there is. By the ticket that has it.
CODES = {"bad": "54000", "slow": "57014", "heavy": "53200", "large": "53400"}
_NAMED = "new.ticket_id in ('" + "', '".join(CODES) + "')"
FAILS = {
    "sqlite": [f"create trigger fails before insert on tickets when {_NAMED} begin select abs(-9223372036854775807 - 1); end"],
    "postgresql": [
        "create function fail() returns trigger as $$ begin "
        + " ".join(f"if new.ticket_id = '{name}' then raise exception 'too much' using errcode = '{code}'; end if;" for name, code in CODES.items())
        + " return new; end $$ language plpgsql",
        "create trigger fails before insert on tickets for each row execute function fail()",
    ],
}
MENDED = {"sqlite": "drop trigger if exists fails", "postgresql": "drop function if exists fail cascade"}


@pytest.fixture
def failing(engine: Engine) -> Iterator[Engine]:
    """A database that fails at the tickets of `CODES`, as if it were the database's own fault."""
    with writing(engine) as conn:
        for statement in FAILS[engine.dialect.name]:
            conn.exec_driver_sql(statement)
    yield engine
    with writing(engine) as conn:
        conn.exec_driver_sql(MENDED[engine.dialect.name])


def rested(engine: Engine) -> None:
    """The pause after an attempt is over."""
    with writing(engine) as conn:
        conn.execute(update(waiting).values(lease_until=datetime.now(UTC) - timedelta(seconds=1)))


@pytest.mark.parametrize("name", CODES)
def test_content_at_which_the_database_fails_is_set_aside_after_some_attempts_and_those_behind_it_go_on(failing: Engine, name: str) -> None:
    broken = requests.accept(failing, request((name, "X"), ("good", "X")), CLOCK)
    sound = requests.accept(failing, request(("1", "X")), CLOCK)
    for _ in range(requests.ATTEMPTS - 1):
        assert requests.apply_all_waiting(failing, CLOCK) == 0
        assert requests.apply_all_waiting(failing, CLOCK) == 0  # it rests
        assert (status(failing, broken), status(failing, sound)) == (ingests.APPLYING, ingests.APPLYING)
        rested(failing)
    assert requests.apply_all_waiting(failing, CLOCK) == 2
    with reading(failing) as conn:
        found = ingests.get(conn, broken)
        assert not waiting_ingests.waits(conn, broken)
    assert (found.status, status(failing, sound), daily(failing)) == (ingests.FAILED, ingests.DONE, {"X": 1})
    assert found.note is not None
    assert found.note.startswith(f"ingest {broken} cannot be applied (tried 4 times, 2 rows are kept aside): OperationalError: ")
    assert left(failing) == 2
    assert ingest.recover(failing, Clock(ZONE, CLOCK.now() + timedelta(days=1))) == []
    with writing(failing) as conn:
        conn.exec_driver_sql(MENDED[failing.dialect.name])
        waiting_ingests.put_back(conn, [broken], CLOCK.now(), "somebody")
    assert status(failing, broken) == ingests.APPLYING
    assert requests.apply_all_waiting(failing, CLOCK) == 1
    assert (status(failing, broken), daily(failing), left(failing)) == (ingests.DONE, {"X": 3}, 0)


def set_aside(engine: Engine, *rows: tuple[str, str]) -> int:
    """A request that could not be counted."""
    accepted = requests.accept(engine, request(*rows), CLOCK)
    with writing(engine) as conn:
        ingests.finish(conn, accepted, CLOCK.now(), ingests.FAILED, "no room")
        waiting_ingests.set_aside(conn, accepted)
    return accepted


def test_what_was_set_aside_is_put_back_at_its_place_and_the_audit_log_tells(engine: Engine) -> None:
    first, second = set_aside(engine, ("1", "X"), ("2", "X")), set_aside(engine, ("3", "X"))
    later = requests.accept(engine, request(("1", "Y")), CLOCK)
    with writing(engine) as conn:
        assert waiting_ingests.put_back(conn, [first, first], CLOCK.now(), "somebody") == [PutBack(first, "body", 2)]
        assert waiting_ingests.first_free(conn, datetime.now(UTC)) == first
        found = ingests.get(conn, first)
        assert (found.status, found.finished_at, found.note) == (ingests.APPLYING, None, None)
        assert waiting_ingests.standing(conn).aside == (second,)
        assert waiting_ingests.put_back(conn, None, CLOCK.now(), "somebody") == [PutBack(second, "body", 1)]
        assert waiting_ingests.put_back(conn, None, CLOCK.now(), "somebody") == []
        told = [(one.actor, one.subject, one.detail) for one in audit.of_action(conn, audit.RETRIED)]
    assert told == [("somebody", f"ingest {n}", {"rows": rows, "error": "no room"}) for n, rows in ((first, 2), (second, 1))]
    assert ingest.recover(engine, Clock(ZONE, CLOCK.now() + timedelta(days=1))) == []  # it has its own way
    assert requests.apply_all_waiting(engine, CLOCK) == 3
    assert daily(engine) == {"X": 2, "Y": 1}
    assert [status(engine, one) for one in (first, second, later)] == [ingests.DONE] * 3


def test_what_is_unknown_or_not_set_aside_puts_nothing_back(engine: Engine) -> None:
    aside = set_aside(engine, ("1", "X"))
    waits = requests.accept(engine, request(("2", "X")), CLOCK)
    for wrong, why in ((99, "there is no ingest 99"), (waits, f"ingest {waits} is not set aside: it waits to be counted")):
        with pytest.raises(InputError, match=why), writing(engine) as conn:
            waiting_ingests.put_back(conn, [aside, wrong], CLOCK.now(), "somebody")
    requests.apply_all_waiting(engine, CLOCK)
    with pytest.raises(InputError, match=f"ingest {waits} is not set aside: it is done"), writing(engine) as conn:
        waiting_ingests.put_back(conn, [waits], CLOCK.now(), "somebody")
    with reading(engine) as conn:
        assert waiting_ingests.standing(conn).aside == (aside,)
        assert audit.of_action(conn, audit.RETRIED) == []


def test_a_store_that_is_away_is_no_attempt(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = requests.accept(engine, request(("1", "X")), CLOCK)
    away = open_engine("postgresql://weisu@127.0.0.1:1/weisu")  # where nobody listens
    apply = tickets_store.apply
    monkeypatch.setattr(tickets_store, "apply", lambda _, ingest_id, **more: apply(away, ingest_id, **more))
    for _ in range(requests.ATTEMPTS + 1):
        with pytest.raises(OperationalError, match="connection failed"):
            requests.apply_all_waiting(engine, CLOCK)
        rested(engine)
    assert (status(engine, accepted), left(engine)) == (ingests.APPLYING, 1)
    monkeypatch.setattr(tickets_store, "apply", apply)
    assert requests.apply_all_waiting(engine, CLOCK) == 1
    assert (status(engine, accepted), daily(engine)) == (ingests.DONE, {"X": 1})


def test_a_store_that_fails_at_a_statement_and_then_does_not_answer_is_no_attempt_either(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = requests.accept(engine, request(("1", "X")), CLOCK)
    gone: list[bool] = []

    class OutOfMemory(Exception):
        sqlstate = "53200"

    def fails(*_: Any, **__: Any) -> ingests.Totals:
        gone.append(True)
        raise OperationalError("insert", {}, OutOfMemory("out of memory"))

    def refuse(*_: object) -> None:
        if gone:
            raise OperationalError("connect", {}, Exception("connection refused"))

    event.listen(engine, "engine_connect", refuse)
    apply = tickets_store.apply
    monkeypatch.setattr(tickets_store, "apply", fails)
    with pytest.raises(OperationalError, match="connection refused"):
        requests.apply_all_waiting(engine, CLOCK)
    gone.clear()
    with reading(engine) as conn:
        assert conn.execute(select(waiting.c.attempts)).scalar_one() == 0
    monkeypatch.setattr(tickets_store, "apply", apply)
    rested(engine)
    assert requests.apply_all_waiting(engine, CLOCK) == 1
    assert status(engine, accepted) == ingests.DONE


def test_a_full_pool_of_connections_is_no_fault_of_a_request(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = requests.accept(engine, request(("1", "X")), CLOCK)

    def fails(*_: Any, **__: Any) -> ingests.Totals:
        raise TimeoutError("QueuePool limit of size 5 overflow 10 reached")

    monkeypatch.setattr(tickets_store, "apply", fails)
    with pytest.raises(TimeoutError):
        requests.apply_all_waiting(engine, CLOCK)
    assert (status(engine, accepted), left(engine)) == (ingests.APPLYING, 1)


def test_a_machine_that_is_short_of_memory_is_tried_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = requests.accept(engine, request(("1", "X")), CLOCK)
    apply = tickets_store.apply

    def fails(*_: Any, **__: Any) -> ingests.Totals:
        raise MemoryError

    monkeypatch.setattr(tickets_store, "apply", fails)
    assert requests.apply_all_waiting(engine, CLOCK) == 0
    assert status(engine, accepted) == ingests.APPLYING
    monkeypatch.setattr(tickets_store, "apply", apply)
    rested(engine)
    assert requests.apply_all_waiting(engine, CLOCK) == 1
    assert (status(engine, accepted), daily(engine)) == (ingests.DONE, {"X": 1})


def test_a_file_whose_process_died_and_that_cannot_be_applied_holds_up_no_other(failing: Engine, tmp_path: Path) -> None:
    broken, sound = tmp_path / "broken.csv", tmp_path / "sound.csv"
    for path, name in ((broken, "bad"), (sound, "good")):
        path.write_text(f"ticket_id,created_at,district,category\n{name},2024-01-05,D,X\n")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(tickets_store, "apply", interrupted)
            with pytest.raises(KeyboardInterrupt):
                ingest.ingest(failing, path, CLOCK)
    later = Clock(ZONE, CLOCK.now() + timedelta(hours=2))
    with writing(failing) as conn:  # the dead processes' leases have to run out first
        conn.execute(update(ledger).values(lease_until=datetime.now(UTC) - timedelta(seconds=1)))
    assert ingest.recover(failing, later) == [1, 2]
    for _ in range(requests.ATTEMPTS - 1):
        rested(failing)
        requests.apply_all_waiting(failing, later)
    assert (status(failing, 1), status(failing, 2), daily(failing)) == (ingests.FAILED, ingests.DONE, {"X": 1})
    assert ingest.recover(failing, later) == []


def interrupted(*_: Any, **__: Any) -> ingests.Totals:
    raise KeyboardInterrupt
