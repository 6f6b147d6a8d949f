"""The tables that a city edits itself: its areas and its categories. One wrong row refuses the file, and says which."""

from collections.abc import Mapping

import pandas as pd

from forecasting.errors import InputError
from service.intake.files import TableFile, batches
from service.intake.nodes import ROOT, Nodes
from service.intake.texts import numbers, texts

LEVELS = {"areas": ("city", "district", "street"), "categories": ("all", "l1", "l2", "l3")}  # outermost first
_YES = ("true", "1", "yes", "是")
_NO = ("false", "0", "no", "否")


def read(file: TableFile) -> pd.DataFrame:
    """The rows of a table of areas or categories: `line, code, parent, level, zh, en` and what it has besides.

    Raises:
        InputError: a row has too few or too many cells, or a cell that cannot be read.
    """
    parts = []
    for batch in batches(file):
        for line, reason in batch.broken:
            raise InputError(reason, f"{file.path}, line {line}", "correct it")
        part = pd.DataFrame({name: pd.Series(texts(column).to_pandas(), dtype="str") for name, column in batch.columns.items()})
        part.insert(0, "line", batch.lines)
        if "population" in part:
            _refuse(part, part["population"].notna() & ~(numbers(batch.columns["population"]) >= 0), "population is no number", file)
            part["population"] = numbers(batch.columns["population"]).round().astype("Int64")
        parts.append(part)
    nodes = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if nodes.empty:
        raise InputError("has no rows", str(file.path))
    nodes["level"] = nodes["level"].str.lower()
    nodes["parent"] = nodes["parent"].fillna(ROOT).mask(nodes["code"] == ROOT, "")
    for label in ("zh", "en"):
        nodes[label] = nodes[label].fillna(nodes["code"])
    if "safety" in nodes:
        safety = nodes["safety"].fillna(_NO[0]).str.lower()
        _refuse(nodes, ~safety.isin((*_YES, *_NO)), "safety is neither true nor false", file)
        nodes["safety"] = safety.isin(_YES)
    return nodes


def kind(nodes: pd.DataFrame, file: TableFile) -> str:
    """Which of the two tables it is, told by its levels.

    Raises:
        InputError: a level is not one of either table.
    """
    fitting = [name for name, levels in LEVELS.items() if nodes["level"].isin(levels).all()]
    if fitting:
        return fitting[0]
    nearest = max(LEVELS, key=lambda name: int(nodes["level"].isin(LEVELS[name]).sum()))
    _refuse(nodes, ~nodes["level"].isin(LEVELS[nearest]), f"level is none of {', '.join(LEVELS[nearest])}", file)
    raise AssertionError(nearest)


def check(nodes: pd.DataFrame, tree: Nodes, file: TableFile) -> None:
    """Checks that the rows make a tree with what is stored already: each parent is there and one level above, and nothing runs in a ring.

    Rows may stand in any order and name a few nodes or all; a node that the file does not name stays where it is.

    Raises:
        InputError: a code is missing or named twice, a parent is unknown or of the wrong level, or a node that stays would lose its place.
    """
    levels = next(levels for levels in LEVELS.values() if nodes["level"].isin(levels).all())
    depth = nodes["level"].map({level: place for place, level in enumerate(levels)})
    _refuse(nodes, nodes["code"].isna(), "no code", file)
    _refuse(nodes, nodes["code"].duplicated(), "the code is named twice", file)
    _refuse(nodes, (depth == 0) != (nodes["code"] == ROOT), f"level {levels[0]} is that of {ROOT} alone", file)
    parents = tree.parents | dict(zip(nodes["code"], nodes["parent"], strict=True))
    _refuse(nodes, (depth == 1) & (nodes["parent"] != ROOT), f"the parent of a node of level {levels[1]} is {ROOT}", file)
    rings = {code: _ring(code, parents) for code in nodes["code"]}
    for code, ring in rings.items():
        _refuse(nodes, (nodes["code"] == code) & bool(ring), f"the parents run in a ring ({ring})", file)
    stored = {code: len(_path(code, tree.parents)) for code in tree.parents if code != ROOT}
    above = {ROOT: 0} | stored | dict(zip(nodes["code"], depth, strict=True))
    for place, level in enumerate(levels[1:-1], 1):
        wrong = (depth == place + 1) & (nodes["parent"] != ROOT) & (nodes["parent"].map(above) != place)
        _refuse(nodes, wrong, f"the parent is no code of level {level}", file)
    named = set(nodes["code"])
    left = {parent: code for code, parent in tree.parents.items() if code not in named and parent in named and above[parent] != stored[code] - 1}
    for parent, code in left.items():
        _refuse(nodes, nodes["code"] == parent, f"'{code}' is below it and would lose its place; name it in the same file", file)


def _path(code: str, parents: Mapping[str, str]) -> list[str]:
    """A code and all above it but the root."""
    path: list[str] = []
    while code and code != ROOT and code not in path:
        path.append(code)
        code = parents.get(code, ROOT)
    return path


def _ring(code: str, parents: Mapping[str, str]) -> str:
    """The ring in which a code stands, as 'A > B > A'; empty if in none."""
    path = _path(code, parents)
    return " > ".join([*path, code]) if path and parents.get(path[-1], ROOT) == code else ""


def _refuse(nodes: pd.DataFrame, wrong: pd.Series, reason: str, file: TableFile) -> None:
    if wrong.any():
        raise InputError(reason, f"{file.path}, line {nodes.loc[wrong, 'line'].iloc[0]}", "correct it")
