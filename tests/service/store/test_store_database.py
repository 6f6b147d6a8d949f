import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import StatementError

from forecasting.errors import InputError
from service.store import ingests
from service.store.engine import MIGRATIONS, newest, open_engine, reading, require_current, upgrade, writing
from service.store.schema import metadata

NOW = datetime(2025, 1, 2, tzinfo=UTC)


def test_migrating_from_nothing_gives_exactly_the_tables_of_the_schema(engine: Engine) -> None:
    with reading(engine) as conn:
        assert compare_metadata(MigrationContext.configure(conn, opts={"compare_type": True, "compare_server_default": True}), metadata) == []
        assert set(inspect(conn).get_table_names()) == set(metadata.tables) | {"alembic_version"}


def test_the_newest_revision_is_told_without_alembic_as_alembic_tells_it() -> None:
    assert newest() == ScriptDirectory(str(MIGRATIONS)).get_current_head()


def test_migrating_makes_the_keys_that_the_schema_asks_for(engine: Engine) -> None:
    with reading(engine) as conn:
        for table in metadata.tables.values():
            assert inspect(conn).get_pk_constraint(table.name)["constrained_columns"] == [column.name for column in table.primary_key]


def test_sqlite_has_the_tables_without_rowid_that_the_schema_asks_for(folder: Path) -> None:
    url = f"sqlite:///{folder / 'weisu.db'}"
    upgrade(url)
    engine = open_engine(url)
    with reading(engine) as conn:
        for table in metadata.tables.values():
            sql = conn.execute(text("select sql from sqlite_master where name = :name"), {"name": table.name}).scalar_one()
            assert ("WITHOUT ROWID" in sql) == (not table.dialect_options["sqlite"]["with_rowid"])
    engine.dispose()


def test_upgrading_makes_the_folder_and_a_second_time_changes_nothing(folder: Path) -> None:
    url = f"sqlite:///{folder / 'new folder 100%' / 'weisu.db'}"
    upgrade(url)
    engine = open_engine(url)
    with writing(engine) as conn:
        ingests.begin(conn, "tickets", "a.csv", NOW)
    upgrade(url)
    require_current(engine)
    with reading(engine) as conn:
        assert len(ingests.list_recent(conn)) == 1
    engine.dispose()


def test_opening_a_missing_database_says_what_to_do_and_makes_no_file(folder: Path) -> None:
    engine = open_engine(f"sqlite:///{folder / 'weisu.db'}")
    with pytest.raises(InputError, match="no database; run `weisu db upgrade`"):
        require_current(engine)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("version", "says"), [(None, "run `weisu db upgrade`"), ("9999", "newer version")])
def test_a_database_of_another_version_is_refused(engine: Engine, version: str | None, says: str) -> None:
    with writing(engine) as conn:
        conn.execute(text("delete from alembic_version"))
        if version:
            conn.execute(text("insert into alembic_version values (:version)"), {"version": version})
    with pytest.raises(InputError, match=says):
        require_current(engine)


def test_a_folder_that_cannot_be_written_is_bad_input(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        upgrade(f"sqlite:///{folder / 'file' / 'weisu.db'}")


def test_a_database_in_memory_is_refused() -> None:
    with pytest.raises(InputError, match="in memory"):
        open_engine("sqlite://")


def test_a_connection_to_sqlite_has_the_pragmas_that_keep_data_safe(folder: Path) -> None:
    url = f"sqlite:///{folder / 'weisu.db'}"
    upgrade(url)
    engine = open_engine(url)
    wanted = {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 5000, "foreign_keys": 1}
    with reading(engine) as conn:
        assert {name: conn.exec_driver_sql(f"pragma {name}").scalar() for name in wanted} == wanted
    with writing(engine, batch=True) as conn:
        assert conn.exec_driver_sql("pragma synchronous").scalar() == 1
    with writing(engine) as conn:
        assert {name: conn.exec_driver_sql(f"pragma {name}").scalar() for name in wanted} == wanted
    engine.dispose()


def _begin_and_raise(engine: Engine) -> None:
    with writing(engine) as conn:
        ingests.begin(conn, "tickets", "a.csv", NOW)
        raise RuntimeError


def test_a_block_that_raises_leaves_nothing_behind(engine: Engine) -> None:
    with pytest.raises(RuntimeError):
        _begin_and_raise(engine)
    with reading(engine) as conn:
        assert ingests.list_recent(conn) == []


@pytest.mark.parametrize("apart", [False, True])
def test_a_reader_sees_one_moment_while_a_writer_goes_on(engine: Engine, apart: bool) -> None:
    with reading(engine, apart) as before:
        assert ingests.list_recent(before) == []
        with writing(engine) as conn:
            ingests.begin(conn, "tickets", "a.csv", NOW)
        assert ingests.list_recent(before) == []
    with reading(engine) as after:
        assert len(ingests.list_recent(after)) == 1


def test_writers_wait_for_each_other_from_the_first_statement(engine: Engine) -> None:
    seen: list[int] = []
    started = threading.Barrier(4)

    def write() -> None:
        started.wait()
        with writing(engine) as conn:
            count = len(ingests.list_recent(conn, limit=100))  # reads first: with a lock taken later, this would be stale
            seen.append(count)
            ingests.begin(conn, "tickets", "a.csv", NOW)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [0, 1, 2, 3]


def test_moments_come_back_as_they_went_in(engine: Engine) -> None:
    moment = datetime(2011, 8, 28, 23, 59, 59, 999_999, tzinfo=UTC)
    with writing(engine) as conn:
        ingest = ingests.begin(conn, "tickets", "a.csv", moment)
        assert ingests.get(conn, ingest).started_at == moment
        with pytest.raises(StatementError, match="time zone"):
            ingests.begin(conn, "tickets", "a.csv", moment.replace(tzinfo=None))


def test_the_file_is_an_ordinary_sqlite_database(folder: Path) -> None:
    upgrade(f"sqlite:///{folder / 'weisu.db'}")
    with sqlite3.connect(folder / "weisu.db") as plain:
        assert plain.execute("pragma integrity_check").fetchone() == ("ok",)
    plain.close()
