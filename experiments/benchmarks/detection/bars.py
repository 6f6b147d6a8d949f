"""The bars: what must be reached, what was reached, and whether it holds."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from experiments.benchmarks.detection import calibration, cost, hourly, known, passes
from experiments.benchmarks.detection.apart import Apart
from experiments.benchmarks.detection.boston import LATEST, Irene
from experiments.benchmarks.detection.city import Judged
from experiments.benchmarks.detection.compare import Compared
from experiments.benchmarks.detection.hourly import Delays
from experiments.benchmarks.detection.peers import PEERS
from experiments.benchmarks.detection.quiet import FalseAlerts
from experiments.benchmarks.detection.replay import BUDGET, PRODUCT
from experiments.benchmarks.page import Bar
from experiments.benchmarks.runs import Record

LEAST_EVENTS = 1000
HALF_WAY = 0.5
MOST_ALARM_DAYS = 0.03
FALSE_SHARE = (0.8, 1.25)  # realised by nominal false alarms, in every class of size
BUDGET_SHARE = (0.7, 1.3)  # realised by allowed false alerts a day
CITY_LIMITS = {"city-1.0": (0.95, 0.85), "city-0.1": (0.75, 0.60)}  # POD, slow ones before their peak
MOST_BEYOND = 2.0  # alerts a day
HEATING_DAYS = 7
BURST_HOURS = 3.0
BUSIEST_AUGUST_DAY = 2  # demand alerts, storm aside
MEASURES = ("POD", "PODpre")


def before(bars: Sequence[Bar], old: bool) -> list[Bar]:
    """Bars as they are, or, of results that were made before the code or its inputs changed, as those that say what was reached and hold nothing."""
    told = [replace(bar, reached=f"not measured with the present code; before: {bar.reached}", interval="", holds=None) for bar in bars]
    return [then if old and bar.holds is not None else bar for bar, then in zip(bars, told, strict=True)]


def row(one: Compared, detector: str, at: str) -> pd.Series:
    """The plain measures of a detector at a budget."""
    table = one.table
    return table[(table["detector"] == detector) & (table["measured"] == "plain") & (table["at"] == at)].iloc[0]


def pooled(sets: Sequence[Compared], detector: str, measure: str, at: str) -> tuple[float, float]:
    """A plain share of all events of several sets, each at its own threshold, and its standard error."""
    rows = pd.DataFrame([row(one, detector, at) for one in sets])
    weight = (rows["events"] / rows["events"].sum()).to_numpy(float)
    share, error = (rows[name].to_numpy(float) for name in (measure, f"se_{measure}"))
    return float(weight @ share), float(np.sqrt(((weight * error) ** 2).sum()))


def best(sets: Sequence[Compared], names: Sequence[str], measure: str, at: str) -> tuple[str, float] | None:
    """The detector of all these sets that is best by a pooled measure."""
    there = [name for name in names if all(name in one.detectors for one in sets)]
    values = {name: pooled(sets, name, measure, at)[0] for name in there}
    return max(values.items(), key=lambda item: item[1]) if values else None


def of_planted(sets: Sequence[Compared], where: str, who: str) -> list[Bar]:
    """Planted incidents of some sets together.

    Args:
        who: knows the distribution: `known.TRUTH` or `known.ESTIMATE`.
    """
    knowing = [f"{who}, {detector}" for detector in known.DETECTORS]
    there = bool(sets) and all(PRODUCT in one.detectors for one in sets)
    bars = []
    for measure in MEASURES:
        what, must = f"{where}: {measure} at 2 false alarms a series-year", "half-way from the best peer to who knows the distribution"
        peer, limit = (best(sets, names, measure, "2") if sets else None for names in (PEERS, knowing))
        if peer is None or limit is None:
            bars.append(Bar(what, must))
            continue
        wanted = peer[1] + HALF_WAY * (limit[1] - peer[1])
        marks = f"{peer[0]} {peer[1]:.3f}, {limit[0]} {limit[1]:.3f}: {wanted:.3f} wanted"
        if there:
            value, error = pooled(sets, PRODUCT, measure, "2")
            bars.append(Bar(what, must, f"{value:.3f} (standard error {error:.3f}; {marks})", "", value >= wanted))
        else:
            bars.append(Bar(what, must, f"not measured ({marks})"))
    for at in ("1", "4"):
        for measure in MEASURES:
            what, must = f"{where}: {measure} at {at} false alarms a series-year", "ahead of every peer"
            peer = best(sets, PEERS, measure, at) if sets else None
            if peer is None or not there:
                bars.append(Bar(what, must, "not measured" + (f" ({peer[0]} {peer[1]:.3f})" if peer else "")))
                continue
            value, error = pooled(sets, PRODUCT, measure, at)
            bars.append(Bar(what, must, f"{value:.3f} (standard error {error:.3f}; {peer[0]} {peer[1]:.3f})", "", value > peer[1]))
    what, must = f"{where}: alarm days at 2 false alarms a series-year", f"{MOST_ALARM_DAYS:.0%} or less, on each panel"
    if there:
        days = {one.of.name: float(row(one, PRODUCT, "2")["alarm_days"]) for one in sets}
        bars.append(Bar(what, must, ", ".join(f"{name} {share:.1%}" for name, share in days.items()), "", max(days.values()) <= MOST_ALARM_DAYS))
    else:
        bars.append(Bar(what, must))
    return before(bars, any(one.outdated for one in sets))


def of_events(sets: Sequence[Compared]) -> Bar:
    """How many events there are."""
    number = sum(one.of.facts.events for one in sets)
    what, must = "planted events, each in one series", f"{LEAST_EVENTS:,} or more"
    return Bar(what, must, f"{number:,}", "", number >= LEAST_EVENTS) if sets else Bar(what, must)


def of_calibration(sets: Sequence[Compared]) -> list[Bar]:
    """False alarms by size."""
    low, high = FALSE_SHARE
    must = f"{low} to {high} in every class of size"
    bars = []
    for one in sets:
        what = f"{one.of.name}: realised by nominal false alarms, p_value"
        if one.calibration is None:
            bars.append(Bar(what, must))
            continue
        table = one.calibration[one.calibration["series"] >= calibration.FEWEST]
        text = ", ".join(f"{row.size} {row.by_p:.2f}" for row in table.itertuples(index=False))
        bar = Bar(what, must, text, "", bool(table["by_p"].between(low, high).all()))
        bars += before([bar], PRODUCT in one.outdated)
    return bars


def of_city(name: str, j: Judged | None) -> list[Bar]:
    """The simulated city at one scale."""
    pod, slow = CITY_LIMITS[name]
    asked = (
        ("share of planted incidents alerted", f"{pod} or more"),
        ("alerts a day beyond planted and known events", f"{MOST_BEYOND:g} or fewer"),
        ("slow-building incidents alerted a day before their peak", f"{slow} or more"),
        ("days from the heating alert to its peak", f"{HEATING_DAYS} or more"),
        ("demand alerts from faults of the data", "none"),
    )
    if j is None:
        return [Bar(f"{name}: {what}", must) for what, must in asked]
    kinds = "".join(f", {kind} {number}" for kind, number in j.by_kind.items())
    chance = f" (in recoded categories {j.by_chance:.1f} come in as many other days)" if np.isfinite(j.by_chance) else ""
    knowing = f" (who knows the rates: {j.slow_knowing:.2f})" if np.isfinite(j.slow_knowing) else ""
    reached: tuple[tuple[str, bool | None], ...] = (
        (f"{j.pod:.2f} of {j.places}", j.pod >= pod),
        (f"{j.beyond:.2f}{kinds}", j.beyond <= MOST_BEYOND),
        (f"{j.slow:.2f} of {j.slow_places}{knowing}", j.slow >= slow),
        ("no alert", False) if j.heating is None else (str(j.heating), j.heating >= HEATING_DAYS),
        ("not measured", None) if j.faults is None else (f"{j.faults}{chance}", j.faults == 0),
    )
    return [Bar(f"{name}: {what}", must, text, "", holds) for (what, must), (text, holds) in zip(asked, reached, strict=True)]


def of_bursts(delays: Delays | None) -> Bar:
    """Delay with hourly tickets."""
    what = f"bursts of {min(hourly.RATIOS)} times and more in series of {hourly.LEAST:g} tickets a day: median hours from onset to alert"
    must = f"{BURST_HOURS:g} or fewer"
    if delays is None:
        return Bar(what, must)
    hours = np.array(delays.hours)
    median = float(np.median(hours))
    return Bar(what, must, f"{median:.1f} ({np.isfinite(hours).sum()} of {len(hours)} within a day)", "", median <= BURST_HOURS)


def of_quiet(name: str, found: FalseAlerts | None) -> Bar:
    """The budget on quiet days."""
    low, high = BUDGET_SHARE
    what, must = f"{name}: false alerts a day by the budget of {BUDGET:g}", f"{low} to {high}"
    if found is None:
        return Bar(what, must)
    kinds = "".join(f", {kind} {n}" for kind, n in found.by_kind.items())
    text = f"{found.mean / BUDGET:.2f} (standard error {found.error / BUDGET:.2f}{kinds})"
    return Bar(what, must, text, "", low <= found.mean / BUDGET <= high)


def of_irene(irene: Irene | None) -> list[Bar]:
    """Boston's storm."""
    whats = (
        "tree emergencies as one event of the city, with districts",
        "state of the city on the day",
        "demand alerts on the busiest other day of August",
    )
    musts = (f"by {LATEST:%H:%M}", "red", f"{BUSIEST_AUGUST_DAY} or fewer")
    if irene is None:
        return [Bar(f"Boston 2011, Irene: {what}", must) for what, must in zip(whats, musts, strict=True)]
    when = "never" if irene.raised is None else f"{irene.raised:%H:%M}, {irene.districts} districts"
    reached = (when, "red" if irene.red else "not red", str(irene.most))
    in_time = irene.raised is not None and irene.raised <= LATEST and irene.districts > 1
    holds = (in_time, irene.red, irene.most <= BUSIEST_AUGUST_DAY)
    return [Bar(f"Boston 2011, Irene: {w}", m, r, "", h) for w, m, r, h in zip(whats, musts, reached, holds, strict=True)]


def of_cost(record: Record | None) -> list[Bar]:
    """Seconds."""
    what, must = f"replay of {cost.SERIES} series x {cost.DAYS} days with monthly refits", f"under {cost.REPLAY_LIMIT:.0f} s"
    if record is None:
        bars = [Bar(what, must)]
    elif record.error:
        bars = [Bar(what, must, record.error, "", None)]
    else:
        text = f"{record.seconds:.0f} s, {record.peak_mb:.0f} MB (load {record.load} at its start)"
        bars = [Bar(what, must, text, "", record.seconds < cost.REPLAY_LIMIT)]
    return bars


def of_passes(made: Apart | None) -> list[Bar]:
    """Seconds of single looks at 20,000 series: the median of some."""
    found = []
    for look, limit in passes.LIMITS.items():
        what, must = f"{look} over {passes.SERIES:,} series", f"under {limit:g} s"
        if made is None or made.outdated:
            found.append(Bar(what, must))
            continue
        seconds = float(made.table.loc[made.table["look"] == look, "seconds"].median())
        found.append(Bar(what, must, f"{seconds:.2f} s (load {made.record.load} at its start)", "", seconds < limit))
    return found
