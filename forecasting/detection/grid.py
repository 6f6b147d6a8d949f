"""Nodes as a grid of areas and categories, for what concerns all categories of an area, or all areas of a category, at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecasting.hierarchy import ALL, Tree


@dataclass(frozen=True)
class Grid:
    """Where nodes are.

    Attributes:
        areas: A codes, those above before those below.
        categories: C codes.
        at: [A, C] position of the node; M, one behind the last, where there is none.
        above: [A] place of the next area above that has nodes, -1 without any.
        depth: [A] how many areas are above.
        leaves: [K] places of the categories below which there is none.
        paths: for each category the places of itself and of those above it.
    """

    areas: tuple[str, ...]
    categories: tuple[str, ...]
    at: np.ndarray
    above: np.ndarray
    depth: np.ndarray
    leaves: np.ndarray
    paths: tuple[tuple[int, ...], ...]

    def rows(self, values: np.ndarray, missing: float) -> np.ndarray:
        """[M, D] -> [A, C, D], with a number where there is no node."""
        return np.asarray(np.concatenate([values, np.full((1, values.shape[1]), missing)])[self.at])

    def below(self, area: int) -> np.ndarray:
        """Places of the areas one step below."""
        return np.flatnonzero(self.above == area)

    def upwards(self, area: int) -> list[int]:
        """Places of the areas above one, the next first."""
        found = []
        while (area := int(self.above[area])) >= 0:
            found.append(area)
        return found

    @property
    def total(self) -> int:
        """Place of all categories together, -1 without any."""
        return self.categories.index(ALL) if ALL in self.categories else -1


def of(nodes: Sequence[tuple[str, str]], areas: Tree, categories: Tree) -> Grid:
    """The grid of M pairs of area and category."""
    area_paths = {code: areas.path(code) for code in {area for area, _ in nodes}}
    category_paths = {code: categories.path(code) for code in {category for _, category in nodes}}
    by_depth = tuple(sorted(area_paths, key=lambda code: (len(area_paths[code]), code)))
    codes = tuple(sorted(category_paths))
    place, column = {code: i for i, code in enumerate(by_depth)}, {code: i for i, code in enumerate(codes)}
    at = np.full((len(by_depth), len(codes)), len(nodes))
    at[[place[area] for area, _ in nodes], [column[category] for _, category in nodes]] = np.arange(len(nodes))
    above = np.array([next((place[up] for up in area_paths[code][1:] if up in place), -1) for code in by_depth], int)
    depth = np.zeros(len(by_depth), int)
    for i, up in enumerate(above):
        depth[i] = depth[up] + 1 if up >= 0 else 0
    inner = {up for path in category_paths.values() for up in path[1:]}
    leaves = np.array([i for i, code in enumerate(codes) if code not in inner], int)
    paths = tuple(tuple(column[up] for up in category_paths[code] if up in column) for code in codes)
    return Grid(by_depth, codes, at, above, depth, leaves, paths)
