"""`kill -9` of a challenger in shadow: the night is done, its forecasts are served, and the next night has a challenger again."""

import os
import signal
import time
from datetime import date, datetime
from pathlib import Path

import pytest
from job_city import OLD_WAYS_OF_MLFLOW, day
from processes import until
from town import FIRST, Api, Survived, Town, at, end

from service.store import forecast_sets, runs
from service.store.engine import reading

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)

AFTER = (0.0, 1.5, 4.0)  # seconds after its process has begun: it imports, reads, trains


def shadows(town: Town) -> list[date]:
    """The cutoffs of the shadow sets."""
    with reading(town.engine) as conn:
        return [one.cutoff for one in reversed(forecast_sets.list_sets(conn)) if one.shadow]


def failed_at(town: Town) -> datetime | None:
    """When the challenger failed last."""
    job = town.jobs().get("challenger")
    return job and job.failed_at


def test_a_challenger_that_is_killed_leaves_the_night_as_it_is(town: Town, tmp_path: Path, survived: Survived) -> None:
    recipe = tmp_path / "challenger.yaml"
    recipe.write_text("members:\n  seasonal_naive:\n  boosting:\n    trees: 4000\n")
    for night, seconds in enumerate(AFTER, FIRST):
        process = town.scheduler(at(night), challenger=recipe)
        until("the challenger begins", lambda: any(command.endswith("train --challenger") for command in town.bench.living().values()))
        time.sleep(seconds)
        failed_before = failed_at(town)
        for pid, command in town.bench.living().items():
            if command.endswith("train --challenger"):
                os.kill(pid, signal.SIGKILL)
        until("that is noted", lambda before=failed_before: failed_at(town) != before)
        assert town.jobs()["challenger"].error == "killed by signal 9"
        assert town.jobs()["nightly"].error is None
        end(process)
        assert town.states_of(night) == [runs.DONE]
        assert town.cutoff() == day(night)
        whole = set(shadows(town))  # where it was quick, its set was there before it was killed; `cutoff` has looked that none is half
        assert whole <= {day(n) for n in range(FIRST, night + 1)}
    assert len(whole) < len(AFTER), "the moments were no test"
    api = Api(town, at(night))
    assert api.forecasts()[0]["date"] == f"{day(night + 1)}"
    api.stop()
    recipe.write_text("members:\n  seasonal_naive:\n")
    process = town.scheduler(at(night + 1), challenger=recipe)
    until("the next one is there", lambda: day(night + 1) in shadows(town))
    until("that is noted", lambda: town.jobs()["challenger"].error is None)
    end(process)
    assert (shadows(town)[-1], town.cutoff()) == (day(night + 1),) * 2
    survived(
        f"killed {len(AFTER)} times, after its set {len(whole)} times: the nights done and served, none with an error; the next has its challenger"
    )
