"""Which alerts are silenced: the silences that hold, spelt out by the two trees."""

from collections.abc import Sequence

import pandas as pd
from sqlalchemy import Connection

from forecasting.detection.levels import LEVELS
from forecasting.hierarchy import ALL
from service.store import areas, categories
from service.store.categories import OWN
from service.store.silences import DEMAND, Cover, Silence


def covers(conn: Connection, active: Sequence[Silence]) -> list[Cover]:
    """What silences cover; the trees are read only if there is one."""
    if not active:
        return []
    places, topics = areas.frame(conn), categories.frame(conn)
    safety = _with_own(frozenset(topics.loc[topics["safety"].astype(bool), "code"]))
    found = []
    for silence in active:
        wanted = silence.matchers
        below = _below(topics, wanted.category)
        found.append(
            Cover(
                silence.id,
                _below(places, wanted.area),
                None if below is None else _with_own(below),
                DEMAND if wanted.kind is None else (wanted.kind,),
                LEVELS[: LEVELS.index(wanted.level) + 1],
                safety,
            )
        )
    return found


def _below(tree: pd.DataFrame, code: str) -> frozenset[str] | None:
    """A node and all below it; None: everything."""
    if code == ALL:
        return None
    found, last = {code}, {code}
    while last:
        last = set(tree.loc[tree["parent"].isin(last), "code"]) - found
        found |= last
    return frozenset(found)


def _with_own(codes: frozenset[str]) -> frozenset[str]:
    """With the nodes of what is filed under inner categories directly."""
    return codes | {code + OWN for code in codes}
