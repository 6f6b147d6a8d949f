"""How many alerts are told: enough that an officer reads them all.

The budget says how many chance may begin. Where more goes on than chance brings, and most of it is small, what matters would be lost among it. So
blue events share a ration: the budget's number a day, of which quiet days leave some for the days after them. What is beyond it waits, the most
probable first, and is told as soon as there is room for it or it has grown. What is yellow or more, broad or new never waits, and takes its place.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import date, timedelta
from math import ceil

from forecasting.detection.events import Assigned
from forecasting.detection.finding import FIRST_SEEN
from forecasting.detection.levels import BROAD, LEVELS

SPARED_DAYS = 3.0
"""Days whose ration is there at most: what chance alone begins hardly ever has to wait then, so that the budget is neither missed nor passed."""
LOOK_BACK, LONGEST = 28, 2000
"""Days, at least and at most, before which it makes no difference any more what was told: below one in as many days no blue alert is told."""
ROUNDING = 1e-9
"""Of sums of budgets: ten tenths are one."""
NEVER_WAITS = "yellow"
"""Level from which on an event is told at once: what is less is no case for a duty officer (see `levels.YELLOW`), and an hour counts in a burst."""


def left(told: Collection[date], day: date, budget: float) -> float:
    """How many small events may still be told on a day.

    Args:
        told: for each alert that was raised, the day on which its event was found first; those of the last `look_back` days count.
        budget: expected false alarms a day.
    """
    most = _most(budget)
    number = Counter(told)
    room = 0.0
    for ago in reversed(range(look_back(budget))):
        room = max(0.0, min(most, room + budget) - number[day - timedelta(days=ago)])
    return room


def look_back(budget: float) -> int:
    """Days that count: those in which a ration that was used up is twice there again, within `LOOK_BACK` and `LONGEST`."""
    return max(LOOK_BACK, ceil(min(LONGEST, 2 * _most(budget) / budget)))


def told(found: Sequence[Assigned], room: float) -> list[Assigned]:
    """What is found on a look, in its order, without the events that begin on it and wait.

    Args:
        room: see `left`.
    """
    begun = [k for k, one in enumerate(found) if not one.running]
    small = sorted((k for k in begun if not _never_waits(found[k])), key=lambda k: (found[k].finding.p_value, k))
    waiting = {k for place, k in enumerate(small, 1 + len(begun) - len(small)) if place > room + ROUNDING}
    return [one for k, one in enumerate(found) if k not in waiting]


def _never_waits(one: Assigned) -> bool:
    """What an event takes in has been told, and must not be lost."""
    large = LEVELS.index(one.finding.level) >= LEVELS.index(NEVER_WAITS)
    new = any(finding.kind == FIRST_SEEN for finding in (one.finding, *one.joined))
    return large or new or bool(one.taken) or len({part.district for part in one.finding.districts}) >= BROAD


def _most(budget: float) -> float:
    return max(budget * SPARED_DAYS, 1.0)  # however small the budget, one after a while
