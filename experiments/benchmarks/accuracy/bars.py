"""The bars: what must be reached, what was reached, how sure that is, and whether it holds."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from experiments.benchmarks.accuracy import calibration, compare, floor, scores, speed
from experiments.benchmarks.accuracy.compare import Compared
from experiments.benchmarks.accuracy.peers import PEERS
from experiments.benchmarks.accuracy.scores import ALL_LEVELS, AVERAGE, EVERY_LEVEL, Draws
from experiments.benchmarks.accuracy.times import OF_TIME
from experiments.benchmarks.page import Bar, percent
from experiments.benchmarks.panels import LONG, REAL, SIMULATED
from experiments.benchmarks.runs import Record
from experiments.bootstrap import Estimate
from forecasting.recipe import CHAMPION

PEER_NAMES = tuple(PEERS)
COMPARED = (CHAMPION, *PEER_NAMES)  # what a panel must have before a bar about the best peer means anything
MARGIN_PEER, MARGIN_AVERAGE = -0.04, -0.01  # real panels, in the mean
MARGIN_SIMULATED = -0.20
HEATING_SHARE, FLOOR_RATIO = 0.5, 1.25
PIT_POINTS = 0.02
LIMITS = {speed.CITY: (180.0, 2000.0), speed.LARGE: (900.0, 8000.0)}  # seconds, MB
METRICS = ("WRMSSE", "WQL")
NAMED = 80  # letters of what a bar lacks that its line holds; more stands once above the table


def _bar(what: str, must: str, e: Estimate, holds: bool, show: Callable[[float], str] = percent) -> Bar:
    return Bar(what, must, show(e.value), f"{show(e.low)} to {show(e.high)}", holds)


def against(draws: Draws, where: str, other: str | None, level: str, metric: str, margin: float | None) -> Bar:
    """The champion against another model. Without a margin the bar is not to be behind by more than noise."""
    name = f"{where}: {metric} against {other or 'the best peer'}"
    must = "not behind by more than noise" if margin is None else f"{percent(margin)} or less"
    if other is None or (CHAMPION, level) not in draws or (other, level) not in draws:
        return Bar(name, must)
    e = scores.relative(draws, CHAMPION, other, level, metric)
    return _bar(name, must, e, e.low <= 0 if margin is None else e.value <= margin)


def against_best(draws: Draws, where: str, level: str, metric: str, margin: float | None) -> Bar:
    """The champion against the peer that is best by this metric at this level."""
    return against(draws, where, scores.best(draws, PEER_NAMES, level, metric), level, metric, margin)


def beside(bar: Bar, draws: Draws, other: str | None, metric: str) -> Bar:
    """The bar with what a forecast would reach that knew the level of every node and window beforehand."""
    if bar.holds is None or other is None or (floor.HINDSIGHT, ALL_LEVELS) not in draws:
        return bar
    limit = scores.relative(draws, floor.HINDSIGHT, other, ALL_LEVELS, metric)
    return replace(bar, reached=f"{bar.reached} ({percent(limit.value)} with every level known beforehand)")


def measured(bar: Bar, lacking: str, part: str = "") -> Bar:
    """The bar as it is if nothing is lacking; else it is not measured, and says what is lacking and what the rest gives.

    Args:
        lacking: see `compare.missing`.
        part: of what the rest is, such as '3 of 5'.
    """
    if not lacking:
        return bar
    interval = f", {bar.interval}" if bar.interval else ""
    rest = f"; partial{f' ({part})' if part else ''}: {bar.reached}{interval}" if bar.holds is not None else ""
    named = lacking if len(lacking) <= NAMED else "runs named above"
    return replace(bar, reached=f"not measured, lacking {named}{rest}", interval="", holds=None)


def of_real(panels: Sequence[Compared]) -> list[Bar]:
    """The real panels: in the mean over panels and over sources, on each, and at each level. A mean is measured when all of them are."""
    there = {p.panel.name: p for p in panels if p.panel.name in REAL}
    lacking = compare.missing(panels, REAL, COMPARED)
    draws = {name: p.draws for name, p in there.items() if {CHAMPION, *scores.AVERAGED} <= p.results.models}
    sources = {part.folder: [draws[name] for name in draws if REAL[name].folder == part.folder] for part in REAL.values()}
    known = [scores.mean_over(of_one) for of_one in sources.values() if of_one]
    mean, of_sources = scores.mean_over(list(draws.values())), scores.mean_over(known)
    part, name = f"{len(draws)} of {len(REAL)}", f"mean of the {len(REAL)} real panels"
    bars = []
    for drawn, where, share in ((mean, name, part), (of_sources, f"mean of their {len(sources)} sources", f"{len(known)} of {len(sources)}")):
        for metric in METRICS:
            best = scores.best(drawn, PEER_NAMES, ALL_LEVELS, metric)
            bars.append(measured(beside(against(drawn, where, best, ALL_LEVELS, metric, MARGIN_PEER), drawn, best, metric), lacking, share))
        for metric in METRICS:
            bar = against(drawn, where, AVERAGE, ALL_LEVELS, metric, MARGIN_AVERAGE)
            bars.append(measured(beside(bar, drawn, AVERAGE, metric), lacking, share))
    for panel in REAL:
        lacks = compare.missing(panels, [panel], (CHAMPION, *scores.AVERAGED))
        bars += [measured(against(draws.get(panel, {}), panel, AVERAGE, ALL_LEVELS, metric, None), lacks) for metric in METRICS]
    bars += [measured(against_best(mean, f"{name}, {level}", level, metric, None), lacking, part) for level in EVERY_LEVEL for metric in METRICS]
    return [*bars, measured(_nowhere_behind(list(there.values())), lacking)]


def _nowhere_behind(panels: Sequence[Compared]) -> Bar:
    cells = [against_best(p.draws, f"{p.panel.name}, {level}", level, metric, None) for p in panels for level in EVERY_LEVEL for metric in METRICS]
    known = [cell for cell in cells if cell.holds is not None]
    bar = Bar("each real panel at each level, WRMSSE and WQL, against the best peer there", "none behind by more than noise")
    if not known:
        return bar
    behind = [f"{cell.what} {cell.reached}" for cell in known if not cell.holds]
    return replace(bar, reached=f"{len(behind)} of {len(known)} behind" + "".join(f"; {line}" for line in behind), holds=not behind)


def of_simulated(panels: Sequence[Compared]) -> list[Bar]:
    """The simulated city: margins, heating, and the floor."""
    bars = []
    there = {p.panel.name: p for p in panels}
    for name in SIMULATED:
        p, full = there.get(name), name == "city-1.0"
        draws = p.draws if p else {}
        lacking = compare.missing(panels, [name], COMPARED)
        for metric in METRICS:
            best = against_best(draws, name, ALL_LEVELS, metric, MARGIN_SIMULATED)
            bar = best if full else against(draws, name, AVERAGE, ALL_LEVELS, metric, 0.0)
            limit = against(draws, "", floor.FLOOR, ALL_LEVELS, metric, None)
            if bar.holds is not None and limit.holds is not None:
                bar = replace(bar, reached=f"{bar.reached} ({limit.reached} from the generator's own)")
            bars.append(measured(bar, lacking))
        if full:
            bars += [measured(bar, lacking) for bar in _heating(name, p)]
            bars += [measured(bar, compare.missing(panels, [name], [CHAMPION])) for bar in _above_floor(name, draws)]
    return bars


def _heating(name: str, p: Compared | None) -> list[Bar]:
    heat = p.results.heating.to_dict("index") if p else {}
    peers = [model for model in PEERS if model in heat]
    bars = []
    for level, place in (("category", "the whole city"), ("series", "each district")):
        bar = Bar(f"{name}: WAPE of heating in November, {place}, as a share of the best peer's", f"{HEATING_SHARE} or less")
        if peers and CHAMPION in heat:
            least, best = min((heat[model][level], model) for model in peers)
            ratio = heat[CHAMPION][level] / least
            bar = replace(bar, reached=f"{ratio:.2f} ({heat[CHAMPION][level]:.3f}, {best} {least:.3f})", holds=ratio <= HEATING_SHARE)
        bars.append(bar)
    return bars


def _above_floor(name: str, draws: Draws) -> list[Bar]:
    bars = []
    for metric in ("WAPE", "WRMSSE"):
        what, must = f"{name}: city level, {metric} as a multiple of that of a forecast that knows the rates", f"{FLOOR_RATIO} or less"
        if (CHAMPION, "city") in draws and (floor.FLOOR, "city") in draws:
            e = scores.relative(draws, CHAMPION, floor.FLOOR, "city", metric)
            ratio = Estimate(1 + e.value, 1 + e.low, 1 + e.high)
            bars.append(_bar(what, must, ratio, ratio.value <= FLOOR_RATIO, lambda x: f"{x:.2f}"))
        else:
            bars.append(Bar(what, must))
    return bars


def of_calibration(panels: Sequence[Compared]) -> list[Bar]:
    """Coverage by level and size, and bias, over all panels together."""
    lacking = compare.missing(panels, [*REAL, *SIMULATED], [CHAMPION])
    panels = [p for p in panels if CHAMPION in p.results.models]
    if not panels:
        return [measured(Bar("calibration", "80 and 90 % intervals cover as much"), lacking)]
    bars = []

    def share(x: float) -> str:
        return f"{100 * x:.1f} %"

    transforms = calibration.inside([pd.DataFrame(p.results.transforms.xs(CHAMPION)) for p in panels])
    for (level, name), e in calibration.coverage({p.panel.name: p.results.sums for p in panels}, CHAMPION).items():
        nominal = calibration.NOMINAL[name]
        if level != "series":
            bar = _bar(f"{level}: coverage of the {nominal:.0%} interval", "its interval contains it", e, e.low <= nominal <= e.high, share)
            held = transforms[level, name]
            note = f"transforms {share(held.transforms.value)}; of whole numbers a right one covers {share(held.whole)}"
            bars.append(replace(bar, reached=f"{bar.reached} ({note})"))
    for (size, name), held in transforms.items():
        if size not in calibration.CLASSES:
            continue
        nominal = calibration.NOMINAL[name]
        e = held.transforms
        near = abs(e.value - nominal) <= PIT_POINTS
        what = f"series, {size} tickets a day ({held.rows:,} rows): transforms in the central {nominal:.0%}"
        bars.append(_bar(what, "within 2 points", e, near, share))
    e = calibration.bias([p.draws for p in panels], CHAMPION)
    bars.append(_bar("city: bias, mean of the panels", "its interval contains 0", e, e.low <= 0 <= e.high))
    return [measured(bar, lacking, f"{len(panels)} of {len(REAL) + len(SIMULATED)}") for bar in bars]


def of_time(records: Mapping[str, Record], outdated: Collection[str] = ()) -> list[Bar]:
    """Time and memory.

    Args:
        records: 'champion' and 'AutoETS' of the panel of 245 series, and of the nights by name.
        outdated: those made by other code or from other inputs.
    """

    def lacking(*names: str) -> str:
        why = {name: f"{name} failed ({made.error})" for name, made in records.items() if made.error}
        why |= {name: f"{name} outdated" for name in outdated}
        return ", ".join(why.get(name, name) for name in names if name in why or name not in records)

    bar = Bar(f"{LONG}: seconds of the whole backtest, 1,400 days x 13 cutoffs", f"{OF_TIME[1]} or less")
    pair = [records[name] for name in OF_TIME if name in records and not records[name].error]
    if len(pair) == len(OF_TIME):
        shown = ", ".join(f"{name} {made.seconds:.0f} (load {made.load})" for name, made in zip(OF_TIME, pair, strict=True))
        bar = replace(bar, reached=shown, holds=pair[0].seconds <= pair[1].seconds)
    bars = [measured(bar, lacking(*OF_TIME))]
    for name, (seconds, memory) in LIMITS.items():
        bar = Bar(f"{name}: one night", f"under {seconds:.0f} s and {memory:.0f} MB")
        made = records.get(name)
        if made and made.error and name not in outdated:
            bars.append(replace(bar, reached=f"failed ({made.error})", holds=False))
            continue
        if made and not made.error:
            shown = f"{made.seconds:.0f} s, {made.peak_mb:.0f} MB (load {made.load} at its start)"
            bar = replace(bar, reached=shown, holds=made.seconds < seconds and made.peak_mb < memory)
        bars.append(measured(bar, lacking(name)))
    return bars
