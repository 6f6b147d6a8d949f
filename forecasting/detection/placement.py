"""Where an event is: one district's burst is that district's, a storm over the city is one event of the city.

Goes up both trees from the leaves. What is explained by an event below is taken off before a node above is looked at, so that each
ticket too many is told once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from forecasting.detection.levels import BROAD, CARRIED
from forecasting.hierarchy import ALL, Tree


@dataclass(frozen=True)
class Place:
    """Where an event is.

    Attributes:
        node: position in the list of nodes.
        districts: positions of the districts concerned, greatest excess first.
        left: [M] the values without what events below have explained: what this event tells.
    """

    node: int
    districts: tuple[int, ...]
    left: np.ndarray


def place(
    nodes: Sequence[tuple[str, str]],
    areas: Tree,
    categories: Tree,
    values: np.ndarray,
    expected: np.ndarray,
    notable: Callable[[np.ndarray], np.ndarray],
    concerned: Callable[[np.ndarray], np.ndarray],
) -> list[Place]:
    """Places events.

    Args:
        nodes: M pairs of area and category; below the city the areas are districts, one level of them.
        areas, categories: the trees.
        values, expected: [M] tickets that came, and that were expected.
        notable: says of values [M] which would be worth an event of their own.
        concerned: says of values [M] which would be part of a broader event.
    """
    index = {node: i for i, node in enumerate(nodes)}
    left = values.astype(float).copy()
    found: list[Place] = []
    depth = {c: len(categories.path(c)) for c in {c for _, c in nodes}}
    by_category: dict[str, list[int]] = {}
    for i, (_, category) in enumerate(nodes):
        by_category.setdefault(category, []).append(i)
    for category in sorted(by_category, key=lambda c: (-depth[c], c)):
        while True:  # once a district's burst is told, what is left may still be an event of the city
            excess, is_notable, is_concerned = left - expected, notable(left), concerned(left)
            here = _place_category(by_category[category], nodes, excess, is_notable, is_concerned)
            if not here:
                break
            now = left.copy()
            for node, districts in here:
                found.append(Place(node, districts, now))
                area, upward = nodes[node][0], categories.path(category)
                _explain(left, excess[node], [(a, c) for a in areas.path(area) for c in upward], index)
                for i in by_category[category] if area == ALL else []:  # the city's event tells what each district has too many
                    if i != node and excess[i] > 0:
                        _explain(left, excess[i], [(a, c) for a in areas.path(nodes[i][0])[:-1] for c in upward], index)
    return found


def _explain(left: np.ndarray, excess: float, told: Sequence[tuple[str, str]], index: dict[tuple[str, str], int]) -> None:
    """Takes an excess off the nodes at which it has been told."""
    for node in told:
        if node in index:
            left[index[node]] -= excess


def _place_category(
    members: list[int], nodes: Sequence[tuple[str, str]], excess: np.ndarray, notable: np.ndarray, concerned: np.ndarray
) -> list[tuple[int, tuple[int, ...]]]:
    """Events of one category: of the city if at least `BROAD` districts carry it or are notable themselves, otherwise of the districts."""
    city = next((i for i in members if nodes[i][0] == ALL), None)
    parts = sorted((i for i in members if nodes[i][0] != ALL and excess[i] > 0), key=lambda i: (-excess[i], nodes[i]))
    local = [i for i in parts if notable[i]]
    if city is not None and notable[city]:
        total = sum(excess[i] for i in parts)
        carriers, carried = [], 0.0
        for i in parts:
            if carried >= CARRIED * total:
                break
            carriers.append(i)
            carried += excess[i]
        if len(carriers) >= BROAD or len(local) >= BROAD or not local:
            return [(city, tuple(i for i in parts if concerned[i] or i in carriers))]
    return [(i, (i,)) for i in local]
