"""The scheduler's looks at what came in."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.intake import ingest
from service.intake.bodies import read_json
from service.jobs import scheduler
from service.settings import Settings
from service.store import counts, ingests, runs
from service.store.engine import reading, writing

NOW = datetime(2025, 11, 9, 4, tzinfo=UTC)


class Commands:
    """Stands for the processes that the scheduler starts, and notes which."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def run(self, command: str) -> bool:
        self.ran.append(command)
        return True


@pytest.fixture
def settings(folder: Path) -> Settings:
    return Settings(data_dir=folder, as_of=NOW.isoformat())


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def work(engine: Engine, settings: Settings, commands: Commands) -> scheduler._Work:
    with writing(engine) as conn:
        run_id = runs.start(conn, date(2025, 11, 8), "test", NOW, timedelta(hours=1), force=True)
        runs.succeed(conn, run_id, NOW, None)
    return scheduler._Work(engine, settings, commands)


def post(engine: Engine, settings: Settings, *ticket_ids: str) -> int:
    """A request as the API accepts it."""
    rows = [{"ticket_id": name, "created_at": "2025-11-09T08:00", "district": "D", "category": "X"} for name in ticket_ids]

    def batches() -> Iterator[ingest.Batch]:
        return read_json(json.dumps(rows).encode())

    return ingest.accept(engine, ingest.Request("0" * 64, batches(), True, "someone"), settings.clock)


def test_a_request_is_applied_and_then_watched_once(engine: Engine, settings: Settings, commands: Commands, work: scheduler._Work) -> None:
    accepted = post(engine, settings, "a", "b")
    work.look()
    assert commands.ran == []
    work.apply()
    with reading(engine) as conn:
        assert ingests.get(conn, accepted).status == ingests.DONE
        assert counts.daily(conn)["count"].sum() == 2
    work.look()
    work.look()
    assert commands.ran == ["watch"]


def test_many_small_requests_are_watched_together_after_a_pause(
    engine: Engine, settings: Settings, commands: Commands, work: scheduler._Work
) -> None:
    for number in range(5):
        post(engine, settings, f"{number}")
        work.apply()
        work.look()
    assert commands.ran == ["watch"]
    rest = work.rests_until - time.monotonic()
    assert 0 < rest <= scheduler.WATCH_PAUSE
    work.rests_until = time.monotonic()
    work.look()
    work.look()
    assert commands.ran == ["watch", "watch"]


def test_what_a_dead_process_left_is_tidied_up(engine: Engine, settings: Settings, work: scheduler._Work) -> None:
    with writing(engine) as conn:
        dead = ingests.begin(conn, "tickets", "a.csv", NOW - ingest.STALE_AFTER)
    work.recover()
    with reading(engine) as conn:
        assert ingests.get(conn, dead).status == ingests.FAILED
