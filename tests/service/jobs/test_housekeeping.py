"""Housekeeping: a backup a day, what is old and of no use goes, what is precious stays."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from forecasting.errors import InputError
from service.jobs import housekeeping
from service.settings import Settings
from service.store import forecast_sets, runs
from service.store.engine import reading, writing
from service.store.schema import day_scores, metadata

NOW = datetime(2025, 11, 9, 20, tzinfo=UTC)


def settings_of(folder: Path, now: datetime = NOW, **changes: Any) -> Settings:
    return Settings(data_dir=folder, as_of=now.isoformat(), **changes)


def test_only_old_sets_that_were_never_published_and_judged_nothing_go(engine: Engine, folder: Path) -> None:
    def row(days_ago: int) -> dict[str, Any]:
        moment = NOW - timedelta(days=days_ago)
        return {"run_id": run, "mlflow_run_id": None, "cutoff": moment.date(), "horizon": 1, "issued_at": moment, "rows": 1, "blob": b"x"}

    with writing(engine) as conn:
        run = runs.start(conn, NOW.date(), "test", NOW, timedelta(hours=1))
        runs.succeed(conn, run, NOW)
        published = forecast_sets.publish(conn, **row(100))
        current = forecast_sets.publish(conn, **row(99))
        judged, useless, fresh = (forecast_sets.add(conn, **row(days)) for days in (100, 91, 89))
        score = {"area": "ALL", "category": "ALL", "observed": 1, "expected": 1.0, "p_value": 0.5, "pit": 0.5}
        conn.execute(day_scores.insert().values(day=NOW.date(), forecast_set_id=judged, **score))
    housekeeping.run(engine, settings_of(folder))
    with reading(engine) as conn:
        kept = set(conn.execute(select(metadata.tables["forecast_sets"].c.id)).scalars())
        assert forecast_sets.pointer(conn) == current
    assert kept == {published, current, judged, fresh}
    assert useless not in kept


def test_details_of_old_errors_go(engine: Engine, folder: Path) -> None:
    (folder / "errors").mkdir()
    for name, days in (("old", 91), ("young", 89)):
        (folder / "errors" / name).write_text("Traceback")
        moment = (NOW - timedelta(days=days)).timestamp()
        os.utime(folder / "errors" / name, (moment, moment))
    housekeeping.run(engine, settings_of(folder))
    assert [path.name for path in (folder / "errors").iterdir()] == ["young"]


def test_the_newest_backups_are_kept_and_other_files_left_alone(engine: Engine, folder: Path) -> None:
    (folder / "backups").mkdir()
    (folder / "backups" / "mine.txt").write_text("mine")
    for day in range(4):
        housekeeping.run(engine, settings_of(folder, NOW + timedelta(days=day), backup_dir=str(folder / "backups"), keep_backups=2))
    assert sorted(path.name for path in (folder / "backups").iterdir()) == ["mine.txt", "weisu-20251112T0400.backup", "weisu-20251113T0400.backup"]


def test_without_a_folder_there_is_no_backup(engine: Engine, folder: Path) -> None:
    housekeeping.run(engine, settings_of(folder))
    assert list(folder.rglob("*.backup")) == []


def test_a_backup_that_fails_is_said(engine: Engine, folder: Path) -> None:
    (folder / "file").write_text("in the way")
    with pytest.raises(InputError, match="backup"):
        housekeeping.run(engine, settings_of(folder, backup_dir=str(folder / "file" / "below")))
