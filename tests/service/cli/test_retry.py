"""`weisu retry` puts back what was set aside, and `weisu status` tells of it."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from processes import Bench
from sqlalchemy import Engine

from service.api.operation.schemas import IntakeState
from service.store import audit, ingests, waiting_ingests
from service.store.engine import open_engine, reading, writing
from service.store.waiting_ingests import Waiting

Typed = Callable[..., tuple[int, str, str]]
NOW = datetime(2025, 11, 8, 16, 30, tzinfo=UTC)


NAME = "a[/b] [red].csv"  # as somebody may call a file


@pytest.fixture
def store(bench: Bench, typed: Typed) -> Iterator[Engine]:
    """Four requests of which the second and the fourth were set aside."""
    assert typed(bench, "db", "upgrade")[0] == 0
    engine = open_engine(f"sqlite:///{bench.folder / '.weisu' / 'weisu.db'}")
    with writing(engine) as conn:
        for n in range(1, 5):
            assert ingests.begin(conn, "tickets", NAME, NOW + timedelta(minutes=n)) == n
            waiting_ingests.add(conn, Waiting(n, None, by_index=False))
            if n % 2 == 0:
                ingests.finish(conn, n, NOW + timedelta(hours=n), ingests.FAILED, "no room")
                waiting_ingests.set_aside(conn, n)
    yield engine
    engine.dispose()


def aside(store: Engine) -> tuple[int, ...]:
    with reading(store) as conn:
        return waiting_ingests.standing(conn).aside


@pytest.mark.parametrize(("words", "back"), [(["2"], [2]), (["4", "2"], [4, 2]), (["--all"], [2, 4])])
def test_one_several_or_all_are_put_back_with_a_line_for_each(bench: Bench, typed: Typed, store: Engine, words: list[str], back: list[int]) -> None:
    code, out, err = typed(bench, "retry", *words)
    assert (code, out) == (0, "")
    assert err.splitlines() == [f"ingest {n} ({NAME}) is back in the queue: 0 rows" for n in back]
    assert set(aside(store)) == {2, 4} - set(back)
    with reading(store) as conn:
        entries = audit.of_action(conn, audit.RETRIED)
    assert [entry.subject for entry in entries] == [f"ingest {n}" for n in back]
    assert all(entry.actor.startswith("weisu retry on ") for entry in entries)


def test_where_none_is_set_aside_all_are_none(bench: Bench, typed: Typed, store: Engine) -> None:
    assert typed(bench, "retry", "--all")[0] == 0
    assert typed(bench, "retry", "--all") == (0, "", "no ingest is set aside\n")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["2", "99"], "there is no ingest 99"),
        (["2", "3"], "ingest 3 is not set aside: it waits to be counted"),
        ([], "no ingest is named"),
        (["2", "--all"], "ingests are named beside --all"),
        (["two"], "ID"),
        (["0"], "greater than or equal to 1"),
        (["9" * 30], "less than or equal to"),
    ],
)
def test_what_cannot_be_put_back_is_one_line_and_changes_nothing(bench: Bench, typed: Typed, store: Engine, words: list[str], why: str) -> None:
    code, out, err = typed(bench, "retry", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("weisu: ")
    assert why in err
    assert aside(store) == (2, 4)


def test_the_status_tells_what_waits_and_what_is_set_aside_in_the_words_of_the_api(bench: Bench, typed: Typed, store: Engine) -> None:
    told = json.loads(typed(bench, "status")[1])["intake"]
    assert set(told) == set(IntakeState.model_fields)
    since, failed = NOW + timedelta(minutes=1), NOW + timedelta(hours=2)
    expected = IntakeState(waiting=2, oldest_waiting=since, set_aside=2, oldest_set_aside=failed, set_aside_ids=[2, 4])
    assert IntakeState(**told) == expected
    typed(bench, "retry", "--all")
    with writing(store) as conn:
        for n in range(1, 5):
            waiting_ingests.remove(conn, n)
    empty = {"waiting": 0, "oldest_waiting": None, "set_aside": 0, "oldest_set_aside": None, "set_aside_ids": []}
    assert json.loads(typed(bench, "status")[1])["intake"] == empty
