"""`kill -9` at any moment of a night: the old forecasts go on being served, no half set is left, and the night is done once."""

import os
import random
import signal
import time
from datetime import timedelta

import pytest
from job_city import DAYS, OLD_WAYS_OF_MLFLOW, day
from processes import until
from sqlalchemy import text
from town import AFTER_THE_LEASE, FIRST, NIGHTS, Api, Survived, Town, at, end, make_publishing_long, reach, rest_of

from forecasting.errors import InputError
from service.jobs.scheduler import NIGHTLY
from service.store import runs
from service.store.engine import reading

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)

PHASES = ("fit", "logging", "publishing")
POINTS = 21  # moments at which a training is killed, as many in each phase, and as many on each kind of database
MOST = 30  # of a phase that is short on a fast machine, some moments come too late


def _seconds_of_phases(town: Town, night: int) -> dict[str, float]:
    """How long each phase takes, by a training that nobody kills."""
    process = town.train(at(night))
    begun = []
    for phase in (*PHASES, "detecting"):
        assert reach(process, phase), phase
        begun.append(time.monotonic())
    assert rest_of(process)[0] == 0
    return {phase: end - start for phase, start, end in zip(PHASES, begun[:-1], begun[1:], strict=True)}


def test_a_training_killed_at_any_moment_is_made_up_for_once(town: Town, survived: Survived) -> None:
    api = Api(town, at(DAYS + NIGHTS))
    make_publishing_long(town.engine)
    seconds = _seconds_of_phases(town, FIRST)
    moments = random.Random(6)
    half_way = dict.fromkeys(PHASES, 0)
    night = points = 0
    while points < POINTS or (min(half_way.values()) == 0 and points < MOST):
        phase, night = PHASES[points % len(PHASES)], FIRST + 1 + points
        points += 1
        served = api.forecasts()
        process = town.train(at(night))
        assert reach(process, phase)
        time.sleep(moments.uniform(0, seconds[phase]))
        os.kill(process.pid, signal.SIGKILL)
        code, _ = rest_of(process)
        assert code in (0, -signal.SIGKILL)

        if town.is_done(night):  # it was published before it was killed
            assert town.cutoff() == day(night)
        else:
            half_way[phase] += 1
            assert town.states_of(night) == [runs.RUNNING]
            assert town.cutoff() == day(night - 1)
            assert api.forecasts() == served, "the old forecasts go on being served"
            with pytest.raises(InputError, match="is at work"):
                town.train_in_this_process(at(night, later=AFTER_THE_LEASE - timedelta(seconds=2)))
            town.train_in_this_process(at(night, later=AFTER_THE_LEASE))
            assert town.states_of(night) == [runs.FAILED, runs.DONE]
            assert town.runs_of(night)[0].error == "the lease ran out"
        with pytest.raises(InputError, match="is done"):
            town.train_in_this_process(at(night, later=2 * AFTER_THE_LEASE))
        assert town.cutoff() == day(night)
        assert api.forecasts()[0]["date"] == f"{day(night + 1)}"
    assert min(half_way.values()) > 0, f"the moments were no test: {half_way}"
    assert [town.states_of(n).count(runs.DONE) for n in range(DAYS, night + 1)] == [1] * (night - DAYS + 1)
    api.stop()
    told = ", ".join(f"{number} in {phase}" for phase, number in half_way.items())
    survived(f"killed at {points} moments, half-way {told}; {night - FIRST} nights, each done once")


def _sleeps(town: Town) -> int:
    """How many sessions of the town's database sleep in the middle of a statement."""
    with reading(town.engine) as conn:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
        return int(conn.execute(text(asked)).scalar_one())


def test_a_server_that_works_on_for_a_training_that_was_killed_keeps_nobody_waiting(town: Town, survived: Survived) -> None:
    if not town.url:
        pytest.skip("of SQLite nothing is left at work when the process is gone")
    with town.engine.begin() as conn:
        conn.exec_driver_sql("CREATE FUNCTION work() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN NEW; END'")
        conn.exec_driver_sql("CREATE TRIGGER work BEFORE INSERT ON forecast_sets FOR EACH ROW EXECUTE FUNCTION work()")
    scheduler = town.scheduler(at(FIRST))
    until("it publishes", lambda: _sleeps(town) == 1)
    killed = time.monotonic()
    os.kill(town.bench.the(" train"), signal.SIGKILL)
    until("the scheduler has noted the end of the training", lambda: town.jobs()[NIGHTLY].error, 15)
    noted = time.monotonic() - killed
    assert town.jobs()[NIGHTLY].error == "killed by signal 9"
    assert _sleeps(town) == 0, "what the server did for it is over"
    assert town.cutoff() == day(DAYS)
    end(scheduler)
    with town.engine.begin() as conn:
        conn.exec_driver_sql("DROP TRIGGER work ON forecast_sets")
    town.train_in_this_process(at(FIRST, later=AFTER_THE_LEASE))
    assert town.states_of(FIRST) == [runs.FAILED, runs.DONE]
    survived(f"killed while the server published: noted after {noted:.1f} s, then done")
