"""Silences: for a while, alerts of a place and topic are marked as no news to anybody; they go on living all the same."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, and_, false, func, insert, not_, or_, select, update

from forecasting.detection.levels import LEVELS
from forecasting.errors import InputError
from service.store.schema import alerts, silences

if TYPE_CHECKING:
    from service.store.alerts import Alert

LONGEST = timedelta(days=30)  # road works of a season are looked at anew every month; what is forgotten does not hide a city for ever
DEMAND = ("SEASONAL", "SPIKE", "EMERGING", "FIRST_SEEN")  # kinds that a silence without a kind covers

State = Literal["pending", "active", "expired"]


@dataclass(frozen=True)
class Matchers:
    """Which alerts a silence covers.

    Attributes:
        area, category: nodes; what lies below them is covered too. ALL: everything.
        kind: None: every kind of demand alert. Notes on the DATA are covered only where they are named: who wants no news of heating still
            has to hear that a district is silent because its data are missing.
        level: alerts up to this level. Red ones on categories of safety are never covered.
    """

    area: str
    category: str
    kind: str | None
    level: str


@dataclass(frozen=True)
class Silence:
    """One row.

    Attributes:
        author: name of the key that made it.
        ended_at, ended_by: somebody ended it before `ends_at`.
        lifted: it is over, and the alerts that it covered were told.
    """

    id: int
    matchers: Matchers
    author: str
    comment: str
    created_at: datetime
    starts_at: datetime
    ends_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    lifted: bool = False

    @property
    def over_at(self) -> datetime:
        """When it is over."""
        return self.ends_at if self.ended_at is None else self.ended_at

    def held(self, moment: datetime) -> bool:
        """Whether it held at a moment."""
        return self.starts_at <= moment < self.over_at

    def state(self, now: datetime) -> State:
        """Whether it is still to come, holds, or is over."""
        if self.ended_at is not None or self.ends_at <= now:
            return "expired"
        return "active" if self.starts_at <= now else "pending"


@dataclass(frozen=True)
class Cover:
    """What a silence covers, spelt out by the trees of the moment.

    Attributes:
        areas, categories: codes; None: all.
        safety: codes of the categories whose red alerts it does not cover.
    """

    silence_id: int
    areas: frozenset[str] | None
    categories: frozenset[str] | None
    kinds: Sequence[str]
    levels: Sequence[str]
    safety: frozenset[str]

    def covers(self, alert: "Alert") -> bool:
        """Whether it covers an alert."""
        spared = alert.level == LEVELS[-1] and alert.category in self.safety
        there = (self.areas is None or alert.area in self.areas) and (self.categories is None or alert.category in self.categories)
        return there and alert.kind in self.kinds and alert.level in self.levels and not spared

    def condition(self) -> Any:
        """The same, on the table of alerts."""
        c = alerts.c
        there = [column.in_(codes) for column, codes in ((c.area, self.areas), (c.category, self.categories)) if codes is not None]
        spared = and_(c.level == LEVELS[-1], c.category.in_(self.safety))
        return and_(*there, c.kind.in_(self.kinds), c.level.in_(self.levels), not_(spared))


def covered(covers: Collection[Cover]) -> Any:
    """Whether one of some silences covers an alert, as a condition on the table."""
    return or_(false(), *(cover.condition() for cover in covers))


def create(
    conn: Connection, matchers: Matchers, author: str, comment: str, starts_at: datetime | None, ends_at: datetime, now: datetime
) -> tuple[Silence, bool]:
    """Makes a silence, or finds the same one of the same author that is not over: a request may be sent again.

    Args:
        starts_at: None: now.
    Returns:
        The silence, and whether it is new.

    Raises:
        InputError: it would be over already, end before it starts, or last longer than `LONGEST`.
    """
    begins = starts_at or now
    if ends_at <= now:
        raise InputError("the silence would be over already", "ends", "name a later moment")
    if ends_at <= begins:
        raise InputError("the silence would end before it starts", "ends", "let it end after 'starts'")
    if max(ends_at - begins, begins - now) > LONGEST:
        raise InputError(f"a silence starts within {LONGEST.days} days and lasts {LONGEST.days} days at most", "ends", "make a shorter one")
    c = silences.c
    given = {**vars(matchers), "author": author, "comment": comment, "ends_at": ends_at}
    same = [c.kind.is_(None) if name == "kind" and value is None else c[name] == value for name, value in given.items()]
    since = c.starts_at <= now if starts_at is None else c.starts_at == starts_at
    there = conn.execute(select(silences).where(*same, since, c.ended_at.is_(None)).order_by(c.id)).first()
    if there is not None:
        return _silence(there), False
    made = conn.execute(insert(silences).values(**given, created_at=now, starts_at=begins).returning(silences)).one()
    return _silence(made), True


def end(conn: Connection, silence_id: int, by: str, now: datetime) -> bool:
    """Ends a silence that is not over; False, and nothing is changed, if it is or there is none."""
    c = silences.c
    ended = conn.execute(update(silences).where(c.id == silence_id, c.ended_at.is_(None), c.ends_at > now).values(ended_at=now, ended_by=by))
    return ended.rowcount == 1


def get(conn: Connection, silence_id: int) -> Silence | None:
    """One silence, or None."""
    row = conn.execute(select(silences).where(silences.c.id == silence_id)).one_or_none()
    return None if row is None else _silence(row)


def active(conn: Connection, now: datetime) -> list[Silence]:
    """The silences that hold, oldest first."""
    return [_silence(row) for row in conn.execute(select(silences).where(_is("active", now)).order_by(silences.c.id))]


def between(conn: Connection, first: datetime, last: datetime) -> list[Silence]:
    """The silences that held at some moment of a span, oldest first."""
    c = silences.c
    return [_silence(row) for row in conn.execute(select(silences).where(c.starts_at <= last, _over_at() >= first).order_by(c.id))]


def to_lift(conn: Connection, now: datetime) -> list[Silence]:
    """The silences that are over and not lifted yet, oldest first."""
    c = silences.c
    return [_silence(row) for row in conn.execute(select(silences).where(c.lifted.is_(False), _is("expired", now)).order_by(c.id))]


def lift(conn: Connection, silence_id: int) -> None:
    """Notes that the alerts that a silence covered were told."""
    conn.execute(update(silences).where(silences.c.id == silence_id).values(lifted=True))


def list_silences(
    conn: Connection, now: datetime, states: Collection[State], areas: Collection[str] | None, limit: int, before: int | None = None
) -> list[Silence]:
    """Silences in some states, the newest first.

    Args:
        areas: only those on these nodes; None: all.
        before: only those with a lower number.
    """
    c = silences.c
    query = select(silences).where(or_(false(), *(_is(state, now) for state in states)))
    if areas is not None:
        query = query.where(c.area.in_(areas))
    if before is not None:
        query = query.where(c.id < before)
    return [_silence(row) for row in conn.execute(query.order_by(c.id.desc()).limit(limit))]


def _over_at() -> Any:
    return func.coalesce(silences.c.ended_at, silences.c.ends_at)


def _is(state: State, now: datetime) -> Any:
    c = silences.c
    if state == "expired":
        return or_(c.ended_at.is_not(None), c.ends_at <= now)
    return and_(c.ended_at.is_(None), c.ends_at > now, c.starts_at <= now if state == "active" else c.starts_at > now)


def _silence(row: Any) -> Silence:
    told = dict(row._mapping)
    return Silence(matchers=Matchers(*(told.pop(name) for name in ("area", "category", "kind", "level"))), **told)
