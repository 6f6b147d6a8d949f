"""Product and public peers side by side: accuracy, calibration, time, memory, and what each part is worth.

python -m experiments.benchmarks.accuracy                     the simulated city; peers and product
python -m experiments.benchmarks.accuracy --data FOLDER       the real panels too, from FOLDER/<name>/tickets.parquet
python -m experiments.benchmarks.accuracy --render            the page anew, from what is stored and kept
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
from experiments.benchmarks.accuracy import bars, compare, measured, report, scores, speed, times, worth
from experiments.benchmarks.accuracy.compare import Compared
from experiments.benchmarks.accuracy.peers import PEERS
from experiments.benchmarks.page import bar_table
from experiments.benchmarks.panels import LONG, REAL, SIMULATED
from experiments.benchmarks.runs import ROOT, Run
from forecasting.errors import InputError
from forecasting.recipe import MODELS

CORES = 2
PARTS = ("scores", "worth", "speed")
WORK = Path(".weisu/benchmarks/accuracy")
KEPT = Path(__file__).with_name("kept")
PEERS_PYTHON = Path(".weisu/benchmarks/peers/bin/python")


def main(
    data: Annotated[Path | None, typer.Option(help="Folder of the real panels' tickets; without it the simulated city alone.")] = None,
    work: Annotated[Path, typer.Option(help="Folder of what is stored.")] = WORK,
    peers: Annotated[Path, typer.Option(help="Python of the peers' environment.")] = PEERS_PYTHON,
    panel: Annotated[str, typer.Option("--panels", help="Some panels only, by comma.")] = "",
    model: Annotated[str, typer.Option("--models", help="Some models only, by comma.")] = "",
    parts: Annotated[str, typer.Option(help="Some parts only, by comma: scores, worth, speed.")] = ",".join(PARTS),
    accept: Annotated[Path | None, typer.Option(help="Folder of another scorer, score.py, to agree with.")] = None,
    render: Annotated[bool, typer.Option("--render", help="Run nothing; write the page from what is stored and kept.")] = False,
    kept: Annotated[Path, typer.Option(help="Folder of the results that are kept, with the page; with an empty one all is run.")] = KEPT,
    page: Annotated[Path, typer.Option(help="The page that is written.")] = ROOT / "docs" / "accuracy.md",
) -> None:
    """Run what is asked for and neither stored nor kept; print the bars, store the tables, write the page and what is kept from everything."""
    try:
        work, peers = work.resolve(), peers.absolute()
        chosen = _chosen(panel, [*(REAL if data else ()), *SIMULATED], [*REAL, *SIMULATED], "--panels")
        models = _chosen(model, compare.MODELS_COMPARED, list(dict.fromkeys([*compare.MODELS_COMPARED, *MODELS])), "--models")
        wanted = _chosen(parts, PARTS, PARTS, "--parts")
        failed = [] if render else _run(chosen, models, wanted, chosen if panel else worth.PANELS, data, work, peers, kept)
        _report(work, peers, accept, page, kept)
    except InputError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
        raise typer.Exit(1)


def _chosen(text: str, usual: Sequence[str], known: Sequence[str], option: str) -> list[str]:
    names = [name for name in text.split(",") if name] or list(usual)
    for name in names:
        if name not in known:
            raise InputError(f"unknown '{name}'", option, f"choose from {', '.join(known)}")
    return names


def _run(
    chosen: list[str], models: list[str], wanted: list[str], taken_apart: Sequence[str], data: Path | None, work: Path, peers: Path, kept: Path
) -> list[str]:
    """Runs what is wanted and not kept; the names of what failed."""
    if ("speed" in wanted or ("scores" in wanted and set(models) & set(PEERS))) and not os.access(peers, os.X_OK):
        raise InputError(f"the peers' Python is not at {peers}", "--peers", "`make bench-accuracy` makes it; or choose --models of the product")
    failed = []

    def ensure(run: Run) -> None:
        made = runs.ensure(run, lambda text: print(text, "...", file=sys.stderr, flush=True))
        if made.error:
            failed.append(f"{run.out.parent.name} {run.out.stem} ({made.error})")

    laid = [panels.lay_down(name, data, work) for name in chosen]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # the same two cores for all that is measured
    if "scores" in wanted:
        for panel in laid:
            made = {model: compare.run_of(panel, model, work, peers) for model in dict.fromkeys([*models, *scores.AVERAGED])}
            for model in models:
                if not compare.is_kept(panel, made, model, kept / panel.name):
                    ensure(made[model])
    if "worth" in wanted:
        for panel in laid:
            if panel.name in taken_apart and not worth.is_kept(panel, work, kept / panel.name):
                ensure(worth.run_of(panel, work))
    if "speed" in wanted:
        panels.lay_down(LONG, data, work)
        for name in speed.NIGHTS:
            speed.lay_down(name, work)
        for name, (folder, _, run) in times.runs_of(work, peers, kept).items():
            if not times.is_kept(name, kept / folder, run):
                ensure(run)
    return failed


def _report(work: Path, peers: Path, accept: Path | None, page: Path, kept: Path) -> None:
    there = [(i, panel) for i, name in enumerate([*REAL, *SIMULATED]) if (panel := measured.panel_of(name, work, kept / name))]
    everything = (*compare.MODELS_COMPARED, *MODELS)
    compared, apart = [], []
    for i, panel in there:
        folder = kept / panel.name
        one = compare.collect(panel, i, [(model, compare.run_of(panel, model, work, peers)) for model in everything], folder)
        taken = worth.collect(panel, i, work, folder)
        report.keep(kept, one, taken)
        compared += [one] if one.records else []
        apart += [taken] if taken else []
    of_time = times.collect(work, peers, kept)
    times.keep(of_time, kept)
    lines = bars.of_real(compared) + bars.of_simulated(compared) + bars.of_calibration(compared) + bars.of_time(of_time.records, of_time.outdated)
    day = f"{date.today():%Y-%m-%d}"  # noqa: DTZ011 - where it was run
    stored = report.store(work, day, lines, compared)
    page.write_text(report.page(day, lines, compared, apart, _agreement(accept, compared)), "utf-8")
    print(bar_table(lines).to_string(index=False))
    for one in compared:
        print(f"\n{one.panel.name}", *report.said_of(one), sep="\n")
        if one.draws:
            print(one.table().to_string(index=False, float_format="{:.4g}".format, na_rep=""))
    print("", *[path for path in (stored, page, kept) if path], sep="\n")


def _agreement(accept: Path | None, compared: list[Compared]) -> str:
    """A sentence about the other scorer, if there is one."""
    own = [one for one in compared if one.frames]
    if accept is None or not own:
        return ""
    apart = [compare.difference_to(accept / "score.py", one, one.table(), lambda text: print(text, file=sys.stderr)) for one in own]
    return f"Another program scored the same files; the greatest difference of any score is {max(apart):.1e}."


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop, it stops what it measures
    typer.run(main)
