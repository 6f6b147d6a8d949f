"""Alerts beside public outbreak detectors, at equal false alarms; in the simulated city; on quiet days.

python -m experiments.benchmarks.detection                     simulated counts and city; peers and product
python -m experiments.benchmarks.detection --data FOLDER       real panels too, from FOLDER/<name>/tickets.parquet
python -m experiments.benchmarks.detection --render            the page anew, from what is stored and kept
"""

import os
import signal
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from experiments.benchmarks import runs
from experiments.benchmarks.detection import apart, bars, compare, cost, known, measured, passes, report, results, sets, worth
from experiments.benchmarks.detection.compare import Compared
from experiments.benchmarks.detection.peers import PEERS
from experiments.benchmarks.detection.replay import PRODUCT
from experiments.benchmarks.page import Bar, bar_table
from experiments.benchmarks.runs import ROOT, Run
from forecasting.errors import InputError

CORES = 2
PARTS = ("planted", *results.PARTS, worth.NAME)
DETECTORS = (PRODUCT, *PEERS)
WORK = Path(".weisu/benchmarks/detection")
KEPT = Path(__file__).with_name("kept")


def main(
    data: Annotated[Path | None, typer.Option(help="Folder of the real panels' tickets; without it simulated counts alone.")] = None,
    work: Annotated[Path, typer.Option(help="Folder of what is stored.")] = WORK,
    chosen_sets: Annotated[str, typer.Option("--sets", help="Some planted sets only, by comma.")] = "",
    detectors: Annotated[str, typer.Option(help="Some detectors only, by comma.")] = "",
    parts: Annotated[str, typer.Option(help="Some parts only, by comma: planted, city, bursts, quiet, boston, cost, worth.")] = ",".join(PARTS),
    seed: Annotated[int, typer.Option(min=0, help="Of the planted incidents; the page shows 0, tune with others.")] = sets.REPORTED_SEED,
    accept: Annotated[Path | None, typer.Option(help="Folder of another scorer, score_alarms.py, to agree with.")] = None,
    render: Annotated[bool, typer.Option("--render", help="Run nothing; write the page from what is stored and kept.")] = False,
    kept: Annotated[Path, typer.Option(help="Folder of the results that are kept, with the page; with an empty one all is run.")] = KEPT,
    page: Annotated[Path, typer.Option(help="The page that is written.")] = ROOT / "docs" / "detection.md",
) -> None:
    """Run what is asked for and neither stored nor kept; print the bars, store the tables, write the page and what is kept from everything."""
    try:
        work = work.resolve()
        names = _chosen(chosen_sets, [n for n in sets.SETS if data or n == sets.SIMULATED], [*sets.SETS, *sets.SMALL], "--sets")
        chosen = _chosen(detectors, DETECTORS, DETECTORS, "--detectors")
        wanted = _chosen(parts, PARTS, PARTS, "--parts")
        failed = [] if render else _run(names, chosen, wanted, data, work, seed, kept)
        _report(work, accept, page, seed, kept)
    except InputError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None
    if failed:
        print("failed:", "; ".join(failed), file=sys.stderr)
        raise typer.Exit(1)


def _chosen(text: str, usual: Sequence[str], known_names: Sequence[str], option: str) -> list[str]:
    names = [name for name in text.split(",") if name] or list(usual)
    for name in names:
        if name not in known_names:
            raise InputError(f"unknown '{name}'", option, f"choose from {', '.join(known_names)}")
    return names


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _run(names: list[str], chosen: list[str], wanted: list[str], data: Path | None, work: Path, seed: int, kept: Path) -> list[str]:
    """Runs what is wanted and not kept; the names of what failed."""
    failed = []

    def ensure(run: Run) -> None:
        name = str(run.out.relative_to(work).with_suffix(""))
        made = runs.ensure(run, lambda _: _say(f"{name} ..."))
        if made.error:
            failed.append(f"{name} ({made.error})")

    laid = [sets.lay_down(name, data, work, seed) for name in names] if "planted" in wanted else []
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # the same two cores for all that is measured
    for one in laid:
        kept_here = [name for name in chosen if seed == sets.REPORTED_SEED and compare.is_kept(one, name, kept / one.name)]
        for _, run in compare.runs_of(one, [name for name in chosen if name not in kept_here]):
            ensure(run)
    if PRODUCT in chosen and worth.NAME in wanted and not apart.is_kept(worth.run_of(work), kept / worth.NAME):
        ensure(worth.run_of(work))
    if PRODUCT in chosen and cost.PART in wanted and not apart.is_kept(passes.run_of(work), kept / passes.NAME):
        ensure(passes.run_of(work))
    if PRODUCT in chosen:
        for name, asked in results.requests(wanted, data, work).items():
            if seed != sets.REPORTED_SEED or not results.is_kept(name, asked, kept, work):
                for request in asked:
                    request.note()
                    ensure(request.run)
    return failed


def _report(work: Path, accept: Path | None, page: Path, seed: int, kept: Path) -> None:
    reported = seed == sets.REPORTED_SEED
    found = {name: measured.set_of(name, work, seed, kept / name if reported else None) for name in [*sets.SETS, *sets.SMALL]}
    compared = [compare.collect(one, _say, kept / name if reported else None) for name, one in found.items() if one]
    parts = results.collect(work, kept if reported else None)
    without = apart.collect(worth.out(work), worth.known_run(work), kept / worth.NAME if reported else None)
    looks = apart.collect(passes.out(work), passes.run_of(work), kept / passes.NAME if reported else None)
    lines = _planted(compared) + results.bars_of(parts) + bars.of_passes(looks)
    day = f"{date.today():%Y-%m-%d}"  # noqa: DTZ011 - where it was run
    written = [report.store(work, day, lines, compared)]
    if reported:
        for one in compared:
            compare.keep(one, kept)
        results.keep(parts, kept)
        for made, name in ((without, worth.NAME), (looks, passes.NAME)):
            if made:
                apart.keep(kept / name, {"of": name}, made)
        page.write_text(report.page(day, lines, compared, without, _agreement(accept, compared)), "utf-8")
        written.append(page)
    print(bar_table(lines).to_string(index=False))
    print(*[path for path in written if path], sep="\n")


def _planted(compared: list[Compared]) -> list[Bar]:
    real = [one for one in compared if one.of.name in sets.REAL]
    simulated = [one for one in compared if one.of.name == sets.SIMULATED]
    where = f"{len(real)} real panels" if real else "real panels"
    lines = [
        bars.of_events([*real, *simulated]),
        *bars.of_planted(real, where, known.ESTIMATE),
        *bars.of_planted(simulated, sets.SIMULATED, known.TRUTH),
    ]
    return lines + bars.of_calibration([*real, *simulated])


def _agreement(accept: Path | None, compared: list[Compared]) -> str:
    """A sentence about the other scorer, if there is one."""
    own = [one for one in compared if one.marks]
    if accept is None or not own:
        return ""
    apart = max(one.difference_to(accept) for one in own)
    return f"Another program scored the same files; the greatest difference of any measure (plain, standard errors aside) is {apart:.1e}."


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop, it stops what it measures
    typer.run(main)
