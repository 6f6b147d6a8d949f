"""The outlook: the thirteen weeks after the cutoff, week by week, for every node: what a planner needs beyond the daily four weeks.

A week is seven days counted from the cutoff. Weeks that the daily forecast covers are the sums of its days: nobody sees two numbers. The
later ones come from the members whose forecasts do not depend on how far ahead they are learnt for, and that know calendar and season;
their weights, and how far weekly counts scatter, are learnt by letting them look thirteen weeks ahead from earlier days.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from forecasting import calibration, explanation, training
from forecasting.models import blend
from forecasting.models.base import Fitted, Known, Model
from forecasting.training import Champion

WEEK = 7
WEEKS = 13  # a quarter
BANDS = (4, 8, 13)  # last weeks of the bands within which weekly counts scatter alike: as many residuals as can be had, apart where it matters
FAR = ("loglinear", "prophet")  # the booster is learnt for the days of the daily horizon and knows nothing of later ones
WINDOWS, STEP = 3, 84  # looks from earlier days, twelve weeks apart: together nine months, for the price of three fits of the two quick members
UNTESTED = 2.0  # times the dispersion of the band before: what no look could test is taken to scatter more, on purpose
LEAST_LOOK = 28  # days of history before a look
SHRINK = 0.3  # three looks say less than the recipe's windows: weights are drawn towards equal ones more strongly
DAYS = WEEKS * WEEK
COLUMNS = ("area", "category", "date", "week_ahead", "mean", "dispersion", "model")


def make(champion: Champion, seed: int = 0) -> pd.DataFrame:
    """The outlook of a trained blend.

    Args:
        champion: the daily forecast, and what is known at its cutoff.

    Returns:
        a row per node and week, columns COLUMNS and `explanation.COLUMNS`: `date` the first day of the week, `week_ahead` from 1, `mean`
        and `dispersion` (negative binomial, see `distribution`) of the week's count, and what explains the mean: the sums of its days' parts.
        Means add up over both trees. A band of weeks that no earlier look could test, because the history is short, is wide: see
        `UNTESTED`, and `calibration.DEFAULT` at least.
    """
    known, daily = champion.backtested.known, champion.backtested.horizon
    nodes, near = known.hierarchy.nodes, min(daily // WEEK, WEEKS)
    far = far_members(champion)
    models = [champion.backtested.models[k] for k in far]
    looks = list(_looks(known, models, seed))
    size = known.recent(training.RECENT)
    groups = blend.groups(nodes["level"].to_numpy(), size)
    weekly = size * WEEK
    scale = np.sqrt(weekly + training.SCATTER * weekly**2 + 0.1)
    forecasts = np.stack([single for single, _ in looks], axis=2) if looks else np.full((len(models), len(nodes), 1, WEEKS), np.nan)
    counts = np.stack([came for _, came in looks], axis=1) if looks else np.full((len(nodes), 1, WEEKS), np.nan)
    baseline = np.array([model.least_days == 0 for model in models])
    ahead = _ahead(known, [champion.backtested.fitted[k] for k in far])
    weights = _of_those_there(blend.weights(forecasts, counts, scale, groups, baseline, SHRINK), np.isfinite(ahead).all(axis=2).T)
    days = _blended(known, ahead, weights, champion.variances)
    days[:, : near * WEEK] = champion.means[:, : near * WEEK]
    parts = explanation.parts(known, days, champion.regression, near * WEEK)
    tested = np.stack([_blended(known, forecasts[:, :, w], weights, champion.variances) for w in range(counts.shape[1])], axis=1)
    tested[:, :, :near] = np.nan  # those weeks are the champion's
    dispersion = _dispersion(np.concatenate([tested, _near(champion, near)], axis=1), np.concatenate([counts, _came(champion, near)], axis=1), groups)
    dispersion = calibration.widened(dispersion, *champion.told)
    m = len(nodes)
    model = np.repeat(_described(models, weights)[:, None], WEEKS, axis=1)
    model[:, :near] = champion.describe()[:, None]
    return pd.DataFrame(
        {
            "area": np.repeat(nodes["area"].to_numpy(), WEEKS),
            "category": np.repeat(nodes["category"].to_numpy(), WEEKS),
            "date": np.tile(known.days_ahead(DAYS)[::WEEK].to_numpy(), m),
            "week_ahead": np.tile(np.arange(1, WEEKS + 1), m),
            "mean": weeks(days).ravel(),
            "dispersion": dispersion.ravel(),
            "model": model.ravel(),
            **explanation.columns(np.moveaxis(weeks(np.moveaxis(parts, 1, -1)), -1, 1)),
        }
    )


def later(champion: Champion) -> np.ndarray:
    """[M, DAYS - H] coherent means of the days after the daily forecast, for who wants no more of them: by the members that see so far, weighed as
    they are for the days before, and without the looks that tell how far they are to be trusted.
    """
    known, horizon = champion.backtested.known, champion.backtested.horizon
    far = far_members(champion)
    ahead = _ahead(known, [champion.backtested.fitted[k] for k in far])
    of = dict(zip(champion.chosen, champion.serving.T, strict=True))
    weights = np.stack([of.get(k, np.zeros(len(champion.serving))) for k in far], axis=1)
    weights = _of_those_there(weights, np.isfinite(ahead).all(axis=2).T)
    return _blended(known, ahead[:, :, horizon:], weights, champion.variances)


def weeks(days: np.ndarray) -> np.ndarray:
    """Sums of seven days each, of whole weeks: [..., D] -> [..., D // 7]; NaN where a day is missing."""
    whole = days.shape[-1] // WEEK
    return np.asarray(days[..., : whole * WEEK].reshape(*days.shape[:-1], whole, WEEK).sum(axis=-1))


def far_members(champion: Champion) -> list[int]:
    """Positions of the members that see thirteen weeks ahead, and of the last baseline of the recipe, so that every node has a forecast."""
    models = champion.backtested.models
    baselines = [k for k, model in enumerate(models) if model.least_days == 0]
    return [k for k, model in enumerate(models) if model.name in FAR] + baselines[-1:]


def _looks(known: Known, models: list[Model], seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What members forecast on earlier days, [K, M, WEEKS], NaN for nodes not yet known, and what came, [M, WEEKS], NaN where it is not known."""
    n_days = len(known.panel.days)
    place = pd.MultiIndex.from_frame(known.hierarchy.nodes[["area", "category"]])
    for origin in (n_days - 1 - STEP * k for k in range(WINDOWS, 0, -1)):
        if origin + 1 < LEAST_LOOK:
            continue
        then = known.at(known.panel.days[origin])
        rows = place.get_indexer(pd.MultiIndex.from_frame(then.hierarchy.nodes[["area", "category"]]))
        single = np.full((len(models), len(place), WEEKS), np.nan)
        enough = [len(then.panel.days) >= model.least_days for model in models]
        fitted = [model.fit(then, DAYS, seed) if ok else None for model, ok in zip(models, enough, strict=True)]
        single[:, rows] = weeks(_ahead(then, fitted))
        came = np.full((len(place), DAYS), np.nan)
        ahead = known.counts[:, origin + 1 : origin + 1 + DAYS]
        came[:, : ahead.shape[1]] = ahead
        yield single, weeks(came)


def _ahead(known: Known, fitted: Sequence[Fitted | None]) -> np.ndarray:
    """[K, M, DAYS] each member's forecasts; NaN where it has no opinion."""
    none = np.full((len(known.hierarchy.nodes), DAYS), np.nan)
    return np.stack([none if one is None else one.forecast(known, DAYS) for one in fitted])


def _blended(known: Known, single: np.ndarray, weights: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """[M, H] coherent means of members' means [K, M, H]; NaN where no member has an opinion: the node was not yet known."""
    there = np.isfinite(single).any(axis=0)
    means = blend.combine(np.where(there[None], single, 0.0), weights)
    return np.where(there, known.hierarchy.reconcile(np.where(there, means, 0.0), variances), np.nan)


def _of_those_there(weights: np.ndarray, there: np.ndarray) -> np.ndarray:
    """[M, K] weights with those of members without an opinion, where `there` [M, K] is false, given to the others."""
    left = np.where(there, weights, 0.0)
    left = np.where(left.sum(axis=1, keepdims=True) > 0, left, there)
    return np.asarray(left / left.sum(axis=1, keepdims=True))


def _described(models: list[Model], weights: np.ndarray) -> np.ndarray:
    """[M] which members made a node's outlook, as `blend.describe` says it."""
    unique, which = np.unique(np.round(weights, 2), axis=0, return_inverse=True)
    texts = [blend.describe({model.name: float(w) for model, w in zip(models, row, strict=True)}) for row in unique]
    return np.array(texts, dtype=object)[which.ravel()]


def _near(champion: Champion, near: int) -> np.ndarray:
    """[M, W, WEEKS] weekly means of the champion in the windows of its own backtest, NaN beyond its weeks."""
    return _widened(champion.in_windows, near)


def _came(champion: Champion, near: int) -> np.ndarray:
    """[M, W, WEEKS] what came in those windows."""
    return _widened(champion.backtested.counts, near)


def _widened(days: np.ndarray, near: int) -> np.ndarray:
    out = np.full((*days.shape[:2], WEEKS), np.nan)
    out[..., :near] = weeks(days[..., : near * WEEK])
    return out


def _dispersion(means: np.ndarray, counts: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """[M, WEEKS] dispersion of weekly counts, from forecasts [M, W, WEEKS] and what came: one a band, never falling."""
    band = np.searchsorted(BANDS, np.arange(1, WEEKS + 1))
    columns = band * calibration.WEEK + np.arange(WEEKS) - np.array([0, *BANDS])[band]
    laid = np.full((2, *means.shape[:2], len(BANDS) * calibration.WEEK), np.nan)  # a band where calibration has a week of days
    laid[0][..., columns], laid[1][..., columns] = means, counts
    seen = (np.isfinite(laid[0]) & np.isfinite(laid[1])).any(axis=(0, 1)).reshape(len(BANDS), calibration.WEEK).any(axis=1)
    fitted = calibration.fit(laid[0], laid[1], groups).weeks
    for b in np.flatnonzero(~seen):
        fitted[:, b] = np.maximum(calibration.DEFAULT, UNTESTED * fitted[:, b - 1] if b else 0.0)
    return np.asarray(np.maximum.accumulate(fitted, axis=1)[:, band])
