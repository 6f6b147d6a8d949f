"""The area tree: the city, its districts, their streets."""

from collections.abc import Mapping
from datetime import datetime

import pandas as pd
from sqlalchemy import Connection

from service.store import trees
from service.store.ingests import Totals
from service.store.schema import areas

UNKNOWN = "UNKNOWN"  # the district of tickets that name none


def frame(conn: Connection) -> pd.DataFrame:
    """All areas but the city: `code, parent, level, zh, en, first_seen, population`, sorted by code."""
    return trees.frame(conn, areas)


def districts(conn: Connection) -> pd.DataFrame:
    """The districts alone, in the columns of `frame`."""
    nodes = frame(conn)
    return nodes[nodes["level"] == "district"].reset_index(drop=True)


def put(conn: Connection, nodes: pd.DataFrame, now: datetime) -> Totals:
    """Takes over a city's table `code, parent, level, zh, en[, population]`."""
    return trees.put(conn, areas, nodes, now)


def join(conn: Connection, found: Mapping[str, str], now: datetime) -> list[str]:
    """Adds areas met for the first time: districts under ALL, streets under their district.

    Args:
        found: code of each area met and the code of its parent.
    Returns:
        The codes added, sorted.
    """
    return trees.join(conn, areas, found, ("district", "street"), now, **{UNKNOWN: ("未知", "Unknown")})


def unlabelled(conn: Connection) -> int:
    """How many areas joined by themselves and still have no label but their code."""
    return trees.unlabelled(conn, areas)
