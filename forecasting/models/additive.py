"""The additive model of Taylor & Letham (2018, "Forecasting at scale"), fitted to all series at once.

A series, divided by its greatest count, is a piecewise linear trend plus weekly and yearly Fourier terms plus an effect of each group of
holidays plus normal noise. Priors and changepoints are those of the authors' package Prophet, and so is what is sought: the mode of the
posterior over all parameters and the noise. Series with the same known days share one design matrix, whose products are made once.
"""

from dataclasses import dataclass, fields

import numpy as np
from scipy import linalg

from forecasting.models.posterior import Regression, mode, times

CHANGES = 25  # changepoints, as in Prophet
CHANGES_WITHIN = 0.8  # of the history, as in Prophet: a slope that changed yesterday cannot be told from noise
WEEKLY_ORDER, YEARLY_ORDER = 3, 10  # of the Fourier series, as in Prophet
WEEK, YEAR = 7.0, 365.25  # days
WEEKLY = slice(0, 2 * WEEKLY_ORDER)
YEARLY = slice(WEEKLY.stop, WEEKLY.stop + 2 * YEARLY_ORDER)
HOLIDAYS = slice(YEARLY.stop, None)
YEARLY_FROM = 540  # days known; a yearly season estimated from less than a year and a half is mostly noise
TREND_SCALE, EFFECT_SCALE = 5.0, 10.0  # standard deviations of the normal priors, as in Prophet

CHUNK = 64  # series at once: their small matrices fit into the processor's cache
BLOCK = 32  # days of a product: a larger one is split among threads, which on busy cores wait for one another ten times as long as they work


@dataclass(frozen=True)
class Parameters:
    """What was learnt of S series. Counts are in units of `scale`, times in units of `span` days from `start`.

    Attributes:
        start, span: [S] day number of the first known day, and days from it to the last.
        scale: [S] the greatest count.
        noise: [S] standard deviation.
        slope, level: [S] of the trend at its start.
        changes: [S, 25] times at which the slope changes.
        bends: [S, 25] by how much it does.
        effects: [S, K] coefficients of the regressors.
    """

    start: np.ndarray
    span: np.ndarray
    scale: np.ndarray
    noise: np.ndarray
    slope: np.ndarray
    level: np.ndarray
    changes: np.ndarray
    bends: np.ndarray
    effects: np.ndarray

    def at(self, rows: np.ndarray) -> "Parameters":
        """Some of the series."""
        return Parameters(*(getattr(self, f.name)[rows] for f in fields(self)))

    def trend(self, days: np.ndarray) -> np.ndarray:
        """[S, H] the trend in counts on day numbers [H] after the last change: the last slope goes on."""
        slope = self.slope + self.bends.sum(axis=1)
        level = self.level - (self.bends * self.changes).sum(axis=1)
        time = (days - self.start[:, None]) / self.span[:, None]
        return np.asarray((level[:, None] + slope[:, None] * time) * self.scale[:, None])

    def effect(self, regressors: np.ndarray, columns: slice) -> np.ndarray:
        """[S, H] what some columns of the regressors [H, K] bring in counts."""
        return np.asarray((self.effects[:, columns] @ regressors[:, columns].T) * self.scale[:, None])


def seasons(days: np.ndarray) -> np.ndarray:
    """Fourier terms [T, 26] of day numbers since 1970: weekly, then yearly."""
    terms = [(WEEK, k) for k in range(1, WEEKLY_ORDER + 1)] + [(YEAR, k) for k in range(1, YEARLY_ORDER + 1)]
    return np.stack([wave(2 * np.pi * k / period * days) for period, k in terms for wave in (np.sin, np.cos)], axis=1)


def fit(counts: np.ndarray, use: np.ndarray, rows: np.ndarray, days: np.ndarray, regressors: np.ndarray, changepoint_prior: float) -> Parameters:
    """The most probable parameters of some series; what is learnt of one does not depend on which others are there.

    Args:
        counts: [M, T].
        use: [M, T] bool, the days to learn from: neither missing nor before the series began. At least 40 of each row fitted, for below
            that changepoints would coincide.
        rows: [S] the series to fit.
        days: [T] consecutive day numbers.
        regressors: [T, K] `seasons`, then a 0/1 column for each group of holidays.
        changepoint_prior: scale of the Laplace prior of a change of slope.
    """
    _, pattern = np.unique(np.packbits(use[rows], axis=1), axis=0, return_inverse=True)
    order = np.argsort(pattern, kind="stable")
    parts = [
        _fit_chunk(counts[rows[chunk]], use[rows[chunk]], pattern[chunk], days, regressors, changepoint_prior)
        for chunk in (order[k : k + CHUNK] for k in range(0, max(len(order), 1), CHUNK))
    ]
    joined = Parameters(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Parameters)))
    return joined.at(np.argsort(order))


@dataclass(frozen=True)
class _Design:
    """The columns for a set of known days, and their products.

    All columns but the hinges of the trend have normal priors: scaled by these, and turned so that they are orthogonal, they can be solved
    for at any noise by a division.

    Attributes:
        start, span: day number of the first known day, and days from it to the last.
        changes: [25] times of the changepoints.
        across: [B, P + 25, BLOCK] slope, level and regressors, scaled, then hinges; in blocks of days.
        gram: [P + 25, P + 25] their products.
        values: [P] squares of the turned columns.
        turn: [P, P] from scaled columns to turned ones.
        back: [P, P] from coefficients of turned columns to slope, level and effects.
    """

    start: float
    span: float
    changes: np.ndarray
    across: np.ndarray
    gram: np.ndarray
    values: np.ndarray
    turn: np.ndarray
    back: np.ndarray


def _design(days: np.ndarray, regressors: np.ndarray) -> _Design:
    start, span = float(days[0]), float(days[-1] - days[0])
    time = (days - start) / span
    changes = time[np.linspace(0, int(len(days) * CHANGES_WITHIN) - 1, CHANGES + 1).round().astype(int)[1:]]
    scales = np.r_[TREND_SCALE, TREND_SCALE, np.full(regressors.shape[1], EFFECT_SCALE)]
    if len(days) < YEARLY_FROM:
        scales[2:][YEARLY] = 0.0
    smooth = np.column_stack([time, np.ones(len(days)), regressors]) * scales
    columns = _blocks(np.column_stack([smooth, np.maximum(time[:, None] - changes, 0.0)])[None])[0]
    across = np.ascontiguousarray(columns.transpose(0, 2, 1))
    gram = (across @ columns).sum(axis=0)
    values, turn = linalg.eigh(gram[: len(scales), : len(scales)])
    return _Design(start, span, changes, across, gram, np.maximum(values, 0.0), turn, scales[:, None] * turn)


def _blocks(days: np.ndarray) -> np.ndarray:
    """[S, n, C] -> [S, B, BLOCK, C], filled up with zeros."""
    filled = np.zeros((len(days), -(-days.shape[1] // BLOCK) * BLOCK, days.shape[2]))
    filled[:, : days.shape[1]] = days
    return filled.reshape(len(days), -1, BLOCK, days.shape[2])


def _fit_chunk(
    counts: np.ndarray, use: np.ndarray, pattern: np.ndarray, days: np.ndarray, regressors: np.ndarray, changepoint_prior: float
) -> Parameters:
    """`fit` for a few series [S, T], those with the same known days side by side."""
    scale = counts.max(axis=1, where=use, initial=0.0)
    scale = np.where(scale > 0, scale, 1.0)
    _, firsts, sizes = np.unique(pattern, return_index=True, return_counts=True)
    designs = [_design(days[use[first]], regressors[use[first]]) for first in firsts]
    groups = [slice(first, first + size) for first, size in zip(firsts, sizes, strict=True)]
    parts = [_regression(d, counts[g, use[g.start]] / scale[g, None]) for d, g in zip(designs, groups, strict=True)]
    found = mode(Regression(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Regression))), changepoint_prior)
    start, span, changes, back = (
        np.repeat(np.array([getattr(d, name) for d in designs]), sizes, axis=0) for name in ("start", "span", "changes", "back")
    )
    plain = times(back, found.smooth)
    return Parameters(start, span, scale, np.sqrt(found.variance), plain[:, 0], plain[:, 1], changes, found.bends, plain[:, 2:])


def _regression(design: _Design, y: np.ndarray) -> Regression:
    """The products of series [S, n] with the same known days."""
    p = len(design.values)
    by_y = (design.across @ _blocks(y[:, :, None])).sum(axis=1)[:, :, 0]
    smooth_y = times(design.turn.T[None], by_y[:, :p])
    shared = (np.broadcast_to(a, (len(y), *a.shape)) for a in (design.values, design.turn.T @ design.gram[:p, p:], design.gram[p:, p:]))
    return Regression(np.full(len(y), float(y.shape[1])), (y * y).sum(axis=1), smooth_y, by_y[:, p:], *shared)
