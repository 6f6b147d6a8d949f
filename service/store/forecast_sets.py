"""Forecast sets: one night's forecasts as one immutable blob, and the pointer to the published one.

A set may be withdrawn: it was rolled back, or the gate refused it. It stays, for what was said on its ground can be read again, but it judges
no day and is never gone back to by itself. A shadow set is the challenger's: it is compared with what came, and that is all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, func, insert, or_, select, update

from forecasting.errors import InputError
from service.store import audit, bulk
from service.store.schema import alerts, day_scores, forecast_sets, published

_THE_ROW = 1


@dataclass(frozen=True)
class About:
    """What is known about a forecast set.

    Attributes:
        issued_at: when it was made.
        published_at: the moment at which the pointer first named it; None: it never did.
        rows, sha256: of the daily forecasts.
        recipe: as `forecasting.recipe.from_mapping` reads it; None: it was made before recipes were kept.
        gate: what the gate said, check by check, see `experiments.gate.Check`; None: it was not asked.
        withdrawn_at: when it was rolled back, or refused by the gate; None: it was neither.
        model_version: of the registered model; None: not known.
        shadow: whether a challenger made it, beside what is published.
        newest_change: of the counts that it learnt from, see `counts.by_district`; None: it was made before that was kept.
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
    recipe: dict[str, Any] | None
    gate: list[dict[str, Any]] | None
    withdrawn_at: datetime | None
    model_version: int | None
    shadow: bool
    newest_change: int | None

    def covers(self, day: date) -> bool:
        """Whether it forecasts a day."""
        return 0 < (day - self.cutoff).days <= self.horizon

    @property
    def refused(self) -> bool:
        """Whether the gate refused it, and nobody has overruled the gate."""
        return self.published_at is None and self.gate is not None and not all(check["passed"] for check in self.gate)


@dataclass(frozen=True)
class ForecastSet(About):
    """A forecast set with its blobs (Parquet).

    Attributes:
        blob: the daily forecasts.
        outlook, hours: the weeks and the shares of hours; None: it was made without them.
        standing: by what its days are judged, see `forecasting.detection.issued.judged`; None: by the forecast alone.
    """

    blob: bytes
    outlook: bytes | None
    hours: bytes | None
    standing: bytes | None


_ABOUT = [forecast_sets.c[name] for name in About.__dataclass_fields__]


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
    recipe: Mapping[str, Any] | None = None,
    gate: Sequence[Mapping[str, Any]] | None = None,
    withdrawn_at: datetime | None = None,
    shadow: bool = False,
    newest_change: int | None = None,
) -> int:
    """Keeps a forecast set without publishing it; returns its id."""
    row = {"run_id": run_id, "mlflow_run_id": mlflow_run_id, "cutoff": cutoff, "horizon": horizon, "issued_at": issued_at, "rows": rows}
    more = {name: value for name, value in (("recipe", recipe), ("gate", gate)) if value is not None}  # JSON would keep None as its own null
    tables = {"blob": blob, "outlook": outlook, "hours": hours, "standing": standing, "withdrawn_at": withdrawn_at}
    origin = {"shadow": shadow, "newest_change": newest_change}
    statement = insert(forecast_sets).values(**row, **more, **tables, **origin, sha256=sha256(blob).hexdigest())
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


def go_back(conn: Connection, target: About, now: datetime) -> list[int]:
    """Moves the pointer to a set, withdraws those that were published after it, and takes its own withdrawal back; returns those withdrawn."""
    c = forecast_sets.c
    point(conn, target.id, now)
    conn.execute(update(forecast_sets).where(c.id == target.id).values(withdrawn_at=None))
    since = target.published_at or now
    later = or_(c.published_at > since, and_(c.published_at == since, c.id > target.id))
    taken_back = conn.execute(
        update(forecast_sets).where(later, c.id != target.id, c.withdrawn_at.is_(None)).values(withdrawn_at=now).returning(c.id)
    )
    return sorted(taken_back.scalars())


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


def about(conn: Connection, set_id: int) -> About | None:
    """What is known about one set, without reading its forecasts; None: there is none of that id."""
    return _one(conn, select(*_ABOUT).where(forecast_sets.c.id == set_id))


def of_version(conn: Connection, version: int) -> About | None:
    """The newest set of a version of the registered model."""
    c = forecast_sets.c
    return _one(conn, select(*_ABOUT).where(c.model_version == version).order_by(c.id.desc()))


def published_before(conn: Connection, one: About) -> About | None:
    """The set that was published before another, of those that are not withdrawn; None: there is none."""
    c = forecast_sets.c
    earlier = or_(c.published_at < one.published_at, and_(c.published_at == one.published_at, c.id < one.id))
    return _one(conn, select(*_ABOUT).where(earlier, c.withdrawn_at.is_(None)).order_by(c.published_at.desc(), c.id.desc()))


def refused(conn: Connection) -> About | None:
    """The set that the gate refused in the newest night; None: it refused none."""
    return next((one for one in _judged(conn) if one.refused), None)


def newest_shadow(conn: Connection) -> About | None:
    """The set that the challenger made last; None: none did."""
    c = forecast_sets.c
    return _one(conn, select(*_ABOUT).where(c.shadow).order_by(c.id.desc()))


def to_stand_beside(conn: Connection, run_id: int) -> About | None:
    """What an attempt at training made of the newest data, if no challenger has forecast beside it; None: one has, or nothing was made."""
    c = forecast_sets.c
    made = [About(**row._mapping) for row in conn.execute(select(*_ABOUT).where(c.run_id == run_id).order_by(c.cutoff.desc(), c.id.desc()))]
    return None if not made or any(one.shadow for one in made) else made[0]


def judged(conn: Connection, start: date, end: date) -> list[About]:
    """What the gate was asked about, of the cutoffs from `start` to `end`, the earliest first."""
    c = forecast_sets.c
    query = select(*_ABOUT).where(c.gate.is_not(None), c.cutoff >= start, c.cutoff <= end)
    return [About(**row._mapping) for row in conn.execute(query.order_by(c.cutoff, c.id))]


def failed(conn: Connection, cutoff: date) -> About | None:
    """The set whose checks failed in the newest training of a cutoff, the candidate's first, refused or published all the same; None: none did."""
    return next((one for one in _judged(conn, cutoff) if not all(check["passed"] for check in one.gate or ())), None)


def _judged(conn: Connection, cutoff: date | None = None) -> list[About]:
    """What the gate was asked about in the newest night, or in the newest training of a cutoff, in that order."""
    c = forecast_sets.c
    query = select(*_ABOUT).where(c.gate.is_not(None), *([c.cutoff == cutoff] if cutoff else []))
    newest_run = conn.execute(query.with_only_columns(c.run_id).order_by(c.id.desc()).limit(1)).scalar()
    return [About(**row._mapping) for row in conn.execute(query.where(c.run_id == newest_run).order_by(c.id))]


def served_after(conn: Connection, cutoff: date) -> date | None:
    """The cutoff of the newest set that was published and is not withdrawn, of those that know no day after `cutoff`."""
    c = forecast_sets.c
    return conn.execute(select(func.max(c.cutoff)).where(c.published_at.is_not(None), c.withdrawn_at.is_(None), c.cutoff <= cutoff)).scalar()


def list_sets(conn: Connection, limit: int = 20, before_id: int | None = None) -> list[About]:
    """The newest sets first; `before_id` continues a list."""
    query = select(*_ABOUT).order_by(forecast_sets.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(forecast_sets.c.id < before_id)
    return [About(**row._mapping) for row in conn.execute(query)]


def published_runs(conn: Connection) -> set[str]:
    """The MLflow runs of all sets that were ever published."""
    c = forecast_sets.c
    return set(conn.execute(select(c.mlflow_run_id).where(c.published_at.is_not(None), c.mlflow_run_id.is_not(None))).scalars())


def note_versions(conn: Connection, versions: Mapping[str, int]) -> None:
    """Notes the versions of the registered model: MLflow run -> version."""
    for run, version in versions.items():
        conn.execute(update(forecast_sets).where(forecast_sets.c.mlflow_run_id == run).values(model_version=version))


def latest_before(conn: Connection, day: date) -> ForecastSet | None:
    """The newest set, published or not, that knew nothing of a day: its cutoff lies before it. Of equal cutoffs, the one published last.

    A withdrawn one is passed over, and so is a shadow: what was not to be served is not to be judged by.
    """
    c = forecast_sets.c
    order = (c.cutoff.desc(), c.published_at.is_(None), c.published_at.desc(), c.issued_at.desc(), c.id.desc())
    return _first(conn, select(forecast_sets).where(c.cutoff < day, c.withdrawn_at.is_(None), ~c.shadow).order_by(*order))


def as_of(conn: Connection, moment: datetime) -> About | None:
    """What is known about the set published last by a moment, and not withdrawn by then."""
    c = forecast_sets.c
    there = or_(c.withdrawn_at.is_(None), c.withdrawn_at > moment)
    return _one(conn, select(*_ABOUT).where(c.published_at <= moment, there).order_by(c.published_at.desc(), c.id.desc()))


@dataclass(frozen=True)
class Promise:
    """A set without its blobs: the days after `cutoff`, `horizon` of them, were told at the moment `told_at`.

    Attributes:
        away: spans from a rollback that withdrew it to the one that took that back, if there was one.
    """

    id: int
    cutoff: date
    horizon: int
    told_at: datetime
    away: tuple[tuple[datetime, datetime | None], ...] = ()

    def held(self, moment: datetime) -> bool:
        """Whether it had been told by a moment, and was not withdrawn then."""
        return self.told_at < moment and not any(start < moment and (back is None or back >= moment) for start, back in self.away)


def promises(conn: Connection) -> list[Promise]:
    """Every set that was ever published, the earliest cutoff first, of equal ones the one published last."""
    c = forecast_sets.c
    query = select(c.id, c.cutoff, c.horizon, c.published_at).where(c.published_at.is_not(None))
    away = _away(conn)
    return [Promise(*row, tuple(away.get(row.id, ()))) for row in conn.execute(query.order_by(c.cutoff, c.published_at.desc(), c.id.desc()))]


def _away(conn: Connection) -> dict[int, list[tuple[datetime, datetime | None]]]:
    """When which set was withdrawn by a rollback, see `Promise.away`; a set's own row has the last time alone."""
    spans: dict[int, list[tuple[datetime, datetime | None]]] = {}
    for entry in audit.of_action(conn, audit.ROLLBACK):
        back = spans.get(entry.detail["to"], [])
        if back and back[-1][1] is None:
            back[-1] = (back[-1][0], entry.at)
        for one in entry.detail["withdrawn"]:
            spans.setdefault(one, []).append((entry.at, None))
    return spans


def shadow_promises(conn: Connection) -> list[Promise]:
    """What the challenger would have promised, by its recipe of today: sets of another recipe are another challenger's. Ordered as `promises`."""
    newest = newest_shadow(conn)
    if newest is None:
        return []
    c = forecast_sets.c
    rows = conn.execute(select(c.id, c.cutoff, c.horizon, c.issued_at, c.recipe).where(c.shadow).order_by(c.cutoff, c.issued_at.desc(), c.id.desc()))
    return [Promise(*row[:4]) for row in rows if row.recipe == newest.recipe]


def drop_unpublished(conn: Connection, before: datetime) -> int:
    """Deletes the sets made before a moment that were never published and by which no day was judged and no alert raised; says how many."""
    c = forecast_sets.c
    named = [select(table.c.forecast_set_id).where(table.c.forecast_set_id == c.id).exists() for table in (published, day_scores, alerts)]
    return conn.execute(delete(forecast_sets).where(c.published_at.is_(None), c.issued_at < before, ~or_(*named))).rowcount


def _first(conn: Connection, query: Select[Any]) -> ForecastSet | None:
    row = conn.execute(query.limit(1)).one_or_none()
    return None if row is None else ForecastSet(**row._mapping)


def _one(conn: Connection, query: Select[Any]) -> About | None:
    row = conn.execute(query.limit(1)).one_or_none()
    return None if row is None else About(**row._mapping)
