"""A training that hangs: it is killed at its limit, the old forecasts go on being served, and the night is made up for."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from job_city import DAYS, OLD_WAYS_OF_MLFLOW, day
from town import AFTER_THE_LEASE, FIRST, Survived, Town, at

from service.jobs import children
from service.store import runs

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)

LIMIT = timedelta(seconds=15)  # in the place of two hours: on a usual machine it hangs by then
BESIDE = 30.0  # seconds that a busy machine may add


def test_a_training_that_hangs_is_killed_at_its_limit_and_made_up_for(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: Survived
) -> None:
    recipe = tmp_path / "recipe.yaml"
    os.mkfifo(recipe)  # to read it is to wait for somebody who never writes
    begun = time.monotonic()
    with monkeypatch.context() as patch, ThreadPoolExecutor(1) as aside:
        for name, value in town.bench.environment(town.environment(at(FIRST), recipe=recipe)).items():
            patch.setenv(name, value)
        patch.setattr(children, "LIMIT", LIMIT)
        running = aside.submit(children.Children().run, "train")
        try:
            ended = running.result(LIMIT.total_seconds() + BESIDE)
        finally:
            town.bench.kill_all()
    took = time.monotonic() - begun
    assert ended == "killed by signal 9"
    assert took >= LIMIT.total_seconds()
    assert town.states_of(FIRST) in ([runs.RUNNING], []), "where it was slow, it had not begun to hang"
    assert town.cutoff() == day(DAYS)
    town.train_in_this_process(at(FIRST, later=AFTER_THE_LEASE))
    assert town.is_done(FIRST)
    assert town.cutoff() == day(FIRST)
    survived(f"killed after {took:.0f} s, then done")
