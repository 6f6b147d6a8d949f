"""What a training says to detection: what is to be expected of the days after its cutoff, and how far that is to be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecasting import outlook, training
from forecasting.detection import evidence, usual
from forecasting.detection.usual import Standing, Trust, Usual
from forecasting.models import blend
from forecasting.outlook import WEEK
from forecasting.training import Champion

Node = tuple[str, str]  # area, category
STANDING = ("area", "category", "level", "dispersion", "shift", "least")


@dataclass(frozen=True)
class Issued:
    """What a training says to detection.

    Attributes:
        cutoff: last day learnt from.
        nodes: M pairs of area and category.
        mean, dispersion: [M, H] forecast of the days after the cutoff.
        later: [M, L] means of the days after those; L may be 0.
        trust: see `usual.Trust`.
        usual: what was usual on the last days, by forecasts made before them.
    """

    cutoff: pd.Timestamp
    nodes: Sequence[Node]
    mean: np.ndarray
    dispersion: np.ndarray
    later: np.ndarray
    trust: Trust
    usual: Usual


def issue(champion: Champion) -> Issued:
    """What a trained blend says to detection."""
    known, horizon = champion.backtested.known, champion.backtested.horizon
    pairs = list(zip(known.hierarchy.nodes["area"], known.hierarchy.nodes["category"], strict=True))
    trust, days = _learnt(champion)
    return Issued(known.cutoff, pairs, champion.means, champion.scatter(horizon), outlook.later(champion), trust, days)


def judged(champion: Champion) -> tuple[pd.DataFrame, np.ndarray]:
    """By what the days after the cutoff are judged until the next training, and how unusual the last days before it were at each series by
    forecasts made before them.

    Returns:
        a row per node, columns STANDING (see `usual.Standing`); and evidence [N, D] at the end of each day, the shift of `usual.Trust`
        included; D may be 0.
    """
    nodes, series = champion.backtested.known.hierarchy.nodes, slice(champion.backtested.known.hierarchy.n_series)
    trust, days = _learnt(champion)
    told = evidence.score(days.observed[series], days.mean[series], days.dispersion[series]) + trust.shift[series, None]
    state = days.renew(champion.means[:, :WEEK], trust)
    state.begin(champion.means[:, 0])
    now = state.standing
    table = nodes[["area", "category"]].assign(level=now.level, dispersion=now.dispersion, shift=now.shift, least=now.least)
    return table, told


def usual_day(day: pd.DataFrame, standing: pd.DataFrame | None) -> pd.DataFrame:
    """What is usual on a day.

    Args:
        day: `area`, `category`, `mean`, `dispersion` as forecast.
        standing: as of the training that forecast it; None: nothing else is known of it.

    Returns:
        the rows of `day` with `mean`, `dispersion` and `shift` by which they are judged.
    """
    if standing is None:
        return day.assign(shift=0.0)
    level, dispersion, shift, least = _of(day, standing, STANDING[2:]).T
    mean, dispersion = Standing(level, dispersion, shift, least).usual(day["mean"].to_numpy(float))
    return day.assign(mean=mean, dispersion=dispersion, shift=shift)


def level(nodes: pd.DataFrame, standing: pd.DataFrame | None) -> np.ndarray:
    """[M] factor of the forecasts of nodes, rows with `area`, `category`, at which they stand; 1 where nothing is known of it."""
    return np.ones(len(nodes)) if standing is None else _of(nodes, standing, ["level"])[:, 0]


def _of(nodes: pd.DataFrame, standing: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """[M, len(columns)] what stands there of nodes."""
    row = pd.MultiIndex.from_frame(standing[["area", "category"]]).get_indexer(pd.MultiIndex.from_frame(nodes[["area", "category"]]))
    return standing[list(columns)].to_numpy(float)[row]


def _learnt(champion: Champion) -> tuple[Trust, Usual]:
    """What the windows of the backtest tell of a forecast's levels, and of how wild its nodes are."""
    made = champion.backtested
    nodes, recent = made.known.hierarchy.nodes, made.known.recent(training.RECENT)
    groups = usual.groups(blend.groups(nodes["level"].to_numpy(), recent), recent)
    if len(made.origins):
        steps = np.diff(made.origins)
        step = int(steps.min()) if len(steps) else made.horizon
        past, came = champion.in_windows[:, :, :step], made.counts[:, :, :step]
        trust, days = usual.learn(past, came, groups, nodes["category"].tolist())
    else:
        trust = Trust.of_forecast(champion.dispersion.nodes)
        days = Usual(trust)
    return trust.with_history(recent, len(made.known.panel.days)), days
