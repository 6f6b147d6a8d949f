"""The scheduler's looks at what came in."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from experiments import spool
from experiments.tracking import Run
from forecasting.errors import InputError
from service.intake import ingest, requests
from service.intake.bodies import read_json
from service.intake.files import Batch
from service.intake.privacy import Privacy
from service.jobs import children, scheduler
from service.settings import Settings
from service.store import counts, ingests, jobs, runs
from service.store.engine import reading, writing

NOW = datetime(2025, 11, 9, 4, tzinfo=UTC)


class Commands:
    """Stands for the processes that the scheduler starts, and notes which."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.ends: str | None = None

    def run(self, command: str, *_: str) -> str | None:
        self.ran.append(command)
        return self.ends


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

    def batches() -> Iterator[Batch]:
        return read_json(BytesIO(json.dumps(rows).encode()), "tickets", Privacy())

    return requests.accept(engine, requests.Request("0" * 64, batches(), True, "someone"), settings.clock)


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


def job(engine: Engine, name: str) -> jobs.Job:
    with reading(engine) as conn:
        return {one.name: one for one in jobs.list_jobs(conn)}[name]


def test_detection_is_started_again_without_a_new_ingest(engine: Engine, settings: Settings, commands: Commands, work: scheduler._Work) -> None:
    post(engine, settings, "a")
    work.apply()
    work.look()
    work.rests_until = time.monotonic()
    work.look()
    assert commands.ran == ["watch"]
    work.watch_again()
    work.look()
    assert commands.ran == ["watch", "watch"]


def test_how_detection_stands_is_noted(engine: Engine, settings: Settings, commands: Commands, work: scheduler._Work) -> None:
    post(engine, settings, "a")
    work.apply()
    commands.ends = "killed by signal 9"
    work.look()
    failed = job(engine, "watch")
    assert (failed.started_at, failed.succeeded_at, failed.error) == (NOW, None, "killed by signal 9")
    assert failed.late_at == NOW + scheduler.WATCH_LATE
    commands.ends, work.rests_until = None, time.monotonic()
    work.watch_again()
    work.look()
    done = job(engine, "watch")
    assert (done.succeeded_at, done.error, done.next_at) == (NOW, None, NOW + scheduler.WATCH_EVERY)
    assert done.late_at == NOW + scheduler.WATCH_EVERY + scheduler.WATCH_LATE


def test_how_the_nightly_training_stands_is_noted_by_the_ledger(engine: Engine, folder: Path, commands: Commands, work: scheduler._Work) -> None:
    post(engine, work.settings, "a")
    work.apply()
    work.reconcile()
    assert commands.ran == []
    tonight = datetime(2025, 11, 9, 18, tzinfo=UTC)  # 02:00 in Shanghai
    done = job(engine, "nightly")
    assert (done.succeeded_at, done.next_at, done.late_at) == (NOW, tonight, tonight + scheduler.NIGHT_LATE)

    work.settings = Settings(data_dir=folder, as_of=tonight.isoformat())
    commands.ends = "exit code 1: see the log"
    work.reconcile()
    assert commands.ran == ["train"]
    failed = job(engine, "nightly")
    assert (failed.started_at, failed.failed_at, failed.error) == (tonight, tonight, "exit code 1: see the log")
    assert failed.late_at == tonight + scheduler.NIGHT_LATE


def at(work: scheduler._Work, moment: datetime) -> None:
    work.settings = Settings(data_dir=work.settings.data_dir, as_of=moment.isoformat())
    work.reconcile()


def test_trainings_that_die_before_they_note_themselves_are_attempts_with_pauses_and_let_others_have_their_turn(
    engine: Engine, commands: Commands, work: scheduler._Work
) -> None:
    post(engine, work.settings, "a")
    work.apply()
    tonight = datetime(2025, 11, 9, 18, tzinfo=UTC)
    commands.ends = "exit code 2: see the log"
    begun = []
    for minutes in range(0, 24 * 60, 5):
        before = len(commands.ran)
        at(work, tonight + timedelta(minutes=minutes))
        begun += [minutes] * (len(commands.ran) - before)
        assert not scheduler.should_train(engine, work.settings), "the others' turn"
    assert begun == [0, 10, 30], "a first attempt, one after ten minutes, one after twenty more"
    with reading(engine) as conn:
        tried = [run for run in runs.list_runs(conn) if run.business_date == date(2025, 11, 9)]
    assert [(run.status, run.error) for run in tried] == [(runs.FAILED, commands.ends)] * 3
    assert job(engine, "nightly").error == commands.ends


def test_a_training_that_was_stopped_with_the_scheduler_is_no_attempt(engine: Engine, commands: Commands, work: scheduler._Work) -> None:
    post(engine, work.settings, "a")
    work.apply()
    commands.ends = children.STOPPED
    at(work, datetime(2025, 11, 9, 18, tzinfo=UTC))
    assert commands.ran == ["train"]
    with reading(engine) as conn:
        assert runs.latest(conn, date(2025, 11, 9)) is None


def test_a_history_too_short_to_learn_from_is_not_trained_on_and_the_job_says_so(engine: Engine, settings: Settings, commands: Commands) -> None:
    work = scheduler._Work(engine, settings, commands)
    work.reconcile()
    with reading(engine) as conn:
        assert jobs.list_jobs(conn) == [], "an empty store is no failure"
    post(engine, settings, "a")
    work.apply()
    at(work, NOW + timedelta(days=1))
    assert commands.ran == []
    assert (job(engine, "nightly").error or "").startswith("training: only 1 days of counts")


def test_nights_that_mlflow_does_not_take_are_told_by_a_job_of_their_own(engine: Engine, commands: Commands, work: scheduler._Work) -> None:
    work.send()
    assert commands.ran == []
    assert (job(engine, "mlflow").succeeded_at, job(engine, "mlflow").error) == (NOW, None)

    folder = spool.write(work.settings.spool_dir, [Run("a night")], lambda _: None)
    work.send()
    assert commands.ran == ["mlflow"]
    assert job(engine, "mlflow").error == "1 waits for MLflow"
    assert not job(engine, "mlflow").is_late(NOW + timedelta(hours=23))
    assert job(engine, "mlflow").is_late(NOW + timedelta(hours=25))

    aside = folder.parent / "refused" / folder.name
    aside.parent.mkdir()
    folder.rename(aside)
    (aside / "reason").write_text("a bug of the server's")
    work.send()
    assert job(engine, "mlflow").error == f"1 set aside in {aside.parent}, the newest because: a bug of the server's"


def test_a_scheduler_that_beats_is_not_late(engine: Engine, work: scheduler._Work) -> None:
    work.beat()
    assert not job(engine, "scheduler").is_late(NOW + scheduler.BEAT_EVERY)
    assert job(engine, "scheduler").is_late(NOW + timedelta(minutes=3))


def test_housekeeping_is_done_once_a_day_and_made_up_for(
    engine: Engine, folder: Path, work: scheduler._Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[datetime] = []
    monkeypatch.setattr(scheduler.housekeeping, "run", lambda db, settings: done.append(settings.clock.now()))
    moments = [NOW, NOW + timedelta(hours=1), NOW.replace(hour=19, minute=59), NOW.replace(hour=20), NOW + timedelta(days=5)]
    for moment in moments:
        work.settings = Settings(data_dir=folder, as_of=moment.isoformat())
        work.keep_house()
    assert done == [moments[0], moments[3], moments[4]], "04:00 in Shanghai is 20:00 UTC"


def test_housekeeping_that_fails_is_noted_and_tried_again(engine: Engine, folder: Path, work: scheduler._Work) -> None:
    (folder / "file").write_text("in the way")
    work.settings = Settings(data_dir=folder, as_of=NOW.isoformat(), backup_dir=str(folder / "file" / "below"))
    work.keep_house()
    failed = job(engine, "housekeeping")
    assert failed.succeeded_at is None
    assert "backup" in (failed.error or "")
    work.settings = Settings(data_dir=folder, as_of=failed.next_at.isoformat())
    work.keep_house()
    assert job(engine, "housekeeping").error is None


def test_while_the_store_does_not_answer_each_job_says_so_once_and_goes_on_when_it_does(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = iter([False] * 8 + [True] + [False] * 4 + [True] * 1000)
    asked: list[bool] = []

    def apply(*_: object) -> int:
        asked.append(next(answers))
        if not asked[-1]:
            raise OperationalError("select", {}, Exception("the server is gone"))
        return 1

    monkeypatch.setattr(requests, "apply_all_waiting", apply)
    monkeypatch.setattr(scheduler, "APPLY_EVERY", timedelta(seconds=0.05))
    monkeypatch.setattr(scheduler, "BEAT_EVERY", timedelta(seconds=0.2))
    with caplog.at_level("INFO"), pytest.raises(InputError, match="leads"):
        scheduler._run(engine, settings, lambda: len(asked) < 20, ())
    told = [record for record in caplog.records if getattr(record, "job", "") == "apply" or record.exc_info]
    assert [(record.getMessage(), record.levelname) for record in told] == [("job.waits_for_store", "WARNING")] * 2, "once for each silence"
    assert not any(record.exc_info for record in caplog.records)
    assert any(record.getMessage() == "requests.applied" for record in caplog.records)
