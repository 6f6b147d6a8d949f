"""Forecast sets: one night's forecasts as one immutable blob, and the pointer to the published one."""

from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, or_, select, update

from forecasting.errors import InputError
from service.store import bulk
from service.store.schema import alerts, day_scores, forecast_sets, published

_THE_ROW = 1


@dataclass(frozen=True)
class ForecastSet:
    """A forecast set: its blobs (Parquet) and what is known about it.

    Attributes:
        published_at: the moment at which the pointer first named it; None: it never did.
        rows, sha256: of `blob`, the daily forecasts.
        outlook, hours: the weeks and the shares of hours; None: it was made without them.
        standing: by what its days are judged, see `forecasting.detection.issued.standing`; None: by the forecast alone.
    """

    id: int
    run_id: int
    mlflow_run_id: str | None
    cutoff: date
    horizon: int
    issued_at: datetime
    published_at: datetime | None
    rows: int
    sha256: str
    blob: bytes
    outlook: bytes | None
    hours: bytes | None
    standing: bytes | None


def add(
    conn: Connection,
    *,
    run_id: int,
    mlflow_run_id: str | None,
    cutoff: date,
    horizon: int,
    issued_at: datetime,
    rows: int,
    blob: bytes,
    outlook: bytes | None = None,
    hours: bytes | None = None,
    standing: bytes | None = None,
) -> int:
    """Keeps a forecast set without publishing it; returns its id."""
    row = {"run_id": run_id, "mlflow_run_id": mlflow_run_id, "cutoff": cutoff, "horizon": horizon, "issued_at": issued_at, "rows": rows}
    tables = {"blob": blob, "outlook": outlook, "hours": hours, "standing": standing}
    statement = insert(forecast_sets).values(**row, **tables, sha256=sha256(blob).hexdigest())
    return int(conn.execute(statement.returning(forecast_sets.c.id)).scalar_one())


def publish(conn: Connection, *, issued_at: datetime, **row: Any) -> int:
    """Keeps a forecast set (arguments as of `add`) and moves the pointer to it, both in the caller's transaction; returns its id."""
    new = add(conn, issued_at=issued_at, **row)
    point(conn, new, issued_at)
    return new


def point(conn: Connection, set_id: int, now: datetime) -> None:
    """Moves the pointer to a set that is there already, and notes when that happened first."""
    c = forecast_sets.c
    conn.execute(update(forecast_sets).where(c.id == set_id, c.published_at.is_(None)).values(published_at=now))
    bulk.replace(conn, published, [{"id": _THE_ROW, "forecast_set_id": set_id, "moved_at": now}])


def pointer(conn: Connection) -> int | None:
    """Id of the published set; None before the first."""
    return conn.execute(select(published.c.forecast_set_id).where(published.c.id == _THE_ROW)).scalar()


def get(conn: Connection, set_id: int) -> ForecastSet:
    """One set.

    Raises:
        InputError: there is none of that id.
    """
    found = _first(conn, select(forecast_sets).where(forecast_sets.c.id == set_id))
    if found is None:
        raise InputError(f"there is no forecast set {set_id}", "forecast set")
    return found


def latest_before(conn: Connection, day: date) -> ForecastSet | None:
    """The newest set, published or not, that knew nothing of a day: its cutoff lies before it. Of equal cutoffs, a published one first."""
    c = forecast_sets.c
    order = (c.cutoff.desc(), c.published_at.is_(None), c.issued_at.desc(), c.id.desc())
    return _first(conn, select(forecast_sets).where(c.cutoff < day).order_by(*order))


def as_of(conn: Connection, moment: datetime) -> ForecastSet | None:
    """The set published last by a moment."""
    c = forecast_sets.c
    return _first(conn, select(forecast_sets).where(c.published_at <= moment).order_by(c.published_at.desc(), c.id.desc()))


def drop_unpublished(conn: Connection, before: datetime) -> int:
    """Deletes the sets made before a moment that were never published and by which no day was judged and no alert raised; says how many."""
    c = forecast_sets.c
    named = [select(table.c.forecast_set_id).where(table.c.forecast_set_id == c.id).exists() for table in (published, day_scores, alerts)]
    return conn.execute(delete(forecast_sets).where(c.published_at.is_(None), c.issued_at < before, ~or_(*named))).rowcount


def _first(conn: Connection, query: Select[tuple[object, ...]]) -> ForecastSet | None:
    row = conn.execute(query.limit(1)).one_or_none()
    return None if row is None else ForecastSet(**row._mapping)
