"""From what is known to a forecast of every node: backtest the members, weigh them, calibrate, forecast, make it add up."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from forecasting import calibration, explanation, shifts
from forecasting.calibration import Dispersion
from forecasting.forecast_set import ForecastSet
from forecasting.models import blend
from forecasting.models.base import Fitted, Known, Model
from forecasting.models.loglinear import FittedLoglinear

LEAST_HISTORY = 14  # days before the first window: a same-weekday mean needs two weeks
SHORT_STEP = 7  # days between windows when the history is short
SHORT_WINDOWS = 6
RECENT = 56  # days that say how large a node is
SCATTER = 0.02  # dispersion assumed for the typical error of a node when errors of different nodes are put together


@dataclass(frozen=True)
class Backtested:
    """Members fitted on all that is known, and what they forecast in windows before it.

    Attributes:
        known: what was learnt from.
        models: the K members.
        fitted: the member's last fit, in the order of `models`; None where the history is too short for it.
        origins: [W] positions of the windows' last known days.
        forecasts: [K, M, W, H] means made in the windows; NaN where a member or node had none.
        counts: [M, W, H] what came; NaN where it is missing or not yet known.
    """

    known: Known
    models: tuple[Model, ...]
    fitted: tuple[Fitted | None, ...]
    origins: tuple[int, ...]
    forecasts: np.ndarray
    counts: np.ndarray

    @property
    def horizon(self) -> int:
        """Days ahead."""
        return int(self.forecasts.shape[3])


@dataclass(frozen=True)
class Champion:
    """A trained blend, ready to forecast.

    Attributes:
        backtested: the members.
        chosen: positions of the members used.
        weights: [M, len(chosen)] as the windows say.
        variances: [M] error variance of the blend at each node: what reconciliation trusts.
        groups: [M] of like nodes, see `blend.groups`.
        left_out: the window that nothing was learnt from, if there is one.
    """

    backtested: Backtested
    chosen: tuple[int, ...]
    weights: np.ndarray
    variances: np.ndarray
    groups: np.ndarray
    left_out: int | None

    @cached_property
    def in_windows(self) -> np.ndarray:
        """[M, W, H] coherent means in the windows of the members' backtest, NaN where a node was not yet known."""
        return _reconciled(self.backtested, _windows(self.backtested, list(self.chosen), self.weights), self.variances)

    @cached_property
    def dispersion(self) -> Dispersion:
        """Of the coherent forecasts, as the windows say; it takes most of the time of a blend, and who asks for means alone does without."""
        use = _learnt_from(self.backtested, self.left_out)
        return calibration.fit(self.in_windows[:, use], self.backtested.counts[:, use], self.groups)

    @property
    def regression(self) -> FittedLoglinear | None:
        """The member that knows effects and follows a level that has moved, if there is one."""
        return next((fitted for k in self.chosen if isinstance(fitted := self.backtested.fitted[k], FittedLoglinear)), None)

    @cached_property
    def moved(self) -> np.ndarray:
        """[M] nodes whose level has moved; none where no member follows a level that moves."""
        return np.zeros(len(self.weights), bool) if self.regression is None else self.regression.moved(self.backtested.known)

    @cached_property
    def serving(self) -> np.ndarray:
        """[M, len(chosen)] weights of the forecast: a node whose level has moved is left to the member that follows it."""
        follows = np.array([self.regression is not None and self.backtested.fitted[k] is self.regression for k in self.chosen])
        return np.where(self.moved[:, None], follows, self.weights)

    @cached_property
    def told(self) -> tuple[np.ndarray, np.ndarray]:
        """Tickets [M] and days [M] that tell the level of each node: since it was first named, of one that has moved since then."""
        known = self.backtested.known
        new = np.arange(len(known.panel.days)) >= len(known.panel.days) - shifts.NEW_DAYS
        counts = np.where(self.moved[:, None] & ~new, np.nan, known.since_first)
        there = ~np.isnan(counts)
        return np.where(there, counts, 0.0).sum(axis=1), there.sum(axis=1)

    def scatter(self, horizon: int) -> np.ndarray:
        """[M, H] dispersion of the days after the cutoff: that of the windows, and how little is known of a level that is new or has moved."""
        return calibration.widened(self.dispersion.at(horizon), *self.told)

    @cached_property
    def means(self) -> np.ndarray:
        """[M, H] coherent means for the days after the cutoff."""
        known, horizon = self.backtested.known, self.backtested.horizon
        single = np.full((len(self.chosen), len(known.hierarchy.nodes), horizon), np.nan)
        for k, member in enumerate(self.chosen):
            fitted = self.backtested.fitted[member]
            if fitted is not None:
                single[k] = fitted.forecast(known, horizon)
        return known.hierarchy.reconcile(blend.combine(single, self.serving), self.variances)

    def forecast(self, explained: bool = False) -> ForecastSet:
        """The forecast set of the cutoff: mean and dispersion of every node and day, and on demand what explains them."""
        known, horizon = self.backtested.known, self.backtested.horizon
        nodes, days, means = known.hierarchy.nodes, known.days_ahead(horizon), self.means
        m = len(nodes)
        frame = pd.DataFrame(
            {
                "area": np.repeat(nodes["area"].to_numpy(), horizon),
                "category": np.repeat(nodes["category"].to_numpy(), horizon),
                "date": np.tile(days.to_numpy(), m),
                "horizon": np.tile(np.arange(1, horizon + 1), m),
                "mean": means.ravel(),
                "dispersion": self.scatter(horizon).ravel(),
                "model": np.repeat(self.describe(), horizon),
            }
        )
        if explained:
            frame = frame.assign(**explanation.columns(explanation.parts(known, means, self.regression, horizon)))
        meta = {"cutoff": f"{known.cutoff:%Y-%m-%d}", "horizon": horizon, "family": "negative_binomial"}
        return ForecastSet(frame, meta)

    def describe(self) -> np.ndarray:
        """[M] which members made a node's forecast, and with what weight, as `blend.describe` says it."""
        names = [self.backtested.models[k].name for k in self.chosen]
        unique, which = np.unique(np.round(self.serving, 2), axis=0, return_inverse=True)
        return np.array([blend.describe(dict(zip(names, row, strict=True))) for row in unique], dtype=object)[which.ravel()]


def backtest_members(known: Known, models: Sequence[Model], horizon: int, windows: int, seed: int) -> Backtested:
    """Fits every member on all that is known, and lets it forecast windows before it from what was known then.

    A member whose forecasts do not age is fitted once before the first window and serves all of them; the others are fitted anew.

    Args:
        known: what may be learnt from.
        models: members; at least one must have an opinion on every node (a baseline).
        windows: how many windows of `horizon` days, one after the other and ending at the cutoff; shorter histories get shorter steps.
    """
    origins = window_origins(len(known.panel.days), horizon, windows)
    nodes = known.hierarchy.nodes
    place = pd.MultiIndex.from_frame(nodes[["area", "category"]])
    forecasts = np.full((len(models), len(nodes), len(origins), horizon), np.nan)
    counts = np.full((len(nodes), len(origins), horizon), np.nan)
    early: dict[int, Fitted] = {}
    for w, origin in enumerate(origins):
        then = known.at(known.panel.days[origin])
        rows = place.get_indexer(pd.MultiIndex.from_frame(then.hierarchy.nodes[["area", "category"]]))
        stop = min(origin + 1 + horizon, len(known.panel.days))
        counts[:, w, : stop - origin - 1] = known.counts[:, origin + 1 : stop]
        for k, model in enumerate(models):
            if len(then.panel.days) < model.least_days:
                continue
            fitted = early.get(k) if not model.ages else None
            if fitted is None:
                fitted = model.fit(then, horizon, seed)
                early[k] = fitted
            forecasts[k, rows, w] = fitted.forecast(then, horizon)
    enough = [len(known.panel.days) >= model.least_days for model in models]
    last = tuple(model.fit(known, horizon, seed) if ok else None for model, ok in zip(models, enough, strict=True))
    return Backtested(known, tuple(models), last, tuple(origins), forecasts, counts)


def window_origins(n_days: int, horizon: int, windows: int) -> list[int]:
    """Positions of the last known day of each window, the earliest first.

    long history    ....|-------|-------|-------|   windows tile the days before the cutoff
    short history   ..|-------|                     steps of a week, the last windows cut off at the cutoff
                       ..|-------|
    """
    if n_days >= windows * horizon + max(2 * horizon, LEAST_HISTORY):
        return [n_days - 1 - horizon * k for k in range(windows, 0, -1)]
    return [o for o in (n_days - 1 - SHORT_STEP * k for k in range(SHORT_WINDOWS, 0, -1)) if o + 1 >= LEAST_HISTORY]


def assemble(backtested: Backtested, names: Sequence[str] | None = None, shrink: float = 0.3, leave_out: int | None = None) -> Champion:
    """Weighs the members: the champion of some of them, which reconciles and calibrates when it is asked.

    Args:
        backtested: the members.
        names: which of them; left out, all that are not there to be compared with. The last baseline joins with no
            weight so that every node has a forecast.
        shrink: see `blend.weights`.
        leave_out: a window that is not learnt from, so that it can be scored honestly.
    """
    known = backtested.known
    use = _learnt_from(backtested, leave_out)
    chosen = [k for k, model in enumerate(backtested.models) if (not model.reference if names is None else model.name in names)]
    chosen = chosen or list(range(len(backtested.models)))
    recent = known.recent(RECENT)
    groups = blend.groups(known.hierarchy.nodes["level"].to_numpy(), recent)
    scale = np.sqrt(recent + SCATTER * recent**2 + 0.1)
    counts = backtested.counts[:, use]
    baseline = np.array([backtested.models[k].least_days == 0 for k in chosen])
    weights = blend.weights(backtested.forecasts[chosen][:, :, use], counts, scale, groups, baseline, shrink)
    if any(backtested.models[k].least_days for k in chosen):
        fallback = max((k for k, model in enumerate(backtested.models) if model.least_days == 0), default=None)
        if fallback is not None and fallback not in chosen:
            chosen.append(fallback)
            weights = np.column_stack([weights, np.zeros(len(weights))])
    blended = _windows(backtested, chosen, weights)
    new = ~np.isfinite(blended).any(axis=(1, 2))  # not yet known in any window
    variances = _variances(blended[:, use], counts, scale, groups) + _grown(known, new, recent)
    return Champion(backtested, tuple(chosen), weights, variances, groups, leave_out)


def _learnt_from(backtested: Backtested, left_out: int | None) -> list[int]:
    """The windows that are learnt from."""
    return [w for w in range(len(backtested.origins)) if w != left_out]


def _windows(backtested: Backtested, chosen: list[int], weights: np.ndarray) -> np.ndarray:
    """[M, W, H] blended means of the windows; NaN where a node was not yet known."""
    single = backtested.forecasts[chosen]
    there = np.isfinite(single).any(axis=0)
    filled = np.where(there[None], single, 0.0)
    return np.where(there, blend.combine(filled, weights), np.nan)


def _variances(blended: np.ndarray, counts: np.ndarray, scale: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """[M] error variance of each node, drawn half-way towards what is typical of its group and size."""
    error = (blended - counts) / scale[:, None, None]
    use = np.isfinite(error)
    own = np.where(use, error, 0.0).__pow__(2).sum(axis=(1, 2))
    number = use.sum(axis=(1, 2))
    total, seen = np.bincount(groups, weights=own), np.bincount(groups, weights=number)
    typical = np.where(seen > 0, total / np.maximum(seen, 1), 1.0)[groups]
    prior = 56.0  # days of residuals that the group's typical variance is worth: two windows of four weeks
    return np.asarray(scale**2 * (own + prior * typical) / (number + prior))


def _grown(known: Known, new: np.ndarray, recent: np.ndarray) -> np.ndarray:
    """[M] variance of older nodes into which new series [M] of a size [M] count: their forecasts have hardly learnt of them yet."""
    size = known.hierarchy.total(np.where(new, recent, 0.0)[: known.hierarchy.n_series, None])[:, 0]
    return np.asarray(np.where(new, 0.0, size**2))


def _reconciled(backtested: Backtested, blended: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """[M, W, H] coherent means of all windows, NaN where a node was not yet known: it then adds nothing to the sums."""
    coherent = backtested.known.hierarchy.reconcile(np.nan_to_num(blended).reshape(len(blended), -1), variances)
    return np.where(np.isnan(blended), np.nan, coherent.reshape(blended.shape))
