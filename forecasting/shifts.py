"""Shifts of level: nodes whose last weeks are as far from the weeks before as no usual week was, and agree with one another.

A burst passes and a forecast must not follow it; a level that has moved stays, and a forecast that learns from years is slow to believe it.
Two windows in a row that lie on the same side, together far outside the scatter of the windows before and close to each other, are taken
for a shift: a run rule of a Shewhart chart with robust limits (Western Electric 1956) on square roots, which make a fall as plain as a rise
(Bartlett 1936), at three lengths, so that a shift is known after two weeks and is still known when it is older.
"""

import numpy as np

LENGTHS = (7, 14, 28)  # days of a window: whole weeks
NEW_DAYS = 2 * LENGTHS[0]  # that tell the level of a node of which it is only known that it has moved
BEFORE = 8  # windows that tell what is usual
FAR = 5.0  # robust standard deviations of both windows together: hardly ever by chance
EACH = 2.0  # ... and of each alone: one wild week is a burst
AGREE = 0.5  # the two may differ by this part of the shift
LEAST = 1.25  # ratio of the levels, up or down: what is less the members follow in time
MAD = 1.4826  # times the median absolute deviation is the standard deviation of a normal distribution
POISSON_ROOT = 0.5  # standard deviation of the square root of a Poisson count


def moved(counts: np.ndarray) -> np.ndarray:
    """Which nodes have moved to another level.

    Args:
        counts: [M, T] counts without what calendar and weather do, NaN where missing.

    Returns:
        [M] booleans; False where there are not `BEFORE` + 2 windows with a count in each.
    """
    found = np.zeros(len(counts), bool)
    for length in LENGTHS:
        n = length * (BEFORE + 2)
        if counts.shape[1] < n:
            break
        windows = counts[:, -n:].reshape(len(counts), BEFORE + 2, length)
        there = ~np.isnan(windows)
        days = there.sum(axis=2)
        mean = np.where(there, windows, 0.0).sum(axis=2) / np.maximum(days, 1)
        root = np.sqrt(mean)
        usual = np.median(root[:, :BEFORE], axis=1)
        spread = MAD * np.median(np.abs(root[:, :BEFORE] - usual[:, None]), axis=1)
        spread = np.maximum(spread, POISSON_ROOT / np.sqrt(length))  # no less than counts scatter by themselves
        first, last = (root[:, BEFORE + k] - usual for k in (0, 1))
        far = (np.abs(first + last) > FAR * np.sqrt(2) * spread) & (np.minimum(np.abs(first), np.abs(last)) > EACH * spread)
        same = (first * last > 0) & (np.abs(first - last) < AGREE * np.abs(first + last) / 2)
        ratio = (mean[:, BEFORE:].mean(axis=1) + 1.0 / length) / (usual**2 + 1.0 / length)
        found |= far & same & ((ratio > LEAST) | (ratio < 1 / LEAST)) & (days > 0).all(axis=1)
    return found
