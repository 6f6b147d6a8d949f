"""How fast tickets come in and counts go out, on SQLite and on PostgreSQL, with the simulated city.

    python -m service.benchmarks.intake             about ten minutes on two cores
    python -m service.benchmarks.intake --rows 400000

For each database:

1. 1.35 million tickets (a hotline's year at 3,700 a day) from Parquet: new, the same file again, all of them changed (a tenth moved).
2. Peak memory of the process that reads 0.3, 1.35 and 4 million. While the 4 million come in, an alert is acknowledged and reopened, and alerts
   and a day's counts are read, twenty times a second: the longest wait of each.
3. The daily counts of all districts, and of all streets, laid out as a panel; those of a city that counts by district.
4. What most would write instead: `pandas.read_parquet` and `DataFrame.to_sql`, which keeps no counts and takes a file twice for two files.

Times are of a process of its own each, without its start. The server is one of its own with its default settings, fsync included.
"""

import multiprocessing
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import typer
from rich.console import Console
from rich.table import Table

from forecasting import city, panel
from service.benchmarks.server import running
from service.clock import Clock
from service.intake.ingest import ingest
from service.store import alerts, counts, forecast_sets, runs
from service.store.alerts import Alert
from service.store.engine import open_engine, reading, upgrade, writing

START, END = date(2023, 1, 1), date(2025, 12, 31)  # the simulated city of every benchmark: figures of different days compare
SCALE = 0.3  # 4.4 million tickets, the most that it makes of three years
SHARES = (0.075, 0.3375, 1.0)  # 0.3, 1.35 and 4 of 4 million
PLAIN_ROWS = 100_000  # of to_sql: enough to see its pace
WIDTH = 130  # columns of the table, whatever the terminal
PAUSE = 0.05  # seconds between two acknowledgements, and between two reads
ZONE = ZoneInfo("Asia/Shanghai")
CLOCK = Clock(ZONE, datetime(2026, 2, 1, tzinfo=UTC))

Result = TypeVar("Result")


@dataclass(frozen=True)
class Files:
    """Parquet files of the simulated city: tickets by size, the middle one with every ticket changed, counts by district, its trees."""

    sizes: tuple[Path, ...]
    changed: Path
    counts: Path
    trees: tuple[Path, Path]


@dataclass
class Waits:
    """How long others waited while a file came in, in seconds."""

    writer: list[float] = field(default_factory=list)
    reader: list[float] = field(default_factory=list)


def main(
    rows: Annotated[int, typer.Option(help="Tickets of the largest file.")] = 4_000_000,
    folder: Annotated[Path | None, typer.Option(help="Where files and databases are made; left out, a temporary folder.")] = None,
) -> None:
    """Prints one table."""
    console = Console(width=WIDTH)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weisu-bench-", dir=folder)))
        say = Console(stderr=True).print
        say("simulating the city")
        files = apart(make_files, place, rows)
        server = stack.enter_context(running({}))
        figures: dict[str, dict[str, str]] = {}
        for kind in ("SQLite", "PostgreSQL"):
            made: list[str] = []

            def fresh(kind: str = kind, made: list[str] = made) -> str:
                name = f"weisu{len(made)}"
                made.append(name)
                if kind == "PostgreSQL":
                    server.run(f"create database {name}")
                return server.address(name) if kind == "PostgreSQL" else f"sqlite:///{place / f'{name}.db'}"

            figures[kind] = measured(files, fresh, lambda text, kind=kind: say(f"{kind}: {text}"))  # type: ignore[misc]
    console.print(_table(figures, f"{rows:,} tickets, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end"))


def measured(files: Files, fresh: Callable[[], str], say: Callable[[str], None]) -> dict[str, str]:
    """All figures of one kind of database.

    Args:
        fresh: gives the address of an empty database.
        say: is told what is being measured.
    """
    figures: dict[str, str] = {}
    small, middle, large = files.sizes
    url = fresh()
    apart(bring, url, files.trees)
    for name, path in (("new", middle), ("the same again", middle), ("all changed", files.changed)):
        say(name)
        seconds, memory = apart(bring, url, (path,))
        figures[f"tickets/s, {name}"] = _pace(path, seconds)
        if name == "new":
            figures[f"peak memory, {_rows(middle):,} rows"] = f"{memory:,} MB"
    url = fresh()
    apart(bring, url, files.trees)
    say(f"{_rows(small):,} rows")
    figures[f"peak memory, {_rows(small):,} rows"] = f"{apart(bring, url, (small,))[1]:,} MB"
    say(f"{_rows(large):,} rows, and others at work")
    url = fresh()
    apart(bring, url, files.trees)
    with others_at_work(url) as waits:
        seconds, memory = apart(bring, url, (large,))
    figures[f"peak memory, {_rows(large):,} rows"] = f"{memory:,} MB"
    figures[f"tickets/s, {_rows(large):,} rows, others at work"] = _pace(large, seconds)
    for name, taken in (("acknowledgement", waits.writer), ("read", waits.reader)):
        figures[f"longest {name} meanwhile"] = f"{max(taken):.3f} s of {len(taken):,}"
    say("panels")
    for name in ("districts", "streets"):
        series, days, cells, seconds = apart(read_panel, url, name == "streets")
        figures[f"panel of {name}"] = f"{seconds:.2f} s ({series:,} series, {days:,} days, {cells:,} cells)"
    url = fresh()
    apart(bring, url, (files.counts,))
    series, days, cells, seconds = apart(read_panel, url, False)
    figures["panel of a city without streets"] = f"{seconds:.2f} s ({series:,} series, {days:,} days, {cells:,} cells)"
    say("pandas to_sql")
    seconds, memory = apart(bring_plainly, fresh(), middle)
    figures["tickets/s, pandas to_sql (no counts, no repeats)"] = f"{min(PLAIN_ROWS, _rows(middle)) / seconds:,.0f}"
    figures[f"peak memory, pandas to_sql, {_rows(middle):,} rows read"] = f"{memory:,} MB"
    return figures


def make_files(folder: Path, rows: int) -> Files:
    """Simulates the city by streets and writes its files.

    Args:
        rows: of the largest file; the others are evenly drawn from it.
    """
    made = city.simulate(0, SCALE * min(1.0, rows / 4_000_000), START, END, streets=True)
    tickets = made.tickets.head(rows)
    rng = np.random.default_rng(0)
    drawn = rng.random(len(tickets))
    sizes = tuple(folder / f"tickets-{share}.parquet" for share in SHARES)
    for path, share in zip(sizes, SHARES, strict=True):
        tickets[drawn < share].to_parquet(path, index=False)
    middle = tickets[drawn < SHARES[1]]
    moved = rng.random(len(middle)) < 0.1
    districts = middle["district"].mask(moved, np.roll(middle["district"], 1))
    updated = pd.Timestamp(END) + pd.Timedelta(days=20)
    middle.assign(district=districts, street=middle["street"].mask(moved), status="reopened", updated_at=updated).to_parquet(
        folder / "changed.parquet", index=False
    )
    made.areas.to_csv(folder / "areas.csv", index=False)
    made.categories.to_csv(folder / "categories.csv", index=False)
    daily = made.counts.groupby(["district", "category", "date"], as_index=False)["count"].sum()
    daily[daily["district"] != ""].to_parquet(folder / "counts.parquet", index=False)
    return Files(sizes, folder / "changed.parquet", folder / "counts.parquet", (folder / "areas.csv", folder / "categories.csv"))


def bring(url: str, paths: tuple[Path, ...]) -> tuple[float, int]:
    """Ingests files into a database; seconds, and the process's peak memory in MB."""
    upgrade(url)
    engine = open_engine(url)
    began = time.perf_counter()
    for path in paths:
        ingest(engine, path, CLOCK)
    seconds = time.perf_counter() - began
    engine.dispose()
    return seconds, peak_memory()


def bring_plainly(url: str, path: Path) -> tuple[float, int]:
    """The same with pandas alone: seconds for `PLAIN_ROWS` rows, and the process's peak memory in MB."""
    upgrade(url)
    engine = open_engine(url)
    frame = pd.read_parquet(path)
    part = frame.head(PLAIN_ROWS)
    began = time.perf_counter()
    with writing(engine) as conn:
        part.to_sql("plain_tickets", conn, index=False, chunksize=10_000)
    seconds = time.perf_counter() - began
    engine.dispose()
    return seconds, peak_memory()


def read_panel(url: str, streets: bool) -> tuple[int, int, int, float]:
    """Lays the daily counts out as a panel: series, days, cells that are not zero, seconds."""
    engine = open_engine(url)
    began = time.perf_counter()
    with reading(engine) as conn:
        table = counts.daily(conn).rename(columns={"area": "district"}) if streets else counts.by_district(conn)
    made = panel.from_counts(table, END)
    seconds = time.perf_counter() - began
    engine.dispose()
    return len(made.series), len(made.days), len(table), seconds


@contextmanager
def others_at_work(url: str) -> Iterator[Waits]:
    """Acknowledges an alert, and reads alerts and a day's counts, again and again while the block runs."""
    engine, waits, done = open_engine(url), Waits(), threading.Event()
    with writing(engine) as conn:
        run = runs.start(conn, END, "benchmark", CLOCK.now(), timedelta(hours=1))
        made = forecast_sets.publish(conn, run_id=run, mlflow_run_id=None, cutoff=END, horizon=1, issued_at=CLOCK.now(), rows=0, blob=b"")
        alerts.insert(conn, _alert(made), "benchmark", CLOCK.now())

    def acknowledge(turn: int) -> None:
        with writing(engine) as conn:
            alerts.change_status(conn, "a", ("open", "acknowledged"), ("acknowledged", "open")[turn % 2], "benchmark", None, CLOCK.now())

    def read(_: int) -> None:
        with reading(engine) as conn:
            alerts.running(conn)
            counts.daily(conn, start=END, end=END)

    def repeat(what: Callable[[int], None], taken: list[float]) -> None:
        while not done.wait(PAUSE):
            began = time.perf_counter()
            what(len(taken))
            taken.append(time.perf_counter() - began)

    threads = [threading.Thread(target=repeat, args=pair) for pair in ((acknowledge, waits.writer), (read, waits.reader))]
    for thread in threads:
        thread.start()
    try:
        yield waits
    finally:
        done.set()
        for thread in threads:
            thread.join()
        engine.dispose()


def _alert(forecast_set: int) -> Alert:
    return Alert(
        id="a",
        kind="SPIKE",
        level="yellow",
        status="open",
        area="ALL",
        category="ALL",
        districts=[],
        onset=END,
        last_day=END,
        usual_days=0,
        peak=None,
        observed=61.0,
        expected=22.5,
        lower=14.0,
        upper=32.0,
        p_value=2e-6,
        reason_zh="",
        reason_en="",
        forecast_set_id=forecast_set,
        raised_at=CLOCK.now(),
        changed_at=CLOCK.now(),
        resolved_at=None,
    )


def apart(what: Callable[..., Result], *arguments: object) -> Result:
    """Runs a function in a process of its own, so that its memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(what, *arguments).result()


def peak_memory() -> int:
    """The most memory that this process ever had, in MB."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()  # getrusage would tell the parent's, if that was more
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) // 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _rows(path: Path) -> int:
    return int(pa.parquet.read_metadata(path).num_rows)


def _pace(path: Path, seconds: float) -> str:
    return f"{_rows(path) / seconds:,.0f} ({seconds:.1f} s)"


def _table(figures: dict[str, dict[str, str]], title: str) -> Table:
    table = Table(title=title)
    table.add_column("")
    for kind in figures:
        table.add_column(kind, justify="right")
    for name in next(iter(figures.values())):
        table.add_row(name, *(of_kind[name] for of_kind in figures.values()))
    return table


if __name__ == "__main__":
    typer.run(main)
