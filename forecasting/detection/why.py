"""What an alert rests on, from what is known of its node and those below: who carries the excess, how such events fade, when it is highest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SHOWN = 12  # children that are told one by one; the others are in the rest
WORTH_TELLING = 0.01  # of the excess
FADE = 0.6  # of the excess that is still there on the next day, before any past event says otherwise: the mean of the simulated city's incidents
PAST = 2.0  # past events that this is worth
LEAST_FADE, MOST_FADE = 0.2, 0.95


@dataclass(frozen=True)
class Share:
    """What a child has of an excess.

    Attributes:
        tickets, usual: what came (or is coming) and what was expected (or is usual).
        share: of all that is too many, 0 to 1.
    """

    code: str
    tickets: float
    usual: float
    share: float


def shares(codes: Sequence[str], tickets: np.ndarray, usual: np.ndarray, excess: float) -> tuple[list[Share], float]:
    """Children that carry an excess, the greatest first, and the share of the rest; together 1.

    Args:
        codes, tickets, usual: of the children: [n] each.
        excess: tickets too many at the node itself. Where children have less than usual, those that have more carry more than this: then
            what they have together is the whole.
    """
    more = np.maximum(np.nan_to_num(tickets - usual), 0.0)
    whole = max(excess, float(more.sum()))
    if whole <= 0:
        return [], 1.0
    order = sorted(np.flatnonzero((more > 0) & (more >= WORTH_TELLING * whole)).tolist(), key=lambda i: (-more[i], codes[i]))[:SHOWN]
    told = [
        Share(codes[i], float(tickets[i]), float(usual[i]), float(more[i] / whole)) for i in order if more[i] >= WORTH_TELLING * whole and more[i] > 0
    ]
    return told, max(1.0 - sum(one.share for one in told), 0.0)


def fade(past: Sequence[np.ndarray]) -> float:
    """Share of an excess that is still there a day later, as past events faded.

    Of an event that is over it is estimated by the sum of what came from its second day on over the sum of all: a geometric fade's own ratio,
    whatever the build-up.

    Args:
        past: the excess of each event by day, from its onset.
    """
    ratios = []
    for event in past:
        more = np.maximum(np.nan_to_num(event), 0.0)
        if more.sum() > 0:
            ratios.append(float(more[1:].sum() / more.sum()))
    return float(np.clip((PAST * FADE + sum(ratios)) / (PAST + len(ratios)), LEAST_FADE, MOST_FADE))


def ahead(mean: np.ndarray, observed: float, expected: float, fading: float) -> np.ndarray:
    """Tickets on the days to come [H] if an excess fades: the forecast's mean [H], times what is left of the ratio of the last day.

    A ticket is added on both sides of the ratio: of next to nothing nobody knows a multiple.
    """
    left = fading ** np.arange(1, len(mean) + 1)
    return np.asarray(np.maximum(mean + (observed - expected) * left * (mean + 1.0) / (expected + 1.0), 0.0))
