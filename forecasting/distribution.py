"""The predictive distribution of a count: negative binomial with a mean and a dispersion.

Variance = mean + dispersion * mean² (NB2, Lawless 1987). Dispersion 0 is the Poisson. Everything derives from these two numbers:
quantiles, tail probabilities, and the probability integral transform that says whether they were right.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from scipy import special  # not `stats`, which takes 35 MB of every process that reads forecasts

LEVELS = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)
QUANTILE_NAMES = ("q05", "q10", "q25", "q50", "q75", "q90", "q95")

LEAST_DISPERSION = 1e-6  # below it the distribution is the Poisson to within rounding, and the formulas stay finite
MOST_TABLED = 1_000_000  # the largest count up to which what depends on the count alone is looked up
AT_ONCE = 4096  # cells whose quantiles are looked for together: they fit a core's memory
LEAST_MEAN = 1e-9  # a mean of zero is a count of zero for sure; the formulas need a positive one


def _shape(mean: np.ndarray, dispersion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Size and probability of the negative binomial."""
    size = 1.0 / np.maximum(dispersion, LEAST_DISPERSION)
    return size, size / (size + np.maximum(mean, LEAST_MEAN))


def quantiles(mean: np.ndarray, dispersion: np.ndarray, levels: Sequence[float] = LEVELS) -> np.ndarray:
    """Quantiles of the count: the least one that is reached with at least a probability.

    Args:
        mean, dispersion: arrays of one shape, >= 0.
        levels: Q probabilities between 0 and 1, ascending.

    Returns:
        [..., Q] whole numbers as floats, non-decreasing along the last axis; NaN where mean or dispersion is.
    """
    mean, dispersion = np.broadcast_arrays(np.asarray(mean, float), np.asarray(dispersion, float))
    m, (size, p), q = np.maximum(mean, LEAST_MEAN).ravel(), _shape(mean.ravel(), dispersion.ravel()), np.asarray(levels, float)
    out = np.empty((m.size, q.size))
    for i in range(0, m.size, AT_ONCE):
        part = slice(i, i + AT_ONCE)
        out[part] = _least(q, m[part, None], size[part, None], p[part, None])
    return out.reshape(*mean.shape, q.size)


def _least(levels: np.ndarray, mean: np.ndarray, size: np.ndarray, p: np.ndarray) -> np.ndarray:
    """The least count at which the distribution function reaches a level, of the arrays' common shape.

    It is looked for from nearby in growing steps, and then by halves.
    """
    z, skew = special.ndtri(levels), (2.0 - p) / np.sqrt(size * (1.0 - p))
    near = mean + np.sqrt(mean / p) * (z + skew * (z * z - 1.0) / 6.0)  # Cornish & Fisher 1938: off by one at most, most often
    x = np.maximum(np.floor(near), 0.0).ravel()
    level, n, q = (np.broadcast_to(one, near.shape).ravel() for one in (levels, size, p))
    enough, short = np.full(x.shape, np.nan), np.full(x.shape, -1.0)  # the least count seen that reaches it, the greatest that does not
    step = np.maximum(np.spacing(x), 1.0)
    least = enough.copy()
    at = np.arange(len(x))
    while len(at):
        reached = special.betainc(n, x + 1.0, q) >= level
        enough, short = np.where(reached, x, enough), np.where(reached, short, x)
        least[at] = enough
        x = np.where(np.isnan(enough), short + step, np.maximum(enough - step, np.floor((short + enough) / 2.0)))
        step *= 2.0
        on = np.flatnonzero((x > short) & ~(x >= enough))
        at, x, level, n, q, enough, short, step = (one[on] for one in (at, x, level, n, q, enough, short, step))
    return least.reshape(near.shape)


def tail(mean: np.ndarray, dispersion: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """P(count >= observed), of the arrays' common shape."""
    size, p = _shape(np.asarray(mean, float), np.asarray(dispersion, float))
    return np.asarray(special.betainc(np.maximum(observed, 1e-300), size, 1.0 - p) * (np.asarray(observed) > 0) + (np.asarray(observed) <= 0))


def cdf(mean: np.ndarray, dispersion: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """P(count <= observed), of the arrays' common shape."""
    size, p = _shape(np.asarray(mean, float), np.asarray(dispersion, float))
    y = np.asarray(observed, float)
    return np.asarray(np.where(y < 0.0, 0.0, special.betainc(size, np.maximum(np.floor(y), 0.0) + 1.0, p)))


def mid_pit(mean: np.ndarray, dispersion: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Mid probability integral transform, P(count < observed) + P(count = observed) / 2: uniform on average if the forecast is right."""
    return np.asarray(1.0 - mid_tail(mean, dispersion, observed))


def mid_tail(mean: np.ndarray, dispersion: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """P(count > observed) + P(count = observed) / 2, exact however small."""
    return np.asarray((tail(mean, dispersion, observed) + tail(mean, dispersion, np.asarray(observed) + 1.0)) / 2.0)


def log_likelihoods(mean: np.ndarray, observed: np.ndarray, dispersions: Iterable[float]) -> Iterator[np.ndarray]:
    """`log_likelihood` under one dispersion after the other, each the same for all: a third of the time where counts are whole numbers.

    Args:
        mean, observed: arrays of one shape, without NaN.
    """
    mean = np.maximum(np.asarray(mean, float), LEAST_MEAN)
    y = np.asarray(observed, float)
    whole = y.astype(np.int64)
    largest = int(whole.max(initial=0))
    if largest > MOST_TABLED or (whole != y).any() or whole.min(initial=0) < 0:
        yield from (log_likelihood(mean, np.full(mean.shape, dispersion), y) for dispersion in dispersions)
        return
    counts, times_log_mean = np.arange(largest + 1.0), y * np.log(mean)
    for dispersion in dispersions:
        size = 1.0 / max(dispersion, LEAST_DISPERSION)
        of_count = special.gammaln(counts + size) - special.gammaln(size) - special.gammaln(counts + 1.0) - counts * np.log(size)
        yield of_count[whole] + times_log_mean - (y + size) * np.log1p(mean / size)


def log_likelihood(mean: np.ndarray, dispersion: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Log probability of the observed counts, of the arrays' common shape."""
    mean = np.maximum(np.asarray(mean, float), LEAST_MEAN)
    size = 1.0 / np.maximum(np.asarray(dispersion, float), LEAST_DISPERSION)
    y = np.asarray(observed, float)
    binomial = special.gammaln(y + size) - special.gammaln(size) - special.gammaln(y + 1.0)
    return np.asarray(binomial - size * np.log1p(mean / size) + y * (np.log(mean) - np.log(size + mean)))
