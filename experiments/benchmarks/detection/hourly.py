"""How soon a burst is alerted when tickets come hour by hour: bursts planted in the simulated city's tickets."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.benchmarks.detection.replay import Request
from forecasting import city
from forecasting.hierarchy import ALL

SEED = 0
SCALE = 0.3  # the largest at which the city makes every ticket: some 300 of 448 series have five a day
START, END = date(2024, 1, 1), date(2025, 6, 30)
REPLAYED_DAYS = 60
BURSTS = 60  # one a day in the whole city
RATIOS = (5, 8, 12)  # tickets during the burst, by those usual in these hours
HOURS = 12  # that it lasts
LEAST = 5.0  # tickets a day of the series, in the four weeks before the replay
APART = 7  # days between two bursts of a series, and from an incident of its own
GIVEN_UP = 24  # hours after which an alert is no longer one of the burst
ZONE = "Asia/Shanghai"
FOLDER = "bursts"
COLUMNS = ["ticket_id", "created_at", "district", "category", "received_at"]


@dataclass(frozen=True)
class Delays:
    """Hours from the onset of each burst to its alert, infinite if there is none."""

    hours: tuple[float, ...]


def plant(tickets: pd.DataFrame, incidents: pd.DataFrame, end: date, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Adds bursts to the last sixty days of tickets.

    A burst begins in the hour of one of the series' own tickets and follows its usual hours from there on.

    Returns:
        tickets: COLUMNS, with those of the bursts.
        truth: `district, category, onset, ratio, tickets`.
    """
    rng = np.random.default_rng((seed, 1))
    rows = tickets[COLUMNS].dropna(subset=["district", "category"])
    first = pd.Timestamp(end) - pd.Timedelta(days=REPLAYED_DAYS - 1)
    usual = rows[(rows["created_at"] >= first - pd.Timedelta(days=28)) & (rows["created_at"] < first)]
    by_pair = usual.groupby(["district", "category"], sort=True)["created_at"]
    hours = {(str(d), str(c)): own.dt.hour.to_numpy() for (d, c), own in by_pair if len(own) >= LEAST * 28}
    pairs = list(hours)
    delay = (usual["received_at"] - usual["created_at"]).to_numpy()
    truth: list[tuple[str, str, pd.Timestamp, int, int]] = []
    added = []
    taken: dict[tuple[str, str], list[pd.Timestamp]] = {}
    while len(truth) < BURSTS:
        district, category = pairs[int(rng.integers(len(pairs)))]
        hour = hours[district, category]
        at = first + pd.Timedelta(days=int(rng.integers(REPLAYED_DAYS - 1)))
        onset = at + pd.Timedelta(hours=int(rng.choice(hour)))
        past = taken.setdefault((district, category), [])
        if any(abs(onset - other) < pd.Timedelta(days=APART) for other in past) or _disturbed(incidents, district, category, onset):
            continue
        ratio = int(rng.choice(RATIOS))
        in_hours = (onset.hour + np.arange(HOURS)) % 24
        tickets_of = rng.poisson((ratio - 1) * np.bincount(hour, minlength=24)[in_hours] / 28)
        seconds = np.repeat(np.arange(HOURS) * 3600, tickets_of) + rng.integers(0, 3600, tickets_of.sum())
        created = onset + pd.to_timedelta(np.sort(seconds), unit="s")
        made = pd.DataFrame({"created_at": created, "received_at": created + rng.choice(delay, len(created))})
        made = made.assign(district=district, category=category)
        past.append(onset)
        added.append(made)
        truth.append((district, category, onset, ratio, len(made)))
    new = pd.concat(added, ignore_index=True)
    new.insert(0, "ticket_id", [f"B{i:06d}" for i in range(len(new))])
    whole = pd.concat([rows, new[COLUMNS].astype(rows.dtypes.to_dict())]).sort_values("created_at", kind="stable", ignore_index=True)
    return whole, pd.DataFrame(truth, columns=["district", "category", "onset", "ratio", "tickets"])


def _disturbed(incidents: pd.DataFrame, district: str, category: str, onset: pd.Timestamp) -> bool:
    gap = pd.Timedelta(days=APART)
    near = incidents[(incidents["onset"] - gap <= onset) & (incidents["end"] + gap >= onset)]
    return any(
        category in (one["category"], *one["also"].split(";")) and (one["districts"] == ALL or district in one["districts"].split(";"))
        for one in near.to_dict("records")
    )


def folder(work: Path) -> Path:
    """Where the replay is kept."""
    return work / FOLDER / "replay"


def request(work: Path) -> Request:
    """The replay of the tickets with bursts, whose files are made if they are not there."""
    files = work / FOLDER
    if not (files / "tickets.parquet").exists():
        files.mkdir(parents=True, exist_ok=True)
        made = city.simulate(SEED, SCALE, START, END)
        tickets, truth = plant(made.tickets, made.incidents, END, SEED)
        truth.to_csv(files / "truth.csv", index=False)
        made.drivers.to_parquet(files / "drivers.parquet", index=False)
        half = files / "tickets.half"
        tickets.to_parquet(half, index=False)
        half.rename(files / "tickets.parquet")
    first = pd.Timestamp(END) - pd.Timedelta(days=REPLAYED_DAYS - 1)
    days = f"{first:%Y-%m-%d}", f"{END}"
    return Request(folder(work), *days, tickets=files / "tickets.parquet", drivers=files / "drivers.parquet", country="CN")


def local(moment: pd.Series, zone: str) -> pd.Series:
    """Moments as local time without an offset, whether they carry one or not."""
    times = pd.to_datetime(moment)
    return times if times.dt.tz is None else times.dt.tz_convert(zone).dt.tz_localize(None)


def delays(alerts: pd.DataFrame, truth: pd.DataFrame) -> pd.Series:
    """Hours from each burst's onset to the first alert in its category that names its district; infinite if none comes within a day."""
    raised = local(alerts["raised_at"], ZONE)
    hours = []
    for one in truth.to_dict("records"):
        named = np.array([one["district"] in several for several in alerts["districts"]], bool)
        after = (raised[named & (alerts["category"] == one["category"]).to_numpy()] - one["onset"]) / pd.Timedelta(hours=1)
        timely = after[(after > 0) & (after <= GIVEN_UP)]
        hours.append(float(timely.min()) if len(timely) else np.inf)
    return pd.Series(hours, truth.index, dtype=float)
