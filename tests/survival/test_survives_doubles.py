"""Two schedulers at once, a trainer that was stopped and goes on, a machine that slept: one training, and only the newest attempt publishes.
Several API workers: one answer."""

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from job_city import DAYS, OLD_WAYS_OF_MLFLOW, day
from processes import until
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from town import AFTER_THE_LEASE, FIRST, SLEPT, Api, Survived, Town, at, end, make_publishing_long, reach, rest_of

from forecasting.errors import InputError
from service.store import forecast_sets, runs
from service.store.engine import ADVISORY_LOCK, PAUSE, reading, writing
from service.store.leader import LEADERS_LOCK

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)

NIGHTS = 20  # at which two schedulers start at once; as many on each kind of database
ROUNDS = 20
TIMES = 5  # as long as it takes to be killed at it, publishing takes to be stopped at it
BESIDE = 15.0  # seconds that a busy machine may add


def _elsewhere(town: Town, folder: Path) -> dict[str, object]:
    """Settings of a second machine: over a database server it has a data folder of its own."""
    return {"data_dir": folder, "mlflow_tracking_uri": town.settings("").tracking_uri} if town.url else {}


def _trains(town: Town) -> list[int]:
    return [pid for pid, command in town.bench.living().items() if command.endswith(" train")]


def _trained_and_quiet(town: Town, night: int) -> bool:
    return town.is_done(night) and not _trains(town)


def test_of_two_schedulers_that_start_at_once_one_works(town: Town, tmp_path: Path, survived: Survived) -> None:
    won = [0, 0]
    for night in range(FIRST, FIRST + NIGHTS):
        both = [town.scheduler(at(night)), town.scheduler(at(night), **_elsewhere(town, tmp_path / "elsewhere"))]
        until("the night is trained", lambda night=night: _trained_and_quiet(town, night))
        until("one of both has given way", lambda both=both: any(process.poll() is not None for process in both))
        (loser,) = [process for process in both if process.poll() is not None]
        assert loser.wait() == 2
        winner = both[1 - both.index(loser)]
        won[both.index(winner)] += 1
        end(winner)
        assert town.states_of(night) == [runs.DONE]
        assert town.cutoff() == day(night)
    assert town.bench.said.count("another scheduler is at work") == NIGHTS
    assert "Traceback" not in town.bench.said
    survived(f"{NIGHTS} times two schedulers at once, {NIGHTS} trainings; the first one won {won[0]} times")


def untold(town: Town) -> list[runs.Run]:
    """The ledger, but for MLflow, which is told of a lost attempt as well."""
    return [replace(run, mlflow_run_id=None) for run in town.runs_of(FIRST)]


@pytest.mark.parametrize("phase", ["fit", "logging"])
def test_a_trainer_that_was_stopped_for_longer_than_its_lease_does_not_publish(town: Town, phase: str, survived: Survived) -> None:
    stopped = town.train(at(FIRST))
    assert reach(stopped, phase)
    os.kill(stopped.pid, signal.SIGSTOP)
    try:
        town.train_in_this_process(at(FIRST, later=AFTER_THE_LEASE))
        before = town.cutoff(), untold(town)
    finally:
        os.kill(stopped.pid, signal.SIGCONT)
    code, told = rest_of(stopped)
    assert code == 1
    assert "no longer running" in told
    assert (town.cutoff(), untold(town)) == before
    assert town.states_of(FIRST) == [runs.FAILED, runs.DONE]
    survived("went on after its lease and published nothing")


def _publishes(town: Town) -> bool:
    """Whether a process is in the middle of what it writes."""
    if town.url:
        held = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32) + objid::bigint = {ADVISORY_LOCK}"
        with reading(town.engine) as conn:
            return bool(conn.execute(text(held)).scalar_one())
    with closing(sqlite3.connect(town.engine.url.database or "", timeout=0, isolation_level=None)) as conn:
        try:
            conn.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        return False


def test_a_trainer_that_was_stopped_while_it_published_for_longer_than_its_lease_publishes_once_or_not_at_all(town: Town, survived: Survived) -> None:
    """SQLite's lock is a file's and stays with whoever holds it: nobody can take the night over. A server undoes the transaction, and then another
    may."""
    make_publishing_long(town.engine, TIMES)
    stopped = town.train(at(FIRST))
    assert reach(stopped, "publishing")
    until("it writes", lambda: _publishes(town))
    os.kill(stopped.pid, signal.SIGSTOP)
    try:
        time.sleep(SLEPT)  # a commit that was on its way is there by then
        assert _publishes(town), "it was over before"
        with pytest.raises(OperationalError, match="lock"):
            town.train_in_this_process(at(FIRST, later=AFTER_THE_LEASE))
        assert town.cutoff() == day(DAYS), "the old forecasts go on being served"
        if town.url:
            until("the server has undone it", lambda: not _publishes(town), PAUSE + BESIDE)
            town.train_in_this_process(at(FIRST, later=AFTER_THE_LEASE))
        before = town.cutoff(), untold(town)
    finally:
        os.kill(stopped.pid, signal.SIGCONT)
    code, told = rest_of(stopped)
    if town.url:
        assert code == 1, told
        assert "the database failed meanwhile" in told, "the server has hung up"
        assert (town.cutoff(), untold(town)) == before
        assert town.states_of(FIRST) == [runs.FAILED, runs.DONE]
    else:
        assert code == 0, told
        assert town.states_of(FIRST) == [runs.DONE]
    assert town.cutoff() == day(FIRST)
    with pytest.raises(InputError, match="is done"):
        town.train_in_this_process(at(FIRST, later=2 * AFTER_THE_LEASE))
    survived("undone while it stood still, then done by another" if town.url else "nobody could take it over; it went on and published, once")


def _stop(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


def test_a_machine_that_slept_finds_another_scheduler_at_work_and_gives_way(town: Town, tmp_path: Path, survived: Survived) -> None:
    if not town.url:
        pytest.skip("two machines need a database server")
    first: subprocess.Popen[bytes] = town.scheduler(at(FIRST))
    until("its training is at work", lambda: town.states_of(FIRST) == [runs.RUNNING])
    asleep = [first.pid, *_trains(town)]
    _stop(asleep, signal.SIGSTOP)
    try:
        with writing(town.engine) as conn:  # as the server does with a client that answers no longer
            own = f"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32) + objid::bigint = {LEADERS_LOCK}"
            assert conn.execute(text(f"SELECT count(pg_terminate_backend(pid)) FROM ({own}) AS leader")).scalar_one() == 1
        second = town.scheduler(at(FIRST, later=AFTER_THE_LEASE), **_elsewhere(town, tmp_path / "elsewhere"))
        until("the night is trained", lambda: town.is_done(FIRST))
        before = town.cutoff(), untold(town)
    finally:
        _stop(asleep, signal.SIGCONT)
    assert first.wait(120) == 2
    assert "this scheduler leads" in town.bench.said
    assert (town.cutoff(), untold(town)) == before
    assert town.states_of(FIRST) == [runs.FAILED, runs.DONE]
    assert second.poll() is None
    end(second)
    survived("gave way when it woke, its training published nothing")


def test_three_api_workers_agree_within_a_second_after_a_publish(town: Town, survived: Survived) -> None:
    town.train_in_this_process(at(FIRST))
    with reading(town.engine) as conn:
        sets = {one.id: f"{one.cutoff}" for one in forecast_sets.list_sets(conn) if one.published_at is not None}
    workers = [Api(town, at(FIRST)) for _ in range(3)]
    slowest = 0.0
    for number in range(ROUNDS):
        wanted = sorted(sets)[number % 2]
        with writing(town.engine) as conn:
            forecast_sets.point(conn, wanted, town.settings(at(FIRST)).clock.now())
        moved = time.monotonic()
        first_day = day(FIRST if sets[wanted] == f"{day(FIRST - 1)}" else FIRST + 1)

        def agreed(first_day: object = first_day) -> bool:
            return all(worker.forecasts()[0]["date"] == f"{first_day}" for worker in workers)

        until("they agree", agreed, 10)
        slowest = max(slowest, time.monotonic() - moved)
        for _ in range(5):
            assert agreed(), "one has gone back"
    for worker in workers:
        worker.stop()
    assert slowest < 1.0
    survived(f"{ROUNDS} times three workers agreed, after {slowest:.2f} s at most")
