"""Drift of what comes in: whether the mix of a week (of categories, say) is still the one of the weeks before.

The population stability index, the sum of (q - p) ln(q / p) over the parts, p and q being their shares before and of late (Siddiqi 2006, Credit Risk
Scorecards; it is the symmetric divergence of Jeffreys 1946). Below 0.1 a mix is taken to stand, above 0.25 to have moved. Few tickets move it by
themselves: without any change its mean is (parts - 1) (1 / n + 1 / m), for n and m tickets (Yurdakul 2018). That is told beside it and taken off
before it is judged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from math import log
from typing import Literal

LAST, BEFORE = 7, 28  # days: a week, and the four before it, so that both hold every weekday as often
SOME, MUCH = 0.1, 0.25  # Siddiqi's limits
HALF = 0.5  # a ticket that a part is given where it has none: the logarithm needs one

State = Literal["stable", "some", "much"]


@dataclass(frozen=True)
class Part:
    """One part of a mix, with its shares in the four weeks before and in the last one."""

    code: str
    before: float
    last: float


@dataclass(frozen=True)
class Drift:
    """How far a mix has moved.

    Attributes:
        psi: population stability index.
        chance: what it is on average without any change.
        tickets: of the last week.
        parts: the one that adds most to the index first.
    """

    psi: float
    chance: float
    tickets: int
    parts: tuple[Part, ...]

    @property
    def state(self) -> State:
        """What the index says, chance taken off."""
        beyond = self.psi - self.chance
        return "stable" if beyond < SOME else "some" if beyond < MUCH else "much"


def windows(day: date) -> tuple[tuple[date, date], tuple[date, date]]:
    """First and last day of the four weeks before, and of the last week, which ends on `day`."""
    last = day - timedelta(days=LAST - 1)
    return (last - timedelta(days=BEFORE), last - timedelta(days=1)), (last, day)


def drift(before: Mapping[str, int], last: Mapping[str, int]) -> Drift | None:
    """Compares two mixes, tickets by part; None if one of them is empty."""
    n, m = sum(before.values()), sum(last.values())
    if n <= 0 or m <= 0:
        return None
    codes = sorted(code for code in {*before, *last} if before.get(code, 0) > 0 or last.get(code, 0) > 0)
    found = []
    for code in codes:
        p, q = (max(counts.get(code, 0), HALF) / total for counts, total in ((before, n), (last, m)))
        found.append(((q - p) * log(q / p), Part(code, before.get(code, 0) / n, last.get(code, 0) / m)))
    found.sort(key=lambda one: -one[0])
    return Drift(sum(one for one, _ in found), (len(codes) - 1) * (1 / n + 1 / m), m, tuple(part for _, part in found))
