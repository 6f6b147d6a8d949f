"""Leases of ingests: one whose process lives is taken by nobody, one whose process died is taken up soon, and who comes back finds it gone."""

import functools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from databases import Databases
from sqlalchemy import Engine, func, select, update

from service.clock import Clock, parse_as_of
from service.intake import files, work
from service.intake import ingest as intake
from service.intake.ingest import STALE_AFTER, ingest, recover
from service.intake.work import TakenOver
from service.store import counts, drivers, ingests, waiting_ingests
from service.store import tickets as tickets_store
from service.store.engine import open_engine, reading, upgrade, writing
from service.store.schema import ingests as ledger
from service.store.schema import staged_tickets

ZONE = ZoneInfo("Asia/Shanghai")
CLOCK = Clock(ZONE, parse_as_of("2024-02-01T12:00", ZONE))
LATER = Clock(ZONE, CLOCK.now() + timedelta(days=1))

DAYS = pd.Series(pd.date_range("2024-01-01", periods=6))
TICKETS = pd.DataFrame({"ticket_id": [f"t{n}" for n in range(6)], "created_at": DAYS, "district": "D", "category": "X"})
TABLES = {
    "tickets": pd.concat([TICKETS, TICKETS[:1]]),
    "counts": pd.DataFrame({"district": "D", "category": "X", "date": DAYS, "count": 1}),
    "drivers": pd.DataFrame({"name": "rain", "date": DAYS, "value": 1.5}),
}


@pytest.fixture(autouse=True)
def in_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows a transaction."""
    monkeypatch.setattr(files, "PARQUET_ROWS", 2)
    monkeypatch.setattr(intake, "BASELINE_ROWS", 2)
    monkeypatch.setattr(tickets_store, "apply", functools.partial(tickets_store.apply, batch=2))


def table(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.parquet"
    TABLES[kind].to_parquet(path)
    return path


def stored(engine: Engine) -> int:
    """What is counted, and rows of drivers."""
    with reading(engine) as conn:
        return int(counts.daily(conn)["count"].sum()) + len(drivers.frame(conn))


def staged(engine: Engine) -> int:
    with reading(engine) as conn:
        return int(conn.execute(select(func.count()).select_from(staged_tickets)).scalar_one())


def newest(engine: Engine) -> ingests.Ingest:
    with reading(engine) as conn:
        return ingests.list_recent(conn)[0]


def leases_over(engine: Engine) -> None:
    """No process renews any for so long that they run out."""
    with writing(engine) as conn:
        conn.execute(update(ledger).where(ledger.c.lease_until.is_not(None)).values(lease_until=datetime.now(UTC) - timedelta(seconds=1)))


class Steps:
    """Does something at one of the steps in which an ingest tells how far it has come, once."""

    def __init__(self, at: int, does: Callable[[], Any]) -> None:
        self.at, self.does, self.told, self.found = at, does, 0, []  # type: int, Callable[[], Any], int, list[Any]

    def __call__(self, done: int, total: int | None) -> None:
        self.told += 1
        if self.told == self.at:
            self.found.append(self.does())


# The first step of each comes while it is read; tickets tell of seven rows in four steps, counts and drivers of six in three.
STEPS = [("tickets", 1), ("tickets", 3), ("tickets", 5), ("tickets", 6), ("counts", 1), ("counts", 5), ("drivers", 2)]


@pytest.mark.parametrize(("kind", "step"), STEPS)
def test_a_file_that_takes_longer_than_an_hour_is_left_to_the_process_that_lives(engine: Engine, folder: Path, kind: str, step: int) -> None:
    steps = Steps(step, lambda: recover(engine, LATER))
    report = ingest(engine, table(folder, kind), CLOCK, steps)
    assert steps.found == [[]]
    assert (report.added, stored(engine), staged(engine), newest(engine).status) == (6, 6, 0, ingests.DONE)


def test_work_that_takes_longer_than_its_lease_keeps_it(engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "LEASE", timedelta(seconds=2))

    def slow() -> list[int]:
        sleep(4)
        return recover(engine, CLOCK)

    for step in (1, 5):  # while it is read, and while it is applied
        steps = Steps(step, slow)
        ingest(engine, table(folder, "tickets"), CLOCK, steps)
        assert steps.found == [[]]
        assert newest(engine).status == ingests.DONE
    assert stored(engine) == 6


@pytest.mark.parametrize(("kind", "step"), STEPS)
def test_a_process_that_stood_still_for_longer_than_its_lease_ends_with_one_error(engine: Engine, folder: Path, kind: str, step: int) -> None:
    def stands_still() -> list[int]:
        leases_over(engine)
        return recover(engine, CLOCK)

    steps = Steps(step, stands_still)
    path = table(folder, kind)
    with pytest.raises(
        TakenOver, match=rf"^{kind}.parquet: ingest 1 was taken from this process, which had .*; load it again: nothing is counted twice$"
    ):
        ingest(engine, path, CLOCK, steps)
    assert steps.found == [[1]]
    left = newest(engine)
    assert (staged(engine), left.lease_until) == (0, None)
    if kind == "tickets" and step > 4:  # it was whole: whoever took it has finished it
        assert (left.status, left.totals, stored(engine)) == (ingests.DONE, ingests.Totals(added=6, unchanged=1), 6)
    else:
        assert (left.status, left.note) == (ingests.FAILED, "its process died")
        assert stored(engine) == (4 if kind == "counts" and step > 3 else 0)  # the days that were stored before
    with reading(engine) as conn:
        assert waiting_ingests.standing(conn).waiting == 0

    again = ingest(engine, path, CLOCK)
    assert (stored(engine), staged(engine), again.added + again.unchanged) == (6, 0, len(TABLES[kind]))


def test_repeats_that_somebody_else_has_found_meanwhile_are_not_counted_twice(engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep, taken = tickets_store._keep_last, list[list[int]]()

    def stands_still(engine: Engine, *more: Any) -> None:
        if not taken:
            taken.append([])
            leases_over(engine)
            taken.append(recover(engine, CLOCK))
        keep(engine, *more)

    monkeypatch.setattr(tickets_store, "_keep_last", stands_still)
    with pytest.raises(TakenOver):
        ingest(engine, table(folder, "tickets"), CLOCK)
    assert taken == [[], [1]]
    assert (newest(engine).totals, stored(engine)) == (ingests.Totals(added=6, unchanged=1), 6)


@pytest.mark.parametrize("step", [1, 5])
def test_a_file_whose_process_died_is_taken_up_when_its_lease_is_over(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    class Killed(BaseException):
        """As a kill: nothing is tidied up."""

    def dies() -> None:
        raise Killed

    monkeypatch.setattr(work.Work, "_fail", lambda *_: None)
    with pytest.raises(Killed):
        ingest(engine, table(folder, "tickets"), CLOCK, Steps(step, dies))
    assert staged(engine) > 0
    assert recover(engine, LATER) == []  # it may still be at work
    leases_over(engine)
    assert recover(engine, CLOCK) == [1]  # no hour has passed
    assert (newest(engine).status, stored(engine)) == ((ingests.FAILED, 0) if step == 1 else (ingests.DONE, 6))
    assert (staged(engine), recover(engine, LATER)) == (0, [])


def test_an_ingest_of_before_there_were_leases_is_taken_for_dead_after_an_hour(databases: Databases, opened: list[Engine]) -> None:
    url = databases.bare()
    upgrade(url, "0025")
    opened.append(open_engine(url))
    with writing(opened[-1]) as conn:
        left = ingests.begin(conn, "tickets", "a.csv", CLOCK.now())
    upgrade(url)
    assert recover(opened[-1], Clock(ZONE, CLOCK.now() + STALE_AFTER - timedelta(seconds=1))) == []
    assert recover(opened[-1], Clock(ZONE, CLOCK.now() + STALE_AFTER)) == [left]
    assert newest(opened[-1]).status == ingests.FAILED
