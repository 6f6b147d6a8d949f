"""Prophet (Taylor & Letham 2018) on the nodes where trend, seasons and holidays can be estimated: all sums, and the dense series."""

import json
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from prophet import Prophet
from prophet.serialize import model_to_json

from forecasting.models.base import Known

YEARLY_FROM = 540  # days; a yearly season estimated from less than a year and a half is mostly noise
LEAST_TOTAL = 200  # tickets in the history; below it there is nothing to estimate a season from
CHUNK = 8  # series a task: small enough to share evenly between two processes


@dataclass(frozen=True)
class FittedProphet:
    """Forecasts of the nodes that were fitted, and the fitted models as JSON.

    Attributes:
        cutoff: the day from whose end the forecasts count.
        means: (area, category) -> [H].
        models: (area, category) -> Prophet's own JSON.
    """

    cutoff: pd.Timestamp
    means: dict[tuple[str, str], np.ndarray]
    models: dict[tuple[str, str], str]

    def forecast(self, known: Known, horizon: int) -> np.ndarray:
        if known.cutoff != self.cutoff:
            raise ValueError(f"fitted for {self.cutoff:%Y-%m-%d}, asked at {known.cutoff:%Y-%m-%d}")
        out = np.full((len(known.hierarchy.nodes), horizon), np.nan)
        for i, pair in enumerate(zip(known.hierarchy.nodes["area"], known.hierarchy.nodes["category"], strict=True)):
            if pair in self.means:
                out[i] = self.means[pair][:horizon]
        return out

    @classmethod
    def load(cls, folder: Path) -> "FittedProphet":
        """Reads what `save` wrote."""
        lines = [json.loads(line) for line in (folder / "prophet.jsonl").read_text().splitlines()]
        cutoff = pd.Timestamp(json.loads((folder / "cutoff.json").read_text()))
        pairs = [(line["area"], line["category"]) for line in lines]
        return cls(
            cutoff,
            {pair: np.array(line["mean"]) for pair, line in zip(pairs, lines, strict=True)},
            {pair: json.dumps(line["model"]) for pair, line in zip(pairs, lines, strict=True)},
        )

    def save(self, folder: Path) -> None:
        (folder / "cutoff.json").write_text(json.dumps(f"{self.cutoff:%Y-%m-%d}"))
        with (folder / "prophet.jsonl").open("w") as file:
            for (area, category), text in self.models.items():
                line = {"area": area, "category": category, "mean": self.means[area, category].tolist(), "model": json.loads(text)}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


@dataclass(frozen=True)
class ProphetModel:
    """Settings of the Prophet fits.

    Attributes:
        dense: tickets a day over the last year from which on a series is fitted itself; sums always are.
        most: at most so many nodes, the largest first: bounds the time of a night.
        changepoint_prior: Prophet's changepoint_prior_scale.
        years: at most so many years of history.
    """

    dense: float = 10.0
    most: int = 90
    changepoint_prior: float = 0.05
    years: int = 4

    limits: ClassVar[dict[str, tuple[float, float]]] = {"changepoint_prior": (1e-4, 1e3), "years": (1, 100)}
    """What Prophet takes, setting by setting; others are 0 or more."""
    name: ClassVar[str] = "prophet"
    reference: ClassVar[bool] = False
    fitted: ClassVar[type[FittedProphet]] = FittedProphet
    least_days: ClassVar[int] = 120  # a trend from less than four months runs away within four weeks
    ages: ClassVar[bool] = True

    def fit(self, known: Known, horizon: int, seed: int, executor: Executor | None = None) -> FittedProphet:
        nodes = known.hierarchy.nodes
        recent = known.recent(365)
        wanted = (nodes["level"].isin(["city", "district", "category"]) | (recent >= self.dense)) & (np.nansum(known.counts, axis=1) >= LEAST_TOTAL)
        chosen = sorted(np.flatnonzero(wanted), key=lambda i: -recent[i])[: self.most]
        start = max(0, len(known.panel.days) - 365 * self.years)
        days, future = known.panel.days[start:], known.days_ahead(horizon)
        holidays = _holidays(known.calendar(horizon))
        tasks = [
            ([known.counts[i, max(start, known.first[i]) :] for i in chosen[k : k + CHUNK]], days, future, holidays, self.changepoint_prior)
            for k in range(0, len(chosen), CHUNK)
        ]
        results = executor.map(_fit_chunk, *zip(*tasks, strict=True)) if executor and tasks else (_fit_chunk(*task) for task in tasks)
        fitted = [one for chunk in results for one in chunk]
        pairs = [(str(nodes["area"].iloc[i]), str(nodes["category"].iloc[i])) for i in chosen]
        return FittedProphet(
            known.cutoff,
            {pair: mean for pair, (mean, _) in zip(pairs, fitted, strict=True) if mean is not None},
            {pair: text for pair, (_, text) in zip(pairs, fitted, strict=True) if text is not None},
        )

    def settings(self) -> dict[str, Any]:
        return asdict(self)


def _holidays(calendar: pd.DataFrame) -> pd.DataFrame | None:
    """About ten groups of days instead of a name for each holiday: one-off names cannot be estimated and cost time."""
    marks = {
        "makeup": calendar["day_kind"] == "makeup",
        "before_break": calendar["before_long_break"] > 0,
        "after_break": calendar["after_long_break"] > 0,
    }
    named = [pd.DataFrame({"holiday": name, "ds": calendar.index[mark]}) for name, mark in marks.items()]
    breaks = calendar[calendar["holiday"] != ""]
    named.append(pd.DataFrame({"holiday": breaks["holiday"].to_numpy(), "ds": breaks.index}))
    table = pd.concat(named, ignore_index=True)
    return table if len(table) else None


def _fit_chunk(
    counts: Sequence[np.ndarray], days: pd.DatetimeIndex, future: pd.DatetimeIndex, holidays: pd.DataFrame | None, changepoint_prior: float
) -> list[tuple[np.ndarray | None, str | None]]:
    """Fits some nodes one after the other: forecast [H], clipped at 0, and the model's JSON; None where there is too little history."""
    out: list[tuple[np.ndarray | None, str | None]] = []
    for y in counts:
        history = pd.DataFrame({"ds": days[len(days) - len(y) :], "y": y}).dropna()
        if len(history) < ProphetModel.least_days:
            out.append((None, None))
            continue
        model = Prophet(
            weekly_seasonality=True,
            yearly_seasonality=len(history) >= YEARLY_FROM,
            daily_seasonality=False,
            holidays=holidays[holidays["ds"] >= history["ds"].iloc[0]] if holidays is not None else None,
            changepoint_prior_scale=changepoint_prior,
            uncertainty_samples=0,
        )
        model.fit(history, algorithm="LBFGS")
        mean = model.predict(pd.DataFrame({"ds": future}))["yhat"].to_numpy()
        out.append((np.maximum(mean, 0.0), model_to_json(model)))
        model.stan_backend.cleanup()
    return out
