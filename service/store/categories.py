"""The category tree: all tickets, the first level, the second, the third."""

from collections.abc import Mapping
from datetime import datetime

import pandas as pd
from sqlalchemy import Connection

from service.store import trees
from service.store.ingests import Totals
from service.store.schema import categories

OWN = "->*"  # added to the code of an inner category for tickets that are filed under it directly: counts stand at the leaves only


def frame(conn: Connection) -> pd.DataFrame:
    """All categories but the root, sorted by code.

    Returns:
        `code, parent, level, zh, en, first_seen, lead_unit, supporting_units, time_limit, safety`.
    """
    return trees.frame(conn, categories)


def put(conn: Connection, nodes: pd.DataFrame, now: datetime) -> Totals:
    """Takes over a city's table `code, parent, level, zh, en[, lead_unit, supporting_units, time_limit, safety]`."""
    return trees.put(conn, categories, nodes, now)


def join(conn: Connection, found: Mapping[str, str], now: datetime) -> list[str]:
    """Adds categories met for the first time.

    Args:
        found: code of each category met and the code of its parent (a level above, or ALL).
    Returns:
        The codes added, sorted.
    """
    return trees.join(conn, categories, found, ("l1", "l2", "l3"), now)


def unlabelled(conn: Connection) -> int:
    """How many categories joined by themselves and still have no label but their code."""
    return trees.unlabelled(conn, categories)
