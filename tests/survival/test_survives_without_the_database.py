"""The database server is gone for a while: the API lives, says so, serves the forecasts that it knows, and recovers by itself."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from databases import Databases, PostgresqlDatabases
from job_city import OLD_WAYS_OF_MLFLOW, day
from processes import until
from town import FIRST, Api, Survived, Town, at

from service.api.web.answer_cache import STALE_SINCE
from service.benchmarks.server import Server

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)

OUTAGE = 60.0  # seconds


@pytest.fixture
def server(databases: Databases, town_in: Callable[[Path], Town]) -> Iterator[Server]:
    """The database server, which the test may stop. It runs again before its towns are put away."""
    if not isinstance(databases, PostgresqlDatabases):
        pytest.skip("an SQLite database is a file: it does not go away")
    yield databases.server
    databases.server.start()


def test_without_its_database_the_api_serves_what_it_knows_and_recovers(
    server: Server, town_in: Callable[[Path], Town], tmp_path: Path, survived: Survived
) -> None:
    town = town_in(tmp_path / "data")
    api = Api(town, at(FIRST))
    known = api.forecasts()
    town.engine.dispose()
    server.stop()
    stopped, served = time.monotonic(), 0
    until("it notices", lambda: STALE_SINCE in api.client.get("/v1/forecasts").headers, 5)
    while time.monotonic() - stopped < OUTAGE:
        assert api.client.get("/livez").status_code == 200
        ready = api.client.get("/readyz")
        assert (ready.status_code, ready.json()["reasons"]) == (
            503,
            ["the database does not answer: check WEISU_DATABASE_URL and that its server runs"],
        )
        for parameters in ({"area": "ALL", "category": "ALL"}, {"limit": f"{1 + served % 50}"}):
            answer = api.client.get("/v1/forecasts", params=parameters)
            assert answer.status_code == 200
            assert datetime.fromisoformat(answer.json()["stale_since"]) == datetime.fromisoformat(answer.headers[STALE_SINCE])
            served += 1
        assert api.forecasts() == known
        assert api.client.get("/v1/runs").status_code == 503
        assert "weisu_store_answers 0.0" in api.get("/metrics").text
        time.sleep(0.2)
    server.start()
    began = time.monotonic()
    until("it is ready again", lambda: api.client.get("/readyz").status_code == 200, 10)
    until("forecasts are fresh again", lambda: STALE_SINCE not in api.client.get("/v1/forecasts").headers, 10)
    recovered = time.monotonic() - began
    assert api.process.poll() is None, "it was not started anew"
    town.train_in_this_process(at(FIRST))
    until("the new forecasts are served", lambda: api.forecasts()[0]["date"] == f"{day(FIRST + 1)}", 5)
    api.stop()
    survived(f"gone for {OUTAGE:.0f} s: {served} answers marked stale, recovered {recovered:.1f} s after it was back")
