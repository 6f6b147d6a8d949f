"""A Dask cluster does what processes of this machine do otherwise: a real scheduler and real workers."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import tables
from processes import free_port, until

from experiments import recipes, replay, rolling, workers
from forecasting.errors import InputError
from service.cli import main

ROOT = Path(__file__).parents[2]
STRICT = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}  # a piece that ends its worker is not tried on three others first
CUTOFFS = ("2024-07-20", "2024-07-28", "2024-08-06")


class Cluster:
    """A scheduler on a free port of this machine, and workers of one thread each.

    Attributes:
        address: the scheduler's.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []
        self.address = ""

    def scheduler(self, code: Path = ROOT) -> subprocess.Popen[bytes]:
        """Starts the scheduler, with our packages from somewhere."""
        told = self._folder / "scheduler.json"
        flags = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(told))
        process = self._start(code, "dask_scheduler", *flags)
        until("the scheduler to tell its address", told.exists)
        until("all of its address", lambda: told.read_text().endswith("}"))
        self.address = json.loads(told.read_text())["address"]
        return process

    def worker(self, name: str, code: Path = ROOT) -> subprocess.Popen[bytes]:
        """Starts a worker that has our packages from somewhere."""
        flags = ("--host", "127.0.0.1", "--no-dashboard", "--no-nanny", "--nthreads", "1", "--name", name, "--local-directory", str(self._folder))
        return self._start(code, "dask_worker", self.address, *flags)

    def _start(self, code: Path, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(code), *sys.path]), **STRICT}
        with (self._folder / "said.txt").open("ab") as said:
            process = subprocess.Popen(command, cwd=self._folder, env=environment, stdout=said, stderr=said)
        self._started.append(process)
        return process

    def kill_all(self) -> None:
        """Kills what lives."""
        for process in self._started:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path / "cluster")
    yield made
    made.kill_all()


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and two workers, which the test leaves as they are."""
    made = Cluster(tmp_path_factory.mktemp("working") / "cluster")
    made.scheduler()
    for name in ("one", "two"):
        made.worker(name)
    yield made
    made.kill_all()


@pytest.fixture
def request_(tmp_path: Path) -> rolling.Request:
    tables.write(tables.counts(tables.tickets(170)), tmp_path / "counts.parquet")
    (tmp_path / "quick.yaml").write_text(tables.QUICK)
    return rolling.Request(CUTOFFS, counts=tmp_path / "counts.parquet", config=tmp_path / "quick.yaml", horizon=10, country="none")


def test_a_backtest_in_a_cluster_gives_the_same_bytes(working: Cluster, request_: rolling.Request, tmp_path: Path) -> None:
    rolling.run(request_, tmp_path / "processes")
    done: list[int] = []
    rolling.run(replace(request_, scheduler=working.address), tmp_path / "cluster_out", done.append)
    for name in ("forecasts.parquet", "scores.parquet"):
        assert (tmp_path / "cluster_out" / name).read_bytes() == (tmp_path / "processes" / name).read_bytes()
    assert done == [1, 2, 3]


def test_a_replay_in_a_cluster_gives_the_same_bytes(working: Cluster, request_: rolling.Request, tmp_path: Path) -> None:
    lived = replay.Request("2024-07-20", "2024-08-02", counts=request_.counts, config=request_.config, country="none", refit_days=7)
    replay.run(lived, tmp_path / "processes")
    replay.run(replace(lived, scheduler=working.address), tmp_path / "cluster_out")
    for name in ("alerts.parquet", "scores.parquet"):
        assert (tmp_path / "cluster_out" / name).read_bytes() == (tmp_path / "processes" / name).read_bytes()


def test_pieces_are_worked_on_in_the_cluster_as_many_at_a_time_as_it_has_threads(working: Cluster) -> None:
    def at_once(pieces: int) -> int:
        with workers.fan_out(pieces, 1, working.address) as (_, found):
            return found

    until("both workers are there", lambda: at_once(64) == 2)
    assert at_once(1) == 1
    assert asked(working.address, os.getpid) != os.getpid()


def asked(address: str, work: Callable[..., object], *arguments: object) -> object:
    """What a piece of work gives in a cluster."""
    with workers.fan_out(2, 1, address) as (executor, _):
        assert executor is not None
        return executor.submit(work, *arguments).result()


def test_bad_input_found_in_a_worker_is_the_same_error(working: Cluster, tmp_path: Path) -> None:
    with pytest.raises(InputError) as here:
        recipes.load(tmp_path / "none.yaml")
    with pytest.raises(InputError) as there:
        asked(working.address, recipes.load, tmp_path / "none.yaml")
    assert str(there.value) == str(here.value)


def test_a_failure_leaves_no_work_in_the_cluster(working: Cluster, tmp_path: Path) -> None:
    def begun() -> int:
        return len(list(tmp_path.glob("begun-*")))

    def begin() -> None:
        with workers.fan_out(20, 1, working.address) as (executor, _):
            assert executor is not None
            futures = [executor.submit(os.system, f"touch '{tmp_path}/begun-{i}'; sleep 0.5") for i in range(20)]
            until("the first pieces", begun)
            assert not futures[-1].done()
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        begin()
    time.sleep(2)
    assert begun() <= 6


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tcp://127.0.0.1:{port}", "no Dask scheduler can be reached: Timed out trying to connect to tcp://127.0.0.1:{port} after 1 s"),
        ("scheduler", "no Dask scheduler can be reached: missing port number in address 'scheduler'"),
        ("http://127.0.0.1:{port}", "no Dask scheduler can be reached: unknown address scheme 'http'"),
        ("tls://127.0.0.1:{port}", "no Dask scheduler can be reached: TLS expects a `ssl_context`"),
    ],
)
def test_a_scheduler_that_is_not_there_is_one_clear_error(
    address: str, message: str, request_: rolling.Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 1.0)
    port = free_port()
    address = address.format(port=port)
    with pytest.raises(InputError) as error:
        rolling.forecast(replace(request_, scheduler=address))
    assert str(error.value).startswith(f"WEISU_DASK_SCHEDULER, {address}: {message.format(port=port)}")
    assert str(error.value).endswith("; start one, name it like tcp://host:8786, or leave it out")


def test_a_scheduler_without_workers_is_one_clear_error(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 1.0)
    cluster.scheduler()
    with pytest.raises(InputError, match=r"^WEISU_DASK_SCHEDULER, tcp://\S+: the Dask scheduler has no worker; start some: dask worker "):
        workers.fan_out(2, 1, cluster.address).__enter__()


def test_a_scheduler_that_dies_in_the_middle_is_one_clear_error(
    cluster: Cluster, request_: rolling.Request, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = cluster.scheduler()
    cluster.worker("one")
    many = replace(request_, cutoffs=tuple(f"2024-07-{day}" for day in range(10, 30)), scheduler=cluster.address)

    def kill(done: int) -> None:
        if done == 2:
            scheduler.kill()

    began = time.monotonic()
    with pytest.raises(InputError, match=r"^WEISU_DASK_SCHEDULER, tcp://\S+: the Dask scheduler was lost while it was at work; see the logs"):
        rolling.run(many, tmp_path / "out", kill)
    assert time.monotonic() - began < 60
    assert not (tmp_path / "out").exists()
    assert not caplog.records  # one error, not several


def test_a_scheduler_that_dies_while_all_wait_for_it_is_one_clear_error(cluster: Cluster) -> None:
    scheduler = cluster.scheduler()
    cluster.worker("one")
    with pytest.raises(InputError, match=r": the Dask scheduler was lost while it was at work; "):
        asked(cluster.address, os.system, f"kill -9 {scheduler.pid}; sleep 5")


def test_a_piece_that_kills_its_workers_is_one_clear_error(cluster: Cluster) -> None:
    cluster.scheduler()
    cluster.worker("one")
    with pytest.raises(InputError, match=r"^WEISU_DASK_SCHEDULER, tcp://\S+: the Dask cluster lost its workers: "):
        asked(cluster.address, os._exit, 1)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Our packages, but not quite."""
    for package in ("forecasting", "experiments"):
        shutil.copytree(ROOT / package, tmp_path / "other" / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "other" / "forecasting" / "other.py").touch()
    return tmp_path / "other"


def test_a_worker_with_other_code_is_named_before_the_work_begins(cluster: Cluster, other: Path) -> None:
    cluster.scheduler()
    cluster.worker("one", other)
    with pytest.raises(InputError, match=r": worker tcp://\S+ has Weisu's code \w{12} in the place of \w{12}; install the same there"):
        workers.fan_out(2, 1, cluster.address).__enter__()


def test_a_scheduler_with_other_code_is_named_before_the_work_begins(cluster: Cluster, other: Path) -> None:
    cluster.scheduler(other)
    cluster.worker("one")
    with pytest.raises(InputError, match=r": the scheduler has Weisu's code \w{12} in the place of \w{12}; install the same there"):
        workers.fan_out(2, 1, cluster.address).__enter__()


@pytest.mark.parametrize("who", ["scheduler", "worker"])
def test_a_machine_without_our_code_is_named_before_the_work_begins(cluster: Cluster, tmp_path: Path, who: str) -> None:
    none = tmp_path / "none"
    (none / "experiments").mkdir(parents=True)
    (none / "experiments" / "__init__.py").touch()  # stands before ours
    cluster.scheduler(none if who == "scheduler" else ROOT)
    cluster.worker("one", none if who == "worker" else ROOT)
    with pytest.raises(InputError, match=rf": (the )?{who}.* has no Weisu that works \(.*\); install the same one there"):
        workers.fan_out(2, 1, cluster.address).__enter__()


@pytest.mark.parametrize("command", [("backtest", "--cutoffs", "2024-07-20"), ("replay", "--start", "2024-07-20", "--end", "2024-07-21")])
def test_the_setting_names_the_cluster_of_a_command(
    command: tuple[str, ...], request_: rolling.Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEISU_DASK_SCHEDULER", "scheduler")
    assert main([*command, "--counts", str(request_.counts), "--country", "none", "--out", "out"]) == 2
    assert "weisu: WEISU_DASK_SCHEDULER, scheduler: no Dask scheduler can be reached: missing port number" in capsys.readouterr().err


def test_without_the_extra_an_error_says_what_to_install(request_: rolling.Request, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"^WEISU_DASK_SCHEDULER: Dask is not installed; install weisu with its extra: pip install '\.\[dask\]'$"):
        rolling.forecast(replace(request_, scheduler="tcp://127.0.0.1:8786"))
