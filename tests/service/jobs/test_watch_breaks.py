"""The watch where history breaks: days are judged in the codes of their forecast, and excluded days not at all."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, select

from forecasting.forecast_set import ForecastSet
from service.jobs import knowledge, watch
from service.settings import Settings
from service.store import areas, bulk, categories, category_map, counts, excluded_spans, forecast_sets, ingests, runs
from service.store.engine import reading, writing
from service.store.schema import day_scores

START, DAYS = date(2025, 1, 1), 40
NOW = datetime(2025, 2, 10, tzinfo=UTC)
LAST = START + timedelta(days=DAYS - 1)
CUTOFF = LAST - timedelta(days=3)


@pytest.fixture
def settings(folder: Path) -> Settings:
    return Settings(data_dir=folder, as_of=f"{LAST}", country="none")


@pytest.fixture
def city(engine: Engine, settings: Settings) -> Engine:
    """Forty days of 20 PROP and 10 PARK in D1, but 120 PROP on the last; forecasts of three days ago say what is usual."""
    with writing(engine) as conn:
        areas.join(conn, {"D1": "ALL"}, NOW)
        categories.join(conn, {"PROP": "HOUSING", "PARK": "TRAFFIC"}, NOW)
        days = pd.date_range(START, periods=DAYS, tz="Asia/Shanghai")
        frame = pd.DataFrame(
            [("D1", c, day, n) for c, n in (("PROP", 20), ("PARK", 10)) for day in days], columns=["area", "category", "hour", "count"]
        )
        frame.loc[DAYS - 1, "count"] = 120
        local = frame["hour"].dt.tz_localize(None).astype(bulk.DAY)
        frame = frame.assign(day=local, hour=frame["hour"].dt.tz_convert("UTC").astype(bulk.UTC_MOMENT))
        frame = frame.assign(received_at=frame["hour"] + timedelta(days=1))
        counts.set_baseline(conn, ingests.begin(conn, "counts", "counts.csv", NOW, note=counts.WHOLE_DAYS), frame, NOW)
        nodes = knowledge.known(conn, settings, CUTOFF).hierarchy.nodes
        usual = nodes["category"].map({"PROP": 20.0, "HOUSING": 20.0, "PARK": 10.0, "TRAFFIC": 10.0, "ALL": 30.0}).to_numpy()
        ahead = np.arange(1, 8)
        table = pd.DataFrame(
            {
                "area": np.repeat(nodes["area"].to_numpy(), 7),
                "category": np.repeat(nodes["category"].to_numpy(), 7),
                "date": np.tile(pd.Timestamp(CUTOFF) + pd.to_timedelta(ahead, unit="D"), len(nodes)),
                "horizon": np.tile(ahead, len(nodes)),
                "mean": np.repeat(usual, 7),
                "dispersion": 0.02,
                "model": "four_week_mean",
            }
        )
        run = runs.start(conn, CUTOFF, "test", NOW, timedelta(hours=1))
        blob = ForecastSet(table, {"horizon": 7}).to_parquet()
        issued = {"run_id": run, "mlflow_run_id": None, "cutoff": CUTOFF, "horizon": 7, "issued_at": NOW}
        forecast_sets.publish(conn, rows=len(table), blob=blob, **issued)
    return engine


def observed(engine: Engine, category: str) -> list[int]:
    with reading(engine) as conn:
        c = day_scores.c
        return list(conn.execute(select(c.observed).where(c.area == "D1", c.category == category).order_by(c.day)).scalars())


def test_days_are_judged_as_they_were_filed(city: Engine, settings: Settings) -> None:
    with writing(city) as conn:
        when = pd.Series([pd.Timestamp(LAST)], dtype=bulk.DAY)
        table = pd.DataFrame({"old": ["PROP"], "new": ["PARK"], "valid_from": when, "share": [0.5]})
        category_map.put(conn, table, ingests.begin(conn, "category_map", "category_map.csv", NOW))
    watch.run(city, settings)
    assert observed(city, "PROP") == [20, 20, 120]
    assert observed(city, "PARK") == [10, 10, 10]


def test_a_spike_is_raised_and_on_an_excluded_day_none_is(city: Engine, settings: Settings) -> None:
    with writing(city) as conn:
        when = pd.Series([pd.Timestamp(LAST)], dtype=bulk.DAY)
        table = pd.DataFrame({"start": when, "end": when, "area": ["ALL"], "category": ["ALL"], "reason": ["outage"]})
        excluded_spans.put(conn, table, ingests.begin(conn, "excluded_spans", "excluded_spans.csv", NOW))
    assert watch.run(city, settings).raised == 0
    assert observed(city, "PROP") == [20, 20]
    with writing(city) as conn:
        excluded_spans.put(conn, table.iloc[:0], ingests.begin(conn, "excluded_spans", "excluded_spans.csv", NOW))
    assert watch.run(city, settings).raised == 1
    assert observed(city, "PROP") == [20, 20, 120]
