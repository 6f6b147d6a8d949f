"""Where an event is: one district's burst is that district's, a storm over the city is one event of the city.

Goes up both trees from the leaves. What an event tells, since its onset, is taken off everything that it has tickets in common with before a
node above is looked at, so that each ticket too many is told once. Events below a node become one event there if they are broad: if at
least `BROAD` of its areas (of the same category) or of its categories (of the same area) are needed to carry it, or have events of their own.
What began after such an event, and goes beyond it, stays an event of its own; so does a part that goes beyond it since some days after it began.
Only areas make an event of the city: a storm that shows in many categories there is told by category.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecasting.detection.events import SPREADS
from forecasting.detection.levels import BROAD, CARRIED
from forecasting.hierarchy import ALL, Tree

Node = tuple[str, str]  # area, category


@dataclass(frozen=True)
class Rule:
    """What is asked of nodes: their positions [n] and values [n, D].

    Attributes:
        notable: [n] which would be worth an event of their own.
        since: [n] position of the first day of what makes them so.
        concerned: [n] which, from the first day `since` on (the third argument), would be part of a broader event.
    """

    notable: Callable[[np.ndarray, np.ndarray], np.ndarray]
    since: Callable[[np.ndarray, np.ndarray], np.ndarray]
    concerned: Callable[[np.ndarray, np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class Place:
    """Where an event is.

    Attributes:
        node: position in the list of nodes.
        since: position of its first day.
        parts: positions of the districts concerned, greatest excess first; of an event below the city, its own.
        left: [1 + P, D] the values of the node and of its parts without what other events tell.
    """

    node: int
    since: int
    parts: tuple[int, ...]
    left: np.ndarray


@dataclass(frozen=True)
class _Told:
    """What an event has taken off: `amounts` [n, D] off the nodes at `rows` [n]."""

    place: Place
    rows: np.ndarray
    amounts: np.ndarray


def place(nodes: Sequence[Node], areas: Tree, categories: Tree, values: np.ndarray, expected: np.ndarray, rule: Rule, today: int = 1) -> list[Place]:
    """Places events.

    Args:
        nodes: M pairs of area and category.
        areas, categories: the trees.
        values, expected: [M, D] tickets that came, and that were expected, on consecutive days; NaN where missing.
        today: how many of the last columns are parts of the last day.
    """
    every = np.arange(len(nodes))
    hot = {int(i) for i in np.flatnonzero(rule.notable(every, values))}
    if not hot:
        return []
    return _Placing(nodes, areas, categories, values, expected, rule, values.shape[1] - today).run(hot)


class _Placing:
    """The events found so far and what they have left."""

    def __init__(self, nodes: Sequence[Node], areas: Tree, categories: Tree, values: np.ndarray, expected: np.ndarray, rule: Rule, last: int) -> None:
        self.nodes, self.expected, self.rule, self.last = nodes, expected, rule, last  # position of the last day's first column
        self.index = {node: i for i, node in enumerate(nodes)}
        self.area_paths = {a: areas.path(a) for a in {a for a, _ in nodes}}
        self.category_paths = {c: categories.path(c) for c in {c for _, c in nodes}}
        self.related = _related(self.area_paths), _related(self.category_paths)
        self.left = values.astype(float).copy()
        self.events: list[_Told] = []

    def run(self, hot: Collection[int]) -> list[Place]:
        def upwards(i: int) -> tuple[int, str, int, str]:
            area, category = self.nodes[i]
            return -len(self.category_paths[category]), category, -len(self.area_paths[area]), area

        for i in sorted(hot, key=upwards):
            area, category = self.nodes[i]
            over_categories = [e for e in self.events if self._at(e)[0] == area != ALL and category in self.category_paths[self._at(e)[1]]]
            over_areas = [e for e in self.events if self._at(e)[1] == category and area in self.area_paths[self._at(e)[0]]]
            if not (self._together(i, over_categories, 1) or self._together(i, over_areas, 0)) and self._notable(i):
                self._tell(i)
        return [event.place for event in self.events]

    def _at(self, event: _Told) -> Node:
        return self.nodes[event.place.node]

    def _notable(self, i: int) -> bool:
        return bool(self.rule.notable(np.array([i]), self.left[[i]])[0])

    def _together(self, i: int, below: list[_Told], axis: int) -> bool:
        """Makes events below a node one event there, if they are broad along an axis (0: areas, 1: categories), also without what began later."""
        if not below:
            return False
        for event in below:
            self.left[event.rows] += event.amounts
        since = self._since(i)
        if self._notable(i) and self._broad(i, below, since, axis):
            before = self.events
            self.events = [event for event in before if event not in below]
            later, apart = self._apart(i, since, below)
            if self._notable(i) and (not apart or self._broad(i, [event for event in below if event not in later], self._since(i), axis)):
                self._tell(i)
                return True
            for event in apart:
                self.left[event.rows] += event.amounts
            self.events = before
        for event in below:
            self.left[event.rows] -= event.amounts
        return False

    def _broad(self, i: int, below: Sequence[_Told], since: int, axis: int) -> bool:
        children = self._children(i, axis)
        with_event = {child for child in children for e in below if self.nodes[child][axis] in self._paths(axis)[self._at(e)[axis]]}
        return len(with_event) >= BROAD or len(self._carriers(children, since)) >= BROAD

    def _apart(self, i: int, since: int, below: list[_Told]) -> tuple[list[_Told], list[_Told]]:
        """Takes off what events below a broad one that began after it have beyond its factor since then: they are none of its parts.

        Returns:
            those of the events below, and the same without the factor of the broad one.
        """
        later, apart = [], []
        for event in below:
            j, begun = event.place.node, event.place.since
            is_later = begun > since
            if not is_later:  # it was part of the broad one, and may be more since
                begun = int(self.rule.since(np.array([j]), self._beyond(i, j, since)[None])[0])
                is_later = min(begun, self.last) > since + SPREADS
            beyond = self._beyond(i, j, begun)
            if not is_later or not self.rule.notable(np.array([j]), beyond[None])[0]:
                continue
            area, category = self.nodes[j]
            above = ((a, c) for a in self.area_paths[area] for c in self.category_paths[category])
            rows = np.array([self.index[node] for node in above if node in self.index])
            amounts = np.tile(np.nan_to_num(beyond - self.expected[j]), (len(rows), 1))
            self.left[rows] -= amounts
            place = replace(event.place, since=begun, parts=(j,) if area != ALL else (), left=np.stack([beyond] * (1 + (area != ALL))))
            later.append(event)
            apart.append(_Told(place, rows, amounts))
        self.events += apart
        return later, apart

    def _beyond(self, i: int, j: int, begun: int) -> np.ndarray:
        """[D] what a node j below a node i has beyond the factor that i has since a day; before it as expected."""
        came, expected = (np.nansum(x[i, begun:]) for x in (self.left, self.expected))
        factor = max(came / max(expected, 1e-9), 1.0)
        beyond = self.left[j] - (factor - 1.0) * self.expected[j]
        beyond[:begun] = self.expected[j, :begun]
        return np.asarray(beyond)

    def _paths(self, axis: int) -> Mapping[str, tuple[str, ...]]:
        return (self.area_paths, self.category_paths)[axis]

    def _children(self, i: int, axis: int) -> list[int]:
        """Positions of the nodes one step below along an axis."""
        here, paths = self.nodes[i], self._paths(axis)
        below = (code for code in self.related[axis][here[axis]] if code != here[axis] and paths[code][1:2] == (here[axis],))
        pairs = ((code, here[1]) if axis == 0 else (here[0], code) for code in below)
        return [self.index[pair] for pair in pairs if pair in self.index]

    def _since(self, i: int) -> int:
        return int(self.rule.since(np.array([i]), self.left[[i]])[0])

    def _excess(self, rows: Sequence[int], since: int) -> np.ndarray:
        return np.asarray(np.nansum(self.left[rows, since:] - self.expected[rows, since:], axis=1))

    def _carriers(self, children: Sequence[int], since: int) -> list[int]:
        """The children that together carry `CARRIED` of what is too many among them, as few as will do, the greatest first."""
        excess = dict(zip(children, self._excess(children, since), strict=True))
        parts = sorted((i for i in children if excess[i] > 0), key=lambda i: (-excess[i], self.nodes[i]))
        total, carried, carriers = sum(excess[i] for i in parts), 0.0, []
        for i in parts:
            if carried >= CARRIED * total:
                break
            carriers.append(i)
            carried += excess[i]
        return carriers

    def _tell(self, i: int) -> None:
        """An event at a node: whatever it has in common with others is from its onset on as expected there."""
        since = self._since(i)
        parts = self._parts(i, since)
        where = Place(i, since, parts, self.left[[i, *parts]])
        area, category = self.nodes[i]
        shared = [
            (self.index[a, c], self.index[low_a, low_c])
            for a, low_a in self.related[0][area].items()
            for c, low_c in self.related[1][category].items()
            if (a, c) in self.index and (low_a, low_c) in self.index
        ]
        rows, source = (np.array(x) for x in zip(*shared, strict=True))
        amounts = np.nan_to_num(self.left[source] - self.expected[source])
        amounts[:, :since] = 0.0
        self.left[rows] -= amounts
        self.events.append(_Told(where, rows, amounts))

    def _parts(self, i: int, since: int) -> tuple[int, ...]:
        if self.nodes[i][0] != ALL:
            return (i,)
        districts = self._children(i, 0)
        if not districts:
            return ()
        concerned = self.rule.concerned(np.array(districts), self.left[districts], since)
        chosen = {d for d, is_one in zip(districts, concerned, strict=True) if is_one} | set(self._carriers(districts, since))
        excess = dict(zip(districts, self._excess(districts, since), strict=True))
        return tuple(sorted((d for d in chosen if excess[d] > 0), key=lambda d: (-excess[d], self.nodes[d])))


def _related(paths: Mapping[str, tuple[str, ...]]) -> dict[str, dict[str, str]]:
    """For each code those above, at and below it, each with the lower of the two."""
    found: dict[str, dict[str, str]] = {code: {} for code in paths}
    for code, path in paths.items():
        for above in path:
            found[code][above] = code
            if above in found:
                found[above][code] = code
    return found
