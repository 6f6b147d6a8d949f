"""The tables that a city edits itself: its areas and its categories. One wrong row refuses the file, and says which."""

import numpy as np
import pandas as pd

from forecasting.errors import InputError
from service.intake.files import TableFile, batches
from service.intake.nodes import ROOT, Nodes
from service.intake.texts import numbers, texts

LEVELS = {"areas": ("city", "district", "street"), "categories": ("all", "l1", "l2")}  # outermost first
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
    """Checks that the rows make a tree with what is stored already.

    Raises:
        InputError: a code is missing or named twice, or a parent is unknown or of the wrong level.
    """
    _refuse(nodes, nodes["code"].isna(), "no code", file)
    _refuse(nodes, nodes["code"].duplicated(), "the code is named twice", file)
    outermost, inner, innermost = next(levels for levels in LEVELS.values() if nodes["level"].isin(levels).all())
    _refuse(nodes, (nodes["level"] == outermost) != (nodes["code"] == ROOT), f"level {outermost} is that of {ROOT} alone", file)
    under_root = {code for code, parent in tree.parents.items() if parent == ROOT}
    possible = (under_root - set(nodes["code"])) | set(nodes.loc[nodes["level"] == inner, "code"])
    _refuse(nodes, (nodes["level"] == inner) & (nodes["parent"] != ROOT), f"the parent of a node of level {inner} is {ROOT}", file)
    allowed = np.isin(nodes["parent"].to_numpy(dtype=object), list(possible | {ROOT}))
    _refuse(nodes, (nodes["level"] == innermost) & ~allowed, f"the parent is no code of level {inner}", file)


def _refuse(nodes: pd.DataFrame, wrong: pd.Series, reason: str, file: TableFile) -> None:
    if wrong.any():
        raise InputError(reason, f"{file.path}, line {nodes.loc[wrong, 'line'].iloc[0]}", "correct it")
