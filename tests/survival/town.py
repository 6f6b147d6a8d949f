"""A town on a real database, the processes of `weisu` over it, and what must hold whatever happens to them."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from job_city import CATEGORIES, DAYS, DISTRICTS, City, counts, day
from processes import Bench, free_port, until
from sqlalchemy import Engine, select

from forecasting import intraday, outlook
from forecasting.detection import issued
from forecasting.forecast_set import ForecastSet, unpack
from service import secret
from service.jobs import children, nightly
from service.settings import Settings
from service.store import jobs, keys, runs, schema
from service.store.engine import open_engine, reading, upgrade, writing

NIGHTS = 45  # after the first one, whose counts are there already: a clock that stands before them does not see them
NODES = (len(DISTRICTS) + 1) * (len(CATEGORIES) + 1)
PHASES = {"fit": "training on all days", "logging": "recording the run", "publishing": "publishing", "detecting": "detecting"}
"""The steps of a training as it tells them on stderr."""

FIRST = DAYS + 1  # the first night that is not done


def at(night: int, hour: str = "02:00:00", later: timedelta = timedelta(0)) -> str:
    """A moment of the morning after the `night`-th day, whose training then is due."""
    return f"{datetime.fromisoformat(f'{day(night + 1)}T{hour}+00:00') + later}"


Survived = Callable[[str], None]
"""Notes a line of the table at the end."""

PATHS_IN_MLFLOW = {"artifact_location": "experiments", "artifact_uri": "runs", "source": "model_versions", "storage_location": "model_versions"}

COUNTED = 4_000_000  # to count them takes SQLite some .3 s
SLEPT = 0.3  # seconds

AFTER_THE_LEASE = nightly.LEASE + timedelta(seconds=1)


@dataclass(frozen=True)
class Trained:
    """A town whose first night is done, to be copied.

    Attributes:
        folder: its data.
        url: of its PostgreSQL database; empty: SQLite in the folder.
    """

    folder: Path
    url: str

    @classmethod
    def made(cls, folder: Path, url: str) -> "Trained":
        """Trains one, with the counts of the nights to come."""
        upgrade(Settings(data_dir=folder, database_url=url).store_url)
        city = City(folder, open_engine(Settings(data_dir=folder, database_url=url).store_url))
        city.bring(counts(DAYS + NIGHTS))
        nightly.run(city.engine, city.settings(at(DAYS), database_url=url))
        city.engine.dispose()
        return cls(folder, url)

    def again(self, folder: Path, url: str, bench: Bench) -> "Town":
        """The same town in another folder, over a copy of its database."""
        shutil.copytree(self.folder, folder)
        with closing(sqlite3.connect(folder / "mlflow" / "mlflow.db")) as conn, conn:
            for column, table in PATHS_IN_MLFLOW.items():
                conn.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (self.folder.as_uri(), folder.as_uri()))
        return Town(City(folder, open_engine(Settings(data_dir=folder, database_url=url).store_url)), url, bench)


@dataclass(frozen=True)
class Town:
    """A town whose first night is done.

    Attributes:
        url: of a PostgreSQL database; empty: SQLite in the data folder.
    """

    city: City
    url: str
    bench: Bench

    @property
    def engine(self) -> Engine:
        return self.city.engine

    def settings(self, as_of: str, **changes: object) -> Settings:
        return self.city.settings(as_of, **{"database_url": self.url} | changes)

    def environment(self, as_of: str, **changes: object) -> dict[str, object]:
        """The settings of a process whose clock stands at a moment."""
        return {"data_dir": self.city.folder, "database_url": self.url, "as_of": as_of, "timezone": "UTC", "country": "none"} | changes

    def train(self, as_of: str) -> subprocess.Popen[str]:
        """Starts a training; its stderr is to be read."""
        command = [sys.executable, "-m", "service.cli", "train"]
        environment = self.bench.environment(self.environment(as_of))
        return subprocess.Popen(
            command, cwd=self.bench.folder, env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def train_in_this_process(self, as_of: str) -> nightly.Trained:
        """Trains to the end."""
        return nightly.run(self.engine, self.settings(as_of))

    def scheduler(self, as_of: str, **changes: object) -> subprocess.Popen[bytes]:
        """Starts a scheduler."""
        return self.bench.start("scheduler", **self.environment(as_of, **changes))

    def runs_of(self, night: int) -> list[runs.Run]:
        """The attempts at a night, the first one first."""
        with reading(self.engine) as conn:
            return [run for run in reversed(runs.list_runs(conn, 1000)) if run.business_date == day(night)]

    def states_of(self, night: int) -> list[str]:
        return [run.status for run in self.runs_of(night)]

    def is_done(self, night: int) -> bool:
        return runs.DONE in self.states_of(night)

    def jobs(self) -> dict[str, jobs.Job]:
        with reading(self.engine) as conn:
            return {job.name: job for job in jobs.list_jobs(conn)}

    def cutoff(self) -> date:
        """The last day that the published forecasts knew, after everything in the store was found whole: no half set, none of a night not done."""
        table = schema.forecast_sets
        with reading(self.engine) as conn:
            sets = conn.execute(select(table, schema.runs.c.status).join(schema.runs).order_by(table.c.id)).all()
            pointer = conn.execute(select(schema.published.c.forecast_set_id)).scalar_one()
            done = [run.id for run in runs.list_runs(conn, 1000) if run.status == runs.DONE]
        for row in sets:
            assert sha256(row.blob).hexdigest() == row.sha256
            assert len(ForecastSet.from_parquet(row.blob).frame) == row.rows == NODES * row.horizon
            assert len(unpack(row.standing, issued.STANDING)) == NODES
            assert row.status == runs.DONE, "a set of a night that is not done"
        given_out = [row for row in sets if row.published_at is not None]
        assert sorted(row.run_id for row in given_out) == sorted(done), "one set for each night that is done"
        for row in given_out:
            assert len(unpack(row.outlook, outlook.COLUMNS)) == NODES * outlook.WEEKS
            assert unpack(row.hours, intraday.COLUMNS).empty  # these counts tell no hours
        (current,) = [row for row in given_out if row.id == pointer]
        assert current.cutoff == max(row.cutoff for row in given_out)
        cutoff: date = current.cutoff
        return cutoff


class Api:
    """The API as a process of its own."""

    def __init__(self, town: Town, as_of: str, *scopes: str, environment: Mapping[str, str] | None = None) -> None:
        port = free_port()
        self.process = town.bench.start("api", environment=environment, **town.environment(as_of, api_port=port))
        with writing(town.engine) as conn:
            now, key_of_hashes = town.settings(as_of).clock.now(), secret.of_keys(town.settings(as_of))
            key = keys.create(conn, "test", scopes or ("forecasts:read",), None, now, secret=key_of_hashes)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}, timeout=60, trust_env=False)
        until("the API answers", self.answers)

    def answers(self) -> bool:
        assert self.process.poll() is None
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def get(self, path: str, **parameters: str) -> httpx.Response:
        answer = self.client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer

    def forecasts(self) -> list[dict[str, Any]]:
        """Every day of the whole city as it is served."""
        rows: list[dict[str, Any]] = self.get("/v1/forecasts", area="ALL", category="ALL").json()["items"]
        return rows

    def stop(self) -> None:
        self.client.close()
        self.process.terminate()
        assert self.process.wait(30) in (0, -signal.SIGTERM)


def make_publishing_long(engine: Engine, times: int = 1) -> None:
    """The transaction that publishes so small a town takes some milliseconds, too short to be hit: the database gets work to do within it, after the
    set and the pointer to it are written and before they are committed; more of it, to be found at it even by one who is held up himself."""
    if engine.dialect.name == "sqlite":
        work = f"SELECT count(*) FROM (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {times * COUNTED}) SELECT x FROM n)"
        made = [f"CREATE TRIGGER work_{on} AFTER {on} ON published BEGIN {work}; END" for on in ("INSERT", "UPDATE")]
    else:
        body = f"BEGIN PERFORM pg_sleep({times * SLEPT}); RETURN NEW; END"
        made = [
            f"CREATE FUNCTION work() RETURNS trigger LANGUAGE plpgsql AS '{body}'",
            "CREATE TRIGGER work AFTER INSERT OR UPDATE ON published FOR EACH ROW EXECUTE FUNCTION work()",
        ]
    with engine.begin() as conn:
        for statement in made:
            conn.exec_driver_sql(statement)


def reach(process: subprocess.Popen[str], phase: str) -> bool:
    """Reads what a training tells until it has begun a phase; False: it ended before."""
    assert process.stderr
    return any(PHASES[phase] in line for line in process.stderr)


def rest_of(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Waits for the end of a training; exit code and what it had still to tell."""
    assert process.stderr
    text = process.stderr.read()
    process.stderr.close()
    return process.wait(), text


def end(process: subprocess.Popen[bytes]) -> None:
    """Tells a scheduler to stop, and waits until it has."""
    process.terminate()
    assert process.wait(children.STOP_SECONDS + 30) == 0
