"""What calendar and weather do, as factors: a penalised Poisson regression of every category, and a smoothed level times its factors.

Log-linear because effects multiply: a holiday takes a share of the tickets, a cold front doubles them. It is Prophet's additive model
(Taylor & Letham 2018) with a log link, a count likelihood (quasi-likelihood with variance mean + phi * mean², McCullagh & Nelder 1989)
and the drivers as regressors; the penalties are normal priors of the effects, see `forecasting.effects`. Series and districts are too
thin for a regression of their own: a node takes the effects of its category, with its own district's weather. The trend serves the
regression only; the level of each node comes from `smoothing`, with the factors as exposure.

Own code: a library fits one series at a time, and none takes drivers as they were known on the day.
"""

import json
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from forecasting import effects, shifts
from forecasting.effects import Design
from forecasting.hierarchy import ALL
from forecasting.models import smoothing
from forecasting.models.base import Known, NoOpinion

TREND_PRIOR = 0.1  # standard deviation of the change of the log level's slope from one quarter to the next
FREE = 1e-6  # precision of the constant: none to speak of
QUARTER = 91
MOST_LOG = 12.0  # of a mean while the fit is on its way: 160,000 a day; beyond it a step of the scoring overflows
STEPS = 12  # of Fisher scoring: six are usually enough
FREE_STEPS = 3  # before bursts are cut: the fit must know what is usual first
CLOSE = 1e-3  # change of every effect at which the fit has converged
BURST = 4.0  # standard deviations beyond which a day is cut to that: an event is no effect of the calendar
PHI, PHI_LIMITS = 0.02, (1e-4, 2.0)  # dispersion to begin with, and its limits
LARGEST = 5.0  # of the log of a factor: 150 times; heating complaints rise fiftyfold within days
LEAST_TOTAL = 50  # tickets of a category in the history; below it there is nothing to estimate an effect from
CLIMATE_DAYS = 31  # around the same day of earlier years, whose mean factor stands for a day without a weather forecast
YEAR, YEARS_BACK = 365, 3
RECENT = 28  # days whose mean factor stands for it where no earlier year is known


@dataclass(frozen=True)
class FittedLoglinear:
    """Effects by category.

    Attributes:
        years: at most so many years of history make a level.
        design: the columns.
        effects: category -> effect of each column, those of the calendar before those of the weather.
    """

    years: int
    design: Design
    effects: Mapping[str, np.ndarray]

    def forecast(self, known: Known, horizon: int) -> np.ndarray:
        start = smoothing.start(known, self.years)
        logs, which = self.logs(known, horizon, start)
        factors = np.exp(logs.sum(axis=0))
        return smoothing.smooth(known, horizon, start, factors, which, _moved(known, start, factors, which))

    def moved(self, known: Known) -> np.ndarray:
        """[M] which nodes have moved to another level: their forecasts follow the last days."""
        start = smoothing.start(known, self.years)
        logs, which = self.logs(known, 1, start)
        return _moved(known, start, np.exp(logs.sum(axis=0)), which)

    def logs(self, known: Known, horizon: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        """Logs of what calendar and weather multiply a day's tickets by.

        Args:
            start: position of the first day, from which on there are n to the horizon's end.

        Returns:
            [G, U, n] by group of `effects.GROUPS`, for each distinct pair of effects and weather; their sum has mean 0 over the days
            known. [M] which of the U pairs is each node's.
        """
        nodes, table = known.hierarchy.nodes, known.calendar(horizon).iloc[start : len(known.panel.days) + horizon]
        calendar, _, groups = self.design.calendar(table)
        weather, _, given = _weather(self.design, known, horizon, start, table)
        area = known.drivers.rows(nodes["area"].to_numpy()) if known.drivers else np.zeros(len(nodes), int)
        owner = {c: next((a for a in known.categories.path(c) if a in self.effects), None) for c in nodes["category"].unique()}
        codes = sorted(self.effects)
        effect = np.array([codes.index(name) if (name := owner[c]) is not None else -1 for c in nodes["category"]])
        pairs, which = np.unique(np.column_stack([effect, area]), axis=0, return_inverse=True)
        out = np.zeros((len(effects.GROUPS), len(pairs), len(table)))
        for u, (e, a) in enumerate(pairs):
            if e < 0:
                continue
            b = self.effects[codes[e]]
            for g in range(len(effects.GROUPS)):
                out[g, u] = calendar[:, groups == g] @ b[: calendar.shape[1]][groups == g]
            if weather.shape[-1]:
                out[-1, u] = _expected(weather[a] @ b[calendar.shape[1] :], given[a], horizon)
        out = np.clip(out, -LARGEST, LARGEST)
        out -= out[..., : len(table) - horizon].mean(axis=-1, keepdims=True)
        return out, which.ravel()

    @classmethod
    def load(cls, folder: Path) -> "FittedLoglinear":
        """Reads what `save` wrote."""
        read = json.loads((folder / "loglinear.json").read_text("utf-8"))
        return cls(read["years"], Design.from_mapping(read["design"]), {c: np.array(b) for c, b in read["effects"].items()})

    def save(self, folder: Path) -> None:
        made = {"years": self.years, "design": self.design.as_mapping(), "effects": {c: b.tolist() for c, b in sorted(self.effects.items())}}
        (folder / "loglinear.json").write_text(json.dumps(made, ensure_ascii=False, indent=1), "utf-8")


@dataclass(frozen=True)
class Loglinear:
    """Settings of the regressions.

    Attributes:
        years: at most so many years of history.
    """

    years: int = 10

    limits: ClassVar[dict[str, tuple[float, float]]] = {"years": (1, 100)}
    """What the model takes, setting by setting."""
    name: ClassVar[str] = "loglinear"
    reference: ClassVar[bool] = False
    fitted: ClassVar[type[FittedLoglinear]] = FittedLoglinear
    least_days: ClassVar[int] = 56  # eight weeks tell a week; what a shorter history cannot tell stays near no effect
    ages: ClassVar[bool] = False

    def fit(self, known: Known, horizon: int, seed: int, executor: Executor | None = None) -> FittedLoglinear | NoOpinion:
        start = smoothing.start(known, self.years)
        n_days = len(known.panel.days) - start
        table = known.calendar(horizon).iloc[start : start + n_days]
        design = effects.design(table, *_observed(known, start))
        calendar, calendar_prior, _ = design.calendar(table)
        weather, weather_prior, _ = _weather(design, known, 0, start, table)
        trend = _trend(n_days)
        columns = np.concatenate([np.ones((n_days, 1)), trend, calendar, weather[0]], axis=1)
        precision = np.concatenate([[FREE], np.full(trend.shape[1], TREND_PRIOR), calendar_prior, weather_prior])
        precision[1:] = precision[1:] ** -2
        nodes = known.hierarchy.nodes
        found = {}
        for i in np.flatnonzero(nodes["area"].to_numpy() == ALL):
            counts = known.since_first[i, start:]
            use = ~np.isnan(counts)
            if counts[use].sum() >= LEAST_TOTAL:
                b = _fit(counts[use], columns[use], precision)
                found[str(nodes["category"].iloc[i])] = b[1 + trend.shape[1] :]
        return FittedLoglinear(self.years, design, found) if found else NoOpinion()

    def settings(self) -> dict[str, Any]:
        return asdict(self)


def _moved(known: Known, start: int, factors: np.ndarray, which: np.ndarray) -> np.ndarray:
    counts = known.since_first[:, start:]
    return shifts.moved(counts / factors[which, : counts.shape[1]])


def _fit(counts: np.ndarray, columns: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Effects [P] of columns [n, P] on the log of the mean of counts [n], by Fisher scoring; the first column is the constant."""
    b = np.zeros(columns.shape[1])
    b[0] = np.log(counts.mean())
    phi, cut = PHI, counts
    for step in range(STEPS):
        log = np.clip(columns @ b, -MOST_LOG, MOST_LOG)
        mean = np.exp(log)
        if step >= FREE_STEPS:
            scatter = BURST * np.sqrt(mean + phi * mean**2)
            cut = np.clip(counts, mean - scatter, mean + scatter)
            phi = float(np.clip(((cut - mean) ** 2 - mean).sum() / (mean**2).sum(), *PHI_LIMITS))
        weight = mean / (1.0 + phi * mean)
        weighted = columns * weight[:, None]
        gram = weighted.T @ columns
        gram[np.diag_indices_from(gram)] += precision
        new = np.linalg.solve(gram, weighted.T @ (log + (cut - mean) / mean))
        moved, b = float(np.abs(new - b).max()), new
        if step > FREE_STEPS and moved < CLOSE:
            break
    return b


def _trend(n_days: int) -> np.ndarray:
    """[n, Q] quarters since each quarter's beginning: slopes that change; the last quarter has none of its own."""
    knots = np.arange(0, max(n_days - QUARTER, 1), QUARTER)
    return np.asarray(np.maximum(np.arange(n_days)[:, None] - knots, 0) / QUARTER)


def _observed(known: Known, start: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the K drivers observed from `start` on, and their values [K, A, n]; on a day without an observation what is usual."""
    if known.drivers is None:
        return (), np.zeros((0, 1, len(known.panel.days) - start))
    values, given = known.drivers.known(pd.DatetimeIndex([known.cutoff]), len(known.panel.days) - 1 - start, 0)
    seen = np.asarray(given.any(axis=(1, 2, 3)))
    return tuple(name for name, use in zip(known.drivers.names, seen, strict=True) if use), values[seen, :, 0]


def _weather(design: Design, known: Known, horizon: int, start: int, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns [A, n, Q] of the drivers as known at the cutoff, their priors [Q], and [A, n] which days have all that they need."""
    heating = effects.heating_runs(table).astype(float)
    if known.drivers is None or not design.drivers:
        areas = len(known.drivers.areas) if known.drivers else 1
        return np.zeros((areas, len(table), 0)), np.zeros(0), np.ones((areas, len(table)), bool)
    values, given = known.drivers.known(pd.DatetimeIndex([known.cutoff]), len(known.panel.days) - 1 - start, horizon)
    place = {name: k for k, name in enumerate(known.drivers.names)}
    order = [place[driver.name] for driver in design.drivers]
    columns, priors = design.weather(values[order, :, 0], heating)
    return columns, priors, np.asarray(given[order, :, 0].all(axis=0))


def _expected(log: np.ndarray, given: np.ndarray, horizon: int) -> np.ndarray:
    """Log factors [n] of the weather, with what is usual for the season on days to come whose weather [n] is not given.

    What is usual is the mean of the factor and not the factor of the mean: some rain every day is not what rain is.
    """
    n_days = len(log) - horizon
    missing = np.flatnonzero(~given[n_days:]) + n_days
    if not len(missing):
        return log
    factor = np.exp(np.clip(log[:n_days], -LARGEST, LARGEST))
    smooth = pd.Series(factor).rolling(CLIMATE_DAYS, center=True, min_periods=1).mean().to_numpy()
    back = missing[:, None] - YEAR * np.arange(1, YEARS_BACK + 1)
    there = (back >= 0) & (back < n_days)
    years = np.where(there, smooth[np.clip(back, 0, n_days - 1)], 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    out = log.copy()
    out[missing] = np.log(np.where(there.any(axis=1), years, factor[-RECENT:].mean()))
    return out
