"""Product and public peers side by side: accuracy, calibration, time, memory, and what each part is worth.

python -m experiments.benchmarks.accuracy                     the simulated city; peers and product
python -m experiments.benchmarks.accuracy --data FOLDER       the real panels too, from FOLDER/<name>/tickets.parquet
python -m experiments.benchmarks.accuracy --render            the page anew, from what is stored
"""

import os
import signal
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from experiments.benchmarks import panels, runs
from experiments.benchmarks.accuracy import bars, compare, report, speed, worth
from experiments.benchmarks.accuracy.compare import Compared
from experiments.benchmarks.page import bar_table
from experiments.benchmarks.panels import LONG, REAL, SIMULATED
from experiments.benchmarks.runs import ROOT, Record, Run
from forecasting.errors import InputError
from forecasting.recipe import CHAMPION, MODELS

CORES = 2
PARTS = ("scores", "worth", "speed")
WORK = Path(".weisu/benchmarks/accuracy")
PEERS = Path(".weisu/benchmarks/peers/bin/python")
OF_TIME = (CHAMPION, "AutoETS")


def main(
    data: Annotated[Path | None, typer.Option(help="Folder of the real panels' tickets; without it the simulated city alone.")] = None,
    work: Annotated[Path, typer.Option(help="Folder of what is stored.")] = WORK,
    peers: Annotated[Path, typer.Option(help="Python of the peers' environment.")] = PEERS,
    panel: Annotated[str, typer.Option("--panels", help="Some panels only, by comma.")] = "",
    model: Annotated[str, typer.Option("--models", help="Some models only, by comma.")] = "",
    parts: Annotated[str, typer.Option(help="Some parts only, by comma: scores, worth, speed.")] = ",".join(PARTS),
    accept: Annotated[Path | None, typer.Option(help="Folder of another scorer, score.py, to agree with.")] = None,
    render: Annotated[bool, typer.Option("--render", help="Run nothing; write the page from what is stored.")] = False,
    page: Annotated[Path, typer.Option(help="The page that is written.")] = ROOT / "docs" / "accuracy.md",
) -> None:
    """Run what is asked for and not stored yet; print the bars, store the tables, write the page from everything stored."""
    try:
        work, peers = work.resolve(), peers.absolute()
        chosen = _chosen(panel, [*(REAL if data else ()), *SIMULATED], [*REAL, *SIMULATED], "--panels")
        models = _chosen(model, compare.MODELS_COMPARED, list(dict.fromkeys([*compare.MODELS_COMPARED, *MODELS])), "--models")
        wanted = _chosen(parts, PARTS, PARTS, "--parts")
        if not render:
            _run(chosen, models, wanted, chosen if panel else worth.PANELS, data, work, peers)
        _report(work, peers, accept, page)
    except InputError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None


def _chosen(text: str, usual: Sequence[str], known: Sequence[str], option: str) -> list[str]:
    names = [name for name in text.split(",") if name] or list(usual)
    for name in names:
        if name not in known:
            raise InputError(f"unknown '{name}'", option, f"choose from {', '.join(known)}")
    return names


def _run(chosen: list[str], models: list[str], wanted: list[str], taken_apart: Sequence[str], data: Path | None, work: Path, peers: Path) -> None:
    def ensure(run: Run) -> None:
        made = runs.ensure(run, lambda text: print(text, "...", file=sys.stderr, flush=True))
        if made.error:
            print(made.error, file=sys.stderr)

    laid = [panels.lay_down(name, data, work) for name in chosen]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # the same two cores for all that is measured
    if "scores" in wanted:
        for panel in laid:
            for model in models:
                ensure(compare.run_of(panel, model, work, peers))
    if "worth" in wanted:
        for panel in laid:
            if panel.name in taken_apart:
                for _, run in worth.runs_of(panel, work):
                    ensure(run)
    if "speed" in wanted:
        long = panels.lay_down(LONG, data, work)
        for model in OF_TIME:
            ensure(compare.run_of(long, model, work, peers))
        for name in speed.NIGHTS:
            ensure(speed.night_run(name, work))


def _report(work: Path, peers: Path, accept: Path | None, page: Path) -> None:
    laid = [(i, panels.lay_down(name, None, work)) for i, name in enumerate([*REAL, *SIMULATED]) if (work / name / "counts.parquet").exists()]
    everything = (*compare.MODELS_COMPARED, *MODELS)
    compared = [compare.collect(p, i, [(model, compare.run_of(p, model, work, peers)) for model in everything]) for i, p in laid]
    compared = [one for one in compared if one.frames]
    left_out = [compare.collect(p, i, worth.runs_of(p, work)) for i, p in laid]
    lines = bars.of_real([c for c in compared if c.panel.real]) + bars.of_simulated([c for c in compared if not c.panel.real])
    lines += bars.of_calibration(compared) + bars.of_time(_times(work))
    day = f"{date.today():%Y-%m-%d}"  # noqa: DTZ011 - where it was run
    stored = report.store(work, day, lines, compared)
    page.write_text(report.page(day, lines, compared, report.worth_table(left_out), _agreement(accept, compared)), "utf-8")
    print(bar_table(lines).to_string(index=False))
    print(*[path for path in (stored, page) if path], sep="\n")


def _times(work: Path) -> dict[str, Record]:
    files = {model: work / LONG / f"{model}.parquet" for model in OF_TIME} | {name: work / name / "scores.parquet" for name in speed.NIGHTS}
    return {name: made for name, path in files.items() if (made := runs.record(path))}


def _agreement(accept: Path | None, compared: list[Compared]) -> str:
    """A sentence about the other scorer, if there is one."""
    if accept is None:
        return ""
    apart = {c.panel.name: compare.difference_to(accept / "score.py", c, c.table(), lambda text: print(text, file=sys.stderr)) for c in compared}
    return f"Another program scored the same files; the greatest difference of any score is {max(apart.values(), default=0.0):.1e}."


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop, it stops what it measures
    typer.run(main)
