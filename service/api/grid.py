"""Where the rows of a list lie that is in the order of area, category, time: a page reads only the areas that it has rows of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class GridPage:
    """The rows of a page.

    Attributes:
        areas: the areas that it has rows of.
        names: `area` and `category` of each row.
        times: the place of each row among the times of a node.
    """

    areas: Sequence[str]
    names: dict[str, np.ndarray]
    times: np.ndarray
    _cells: np.ndarray

    @classmethod
    def of(cls, areas: Sequence[str], categories: Sequence[str], n_times: int, first: int, last: int) -> "GridPage":
        """Rows `first` to `last`, the latter excluded, of which there is one at least."""
        of_an_area = len(categories) * n_times
        area_from, area_to = first // of_an_area, (last - 1) // of_an_area + 1
        rows = np.arange(first, last)
        names = {
            "area": np.array(areas, object)[rows // of_an_area],
            "category": np.array(categories, object)[rows // n_times % len(categories)],
        }
        return cls(areas[area_from:area_to], names, rows % n_times, rows - area_from * of_an_area)

    def cells(self, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Of arrays [areas of the page, categories, times] the values of each row."""
        return {name: one.reshape(-1)[self._cells] for name, one in values.items()}
