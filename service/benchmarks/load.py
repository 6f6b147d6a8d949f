"""What one API worker bears: requests a second, how long one waits while a training runs, memory, start.

    python -m service.benchmarks.load                     about five minutes on two cores; needs wrk
    python -m service.benchmarks.load --page docs/load.md   the same, and the page anew

A worker is started as `weisu api` starts it, with keys, limits, metrics and its log. Every request comes from one of 400 keys in turn, and asks
for another series than the one before. The client works on the same machine: what it takes, the worker lacks.
"""

import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console

from service.benchmarks.load_cities import CENTRES, LoadedCity, large, simulated
from service.benchmarks.load_clients import Ask, pace, waits

STEADY, STEADY_SECONDS = 200.0, 20.0  # requests a second, and for how long
POLL_EVERY, POLL_SECONDS = 5.0, 20.0  # each centre asks for the alerts so often; for how long the worker's time is taken
ASKED = 2_000  # different questions about forecasts, spread over all series
NO_LIMIT = {"WEISU_REQUESTS_PER_MINUTE": str(10**9)}  # rates are counted all the same
NICE = 10  # as the scheduler starts the trainer
TICKS = os.sysconf("SC_CLK_TCK")

say = Console(stderr=True).print


@dataclass(frozen=True)
class Figure:
    """A line of the table.

    Attributes:
        bar: what is asked for, to be reached or, with `less`, not to be passed; None: nothing is.
    """

    name: str
    value: float | None
    unit: str
    bar: float | None
    less: bool = False
    note: str = ""

    def line(self) -> str:
        """As a row of a Markdown table."""
        shown = "not there yet" if self.value is None else f"{self.value:,.{0 if self.value >= 100 else 2}f} {self.unit}"
        bar = "" if self.bar is None else f"{'at most' if self.less else 'at least'} {self.bar:,g}"
        holds = ""
        if self.bar is not None and self.value is not None:
            holds = "yes" if (self.value <= self.bar if self.less else self.value >= self.bar) else "**no**"
        return f"| {self.name} | {shown} | {bar} | {holds} | {self.note} |"


class Worker:
    """A running `weisu api`.

    Attributes:
        ready_after: seconds from its start to the first 200 of `/readyz`.
    """

    def __init__(self, city: LoadedCity, port: int) -> None:
        self.city, self.port = city, port
        with (city.settings.data_dir / "api.log").open("ab") as log:
            began = time.perf_counter()
            command = [sys.executable, "-m", "service.cli", "api"]
            self.process = subprocess.Popen(command, env={**city.environment, "WEISU_API_PORT": str(port), **NO_LIMIT}, stdout=log, stderr=log)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60)
        while not self._is_ready():
            assert self.process.poll() is None, "the worker has ended"
            time.sleep(0.01)
        self.ready_after = time.perf_counter() - began

    def _is_ready(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def memory(self, size: str, bar: float) -> Figure:
        """The most that it ever had."""
        lines = (line.split() for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines())
        mb = {words[0].rstrip(":"): int(words[1]) / 1000 for words in lines if words[-1] == "kB"}
        note = f"the most at any time; now {mb['VmRSS']:.0f}, of it {mb['RssAnon']:.0f} its own, the rest files of libraries that processes share"
        return Figure(f"memory of the worker, {size}", mb["VmHWM"], "MB", bar, less=True, note=note)

    @property
    def seconds(self) -> float:
        """Processor time that it has taken."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def get(self, path: str) -> httpx.Response:
        """Asks with the first key."""
        answer = self.client.get(path, headers={"Authorization": f"Bearer {self.city.keys[0]}"})
        answer.raise_for_status()
        return answer

    def stop(self) -> None:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


@contextmanager
def working(city: LoadedCity) -> Iterator[Worker]:
    """A worker over a city, ended after the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    worker = Worker(city, port)
    try:
        yield worker
    finally:
        worker.stop()


def main(
    folder: Annotated[Path | None, typer.Option(help="Where the cities are made; left out, a temporary folder.")] = None,
    page: Annotated[Path | None, typer.Option(help="File of the page to write.")] = None,
    postgresql: Annotated[str, typer.Option(help="Address of an empty PostgreSQL database for the smaller city; left out, SQLite.")] = "",
) -> None:
    """Prints one table."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weisu-load-", dir=folder)))
        say("the simulated city of 448 series")
        small = simulated(place / "small", postgresql)
        figures = of_small(small, place)
        say("a city of 20,000 series")
        figures += of_large(large(place / "large"), place)
    told = _page(figures)
    print(told)
    if page is not None:
        page.write_text(told)


def of_small(city: LoadedCity, place: Path) -> list[Figure]:
    """Figures of the simulated city."""
    size = f"{len(city.series)} series"
    figures: list[Figure] = []
    with working(city) as worker:
        figures.append(Figure(f"start to ready, {size}", worker.ready_after, "s", 3, less=True))
        asks = forecasts(city)
        first = [_seconds(worker, ask.path) for ask in asks[:: len(asks) // 100]]
        figures.append(Figure(f"a series' forecast asked for the first time, {size}", 1000 * statistics.median(first), "ms", None, note="median"))
        say("forecasts")
        figures.append(_paced(f"a series' forecast, {size}", place, worker, asks, 2000))
        say("alerts")
        tag = worker.get("/v1/alerts").headers.get("etag")
        if tag is None:
            figures.append(Figure("alerts, 304", None, "/s", 2500))
        else:
            tags = {key: worker.client.get("/v1/alerts", headers={"Authorization": f"Bearer {key}"}).headers["etag"] for key in city.keys}
            unchanged = [Ask.with_key("/v1/alerts", key, if_none_match=its) for key, its in tags.items()]
            figures.append(_paced("alerts, 304", place, worker, unchanged, 2500))
        listed = [Ask.with_key("/v1/alerts", key) for key in city.keys]
        many = len(worker.get("/v1/alerts").json()["items"])
        figures.append(_paced("alerts, the list", place, worker, listed, 1000, f"{many} alerts for the city, a few for each district"))
        say("polls")
        figures.append(_polled(worker, city))
        say("while a training runs")
        figures.append(_while_training(worker, city, [*asks, *listed]))
        figures.append(worker.memory(size, 200))
    return figures


def of_large(city: LoadedCity, place: Path) -> list[Figure]:
    """Figures of the large city."""
    size = f"{len(city.series):,} series"
    with working(city) as worker:
        figures = [Figure(f"start to ready, {size}", worker.ready_after, "s", 3, less=True)]
        asks = forecasts(city)
        first = [_seconds(worker, ask.path) for ask in asks[:: len(asks) // 100]]
        figures.append(Figure(f"a series' forecast asked for the first time, {size}", 1000 * statistics.median(first), "ms", None, note="median"))
        figures.append(_paced(f"a series' forecast, {size}", place, worker, asks, 2000, f"{len(asks):,} of them in turn"))
        figures.append(worker.memory(size, 500))
        for name, path in (("every series", "format=parquet"), ("the whole set, sums too", "nodes=all&format=parquet")):
            seconds = min(_seconds(worker, f"/v1/forecasts?{path}") for _ in range(3))
            figures.append(Figure(f"Parquet of {name}, {size}", seconds, "s", 0.5, less=True, note="the best of three"))
    return figures


def forecasts(city: LoadedCity) -> list[Ask]:
    """Questions about one series each, spread over all of them, each from a centre of its district."""
    step = max(len(city.series) // ASKED, 1)
    asks = []
    for turn, (district, area, category) in enumerate(city.series[::step][:ASKED]):
        own = city.keys_of[district]
        asks.append(Ask.with_key(f"/v1/forecasts?area={area}&category={category}", own[turn % len(own)]))
    return asks


def _paced(name: str, place: Path, worker: Worker, asks: Sequence[Ask], bar: float, note: str = "") -> Figure:
    pace(place, worker.port, asks, 3)  # warm
    seen = pace(place, worker.port, asks)
    assert not seen.refused, f"{name}: {seen.refused} requests were refused"
    return Figure(name, seen.per_second, "/s", bar, note=note)


def _polled(worker: Worker, city: LoadedCity) -> Figure:
    """The share of a core that the worker takes while every centre asks for its alerts, with the tag of its last answer if there was one."""
    asks = []
    for key in city.keys:
        answer = worker.client.get("/v1/alerts", headers={"Authorization": f"Bearer {key}"})
        tag = answer.headers.get("etag")
        asks.append(Ask.with_key("/v1/alerts", key, **({"if_none_match": tag} if tag else {})))
    before = worker.seconds
    seen = waits(worker.port, asks, CENTRES / POLL_EVERY, POLL_SECONDS)
    share = (worker.seconds - before) / POLL_SECONDS
    assert all(status in (200, 304) for _, status in seen)
    return Figure(f"{CENTRES} centres asking for alerts every {POLL_EVERY:g} s", 100 * share, "% of a core", 10, less=True)


def _while_training(worker: Worker, city: LoadedCity, asks: Sequence[Ask]) -> Figure:
    """The 99th percentile of waiting at a steady rate, while the champion's recipe is trained as the scheduler trains it."""
    command = ["nice", "-n", str(NICE), sys.executable, "-m", "service.cli", "train", "--force"]
    trainer = subprocess.Popen(command, env=dict(city.environment), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert trainer.stderr
    try:
        assert any("training on all days" in line for line in trainer.stderr), "the training did not begin"
        time.sleep(2)
        seen = waits(worker.port, asks, STEADY, STEADY_SECONDS)
        at_work = trainer.poll() is None
    finally:
        trainer.terminate()
        trainer.stderr.close()
        trainer.wait()
    assert at_work, "the training ended before the measurement: it says nothing"
    assert all(status == 200 for _, status in seen)
    late = sorted(seconds for seconds, _ in seen)
    p99 = late[int(0.99 * len(late))]
    note = f"median {1000 * statistics.median(late):.1f} ms, longest {1000 * late[-1]:.0f} ms, of {len(late):,}"
    return Figure(f"99 % answered within, at {STEADY:g} requests/s while a training runs", 1000 * p99, "ms", 25, less=True, note=note)


def _seconds(worker: Worker, path: str) -> float:
    began = time.perf_counter()
    worker.get(path)
    return time.perf_counter() - began


def _page(figures: Sequence[Figure]) -> str:
    made = datetime.now(UTC)
    lines = [
        "# What one API worker bears",
        "",
        f"Made by `make bench-load` (`service/benchmarks/load.py`); do not edit it by hand. Measured on {made:%Y-%m-%d}, {os.cpu_count()} cores "
        f"({platform.machine()}), Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the end. The client works on the same cores.",
        "",
        "One worker as `weisu api` starts it, with keys, limits, metrics and log, over SQLite. Requests come from "
        f"{CENTRES} keys and ask for one series after another. The city of 448 series is the simulated one, its first forecasts made by baselines; "
        "the forecasts of the one of 20,000 series are drawn by chance: serving does not depend on how they were made.",
        "",
        "| | measured | asked for | holds | |",
        "|---|---:|---:|---|---|",
        *(figure.line() for figure in figures),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
