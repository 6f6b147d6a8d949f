"""What the area tree and the category tree have in common in the store."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import pandas as pd
from sqlalchemy import Connection, Table, func, insert, select

from service.store import bulk, counters
from service.store.ingests import Totals

ROOT = "ALL"


def frame(conn: Connection, table: Table) -> pd.DataFrame:
    """All nodes but the root, sorted by code."""
    return bulk.read(conn, select(table).where(table.c.code != ROOT).order_by(table.c.code))


def put(conn: Connection, table: Table, nodes: pd.DataFrame, now: datetime) -> Totals:
    """Inserts nodes or replaces those there are; `first_seen` stays."""
    given = [column.name for column in table.columns if column.name in nodes.columns]
    stored = {row.code: tuple(row) for row in conn.execute(select(*(table.c[name] for name in given)))}
    named = dict(zip(nodes["code"], zip(*(bulk.objects(nodes[name]) for name in given), strict=True), strict=True))
    differs = [row for code, row in named.items() if stored.get(code) != row]
    bulk.replace(conn, table, [{**dict(zip(given, row, strict=True)), "first_seen": now} for row in differs], keep=["first_seen"])
    if differs:
        counters.step(conn, counters.TREES)
    added = len(named.keys() - stored.keys())
    return Totals(added, len(differs) - added, len(named) - len(differs))


def join(conn: Connection, table: Table, found: Mapping[str, str], levels: Sequence[str], now: datetime, **labels: tuple[str, str]) -> list[str]:
    """Adds nodes met for the first time, labelled with their code, until the city's table says better.

    Args:
        found: code of each node met and the code of its parent; parents that are not there are added under the root.
        levels: the levels below the root, outermost first; what lies deeper has the last of them.
        labels: zh and en of codes that have better ones.
    Returns:
        The codes added, sorted.
    """
    parents = {row.code: row.parent for row in conn.execute(select(table.c.code, table.c.parent))} | {ROOT: ""}
    nodes = {parent: ROOT for parent in found.values() if parent not in parents} | {
        code: parent for code, parent in found.items() if code not in parents
    }
    parents |= nodes
    rows = []
    for code in sorted(nodes):
        zh, en = labels.get(code, (code, code))
        level = levels[min(_depth(code, parents), len(levels)) - 1]
        rows.append({"code": code, "parent": nodes[code], "level": level, "zh": zh, "en": en, "first_seen": now})
    if rows:
        conn.execute(insert(table), rows)
        counters.step(conn, counters.TREES)
    return sorted(nodes)


def unlabelled(conn: Connection, table: Table) -> int:
    """How many nodes joined by themselves and still have no label but their code."""
    own = table.c.code
    query = select(func.count()).select_from(table).where(own != ROOT, table.c.zh == own, table.c.en == own)
    return int(conn.execute(query).scalar_one())


def _depth(code: str, parents: Mapping[str, str]) -> int:
    depth = 0
    while code != ROOT and depth <= len(parents):
        depth, code = depth + 1, parents.get(code, ROOT)
    return depth
