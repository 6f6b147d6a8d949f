"""Once a day: a backup, and what nobody needs any longer goes. What is precious stays: tickets, published forecasts, the ledger."""

import logging
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from service.settings import Settings
from service.store import backup, deliveries, engine, forecast_sets

BACKUP = "weisu-*.backup"

log = logging.getLogger(__name__)


def run(db: Engine, settings: Settings) -> None:
    """Makes the day's backup if `backup_dir` is set, and drops what is old: backups, forecast sets that were never published, deliveries of
    webhooks, details of errors.

    Raises:
        InputError: the backup cannot be made.
        SQLAlchemyError: the database does not answer.
    """
    now = settings.clock.now()
    old = now - timedelta(days=settings.keep_days)
    if settings.backup_dir:
        folder = Path(settings.backup_dir)
        backup.backup(db, folder / f"weisu-{settings.clock.local_now():%Y%m%dT%H%M}.backup")
        for path in sorted(folder.glob(BACKUP))[: -settings.keep_backups]:
            path.unlink(missing_ok=True)
    with engine.writing(db) as conn:
        dropped = forecast_sets.drop_unpublished(conn, old)
        sent = deliveries.drop_finished(conn, old)
    files = _drop_files(settings.data_dir / "errors", old)
    log.info("housekeeping.done", extra={"forecast_sets": dropped, "deliveries": sent, "files": files})


def _drop_files(folder: Path, before: datetime) -> int:
    """Deletes what was last changed before a moment; says how many."""
    found = [path for path in folder.glob("*") if path.is_file() and path.stat().st_mtime < before.timestamp()]
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)
