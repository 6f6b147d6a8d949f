"""Areas and categories as rows name them, as nodes of the city's trees; the ones met for the first time are noted, not yet stored."""

from collections.abc import Callable

import numpy as np
import pandas as pd

ROOT = "ALL"
UNKNOWN = "UNKNOWN"  # the district of rows that name none
ARROWS = ("-->", "—>", "→")  # written for the one below
ARROW = "->"  # between the levels of a category's path


class Nodes:
    """A tree that grows while a file is read.

    A node is found by its code or, if that is no code, by a label that only one node has. `codes` lists every node that a row was
    given, `found` those that the store does not know, with their parents.
    """

    def __init__(self, stored: pd.DataFrame) -> None:
        """Begins with the stored nodes: `code, parent, zh, en`."""
        self.parents: dict[str, str] = dict(zip(stored["code"], stored["parent"], strict=True))
        self.found: dict[str, str] = {}
        self.codes: list[str] = []
        self._places: dict[str, int] = {}
        named = pd.concat([stored[["code", "zh"]].set_axis(["code", "label"], axis=1), stored[["code", "en"]].set_axis(["code", "label"], axis=1)])
        only = named.drop_duplicates().drop_duplicates("label", keep=False)
        self._labels = dict(zip(only["label"], only["code"], strict=True))

    @classmethod
    def empty(cls) -> "Nodes":
        """A tree of which nothing is stored."""
        return cls(pd.DataFrame({name: pd.Series(dtype="str") for name in ("code", "parent", "zh", "en")}))

    def known(self, name: str) -> str | None:
        """The code of a node by code or label; None if there is none."""
        return name if name in self.parents else self._labels.get(name)

    def district_of(self, name: str | None) -> str | None:
        """The node below the root in which a known node lies; None if there is none of that name."""
        code = self.known(name) if name is not None else None
        while code is not None and self.parents.get(code, ROOT) != ROOT:
            code = self.parents[code]
        return code

    def inside(self, districts: frozenset[str]) -> list[str]:
        """Codes of these districts and of everything known in them."""
        return [code for code in self.parents if self.district_of(code) in districts]

    def add(self, code: str, parent: str) -> str:
        """Notes a new node; its parent, if new as well, under the root."""
        if parent != ROOT and parent not in self.parents:
            self.parents[parent] = self.found[parent] = ROOT
        self.parents[code] = self.found[code] = parent
        return code

    def place(self, code: str) -> int:
        """Position of a code in `codes`."""
        place = self._places.setdefault(code, len(self.codes))
        if place == len(self.codes):
            self.codes.append(code)
        return place

    def places(self, names: list[pd.Series], resolve: Callable[..., str | None]) -> np.ndarray:
        """Positions in `codes` of the nodes that rows name.

        Args:
            names: categorical columns [rows]; every combination that occurs is resolved once.
            resolve: the code for a combination (None for a missing cell), or None if there is no such node.
        Returns:
            [rows] positions, -1 where there is no node.
        """
        joint = np.zeros(len(names[0]), np.int64)
        for column in names:
            joint = joint * (len(column.cat.categories) + 1) + column.cat.codes.to_numpy() + 1
        combinations, which = np.unique(joint, return_inverse=True)
        resolved = np.empty(len(combinations), np.int64)
        for at, combination in enumerate(combinations.tolist()):
            parts: list[str | None] = []
            for column in reversed(names):
                combination, code = divmod(combination, len(column.cat.categories) + 1)
                parts.append(column.cat.categories[code - 1] if code else None)
            node = resolve(*reversed(parts))
            resolved[at] = -1 if node is None else self.place(node)
        return resolved[which]


def area_of(tree: Nodes, district: str | None, street: str | None = None) -> str:
    """The deepest area that a row names.

    A street whose name another district has already taken is told apart by its district: `district/street`. A street without a
    district counts if it is known; a row without either belongs to UNKNOWN.
    """
    if district is None or district == ROOT:
        inside = tree.known(street) if street else None
        if inside is not None:
            return inside
        return UNKNOWN if UNKNOWN in tree.parents else tree.add(UNKNOWN, ROOT)
    place = tree.known(district) or tree.add(district, ROOT)
    if street is None or street in (place, district, ROOT):
        return place
    for code in (tree.known(street), f"{place}/{street}"):
        if code is not None and tree.parents.get(code) == place:
            return code
    return tree.add(street if street not in tree.parents else f"{place}/{street}", place)


def category_of(tree: Nodes, name: str | None, first_level: str | None = None) -> str | None:
    """The category that a row names: by code, label or path (`first->second->third`, known by the whole path, under its first level).

    None if it names none.
    """
    levels = levels_of(name) if name is not None else []
    if not levels:
        return None
    code = ARROW.join(levels)
    there = tree.known(code)
    if there is not None:
        return there
    parent = levels[0] if len(levels) > 1 else first_level
    if parent is None or parent in (code, ROOT):
        return tree.add(code, ROOT)
    parent = tree.known(parent) or parent
    return tree.add(code, parent if tree.parents.get(parent, ROOT) == ROOT else tree.parents[parent])


def levels_of(name: str) -> list[str]:
    """The levels of a category's path, outermost first; none if it names no category."""
    for arrow in ARROWS:
        name = name.replace(arrow, ARROW)
    levels = [level for level in (part.strip() for part in name.split(ARROW)) if level]
    return levels if levels != [ROOT] else []
