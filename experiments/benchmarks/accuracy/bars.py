"""The bars: what must be reached, what was reached, how sure that is, and whether it holds."""

from collections.abc import Callable
from dataclasses import replace

from experiments.benchmarks.accuracy import calibration, floor, scores, speed
from experiments.benchmarks.accuracy.compare import Compared
from experiments.benchmarks.accuracy.peers import PEERS
from experiments.benchmarks.accuracy.scores import ALL_LEVELS, AVERAGE, EVERY_LEVEL, Draws, Estimate
from experiments.benchmarks.page import Bar, percent
from experiments.benchmarks.panels import LONG
from experiments.benchmarks.runs import Record
from forecasting.recipe import CHAMPION

PEER_NAMES = tuple(PEERS)
MARGIN_PEER, MARGIN_AVERAGE = -0.04, -0.01  # real panels, in the mean
MARGIN_SIMULATED = -0.20
HEATING_SHARE, FLOOR_RATIO = 0.5, 1.25
PIT_POINTS = 0.02
LIMITS = {speed.CITY: (180.0, 2000.0), speed.LARGE: (900.0, 8000.0)}  # seconds, MB
METRICS = ("WRMSSE", "WQL")


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


def of_real(panels: list[Compared]) -> list[Bar]:
    """The real panels: in the mean, on each, and at each level."""
    if not panels:
        return [Bar("real panels", "see the requirement")]
    mean = scores.mean_over([p.draws for p in panels])
    name = f"mean of {len(panels)} real panels"
    bars = [against_best(mean, name, ALL_LEVELS, metric, MARGIN_PEER) for metric in METRICS]
    bars += [against(mean, name, AVERAGE, ALL_LEVELS, metric, MARGIN_AVERAGE) for metric in METRICS]
    bars += [against(p.draws, p.panel.name, AVERAGE, ALL_LEVELS, metric, None) for p in panels for metric in METRICS]
    bars += [against_best(mean, f"{name}, {level}", level, metric, None) for level in EVERY_LEVEL for metric in METRICS]
    cells = [against_best(p.draws, f"{p.panel.name}, {level}", level, metric, None) for p in panels for level in EVERY_LEVEL for metric in METRICS]
    measured = [cell for cell in cells if cell.holds is not None]
    if measured:
        behind = [f"{cell.what} {cell.reached}" for cell in measured if not cell.holds]
        text = f"{len(behind)} of {len(measured)} behind" + "".join(f"; {line}" for line in behind)
        bars.append(
            Bar("each panel at each level, WRMSSE and WQL, against the best peer there", "none behind by more than noise", text, "", not behind)
        )
    return bars


def of_simulated(panels: list[Compared]) -> list[Bar]:
    """The simulated city: margins, heating, and the floor."""
    bars = []
    for p in panels:
        full = p.panel.name == "city-1.0"
        for metric in METRICS:
            if full:
                bar = against_best(p.draws, p.panel.name, ALL_LEVELS, metric, MARGIN_SIMULATED)
            else:
                bar = against(p.draws, p.panel.name, AVERAGE, ALL_LEVELS, metric, 0.0)
            limit = against(p.draws, "", floor.FLOOR, ALL_LEVELS, metric, None)
            bars.append(bar if limit.holds is None else replace(bar, reached=f"{bar.reached} ({limit.reached} from the generator's own)"))
        if not full or CHAMPION not in p.frames:
            continue
        heat = floor.heating(p.frames, p.truth)
        peers = [name for name in heat if name in PEERS]
        for level, name in (("category", "the whole city"), ("series", "each district")):
            what, must = f"{p.panel.name}: WAPE of heating in November, {name}, as a share of the best peer's", f"{HEATING_SHARE} or less"
            if peers:
                least, best = min((heat[name][level], name) for name in peers)
                ratio = heat[CHAMPION][level] / least
                shown = f"{ratio:.2f} ({heat[CHAMPION][level]:.3f}, {best} {least:.3f})"
                bars.append(Bar(what, must, shown, "", ratio <= HEATING_SHARE))
            else:
                bars.append(Bar(what, must))
        for metric in ("WAPE", "WRMSSE"):
            e = scores.relative(p.draws, CHAMPION, floor.FLOOR, "city", metric)
            ratio_of = Estimate(1 + e.value, 1 + e.low, 1 + e.high)
            what = f"{p.panel.name}: city level, {metric} as a multiple of that of a forecast that knows the rates"
            bars.append(_bar(what, f"{FLOOR_RATIO} or less", ratio_of, ratio_of.value <= FLOOR_RATIO, lambda x: f"{x:.2f}"))
    return bars


def of_calibration(panels: list[Compared]) -> list[Bar]:
    """Coverage by level and size, and bias."""
    panels = [p for p in panels if CHAMPION in p.frames and "dispersion" in p.frames[CHAMPION]]
    if not panels:
        return [Bar("calibration", "80 and 90 % intervals cover as much")]
    bars = []

    def share(x: float) -> str:
        return f"{100 * x:.1f} %"

    transforms = calibration.inside([calibration.transform(p.frames[CHAMPION], p.truth) for p in panels])
    for (level, name), e in calibration.coverage({p.panel.name: p.sums for p in panels}, CHAMPION).items():
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
    return bars


def of_time(records: dict[str, Record]) -> list[Bar]:
    """Time and memory.

    Args:
        records: 'champion' and 'AutoETS' of the panel of 245 series, and of the nights by name.
    """
    bars = []
    product, peer = records.get(CHAMPION), records.get("AutoETS")
    what = f"{LONG}: seconds of the whole backtest, 1,400 days x 13 cutoffs"
    if product and peer and not product.error and not peer.error:
        bars.append(
            Bar(
                what,
                "AutoETS or less",
                f"{product.seconds:.0f} (load {product.load}), AutoETS {peer.seconds:.0f} (load {peer.load})",
                "",
                product.seconds <= peer.seconds,
            )
        )
    else:
        bars.append(Bar(what, "AutoETS or less"))
    for name, (seconds, memory) in LIMITS.items():
        must = f"under {seconds:.0f} s and {memory:.0f} MB"
        if (made := records.get(name)) is None:
            bars.append(Bar(f"{name}: one night", must))
        elif made.error:
            bars.append(Bar(f"{name}: one night", must, made.error, "", False))
        else:
            holds = made.seconds < seconds and made.peak_mb < memory
            bars.append(Bar(f"{name}: one night", must, f"{made.seconds:.0f} s, {made.peak_mb:.0f} MB (load {made.load} at its start)", "", holds))
    return bars
