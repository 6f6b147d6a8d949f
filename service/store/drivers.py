"""Drivers: weather and other inputs, observed or forecast."""

from zoneinfo import ZoneInfo

import pandas as pd
from sqlalchemy import Connection, select

from service.store import bulk
from service.store.ingests import Totals
from service.store.schema import drivers

_KEY = ["name", "area", "day", "issued_at", "observed"]
_CITY = "ALL"


def put(conn: Connection, frame: pd.DataFrame, ingest_id: int) -> Totals:
    """Inserts values or replaces those there are. Of several for the same key the last counts.

    Args:
        frame: `name, date, value, district, issued_at, observed`: `district` is missing for the whole city; `issued_at` is the moment of
            the forecast, for an observation the end of its day.
    """
    rows = frame.rename(columns={"date": "day", "district": "area"})
    rows["area"] = rows["area"].fillna(_CITY)
    rows = rows.drop_duplicates(_KEY, keep="last")
    if rows.empty:
        return Totals(unchanged=len(frame))
    c = drivers.c
    there = select(c.name, c.area, c.day, c.issued_at, c.observed, c.value.label("stored"))
    stored = bulk.read(conn, there.where(c.day.between(rows["day"].min().date(), rows["day"].max().date())))
    rows = rows.merge(stored, on=_KEY, how="left", indicator="found")
    new, differs = rows["found"].eq("left_only"), rows["found"].eq("both") & rows["value"].ne(rows["stored"])

    statement = bulk.upsert(conn, drivers)
    given = {name: statement.excluded[name] for name in ("value", "ingest_id")}
    changed = rows.loc[new | differs, [*_KEY, "value"]].assign(ingest_id=ingest_id)
    bulk.run_many(conn, statement.on_conflict_do_update(index_elements=_KEY, set_=given), drivers, changed)
    added, replaced = int(new.sum()), int(differs.sum())
    return Totals(added, replaced, len(frame) - added - replaced)


def frame(conn: Connection, zone: ZoneInfo | None = None) -> pd.DataFrame:
    """All values, sorted.

    Args:
        zone: the city's zone, in which `issued_at` comes; None: UTC.
    Returns:
        `name, date, value, district, issued_at`; `district` is missing for the whole city, `issued_at` for an observation.
    """
    c = drivers.c
    rows = bulk.read(
        conn,
        select(c.name, c.day.label("date"), c.value, c.area.label("district"), c.issued_at, c.observed).order_by(
            c.name, c.area, c.day, c.issued_at, c.observed
        ),
    )
    rows["district"] = rows["district"].mask(rows["district"] == _CITY)
    rows["issued_at"] = rows["issued_at"].mask(rows["observed"].astype(bool))
    if zone is not None:
        rows["issued_at"] = rows["issued_at"].dt.tz_convert(zone)
    return rows.drop(columns="observed")
