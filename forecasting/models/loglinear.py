"""What calendar and weather do, as factors: a penalised Poisson regression of every category, and a smoothed level times its factors.

Log-linear because effects multiply: a holiday takes a share of the tickets, a cold front doubles them. It is Prophet's additive model
(Taylor & Letham 2018) with a log link, a count likelihood and the drivers as regressors; the penalties are normal priors of the effects,
see `forecasting.effects`, and how large the effects of weekdays, holidays, season and each driver are in a category is learnt, see
`count_regression`. Series and districts are too thin for a regression of their own: a node takes the effects of its category, with its own
district's weather. The trend serves the regression only; the level of each node comes from `smoothing`, with the factors as exposure.

Own code: a library fits one series at a time, and none takes drivers as they were known on the day.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from forecasting import effects, shifts
from forecasting.drivers import Drivers
from forecasting.effects import Design
from forecasting.hierarchy import ALL
from forecasting.models import count_regression, foresight, smoothing
from forecasting.models.base import Known, NoOpinion

TREND_PRIOR = 0.1  # standard deviation of a change of the log level's slope, a quarter
QUARTER = 91
BEND = 2 * QUARTER  # days from one change of the slope to the next: with quarters the trend follows what is the season's
LARGEST = 5.0  # of the log of a factor: 150 times; heating complaints rise fiftyfold within days
LEAST_TOTAL = 50  # tickets of a category in the history; below it there is nothing to estimate an effect from
MOST_AREAS = 20  # whose forecasts are learnt from: areas of one city have much the same weather
LAGS = 2  # days before a day whose weather acts on it


@dataclass(frozen=True)
class FittedLoglinear:
    """Effects by category.

    Attributes:
        years: at most so many years of history make a level.
        design: the columns.
        effects: category -> effect of each column, those of the calendar before those of the weather.
        trusted: category -> [K, H + 1, H + 1] what each of the design's drivers tells of later days; see `foresight.trust`.
    """

    years: int
    design: Design
    effects: Mapping[str, np.ndarray]
    trusted: Mapping[str, np.ndarray]

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
            of_weather = b[calendar.shape[1] :]
            for k, columns in enumerate(self.design.of_drivers if known.drivers else ()):
                out[-1, u] += _expected(weather[a][:, columns] @ of_weather[columns], given[k, a], self.trusted[codes[e]][k], horizon)
        out = np.clip(out, -LARGEST, LARGEST)
        out -= out[..., : len(table) - horizon].mean(axis=-1, keepdims=True)
        return out, which.ravel()

    @classmethod
    def load(cls, folder: Path) -> "FittedLoglinear":
        """Reads what `save` wrote."""
        read = json.loads((folder / "loglinear.json").read_text("utf-8"))
        return cls(read["years"], Design.from_mapping(read["design"]), *(_arrays(read[k]) for k in ("effects", "trusted")))

    def save(self, folder: Path) -> None:
        tables = {"effects": self.effects, "trusted": self.trusted}
        lists = {name: {c: b.tolist() for c, b in sorted(table.items())} for name, table in tables.items()}
        made = {"years": self.years, "design": self.design.as_mapping(), **lists}
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

    def fit(self, known: Known, horizon: int, seed: int) -> FittedLoglinear | NoOpinion:
        start = smoothing.start(known, self.years)
        n_days = len(known.panel.days) - start
        table = known.calendar(horizon).iloc[start : start + n_days]
        design = effects.design(table, *_observed(known, start))
        calendar, calendar_prior, groups = design.calendar(table)
        weather, weather_prior, given = _weather(design, known, 0, start, table)
        trend = _trend(n_days)
        columns = np.concatenate([np.ones((n_days, 1)), trend, calendar, weather[0]], axis=1)
        scales = np.concatenate([[1.0], np.full(trend.shape[1], TREND_PRIOR), calendar_prior, weather_prior])
        of_drivers = np.repeat(np.arange(len(design.drivers)), [len(driver.priors) for driver in design.drivers]) + len(effects.GROUPS)
        alike = np.concatenate([np.full(1 + trend.shape[1], count_regression.GIVEN), groups, of_drivers])
        nodes = known.hierarchy.nodes
        found = {}
        for i in np.flatnonzero(nodes["area"].to_numpy() == ALL):
            counts = known.since_first[i, start:]
            use = ~np.isnan(counts)
            if counts[use].sum() >= LEAST_TOTAL:
                b = count_regression.fit(counts[use], columns[use], scales, alike)
                found[str(nodes["category"].iloc[i])] = b[1 + trend.shape[1] :]
        if not found:
            return NoOpinion()
        of_weather = {c: b[calendar.shape[1] :] for c, b in found.items()}
        return FittedLoglinear(self.years, design, found, _trusted(design, known, horizon, start, weather, given, of_weather))

    def settings(self) -> dict[str, Any]:
        return asdict(self)


def _arrays(table: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.array(values) for name, values in table.items()}


def _moved(known: Known, start: int, factors: np.ndarray, which: np.ndarray) -> np.ndarray:
    counts = known.since_first[:, start:]
    return shifts.moved(counts / factors[which, : counts.shape[1]])


def _trend(n_days: int) -> np.ndarray:
    """[n, Q] quarters since the beginning of each half year: slopes that change; the last half year has none of its own."""
    knots = np.arange(0, max(n_days - BEND, 1), BEND)
    return np.asarray(np.maximum(np.arange(n_days)[:, None] - knots, 0) / QUARTER)


def _observed(known: Known, start: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the K drivers observed from `start` on, and their values [K, A, n], NaN where there is none."""
    if known.drivers is None:
        return (), np.zeros((0, 1, len(known.panel.days) - start))
    values, given = known.drivers.known(pd.DatetimeIndex([known.cutoff]), len(known.panel.days) - 1 - start, 0)
    seen = np.asarray(given.any(axis=(1, 2, 3)))
    return tuple(name for name, use in zip(known.drivers.names, seen, strict=True) if use), np.where(given, values, np.nan)[seen, :, 0]


def _weather(design: Design, known: Known, horizon: int, start: int, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns [A, n, Q] of the K drivers as known at the cutoff, else usual; their priors [Q], and [K, A, n] on which days each is known."""
    heating = effects.heating_runs(table).astype(float)
    if known.drivers is None or not design.drivers:
        areas = len(known.drivers.areas) if known.drivers else 1
        return np.zeros((areas, len(table), 0)), np.zeros(0), np.zeros((0, areas, len(table)), bool)
    every = np.arange(len(known.drivers.areas))
    values = _of_design(design, known.drivers, pd.DatetimeIndex([known.cutoff]), len(known.panel.days) - 1 - start, horizon, every)[:, :, 0]
    columns, priors = design.weather(values, heating)
    for q in range(len(priors)):
        column = columns[..., q]
        columns[..., q] = np.where(np.isnan(column), effects.usual(column, pd.DatetimeIndex(table.index)), column)
    return columns, priors, ~np.isnan(values)


def _expected(log: np.ndarray, given: np.ndarray, trusted: np.ndarray, horizon: int) -> np.ndarray:
    """Log factors [n] of a driver, known or as forecast, with those to be expected on the days to come.

    Args:
        log: [n], what is usual where nothing is given.
        given: [n].
        trusted: see `foresight.trust`; days beyond its last lead have the season's.
        horizon: days to come.
    """
    n_days = len(log) - horizon
    usual = np.log(foresight.season(np.exp(np.clip(log[:n_days], -LARGEST, LARGEST)), horizon))
    leads = min(horizon + 1, len(trusted))
    soon = slice(n_days - 1, n_days - 1 + leads)
    out = np.concatenate([log[:n_days], usual[n_days:]])
    out[n_days : n_days - 1 + leads] = foresight.expected(log[soon], usual[soon], given[soon], trusted[:leads, :leads])
    return out


def _trusted(
    design: Design, known: Known, horizon: int, start: int, weather: np.ndarray, given: np.ndarray, effects_of: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What each driver tells of a category's later days, from the forecasts issued in the last years; see `foresight.trust`.

    Driver by driver, for one may have forecasts and another none. What a driver that comes now and then brings does not last: of a storm
    only its own day tells.

    Args:
        weather: [A, n, Q] columns of the weather that came.
        given: [K, A, n] on which days it is known.
        effects_of: category -> effect of each of the Q columns.

    Returns:
        category -> [K, H + 1, H + 1].
    """
    n_days = weather.shape[1]
    issued = np.arange(n_days - 1, max(n_days - foresight.LEARNT_DAYS, LAGS), -foresight.EVERY)
    if known.drivers is None or not design.drivers or not len(issued):
        return {name: np.tile(np.eye(horizon + 1), (len(design.drivers), 1, 1)) for name in effects_of}
    areas = np.unique(np.linspace(0, len(weather) - 1, MOST_AREAS).astype(int))
    around = issued[:, None] + np.arange(-LAGS, horizon + 1)
    days = pd.DatetimeIndex(known.panel.days[start:])[issued]
    values = _of_design(design, known.drivers, days, LAGS, horizon, areas)
    runs = effects.heating_runs(known.calendar(horizon)).astype(float)[start:][around]
    columns, _ = design.weather(values.reshape(len(values), -1, values.shape[-1]), np.tile(runs, (len(areas), 1)))
    columns, around = columns.reshape(*values.shape[1:], -1)[:, :, LAGS:], around[:, LAGS:]

    def trusted(effect: np.ndarray, k: int) -> np.ndarray:
        of_driver = design.of_drivers[k]
        came = weather[areas][..., of_driver] @ effect[of_driver]
        usual = np.log(foresight.season(np.exp(np.clip(came, -LARGEST, LARGEST)), horizon))
        unusual = np.where(given[k, areas], came - usual[:, :n_days], np.nan)
        unusual = np.concatenate([unusual, np.full((len(areas), horizon), np.nan)], axis=1)[:, around]
        return foresight.trust(columns[..., of_driver] @ effect[of_driver] - usual[:, around], unusual)

    lasting = [not driver.sudden for driver in design.drivers]
    own = np.eye(horizon + 1)
    return {name: np.stack([trusted(effect, k) if lasts else own for k, lasts in enumerate(lasting)]) for name, effect in effects_of.items()}


def _of_design(design: Design, drivers: Drivers, origins: pd.DatetimeIndex, back: int, ahead: int, areas: np.ndarray) -> np.ndarray:
    """[K, A, O, back + 1 + ahead] values of the design's drivers around each origin, NaN where neither observed nor forecast."""
    values, given = drivers.known(origins, back, ahead)
    place = {name: np.where(given[k, areas], values[k, areas], np.nan) for k, name in enumerate(drivers.names)}
    nothing = np.full((len(areas), *values.shape[2:]), np.nan)
    return np.stack([place.get(driver.name, nothing) for driver in design.drivers])
