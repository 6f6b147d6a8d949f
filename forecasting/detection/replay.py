"""Living through days as if live: what would have been alerted, and how unusual every node was, known only what was known then.

A training says what is to be expected of the days after its cutoff (`issued`); between two trainings levels are followed (`usual`). On every
finished day faults of the data are told apart first, then events are looked for, placed and carried on. The watch of a running city trains every
night and goes the same way over the same functions: to a city that is trained every night this tells the same.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from math import inf
from typing import Protocol

import numpy as np
import pandas as pd

from forecasting.detection import data_faults, evidence, excess, first_seen, ration, running, running_day, seasonal, usual
from forecasting.detection.excess import Days
from forecasting.detection.explain import Labels
from forecasting.detection.finding import DATA, GROWS, SEASONAL, Finding
from forecasting.detection.issued import Issued, Node
from forecasting.detection.running import Running
from forecasting.hierarchy import ALL, Hierarchy, Tree

FAMILIES = (GROWS, (SEASONAL,), (DATA,))  # kinds that can be one event
LAST_SECOND = pd.Timedelta(hours=23, minutes=59, seconds=59)  # of a day, at which it is known
Silent = Callable[[Sequence[Running]], list[bool]]  # which running events have no data on a day
SCORES = ("district", "category", "date", "observed", "expected", "p_value", "score")


@dataclass(frozen=True)
class Lived:
    """One day.

    Attributes:
        scores: a row per node, columns SCORES.
        told: alerts that were raised or went up a level, each with the moment.
    """

    scores: pd.DataFrame
    told: list[tuple[pd.Timestamp, Running]]


@dataclass(frozen=True)
class World:
    """What does not change while days go by.

    Attributes:
        hierarchy: all nodes there will ever be; of later ones nothing is known before.
        areas, categories: the trees.
        labels: names for the sentences.
        safety: codes of categories of safety.
        budget: expected false demand alerts a day.
    """

    hierarchy: Hierarchy
    areas: Tree
    categories: Tree
    labels: Labels
    safety: frozenset[str] = frozenset()
    budget: float = 1.5


class Seen(Protocol):
    """What is known of the counts of the world's N series, as time goes by."""

    @property
    def days(self) -> pd.DatetimeIndex:
        """Consecutive days, those of history and those that are lived through."""
        ...

    def counts(self, day: int) -> np.ndarray:
        """[N, day + 1] as known at the end of a day, given by its position; NaN where missing."""
        ...

    def hours(self, day: int) -> np.ndarray | None:
        """[N, 24] tickets of a day known at the end of each of its hours; None: nothing tells the hour."""
        ...

    def share(self, cutoff: int, day: int) -> np.ndarray | None:
        """[N, 24] share of a day's tickets that is known at the end of each of its hours, as learnt until the cutoff; None: it is not known."""
        ...


def live(seen: Seen, issued: Iterator[Issued], world: World, start: int, zone: str) -> Iterator[Lived]:
    """Lives through days.

    Args:
        issued: trainings by cutoff, the first on the day before `start`.
        start: position of the first day that is lived through.
        zone: the city's.
    """
    place = {node: i for i, node in enumerate(zip(world.hierarchy.nodes["area"], world.hierarchy.nodes["category"], strict=True))}
    watch: _Watch | None = None
    coming: Issued | None = next(issued)
    alerts = Alerts(world)
    for t in range(start, len(seen.days)):
        if coming is not None and coming.cutoff == seen.days[t - 1]:
            watch = _Watch(world, coming, place, t - 1, watch)
            coming = next(issued, None)
        assert watch is not None
        day = seen.days[t].date()
        told: list[tuple[pd.Timestamp, Running]] = []
        watch.begin()
        for hour, events in watch.running_day(seen, t):
            end = _moment(seen.days[t] + pd.Timedelta(hours=hour + 1), zone)
            told += [(end, one) for one in alerts.carry(GROWS, events, day, watch.peak, None)]
        scores, found, silent = watch.end(day, seen.counts(t))
        for kinds in FAMILIES:
            mine = [f for f in found if f.kind in kinds]
            told += [(_moment(seen.days[t] + LAST_SECOND, zone), one) for one in alerts.carry(kinds, mine, day, watch.peak, silent)]
        yield Lived(scores, told)


class Alerts:
    """Those that run, by families of kinds."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.running: dict[tuple[str, ...], list[Running]] = {kinds: [] for kinds in FAMILIES}
        self.over: dict[tuple[str, ...], list[Running]] = {kinds: [] for kinds in FAMILIES}  # those of the day that are part of another now
        self.raised: list[date] = []  # the day of each that counts for the ration

    def carry(self, kinds: tuple[str, ...], found: list[Finding], day: date, peak: Callable[[Finding], date], silent: Silent | None) -> list[Running]:
        """Those that were raised or went up a level by what was found on a day; no `silent`: the day is not over."""
        w, before = self.world, self.running[kinds]
        room = ration.left(self.raised, day, w.budget) if kinds == GROWS else inf
        over = [one for one in self.over[kinds] if one.finding.day >= day]
        self.running[kinds], told, parts = running.carry(before, found, day, w.areas, w.categories, silent and silent(before), room, peak, over)
        self.over[kinds] = over + parts
        if kinds == GROWS:
            self.raised += [day] * len({one.alert_id for one in told} - {one.alert_id for one in before})
        return told


class _Watch:
    """What one training says, day after day."""

    def __init__(self, world: World, issued: Issued, place: dict[Node, int], cutoff: int, before: "_Watch | None") -> None:
        self.world, self.issued, self.cutoff = world, issued, cutoff
        self.rows = np.array([place[node] for node in issued.nodes])
        self.index = {node: i for i, node in enumerate(issued.nodes)}
        self.usual = issued.usual.renew(issued.mean[:, : usual.WEEK], issued.trust)
        if before is not None:
            known = np.array([before.index.get(node, -1) for node in issued.nodes])
            self.usual.recall(before.usual, known)
        self.horizon = 0  # days since the cutoff
        self.by_hours = False  # whether the day was looked at hour by hour
        self.faulty: frozenset[str] = frozenset() if before is None else before.faulty  # areas whose data of the last day were at fault
        self.judged: list[np.ndarray] = []  # what came on the last days and was usual, without what faults explain
        if before is not None:
            self.judged = [np.where(known[:, None] >= 0, x[np.maximum(known, 0)], np.nan) for x in before.judged]

    def begin(self) -> None:
        """A day begins."""
        self.usual.begin(self.issued.mean[:, self.horizon])
        self.horizon += 1

    def running_day(self, seen: Seen, t: int) -> Iterator[tuple[int, list[Finding]]]:
        """What is found at the end of each hour but the last, of a day given by its position; nothing where hours are not known."""
        hours, share = seen.hours(t), seen.share(self.cutoff, t)
        self.by_hours = hours is not None and share is not None
        if hours is None or share is None:
            return
        w = self.world
        known = w.hierarchy.total(hours)[self.rows]
        series = w.hierarchy.n_series
        bottom = np.zeros(series)
        own = self.rows < series
        usual_today = self.usual.mean[:, -1]
        bottom[self.rows[own]] = usual_today[own]
        whole, by_hour = w.hierarchy.total(bottom[:, None])[self.rows], w.hierarchy.total(bottom[:, None] * share)[self.rows]
        usually = by_hour / np.maximum(whole, 1e-12)
        known, usually = running_day.without(self.faulty, self.issued.nodes, usual_today, known, usually, w.areas)
        days = Days(self.issued.nodes, self.usual.observed, self.usual.mean, self.usual.dispersion, self.issued.trust.shift)
        if self.judged:
            observed, mean = (
                np.concatenate([judged[:, 1 - all_.shape[1] :], all_[:, -1:]], axis=1)
                for judged, all_ in zip(self.judged, (days.observed, days.mean), strict=True)
            )
            days = replace(days, observed=observed, mean=mean)
        day = seen.days[t].date()
        for hour in range(23):
            yield hour, running_day.detect(day, days, known, usually, hour, w.areas, w.categories, w.labels, w.safety, w.budget)

    def peak(self, finding: Finding) -> date:
        """The day with the most tickets at a finding's node since its onset; of a running day, those that have come by now."""
        row = self.index.get((finding.area, finding.category))
        if finding.kind not in GROWS or row is None:
            return finding.peak
        came = self.usual.observed[row, -1 - (finding.day - finding.onset).days :].copy()
        if np.isnan(came[-1]):
            came[-1] = finding.observed
        return finding.day - timedelta(days=len(came) - 1 - int(np.nanargmax(came)))

    def end(self, day: date, counts: np.ndarray) -> tuple[pd.DataFrame, list[Finding], Silent]:
        """A day is over: scores, what was found, and which running events have no data on it."""
        w, issued = self.world, self.issued
        recent = w.hierarchy.total(counts[:, -usual.DAYS :])
        came = recent[self.rows]
        self.usual.end(came)
        days = Days(issued.nodes, self.usual.observed, self.usual.mean, self.usual.dispersion, issued.trust.shift)
        judged = data_faults.detect(day, days, w.areas, w.categories, w.labels)
        trusted = judged.days
        self.judged = [trusted.observed, trusted.mean]
        self.usual.event |= np.isnan(trusted.observed) & ~np.isnan(days.observed)
        self.faulty = frozenset(note.area for note in judged.notes if note.category == ALL)
        more = running_day.OF_DAY if self.by_hours else 0.0
        found = excess.detect(day, trusted, w.areas, w.categories, w.labels, w.safety, w.budget, more=more)
        found += first_seen.look(day, w.hierarchy, counts, w.labels)
        found += self._seasonal(day, came)
        last = trusted.newest()
        score = evidence.newest(last.observed, last.mean, last.dispersion) + issued.trust.shift
        scores = pd.DataFrame(
            {
                "district": [area for area, _ in issued.nodes],
                "category": [category for _, category in issued.nodes],
                "date": pd.Timestamp(day),
                "observed": days.observed[:, -1],
                "expected": days.mean[:, -1],
                "p_value": evidence.p_value(score),
                "score": score,
            }
        )
        missing = np.isnan(recent[:, -1])
        everywhere = {node: bool(missing[i]) for node, i in zip(issued.nodes, self.rows, strict=True)}

        def silent(events: Sequence[Running]) -> list[bool]:
            return [everywhere.get((one.finding.area, one.finding.category), False) for one in events]

        return scores, found + judged.notes, silent

    def _seasonal(self, day: date, came: np.ndarray) -> list[Finding]:
        """The coming four weeks, at the level that nodes have: the days left of the forecast, and the outlook's after them."""
        w, issued, gone = self.world, self.issued, self.horizon
        coming = np.concatenate([issued.mean[:, gone:], issued.later], axis=1)[:, : seasonal.RECENT]
        scatter = np.concatenate([issued.dispersion[:, gone:], np.repeat(issued.dispersion[:, -1:], issued.later.shape[1], axis=1)], axis=1)
        coming = seasonal.at_level(coming, self.usual.level)
        nodes, known = seasonal.compared(issued.nodes, came)
        return seasonal.detect(day, nodes, coming[known], scatter[known, : seasonal.RECENT], w.areas, w.categories, w.labels)


def _moment(clock: pd.Timestamp, zone: str) -> pd.Timestamp:
    """A moment by the city's clock: where clocks are set back, the later of the two; where they are set on, the first after the gap."""
    return clock.tz_localize(zone, ambiguous=False, nonexistent="shift_forward")
