"""The whole database in one file, and back."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from forecasting.errors import InputError
from service.store import ingests, keys
from service.store.backup import backup, restore
from service.store.engine import reading, require_current, writing
from service.store.schema import metadata

NOW = datetime(2025, 11, 9, tzinfo=UTC)


def bring(engine: Engine, *names: str) -> None:
    with writing(engine) as conn:
        for name in names:
            ingests.finish(conn, ingests.begin(conn, "tickets", name, NOW), NOW + timedelta(seconds=1))


def everything(engine: Engine) -> dict[str, list[Any]]:
    with reading(engine) as conn:
        return {name: sorted(map(str, conn.execute(select(table)))) for name, table in metadata.tables.items()}


def test_what_was_backed_up_comes_back_and_goes_on(new_engine: Callable[[], Engine], folder: Path) -> None:
    source, target = new_engine(), new_engine()
    bring(source, "a.csv", "b.csv")
    with writing(source) as conn:
        keys.create(conn, "值班长", ("admin",), None, NOW, secret=b"test")
    before = everything(source)
    backup(source, folder / "new" / "one.backup")
    bring(source, "later.csv")
    assert list((folder / "new").iterdir()) == [folder / "new" / "one.backup"]
    restore(target, folder / "new" / "one.backup")
    target.dispose()
    require_current(target)
    assert everything(target) == before
    bring(target, "c.csv")  # numbers go on where they were
    assert everything(target)["ingests"] != before["ingests"]


def test_a_backup_is_of_one_moment_while_others_write(engine: Engine, new_engine: Callable[[], Engine], folder: Path) -> None:
    """Each writer's transaction adds two ingests: an odd number would be half of one."""
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            bring(engine, "one", "other")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            backup(engine, folder / f"{number}.backup")
    finally:
        done.set()
        writer.join()
    for number in range(3):
        copy = new_engine()
        restore(copy, folder / f"{number}.backup")
        copy.dispose()
        with reading(copy) as conn:
            assert conn.execute(select(func.count()).select_from(metadata.tables["ingests"])).scalar_one() % 2 == 0


def test_a_database_that_holds_something_is_replaced_only_by_force(new_engine: Callable[[], Engine], folder: Path) -> None:
    source, target = new_engine(), new_engine()
    bring(source, "a.csv")
    bring(target, "precious.csv")
    backup(source, folder / "one.backup")
    before = everything(target)
    with pytest.raises(InputError, match="holds something already; replace it with --force"):
        restore(target, folder / "one.backup")
    assert everything(target) == before
    restore(target, folder / "one.backup", force=True)
    target.dispose()
    assert everything(target) == everything(source)


def test_what_is_no_whole_backup_changes_nothing(engine: Engine, new_engine: Callable[[], Engine], folder: Path) -> None:
    bring(engine, *(f"{number}.csv" for number in range(2000)))
    target = new_engine()
    before = everything(target)
    backup(engine, folder / "one.backup")
    whole = (folder / "one.backup").read_bytes()
    for content in (b"", b"hello", whole[: len(whole) // 2]):
        (folder / "broken.backup").write_bytes(content)
        with pytest.raises(InputError):
            restore(target, folder / "broken.backup")
        target.dispose()
        assert everything(target) == before


def test_a_backup_that_cannot_be_written_leaves_the_older_one(engine: Engine, folder: Path) -> None:
    (folder / "file").write_text("in the way")
    with pytest.raises(InputError):
        backup(engine, folder / "file" / "one.backup")
    backup(engine, folder / "one.backup")
    older = (folder / "one.backup").read_bytes()
    (folder / "one.backup.part").mkdir()
    with pytest.raises(InputError):
        backup(engine, folder / "one.backup")
    assert (folder / "one.backup").read_bytes() == older
