"""Going back to an earlier forecast set: the pointer and its entry in the audit log, in one transaction, without MLflow."""

import re
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection

from forecasting.errors import InputError
from service.store import audit, forecast_sets
from service.store.forecast_sets import About

_VERSION = re.compile(r"v([1-9][0-9]{0,8})")  # of the registered model; nothing else has so many digits
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")


class NoWayBack(InputError):
    """The request is well formed, but as things stand there is nothing to go back to, or nothing to do."""


@dataclass(frozen=True)
class RolledBack:
    """What was published before, what is published now, and which sets are withdrawn for it."""

    before: About
    now: About
    withdrawn: list[int]


def roll_back(conn: Connection, to: str | None, today: date, now: datetime, actor: str) -> RolledBack:
    """Publishes an earlier set again and withdraws those published after it.

    Args:
        to: the number of a set, or `v` and the version of the registered model; None: the set published before the present one. Naming a set
            that is withdrawn takes that back, and naming one that the gate refused overrules the gate: a person has looked.
        today: the running day, which the set must forecast.
        actor: who asks.

    Raises:
        InputError: there is no such set.
        NoWayBack: nothing is published or was published before, the set is published already, a challenger's, or forecasts today no more, or
            this rollback would repeat another one.
    """
    pointer = forecast_sets.pointer(conn)
    before = None if pointer is None else forecast_sets.about(conn, pointer)
    if before is None:
        raise NoWayBack("no forecast set is published", "rollback", "run `weisu train`")
    target = _previous(conn, before) if to is None else _named(conn, to)
    if target.id == before.id:
        raise NoWayBack(f"forecast set {target.id} is published already", "to", "name another one: see GET /v1/models")
    if target.shadow:
        raise NoWayBack(f"forecast set {target.id} is the challenger's, made in shadow", "to", "make its recipe the candidate: see WEISU_RECIPE")
    if target.published_at is None and not target.refused:
        what = f"forecast set {target.id} was made to judge the days of the first week, and holds no weeks and no hours"
        raise NoWayBack(what, "to", "name one that was published: see GET /v1/models")
    if not target.covers(today):
        what = f"forecast set {target.id} knows nothing after {target.cutoff} and forecasts {target.horizon} days: {today} is none of them"
        raise NoWayBack(what, "to", "name a newer one, see GET /v1/models, or run `weisu train --force`")
    withdrawn = forecast_sets.go_back(conn, target, now)
    detail = {"from": before.id, "to": target.id, "withdrawn": withdrawn, "overruled_the_gate": target.refused}
    audit.record(conn, now, actor, audit.ROLLBACK, f"forecast set {target.id}", detail)
    return RolledBack(before, target, withdrawn)


def _previous(conn: Connection, present: About) -> About:
    last = audit.newest(conn, audit.ROLLBACK)
    if last is not None and last.detail["to"] == present.id:
        what = f"forecast set {present.id} is there by the rollback that {last.actor} made at {last.at:%Y-%m-%dT%H:%M:%SZ}"
        raise NoWayBack(what, "rollback", "name the set to go back further: see GET /v1/models")
    found = forecast_sets.published_before(conn, present)
    if found is None:
        raise NoWayBack(f"no forecast set was published before set {present.id}", "rollback", "there is only this one: run `weisu train --force`")
    return found


def _named(conn: Connection, to: str) -> About:
    if version := _VERSION.fullmatch(to):
        found = forecast_sets.of_version(conn, int(version[1]))
        if found is None:
            raise InputError(f"no forecast set is known to be of version {version[1]}", "to", "name the number of a set: see GET /v1/models")
        return found
    found = forecast_sets.about(conn, int(to)) if _NUMBER.fullmatch(to) else None
    if found is None:
        raise InputError(f"there is no forecast set '{to[:40]}'", "to", "name one by its number or as v7, its version: see GET /v1/models")
    return found
