"""`weisu pull` and the scheduler: what is due is pulled, in a process of its own, and each has its row in the ledger."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from other_side import OtherSide, Reply
from processes import Bench, until
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from forecasting.errors import InputError
from service.connectors import pull
from service.jobs import scheduler
from service.settings import Settings, load_settings
from service.store import jobs, pulls
from service.store.engine import open_engine, reading, upgrade, writing

WEATHER = {"daily": {"time": ["2025-11-09"], "max": [9.5]}}
TABLE = '[[pull.drivers]]\nname = "weather"\nurl = "{url}/?key=s3cret"\ndate = "daily.time"\nvalues = {{ tmax = "daily.max" }}\nevery_minutes = 1\n'
NOW = datetime(2025, 11, 8, 23, 30, tzinfo=UTC)


@pytest.fixture
def at_home(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in which `weisu` is started."""
    monkeypatch.chdir(bench.folder)
    return bench.folder


def job(engine: Engine) -> jobs.Job | None:
    with reading(engine) as conn:
        return jobs.get(conn, "pull:weather")


def test_a_pull_by_hand_says_what_it_brought(engine: Engine, side: OtherSide, bench: Bench) -> None:
    (bench.folder / "weisu.toml").write_text(TABLE.format(url=side.url))
    settings = {"database_url": engine.url.render_as_string(hide_password=False), "as_of": NOW.isoformat()}
    side.answer = lambda _: Reply(json.dumps(WEATHER).encode())
    done = bench.run("pull", "weather", **settings)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "weather: 1 row, 1 new, 0 changed, 0 known already"), done.stderr
    side.answer = lambda _: Reply(b"", 500)
    failed = bench.run("pull", "weather", **settings)
    assert (failed.returncode, len(failed.stderr.splitlines())) == (2, 1)
    assert failed.stderr.startswith(f"weisu: {side.url}/: answers with 500")
    assert "weisu.toml has weather" in bench.run("pull", "rain", **settings).stderr


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (TABLE.format(url="ftp://x"), "pull.drivers.0.url"),
        (TABLE.format(url="http://x") * 2, "same name"),
        (TABLE.format(url="http://x").replace("weather", "We ather"), "pull.drivers.0.name"),
        (TABLE.format(url="http://x") + 'unit = "F"\n', "pull.drivers.0.unit"),
        ('[[pull.sql]]\nname = "a"\nurl = "s3cret"\nquery = "x"\n', "pull.sql.0.watermark"),
        ('[[pull.open311]]\nname = "a"\nurl = "http://x"\nstart = 2025-01-01\nwindow_days = 91\n', "pull.open311.0.window_days"),
    ],
)
def test_a_table_that_does_not_fit_is_named(at_home: Path, table: str, told: str) -> None:
    (at_home / "weisu.toml").write_text(table)
    with pytest.raises(InputError, match=told) as caught:
        load_settings()
    assert "s3cret" not in str(caught.value)


class Commands:
    """Stands for the processes that the scheduler starts; each ends as it is told."""

    def __init__(self, ends: str | None, then: Callable[[], None] = lambda: None) -> None:
        self.ran: list[tuple[str, ...]] = []
        self.ends, self.then = ends, then

    def run(self, *words: str) -> str | None:
        self.ran.append(words)
        self.then()
        return self.ends


def settings_of(folder: Path, names: list[str], now: datetime = NOW) -> Settings:
    drivers = [{"name": name, "url": "http://x", "date": "d", "values": {"a": "b"}} for name in names]
    return Settings(data_dir=folder, as_of=now.isoformat(), pull={"drivers": drivers})


def test_the_scheduler_pulls_what_is_due_and_notes_a_process_that_dies(engine: Engine, folder: Path) -> None:
    dies = Commands("killed by signal 9", lambda: begin(engine))
    work = scheduler._Work(engine, settings_of(folder, ["weather"]), dies)
    work.pull("weather")
    assert dies.ran == [("pull", "weather")]
    found = job(engine)
    assert found is not None
    assert (found.error, found.next_at) == ("killed by signal 9", NOW + timedelta(minutes=1))
    work.pull("weather")
    assert len(dies.ran) == 1, "it rests"
    later = scheduler._Work(engine, settings_of(folder, ["weather"], NOW + timedelta(minutes=1)), dies)
    later.pull("weather")
    assert len(dies.ran) == 2
    with reading(engine) as conn:
        assert pulls.get(conn, "weather").failures == 2


def test_on_a_full_disk_a_pull_rests_for_longer_and_longer_and_the_reason_is_told_once(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @contextmanager
    def full(_: Engine, batch: bool = False) -> Iterator[Connection]:
        raise OperationalError("insert", {}, Exception("database or disk is full"))
        yield

    seconds = 0.0
    fails = Commands("exit code 1: see the log")
    work = scheduler._Work(engine, settings_of(folder, ["weather"]), fails)
    monkeypatch.setattr(scheduler, "monotonic", lambda: seconds)
    began = []
    with monkeypatch.context() as disk, caplog.at_level(logging.WARNING, "service"):
        disk.setattr(scheduler.engine, "writing", full)
        while seconds < 20 * 60:
            before = len(fails.ran)
            work.pull("weather")
            if len(fails.ran) > before:
                began.append(seconds)
            seconds += 5
    assert began == [0, 60, 180, 420, 900]
    assert [record.message for record in caplog.records] == ["job.not_noted"]
    seconds += 3600
    begin(engine)
    work.pull("weather")
    assert not work.unnoted
    found = job(engine)
    assert found is not None
    assert found.error == "exit code 1: see the log"


def begin(engine: Engine) -> None:
    with writing(engine) as conn:
        jobs.begin(conn, "pull:weather", NOW, NOW + timedelta(hours=1))


def test_what_is_pulled_no_more_is_late_no_more(engine: Engine, folder: Path) -> None:
    with writing(engine) as conn:
        for name in ("pull:weather", "pull:old", "watch"):
            jobs.expect(conn, name, NOW, NOW)
    scheduler._Work(engine, settings_of(folder, ["weather"]), Commands(None)).forget(pull.JOB, ["pull:weather"])
    with reading(engine) as conn:
        assert [one.name for one in jobs.list_jobs(conn)] == ["pull:weather", "watch"]


def test_weather_comes_by_itself(side: OtherSide, bench: Bench) -> None:
    url = f"sqlite:///{bench.folder / 'w.db'}"
    upgrade(url)
    engine = open_engine(url)
    side.answer = lambda _: Reply(json.dumps({"daily": {"time": ["2099-01-01"], "max": [9.5]}}).encode())
    (bench.folder / "weisu.toml").write_text(TABLE.format(url=side.url))
    process = bench.start("scheduler", database_url=url)
    until("it has pulled", lambda: (found := job(engine)) is not None and found.succeeded_at is not None, 60)
    process.terminate()
    assert process.wait(60) == 0
    assert "s3cret" not in bench.said
    engine.dispose()
