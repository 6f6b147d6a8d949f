"""How far counts scatter around a forecast: the dispersion of every node, by week ahead, learnt from backtest residuals.

Empirical Bayes: the log likelihood of a node's week over a grid of dispersions, plus that of the node's other weeks, of its group's same
week, each as a prior worth some days. A burst is not scatter: each day may be an event with a small probability, which is far more
dispersed or, however far off, no less probable than `LEAST_LIKELIHOOD` (a contaminated likelihood, Huber 1964).
"""

from dataclasses import dataclass

import numpy as np

from forecasting.distribution import log_likelihood, log_likelihoods

GRID = np.geomspace(1e-4, 4.0, 32)  # from all but Poisson to a standard deviation of twice the mean; steps of 40 %
NODE_DAYS = 10.0  # days of a week's residuals that the node's other weeks weigh: three windows give 21 of its own
GROUP_DAYS = 30.0  # ... and its group's same week: a quiet node is told by its kind how it may surprise
DEFAULT = 0.3  # dispersion where no residual is known at all: wide on purpose
EVENT, EVENT_DISPERSION = 0.03, 1.0  # how often a day is an event, and how far events scatter: as far as the mean is large
LEAST_LIKELIHOOD = -12.0  # log probability: 1 in 160,000
WEEK = 7


@dataclass(frozen=True)
class Dispersion:
    """Dispersion of the negative binomial.

    Attributes:
        weeks: [M, W] for each node and week ahead, never falling with the week.
    """

    weeks: np.ndarray

    @property
    def nodes(self) -> np.ndarray:
        """[M] dispersion of each node in the first week."""
        return self.weeks[:, 0]

    def at(self, horizon: int) -> np.ndarray:
        """[M, H] dispersion of each node and day ahead; beyond the last week learnt from, that week's."""
        week = np.minimum(np.arange(horizon) // WEEK, self.weeks.shape[1] - 1)
        return self.weeks[:, week]


def fit(means: np.ndarray, counts: np.ndarray, groups: np.ndarray) -> Dispersion:
    """Learns dispersions from forecasts made out of sample.

    Args:
        means: [M, W, H] forecasts of W windows; NaN where there is none.
        counts: [M, W, H] what came; NaN where it is missing.
        groups: [M] numbers of groups of like nodes, from 0.
    """
    n_weeks = max(-(-means.shape[2] // WEEK), 1)
    use = np.isfinite(means) & np.isfinite(counts)
    mean, count = np.where(use, means, 1.0), np.where(use, counts, 1.0)
    curve = np.zeros((n_weeks, len(groups), len(GRID)))
    number = np.zeros((n_weeks, len(groups)))
    starts = np.arange(0, max(means.shape[2], 1), WEEK)
    event = np.maximum(np.log(EVENT) + log_likelihood(mean, np.full_like(mean, EVENT_DISPERSION), count), LEAST_LIKELIHOOD)
    for g, usual in enumerate(log_likelihoods(mean, count, GRID)):
        days = np.logaddexp(np.log1p(-EVENT) + usual, event)
        by_day = np.where(use, days, 0.0).sum(axis=1)
        curve[:, :, g] = np.add.reduceat(by_day, starts, axis=1).T if by_day.shape[1] else 0.0
    if means.shape[2]:
        number = np.add.reduceat(use.sum(axis=1).astype(float), starts, axis=1).T
    if not number.sum():
        return Dispersion(np.full((len(groups), n_weeks), DEFAULT))
    group = np.zeros((n_weeks, int(groups.max()) + 1, len(GRID)))
    in_group = np.zeros(group.shape[:2])
    for week in range(n_weeks):
        np.add.at(group[week], groups, curve[week])
        np.add.at(in_group[week], groups, number[week])
    others, in_others = curve.sum(axis=0) - curve, number.sum(axis=0) - number
    score = curve + NODE_DAYS * _mean(others, in_others) + GROUP_DAYS * _mean(group, in_group)[:, groups]
    score += 1e-6 * (curve.sum(axis=(0, 1)) / number.sum())  # where nothing else is known, what is known of all
    return Dispersion(np.maximum.accumulate(GRID[np.argmax(score, axis=2)], axis=0).T)


def widened(dispersion: np.ndarray, tickets: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Adds what is not known of a level and its week that few tickets and days have told: the relative variance of their means.

    Each kind of day has seen a seventh of the days. Where history is long there is nothing to speak of.

    Args:
        dispersion: [M, H].
        tickets, days: [M] that tell each node's level.
    """
    return np.asarray(dispersion + WEEK * dispersion / np.maximum(days, 1.0)[:, None] + 1.0 / (tickets + 1.0)[:, None])


def _mean(total: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Totals [..., G] over numbers [...]; 0 where there is none."""
    return np.asarray(np.where(number[..., None] > 0, total / np.maximum(number, 1.0)[..., None], 0.0))
