"""Housekeeping: a backup a day, what is old and of no use goes, what is precious stays."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, select

from forecasting.drift import Drift
from forecasting.errors import InputError
from forecasting.promised import SUMS
from service.jobs import housekeeping
from service.settings import Settings
from service.store import compaction, drift, forecast_sets, ingests, promised, runs, waiting_ingests
from service.store.engine import reading, writing
from service.store.schema import day_scores, metadata

NOW = datetime(2025, 11, 9, 20, tzinfo=UTC)
OF_DAYS = ("day_scores", "input_drift", "promised_days", "promised_sums", "shadow_days", "shadow_sums")


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


def test_a_challenger_s_set_stays_until_its_last_day_is_compared(engine: Engine, folder: Path) -> None:
    with writing(engine) as conn:
        run = runs.start(conn, NOW.date(), "test", NOW, timedelta(hours=1))
        runs.succeed(conn, run, NOW)
        kept = []
        for days in (43, 41):
            moment = NOW - timedelta(days=days)
            row = {"run_id": run, "mlflow_run_id": None, "cutoff": moment.date(), "horizon": 28, "issued_at": moment, "rows": 1, "blob": b"x"}
            kept.append(forecast_sets.add(conn, **row, shadow=True))
    housekeeping.run(engine, settings_of(folder, keep_days=7))
    with reading(engine) as conn:
        assert [one.id for one in forecast_sets.list_sets(conn)] == kept[1:], "28 days ahead, and 14 in which late tickets come"


def test_rows_that_were_set_aside_go_after_their_time(engine: Engine, folder: Path) -> None:
    staged, waiting = metadata.tables["staged_tickets"], metadata.tables["waiting_ingests"]
    created = datetime(2025, 6, 1, tzinfo=UTC)
    row = {"line": 1, "ticket_id": "a", "source": "s", "area": "D", "category": "X", "created_at": created, "received_at": created}
    row |= {"day": created.date(), "hour": created}
    with writing(engine) as conn:
        for days in (91, 89, None):
            one = ingests.begin(conn, "tickets", "body", NOW - timedelta(days=100))
            waiting_ingests.add(conn, waiting_ingests.Waiting(one, None, by_index=False))
            conn.execute(staged.insert().values({**row, "ingest_id": one}))
            if days is not None:
                ingests.finish(conn, one, NOW - timedelta(days=days), ingests.FAILED)
                waiting_ingests.set_aside(conn, one)
    housekeeping.run(engine, settings_of(folder))
    with reading(engine) as conn:
        assert [set(conn.execute(select(table.c.ingest_id)).scalars()) for table in (staged, waiting)] == [{2, 3}, {2, 3}]


def days_of(engine: Engine) -> dict[str, set[date]]:
    """The days that are left in each table."""
    with reading(engine) as conn:
        return {name: set(conn.execute(select(metadata.tables[name].c.day)).scalars()) for name in OF_DAYS}


def test_what_was_found_of_days_beyond_the_history_is_forgotten_and_that_of_the_others_stays(engine: Engine, folder: Path) -> None:
    old, first = NOW.date() - timedelta(days=101), NOW.date() - timedelta(days=100)  # in Shanghai it is the tenth already
    frame = pd.DataFrame([("city", 1, "ALL", "ALL", *range(len(SUMS)))], columns=["level", "horizon", "area", "category", *SUMS])
    score = {"area": "ALL", "category": "ALL", "observed": 1, "expected": 1.0, "p_value": 0.5, "pit": 0.5}
    with writing(engine) as conn:
        run = runs.start(conn, NOW.date(), "test", NOW, timedelta(hours=1))
        row = {"run_id": run, "mlflow_run_id": None, "cutoff": old, "horizon": 28, "rows": 1, "blob": b"x"}
        made = forecast_sets.publish(conn, **row, issued_at=NOW - timedelta(days=101))
        for day in (old - timedelta(days=300), old, first, NOW.date()):
            for of in (promised.PUBLISHED, promised.CHALLENGER):
                promised.put(conn, day, 1, 1, frame, NOW, of)
            conn.execute(day_scores.insert().values(day=day, forecast_set_id=made, **score))
            drift.put(conn, day, {"category": Drift(0.1, 0.01, 100, ())})
    housekeeping.run(engine, settings_of(folder, keep_history_days=100))
    assert days_of(engine) == {name: {first, NOW.date()} for name in OF_DAYS}
    with reading(engine) as conn:
        assert forecast_sets.pointer(conn) == made


def test_changes_of_counts_beyond_the_history_are_put_together(engine: Engine, folder: Path) -> None:
    settings = settings_of(folder, keep_history_days=100)
    horizon = settings.clock.end_of(settings.history_from - timedelta(days=1))
    housekeeping.run(engine, settings)
    with reading(engine) as conn:
        assert compaction.known_since(conn) == horizon
        compaction.require_known(conn, horizon)


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


def test_a_backup_that_fails_is_said_and_what_is_old_goes_all_the_same(engine: Engine, folder: Path) -> None:
    (folder / "file").write_text("in the way")
    (folder / "errors").mkdir()
    (folder / "errors" / "old").write_text("Traceback")
    moment = (NOW - timedelta(days=91)).timestamp()
    os.utime(folder / "errors" / "old", (moment, moment))
    settings = settings_of(folder, backup_dir=str(folder / "file" / "below"))
    with pytest.raises(InputError, match="backup"):
        housekeeping.run(engine, settings)
    assert list((folder / "errors").iterdir()) == []
    with reading(engine) as conn:
        assert compaction.known_since(conn) == settings.clock.end_of(settings.history_from - timedelta(days=1))
