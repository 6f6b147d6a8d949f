"""The page and the tables of what was measured."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments import bootstrap
from experiments.benchmarks import kept
from experiments.benchmarks.accuracy import compare, floor, measured, scorer, scores, worth
from experiments.benchmarks.accuracy.compare import Compared
from experiments.benchmarks.accuracy.scores import ALL_LEVELS, EVERY_LEVEL
from experiments.benchmarks.accuracy.worth import TakenApart
from experiments.benchmarks.page import Bar, bar_table, markdown, percent
from experiments.benchmarks.panels import REAL, SIMULATED
from forecasting.recipe import CHAMPION, MODELS

HEAD = """# Accuracy

Made by the benchmark from what it has stored or the repository keeps; do not edit it by hand. Written on {day}; the days on which each run was
measured stand in its table. What is left of a run when its forecasts are scored goes into `experiments/benchmarks/accuracy/kept` whenever this
page is written, with the fingerprint of its code and inputs: who clones the repository runs only what has changed since, or was never run.

```sh
make bench-accuracy ARGS='--data FOLDER'             # everything; hours. What is there or kept already is not run again
make bench-accuracy ARGS='--data FOLDER --panels boston-311-rodent --models champion,AutoETS'
make bench-accuracy ARGS='--data FOLDER --parts worth,speed'   # worth on {apart}, unless --panels names others
make bench-accuracy ARGS=--render                    # this page anew, from what is stored and kept
```

Product and public peers stand on the same thirteen cutoffs, 28 days apart, whose windows tile the last 364 days of a panel; all are trained
anew at each, on two cores. Peers are fitted at every level directly. `{average}` is the plain average of the two. Intervals are those of a
paired circular block bootstrap over the cutoffs (blocks of {block}, {draws:,} draws, 95 %). `all` is the plain mean of the four levels; lower is
better for WRMSSE, WAPE and WQL. Seconds and peak memory are of the whole backtest in a process of its own, its workers among them; a
peer goes cutoff by cutoff, each a process, so that hours of it can be stopped and taken up again: their seconds are added up. `{floor}`
knows the rates from which the simulated city is drawn, but not its incidents, shocks and faults: what it misses, nobody can know.
`{hindsight}` is the champion with the level of every node in every window as it proved to be: with real tickets, how near it comes to a bar is
how much there was to gain by any better level; what is left are single days, most of it chance.

Where counts are small an interval of whole numbers covers more than it is named after, however right the distribution: beside each coverage stand
what such intervals would cover if the distribution were right, and the share of randomised probability integral transforms in the same central part,
which is the nominal one for a right distribution. A night is what the service does every night, without store and MLflow: training over both
levels of the simulated city's categories, the weeks of the outlook, the hours, and all of it packed. `load` is how many processes wanted a core
when a run began: above 2, its seconds say little.

A bar that lacks a panel, a model or a run of the present code is not measured; what the rest gives stands there as partial. The plain mean
over the real panels counts Boston's three slices as three panels; the mean over the sources takes their mean first, and counts each source once.

Real tickets are read from `FOLDER/chicago-311-sanitation`, `FOLDER/chicago-burglary-2011-14` and `FOLDER/boston-311-animal-pest`
(`tickets.parquet` of `ticket_id, created_at, district, category`). Names of districts that overlap are merged.
"""

WORTH = """How much worse (+) or better (-) the champion is without a member or a group of features, with sums that are sums of the series' forecasts
(bottom-up), and with nodes that keep their own forecasts (not reconciled): mean of the four levels. Then the members alone. At each cutoff all is
fitted once, the booster once more without each group; a variant is weighed, reconciled and calibrated anew."""


def page(day: str, bars: Sequence[Bar], panels: Sequence[Compared], apart: Sequence[TakenApart], agreement: str) -> str:
    """The text of `docs/accuracy.md`."""
    parts = [
        HEAD.format(
            day=day,
            average=scores.AVERAGE,
            block=bootstrap.BLOCK,
            draws=bootstrap.DRAWS,
            floor=floor.FLOOR,
            hindsight=floor.HINDSIGHT,
            apart=", ".join(worth.PANELS),
        )
    ]
    lacking = compare.missing(panels, [*REAL, *SIMULATED], compare.MODELS_COMPARED)
    parts.append("## Bars\n\n" + (f"Not run yet with the present code: {lacking}.\n\n" if lacking else "") + markdown(bar_table(bars)))
    if agreement:
        parts.append(agreement + "\n")
    if apart:
        parts.append(_worth(apart))
    parts += [_panel(compared) for compared in panels]
    return "\n".join(parts)


def _worth(apart: Sequence[TakenApart]) -> str:
    parts = ["## What each part is worth", WORTH]
    for one in apart:
        old = " The code or its inputs changed since." if one.outdated else ""
        failed = f" It failed ({one.record.error})." if one.record.error else ""
        parts.append(f"{one.panel}: {one.record.seconds:.0f} s in all, measured on {one.record.measured}.{old}{failed}")
    for table in (worth_table(apart), members_table(apart)):
        if not table.empty:
            parts.append(markdown(table))
    return "\n\n".join(parts)


def worth_table(apart: Sequence[TakenApart]) -> pd.DataFrame:
    """What leaving out costs: a row per panel and variant."""
    rows = []
    for one in apart:
        for name in dict.fromkeys(model for model, _ in one.draws if model != CHAMPION and model not in MODELS):
            row = {"panel": one.panel, "champion": name}
            for metric in ("WRMSSE", "WQL"):
                e = scores.relative(one.draws, name, CHAMPION, ALL_LEVELS, metric)
                row |= {metric: percent(e.value), f"{metric} interval": f"{percent(e.low)} to {percent(e.high)}"}
            rows.append(row)
    return pd.DataFrame(rows)


def members_table(apart: Sequence[TakenApart]) -> pd.DataFrame:
    """Scores of the champion and of each member alone: a row per panel and member, WRMSSE and WQL of all levels and WRMSSE of each."""
    rows = []
    for one in apart:
        for name in dict.fromkeys(model for model, _ in one.draws if model == CHAMPION or model in MODELS):
            measured = {level: one.draws[name, level].iloc[0] for level in (ALL_LEVELS, *EVERY_LEVEL)}
            row = {"panel": one.panel, "alone": name, "WRMSSE": measured[ALL_LEVELS]["WRMSSE"], "WQL": measured[ALL_LEVELS]["WQL"]}
            rows.append(row | {f"WRMSSE {level}": measured[level]["WRMSSE"] for level in EVERY_LEVEL})
    return pd.DataFrame(rows)


def said_of(compared: Compared) -> list[str]:
    """Sentences about runs that are outdated or failed."""
    old = [f"Made before the code or its inputs changed: {', '.join(compared.outdated)}."] if compared.outdated else []
    return old + [f"{name} failed ({record.error})." for name, record in compared.records.items() if record.error]


def _panel(compared: Compared) -> str:
    facts = compared.panel.facts
    lines = [f"## {compared.panel.name}", f"{facts.series} series, {facts.first} to {facts.last}, {facts.tickets:,} tickets."]
    lines += said_of(compared)
    if not compared.draws:
        return "\n\n".join(lines) + "\n"
    table = compared.table()
    days = {name: record.measured for name, record in compared.records.items()}
    table["measured"] = table["model"].map(days).fillna("")
    for name, digits in (("seconds", 0), ("peak_mb", 0), ("load", 1)):
        table[name] = [f"{value:.{digits}f}" if value == value else "" for value in table[name]]
    return "\n\n".join([*lines, markdown(table)])


def store(work: Path, day: str, bars: Sequence[Bar], panels: Sequence[Compared]) -> Path | None:
    """Writes the dated tables of a run; the path of the one of scores."""
    work.mkdir(parents=True, exist_ok=True)
    bar_table(bars).to_csv(work / f"bars-{day}.csv", index=False)
    tables = [compared.table().assign(panel=compared.panel.name) for compared in panels if compared.draws]
    if not tables:
        return None
    path = work / f"accuracy-{day}.csv"
    pd.concat(tables, ignore_index=True).to_csv(path, index=False)
    return path


def keep(root: Path, compared: Compared, apart: TakenApart | None) -> None:
    """Writes what was measured on a panel into the folder of all that is kept, in the place of what was kept of it."""
    if not compared.records and apart is None:
        return
    made = {name: record.fingerprint for name, record in compared.records.items()} | scorer.derived(compared.records, compared.panel.fingerprint)
    tables: dict[str, tuple[pd.DataFrame | None, kept.Runs]] = {name: (table, made) for name, table in measured.tables(compared.results).items()}
    records = dict(compared.records)
    if apart:
        records[worth.NAME] = apart.record
        tables[worth.NAME] = (None if apart.sums is None else apart.sums.reset_index()), apart.record.fingerprint
    kept.keep(root / compared.panel.name, measured.about(compared.panel), records, tables)
