"""The tables that say where history breaks: the category map and the excluded spans. One wrong row refuses the file, and says which."""

from zoneinfo import ZoneInfo

import pandas as pd

from forecasting.errors import InputError
from forecasting.recoding import CategoryMap
from service.intake.files import TableFile, batches
from service.intake.moments import days
from service.intake.nodes import ARROW, ROOT, Nodes, levels_of
from service.intake.texts import numbers, texts

MAP, SPANS = "category_map", "excluded_spans"
COLUMNS = {MAP: ("old", "new", "valid_from", "share"), SPANS: ("start", "end", "area", "district", "category", "reason")}


def read_map(file: TableFile, categories: Nodes, zone: ZoneInfo) -> pd.DataFrame:
    """The recodings: `old, new, valid_from, share`. A code that no tree knows joins it, a new one beside the old.

    Raises:
        InputError: a row lacks a code or a day, maps a code to itself or twice, or the shares of a code on a day are not a part of 1.
    """
    rows = _rows(file, MAP, zone, days_of=("valid_from",))
    for name in ("old", "new"):
        rows[name] = [_code(text, categories) for text in rows[name]]
        _refuse(rows, rows[name].isna() | (rows[name] == ROOT), f"'{name}' names no category", file)
    _refuse(rows, rows["old"] == rows["new"], "a code is mapped to itself; what is left of 1 stays by itself", file)
    _refuse(rows, rows.duplicated(["old", "new", "valid_from"]), "the code is mapped twice", file)
    alone = ~rows.duplicated(["old", "valid_from"], keep=False)
    _refuse(rows, rows["share"].isna() & ~alone, "no share, and the code goes to several", file)
    rows["share"] = rows["share"].fillna(1.0)
    _refuse(rows, ~((rows["share"] > 0) & (rows["share"] <= 1)), "share is not over 0 and at most 1", file)
    together = rows.groupby(["old", "valid_from"])["share"].cumsum()
    _refuse(rows, together > 1 + 1e-9, "the shares of the code on that day are more than 1", file)
    for old, new in zip(rows["old"], rows["new"], strict=True):
        for code, parent in ((old, ROOT), (new, categories.parents.get(old, ROOT))):
            if code not in categories.parents:
                categories.add(code, parent)
    return CategoryMap.of(rows).table


def read_spans(file: TableFile, areas: Nodes, categories: Nodes, zone: ZoneInfo) -> pd.DataFrame:
    """The excluded spans: `start, end, area, category, reason`; both days included, a blank area or category means all.

    Raises:
        InputError: a row lacks a day, ends before it starts, names a node that there is not, or stands there twice.
    """
    rows = _rows(file, SPANS, zone, days_of=("start", "end"))
    _refuse(rows, rows["end"] < rows["start"], "it ends before it starts", file)
    rows["area"] = rows["area"].fillna(rows["district"])
    for name, tree in (("area", areas), ("category", categories)):
        wanted = rows[name].fillna(ROOT)
        rows[name] = [ROOT if text == ROOT else tree.known(text) for text in wanted]
        _refuse(rows, rows[name].isna(), f"there is no {name} of that code or name", file)
    _refuse(rows, rows.duplicated(["start", "end", "area", "category"]), "the span stands there twice", file)
    return rows[["start", "end", "area", "category", "reason"]].reset_index(drop=True)


def _rows(file: TableFile, kind: str, zone: ZoneInfo, days_of: tuple[str, ...]) -> pd.DataFrame:
    """All rows with all columns of a kind of table, and their `line`; what a file does not have is missing."""
    if len(file.layout.positions) < sum(bool(header.strip()) for header in file.headers):
        raise InputError(f"has other columns than those of a table of {kind}", str(file.path), f"it may have {', '.join(COLUMNS[kind])}")
    parts = []
    for batch in batches(file):
        for line, reason in batch.broken:
            raise InputError(reason, f"{file.path}, line {line}", "correct it")
        part = pd.DataFrame({"line": batch.lines})
        for name in COLUMNS[kind]:
            if name not in batch.columns:
                part[name] = pd.Series(None, index=part.index, dtype="float64" if name == "share" else "str")
            elif name in days_of:
                part[name] = days(batch.columns[name], zone)
            elif name == "share":
                given = pd.Series(texts(batch.columns[name]).to_pandas(), dtype="str")
                part[name] = numbers(batch.columns[name])
                _refuse(part, given.notna() & part[name].isna(), "share is no number", file)
            else:
                part[name] = pd.Series(texts(batch.columns[name]).to_pandas(), dtype="str")
        parts.append(part)
    if not parts:
        parts = [pd.DataFrame({"line": [], **{name: pd.Series([], dtype="datetime64[us]" if name in days_of else "str") for name in COLUMNS[kind]}})]
    rows = pd.concat(parts, ignore_index=True)
    for name in days_of:
        _refuse(rows, rows[name].isna(), f"{name} is no date", file)
    return rows


def _code(text: object, tree: Nodes) -> str | None:
    levels = levels_of(text) if isinstance(text, str) else []
    code = ARROW.join(levels)
    return tree.known(code) or code if levels else None


def _refuse(rows: pd.DataFrame, wrong: pd.Series, reason: str, file: TableFile) -> None:
    if wrong.any():
        raise InputError(reason, f"{file.path}, line {rows.loc[wrong, 'line'].iloc[0]}", "correct it")
