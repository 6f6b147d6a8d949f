"""What the area tree and the category tree have in common in the store."""

from collections.abc import Mapping
from datetime import datetime

import pandas as pd
from sqlalchemy import Connection, Table, insert, select

from service.store import bulk
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
    added = len(named.keys() - stored.keys())
    return Totals(added, len(differs) - added, len(named) - len(differs))


def join(conn: Connection, table: Table, found: Mapping[str, str], levels: tuple[str, str], now: datetime, **labels: tuple[str, str]) -> list[str]:
    """Adds nodes met for the first time, labelled with their code.

    Args:
        found: code of each node met and the code of its parent; parents that are not there are added under the root.
        levels: the level of a node under the root and of any other.
        labels: zh and en of codes that have better ones.
    Returns:
        The codes added, sorted.
    """
    known = set(conn.execute(select(table.c.code)).scalars()) | {ROOT}
    nodes = {parent: ROOT for parent in found.values() if parent not in known} | {code: parent for code, parent in found.items() if code not in known}
    rows = []
    for code in sorted(nodes):
        zh, en = labels.get(code, (code, code))
        level = levels[0] if nodes[code] == ROOT else levels[1]
        rows.append({"code": code, "parent": nodes[code], "level": level, "zh": zh, "en": en, "first_seen": now})
    if rows:
        conn.execute(insert(table), rows)
    return sorted(nodes)
