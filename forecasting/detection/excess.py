"""SPIKE and EMERGING: more came, on a finished day or over the last ones, than was to be expected, at the node where it is.

Evidence of the last week decides whether (`evidence`), under a budget of false alarms for all nodes together. The onset is the beginning of
the window with the greatest likelihood ratio against the forecast, as in the negative binomial charts of Höhle & Paul (2008).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from forecasting import distribution
from forecasting.detection import evidence, explain, levels
from forecasting.detection.explain import Labels
from forecasting.detection.finding import EMERGING, SPIKE, Finding, Part
from forecasting.detection.placement import Place, Rule, place
from forecasting.hierarchy import ALL, Tree

DAYS = 21  # how far back an onset is looked for
WEEK = max(evidence.WINDOWS)
FACTORS = np.geomspace(1.0, 1e4, 64)  # above the forecast that an onset is looked for with: steps of 16 %
BUSY = 7.0  # days on which a node begins no other event: as long as one stays in the last week
STAYS = 4.0  # days on which a week's excess of chance stays above a number, so that so many days are one event
HALVINGS = 30  # of the interval in which a rate is looked for
MOST_A_YEAR = 12.0  # events that chance begins at a series in the mean, however few share the budget: more would be heeded by nobody
MOST_OF_ONE = 24.0  # ... and at one of them, where others are too small to begin any: at more, one runs into the next


@dataclass(frozen=True)
class Days:
    """The last days of M nodes as they came and as they were forecast before they came.

    Attributes:
        nodes: M pairs of area and category.
        observed: [M, D] NaN where missing, or where the node was not forecast.
        mean, dispersion: [M, D] as published.
        shift: [M] what is to be added to the evidence of each node, see `usual.Trust`; None: nothing.
    """

    nodes: Sequence[tuple[str, str]]
    observed: np.ndarray
    mean: np.ndarray
    dispersion: np.ndarray
    shift: np.ndarray | None = None

    def newest(self) -> "Days":
        """The last `DAYS` of them, with no forecast where no count is."""
        observed, mean, dispersion = (x[:, -DAYS:] for x in (self.observed, self.mean, self.dispersion))
        there = ~(np.isnan(observed) | np.isnan(mean) | np.isnan(dispersion))
        return Days(self.nodes, np.where(there, observed, np.nan), np.where(there, mean, 0.0), np.where(there, dispersion, 0.0), self.shift)


def detect(
    day: date,
    days: Days,
    areas: Tree,
    categories: Tree,
    labels: Labels,
    safety: frozenset[str] = frozenset(),
    budget: float = 1.5,
    stricter: Mapping[str, float] | None = None,
    today: int = 1,
    more: float = 0.0,
) -> list[Finding]:
    """Events that run on a finished day, or on one that is running (see `running_day`).

    Args:
        day: the last of the days; a node without a count on it has no event.
        days: D of them, of which the last `DAYS` count. Fewer will do.
        areas, categories: the trees.
        labels: names for the sentences.
        safety: codes of categories of safety.
        budget: expected false alarms a day over all nodes.
        stricter: category -> what is added to the evidence asked for there and below, where none below says otherwise: `evidence.DECADE` for
            a tenth of the alarms, less than 0 for more of them. The budget holds whatever it says.
        today: how many of the last columns are parts of the last day.
        more: added to the evidence asked of every node, where days are looked at more than once.
    """
    last = days.newest()
    if not len(last.nodes):
        return []
    limits = _limits(last, areas, categories, budget, stricter or {}) + more
    rule = _rule(last, limits if last.shift is None else limits - last.shift)
    found = []
    for event in place(last.nodes, areas, categories, last.observed, last.mean, rule, today):
        safe = bool(safety & set(categories.path(last.nodes[event.node][1])))
        finding = _finding(day, last, event, areas, _colour(last, event, rule, safe), today)
        told = float(last.observed[event.node, -today:].sum() - event.left[0, -today:].sum())
        parts = finding.districts if finding.kind == SPIKE else _parts(last, event, areas, event.since)
        zh, en = explain.excess(labels, finding, told, parts)
        found.append(replace(finding, reason_zh=zh, reason_en=en))
    return found


def onset(observed: np.ndarray, mean: np.ndarray, dispersion: np.ndarray) -> np.ndarray:
    """Position of the most likely first day of an excess that goes on until the last day: [n, D] -> [n].

    The likelihood ratio of the days of a window, all of them a common factor above their means, the factor profiled.
    """
    size = 1.0 / np.maximum(dispersion, distribution.LEAST_DISPERSION)
    expected = np.maximum(mean, distribution.LEAST_MEAN)
    best = np.full(observed.shape, -np.inf)
    for factor in FACTORS:
        gain = observed * np.log(factor) - (observed + size) * np.log((size + factor * expected) / (size + expected))
        best = np.maximum(best, np.cumsum(np.nan_to_num(gain)[:, ::-1], axis=1))
    return np.asarray(observed.shape[1] - 1 - best.argmax(axis=1))


def _limits(last: Days, areas: Tree, categories: Tree, budget: float, stricter: Mapping[str, float]) -> np.ndarray:
    """[M] evidence from which on all nodes together begin `budget` events a day by chance.

    The bottom series are the tests that count: what their sums add, placement and merging take away again. Small ones hardly ever have as many
    tickets too many as an event must have; what they do not use of the budget the other series have. Where categories are laxer, all nodes are
    stricter by as much as brings the mean rate of the series back, each counted with the laxest of its category and those above it; what
    is stricter makes no other laxer.
    """
    inner_areas = {above for area in {a for a, _ in last.nodes} for above in areas.path(area)[1:]}
    inner_categories = {above for category in {c for _, c in last.nodes} for above in categories.path(category)[1:]}
    series = np.array([area not in inner_areas and category not in inner_categories for area, category in last.nodes])
    number = int(series.sum())
    budget = min(budget, number * MOST_A_YEAR / evidence.DAYS_A_YEAR)
    each = np.where(series, _each(budget, _at_most(last, series)), _each(budget, np.full(number, np.inf)))
    more = _stricter({category for _, category in last.nodes}, categories, stricter)
    laxest = np.array([min(more.get(c, 0.0) for c in categories.path(category)) for _, category in last.nodes])
    rate = np.mean(10.0 ** (-laxest[series] / evidence.DECADE)) if series.any() else 1.0
    usual = evidence.threshold(each / (1.0 - each * BUSY)) + evidence.DECADE * max(float(np.log10(rate)), 0.0)
    return np.asarray(usual + np.array([more[category] for _, category in last.nodes]))


def _at_most(last: Days, series: np.ndarray) -> np.ndarray:
    """[n] events a day that chance begins at each of the series if nothing but `levels.LEAST_EXCESS` is asked for."""
    mean, dispersion = last.mean[series, -WEEK:], last.dispersion[series, -WEEK:]
    total = mean.sum(axis=1)
    scatter = (dispersion * mean**2).sum(axis=1) / np.maximum(total, distribution.LEAST_MEAN) ** 2
    return np.asarray(distribution.tail(total, scatter, np.ceil(total + levels.LEAST_EXCESS)) / STAYS)


def _each(budget: float, at_most: np.ndarray) -> float:
    """Events a day of each series that together make the budget, none having more than `at_most` [n] and `MOST_OF_ONE`."""
    low, high = 0.0, MOST_OF_ONE / evidence.DAYS_A_YEAR
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(at_most, middle).sum() < budget else (low, middle)
    return high


def _stricter(wanted: Collection[str], categories: Tree, stricter: Mapping[str, float]) -> dict[str, float]:
    """What each category adds to the evidence asked for: what is said of it, else of the nearest one above it of which something is said."""
    return {category: next((stricter[c] for c in categories.path(category) if c in stricter), 0.0) for category in wanted}


def _rule(last: Days, limits: np.ndarray) -> Rule:
    """What placement asks: evidence above the limits [M], the onset, and districts less probable than `levels.CONCERNED_P` since then."""

    def notable(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        got = evidence.newest(values[:, -WEEK:], last.mean[rows, -WEEK:], last.dispersion[rows, -WEEK:])
        came, expected, _ = _sums(values[:, -WEEK:], last.mean[rows, -WEEK:], last.dispersion[rows, -WEEK:])
        enough = (came - expected).max(axis=1) >= levels.LEAST_EXCESS
        return np.asarray((got >= limits[rows]) & enough & ~np.isnan(values[:, -1]))

    def since(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        return onset(values, last.mean[rows], last.dispersion[rows])

    def concerned(rows: np.ndarray, values: np.ndarray, start: int) -> np.ndarray:
        came, expected, scatter = (x[:, -1] for x in _sums(values[:, start:], last.mean[rows, start:], last.dispersion[rows, start:]))
        return np.asarray(distribution.mid_tail(expected, scatter, came) <= levels.CONCERNED_P)

    return Rule(notable, since, concerned)


def _sums(observed: np.ndarray, mean: np.ndarray, dispersion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What came, mean and dispersion of the sums of the last 1 … D days: [n, D] each."""
    there = ~np.isnan(observed)
    came, expected, variance = (
        np.cumsum(np.where(there, x, 0.0)[:, ::-1], axis=1) for x in (observed, mean, dispersion * mean**2)
    )  # fmt: skip
    return came, expected, variance / np.maximum(expected, distribution.LEAST_MEAN) ** 2


def _colour(last: Days, event: Place, rule: Rule, safety: bool) -> str:
    """A district's burst that is told as a part of the city's event keeps the colour that it had alone."""
    districts = [j for j in event.parts if last.nodes[j][0] != ALL]
    colours = [_own_colour(event.left[0], last.mean[event.node], len(districts), safety)]
    for row, j in enumerate(event.parts, 1):
        if rule.notable(np.array([j]), event.left[[row]])[0]:
            colours.append(_own_colour(event.left[row], last.mean[j], 1, safety))
    return max(colours, key=levels.LEVELS.index)


def _own_colour(left: np.ndarray, mean: np.ndarray, districts: int, safety: bool) -> str:
    """The highest colour that the sums of the last days reach: [D] each. More on any of them never lowers it."""
    there = ~np.isnan(left)
    came, expected = (np.cumsum(np.where(there, x, 0.0)[::-1]) for x in (left, mean))
    days = int((left[-WEEK:] >= np.maximum(levels.RED.ratio * mean[-WEEK:], 1.0)).sum())
    windows = [k - 1 for k in evidence.WINDOWS if k <= len(left)]
    colours = (levels.level(came[k] - expected[k], came[k] / max(expected[k], distribution.LEAST_MEAN), districts, days, safety) for k in windows)
    return max(colours, key=levels.LEVELS.index)


def _finding(day: date, last: Days, event: Place, areas: Tree, colour: str, today: int) -> Finding:
    """The event in numbers, without a reason. The evidence is what is left; what is reported is what came."""
    i, since, begins = event.node, event.since, last.mean.shape[1] - today
    observed, mean, dispersion = last.observed[i], last.mean[i], last.dispersion[i]
    came, expected = float(observed[begins:].sum()), mean[begins:].sum(keepdims=True)
    scatter = (dispersion[begins:] * mean[begins:] ** 2).sum(keepdims=True) / np.maximum(expected, distribution.LEAST_MEAN) ** 2
    alone = distribution.mid_tail(expected, scatter, event.left[0, begins:].sum(keepdims=True))[0]
    lower, upper = distribution.quantiles(expected, scatter, (0.05, 0.95))[0]
    by_day = np.append(np.nan_to_num(observed[:begins]), came)
    first = min(since, begins)
    return Finding(
        kind=SPIKE if alone <= levels.SPIKE_P else EMERGING,
        level=colour,
        area=last.nodes[i][0],
        category=last.nodes[i][1],
        districts=_parts(last, event, areas, begins),
        day=day,
        onset=day - timedelta(days=begins - first),
        peak=day - timedelta(days=begins - first - int(by_day[first:].argmax())),
        observed=came,
        expected=float(expected[0]),
        lower=float(lower),
        upper=float(upper),
        since_observed=float(by_day[first:].sum()),
        since_expected=float(mean[first:].sum()),
        p_value=float(evidence.p_value(evidence.newest(event.left[0], mean, dispersion) + (0.0 if last.shift is None else last.shift[i]))),
    )


def _parts(last: Days, event: Place, areas: Tree, start: int) -> tuple[Part, ...]:
    """What came to the districts concerned, from a day on. A street's part is told as that of its district."""
    parts = ((last.nodes[j][0], last.observed[j, start:], last.mean[j, start:]) for j in event.parts)
    return tuple(Part(areas.path(area)[-2], float(np.nansum(y)), float(m.sum())) for area, y, m in parts if area != ALL)
