"""Whatever the hour: before the nightly one nothing, at it the night, after missed nights the newest; and a dead scheduler is seen."""

import os
import signal
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from job_city import OLD_WAYS_OF_MLFLOW, day
from processes import until
from town import FIRST, Api, Survived, Town, at, end

from service.jobs import scheduler
from service.store import runs

JUMPS = ("+1h", "-1h", "+400d", "-400d", "+30d")

SLEEP = "import select, time; time.sleep = lambda seconds: select.select((), (), (), seconds)"
"""Python sleeps until a moment of the monotonic clock; libfaketime 0.9.10 moves that moment, too, though no jump of a real clock does."""

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)


def test_a_second_before_the_nightly_hour_nothing_begins_and_at_it_the_night_does(town: Town, survived: Survived) -> None:
    early = town.scheduler(at(FIRST, "01:59:59"))
    until("it has looked", lambda: "nightly" in town.jobs())
    assert town.jobs()["nightly"].next_at.isoformat(" ") == at(FIRST, "02:00:00")
    end(early)
    assert town.states_of(FIRST) == []

    punctual = town.scheduler(at(FIRST, "02:00:00"))
    until("the night is trained", lambda: town.is_done(FIRST))
    until("that is noted", lambda: town.jobs()["nightly"].next_at.isoformat(" ") == at(FIRST + 1, "02:00:00"))
    end(punctual)
    assert town.states_of(FIRST) == [runs.DONE]
    assert town.cutoff() == day(FIRST)
    survived("01:59:59: 0 trainings; 02:00:00: 1")


def test_of_three_missed_nights_the_newest_is_made_up_for(town: Town, survived: Survived) -> None:
    newest = FIRST + 2
    process = town.scheduler(at(newest, "09:30:00"))
    until("it is trained", lambda: town.is_done(newest))
    until("that is noted", lambda: "nightly" in town.jobs() and town.jobs()["nightly"].next_at.isoformat(" ") == at(newest + 1, "02:00:00"))
    end(process)
    assert [town.states_of(night) for night in range(FIRST, newest + 1)] == [[], [], [runs.DONE]]
    assert town.cutoff() == day(newest)
    survived("3 nights missed: 1 training, of the newest")


def test_a_scheduler_that_was_killed_is_late_two_minutes_after(town: Town, survived: Survived) -> None:
    process = town.scheduler(at(FIRST, "01:00:00"))
    until("it has looked", lambda: {"scheduler", "nightly"} <= town.jobs().keys())
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    limits = {"scheduler": ("01:00:00", scheduler.BEAT_LATE), "nightly": ("02:00:00", scheduler.NIGHT_LATE)}
    for name, (hour, allowed) in limits.items():
        for later, late in ((allowed, False), (allowed + timedelta(seconds=1), True)):
            api = Api(town, at(FIRST, hour, later))
            told = {job["name"]: job["late"] for job in api.get("/v1/status").json()["jobs"]}
            assert told[name] is late
            assert f'weisu_job_late{{job="{name}"}} {float(late)}' in api.get("/metrics").text.splitlines()
            api.stop()
    survived("the status says late, and the metrics have it")


def test_a_clock_that_jumps_to_and_fro_stops_no_answer(town: Town, survived: Survived) -> None:
    offset = town.bench.folder / "offset"
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    offset.write_text("+0")
    (town.bench.folder / "sitecustomize.py").write_text(SLEEP)
    jumping = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": os.pathsep.join([str(town.bench.folder), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    api = Api(town, "", "forecasts:read", "alerts:read", "tickets:write", "admin", environment=jumping)
    known, now = api.forecasts(), api.get("/v1/status").json()["now"]
    for jump in JUMPS:
        offset.write_text(jump)
        told = api.get("/v1/status").json()
        assert abs(datetime.fromisoformat(told["now"]) - datetime.fromisoformat(now)) > timedelta(minutes=50), "the clock did not jump"
        assert api.forecasts() == known
        for path in ("/readyz", "/v1/alerts", "/v1/runs", "/metrics"):
            api.get(path)
        row = {"ticket_id": jump, "created_at": f"{day(FIRST)}T08:00", "district": "North", "category": "Heat"}
        assert api.client.post("/v1/tickets", json=row).json()["added"] == 1
        assert api.client.post("/v1/tickets", json=row).json()["unchanged"] == 1
    api.stop()
    survived(f"{', '.join(JUMPS)}: every answer as before")
