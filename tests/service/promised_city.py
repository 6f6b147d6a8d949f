"""A small city whose forecasts are published by hand, and what they are worth, counted by hand: two districts, three categories."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sqlalchemy import Engine

from forecasting.forecast_set import ForecastSet
from service.intake.ingest import ingest
from service.settings import Settings
from service.store import forecast_sets, runs
from service.store.engine import writing

ALL = "ALL"
FIRST = date(2025, 9, 1)
DISTRICTS, CATEGORIES = ("East", "West"), ("Heat", "Noise", "Water")
HORIZON = 9
LEVELS = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)
Row = dict[str, float]


def day(n: int) -> date:
    """The n-th day of the city."""
    return FIRST + timedelta(days=n - 1)


def counts(last: int, first: int = 1) -> pd.DataFrame:
    """Poisson counts of the days from `first` to `last`; they are the same whatever is asked for."""
    dates = pd.date_range(FIRST, periods=120)
    parts = []
    for place, (district, category) in enumerate((d, c) for d in DISTRICTS for c in CATEGORIES):
        came = np.random.default_rng([7, place]).poisson((4.0 + 6.0 * place) * np.where(dates.day_of_week < 5, 1.1, 0.8))
        parts.append(pd.DataFrame({"district": district, "category": category, "date": dates, "count": came}))
    table = pd.concat(parts, ignore_index=True)
    return table[table["date"].between(pd.Timestamp(day(first)), pd.Timestamp(day(last)))]


@dataclass(frozen=True)
class PromisedCity:
    """A store, whose forecast sets are made up."""

    folder: Path
    engine: Engine

    def settings(self, as_of: date | str) -> Settings:
        """Settings whose clock stands at the end of a day, or at a moment."""
        return Settings(data_dir=self.folder, as_of=str(as_of), timezone="UTC", country="none")

    def bring(self, table: pd.DataFrame, as_of: date, name: str = "counts") -> None:
        """Ingests a table, received at the end of a day."""
        path = self.folder / f"{name}.csv"
        table.to_csv(path, index=False)
        ingest(self.engine, path, self.settings(as_of).clock)

    def publish(self, cutoff: int, at: str = "", seed: int = 0, published: bool = True, **more: Any) -> pd.DataFrame:
        """Publishes (or only keeps) forecasts made up for the days after the n-th one: by default at two in the next morning.

        Args:
            more: of what `forecast_sets.add` takes.
        """
        frame = forecasts(cutoff, seed)
        moment = datetime.fromisoformat(at or f"{day(cutoff + 1)}T02:00+00:00")
        with writing(self.engine) as conn:
            run = runs.start(conn, day(cutoff), "test", moment, timedelta(hours=1), force=True)
            runs.succeed(conn, run, moment)
            row = {"run_id": run, "mlflow_run_id": None, "cutoff": day(cutoff), "horizon": HORIZON, "issued_at": moment, "rows": len(frame)}
            keep = forecast_sets.publish if published else forecast_sets.add
            keep(conn, **row, **more, blob=ForecastSet(frame).to_parquet())
        return frame


def forecasts(cutoff: int, seed: int = 0) -> pd.DataFrame:
    """Forecasts made up: series and all sums."""
    rng = np.random.default_rng([seed, cutoff])
    rows = [
        (d, c, pd.Timestamp(day(cutoff + h)), h, (4.0 + 6.0 * place) * rng.uniform(0.7, 1.3), 0.05)
        for place, (d, c) in enumerate((d, c) for d in DISTRICTS for c in CATEGORIES)
        for h in range(1, HORIZON + 1)
    ]
    bottom = pd.DataFrame(rows, columns=["area", "category", "date", "horizon", "mean", "dispersion"])
    parts = [bottom]
    for keys in (["area"], ["category"], []):
        sums = bottom.groupby([*keys, "date", "horizon"], as_index=False)["mean"].sum()
        parts.append(sums.assign(**{name: ALL for name in ("area", "category") if name not in keys}, dispersion=0.02))
    return pd.concat(parts, ignore_index=True).assign(model="test")


def came(table: pd.DataFrame, area: str, category: str, at: date) -> int:
    """Tickets of a node on a day, from the table that was brought."""
    here = table[table["date"] == pd.Timestamp(at)]
    here = here[(here["district"] == area) | (area == ALL)]
    return int(here.loc[(here["category"] == category) | (category == ALL), "count"].sum())


def by_hand(frame: pd.DataFrame, table: pd.DataFrame, cutoff: int, days: range) -> Iterator[Row]:
    """What each forecast of some days of a set was worth, one by one."""
    for one in frame[frame["date"].isin([pd.Timestamp(day(n)) for n in days])].itertuples():
        at = pd.Timestamp(str(one.date)).date()
        actual = came(table, str(one.area), str(one.category), at)
        back = at - timedelta(days=7)
        while back > day(cutoff):
            back -= timedelta(days=7)
        size = 1 / one.dispersion
        law = stats.nbinom(size, size / (size + one.mean))
        q = [law.ppf(level) for level in LEVELS]
        loss = [2 * max(level * (actual - value), (1 - level) * (value - actual)) for level, value in zip(LEVELS, q, strict=True)]
        yield {
            "area": one.area,
            "category": one.category,
            "day": at,
            "horizon": one.horizon,
            "actual": actual,
            "forecast": one.mean,
            "absolute": abs(one.mean - actual),
            "squared": (one.mean - actual) ** 2,
            "loss": sum(loss) / len(loss),
            "in80": q[1] <= actual <= q[5],
            "in90": q[0] <= actual <= q[6],
            "naive": abs(came(table, str(one.area), str(one.category), back) - actual),
            "chance": stats.poisson(one.mean).expect(lambda k, m=one.mean: abs(k - m), maxcount=2000),
            "rows": 1,
        }
