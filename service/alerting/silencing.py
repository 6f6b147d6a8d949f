"""Which alerts are silenced: the silences that hold, spelt out by the two trees; and what becomes of them when a silence is over."""

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
from sqlalchemy import Connection

from forecasting.detection.levels import LEVELS
from forecasting.hierarchy import ALL
from service.store import alerts, areas, categories, silences
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


def lift(conn: Connection, now: datetime, actor: str) -> None:
    """Tells the alerts of silences that are over: those that changed under one, still run and are under no other have a change `unsilenced`."""
    ended = silences.to_lift(conn, now)
    if not ended:
        return
    running = alerts.running(conn)
    past = silences.between(conn, min((alert.changed_at for alert in running), default=now), now)
    spelt = dict(zip((one.id for one in past), covers(conn, past), strict=True))
    lifted = {one.id for one in ended}
    for alert in running:
        covering = [one for one in past if spelt[one.id].covers(alert)]
        over = any(one.id in lifted for one in covering) and not any(one.held(now) for one in covering)
        if over and any(one.starts_at <= alert.changed_at <= one.over_at for one in covering):
            alerts.update(conn, alert.id, {}, action="unsilenced", actor=actor, now=now)
    for one in ended:
        silences.lift(conn, one.id)


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
