"""A backup that is made while tickets come in is of one moment, and a service restored from it gives the same answers."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from databases import Databases, PostgresqlDatabases
from job_city import OLD_WAYS_OF_MLFLOW, day
from sqlalchemy import func, select
from town import FIRST, Api, City, Survived, Town, at

from service.settings import Settings
from service.store import counts
from service.store.engine import open_engine, reading
from service.store.schema import count_changes, tickets

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)

ROWS = 50  # tickets of a request
BEFORE = 5  # requests that are counted before the backup begins
PATHS = ("/v1/districts", "/v1/categories", "/v1/forecasts", "/v1/alerts", "/v1/runs", "/v1/models")


def told(api: Api) -> tuple[dict[str, Any], int]:
    """Every answer, and apart from them the number of the newest change of an alert."""
    answers = {path: api.get(path).json() for path in PATHS}
    return answers, answers["/v1/alerts"].pop("seq")


def test_a_backup_made_while_tickets_come_in_restores_to_the_same_answers(
    town: Town, databases: Databases, tmp_path: Path, survived: Survived
) -> None:
    api = Api(town, at(FIRST), "forecasts:read", "alerts:read", "tickets:write", "admin")
    sent, begun, done = 0, threading.Event(), threading.Event()

    def send() -> None:
        nonlocal sent
        while not done.is_set():
            rows = [
                {"ticket_id": f"{sent}-{n}", "created_at": f"{day(FIRST - 1)}T08:00", "district": "North", "category": "Heat"} for n in range(ROWS)
            ]
            assert api.client.post("/v1/tickets", content=json.dumps(rows), headers={"Content-Type": "application/json"}).status_code == 200
            sent += 1
            if sent == BEFORE:
                begun.set()

    sender = threading.Thread(target=send)
    sender.start()
    file = tmp_path / "backup"
    try:
        assert begun.wait(60)
        first = sent
        made = town.bench.run("backup", str(file), **town.environment(at(FIRST)))
        last = sent + 1  # one may have been counted and not yet answered
    finally:
        done.set()
        sender.join()
    assert made.returncode == 0, made.stderr
    answers, seq = told(api)
    api.stop()

    folder = tmp_path / "elsewhere"
    folder.mkdir()
    url = databases.bare() if isinstance(databases, PostgresqlDatabases) else ""
    settings = Settings(data_dir=folder, database_url=url)
    elsewhere = replace(town, url=url, city=City(folder, open_engine(settings.store_url)))
    restored = town.bench.run("restore", str(file), **elsewhere.environment(at(FIRST)))
    assert restored.returncode == 0, restored.stderr
    with reading(elsewhere.engine) as conn:
        rows = conn.execute(select(func.count()).select_from(tickets)).scalar_one()
        journal = conn.execute(select(func.sum(count_changes.c.delta))).scalar_one()
        assert counts.daily(conn)["count"].sum() == journal
    whole, rest = divmod(rows, ROWS)
    assert rest == 0, "half a request"
    assert first <= whole <= last
    api = Api(elsewhere, at(FIRST), "forecasts:read", "alerts:read", "tickets:write", "admin")
    again, jumped = told(api)
    assert again == answers
    assert jumped > seq, "numbers of changes that were given before could come again, for others"
    assert api.client.get("/v1/alerts/changes", params={"after": seq}).status_code == 410, "who follows the feed is told to begin anew"
    api.stop()
    elsewhere.engine.dispose()
    survived(f"{whole} of {sent} requests of {ROWS} tickets were in it, whole; {len(PATHS)} answers are the same")
