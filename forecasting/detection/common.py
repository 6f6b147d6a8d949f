"""What all categories of an area have in common on a day: the factor by which they came, beside what a few of them did on their own.

A storm raises a few categories, a lost hour lowers all of them, a file delivered twice doubles all of them. So the factor is estimated robustly:
the weighted median of the categories' ratios to their forecasts (Edgeworth 1887), then the ratio of the sums of those that go along with it (one
step of Huber-type rejection, Hampel 1985). Up to half of the expectation may do what it likes without moving it.
"""

import numpy as np
from scipy import special

from forecasting import distribution

REJECTED = 3.0  # standard deviations from the median factor beyond which a category has a matter of its own
LEAST_FACTOR = 0.05  # for the scatter of counts that are all but none
MAJORITY, UNLIKELY = 0.5, 2.5  # share of the expectation; standard deviations below what is likely
CONTINUITY = 1.0 / 3.0  # the median of a Poisson count is about this much below its mean


def factor(observed: np.ndarray, mean: np.ndarray, dispersion: np.ndarray) -> np.ndarray:
    """The common factor of C counts to their means: [..., C, D] each, NaN or mean 0 where there is none -> [..., D], NaN without any."""
    there = ~np.isnan(observed) & (mean > 0)
    came, expected = np.where(there, observed, 0.0), np.where(there, mean, 0.0)
    first = np.maximum(_weighted_median((came + CONTINUITY * (came > 0)) / np.maximum(expected, distribution.LEAST_MEAN), expected), LEAST_FACTOR)
    fitted = first[..., None, :] * expected
    scatter = np.sqrt(fitted + dispersion * fitted**2)
    kept = np.abs(came - fitted) <= REJECTED * np.maximum(scatter, 1.0)
    total = np.where(kept, expected, 0.0).sum(axis=-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(total > 0, np.where(kept, came, 0.0).sum(axis=-2) / total, np.nan))


def even(observed: np.ndarray, mean: np.ndarray, dispersion: np.ndarray, common: np.ndarray) -> np.ndarray:
    """Whether as many counts go along with a common factor as would if all had it: [..., C, D] each, [..., D] -> [..., D].

    A count goes along if it is nearer to the factor than to 1. Weighted by expectation, `MAJORITY` must, and no fewer than chance explains.
    """
    there = ~np.isnan(observed) & (mean > 0)
    expected = np.where(there, mean, 0.0)
    factor = np.nan_to_num(np.maximum(common, 0.0), nan=1.0)[..., None, :]
    nearer = np.where(factor >= 1.0, observed > np.sqrt(factor) * expected, observed < np.sqrt(factor) * expected) & there
    # Tickets that come twice scatter by the factor more than so many tickets do.
    scatter = np.sqrt(np.maximum(factor, 1.0) * (factor * expected + np.nan_to_num(dispersion) * (factor * expected) ** 2))
    chance = special.ndtr(np.abs(factor - np.sqrt(factor)) * expected / np.maximum(scatter, distribution.LEAST_MEAN))
    total = np.maximum(expected.sum(axis=-2), distribution.LEAST_MEAN)
    likely = (chance * expected).sum(axis=-2) / total
    doubt = np.sqrt((chance * (1.0 - chance) * expected**2).sum(axis=-2)) / total
    return np.asarray((nearer * expected).sum(axis=-2) / total >= np.maximum(likely - UNLIKELY * doubt, MAJORITY))


def breadth(mean: np.ndarray) -> np.ndarray:
    """How many equal categories would share the expectation as evenly (Hill 1973): [..., C, D] -> [..., D]."""
    expected = np.nan_to_num(mean)
    return np.asarray(expected.sum(axis=-2) ** 2 / np.maximum((expected**2).sum(axis=-2), distribution.LEAST_MEAN))


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Along the last axis but one."""
    order = np.argsort(values, axis=-2)
    ordered = np.take_along_axis(values, order, axis=-2)
    below = np.cumsum(np.take_along_axis(weights, order, axis=-2), axis=-2)
    at = (below >= below[..., -1:, :] / 2.0).argmax(axis=-2)
    return np.asarray(np.take_along_axis(ordered, at[..., None, :], axis=-2)[..., 0, :])
