"""A town that is lived through day after day by somebody who knows its means: four districts, eight categories."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from forecasting.detection import replay
from forecasting.detection.explain import Labels
from forecasting.detection.issued import Issued
from forecasting.detection.replay import Lived, World
from forecasting.detection.running import Running
from forecasting.detection.usual import Trust, Usual
from forecasting.hierarchy import Tree, build

DISTRICTS = tuple(f"d{i}" for i in range(1, 5))
CATEGORIES = ("FIRE", "GREEN", "HEAT", "NOISE", "ROAD", "TRAF", "WASTE", "WATER")
SERIES = pd.DataFrame([(d, c) for d in DISTRICTS for c in CATEGORIES], columns=["area", "category"])
CITY = build(SERIES, Tree(), Tree())
PAIRS = list(zip(CITY.nodes["area"], CITY.nodes["category"], strict=True))
WEEK = np.array([1.15, 1.1, 1.05, 1.05, 1.05, 0.85, 0.75])
HOURS = np.array([1, 1, 1, 1, 1, 2, 4, 7, 10, 10, 9, 8, 6, 7, 8, 8, 7, 6, 5, 4, 3, 3, 2, 2], float)
HOURS /= HOURS.sum()
SCATTER = 0.02
BEGIN = pd.Timestamp("2025-03-03")  # a Monday
LEVEL = 2 * np.outer([1.5, 1.0, 1.0, 0.7], [4.0, 8.0, 12.0, 12.0, 8.0, 10.0, 10.0, 6.0]).ravel()


def at(area: str, category: str) -> int:
    """Position of a node."""
    return PAIRS.index((area, category))


@dataclass
class Town:
    """Its counts by hour [N, T, 24] and what is forecast of them [N, T].

    Attributes:
        first: the day from which on it is lived through.
        refit: days between two forecasts.
    """

    hours: np.ndarray
    mean: np.ndarray
    first: int
    refit: int = 14
    by_hour: bool = False
    missing: dict[tuple[str, int], bool] = field(default_factory=dict)
    days: pd.DatetimeIndex = field(init=False)

    def __post_init__(self) -> None:
        self.days = pd.date_range(BEGIN, periods=self.mean.shape[1])

    # What a replay sees.

    def counts(self, day: int) -> np.ndarray:
        out = self.hours[:, : day + 1].sum(axis=2)
        for (district, gone), _ in self.missing.items():
            if gone <= day:
                out[SERIES["area"] == district, gone] = np.nan
        return out

    def hours_of(self, day: int) -> np.ndarray:
        return self.hours[:, day].cumsum(axis=1)

    def share(self, cutoff: int, day: int) -> np.ndarray | None:
        return np.tile(HOURS.cumsum(), (len(SERIES), 1)) if self.by_hour else None

    # What happens in it.

    def on(self, day: int, district: str | None, category: str | None, tickets: dict[int, int]) -> "Town":
        """More tickets at some hours of a day, in one district or in all, of one category or of all."""
        rows = ((SERIES["area"] == district) | (district is None)) & ((SERIES["category"] == category) | (category is None))
        hours = self.hours.copy()
        for hour, more in tickets.items():
            hours[np.flatnonzero(rows), day, hour] += more
        return self._with(hours)

    def twice(self, day: int, district: str | None = None) -> "Town":
        """A day's file delivered twice."""
        hours = self.hours.copy()
        hours[(SERIES["area"] == district) | (district is None), day] *= 2
        return self._with(hours)

    def without(self, day: int, district: str) -> "Town":
        """A day of a district that never came."""
        town = self._with(self.hours)
        town.missing[district, day] = True
        return town

    def _with(self, hours: np.ndarray) -> "Town":
        return Town(hours, self.mean, self.first, self.refit, self.by_hour, dict(self.missing))

    # How it is lived through.

    def issued(self, named: np.ndarray | None = None) -> Iterator[Issued]:
        """Forecasts that know the mean, and have been tried since the first day; `named` [N]: the day on which a series was first named."""
        for cutoff in range(self.first - 1, len(self.days), self.refit):
            there = np.arange(len(SERIES)) if named is None else np.flatnonzero(named <= cutoff)
            city = build(SERIES.iloc[there].reset_index(drop=True), Tree(), Tree())
            days = np.arange(cutoff + 1, cutoff + 29)
            bottom = LEVEL[there, None] * WEEK[days % 7] if days[-1] >= len(self.days) else self.mean[np.ix_(there, days)]
            mean, spread = city.total(bottom), city.total(SCATTER * bottom**2)
            scatter = (spread / mean**2).mean(axis=1)
            trust = Trust(scatter, np.zeros(len(mean)), np.zeros(len(mean)))
            nodes = list(zip(city.nodes["area"], city.nodes["category"], strict=True))
            dispersion = np.repeat(scatter[:, None], 28, axis=1)
            past = Usual(trust)
            for day in range(self.first if cutoff >= self.first else cutoff + 1, cutoff + 1):
                past.begin(city.total(self.mean[there, day, None])[:, 0])
                past.end(city.total(self.counts(cutoff)[there, day, None]))
            yield Issued(self.days[cutoff], nodes, mean, dispersion, np.empty((len(mean), 0)), trust, past)

    def live(self, budget: float = 0.5, zone: str = "Asia/Shanghai", named: np.ndarray | None = None) -> list[Lived]:
        world = World(CITY, Tree(), Tree(), Labels(), budget=budget)
        return list(replay.live(_Seen(self), self.issued(named), world, self.first, zone))


class _Seen:
    """A town as `replay.Seen`."""

    def __init__(self, town: Town) -> None:
        self.town, self.days = town, town.days

    def counts(self, day: int) -> np.ndarray:
        return self.town.counts(day)

    def hours(self, day: int) -> np.ndarray | None:
        return self.town.hours_of(day) if self.town.by_hour else None

    def share(self, cutoff: int, day: int) -> np.ndarray | None:
        return self.town.share(cutoff, day)


def quiet(days: int = 44, first: int = 20, seed: int = 1, by_hour: bool = False, refit: int = 14) -> Town:
    """A town in which nothing happens."""
    rng = np.random.default_rng(seed)
    mean = LEVEL[:, None] * WEEK[np.arange(days) % 7]
    rate = mean * rng.gamma(1 / SCATTER, SCATTER, mean.shape)
    return Town(rng.poisson(rate[:, :, None] * HOURS).astype(float), mean, first, refit, by_hour)


def told(lived: list[Lived], data: bool = False) -> list[tuple[pd.Timestamp, Running]]:
    """What was told about demand, or about the data."""
    return [(moment, one) for day in lived for moment, one in day.told if (one.finding.kind == "DATA") == data]


def raised(lived: list[Lived], data: bool = False) -> list[tuple[pd.Timestamp, Running]]:
    """Each alert when it was raised."""
    seen: dict[str, tuple[pd.Timestamp, Running]] = {}
    for moment, one in told(lived, data):
        seen.setdefault(one.alert_id, (moment, one))
    return list(seen.values())
