"""What detection finds on a day: one event, placed at the node where it is."""

from dataclasses import dataclass
from datetime import date

SPIKE = "SPIKE"
SEASONAL = "SEASONAL"


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
        kind: SPIKE or SEASONAL.
        level: blue < yellow < orange < red.
        area, category: the node at which it is.
        districts: those concerned, the greatest excess first.
        day: the last finished day when it was found.
        onset: first day of it. SPIKE: the day. SEASONAL: the first coming day that is clearly above the usual level.
        peak: SPIKE: the day. SEASONAL: the coming day with the most tickets.
        observed: tickets a day. SPIKE: what came. SEASONAL: the mean of the last four weeks, or of the last week if that is higher.
        expected: tickets a day. SPIKE: the forecast's mean. SEASONAL: the forecast's mean over the highest coming week.
        lower, upper: 90 % interval of what was (is) expected, tickets a day.
        p_value: SPIKE: P(count >= what came and no finding below has explained) as forecast. SEASONAL: P(the coming week is not above that).
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
    p_value: float
    reason_zh: str
    reason_en: str
