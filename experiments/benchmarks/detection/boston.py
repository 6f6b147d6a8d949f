"""Boston 2011, storm Irene, by tickets: how early falling trees are alerted as one event of the city, and how quiet the other days are."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from experiments.benchmarks.detection.hourly import local
from experiments.benchmarks.detection.replay import Request
from forecasting.hierarchy import ALL

FOLDER = "boston-311-2011h2"
ZONE = "America/New_York"
FIRST, LAST = "2011-08-01", "2011-08-31"
STORM = pd.Timestamp("2011-08-28")
LATEST = pd.Timestamp("2011-08-28 09:00")
TREES = "Tree Emergencies"
RED = "red"


@dataclass(frozen=True)
class Irene:
    """What was raised.

    Attributes:
        raised: when trees were first alerted for the whole city on the day, local; None if never.
        districts: listed with it.
        red: was any demand alert red that day?
        most: demand alerts on the busiest other day.
    """

    raised: pd.Timestamp | None
    districts: int
    red: bool
    most: int


def folder(work: Path) -> Path:
    """Where the replay is kept."""
    return work / FOLDER


def request(data: Path, work: Path) -> Request:
    """The replay of August."""
    return Request(folder(work), FIRST, LAST, tickets=data / FOLDER / "tickets.parquet", country="US", zone=ZONE)


def judge(alerts: pd.DataFrame, every_row: pd.DataFrame) -> Irene:
    """Judges August.

    Args:
        alerts: demand alerts as first raised.
        every_row: all rows, so that a rise to red is seen.
    """
    raised = local(alerts["raised_at"], ZONE)
    trees = alerts[(alerts["category"] == TREES) & (alerts["district"] == ALL) & (alerts["date"] == STORM)]
    first = int(raised[trees.index].to_numpy().argmin()) if len(trees) else None
    red = every_row[(every_row["level"] == RED) & (pd.to_datetime(every_row["date"]) == STORM)]
    others = alerts[alerts["date"] != STORM].groupby("date").size()
    return Irene(
        None if first is None else raised[trees.index].iloc[first],
        0 if first is None else len(trees["districts"].iloc[first]),
        len(red) > 0,
        int(others.max()) if len(others) else 0,
    )
