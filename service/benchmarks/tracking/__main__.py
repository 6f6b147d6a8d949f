"""What MLflow costs a night of 448 and of 20,000 series: seconds, runs, bytes.

python -m service.benchmarks.tracking                   both sizes, over SQLite
python -m service.benchmarks.tracking --postgresql      over PostgreSQL as well
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from experiments.benchmarks.page import bar_table
from experiments.benchmarks.runs import ROOT
from forecasting.errors import InputError
from service.benchmarks.server import Server, running
from service.benchmarks.tracking import measure, nights, page, stores
from service.benchmarks.tracking.measure import Recorded
from service.benchmarks.tracking.page import Row

ROUNDS = 3  # recordings, one after the other into the same MLflow, where it is well; a first night makes experiment and model
WORK = Path(".weisu/benchmarks/tracking")
CITIES = Path(".weisu/benchmarks/accuracy")  # those of `make bench-speed`

Store = Callable[[Path], AbstractContextManager[str]]


@dataclass(frozen=True)
class Case:
    """MLflow in one state.

    Attributes:
        store: makes it in a folder and gives its address.
        well: whether it takes a night.
        refused: whether the gate refused the candidate.
    """

    name: str
    store: Store
    well: bool = True
    refused: bool = False


def main(
    series: Annotated[str, typer.Option(help="Sizes, by comma.")] = ",".join(map(str, nights.CITIES)),
    only: Annotated[str, typer.Option("--mlflow", help="Some of MLflow's states only, by comma, as the table names them.")] = "",
    postgresql: Annotated[bool, typer.Option("--postgresql", help="Over PostgreSQL as well.")] = False,
    work: Annotated[Path, typer.Option(help="Folder of what is stored: the trained nights, dated tables.")] = WORK,
    cities: Annotated[Path, typer.Option(help="Folder of the cities' files; made where they are missing.")] = CITIES,
    shown: Annotated[Path, typer.Option("--page", help="The page that is written.")] = ROOT / "docs" / "tracking.md",
) -> None:
    """Record nights; print and store the table, write the page."""
    try:
        sizes = _chosen(series, [f"{size}" for size in nights.CITIES], "--series")
        with ExitStack() as stack:
            server = stack.enter_context(running({})) if postgresql else None
            cases = {case.name: case for case in _cases(server)}
            names = _chosen(only or ",".join(cases), list(cases), "--mlflow")
            for size in sizes:
                for row in _rows(int(size), [cases[name] for name in names], cities.resolve(), work.resolve()):
                    page.keep([row])  # one after the other: they take minutes, and each may be the last
    except InputError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None
    day = f"{date.today():%Y-%m-%d}"  # noqa: DTZ011 - where it was run
    table = page.keep([])
    lines = bar_table(page.bars(table)).drop(columns="interval")
    stored = work / f"tracking-{day}.csv"
    table.to_csv(stored, index=False)
    shown.write_text(page.page(day, table, lines), "utf-8")
    print(page.shown(table).to_string(index=False), lines.to_string(index=False), stored, shown, sep="\n\n")


def _chosen(text: str, known: Sequence[str], option: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise InputError(f"unknown '{name}'", option, f"choose from {', '.join(known)}")
    return names


def _cases(server: Server | None) -> list[Case]:
    databases: dict[str, Store] = {"SQLite": stores.sqlite}
    if server:
        databases["PostgreSQL"] = lambda _: stores.postgresql(server)
    direct = [Case(name, made) for name, made in databases.items()]
    over = [Case(f"server over {name}", partial(_served, made)) for name, made in databases.items()]
    twice = [Case("two trainings", partial(_served, stores.sqlite), refused=True)]
    ill: dict[str, Store] = {"dead": lambda _: stores.dead(), "silent": lambda _: stores.silent(), "slow": _slow, "full": stores.full}
    return direct + over + twice + [Case(name, made, well=False) for name, made in ill.items()]


@contextmanager
def _served(database: Store, folder: Path) -> Iterator[str]:
    with database(folder) as uri, stores.served(uri, folder) as address:
        yield address


@contextmanager
def _slow(folder: Path) -> Iterator[str]:
    with _served(stores.sqlite, folder) as address, stores.slow(address) as line:
        yield line


def _rows(series: int, cases: list[Case], cities: Path, work: Path) -> Iterator[Row]:
    night = nights.trained(series, cities, work, lambda text: _say(f"training {text}"))
    for case in cases:
        load = round(os.getloadavg()[0], 1)
        with tempfile.TemporaryDirectory(prefix="weisu-bench-") as temporary, ExitStack() as stack:
            folder, data = Path(temporary, "mlflow"), Path(temporary, "data")
            folder.mkdir()
            uri = stack.enter_context(case.store(folder))
            artifacts = (folder if uri.startswith("http") else data) / "mlflow" / "artifacts"
            asked = {"path": f"{night}", "uri": uri, "folder": f"{data}", "artifacts": f"{artifacts}", "refused": case.refused, "well": case.well}
            made = []
            for _ in range(ROUNDS if case.well else 1):
                made.append(_apart(asked))
                _say(f"{series:,} series, {case.name}: {made[-1]}")
        yield page.row(series, case.name, case.well, made, load, f"{date.today():%Y-%m-%d}")  # noqa: DTZ011 - where it was run


def _apart(asked: dict[str, object]) -> Recorded:
    done = subprocess.run([sys.executable, "-m", measure.__name__, json.dumps(asked)], capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise InputError(f"a recording failed ({done.stderr.strip().splitlines()[-1]})", "bench-tracking")
    return Recorded(**json.loads(done.stdout.strip().splitlines()[-1]))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop, it stops what it trains
    typer.run(main)
