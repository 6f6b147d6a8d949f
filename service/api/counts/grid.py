"""Where the rows of a list lie that is in the order of area, category, time: a page reads only the areas that it has rows of."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

Place = tuple[str, str, date, int]
"""Area, category, date and hour of a row."""


@dataclass(frozen=True)
class Order:
    """All rows of a list.

    Attributes:
        areas, categories: sorted.
        times: date and hour of the rows of a node, ascending.
    """

    areas: Sequence[str]
    categories: Sequence[str]
    times: Sequence[tuple[date, int]]

    def __len__(self) -> int:
        return len(self.areas) * len(self.categories) * len(self.times)

    def place(self, row: int) -> Place:
        """What a row is of."""
        node, time = divmod(row, len(self.times))
        area, category = divmod(node, len(self.categories))
        return self.areas[area], self.categories[category], *self.times[time]

    def after(self, place: Place) -> int:
        """The first row behind a place, which holds although nodes have come or gone since it was a row."""
        return bisect_right(range(len(self)), place, key=self.place)


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
