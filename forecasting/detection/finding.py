"""What detection finds on a day: one event, placed at the node where it is."""

from dataclasses import dataclass
from datetime import date

SPIKE = "SPIKE"
EMERGING = "EMERGING"
SEASONAL = "SEASONAL"
FIRST_SEEN = "FIRST_SEEN"
DATA = "DATA"
EXCESS = (EMERGING, SPIKE)
"""Kinds of one and the same event, more than was to be expected: EMERGING may become SPIKE, but not the other way round."""
GROWS = (FIRST_SEEN, *EXCESS)
"""What is new in a place may grow: an alert of one of these kinds may become one of the next, never one of those before."""
DEMAND = (SEASONAL, *EXCESS, FIRST_SEEN)
"""What people complain about; DATA is about how their complaints reached us, and counts for no budget."""


@dataclass(frozen=True)
class Part:
    """A district's part in an event: tickets that came (or are coming) and tickets that were expected."""

    district: str
    observed: float
    expected: float


@dataclass(frozen=True)
class Finding:
    """One event on one day.

    Attributes:
        kind: SPIKE (the day alone is improbable), EMERGING (several days together are) or SEASONAL.
        level: blue < yellow < orange < red.
        area, category: the node at which it is.
        districts: those concerned, the greatest excess first.
        day: the last finished day when it was found.
        onset: first day of it. SPIKE, EMERGING: the most likely one. SEASONAL: the first coming day that is clearly above the usual level.
        peak: the day with the most tickets, since the onset or (SEASONAL) of those that come.
        observed: tickets a day. SPIKE, EMERGING: what came on the day. SEASONAL: the mean of the last four weeks, or of the last week if that
            is higher.
        expected: tickets a day. SPIKE, EMERGING: the forecast's mean for the day. SEASONAL: the forecast's mean over the highest coming week.
        lower, upper: 90 % interval of what was (is) expected, tickets a day.
        since_observed, since_expected: tickets from the onset to the day. SEASONAL: of the highest coming week at the recent level, and as forecast.
        p_value: SPIKE, EMERGING: probability that chance begins an episode of such evidence on a given day, what findings below have explained
            left out. SEASONAL: P(the coming week is not above the recent level).
        reason_zh, reason_en: one sentence.
    """

    kind: str
    level: str
    area: str
    category: str
    districts: tuple[Part, ...]
    day: date
    onset: date
    peak: date
    observed: float
    expected: float
    lower: float
    upper: float
    since_observed: float
    since_expected: float
    p_value: float
    reason_zh: str = ""
    reason_en: str = ""
