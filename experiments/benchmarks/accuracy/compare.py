"""Product and peers on a panel: the runs, what they made or what is kept of it, and its scores."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from experiments.benchmarks import kept, runs
from experiments.benchmarks.accuracy import measured, product, scorer, scores
from experiments.benchmarks.accuracy.measured import NOTHING, Measured
from experiments.benchmarks.accuracy.peers import PEERS
from experiments.benchmarks.accuracy.scores import Draws
from experiments.benchmarks.panels import Panel
from experiments.benchmarks.runs import Record, Run
from forecasting import metrics
from forecasting.errors import InputError
from forecasting.hierarchy import ALL
from forecasting.recipe import CHAMPION, MODELS

PEERS_FILE = Path(__file__).with_name("peers.py")
LOCK = Path(__file__).with_name("peers.lock")
MODELS_COMPARED = (CHAMPION, *PEERS)


@dataclass(frozen=True)
class Compared:
    """What models forecast on a panel.

    Attributes:
        number: of the panel; its cutoffs are drawn apart from other panels'.
        frames: model -> forecasts of the nodes and days of the champion, where they are at hand.
        records: model -> what its run took, also of one that failed; the fingerprint is that of the result, see `scorer`.
        outdated: models whose inputs or code have changed since.
        told: results of models whose forecasts are not at hand.
    """

    panel: Panel
    number: int
    frames: dict[str, pd.DataFrame]
    records: dict[str, Record]
    outdated: tuple[str, ...]
    told: Measured = NOTHING

    @cached_property
    def truth(self) -> pd.DataFrame:
        """What came."""
        return scores.truth_of(self.panel)

    @cached_property
    def results(self) -> Measured:
        """Of every model (the average of two, the generator and hindsight among them)."""
        own = measured.measure(self.panel, self.frames, self.truth) if self.frames else NOTHING
        return (own + self.told.without(own.models)).sorted()

    def lacks(self, models: Iterable[str]) -> list[str]:
        """Those of several models that have no results here, and, said so, those whose results are outdated."""
        models, there = list(models), self.results.models
        lacking = [name if name not in there else f"{name} outdated" for name in models if name not in there or name in self.outdated]
        pair = set(scores.AVERAGED)
        return [*lacking, scores.AVERAGE] if pair <= set(models) and pair <= there and scores.AVERAGE not in there else lacking

    @cached_property
    def draws(self) -> Draws:
        """Scores as measured and as resampled; empty where all models failed."""
        return scores.resampled(self.results.sums, self.number) if self.results.models else {}

    def table(self) -> pd.DataFrame:
        """A row per level and model, with seconds and peak memory of the whole backtest and the load when it began."""
        made = scores.table(self.draws)
        for name in ("seconds", "peak_mb", "load"):
            made[name] = made["model"].map({model: getattr(record, name) for model, record in self.records.items()})
        pair = [self.records[name].seconds for name in scores.AVERAGED if name in self.records]
        made.loc[made["model"] == scores.AVERAGE, "seconds"] = sum(pair)
        return made


def run_of(panel: Panel, model: str, work: Path, interpreter: Path) -> Run:
    """The run that makes a model's forecasts; a peer's cutoff by cutoff, for some take hours.

    Args:
        model: a peer, 'champion' or a member of the default recipe.
        interpreter: Python of the peers' environment.

    Raises:
        InputError: an unknown model.
    """
    if model in PEERS:
        out, cutoffs = work / panel.name / f"{model}.parquet", panel.cutoffs()

        def of(out: Path, cutoffs: Sequence[str], parts: tuple[Run, ...] = ()) -> Run:
            command = (str(interpreter), "-P", str(PEERS_FILE), str(panel.counts), str(out), model, panel.country, *cutoffs)
            inputs = runs.fingerprint(panel.fingerprint, runs.code([PEERS_FILE]), LOCK.read_text(), model, panel.country, cutoffs)
            return Run(out, command, inputs, parts)

        return of(out, cutoffs, tuple(of(out.with_suffix("") / f"{cutoff}.parquet", [cutoff]) for cutoff in cutoffs))
    if model != CHAMPION and model not in MODELS:
        raise InputError(f"unknown model '{model}'", "--models", f"choose from {', '.join([*MODELS_COMPARED, *MODELS])}")
    return product.backtest_run(panel, model, work)


def collect(panel: Panel, number: int, made: Iterable[tuple[str, Run]], folder: Path | None = None) -> Compared:
    """What runs have left or what is kept of them, the champion first; nothing is run. What is of a panel that was cut otherwise is left out.

    Args:
        folder: of what is kept of the panel.
    """
    frames, records, outdated, told = {}, {}, [], []
    others = _kept(panel, folder)
    for name, run in made:
        wanted = scorer.fingerprint(name, run.fingerprint)
        own, other = _stored(name, run) if panel.told is None else None, others.get(name)
        record = runs.latest(wanted, own, other)
        if record is None:
            continue
        records[name] = record
        if record.fingerprint != wanted:
            outdated.append(name)
        if record is other:
            told.append(name)
        elif not record.error and (frame := runs.frame(run.out)) is not None and (record.fingerprint == wanted or _fits(frame, panel)):
            frames[name] = frame
    known = {name: records[name].fingerprint for name in told} | scorer.derived(records, panel.fingerprint)
    return Compared(panel, number, frames, records, tuple(outdated), measured.read(folder, known) if folder and others else NOTHING)


def _stored(name: str, run: Run) -> Record | None:
    """The record of a run by which its result is known, unless its forecasts are lost."""
    record = runs.record(run.out)
    if record is None or not (record.error or run.out.exists()):
        return None
    return replace(record, fingerprint=scorer.fingerprint(name, record.fingerprint))


def _kept(panel: Panel, folder: Path | None) -> dict[str, Record]:
    """The runs whose results on this very panel are kept."""
    facts = measured.facts(folder) if folder else None
    return kept.records(folder) if folder and facts and facts.fingerprint == panel.fingerprint else {}


def is_kept(panel: Panel, made: Mapping[str, Run], name: str, folder: Path) -> bool:
    """Whether a result is kept that a run would give again. Of the two that are averaged both have to be, for their average cannot be told from
    their scores.

    Args:
        made: name -> run, those of the pair among them.
    """
    there = _kept(panel, folder)
    wanted = {model: scorer.fingerprint(model, made[model].fingerprint) for model in (scores.AVERAGED if name in scores.AVERAGED else (name,))}
    if not all(model in there and not there[model].error and there[model].fingerprint == run for model, run in wanted.items()):
        return False
    needed = wanted | {model: run for model, run in scorer.derived(there, panel.fingerprint).items() if model == scores.AVERAGE and len(wanted) > 1}
    return set(needed) <= measured.read(folder, needed).models


def _fits(frame: pd.DataFrame, panel: Panel) -> bool:
    """Whether forecasts are of the panel's nodes and cutoffs, as it is now."""
    counts, cutoffs = panel.table(), panel.cutoffs()
    pairs = set(counts.loc[counts["date"] <= cutoffs[-1], metrics.KEYS].drop_duplicates().itertuples(index=False, name=None))
    nodes = pairs | {node for d, c in pairs for node in ((d, ALL), (ALL, c), (ALL, ALL))}
    forecast = set(frame[metrics.KEYS].drop_duplicates().itertuples(index=False, name=None))
    return nodes == forecast and set(frame["cutoff"].unique()) == set(pd.to_datetime(cutoffs))


def missing(panels: Sequence[Compared], names: Iterable[str], models: Iterable[str]) -> str:
    """What a figure over some panels and models still lacks, in words; empty if it lacks nothing.

    Args:
        panels: what there is.
        names: of the panels that the figure is about.
        models: that each of them needs.
    """
    models, there = tuple(models), {compared.panel.name: compared for compared in panels}
    words = []
    for name in names:
        lacks = there[name].lacks(models) if name in there else list(models)
        if lacks:
            words.append(name if lacks == list(models) else f"{name} ({', '.join(lacks)})")
    return "; ".join(words)


def difference_to(scorer: Path, compared: Compared, ours: pd.DataFrame, say: Callable[[str], None]) -> float:
    """The greatest difference between our scores and those of another scorer, a script `SCORER COUNTS FORECASTS … TABLE.csv`, on the same files.

    Raises:
        InputError: the script fails.
    """
    with tempfile.TemporaryDirectory() as name:
        paths = []
        for model, frame in compared.frames.items():
            paths.append(Path(name) / f"{model}.parquet")
            frame.to_parquet(paths[-1], index=False)
        out = Path(name) / "table.csv"
        done = subprocess.run(
            [sys.executable, str(scorer), str(compared.panel.counts), *map(str, paths), str(out)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise InputError((done.stderr.strip().splitlines() or ["it failed"])[-1], str(scorer), "give the folder of another scorer")
        theirs = pd.read_csv(out)
    columns = ["WRMSSE", "WAPE", "WQL", "bias", "cover80", "cover90"]
    both = ours.merge(theirs, on=["model", "level"], suffixes=("", " theirs"), validate="1:1")
    say(f"{compared.panel.name}: {len(both)} rows scored by both")
    return float(max((both[c] - both[f"{c} theirs"]).abs().max() for c in columns))
