"""A rollback while people ask, with MLflow out of reach."""

from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest
from databases import Databases
from job_city import DAYS, OLD_WAYS_OF_MLFLOW, City, counts, day
from mlflow_nights import broken_mlflow
from processes import Bench, free_port, until
from town import Survived

from service import secret
from service.jobs import nightly
from service.settings import Settings
from service.store import keys
from service.store.engine import open_engine, writing

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)


def test_a_rollback_is_seen_by_clients_within_five_seconds_at_a_real_store(
    databases: Databases, tmp_path: Path, bench: Bench, survived: Survived
) -> None:
    """A real store of either kind, a real API process, `weisu rollback` as a person types it, then a program's request; MLflow is out of reach."""
    url = databases.fresh()
    city = City(tmp_path / "data", open_engine(url))
    city.folder.mkdir()
    where = {"database_url": url, "data_dir": city.folder, "timezone": "UTC", "country": "none"}
    broken, dead = {"mlflow_tracking_uri": broken_mlflow(city.folder)}, {"mlflow_tracking_uri": "http://127.0.0.1:1"}
    port = free_port()
    city.bring(counts(DAYS))
    nightly.run(city.engine, Settings(**where, **broken, as_of=str(day(DAYS))))
    city.bring(counts(DAYS + 1, first=DAYS + 1), "more")
    nightly.run(city.engine, Settings(**where, **broken, as_of=str(day(DAYS + 1))))
    with writing(city.engine) as conn:
        key = keys.create(conn, "test", ["admin"], None, Settings(**where).clock.now(), secret=secret.of_keys(Settings(**where)))
    api = bench.start("api", **where, as_of=day(DAYS + 1), api_port=port)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}, trust_env=False) as http:

            def first_day() -> str:
                return str(http.get("/v1/forecasts", params={"area": "ALL", "category": "ALL"}).json()["items"][0]["date"])

            def answers() -> bool:
                try:
                    return http.get("/readyz").status_code == 200
                except httpx.TransportError:
                    return False

            until("the API is up", answers)
            assert first_day() == str(day(DAYS + 2))

            def seen(wanted: str, since: float) -> float:
                """Seconds until clients are told forecasts from a day on."""
                while first_day() != wanted:
                    assert monotonic() - since < 60
                    sleep(0.02)
                return monotonic() - since

            later = http.get("/v1/status").json()["forecast_set"]["id"]
            started = monotonic()
            command = bench.start("rollback", **where, **dead, as_of=day(DAYS + 1))
            typed = seen(str(day(DAYS + 1)), started)
            assert http.get("/v1/status").json()["forecast_set"]["cutoff"] == str(day(DAYS))
            assert command.wait(60) == 0
            started = monotonic()
            assert http.post("/v1/models/rollback", json={"to": later}).status_code == 200
            asked = seen(str(day(DAYS + 2)), started)
        assert max(typed, asked) < 5, f"{typed:.1f} s, the start of the process included, and {asked:.2f} s"
        assert "no longer" in bench.said
        assert "aliases do not follow yet" in bench.said
        survived(f"served {typed:.1f} s after `weisu rollback` was typed, {asked:.2f} s after the request")
    finally:
        api.terminate()
        api.wait(30)
        city.engine.dispose()
        databases.put_away()
