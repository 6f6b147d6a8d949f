"""The page and the tables of what was measured."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments.benchmarks.detection import quiet, scoring, simulated
from experiments.benchmarks.detection.apart import Apart
from experiments.benchmarks.detection.compare import KNOWING, Compared
from experiments.benchmarks.detection.measured import SPLITS
from experiments.benchmarks.detection.peers import PEERS
from experiments.benchmarks.detection.replay import PRODUCT
from experiments.benchmarks.page import Bar, bar_table, markdown

HEAD = """# Detection

Made by the benchmark from what it has stored or the repository keeps; do not edit it by hand. Written on {day}. What is left of a run when it has
been judged goes into `experiments/benchmarks/detection/kept` whenever this page is written, with the fingerprint of its code and inputs: who clones
the repository runs only what has changed since, or was never run.

```sh
make bench-detection ARGS='--data FOLDER'            # everything; hours. What is there or kept already is not run again
make bench-detection ARGS='--data FOLDER --parts planted --sets boston-311-pest --detectors weisu,Farrington-7'
make bench-detection ARGS='--parts planted --sets simulated --seed 1'   # other incidents, to tune with; the page shows seed 0 alone
make bench-detection ARGS=--render                   # this page anew, from what is stored and kept
```

**Planted incidents.** Steps, spikes, ramps and log-normal bells of 1 to 21 days, 2, 3, 5 or 10 standard deviations of the series high on their
highest day, in single series, in several districts of a category and in all of them, are added to the last 364 days of real panels (series of 0.1
tickets a day or more) and of simulated counts (sixteen kinds from 0.1 to 100 tickets a day). An event is detected when an alarm episode *starts* in
it; an alarm that was on already tells nobody anything. Thresholds are those at which a detector has 1, 2 or 4 false episodes a series-year. POD is
the share of events detected, PODpre strictly before the peak; lead and delay are days; togo is the share of planted tickets still to come; `own` is
at the detector's own threshold (for weisu a `p_value` that comes twice a year). Standard errors (`se`) are a bootstrap over series ({draws} draws).
Bars and splits are *plain*: false alarms on the days between the events. Beside them stand *paired* measures: an alarm is credited only if the clean
copy has none that day, and false alarms are counted on the clean copy.

Peers are EARS C1 to C3 (on days and on 7-day totals), the negative-binomial likelihood ratio chart (GLR) and the Bayes system of the R package
`surveillance`; Farrington's flexible method on 7-day totals and on single days, and ESSENCE's switch, run in numpy (the former gives the alarms and
scores of R's `farringtonFlexible`). EARS has a least standard deviation of 0.5, as its authors advise for sparse series; the mean of GLR is fitted
once, before the planted year, that of GLR-28 anew every 28 days. `truth, ...` knows the mean and dispersion from which simulated counts are drawn:
`windows` puts the sums of 1, 2, 3, 5 and 7 days together. (Their levels wander, by a log standard deviation of {drift} with {memory:.0f} days'
memory.) Nobody knows those of real counts: `two-sided, ...` takes them from the clean copy, smoothed over the weeks before and after each day times
weekday. `ms` is per series-day: of a peer its own work, of weisu everything, refits included.

**The simulated city** is the default one of seed 0; its last 180 days are judged, for faults of the data the whole of 2025. An alert is explained by
a planted incident, a storm, a cold wave or a policy in its category and district, and a SEASONAL one by a rise of the true rates. An alert comes from
a fault if it falls on the days of the fault and the same city without faults does not raise it. A recoding stands in both: every alert in its
categories within four weeks counts, and beside it stands how many come there by chance and of other causes in as many other days. *Who knows the
rates* runs the product's test with the true rates and their scatter, the budget shared alike among the series. **Bursts** are
planted in its tickets (scale 0.3), 5, 8 or 12 times the usual for twelve hours. **Quiet days** are simulated counts of {quiet} in which nothing
happens; the largest are trained every {rarely} days, for a training of theirs takes a quarter of an hour.
"""

WORTH = """The simulated city at a tenth of its tickets, trained on once, its year lived through with one part at a time switched off. `pod` and
`slow` are the shares of places of planted incidents that were alerted, and of slow-building ones a day before their peak (42 and 16 places: one is
2.4 and 6 points); `beyond` are alerts a day that nothing explains; `heating` is days from the alert of the season to its peak; `from faults` are
alerts on the days of faults of the data that the product does not raise.
"""


def page(day: str, bars: Sequence[Bar], sets: Sequence[Compared], without: Apart | None, agreement: str) -> str:
    """The text of `docs/detection.md`."""
    sizes = ", ".join(f"{d * c:,}" for d, c in quiet.PANELS.values()) + " series"
    chosen = {"draws": scoring.DRAWS, "quiet": sizes, "drift": simulated.DRIFT, "memory": simulated.DRIFT_DAYS, "rarely": quiet.RARELY}
    parts = [HEAD.format(day=day, **chosen), "## Bars\n\n" + markdown(bar_table(bars))]
    if agreement:
        parts.append(agreement + "\n")
    if without:
        parts.append(_worth(without))
    return "\n".join([*parts, *(_set(one) for one in sets)])


def _worth(made: Apart) -> str:
    lines = ["## What each detector and rule is worth\n", WORTH]
    if made.outdated:
        lines.append("Made before the code or its inputs changed.\n")
    return "\n".join([*lines, markdown(made.table, 2)])


def _set(one: Compared) -> str:
    facts = one.of.facts
    lines = [
        f"## {one.of.name}\n",
        f"{facts.series} series, {facts.days:,} days, {facts.events} events, {facts.incidents} incidents.\n",
    ]
    if one.outdated:
        lines.append(f"Made before the code or its inputs changed: {', '.join(one.outdated)}.\n")
    if one.failed:
        lines.append("; ".join(f"{name} failed ({error})" for name, error in one.failed.items()) + ".\n")
    for title, rows in _tables(one.table):
        lines += [f"### {title}\n", markdown(rows, 3)]
    shown = [PRODUCT] if PRODUCT in one.detectors else []
    for names in (PEERS, tuple(KNOWING)):
        best = one.best(names, "POD", "2")
        if best is not None:
            shown.append(str(best["detector"]))
    if shown:
        lines.append("### POD / PODpre at 2 false alarms a series-year, apart\n")
        lines += [markdown(one.split(shown, by)) for by in SPLITS]
    if one.calibration is not None:
        lines += ["### Realised by nominal false alarms, clean copy\n", markdown(one.calibration, 2)]
    return "\n".join(lines)


def _tables(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    made = []
    for at, title in (("own", "At their own thresholds"), *[(f"{b:g}", f"At {b:g} false alarms a series-year") for b in scoring.BUDGETS]):
        for measured in ("plain", "paired"):
            rows = table[(table["at"] == at) & (table["measured"] == measured)].drop(columns=["measured", "at", "theta", "events", "missing"])
            if not rows.empty:
                made.append((title if at == "own" else f"{title}, {measured}", rows))
    return made


def store(work: Path, day: str, bars: Sequence[Bar], sets: Sequence[Compared]) -> Path | None:
    """Writes the dated tables of a run; the path of the one of scores."""
    work.mkdir(parents=True, exist_ok=True)
    bar_table(bars).to_csv(work / f"bars-{day}.csv", index=False)
    if not sets:
        return None
    path = work / f"detection-{day}.csv"
    pd.concat([one.table.assign(set=one.of.name) for one in sets], ignore_index=True).to_csv(path, index=False)
    return path
