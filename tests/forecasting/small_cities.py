"""Small cities for tests: counts with a week in them, and what is known of them."""

import numpy as np
import pandas as pd

from forecasting import panel
from forecasting.drivers import Drivers, from_frame
from forecasting.hierarchy import Tree
from forecasting.models.base import Known

START = pd.Timestamp("2024-03-04")
WEEK = np.array([1.2, 1.1, 1.0, 1.0, 1.0, 0.7, 0.6])


def counts(
    days: int, districts: tuple[str, ...] = ("d1", "d2"), categories: tuple[str, ...] = ("HEAT", "NOISE"), level: float = 12.0, seed: int = 0
) -> pd.DataFrame:
    """Rows of `district`, `category`, `date`, `count`: Poisson counts with a weekly shape, each pair of another size; zeros are left out."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range(START, periods=days)
    parts = []
    for i, district in enumerate(districts):
        for j, category in enumerate(categories):
            mean = level / (1 + i) / (1 + 2 * j) * WEEK[dates.day_of_week]
            parts.append(pd.DataFrame({"district": district, "category": category, "date": dates, "count": rng.poisson(mean)}))
    frame = pd.concat(parts, ignore_index=True)
    first = frame["date"] == dates[0]
    return frame[(frame["count"] > 0) | first].reset_index(drop=True)


def weather(days: int, ahead: int = 3, seed: int = 1) -> pd.DataFrame:
    """Driver rows: a temperature observed every day, and forecast on every day for the days after it."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range(START, periods=days)
    observed = pd.DataFrame({"name": "temperature", "date": dates, "value": rng.normal(10, 5, days).round(1), "issued_at": pd.NaT})
    parts = [observed]
    for lead in range(1, ahead + 1):
        target = dates + pd.Timedelta(days=lead)
        parts.append(pd.DataFrame({"name": "temperature", "date": target, "value": rng.normal(10, 5, days).round(1), "issued_at": dates}))
    return pd.concat(parts, ignore_index=True)


def known(frame: pd.DataFrame, country: str = "none", drivers: pd.DataFrame | None = None, until: pd.Timestamp | None = None) -> Known:
    """What is known of rows of counts, with flat trees."""
    made: Drivers | None = from_frame(drivers) if drivers is not None else None
    return Known(panel.from_counts(frame, until), Tree(), Tree(), made, country)
