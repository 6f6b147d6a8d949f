"""How sure a figure over a row of cutoffs is: a block bootstrap.

Circular block bootstrap: Politis & Romano (1992). What is compared sees the same draw of cutoffs, so what is hard for all cancels in a difference.
"""

from dataclasses import dataclass

import numpy as np

BLOCK = 3  # windows of 28 days drawn together: errors of a quarter hang together, and thirteen windows still give five blocks
DRAWS = 2000  # the ends of a 95 % interval are then sure to about a tenth of its width
SEED = 0
COVERED = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure and the interval in which 95 of 100 resamples lie."""

    value: float
    low: float
    high: float


def estimate(drawn: np.ndarray, tail: float = (1 - COVERED) / 2) -> Estimate:
    """Of [1 + DRAWS] values, the first as measured; `tail` of the others lie beyond each end."""
    low, high = np.nanquantile(drawn[1:], [tail, 1 - tail])
    return Estimate(float(drawn[0]), float(low), float(high))


def circular_blocks(n: int, draws: int = DRAWS, block: int = BLOCK, seed: int | tuple[int, ...] = SEED) -> np.ndarray:
    """How often each of n cutoffs in a row is taken: [1 + draws, n], the first row once each.

    A draw is blocks that follow one another in a ring (after the last cutoff comes the first), from random starts, until there are n cutoffs.
    """
    starts = np.random.default_rng(seed).integers(0, n, (draws, -(-n // block)))
    taken = ((starts[:, :, None] + np.arange(block)) % n).reshape(draws, -1)[:, :n]
    weights = np.zeros((draws + 1, n))
    weights[0] = 1
    np.add.at(weights[1:], (np.arange(draws)[:, None], taken), 1)
    return weights
