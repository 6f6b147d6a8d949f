"""The registry's aliases follow what is served: after each night, and after a rollback as soon as MLflow can be reached."""

import logging

from sqlalchemy import Connection, Engine

from service.settings import Settings
from service.store import audit, engine, forecast_sets
from service.store.forecast_sets import About

ACTOR = "weisu"

log = logging.getLogger(__name__)


def follow(db: Engine, settings: Settings) -> bool:
    """Sets the aliases if they do not stand right by the audit log, and notes there that they do.

    Returns:
        whether they stand right now; not if MLflow cannot be reached or has not registered them all yet: the next watch tries again.
    """
    with engine.reading(db) as conn:
        wanted, last = _wanted(conn, settings), audit.newest(conn, audit.ALIASES)
    numbers = {alias: one.id if one else None for alias, one in wanted.items()}
    runs = {alias: one.mlflow_run_id if one else None for alias, one in wanted.items()}
    followed = {**numbers, "runs": runs}  # a set whose night waits in the spool gets its run, and so its alias, later
    if last is not None and last.detail == followed:
        return True
    from experiments import registry  # MLflow takes seconds to import, and mostly nothing has moved

    try:
        versions = registry.follow(settings.tracking_uri, runs)
    except registry.Unreachable as error:
        log.warning("aliases.unreachable", extra={"reason": str(error)})
        return False
    complete = set(versions) == {run for run in runs.values() if run}
    with engine.writing(db) as conn:
        forecast_sets.note_versions(conn, versions)
        if complete:
            audit.record(conn, settings.clock.now(), ACTOR, audit.ALIASES, registry.MODEL, followed)
    return complete


def _wanted(conn: Connection, settings: Settings) -> dict[str, About | None]:
    """Which set each alias of the registry stands for. The challenger is the one in shadow; where none is set, the candidate that was refused."""
    pointer = forecast_sets.pointer(conn)
    champion = None if pointer is None else forecast_sets.about(conn, pointer)
    previous = None if champion is None else forecast_sets.published_before(conn, champion)
    shadow = forecast_sets.newest_shadow(conn) if settings.challenger else None
    return {"champion": champion, "previous": previous, "challenger": shadow or forecast_sets.refused(conn)}
