"""The ledger of training runs: which night is done, which attempt is at work, until when it may be.

An attempt is a row; its id is the token that fences what it publishes. `succeed`, `fail` and `renew` change only a row that is still
running, so that an attempt whose lease ran out and whose place another took can no longer publish. Nor can one that slept until a later night
was done.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, func, insert, select, update

from forecasting.errors import InputError
from service.store.schema import forecast_sets, runs

RUNNING, DONE, FAILED = "running", "done", "failed"
LEASE_RAN_OUT, TAKEN_OVER = "the lease ran out", "taken over"  # why an attempt failed that cannot say so itself


class LeaseLost(RuntimeError):
    """Another attempt took this one's place: what it made must not be published."""


@dataclass(frozen=True)
class Run:
    """One row of the ledger."""

    id: int
    business_date: date
    attempt: int
    status: str
    started_at: datetime
    finished_at: datetime | None
    owner: str
    lease_until: datetime
    mlflow_run_id: str | None
    scores: dict[str, Any] | None
    error: str | None


def start(conn: Connection, business_date: date, owner: str, now: datetime, lease: timedelta, force: bool = False) -> int:
    """Begins the next attempt at a business date and returns its id.

    An attempt whose lease ran out is closed as failed first. With `force` a finished night is done again and a running attempt loses
    its lease.

    Raises:
        InputError: the night is done, or another attempt is at work.
    """
    c = runs.c
    for run in _of(conn, business_date):
        if run.status == DONE and not force:
            raise InputError(f"{business_date} is done (run {run.id})", "training", "repeat it with --force")
        if run.status == RUNNING:
            if run.lease_until > now and not force:
                raise InputError(
                    f"run {run.id} of {run.owner} is at work on {business_date}", "training", "wait for it, or take its place with --force"
                )
            _close(conn, run.id, status=FAILED, finished_at=now, error=TAKEN_OVER if run.lease_until > now else LEASE_RAN_OUT)
    attempt = conn.execute(select(func.coalesce(func.max(c.attempt), 0) + 1).where(c.business_date == business_date)).scalar_one()
    row = {"business_date": business_date, "attempt": attempt, "status": RUNNING, "started_at": now, "owner": owner, "lease_until": now + lease}
    return int(conn.execute(insert(runs).values(row).returning(c.id)).scalar_one())


def renew(conn: Connection, run_id: int, until: datetime) -> None:
    """Lengthens the lease of a running attempt. Raises LeaseLost if it is no longer running."""
    _close(conn, run_id, lease_until=until)


def succeed(conn: Connection, run_id: int, now: datetime, mlflow_run_id: str | None = None, scores: dict[str, Any] | None = None) -> None:
    """Closes a running attempt as done. In one transaction with publishing it keeps a stale attempt from being published.

    Raises:
        LeaseLost: the attempt is no longer running, or a later night was begun and done meanwhile: what that one published is newer.
    """
    c = runs.c
    mine = select(c.business_date).where(c.id == run_id).scalar_subquery()
    later = conn.execute(select(func.max(c.business_date)).where(c.status == DONE, c.id > run_id, c.business_date > mine)).scalar_one()
    if later is not None:
        raise LeaseLost(f"{later} is done, a later night than that of run {run_id}")
    _close(conn, run_id, status=DONE, finished_at=now, mlflow_run_id=mlflow_run_id, scores=scores)


def fail(conn: Connection, run_id: int, now: datetime, error: str) -> None:
    """Closes a running attempt as failed. Raises LeaseLost if it is no longer running."""
    _close(conn, run_id, status=FAILED, finished_at=now, error=error)


def tracked(conn: Connection, run_id: int, mlflow_run_id: str, cutoff: date, published: bool = True, shadow: bool = False) -> None:
    """Notes under which id MLflow has an attempt, and the forecast set that it made at a cutoff; the id may be known only later.

    Args:
        published: whether that set was published; an attempt may have made others that were not.
        shadow: it is the challenger's, which stands beside the attempt and is not it.
    """
    c = forecast_sets.c
    which = c.shadow if shadow else and_(~c.shadow, c.published_at.is_not(None) if published else c.published_at.is_(None))
    conn.execute(update(forecast_sets).where(c.run_id == run_id, c.cutoff == cutoff, which).values(mlflow_run_id=mlflow_run_id))
    if not shadow:
        conn.execute(update(runs).where(runs.c.id == run_id).values(mlflow_run_id=mlflow_run_id))


def latest(conn: Connection, business_date: date | None = None) -> Run | None:
    """The newest attempt, of any night or of one."""
    query = select(runs).order_by(runs.c.id.desc()).limit(1)
    if business_date is not None:
        query = query.where(runs.c.business_date == business_date)
    row = conn.execute(query).one_or_none()
    return None if row is None else Run(**row._mapping)


def of(conn: Connection, run_id: int) -> Run:
    """One attempt that is there."""
    return Run(**conn.execute(select(runs).where(runs.c.id == run_id)).one()._mapping)


def newest_success(conn: Connection) -> Run | None:
    """The successful attempt at the latest business date."""
    c = runs.c
    row = conn.execute(select(runs).where(c.status == DONE).order_by(c.business_date.desc(), c.id.desc()).limit(1)).one_or_none()
    return None if row is None else Run(**row._mapping)


def list_runs(conn: Connection, limit: int = 20, before_id: int | None = None) -> list[Run]:
    """The newest attempts first; `before_id` continues a list."""
    query = select(runs).order_by(runs.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(runs.c.id < before_id)
    return [Run(**row._mapping) for row in conn.execute(query)]


def recorded_failures(conn: Connection, of_last: int) -> list[Run]:
    """Of so many of the newest attempts those that failed although MLflow has been told of them."""
    return [run for run in list_runs(conn, of_last) if run.status == FAILED and run.mlflow_run_id is not None]


def _of(conn: Connection, business_date: date) -> list[Run]:
    return [Run(**row._mapping) for row in conn.execute(select(runs).where(runs.c.business_date == business_date).order_by(runs.c.attempt))]


def _close(conn: Connection, run_id: int, **values: Any) -> None:
    if conn.execute(update(runs).where(runs.c.id == run_id, runs.c.status == RUNNING).values(values)).rowcount != 1:
        raise LeaseLost(f"run {run_id} is no longer running")
