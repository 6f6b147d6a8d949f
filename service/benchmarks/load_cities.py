"""Cities to load an API with: the simulated one, trained by a quick recipe, and a large one whose forecasts are drawn and not learnt.

What an API does with a forecast does not depend on how it was made; to train 20,000 series takes an hour and says nothing about serving them.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from forecasting import city, explanation, intraday, outlook
from forecasting.forecast_set import ForecastSet, pack
from service import whole_set
from service.clock import Clock
from service.intake.ingest import ingest
from service.secret import of_keys
from service.settings import Settings
from service.store import alerts, areas, categories, forecast_sets, keys, runs
from service.store.engine import open_engine, reading, upgrade, writing

START, END = date(2024, 1, 1), date(2025, 12, 31)
SCALE = 0.1  # 1,200 tickets a day: the number of series is what counts here
QUICK = "windows: 1\nmembers:\n  seasonal_naive:\n  four_week_mean:\n  usual_weeks:\n"
DISTRICTS, STREETS, TOPICS, LEAVES = 20, 25, 8, 5  # 20 x 25 streets x 8 x 5 categories: 20,000 series, 25,529 nodes
HORIZON = 28
CENTRES = 400  # keys, each of a centre; all but the first limited to a district
ALERTS = 50  # that run, a few in each district: a bad day


@dataclass(frozen=True)
class LoadedCity:
    """A store with a published forecast set, running alerts and keys.

    Attributes:
        series: district, area (the district or a street of it) and category of every bottom series.
        keys: of `CENTRES` callers; the first is not limited.
        keys_of: by district, the keys that are limited to it.
    """

    settings: Settings
    series: list[tuple[str, str, str]]
    keys: list[str]
    keys_of: Mapping[str, list[str]]

    @property
    def environment(self) -> Mapping[str, str]:
        """Of its processes."""
        chosen = {"data_dir": self.settings.data_dir, "as_of": self.settings.as_of, "database_url": self.settings.database_url}
        return {name: value for name, value in os.environ.items() if not name.startswith("WEISU_")} | {
            f"WEISU_{name.upper()}": str(value) for name, value in chosen.items()
        }


def simulated(folder: Path, database_url: str = "") -> LoadedCity:
    """The simulated city of 448 series, trained by baselines alone."""
    settings, engine = _opened(folder, database_url)
    made = city.simulate(0, SCALE, START, END)
    city.write(made, folder / "city")
    for name in ("areas.csv", "categories.csv", "drivers.parquet", "tickets.parquet"):
        ingest(engine, folder / "city" / name, settings.clock)
    recipe = folder / "quick.yaml"
    recipe.write_text(QUICK)
    loaded = LoadedCity(settings, [], [], {})
    command = [sys.executable, "-m", "service.cli", "train"]
    subprocess.run(command, env={**loaded.environment, "WEISU_RECIPE": str(recipe)}, check=True, stdout=subprocess.DEVNULL)
    return _with_callers(settings, engine)


def large(folder: Path, database_url: str = "") -> LoadedCity:
    """A city of 20,000 series by streets; its forecasts are drawn by chance."""
    settings, engine = _opened(folder, database_url)
    now = settings.clock.now()
    places = {f"D{d:02d}S{s:02d}": f"D{d:02d}" for d in range(DISTRICTS) for s in range(STREETS)}
    topics = {f"T{t}L{leaf}": f"T{t}" for t in range(TOPICS) for leaf in range(LEAVES)}
    with writing(engine) as conn:
        areas.join(conn, dict.fromkeys(places.values(), "ALL"), now)
        areas.join(conn, places, now)
        categories.join(conn, dict.fromkeys(topics.values(), "ALL"), now)
        categories.join(conn, topics, now)
        run = runs.start(conn, END, "benchmark", now, timedelta(hours=1))
        nodes = pd.MultiIndex.from_product(
            [["ALL", *dict.fromkeys(places.values()), *places], ["ALL", *dict.fromkeys(topics.values()), *topics]], names=["area", "category"]
        ).to_frame(index=False)
        days = _drawn(nodes, "horizon", HORIZON, 1)
        number = forecast_sets.publish(
            conn,
            run_id=run,
            mlflow_run_id=None,
            cutoff=END,
            horizon=HORIZON,
            issued_at=now,
            rows=len(days),
            blob=ForecastSet(days).to_parquet(),
            outlook=pack(_drawn(nodes, "week_ahead", outlook.WEEKS, outlook.WEEK)),
            hours=pack(_hours(topics)),
        )
        runs.succeed(conn, run, now, None)
    with reading(engine) as conn:
        whole_set.of_stored(settings, forecast_sets.get(conn, number))  # as a night does
    return _with_callers(settings, engine)


def _opened(folder: Path, database_url: str) -> tuple[Settings, Engine]:
    folder.mkdir(parents=True)
    settings = Settings(data_dir=folder, database_url=database_url, as_of=f"{END + timedelta(days=1)}T07:30")
    upgrade(settings.store_url)
    return settings, open_engine(settings.store_url)


def _drawn(nodes: pd.DataFrame, ahead: str, number: int, step: int) -> pd.DataFrame:
    """Forecasts with explanations: `number` of them, each of `step` days, for every node."""
    rng = np.random.default_rng(0)
    size = len(nodes) * number
    frame = nodes.loc[np.repeat(np.arange(len(nodes)), number)].reset_index(drop=True)
    counted = np.tile(np.arange(number), len(nodes))
    dates = pd.Timestamp(END) + pd.to_timedelta(counted * step + 1, unit="D")
    means = np.repeat(rng.gamma(0.5, 4.0, len(nodes)), number) * rng.gamma(20.0, 0.05, size)
    frame = frame.assign(date=dates, mean=means, dispersion=rng.gamma(2.0, 0.05, size), model="blend")
    frame[ahead] = counted + 1
    parts = {name: rng.normal(0.0, 1.0, size).astype("float32") for name in explanation.COLUMNS}
    return frame.assign(**parts)


def _hours(topics: Mapping[str, str]) -> pd.DataFrame:
    shares = np.random.default_rng(0).dirichlet(np.full(24, 5.0), len(topics) * HORIZON)
    about = {
        "category": np.repeat(list(topics), HORIZON),
        "path": [[leaf, top, "ALL"] for leaf, top in topics.items() for _ in range(HORIZON)],
        "date": np.tile(pd.date_range(END + timedelta(days=1), periods=HORIZON), len(topics)),
    }
    return pd.DataFrame(about | dict(zip(intraday.HOURS, shares.T, strict=True)))


def _with_callers(settings: Settings, engine: Engine) -> LoadedCity:
    """Adds running alerts and the centres' keys."""
    clock: Clock = settings.clock
    with reading(engine) as conn:
        districts = [code for code in areas.districts(conn)["code"] if code != areas.UNKNOWN]
        places, topics = areas.frame(conn), categories.frame(conn)
        pointer = forecast_sets.pointer(conn)
        assert pointer is not None
    places = places[places["code"] != areas.UNKNOWN]
    bottom, leaves = (table[~table["code"].isin(table["parent"])] for table in (places, topics))
    series = [
        (code if parent == "ALL" else parent, code, topic)
        for code, parent in zip(bottom["code"], bottom["parent"], strict=True)
        for topic in leaves["code"]
    ]
    keys_of: dict[str, list[str]] = {code: [] for code in districts}
    with writing(engine) as conn:
        for number in range(ALERTS):
            alert = _alert(number, districts[number % len(districts)], str(topics["code"].iloc[number % len(topics)]), pointer, clock.now())
            alerts.insert(conn, alert, "watch", alert.raised_at)
        scopes, secret = ("forecasts:read", "alerts:read"), of_keys(settings)
        made = [keys.create(conn, "the city's centre", scopes, None, clock.now(), secret=secret)]
        for number in range(1, CENTRES):
            district = districts[number % len(districts)]
            made.append(keys.create(conn, f"centre {number}", scopes, [district], clock.now(), secret=secret))
            keys_of[district].append(made[-1])
    engine.dispose()
    return LoadedCity(settings, series, made, keys_of)


def _alert(number: int, area: str, category: str, forecast_set: int, now: datetime) -> alerts.Alert:
    return alerts.Alert(
        id=f"load-{number:03d}",
        kind="SPIKE",
        level=("blue", "yellow", "orange")[number % 3],
        status="open",
        area=area,
        category=category,
        districts=[{"code": area, "observed": 61.0, "expected": 22.5}],
        onset=END,
        last_day=END,
        usual_days=0,
        peak=None,
        observed=61.0,
        expected=22.5,
        lower=14.0,
        upper=32.0,
        p_value=2e-6,
        reason_zh="昨日61件,预计22.5件,明显高于平常",
        reason_en="61 yesterday where 22.5 were expected",
        forecast_set_id=forecast_set,
        raised_at=now - timedelta(minutes=number),
        changed_at=now - timedelta(minutes=number),
        resolved_at=None,
    )
