"""Scores of daily detectors against planted events, at equal false alarms.

An *episode* is a run of alarm days with no more than MERGE quiet days between them and is dated by its first day. An event is detected when an
episode *starts* between its onset and its end: an alarm that was already on tells nobody anything. An episode that starts on an eligible day
(outside every event and the GRACE days after it) is a false alarm.

*Plain*: one run of the detector on the planted counts gives both. *Paired*: a second run on the clean copy; a start is credited only if the clean
copy has no alarm on that day, and false alarms are counted on the clean copy, where every day is eligible.

POD: share of events detected. PODpre: detected strictly before the peak. delay, lead: days from the onset, and to the peak, of detected events.
togo: share of the planted excess still to come after the day of the start, 0 if missed. FA_sy: false episodes per eligible series-year. precision:
starts inside events / those and false ones. alarm_days: alarm days / eligible days. se_POD, se_PODpre: bootstrap over series, events and all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

MERGE, GRACE = 3, 7  # days
BUDGETS = (1.0, 2.0, 4.0)  # false episodes per series-year
YEAR = 365.25
DRAWS = 500  # a standard error is then sure to 3 %
SEED = 0
STEPS, RAREST, COMMONEST = 400, 1e-5, 0.5  # thresholds that are tried: shares of eligible days above them

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Events:
    """Planted events on a grid of series and days.

    Attributes:
        row, onset, peak, end: [E] places of an event's series and days; `end` is its last day.
        table: [E] rows of the truth, in the same order.
        injected: [S, T] planted excess.
    """

    row: Ints
    onset: Ints
    peak: Ints
    end: Ints
    table: pd.DataFrame
    injected: Floats

    @cached_property
    def window(self) -> Bools:
        """[S, T] days of events."""
        return _spans(self.row, self.onset, self.end, self.injected.shape)

    @cached_property
    def eligible(self) -> Bools:
        """[S, T] days on which a start is a false alarm."""
        return ~_spans(self.row, self.onset, self.end + GRACE, self.injected.shape)

    @cached_property
    def togo(self) -> Floats:
        """[S, T + 1] excess planted before each day, all series' days in a row."""
        return np.concatenate([np.zeros((len(self.injected), 1)), self.injected.cumsum(axis=1)], axis=1)

    def of(self, chosen: Bools) -> "Events":
        """Some of the events; the others count as ordinary days."""
        return Events(self.row[chosen], self.onset[chosen], self.peak[chosen], self.end[chosen], self.table[chosen], self.injected)


def lay(truth: pd.DataFrame, series: Sequence[str], days: pd.DatetimeIndex, injected: pd.DataFrame) -> Events:
    """Truth on a grid.

    Args:
        truth: `series, onset, peak, end`; events of other series, or with an onset outside the days, are left out.
        injected: days x series.
    """
    at = pd.Index(series).get_indexer(pd.Index(truth["series"]))
    first = days.get_indexer(pd.DatetimeIndex(truth["onset"]))
    keep = (at >= 0) & (first >= 0)
    last = len(days) - 1
    peak, end = (np.minimum((pd.DatetimeIndex(truth[name]) - days[0]).days.to_numpy(), last)[keep] for name in ("peak", "end"))
    excess = injected.reindex(index=days, columns=list(series)).fillna(0).to_numpy(float).T
    return Events(at[keep], first[keep], peak, end, truth[keep].reset_index(drop=True), excess)


def _spans(row: Ints, first: Ints, last: Ints, shape: tuple[int, ...]) -> Bools:
    """[S, T] True from first to last, both inclusive, of each of several spans."""
    edge = np.zeros((shape[0], shape[1] + 1), int)
    np.add.at(edge, (row, first), 1)
    np.add.at(edge, (row, np.minimum(last + 1, shape[1])), -1)
    return np.asarray(edge.cumsum(axis=1)[:, :-1] > 0)


def starts(alarm: Bools) -> Bools:
    """[S, T] first day of each episode: an alarm with none on the MERGE + 1 days before."""
    before = np.concatenate([np.zeros((len(alarm), 1), int), alarm.cumsum(axis=1)], axis=1)
    day = np.arange(alarm.shape[1])
    return np.asarray(alarm & (before[:, day] == before[:, np.maximum(day - MERGE - 1, 0)]))


def false_rate(alarm: Bools, eligible: Bools) -> float:
    """False episodes per eligible series-year."""
    return float((starts(alarm) & eligible).sum() / (eligible.sum() / YEAR))


def threshold(score: Floats, eligible: Bools, budget: float) -> float:
    """The lowest threshold for which it and every higher one stay within the budget: a score above it is an alarm."""
    tried = np.unique(np.quantile(score[eligible], 1 - np.geomspace(RAREST, COMMONEST, STEPS)))[::-1]
    best = tried[0]
    for one in tried:
        if false_rate(score > one, eligible) > budget:
            break
        best = one
    return float(best)


def finite(score: Floats) -> Floats:
    """Scores without gaps: what is missing is the least of all, what is infinite the greatest."""
    known = score[np.isfinite(score)]
    if not known.size:
        return np.zeros_like(score)
    return np.where(np.isposinf(score), known.max() + 1, np.where(np.isfinite(score), score, known.min()))


def first_starts(start: Bools, events: Events) -> Ints:
    """[E] day on which each event is detected, -1 if it is not."""
    day = np.where(start, np.arange(start.shape[1]), start.shape[1])
    following = np.minimum.accumulate(day[:, ::-1], axis=1)[:, ::-1]
    first = following[events.row, events.onset]
    return np.where(first <= events.end, first, -1)


def measure(alarm: Bools, events: Events, clean: Bools | None = None) -> dict[str, float]:
    """All measures of one detector's alarms.

    Args:
        alarm: [S, T] on the planted counts.
        clean: [S, T] on the clean copy, for paired measures; None: plain.
    """
    start = starts(alarm)
    credited = start if clean is None else start & ~clean
    other, eligible = (alarm, events.eligible) if clean is None else (clean, np.ones_like(clean))
    first = first_starts(credited, events)
    hit = first >= 0
    before = hit & (first < events.peak)
    total = events.togo[events.row, events.end + 1] - events.togo[events.row, events.onset]
    rest = events.togo[events.row, events.end + 1] - events.togo[events.row, first + 1]
    togo = np.where(hit & (total > 0), rest / np.where(total > 0, total, 1), 0.0)
    true, false = int((credited & events.window).sum()), int((starts(other) & eligible).sum())
    error, error_before = _errors(np.stack([hit, before]), events.row)
    return {
        "events": len(hit),
        "POD": _mean(hit),
        "se_POD": error,
        "PODpre": _mean(before),
        "se_PODpre": error_before,
        "delay": _mean((first - events.onset)[hit]),
        "lead": _mean((events.peak - first)[hit]),
        "togo": _mean(togo),
        "FA_sy": false / (eligible.sum() / YEAR),
        "precision": true / max(true + false, 1),
        "alarm_days": float((other & eligible).sum() / eligible.sum()),
    }


def _mean(values: npt.NDArray[np.generic]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _errors(marks: Bools, row: Ints) -> Floats:
    """[2] standard errors of the shares of marked events when series are drawn with replacement; marks: [2, E]."""
    series, place = np.unique(row, return_inverse=True)
    if not len(series):
        return np.full(len(marks), np.nan)
    drawn = np.random.default_rng(SEED).multinomial(len(series), np.full(len(series), 1 / len(series)), DRAWS)
    events = drawn @ np.bincount(place, minlength=len(series))
    hits = np.stack([drawn @ np.bincount(place, mark, minlength=len(series)) for mark in marks])
    deviation: Floats = (hits / np.maximum(events, 1)).std(axis=1)
    return deviation


@dataclass(frozen=True)
class Marks:
    """What a detector said of a grid of series and days.

    Attributes:
        score: [S, T] higher = more unusual; NaN where it said nothing.
        native: [S, T] its own alarms, or None.
        clean: [S, T] its scores of the clean copy, or None.
    """

    score: Floats
    native: Bools | None = None
    clean: Floats | None = None

    @property
    def missing(self) -> int:
        """Days without a score."""
        return int(np.isnan(self.score).sum())


def at_budget(marks: Marks, events: Events, budget: float, paired: bool) -> tuple[float, Bools, Bools | None]:
    """The threshold that keeps a budget, alarms above it on the planted counts, and on the clean copy if they are paired."""
    if not paired:
        score = finite(marks.score)
        level = threshold(score, events.eligible, budget)
        return level, score > level, None
    assert marks.clean is not None
    both = finite(np.concatenate([marks.score, marks.clean]))
    score, clean = both[: len(marks.score)], both[len(marks.score) :]
    level = threshold(clean, np.ones_like(clean, bool), budget)
    return level, score > level, clean > level


def table(marks: Marks, events: Events) -> pd.DataFrame:
    """All measures of a detector: `measured` (plain, paired), `at` (own for its own alarms, or a budget), `theta`, and those of `measure`."""
    rows: list[dict[str, float | str]] = []
    if marks.native is not None:
        rows.append({"measured": "plain", "at": "own", "theta": np.nan, **measure(marks.native, events)})
    for paired in (False, True) if marks.clean is not None else (False,):
        for budget in BUDGETS:
            level, alarm, clean = at_budget(marks, events, budget, paired)
            rows.append({"measured": "paired" if paired else "plain", "at": f"{budget:g}", "theta": level, **measure(alarm, events, clean)})
    return pd.DataFrame(rows).assign(missing=marks.missing)


def split(marks: Marks, events: Events, columns: Sequence[str], budget: float, paired: bool) -> pd.DataFrame:
    """POD and PODpre at one budget, by some columns of the truth: `by, value, events, POD, PODpre`, a row per column and value."""
    _, alarm, clean = at_budget(marks, events, budget, paired)
    first = first_starts(starts(alarm) if clean is None else starts(alarm) & ~clean, events)
    found = pd.DataFrame({"POD": first >= 0, "PODpre": (first >= 0) & (first < events.peak)})
    parts = []
    for by in columns:
        groups = found.groupby(events.table[by].to_numpy(), sort=True)
        made = groups.agg(events=("POD", "size"), POD=("POD", "mean"), PODpre=("PODpre", "mean")).reset_index(names="value")
        parts.append(made.assign(by=by, value=made["value"].astype(str))[["by", "value", "events", "POD", "PODpre"]])
    return pd.concat(parts, ignore_index=True)
