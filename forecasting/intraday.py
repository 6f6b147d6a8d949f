"""Hours: how the tickets of a day fall over its hours, by category and kind of day, and the forecast of a day's hours from that.

A profile is 24 shares. It is learnt from some months of hourly counts, and where a category has few tickets it is drawn towards the profile
of the category above it, and that towards the city's: the mean of a Dirichlet posterior whose prior is the profile above (Gelman et al.,
Bayesian Data Analysis, ch. 5). Profiles belong to the leaves of the category tree; the hours of a sum are the sum of the hours of its leaves, so
hours add up over both trees and to their day.

The scatter of an hour: what moves a day (the gamma factor of its negative binomial) is taken to move all of its hours alike; then an hour
is negative binomial with its own mean and the day's dispersion. Bursts within a day scatter more than that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from forecasting.hierarchy import Tree

DAYS = 182  # of hourly counts that are learnt from: half a year has 50 free days, and follows how people live now
PRIOR = 50.0  # tickets that the profile above is worth: two an hour
LEAST_TICKETS = 100  # with an hour, of a kind of day in the whole city; below it a day has no profile
MIDNIGHT = 0.5  # share of tickets in the first hour from which on they carry a date alone: night noise is far below
HALF_HOUR = timedelta(minutes=30)  # clocks are shifted by an hour, in one place by half of it

WORKING, FREE = 0, 1
HOURS = tuple(f"h{hour:02d}" for hour in range(24))
COLUMNS = ("category", "path", "date", *HOURS)


@dataclass(frozen=True)
class Profiles:
    """Shares of the hours of a day.

    Attributes:
        paths: category -> itself, the categories above it, the root; of the C leaves.
        shares: [C, 2, 24] on working and on free days (weekend and holiday), adding up to 1 over the hours.
    """

    paths: Mapping[str, tuple[str, ...]]
    shares: np.ndarray

    def of_days(self, working: pd.Series, zone: ZoneInfo) -> pd.DataFrame:
        """The shares of the hours of given days.

        Args:
            working: day -> whether it is worked.
            zone: whose clocks; a share is in proportion to how long the hour lasts on that day.

        Returns:
            a row per category and day, columns COLUMNS; NaN for an hour that the day's clock leaves out, the others add up to 1.
        """
        days = pd.DatetimeIndex(working.index)
        length = np.stack([lengths(day, zone) for day in days])
        share = self.shares[:, np.where(working.to_numpy(bool), WORKING, FREE)] * length  # [C, D, 24]
        share = np.where(length > 0, share / share.sum(axis=-1, keepdims=True), np.nan)
        c, d = len(self.paths), len(days)
        about = {
            "category": np.repeat(np.array(list(self.paths), dtype=object), d),
            "path": [list(path) for path in self.paths.values() for _ in range(d)],
            "date": np.tile(days.to_numpy(), c),
        }
        return pd.DataFrame(about | dict(zip(HOURS, share.reshape(c * d, 24).T, strict=True)))


def learn(hourly: pd.DataFrame, working: pd.Series, leaves: list[str], categories: Tree) -> Profiles | None:
    """Profiles of the leaves of the category tree.

    Args:
        hourly: `category` (leaf), `date`, `hour` (0 to 23 on the city's clock), `count`.
        working: day -> whether it is worked; other days are left out.
        leaves: the categories that get a profile, with tickets or without.
        categories: the tree.

    Returns:
        None where too few tickets tell an hour. Days on which most of the city's tickets lie in the first hour carry dates alone, and so
        do categories: they teach nothing, and such a category has the profile of what is above it.
    """
    frame = hourly[hourly["date"].isin(working.index)]
    for key in ("date", "category"):
        total = frame.groupby(key)["count"].sum()
        first = frame[frame["hour"] == 0].groupby(key)["count"].sum().reindex(total.index, fill_value=0)
        frame = frame[~frame[key].isin(total.index[first > MIDNIGHT * total])]
    kind = np.where(frame["date"].map(working).to_numpy(bool), WORKING, FREE)
    names, which = np.unique(frame["category"].to_numpy(object), return_inverse=True)
    counts = np.zeros((len(names), 2, 24))
    np.add.at(counts, (which, kind, frame["hour"].to_numpy(int)), frame["count"].to_numpy(float))
    if (counts.sum(axis=(0, 2)) < LEAST_TICKETS).any():
        return None
    of = dict(zip(names, np.maximum(counts, 0.0), strict=True))  # a correction may outweigh what was counted
    sums: dict[str, np.ndarray] = {}
    for name, own in of.items():
        for above in categories.path(name):
            sums[above] = sums.get(above, 0.0) + own
    found: dict[str, np.ndarray] = {}

    def profile(path: tuple[str, ...]) -> np.ndarray:
        if path[0] not in found:
            above = profile(path[1:]) if len(path) > 1 else np.full((2, 24), 1 / 24)
            own = sums.get(path[0], np.zeros((2, 24)))
            found[path[0]] = (own + PRIOR * above) / (own.sum(axis=-1, keepdims=True) + PRIOR)
        return found[path[0]]

    paths = {leaf: categories.path(leaf) for leaf in sorted(leaves)}
    return Profiles(paths, np.stack([profile(path) for path in paths.values()]))


def lengths(day: pd.Timestamp, zone: ZoneInfo) -> np.ndarray:
    """[24] how often each hour of a day's clock passes: 1, on the days on which clocks are shifted once 0 and once 2."""
    at, end = (datetime.combine(date, time.min, zone).astimezone(UTC) for date in (day.date(), day.date() + timedelta(days=1)))
    out = np.zeros(24)
    while at < end:
        out[at.astimezone(zone).hour] += 0.5
        at += HALF_HOUR
    return out


def hours(rows: pd.DataFrame, frame: pd.DataFrame, shares: pd.DataFrame) -> pd.DataFrame:
    """The hours of days.

    Args:
        rows: the days asked for, of any nodes, rows of `frame`.
        frame: a forecast set: `area`, `category`, `date`, `mean`, `dispersion` and any others.
        shares: see `Profiles.of_days`; days that it lacks have no hours.

    Returns:
        `rows` once for each hour of its day, in their order, with `hour`, the mean of the hour and the dispersion of the day. An hour that
        passes twice is one row.
    """
    asked = rows[rows["date"].isin(shares["date"].unique())].reset_index(drop=True)
    below = shares.drop_duplicates("category")[["category", "path"]].explode("path").rename(columns={"category": "leaf", "path": "category"})
    keys = asked[["area", "category", "date"]].astype({"area": str, "category": str}).assign(row=np.arange(len(asked)))
    there = frame[frame["date"].isin(keys["date"].unique()) & frame["category"].isin(below["leaf"])][["area", "category", "date", "mean"]]
    there = there.rename(columns={"category": "leaf"}).astype({"area": str, "leaf": str})
    parts = keys.merge(below.astype(str), on="category").merge(there, on=["area", "leaf", "date"])
    at = pd.MultiIndex.from_frame(shares[["category", "date"]]).get_indexer(pd.MultiIndex.from_frame(parts[["leaf", "date"]]))
    share = shares[list(HOURS)].to_numpy(float)
    means = np.zeros((len(asked), 24))
    np.add.at(means, parts["row"].to_numpy(), parts["mean"].to_numpy(float)[:, None] * np.nan_to_num(share[at]))
    a_day = shares.drop_duplicates("date").set_index("date")[list(HOURS)].notna()
    exists = a_day.loc[asked["date"]].to_numpy(bool)
    row, hour = np.nonzero(exists)
    return asked.iloc[row].assign(hour=hour, mean=means[row, hour]).reset_index(drop=True)
