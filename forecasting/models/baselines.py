"""Cheap forecasts that every other one has to beat."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from forecasting.models.base import Known

WEEK = 7
RECENT_DAYS = 91  # days with counts on which bursts are looked for: four weeks, and what makes them usual
USUAL_DAYS = 28
BURST_RATIO, BURST_SPREAD = 2.5, 5.0  # a Monday after a holiday may bring twice the usual and more; beyond that and the noise it is an event
WEEKS_BACK = 4  # four weeks: recent, and one odd day is a quarter of it


@dataclass(frozen=True)
class SameWeekday:
    """The mean of the last `weeks` days of the same weekday that are known: 1 is the seasonal naive forecast, 4 the four-week mean.

    A node without a count on such a weekday gets the mean of the days that it has, and 0 without any.
    """

    weeks: int
    robust: bool = False

    def forecast(self, known: Known, horizon: int) -> np.ndarray:
        counts = known.counts
        if self.robust:
            # To what is new, zeros before its first day would make all a burst.
            counts = without_bursts(known.since_first[:, _start(counts) :])
        n_days = counts.shape[1]
        means = np.full((len(counts), WEEK), np.nan)
        for k in range(WEEK):  # k + 1 days ahead has the weekday of the days 6 - k, 13 - k, … before the cutoff
            same = counts[:, n_days - WEEK + k :: -WEEK] if n_days - WEEK + k >= 0 else counts[:, :0]
            means[:, k] = _mean_of_newest(same, self.weeks)
        recent = _mean_of_newest(counts[:, ::-1], WEEK * WEEKS_BACK)
        means = np.where(np.isnan(means), recent[:, None], means)
        return np.asarray(np.nan_to_num(means[:, np.arange(horizon) % WEEK]))

    @classmethod
    def load(cls, folder: Path) -> "SameWeekday":
        """Reads what `save` wrote."""
        weeks, robust = (folder / "weeks.txt").read_text().split()
        return cls(int(weeks), robust == "robust")

    def save(self, folder: Path) -> None:
        (folder / "weeks.txt").write_text(f"{self.weeks} {'robust' if self.robust else 'plain'}\n")


def _start(counts: np.ndarray) -> int:
    """Position from which on there are `RECENT_DAYS` days with a count; 0 if there are fewer."""
    days = np.flatnonzero(~np.isnan(counts).all(axis=0))
    return int(days[-RECENT_DAYS]) if len(days) >= RECENT_DAYS else 0


def without_bursts(counts: np.ndarray) -> np.ndarray:
    """Counts [M, T] with what is usual in the place of a burst: a storm is not forecast again a week later.

    What is a burst is judged by the days before it. The limit follows a change of level within two weeks, for it is a median over
    four. The first days of a history have no limit.
    """
    usual = pd.DataFrame(counts.T).rolling(USUAL_DAYS, min_periods=USUAL_DAYS // 4).median().shift(1).to_numpy().T
    limit = BURST_RATIO * usual + BURST_SPREAD * np.sqrt(usual + 1.0)
    # What is just above the limit is cut to it: taking it for usual would bias sparse series, whose usual day is zero.
    return np.where(counts > 2 * limit, usual, np.where(counts > limit, limit, counts))


def _mean_of_newest(newest_first: np.ndarray, k: int) -> np.ndarray:
    """Mean of the first k known values of each row; NaN where there is none."""
    there = ~np.isnan(newest_first)
    use = there & (np.cumsum(there, axis=1) <= k)
    number = use.sum(axis=1)
    total = np.where(use, newest_first, 0.0).sum(axis=1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


class _Baseline:
    fitted: ClassVar[type[SameWeekday]] = SameWeekday
    least_days: ClassVar[int] = 0
    ages: ClassVar[bool] = False
    reference: ClassVar[bool] = True
    weeks: ClassVar[int]
    robust: ClassVar[bool] = False

    def fit(self, known: Known, horizon: int, seed: int) -> SameWeekday:
        return SameWeekday(self.weeks, self.robust)

    def settings(self) -> dict[str, Any]:
        return {"weeks": self.weeks}


class SeasonalNaive(_Baseline):
    """The same weekday of the last week known."""

    name: ClassVar[str] = "seasonal_naive"
    weeks: ClassVar[int] = 1


class FourWeekMean(_Baseline):
    """The mean of the same weekday over the last four weeks."""

    name: ClassVar[str] = "four_week_mean"
    weeks: ClassVar[int] = WEEKS_BACK


class UsualWeeks(_Baseline):
    """The mean of the same weekday over the last four weeks with what is usual in the place of bursts: the blend's own baseline."""

    name: ClassVar[str] = "usual_weeks"
    reference: ClassVar[bool] = False
    weeks: ClassVar[int] = WEEKS_BACK
    robust: ClassVar[bool] = True
