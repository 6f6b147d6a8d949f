"""Drivers: weather and other inputs, observed or forecast."""

from zoneinfo import ZoneInfo

import pandas as pd
from sqlalchemy import Connection, func, select

from service.store import bulk
from service.store.schema import drivers

_KEY = ["name", "area", "day", "issued_at", "observed"]
_CITY = "ALL"


def put(conn: Connection, frame: pd.DataFrame, ingest_id: int) -> int:
    """Inserts values or replaces those there are.

    Args:
        frame: `name, date, value, district, issued_at, observed`: `district` is missing for the whole city; `issued_at` is the moment of
            the forecast, for an observation the end of its day.
    Returns:
        How many of the values are new.
    """
    rows = frame.rename(columns={"date": "day", "district": "area"}).assign(ingest_id=ingest_id)
    rows["area"] = rows["area"].fillna(_CITY)
    rows = rows.drop_duplicates(_KEY, keep="last")
    size = select(func.count()).select_from(drivers)
    known = conn.execute(size).scalar_one()
    statement = bulk.upsert(conn, drivers)
    new = {name: statement.excluded[name] for name in ("value", "ingest_id")}
    bulk.run_many(conn, statement.on_conflict_do_update(index_elements=_KEY, set_=new), drivers, rows[[*_KEY, "value", "ingest_id"]])
    return conn.execute(size).scalar_one() - known


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
