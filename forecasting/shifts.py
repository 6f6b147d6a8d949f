"""Shifts of level: nodes whose last weeks are as far from the weeks before as no usual week was, and agree with one another.

A burst passes and a forecast must not follow it; a level that has moved stays, and a forecast that learns from years is slow to believe it.
Two windows in a row that lie on the same side, far outside the scatter of the windows before and close to each other, are taken for a shift:
the two-window rule of a Shewhart chart with robust limits (Western Electric 1956), at three lengths, so that a shift is known after two weeks
and is still known when it is older.
"""

import numpy as np

LENGTHS = (7, 14, 28)  # days of a window: whole weeks
BEFORE = 8  # windows that tell what is usual
FAR = 4.0  # robust standard deviations of a window, twice in a row: hardly ever by chance
AGREE = 0.5  # the two may differ by this part of the shift
LEAST = 1.25  # ratio of the levels, up or down: what is less the members follow in time
MAD = 1.4826  # times the median absolute deviation is the standard deviation of a normal distribution


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
        usual = np.median(mean[:, :BEFORE], axis=1)
        spread = MAD * np.median(np.abs(mean[:, :BEFORE] - usual[:, None]), axis=1)
        spread = np.maximum(spread, np.sqrt((usual + 1.0 / length) / length))  # no less than counts scatter by themselves
        first, last = (mean[:, BEFORE + k] - usual for k in (0, 1))
        level = (first + last) / 2
        far = np.minimum(np.abs(first), np.abs(last)) > FAR * spread
        same = (first * last > 0) & (np.abs(first - last) < AGREE * np.abs(level))
        ratio = (usual + level + 1.0 / length) / (usual + 1.0 / length)
        found |= far & same & ((ratio > LEAST) | (ratio < 1 / LEAST)) & (days > 0).all(axis=1)
    return found
