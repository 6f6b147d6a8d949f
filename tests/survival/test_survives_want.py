"""No memory, no disk: the night fails and says so, the old forecasts stay, and it heals when there is room."""

import json
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from job_city import DAYS, OLD_WAYS_OF_MLFLOW, day
from sqlalchemy import func, select
from town import AFTER_THE_LEASE, FIRST, Api, Survived, Town, at, reach, rest_of

from service.store import runs
from service.store.engine import reading
from service.store.schema import tickets

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)

DISK_MB = 64
SPARE = 4 << 20  # bytes that a training out of memory still gets: less than it needs, enough to say so


def _size(pid: int) -> int:
    """Address space of a process, bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def test_a_training_out_of_memory_says_so_and_the_next_one_succeeds(town: Town, survived: Survived) -> None:
    process = town.train(at(FIRST))
    assert reach(process, "fit")
    resource.prlimit(process.pid, resource.RLIMIT_AS, (_size(process.pid) + SPARE,) * 2)
    code, told = rest_of(process)
    assert code == 1, (code, told)
    assert "memory" in told.lower()
    (run,) = town.runs_of(FIRST)
    if run.status == runs.FAILED:
        assert "memory" in (run.error or "").lower()
    else:  # a library ended the process where it stood, as a kill would: its lease runs out
        assert run.status == runs.RUNNING
    assert town.cutoff() == day(DAYS)
    town.train_in_this_process(at(FIRST, later=AFTER_THE_LEASE))
    assert town.states_of(FIRST) == [runs.FAILED, runs.DONE]
    assert town.cutoff() == day(FIRST)
    survived(f"failed ({told.strip().splitlines()[-1]}), then done")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, in memory."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(folder: Path, but: int) -> Path:
    """Fills a disk, but for some bytes."""
    free = os.statvfs(folder)
    path = folder / "filler"
    path.write_bytes(bytes(max(free.f_bavail * free.f_frsize - but, 0)))
    return path


def test_a_full_disk_stops_no_forecast_that_is_there_and_heals(town_in: Callable[[Path], Town], small_disk: Path, survived: Survived) -> None:
    town = town_in(small_disk / "data")
    town.engine.dispose()  # the last one who has an SQLite database open tidies it up: what is written next needs room
    process = town.train(at(FIRST))
    assert reach(process, "fit")
    filler = _fill(small_disk, 0)
    code, told = rest_of(process)
    if town.url:  # the database has a disk of its own: the night is published, without its record in MLflow
        assert code == 0, told
        assert town.states_of(FIRST) == [runs.DONE]
        assert town.runs_of(FIRST)[0].mlflow_run_id is None
    else:
        assert code == 1, told
        assert "disk" in told
        assert town.states_of(FIRST)[0] in (runs.FAILED, runs.RUNNING)  # where not even the failure could be written, its lease runs out
        assert town.cutoff() == day(DAYS)
    filler.unlink()
    if not town.url:
        town.train_in_this_process(at(FIRST, later=AFTER_THE_LEASE))
        assert town.states_of(FIRST) == [runs.FAILED, runs.DONE]
    assert town.cutoff() == day(FIRST)
    done = town.train_in_this_process(at(FIRST + 1))
    assert done.mlflow_run_id is not None
    assert town.states_of(FIRST + 1) == [runs.DONE]
    survived("published without MLflow" if town.url else "failed, then done when there was room")


def test_a_full_disk_takes_no_tickets_says_so_and_goes_on_when_there_is_room(
    town_in: Callable[[Path], Town], small_disk: Path, survived: Survived
) -> None:
    town = town_in(small_disk / "data")
    if town.url:
        pytest.skip("the database has a disk of its own")
    town.engine.dispose()
    api = Api(town, at(FIRST), "forecasts:read", "tickets:write")
    known = api.forecasts()

    def send(name: str) -> httpx.Response:
        rows = [
            {"ticket_id": f"{name}-{n}", "created_at": f"{day(DAYS)}T08:00", "district": "North", "category": "Heat", "status": "x" * 100}
            for n in range(1500)
        ]
        headers = {"Content-Type": "application/json", "Idempotency-Key": name}
        return api.client.post("/v1/tickets", content=json.dumps(rows), headers=headers)

    filler = _fill(small_disk, 0)
    refused = [send(f"{number}") for number in range(3)]
    for answer in refused:
        assert answer.status_code == 503, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    assert api.client.get("/livez").status_code == 200
    assert api.forecasts() == known
    filler.unlink()
    taken = [send(f"{number}") for number in range(3)]
    assert [answer.status_code for answer in taken] == [200] * 3
    assert [answer.json()["added"] for answer in taken] == [1500] * 3
    with reading(town.engine) as conn:
        assert conn.execute(select(func.count()).select_from(tickets)).scalar_one() == 4500
    api.stop()
    survived(f"3 requests refused ({refused[0].json()['detail']}), then taken")
