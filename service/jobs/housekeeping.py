"""Once a day: a backup, and what nobody needs any longer goes. What is precious stays: tickets, counts, published forecasts, the ledger."""

import logging
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from forecasting import delay
from forecasting.errors import InputError
from service.settings import Settings
from service.store import backup, compaction, deliveries, engine, forecast_sets, retention, tickets, waiting_ingests

BACKUP = "weisu-*.backup"

log = logging.getLogger(__name__)


def run(db: Engine, settings: Settings) -> None:
    """Makes the day's backup if `backup_dir` is set, then drops what is old: backups, forecast sets that were never published, details of errors,
    deliveries of webhooks, rows of tickets that were set aside, and what was found of days beyond the history that is kept; changes of counts
    beyond it are put together.

    A backup that cannot be made keeps nothing old: where the disk is full, that is what makes room.

    Raises:
        InputError: the backup cannot be made; the rest is done.
        SQLAlchemyError: the database does not answer.
    """
    clock = settings.clock
    now = clock.now()
    old = now - timedelta(days=settings.keep_days)
    failed: InputError | None = None
    if settings.backup_dir:
        try:
            _back_up(db, settings, Path(settings.backup_dir))
        except InputError as error:
            failed = error
    files = _drop_files(settings.data_dir / "errors", old)
    with engine.reading(db) as conn:
        days = retention.days_before(conn, settings.history_from)
    for day in days:
        with engine.writing(db, batch=True) as conn:
            retention.forget(conn, day)
    compared = settings.horizon + delay.MOST  # days for which a challenger's set is compared with what comes, late tickets and all
    with engine.writing(db) as conn:
        dropped = forecast_sets.drop_unpublished(conn, now - timedelta(days=max(settings.keep_days, compared)))
        sent = deliveries.drop_finished(conn, old)
        aside = waiting_ingests.aside_before(conn, old)
    for ingest_id in aside:
        tickets.discard(db, ingest_id)
        with engine.writing(db) as conn:
            waiting_ingests.remove(conn, ingest_id)
    compacted = compaction.run(db, clock.end_of(settings.history_from - timedelta(days=1)))
    told = {"forecast_sets": dropped, "deliveries": sent, "files": files, "days": len(days), "set_aside": len(aside)}
    log.info("housekeeping.done", extra=told | {"days_compacted": compacted.days, "changes": compacted.changes})
    if failed is not None:
        raise failed


def _back_up(db: Engine, settings: Settings, folder: Path) -> None:
    """Makes the day's backup; when it is whole, the oldest ones go."""
    backup.backup(db, folder / f"weisu-{settings.clock.local_now():%Y%m%dT%H%M}.backup")
    for path in sorted(folder.glob(BACKUP))[: -settings.keep_backups]:
        path.unlink(missing_ok=True)


def _drop_files(folder: Path, before: datetime) -> int:
    """Deletes what was last changed before a moment; says how many."""
    found = [path for path in folder.glob("*") if path.is_file() and path.stat().st_mtime < before.timestamp()]
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)
