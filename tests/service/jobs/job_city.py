"""A small city for the jobs: three districts, three categories, counts with a week in them, in a real store."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from service.intake.ingest import ingest
from service.settings import Settings
from service.store.engine import open_engine, upgrade

FIRST = date(2025, 1, 6)
DAYS = 60  # of history: long enough for baselines, too short for the members that take seconds
DISTRICTS, CATEGORIES = ("North", "South", "West"), ("Heat", "Noise", "Water")
LEVEL = {"Heat": 24.0, "Noise": 12.0, "Water": 6.0}
WEEK = np.array([1.2, 1.1, 1.0, 1.0, 1.0, 0.8, 0.7])

OLD_WAYS_OF_MLFLOW = "ignore::sqlalchemy.exc.SADeprecationWarning"
"""MLflow asks SQLAlchemy for something that will go away; it works, and is not ours to mend."""

Cell = tuple[str, str, date]


def day(n: int) -> date:
    """The n-th day of the city."""
    return FIRST + timedelta(days=n - 1)


def counts(days: int, seed: int = 0, first: int = 1) -> pd.DataFrame:
    """Poisson counts of the days from `first` to `days`; earlier ones do not change with `days`."""
    dates = pd.date_range(FIRST, periods=days)
    parts = []
    for place in range(9):
        district, category = DISTRICTS[place // 3], CATEGORIES[place % 3]
        rng = np.random.default_rng([seed, place])
        came = rng.poisson(LEVEL[category] / (1 + place // 3) * WEEK[dates.day_of_week])
        parts.append(pd.DataFrame({"district": district, "category": category, "date": dates, "count": came}))
    table = pd.concat(parts, ignore_index=True)
    return table[table["date"] >= pd.Timestamp(day(first))]


def planted(table: pd.DataFrame, bursts: Mapping[Cell, int]) -> pd.DataFrame:
    """Counts with so many tickets more in some cells."""
    more = pd.DataFrame([(d, c, pd.Timestamp(at), n) for (d, c, at), n in bursts.items()], columns=["district", "category", "date", "count"])
    return pd.concat([table, more]).groupby(["district", "category", "date"], as_index=False)["count"].sum()


@dataclass(frozen=True)
class City:
    """A store and the settings of the service over it."""

    folder: Path
    engine: Engine

    @classmethod
    def empty(cls, folder: Path) -> "City":
        """A migrated store without a row."""
        settings = Settings(data_dir=folder)
        upgrade(settings.store_url)
        return cls(folder, open_engine(settings.store_url))

    def settings(self, as_of: date | str, **changes: object) -> Settings:
        """Settings whose clock stands at the end of a day, or at a moment."""
        return Settings(**{"data_dir": self.folder, "as_of": str(as_of), "timezone": "UTC", "country": "none"} | changes)

    def bring(self, table: pd.DataFrame, name: str = "counts") -> None:
        """Ingests a table."""
        path = self.folder / f"{name}.csv"
        table.to_csv(path, index=False)
        ingest(self.engine, path, self.settings(day(1000)).clock)
