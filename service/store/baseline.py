"""Counts that came without tickets, and when they give way to tickets.

A city often has its history as counts and its tickets from some day on, and both of some days. The rule, for each district and day, at
any moment, from what is known by then:

* The day has tickets alone, or a baseline alone: it counts.
* It has both: the tickets count if they are at least `ENOUGH` of the baseline, and the baseline does not; otherwise the baseline counts, and the
  few tickets are understood to be among it (a stray ticket of an old day, a first day that began at noon).

The rule looks at whole districts and days because a baseline may be filed by district and first level where tickets name streets and details: cell
by cell the two would stand side by side. It depends on what is known, not on the order in which files came.

The journal says it with changes of their own: what gives way is taken back by changes of part `~part`, so that its sum is what counts, at every
moment.
"""

import pandas as pd
from sqlalchemy import Connection, func, select

from service.store import bulk
from service.store.schema import areas, baseline_days, count_changes

TICKETS, BY_HOURS, BY_DAYS = 0, 1, 2  # the parts of the journal; ~part takes back what gives way

ENOUGH = 0.5  # share of the baseline from which on tickets are the better record: strays are far below, a day of which most came as tickets above

_KEY = ["day", "area", "category", "hour"]
_SUM = ["district", "day"]


def note(conn: Connection, cells: pd.DataFrame) -> None:
    """Notes for which districts and days there is a baseline: cells of `area, day`."""
    named = cells[["area", "day"]].drop_duplicates()
    named = named.assign(area=_in_district(conn, named["area"])).drop_duplicates()
    rows = [{"day": day.date(), "area": area} for area, day in named.itertuples(index=False)]
    if rows:
        conn.execute(bulk.upsert(conn, baseline_days).on_conflict_do_nothing(), rows)


def settle(conn: Connection, ingest_id: int, after: int, newest: int) -> None:
    """Appends to the journal what gives way, on the days with a baseline that the changes after one and up to another concern."""
    c = count_changes.c
    if conn.execute(select(baseline_days.c.day).limit(1)).scalar() is None:
        return
    # Two questions, put together here: in one, PostgreSQL reads all of the other table for each change while it has no statistics of what is new.
    touched = conn.execute(select(c.day).where(c.id.between(after + 1, newest), c.ingest_id == ingest_id).distinct()).scalars()
    days = sorted(set(touched) & set(conn.execute(select(baseline_days.c.day).distinct()).scalars()))
    if not days:
        return
    within = (c.day >= days[0], c.day <= days[-1], c.day.in_(days))
    if conn.execute(select(c.id).where(*within, c.part == TICKETS).limit(1)).scalar() is None:
        return
    delta = func.sum(c.delta).label("delta")
    query = select(c.day, c.area, c.category, c.hour, c.part, c.received_at, delta).where(*within)
    journal = bulk.read(conn, query.group_by(c.day, c.area, c.category, c.hour, c.part, c.received_at))
    journal["district"] = _in_district(conn, journal["area"])
    raw, there = journal[journal["part"] >= 0], journal[journal["part"] < 0]
    missing = pd.concat([_wanted(raw), there.assign(delta=-there["delta"])], ignore_index=True)
    missing = missing.groupby([*_KEY, "part", "received_at"], sort=True)["delta"].sum().reset_index()
    bulk.insert(conn, count_changes, missing[missing["delta"] != 0].assign(ingest_id=ingest_id))


def _wanted(raw: pd.DataFrame) -> pd.DataFrame:
    """What has to be taken back, from the changes as they came: in the columns of the journal.

    A change of some cell is in force from its moment on, and is taken back while its part gives way: from the later of its own moment and
    that at which its part began to give way.
    """
    of_tickets = raw["part"] == TICKETS
    known = raw.assign(tickets=raw["delta"].where(of_tickets, 0), baseline=raw["delta"].mask(of_tickets, 0))
    known = known.groupby([*_SUM, "received_at"], sort=True)[["tickets", "baseline"]].sum()
    total = known.groupby(level=_SUM).cumsum()
    both = (total["tickets"] > 0) & (total["baseline"] > 0)
    enough = total["tickets"] >= ENOUGH * total["baseline"]
    parts = []
    for gives_way, rows in ((both & enough, raw[~of_tickets]), (both & ~enough, raw[of_tickets])):
        now = gives_way.astype("int64")
        turn = now - now.groupby(level=_SUM).shift(fill_value=0)
        turns = turn[turn != 0].rename("turn").rename_axis(index={"received_at": "at"}).reset_index()
        each = rows.merge(turns, on=_SUM)
        each["received_at"] = each["received_at"].where(each["received_at"] > each["at"], each["at"])
        parts.append(each.assign(delta=-each["delta"] * each["turn"], part=-1 - each["part"]))
    return pd.concat(parts, ignore_index=True)[[*_KEY, "part", "received_at", "delta"]]


def _in_district(conn: Connection, codes: pd.Series) -> pd.Series:
    """The district of each area: a street's parent, any other itself."""
    parents = {row.code: row.parent for row in conn.execute(select(areas.c.code, areas.c.parent).where(areas.c.level == "street"))}
    return codes.map(parents).fillna(codes) if parents else codes
