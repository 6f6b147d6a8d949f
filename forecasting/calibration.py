"""How far counts scatter around a forecast: the dispersion of every node, by week ahead, learnt from backtest residuals.

Empirical Bayes: a node's log likelihood over a grid of dispersions, plus that of its group as a prior worth `PRIOR_DAYS` days.
"""

from dataclasses import dataclass

import numpy as np

from forecasting.distribution import log_likelihood

GRID = np.geomspace(1e-4, 4.0, 32)  # from all but Poisson to a standard deviation of twice the mean; steps of 40 %
PRIOR_DAYS = 40.0  # days of a node's own residuals that weigh as much as its group: with 84 days the node decides, and one spike does not
DEFAULT = 0.3  # dispersion where no residual is known at all: wide on purpose
FACTORS = np.geomspace(0.5, 4.0, 22)  # a week's dispersion against the average week's
WEEK = 7


@dataclass(frozen=True)
class Dispersion:
    """Dispersion of the negative binomial.

    Attributes:
        nodes: [M].
        weeks: [G, W] factor for each group and week ahead, never falling with the week.
        groups: [M] group of each node.
    """

    nodes: np.ndarray
    weeks: np.ndarray
    groups: np.ndarray

    def at(self, horizon: int) -> np.ndarray:
        """[M, H] dispersion of each node and day ahead; beyond the last week learnt from, that week's."""
        week = np.minimum(np.arange(horizon) // WEEK, self.weeks.shape[1] - 1)
        return np.asarray(self.nodes[:, None] * self.weeks[self.groups][:, week])


def fit(means: np.ndarray, counts: np.ndarray, groups: np.ndarray) -> Dispersion:
    """Learns dispersions from forecasts made out of sample.

    Args:
        means: [M, W, H] forecasts of W windows; NaN where there is none.
        counts: [M, W, H] what came; NaN where it is missing.
        groups: [M] numbers of groups of like nodes, from 0.
    """
    n_groups = int(groups.max()) + 1 if len(groups) else 0
    weeks = max(-(-means.shape[2] // WEEK), 1)
    use = np.isfinite(means) & np.isfinite(counts)
    mean, count = np.where(use, means, 1.0), np.where(use, counts, 1.0)
    curve = np.stack([np.where(use, log_likelihood(mean, np.full_like(mean, a), count), 0.0).sum(axis=(1, 2)) for a in GRID], axis=1)
    number = use.sum(axis=(1, 2))
    group_curve, group_number = np.zeros((n_groups, len(GRID))), np.zeros(n_groups)
    np.add.at(group_curve, groups, curve)
    np.add.at(group_number, groups, number)
    everything = curve.sum(axis=0) / max(number.sum(), 1)
    prior = np.where(group_number[:, None] > 0, group_curve / np.maximum(group_number, 1)[:, None], everything)
    best = GRID[np.argmax(curve + PRIOR_DAYS * prior[groups], axis=1)] if number.sum() else np.full(len(groups), DEFAULT)
    factors = np.ones((n_groups, weeks))
    for week in range(weeks):
        days = slice(week * WEEK, (week + 1) * WEEK)
        scaled = [
            np.where(use[:, :, days], log_likelihood(mean[:, :, days], best[:, None, None] * f, count[:, :, days]), 0.0).sum(axis=(1, 2))
            for f in FACTORS
        ]
        by_group = np.zeros((n_groups, len(FACTORS)))
        np.add.at(by_group, groups, np.stack(scaled, axis=1))
        seen = np.bincount(groups, weights=use[:, :, days].sum(axis=(1, 2)), minlength=n_groups) > 0
        factors[:, week] = np.where(seen, FACTORS[np.argmax(by_group, axis=1)], 1.0)
    return Dispersion(best, np.maximum.accumulate(factors, axis=1), groups)
