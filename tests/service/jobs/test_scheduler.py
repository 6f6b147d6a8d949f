"""The scheduler: what is due is read from the ledger; a killed, missed or doubled run heals itself."""

import os
import subprocess
from datetime import date, datetime, time, timedelta
from time import monotonic
from zoneinfo import ZoneInfo

import pytest
from job_city import DAYS, OLD_WAYS_OF_MLFLOW, City, counts, day, planted
from processes import Bench, until

from service.clock import parse_as_of
from service.jobs import children, nightly
from service.jobs.scheduler import due, should_train
from service.store import alerts, forecast_sets, runs
from service.store.engine import reading, writing

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)

TWO = time(2)
NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2025-07-10T01:59:59", date(2025, 7, 8)),
        ("2025-07-10T02:00:00", date(2025, 7, 9)),
        ("2025-07-10T23:59:59", date(2025, 7, 9)),
        ("2025-07-11T00:00:00", date(2025, 7, 9)),
        ("2025-03-09T06:59:59+00:00", date(2025, 3, 7)),  # 01:59:59, the last second before summer time
        ("2025-03-09T07:00:00+00:00", date(2025, 3, 8)),  # 03:00: there is no 02:00 that night
        ("2025-11-02T05:59:59+00:00", date(2025, 10, 31)),  # the first 01:59:59
        ("2025-11-02T06:59:59+00:00", date(2025, 10, 31)),  # the second one
        ("2025-11-02T07:00:00+00:00", date(2025, 11, 1)),
        ("2026-01-01T02:00:00", date(2025, 12, 31)),
    ],
)
def test_yesterday_is_due_from_the_nightly_hour_on(now: str, expected: date) -> None:
    assert due(TWO, parse_as_of(now, NEW_YORK).astimezone(NEW_YORK)) == expected


def at(hour: str, n: int = DAYS + 1) -> str:
    """A moment of the n-th day of the city, whose clock is UTC."""
    return f"{day(n)}T{hour}:00+00:00"


def attempt(city: City, night: int, begun: str, status: str, lease: timedelta = nightly.LEASE, force: bool = False) -> None:
    """Writes an attempt at a night into the ledger."""
    moment = datetime.fromisoformat(begun)
    with writing(city.engine) as conn:
        run = runs.start(conn, day(night), "test", moment, lease, force)
        if status == runs.FAILED:
            runs.fail(conn, run, moment, "the disk is full")
        elif status == runs.DONE:
            runs.succeed(conn, run, moment)


def wants(city: City, moment: str) -> bool:
    return should_train(city.engine, city.settings(moment))


def test_an_empty_store_has_nothing_to_train_on(bare: City) -> None:
    assert not wants(bare, at("02:00"))


def test_the_first_counts_are_trained_on_at_once(bare: City) -> None:
    bare.bring(counts(DAYS))
    assert wants(bare, at("00:01"))


def test_a_night_is_done_once_and_the_next_one_comes_at_its_hour(trained: City) -> None:
    assert not wants(trained, at("02:00"))
    assert not wants(trained, at("23:59"))
    assert not wants(trained, at("01:59", DAYS + 2))
    assert wants(trained, at("02:00", DAYS + 2))
    attempt(trained, DAYS + 1, at("02:00", DAYS + 2), runs.DONE)
    assert not wants(trained, at("02:05", DAYS + 2))


def test_of_three_missed_nights_only_the_newest_is_made_up_for(trained: City) -> None:
    assert wants(trained, at("01:00", DAYS + 4))
    attempt(trained, DAYS + 3, at("01:00", DAYS + 4), runs.DONE)
    assert not wants(trained, at("01:10", DAYS + 4))
    assert not wants(trained, at("02:00", DAYS + 4)), "what was made up for early is that night's training"


def test_a_failed_training_is_tried_three_times_with_growing_pauses(trained: City) -> None:
    night, morning = DAYS + 1, DAYS + 2
    attempt(trained, night, at("02:00", morning), runs.FAILED)
    assert not wants(trained, at("02:09", morning))
    assert wants(trained, at("02:10", morning))
    attempt(trained, night, at("02:10", morning), runs.FAILED)
    assert not wants(trained, at("02:29", morning))
    assert wants(trained, at("02:30", morning))
    attempt(trained, night, at("02:30", morning), runs.FAILED)
    assert not wants(trained, at("23:00", morning)), "it needs a person"
    assert wants(trained, at("02:00", morning + 1)), "the next night begins anew"


def test_a_night_that_failed_three_times_leaves_the_next_one_its_attempts(trained: City) -> None:
    """From midnight on another day is the last finished one; whatever broke the night would use its attempts up before its hour comes."""
    morning = DAYS + 2
    for minute in ("02:00", "02:10", "02:30"):
        attempt(trained, DAYS + 1, at(minute, morning), runs.FAILED)
    assert not wants(trained, at("00:00", morning + 1))
    assert not wants(trained, at("01:59", morning + 1))
    for minute in ("02:00", "02:10", "02:30"):
        assert wants(trained, at(minute, morning + 1))
        attempt(trained, DAYS + 2, at(minute, morning + 1), runs.FAILED)
    assert not wants(trained, at("23:59", morning + 1))


def test_a_training_at_work_over_midnight_is_waited_for(trained: City) -> None:
    attempt(trained, DAYS + 1, at("23:55", DAYS + 2), runs.RUNNING, timedelta(minutes=10))
    assert not wants(trained, at("00:04", DAYS + 3))
    assert wants(trained, at("00:05", DAYS + 3))


def test_a_missed_night_that_cannot_be_made_up_for_is_tried_once_more_at_its_hour(trained: City) -> None:
    morning = DAYS + 4
    for minute in ("00:30", "00:40", "01:00"):
        assert wants(trained, at(minute, morning))
        attempt(trained, DAYS + 3, at(minute, morning), runs.FAILED)
    assert not wants(trained, at("01:59", morning))
    assert wants(trained, at("02:00", morning))
    attempt(trained, DAYS + 3, at("02:00", morning), runs.FAILED)
    assert not wants(trained, at("23:59", morning))


def test_a_training_at_work_is_waited_for_and_a_dead_one_replaced(trained: City) -> None:
    morning = DAYS + 2
    attempt(trained, DAYS + 1, at("02:00", morning), runs.RUNNING, timedelta(minutes=10))
    assert not wants(trained, at("02:09", morning))
    assert wants(trained, at("02:10", morning))


def test_a_training_that_was_killed_three_times_is_not_begun_again(trained: City) -> None:
    morning = DAYS + 2
    for minute in ("02:00", "02:20", "02:40"):
        attempt(trained, DAYS + 1, at(minute, morning), runs.RUNNING, timedelta(minutes=10))
    assert not wants(trained, at("05:00", morning))


def test_a_training_that_was_forced_by_day_counts(trained: City) -> None:
    attempt(trained, DAYS, at("09:00"), runs.FAILED, force=True)
    assert not wants(trained, at("12:00")), "the night itself was done"


def test_under_a_frozen_clock_one_training_is_enough(trained: City) -> None:
    settings = trained.settings(day(DAYS))
    assert settings.clock.now() == settings.clock.now()
    assert not should_train(trained.engine, settings)


def scheduler_of(city: City, bench: Bench, n: int) -> subprocess.Popen[bytes]:
    """Starts a scheduler whose clock stands at the end of the n-th day."""
    return bench.start("scheduler", data_dir=city.folder, as_of=day(n), timezone="UTC", country="none")


def stop(bench: Bench, process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    assert process.wait(60) == 0
    until("what it started ends as well", lambda: not bench.living(), 10)


def test_a_scheduler_trains_by_itself_and_watches_what_comes_in(bare: City, bench: Bench) -> None:
    bare.bring(counts(DAYS))
    process = scheduler_of(bare, bench, DAYS)

    def published() -> bool:
        with reading(bare.engine) as conn:
            return forecast_sets.pointer(conn) is not None

    until("a forecast set is published", published)
    until("its training ends", lambda: not any(c.endswith(" train") for c in bench.living().values()))
    bare.bring(planted(counts(DAYS), {("South", "Noise", day(DAYS)): 60}), "more")

    def warned() -> bool:
        with reading(bare.engine) as conn:
            return any((a.area, a.category, a.last_day) == ("South", "Noise", day(DAYS)) for a in alerts.running(conn))

    until("the burst of the new file is an alert", warned)
    second = bench.run("scheduler", data_dir=bare.folder)
    assert second.returncode == 2
    assert second.stderr == f"weisu: {bare.folder}: another scheduler is at work; stop it first: one is enough\n"
    stop(bench, process)
    with reading(bare.engine) as conn:
        assert [run.status for run in runs.list_runs(conn)] == [runs.DONE]
    assert "Traceback" not in bench.said


def test_a_scheduler_that_is_told_to_stop_ends_a_training_within_seconds(bare: City, bench: Bench) -> None:
    bare.bring(counts(180))
    process = scheduler_of(bare, bench, 180)

    def at_work() -> bool:
        with reading(bare.engine) as conn:
            return any(run.status == runs.RUNNING for run in runs.list_runs(conn))

    until("the training is at work", at_work)
    begun = monotonic()
    stop(bench, process)
    assert monotonic() - begun < children.STOP_SECONDS + 10
    with reading(bare.engine) as conn:
        assert forecast_sets.pointer(conn) is None
        (run,) = runs.list_runs(conn)
    assert run.status in (runs.FAILED, runs.RUNNING)


def test_a_training_gives_way_to_everything_else_on_the_machine(bare: City, bench: Bench) -> None:
    bare.bring(counts(DAYS))
    process = scheduler_of(bare, bench, DAYS)

    def training() -> list[int]:
        return [pid for pid, command in bench.living().items() if command.endswith(" train") and not command.startswith("nice ")]

    until("the training is at work", training)
    scheduler, trainer = (os.getpriority(os.PRIO_PROCESS, pid) for pid in (process.pid, *training()))
    assert trainer == min(scheduler + children.NICE, 19)
    stop(bench, process)
