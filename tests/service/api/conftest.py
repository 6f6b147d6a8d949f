"""A small city in a real database, and the API over it."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from sqlalchemy import Engine
from starlette.exceptions import StarletteDeprecationWarning

from forecasting.forecast_set import ForecastSet
from service.api.app import create_app
from service.settings import Settings
from service.store import alerts, areas, categories, counts, forecast_sets, ingests, keys, runs
from service.store.engine import open_engine, upgrade, writing

with warnings.catch_warnings():
    warnings.simplefilter("ignore", StarletteDeprecationWarning)  # the client on httpx works; it asks for httpx2 when it is imported
    from fastapi.testclient import TestClient

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2025, 11, 9, 7, 30, tzinfo=ZONE)
YESTERDAY = date(2025, 11, 8)
SCOPES = tuple(keys.SCOPES)
HORIZON = 3

# district: its streets; counts fall on the streets where there are any
PLACES: dict[str, list[str]] = {"110105": ["110105A", "110105B"], "110108": [], "UNKNOWN": []}
TOPICS = {"UTILITY": ["HEAT", "WATER"], "NOISE": []}


@dataclass(frozen=True)
class City:
    """The database of the test and what it takes to change it."""

    settings: Settings
    engine: Engine

    def key(self, *scopes: str, districts: list[str] | None = None, name: str = "值班长") -> str:
        """A new key."""
        with writing(self.engine) as conn:
            return keys.create(conn, name, scopes or SCOPES, districts, NOW)

    def publish(self, cutoff: date, issued_at: datetime, *, scale: float = 1.0, mlflow_run_id: str | None = "f00d") -> int:
        """Publishes a forecast set for every node of both trees."""
        with writing(self.engine) as conn:
            run_id = runs.start(conn, cutoff, "test", issued_at, timedelta(hours=1), force=True)
            runs.succeed(conn, run_id, issued_at, mlflow_run_id)
            frame = forecast_frame(cutoff, scale)
            return forecast_sets.publish(
                conn,
                run_id=run_id,
                mlflow_run_id=mlflow_run_id,
                cutoff=cutoff,
                horizon=HORIZON,
                issued_at=issued_at,
                rows=len(frame),
                blob=ForecastSet(frame, {}).to_parquet(),
            )

    def alert(self, alert_id: str, **changes: object) -> alerts.Alert:
        """Adds an alert."""
        alert = replace(an_alert(alert_id), **changes)  # type: ignore[arg-type]
        with writing(self.engine) as conn:
            alerts.insert(conn, alert, "watch", alert.raised_at)
        return alert


def nodes() -> list[tuple[str, str]]:
    """Every pair of an area and a category, sums included, streets left out."""
    topics = ["ALL", "UTILITY", "HEAT", "WATER", "NOISE"]
    return [(area, category) for area in ("ALL", *PLACES, "110105A") for category in topics]


def forecast_frame(cutoff: date, scale: float = 1.0) -> pd.DataFrame:
    rows = [
        (area, category, pd.Timestamp(cutoff) + pd.Timedelta(days=horizon), horizon, scale * (5.0 + index + horizon / 8), 0.05, "blend")
        for index, (area, category) in enumerate(nodes())
        for horizon in range(1, HORIZON + 1)
    ]
    frame = pd.DataFrame(rows, columns=["area", "category", "date", "horizon", "mean", "dispersion", "model"])
    return frame.sample(frac=1, random_state=1, ignore_index=True)  # whoever reads it must not rely on an order


def an_alert(alert_id: str) -> alerts.Alert:
    return alerts.Alert(
        id=alert_id,
        kind="SPIKE",
        level="yellow",
        status="open",
        area="110108",
        category="HEAT",
        districts=[{"code": "110108", "observed": 61.0, "expected": 22.5}],
        onset=YESTERDAY,
        last_day=YESTERDAY,
        usual_days=0,
        peak=None,
        observed=61.0,
        expected=22.5,
        lower=14.0,
        upper=32.0,
        p_value=2e-6,
        reason_zh="海淀区供热采暖昨日61件",
        reason_en="Heating in Haidian: 61 yesterday",
        forecast_set_id=1,
        raised_at=NOW - timedelta(hours=1),
        changed_at=NOW - timedelta(hours=1),
        resolved_at=None,
    )


def daily_cells() -> pd.DataFrame:
    """Forty days of counts up to yesterday and some of today; nothing on Sundays in one series, so that zeros have to be filled in."""
    days = pd.date_range(end=pd.Timestamp(NOW.date()), periods=41)
    bottom = [("110105A", "HEAT"), ("110105B", "HEAT"), ("110105B", "NOISE"), ("110108", "HEAT"), ("110108", "WATER"), ("UNKNOWN", "NOISE")]
    rows = [
        (area, category, day, 1 + index + day.day % 5)
        for index, (area, category) in enumerate(bottom)
        for day in days
        if not (category == "WATER" and day.weekday() == 6)
    ]
    cells = pd.DataFrame(rows, columns=["area", "category", "day", "count"]).astype({"day": "datetime64[us]"})
    moments = cells["day"].dt.tz_localize(ZONE).dt.tz_convert("UTC").astype("datetime64[us, UTC]")
    return cells.assign(hour=moments, received_at=moments + pd.Timedelta(hours=24))


@pytest.fixture
def bare_city(tmp_path: Path) -> Iterator[City]:
    """An up-to-date database with nothing in it."""
    settings = Settings(data_dir=tmp_path, as_of=NOW.isoformat(), timezone=ZONE.key)
    upgrade(settings.store_url)
    engine = open_engine(settings.store_url)
    yield City(settings, engine)
    engine.dispose()


@pytest.fixture
def city(bare_city: City) -> City:
    """Both trees, counts, and a published forecast set."""
    with writing(bare_city.engine) as conn:
        areas.join(conn, {street: district for district, streets in PLACES.items() for street in streets}, NOW)
        areas.join(conn, dict.fromkeys(PLACES, "ALL"), NOW)
        categories.join(conn, {leaf: top for top, leaves in TOPICS.items() for leaf in leaves} | dict.fromkeys(TOPICS, "ALL"), NOW)
        conn.exec_driver_sql("update areas set zh = '海淀区', en = 'Haidian', population = 3133469 where code = '110108'")
        ingest = ingests.begin(conn, "counts", "counts.csv", NOW - timedelta(hours=2))
        counts.set_baseline(conn, ingest, daily_cells(), NOW)
        ingests.finish(conn, ingest, NOW - timedelta(hours=1))
    bare_city.publish(YESTERDAY, NOW - timedelta(hours=5))
    return bare_city


@pytest.fixture
def client(city: City) -> Iterator[TestClient]:
    """The API without a key."""
    with TestClient(create_app(city.settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def ask(city: City, client: TestClient) -> TestClient:
    """The API with a key that may do everything."""
    client.headers["Authorization"] = f"Bearer {city.key()}"
    return client


Ask = Callable[..., TestClient]


@pytest.fixture
def ask_as(city: City, client: TestClient) -> Ask:
    """The API with a key of these scopes and districts."""

    def with_key(*scopes: str, districts: list[str] | None = None, name: str = "某人") -> TestClient:
        client.headers["Authorization"] = f"Bearer {city.key(*scopes, districts=districts, name=name)}"
        return client

    return with_key

