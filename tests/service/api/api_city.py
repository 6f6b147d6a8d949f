"""A small city in a real database: what the tests of the API ask about."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from sqlalchemy import Engine

from forecasting import explanation
from forecasting.forecast_set import ForecastSet
from service import secret
from service.settings import Settings
from service.store import alerts, forecast_sets, ingests, keys, runs, silences, waiting_ingests, webhooks
from service.store.engine import writing
from service.store.waiting_ingests import Waiting

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2025, 11, 9, 7, 30, tzinfo=ZONE)
YESTERDAY = date(2025, 11, 8)
SCOPES = tuple(keys.SCOPES)
HORIZON = 3
HERE = ("127.0.0.1", 50_000)  # from where the client asks
SHARES = (0.5, 0.01, -0.02, 0.05, 0.0, 0.3, 0.1, 0.02)  # of level, trend, news, weekday, holiday, season, weather and members in every mean

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
            return keys.create(conn, name, scopes or SCOPES, districts, NOW, secret=secret.of_keys(self.settings))

    def publish(
        self,
        cutoff: date,
        issued_at: datetime,
        *,
        scale: float = 1.0,
        mlflow_run_id: str | None = "f00d",
        frame: pd.DataFrame | None = None,
        outlook: bytes | None = None,
        hours: bytes | None = None,
    ) -> int:
        """Publishes a forecast set for every node of both trees, or that of a frame; without weeks and hours unless they are given."""
        with writing(self.engine) as conn:
            run_id = runs.start(conn, cutoff, "test", issued_at, timedelta(hours=1), force=True)
            runs.succeed(conn, run_id, issued_at, mlflow_run_id)
            frame = forecast_frame(cutoff, scale) if frame is None else frame
            return forecast_sets.publish(
                conn,
                run_id=run_id,
                mlflow_run_id=mlflow_run_id,
                cutoff=cutoff,
                horizon=HORIZON,
                issued_at=issued_at,
                rows=len(frame),
                blob=ForecastSet(frame, {}).to_parquet(),
                outlook=outlook,
                hours=hours,
            )

    def alert(self, alert_id: str, **changes: Any) -> alerts.Alert:
        """Adds an alert."""
        alert = replace(an_alert(alert_id), **changes)
        with writing(self.engine) as conn:
            alerts.insert(conn, alert, "watch", alert.raised_at)
        return alert

    def silence(self, area: str = "ALL", category: str = "ALL", kind: str | None = None, level: str = "orange", hours: float = 1) -> int:
        """Adds a silence from now on."""
        matchers = silences.Matchers(area, category, kind, level)
        with writing(self.engine) as conn:
            return silences.create(conn, matchers, "值班长", "works", None, NOW + timedelta(hours=hours), NOW)[0].id

    def request(self, came: timedelta, failed: timedelta | None = None) -> int:
        """Adds a request that came so long ago and waits to be counted, or that failed so long ago and was set aside."""
        with writing(self.engine) as conn:
            ingest_id = ingests.begin(conn, "tickets", "body", NOW - came)
            waiting_ingests.add(conn, Waiting(ingest_id, None, by_index=False))
            if failed is not None:
                ingests.finish(conn, ingest_id, NOW - failed, ingests.FAILED, "cannot be applied")
                waiting_ingests.set_aside(conn, ingest_id)
        return ingest_id

    def webhook(self, webhook_id: str, districts: list[str] | None = None) -> None:
        """Adds a webhook whose secret nobody knows."""
        with writing(self.engine) as conn:
            made = webhooks.add(conn, "https://alarm.example", "", webhooks.Wanted(), districts, "sealed", "值班长", NOW)
            webhooks.change(conn, made.id, {"id": webhook_id})


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
    shares = dict(zip(explanation.COLUMNS, SHARES, strict=True))
    frame = frame.assign(**{name: (share * frame["mean"]).astype("float32") for name, share in shares.items()})
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


Ask = Callable[..., Any]  # scopes, districts and name of a key -> the client with that key
