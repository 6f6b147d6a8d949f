"""Prophet's model (Taylor & Letham 2018) on every node with enough history: trend, weekly and yearly season, holidays."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from forecasting.models import additive
from forecasting.models.additive import Parameters
from forecasting.models.base import Known, NoOpinion

LEAST_TOTAL = 30  # tickets in the history; below it there is nothing to estimate a season from
EPOCH = pd.Timestamp("1970-01-01")
COMPONENTS = ("trend", "weekly", "yearly", "holidays")


@dataclass(frozen=True)
class FittedProphet:
    """The parameters of the nodes that were fitted.

    Attributes:
        cutoff: the day from whose end the forecasts count.
        nodes: frame [S] of `area`, `category`.
        holidays: groups of holidays, in the order of their effects.
        parameters: of the S nodes.
    """

    cutoff: pd.Timestamp
    nodes: pd.DataFrame
    holidays: tuple[str, ...]
    parameters: Parameters

    def forecast(self, known: Known, horizon: int) -> np.ndarray:
        return np.maximum(sum(self.components(known, horizon).values()), 0.0)

    def components(self, known: Known, horizon: int) -> dict[str, np.ndarray]:
        """What makes up the forecast, in tickets: each of `COMPONENTS` -> [M, H]. They add up to the forecast before it is clipped at 0.

        Raises:
            ValueError: `known` ends at another day than the fit.
        """
        if known.cutoff != self.cutoff:
            raise ValueError(f"fitted for {self.cutoff:%Y-%m-%d}, asked at {known.cutoff:%Y-%m-%d}")
        days = known.days_ahead(horizon)
        regressors = _regressors(days, _holidays(known.calendar(horizon)).reindex(columns=list(self.holidays), fill_value=False))
        place = pd.MultiIndex.from_frame(self.nodes).get_indexer(pd.MultiIndex.from_frame(known.hierarchy.nodes[["area", "category"]]))
        parameters = self.parameters.at(place[place >= 0])
        parts = (
            parameters.trend(_numbers(days)),
            *(parameters.effect(regressors, columns) for columns in (additive.WEEKLY, additive.YEARLY, additive.HOLIDAYS)),
        )
        out = {name: np.full((len(place), horizon), np.nan) for name in COMPONENTS}
        for name, part in zip(COMPONENTS, parts, strict=True):
            out[name][place >= 0] = part
        return out

    @classmethod
    def load(cls, folder: Path) -> "FittedProphet":
        """Reads what `save` wrote."""
        about = json.loads((folder / "prophet.json").read_text("utf-8"))
        table = pd.read_parquet(folder / "parameters.parquet")
        columns = _columns(tuple(about["holidays"]))
        values = {name: table[names].to_numpy() for name, names in columns.items()}
        shaped = {name: value if columns[name] != [name] else value[:, 0] for name, value in values.items()}
        return cls(pd.Timestamp(about["cutoff"]), table[["area", "category"]], tuple(about["holidays"]), Parameters(**shaped))

    def save(self, folder: Path) -> None:
        about = {"cutoff": f"{self.cutoff:%Y-%m-%d}", "holidays": self.holidays}
        (folder / "prophet.json").write_text(json.dumps(about, ensure_ascii=False, indent=1), "utf-8")
        columns = _columns(self.holidays)
        values = [getattr(self.parameters, name).reshape(len(self.nodes), -1) for name in columns]
        table = pd.DataFrame(np.hstack(values), columns=[name for names in columns.values() for name in names])
        pd.concat([self.nodes.reset_index(drop=True), table], axis=1).to_parquet(folder / "parameters.parquet", index=False)


@dataclass(frozen=True)
class ProphetModel:
    """Settings of the fits.

    Attributes:
        changepoint_prior: how readily the trend bends, Prophet's changepoint_prior_scale.
        years: at most so many years of history.
    """

    changepoint_prior: float = 0.05
    years: int = 4

    limits: ClassVar[dict[str, tuple[float, float]]] = {"changepoint_prior": (1e-4, 1e3), "years": (1, 100)}
    """What the model takes, setting by setting."""
    name: ClassVar[str] = "prophet"
    reference: ClassVar[bool] = False
    fitted: ClassVar[type[FittedProphet]] = FittedProphet
    least_days: ClassVar[int] = 120  # a trend from less than four months runs away within four weeks
    ages: ClassVar[bool] = True

    def fit(self, known: Known, horizon: int, seed: int) -> FittedProphet | NoOpinion:
        start = max(0, len(known.panel.days) - 365 * self.years)
        days, counts = known.panel.days[start:], known.counts[:, start:]
        use = ~np.isnan(counts) & (np.arange(start, len(known.panel.days)) >= known.first[:, None])
        rows = np.flatnonzero((use.sum(axis=1) >= self.least_days) & (counts.sum(axis=1, where=use) >= LEAST_TOTAL))
        if not len(rows):
            return NoOpinion()
        holidays = _holidays(known.calendar(horizon)).loc[days]
        holidays = holidays.loc[:, holidays.any()]
        parameters = additive.fit(counts, use, rows, _numbers(days), _regressors(days, holidays), self.changepoint_prior)
        found = ~np.isnan(parameters.noise)
        nodes = known.hierarchy.nodes[["area", "category"]].iloc[rows[found]]
        return FittedProphet(known.cutoff, nodes, tuple(holidays.columns), parameters.at(found))

    def settings(self) -> dict[str, Any]:
        return asdict(self)


def _numbers(days: pd.DatetimeIndex) -> np.ndarray:
    return np.asarray((days - EPOCH).days, dtype=float)


def _regressors(days: pd.DatetimeIndex, holidays: pd.DataFrame) -> np.ndarray:
    return np.column_stack([additive.seasons(_numbers(days)), holidays.loc[days].to_numpy(float)])


def _holidays(calendar: pd.DataFrame) -> pd.DataFrame:
    """About ten groups of days, one bool column each, instead of a name for each holiday: one-off names cannot be estimated."""
    groups = {
        "makeup": calendar["day_kind"] == "makeup",
        "before_break": calendar["before_long_break"] > 0,
        "after_break": calendar["after_long_break"] > 0,
    }
    named = sorted(set(calendar["holiday"]) - {""})
    return pd.DataFrame(groups | {name: calendar["holiday"] == name for name in named})


def _columns(holidays: tuple[str, ...]) -> dict[str, list[str]]:
    """The columns of the table of parameters: field of `Parameters` -> names."""
    waves = [("weekly", k) for k in range(1, additive.WEEKLY_ORDER + 1)] + [("yearly", k) for k in range(1, additive.YEARLY_ORDER + 1)]
    effects = [f"{season}_{wave}_{k}" for season, k in waves for wave in ("sin", "cos")] + [f"holiday_{name}" for name in holidays]
    several = {name: [f"{name}_{k}" for k in range(1, additive.CHANGES + 1)] for name in ("changes", "bends")} | {"effects": effects}
    return {f.name: several.get(f.name, [f.name]) for f in fields(Parameters)}
