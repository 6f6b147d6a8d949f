"""Incidents planted in clean counts: what, where, when and how large is known, and tickets stay whole numbers.

The planted year is the last 364 days, cut into thirteen slots of the longest event and its grace; a series has at most one event in a slot, so
events and graces never overlap. An event is its size in standard deviations of the series (of its daily counts in the year before) on its highest
day, times its shape; the tickets of each day are drawn from Poisson distributions with these means, and there is at least one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from experiments.benchmarks.detection.scoring import GRACE

PLANTED_DAYS = 364
LONGEST = 21
SLOT = LONGEST + GRACE  # 28 days, thirteen of them
LEAST_MEAN = 0.1  # tickets a day in the year before: below it, ten standard deviations are three tickets
SIZES = (2, 3, 5, 10)
LENGTHS = {"step": (1, 3, 7, 14, 21), "spike": (1, 2, 3), "ramp": (5, 10, 21), "lognormal": (5, 10, 21)}
SINGLE, SEVERAL, WHOLE = "series", "districts", "category"
WHOLE_SHARE, SEVERAL_SHARE = 0.03, 0.15  # of a category's slots that have an event in all, or in several districts
SINGLE_SHARE = 0.27  # of the other slots of a series that have an event of its own: about four events in a series' year
FEWEST, MOST = 2, 5  # districts of an event in several
FADE = 0.5  # from one day of a spike to the next
SPREAD = 0.5  # of the log-normal shape: its height comes after a fifth of its time

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Planted:
    """Counts with and without planted incidents.

    Attributes:
        clean: days x series, the whole history; columns are `district|category`.
        injected: the planted year x series.
        truth: `event, series, onset, peak, end, shape, size, spread, days, tickets`, a row per event and series; `peak` is the day with most
            planted tickets, the first such.
    """

    clean: pd.DataFrame
    injected: pd.DataFrame
    truth: pd.DataFrame

    @property
    def counts(self) -> pd.DataFrame:
        """Days x series with the incidents."""
        return self.clean.add(self.injected.reindex(self.clean.index, fill_value=0))

    def write(self, folder: Path) -> None:
        """`clean.csv`, `planted.csv`, `injected.csv` (days x series) and `truth.csv`; the last says that all are there."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in (("clean", self.clean), ("planted", self.counts), ("injected", self.injected)):
            frame.to_csv(folder / f"{name}.csv", index_label="date")
        self.truth.to_csv(folder / "truth.csv", index=False)


def read(folder: Path) -> Planted:
    """What `write` has written."""
    clean, injected = (pd.read_csv(folder / f"{name}.csv", index_col="date", parse_dates=["date"]) for name in ("clean", "injected"))
    return Planted(clean, injected, pd.read_csv(folder / "truth.csv", parse_dates=["onset", "peak", "end"]))


def name_of(district: str, category: str) -> str:
    """A series' name."""
    return f"{district}|{category}"


def wide(counts: pd.DataFrame) -> pd.DataFrame:
    """`district, category, date, count` as days x series, every day from the first to the last, 0 where there is no row."""
    named = counts.assign(series=counts["district"].astype(str) + "|" + counts["category"].astype(str))
    table = named.pivot_table(index="date", columns="series", values="count", aggfunc="sum", fill_value=0)
    days = pd.date_range(table.index[0], table.index[-1], name="date")
    return table.reindex(days, fill_value=0).astype(int).rename_axis(columns=None)


def long(counts: pd.DataFrame) -> pd.DataFrame:
    """Days x series as `district, category, date, count`, rows with tickets only."""
    day, column = np.nonzero(counts.to_numpy())
    pair = pd.Series(counts.columns).str.split("|", n=1, expand=True)
    codes = {name: pair[i].to_numpy()[column] for i, name in enumerate(("district", "category"))}
    return pd.DataFrame({**codes, "date": counts.index[day], "count": counts.to_numpy()[day, column]})


def profile(shape: str, length: int) -> Floats:
    """[length] height by day, 1 on the highest."""
    day = np.arange(length)
    if shape == "step":
        return np.ones(length)
    if shape == "spike":
        return np.asarray(FADE**day)
    if shape == "ramp":
        return (day + 1) / length
    time = (day + 0.5) * 4 / length
    density = np.exp(-((np.log(time) / SPREAD) ** 2) / 2) / time
    return np.asarray(density / density.max())


def plant(counts: pd.DataFrame, seed: int | tuple[int, ...]) -> Planted:
    """Plants incidents in the last 364 days.

    Args:
        counts: days x series, see `wide`. Only series with 0.1 tickets a day or more in the year before are planted, and kept.
    """
    rng = np.random.default_rng(seed)
    before = counts.iloc[-2 * PLANTED_DAYS : -PLANTED_DAYS]
    clean = counts.loc[:, before.mean() >= LEAST_MEAN]
    deviation = before[clean.columns].std().to_numpy(float)
    days = clean.index[-PLANTED_DAYS:]
    excess = np.zeros((PLANTED_DAYS, clean.shape[1]), int)
    category = np.array([name.split("|", 1)[1] for name in clean.columns])
    rows = []
    number = 0
    for slot in range(0, PLANTED_DAYS, SLOT):
        for code in np.unique(category):
            for spread, members in _groups(rng, np.flatnonzero(category == code)):
                shape = str(rng.choice(list(LENGTHS)))
                size, length = int(rng.choice(SIZES)), int(rng.choice(LENGTHS[shape]))
                first = slot + int(rng.integers(LONGEST - length + 1))
                height = profile(shape, length)
                number += 1
                for column in members:
                    tickets = rng.poisson(size * deviation[column] * height)
                    tickets[height.argmax()] += not tickets.any()
                    excess[first : first + length, column] += tickets
                    at = days[[first, first + int(tickets.argmax()), first + length - 1]]
                    rows.append((number, clean.columns[column], *at, shape, size, spread, length, int(tickets.sum())))
    names = ["event", "series", "onset", "peak", "end", "shape", "size", "spread", "days", "tickets"]
    return Planted(clean, pd.DataFrame(excess, days, clean.columns), pd.DataFrame(rows, columns=names))


def _groups(rng: np.random.Generator, columns: npt.NDArray[np.intp]) -> list[tuple[str, Sequence[int]]]:
    """What happens to the series of one category in one slot: groups that share an event."""
    draw = rng.random()
    if draw < WHOLE_SHARE and len(columns) > MOST:
        return [(WHOLE, columns.tolist())]
    taken: list[int] = []
    if WHOLE_SHARE <= draw < WHOLE_SHARE + SEVERAL_SHARE and len(columns) > FEWEST:
        taken = rng.choice(columns, min(int(rng.integers(FEWEST, MOST + 1)), len(columns)), replace=False).tolist()
    alone = [(SINGLE, [c]) for c in columns[rng.random(len(columns)) < SINGLE_SHARE].tolist() if c not in taken]
    return [(SEVERAL, taken), *alone] if taken else list(alone)
