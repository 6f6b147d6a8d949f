"""What comes after a night: the challenger beside each, the report of a month after its last; noted, late and made up for as every job."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

from forecasting.drift import Drift
from forecasting.promised import SUMS
from service.jobs import scheduler, turns
from service.settings import Settings
from service.store import drift, forecast_sets, jobs, promised, runs
from service.store.engine import reading, writing
from service.store.schema import daily_counts

HOUR = timedelta(hours=1)
BEGUN = datetime(2025, 11, 30, 18, tzinfo=UTC)  # two in the morning of the first of December, in Shanghai


class Commands:
    """Stands for the processes that the scheduler starts, and notes which."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, ...]] = []
        self.ends: str | None = None

    def run(self, *words: str) -> str | None:
        self.ran.append(words)
        return self.ends


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def work(engine: Engine, folder: Path, commands: Commands) -> scheduler._Work:
    return scheduler._Work(engine, Settings(data_dir=folder), commands)


def night(engine: Engine, of: date, at: datetime, status: str = runs.DONE) -> None:
    """A night that has made one forecast set, or is at work on it."""
    with writing(engine) as conn:
        run = runs.start(conn, of, "test", at, HOUR, force=True)
        row = {"run_id": run, "mlflow_run_id": None, "cutoff": of, "horizon": 28, "issued_at": at, "rows": 1, "blob": b"x"}
        if status == runs.DONE:
            forecast_sets.publish(conn, **row)
            runs.succeed(conn, run, at)


def shadow(engine: Engine, of: date, at: datetime) -> None:
    with writing(engine) as conn:
        done = runs.newest_success(conn)
        assert done is not None
        row = {"run_id": done.id, "mlflow_run_id": None, "cutoff": of, "horizon": 28, "issued_at": at, "rows": 1, "blob": b"x"}
        forecast_sets.add(conn, **row, shadow=True)


def compared(engine: Engine, day: date) -> None:
    with writing(engine) as conn:
        promised.put(conn, day, 1, 1, pd.DataFrame(columns=["level", "horizon", "area", "category", *SUMS]), BEGUN)


def job(engine: Engine, name: str) -> jobs.Job | None:
    with reading(engine) as conn:
        return jobs.get(conn, name)


def turn(work: scheduler._Work, name: str, at: datetime, **changes: Any) -> None:
    """Lets the scheduler look at a moment."""
    work.settings = Settings(data_dir=work.settings.data_dir, as_of=at.isoformat(), **changes)
    work.take_turn(name, getattr(turns, name))


SHADOW = {"challenger": "shadow.yaml"}
LAST = date(2025, 11, 30)


def counted(engine: Engine, day: date) -> None:
    with writing(engine) as conn:
        conn.execute(daily_counts.insert().values(day=day, area="D", category="X", count=1))


def test_yesterday_is_scored_once_whatever_became_of_the_training(engine: Engine, work: scheduler._Work, commands: Commands) -> None:
    counted(engine, LAST)
    turn(work, "scoring", BEGUN)
    assert commands.ran == [], "nothing was ever promised"
    night(engine, LAST - timedelta(days=1), BEGUN - 24 * HOUR)
    with writing(engine) as conn:
        runs.fail(conn, runs.start(conn, LAST, "test", BEGUN, HOUR), BEGUN, "the recipe is gone")
    turn(work, "scoring", BEGUN + HOUR / 12)
    assert commands.ran == [("score",)]
    found = job(engine, "scoring")
    assert found is not None
    assert (found.succeeded_at, found.error, found.next_at) == (BEGUN + HOUR / 12, None, BEGUN + 24 * HOUR)
    assert not found.is_late(BEGUN + 30 * HOUR)
    assert found.is_late(BEGUN + 31 * HOUR)
    turn(work, "scoring", BEGUN + 2 * HOUR)
    assert len(commands.ran) == 1


def test_what_a_night_has_scored_is_noted_and_not_done_again(engine: Engine, work: scheduler._Work, commands: Commands) -> None:
    counted(engine, LAST)
    night(engine, LAST, BEGUN)
    with writing(engine) as conn:
        drift.put(conn, LAST, {"category": Drift(0.1, 0.01, 100, ())})
    turn(work, "scoring", BEGUN + HOUR)
    assert commands.ran == []
    assert job(engine, "scoring").succeeded_at == BEGUN + HOUR  # type: ignore[union-attr]


def test_scoring_that_fails_is_seen_and_tried_again_after_the_next_night(engine: Engine, work: scheduler._Work, commands: Commands) -> None:
    counted(engine, LAST)
    night(engine, LAST, BEGUN)
    commands.ends = "exit code 1: see the log"
    turn(work, "scoring", BEGUN + HOUR)
    found = job(engine, "scoring")
    assert found is not None
    assert (found.error, found.next_at) == (commands.ends, BEGUN + 24 * HOUR)


def test_a_challenger_trains_once_after_each_night_that_is_done(engine: Engine, work: scheduler._Work, commands: Commands) -> None:
    turn(work, "challenger", BEGUN, **SHADOW)
    assert commands.ran == [], "no night is done"
    night(engine, LAST, BEGUN)
    turn(work, "challenger", BEGUN + HOUR, **SHADOW)
    assert commands.ran == [("train", "--challenger")]
    shadow(engine, LAST, BEGUN + HOUR)
    found = job(engine, "challenger")
    assert found is not None
    assert (found.started_at, found.succeeded_at, found.next_at) == (BEGUN + HOUR, BEGUN + HOUR, BEGUN + 24 * HOUR)
    assert not found.is_late(BEGUN + 30 * HOUR)
    assert found.is_late(BEGUN + 30 * HOUR + timedelta(seconds=1))
    turn(work, "challenger", BEGUN + 2 * HOUR, **SHADOW)
    assert len(commands.ran) == 1
    night(engine, LAST, BEGUN + 3 * HOUR)
    turn(work, "challenger", BEGUN + 4 * HOUR, **SHADOW)
    assert len(commands.ran) == 2, "a night that was forced has its own"


def test_a_challenger_never_begins_while_a_training_is_at_work(engine: Engine, work: scheduler._Work, commands: Commands) -> None:
    night(engine, LAST, BEGUN)
    night(engine, LAST + timedelta(days=1), BEGUN + 24 * HOUR, runs.RUNNING)
    turn(work, "challenger", BEGUN + 24 * HOUR + HOUR / 2, **SHADOW)
    assert commands.ran == []
    turn(work, "challenger", BEGUN + 26 * HOUR, **SHADOW)
    assert len(commands.ran) == 1, "that one is dead"


def test_what_belongs_to_a_night_goes_before_what_comes_after_it(engine: Engine, work: scheduler._Work, commands: Commands) -> None:
    """A night is done when it is published; its process goes on, and detects. And a night that is due has not begun yet."""
    night(engine, LAST, BEGUN)
    work.at_night = True
    turn(work, "challenger", BEGUN + HOUR, **SHADOW)
    work.at_night = False
    with writing(engine) as conn:
        conn.execute(daily_counts.insert().values(day=LAST, area="D", category="X", count=1))
    turn(work, "challenger", BEGUN + 24 * HOUR, **SHADOW)
    assert commands.ran == []
    turn(work, "challenger", BEGUN + 23 * HOUR, **SHADOW)
    assert len(commands.ran) == 1


def test_a_challenger_that_failed_waits_for_the_next_night_and_is_seen(engine: Engine, work: scheduler._Work, commands: Commands) -> None:
    night(engine, LAST, BEGUN)
    commands.ends = "killed by signal 9"
    turn(work, "challenger", BEGUN + HOUR, **SHADOW)
    turn(work, "challenger", BEGUN + 2 * HOUR, **SHADOW)
    assert len(commands.ran) == 1
    found = job(engine, "challenger")
    assert found is not None
    assert (found.error, found.failed_at) == ("killed by signal 9", BEGUN + HOUR)
    assert job(engine, "nightly") is None, "the night has nothing to do with it"
    night(engine, LAST + timedelta(days=1), BEGUN + 24 * HOUR)
    commands.ends = None
    turn(work, "challenger", BEGUN + 25 * HOUR, **SHADOW)
    assert len(commands.ran) == 2
    assert job(engine, "challenger").error is None  # type: ignore[union-attr]


def test_where_no_challenger_is_set_there_is_no_such_job(engine: Engine, work: scheduler._Work, commands: Commands) -> None:
    night(engine, LAST, BEGUN)
    turn(work, "challenger", BEGUN + HOUR, **SHADOW)
    work.forget("challenger")
    turn(work, "challenger", BEGUN + 2 * HOUR)
    assert len(commands.ran) == 1
    assert job(engine, "challenger") is None


def test_a_month_s_report_is_written_on_the_first_after_the_night(engine: Engine, work: scheduler._Work, commands: Commands) -> None:
    compared(engine, LAST - timedelta(days=3))
    night(engine, LAST - timedelta(days=1), BEGUN - 24 * HOUR)
    turn(work, "reports", BEGUN + HOUR)
    assert commands.ran == [], "the last night of the month is not done"
    night(engine, LAST, BEGUN + 2 * HOUR)
    turn(work, "reports", BEGUN + 2 * HOUR)
    path = work.settings.data_dir / "reports" / "models-2025-11.md"
    assert commands.ran == [("report", "models", "--month", "2025-11", "--out", str(path))]
    found = job(engine, "reports")
    assert found is not None
    assert found.next_at == datetime(2025, 12, 31, 18, tzinfo=UTC)
    assert found.late_at == found.next_at + 12 * HOUR
    for later in (BEGUN + 3 * HOUR, found.next_at - timedelta(seconds=1)):
        turn(work, "reports", later)
    assert len(commands.ran) == 1


def test_before_the_hour_of_the_first_the_month_before_is_the_newest(engine: Engine, work: scheduler._Work, commands: Commands) -> None:
    compared(engine, date(2025, 10, 20))
    night(engine, LAST, BEGUN)
    turn(work, "reports", BEGUN - HOUR)
    assert [words[3] for words in commands.ran] == ["2025-10"]
    turn(work, "reports", BEGUN)
    assert len(commands.ran) == 1, "no day of November was compared: there is nothing to write, and nothing is late"
    found = job(engine, "reports")
    assert found is not None
    assert not found.is_late(datetime(2025, 12, 31, 18, tzinfo=UTC))


def test_a_report_that_was_missed_is_made_up_for_and_one_that_failed_is_tried_after_the_next_night(
    engine: Engine, work: scheduler._Work, commands: Commands
) -> None:
    compared(engine, LAST)
    night(engine, date(2025, 12, 19), BEGUN + 20 * 24 * HOUR)
    commands.ends = "exit code 2: see the log"
    turn(work, "reports", BEGUN + 20 * 24 * HOUR)
    turn(work, "reports", BEGUN + 20 * 24 * HOUR + HOUR)
    assert [words[3] for words in commands.ran] == ["2025-11"]
    assert job(engine, "reports").error == commands.ends  # type: ignore[union-attr]
    commands.ends = None
    turn(work, "reports", BEGUN + 21 * 24 * HOUR)
    assert len(commands.ran) == 2
    assert job(engine, "reports").error is None  # type: ignore[union-attr]
