"""What an event is worth: its colour, and what makes it broad. Every number that was chosen stands here.

Whether there is an event at all the budget decides (`evidence.threshold`), from five tickets on; these steps decide the colour.
"""

from dataclasses import dataclass

LEVELS = ("blue", "yellow", "orange", "red")


LEAST_EXCESS = 5.0
"""Tickets too many, over the last days, from which on there is an event. Six where 0.3 a day are usual are one. Two where a thousandth was
forecast are none: nobody knows a forecast of next to nothing to a tenth of itself."""


@dataclass(frozen=True)
class Step:
    """What a colour asks for: tickets too many, and how many times the expectation came."""

    colour: str
    excess: float
    ratio: float


YELLOW = Step("yellow", 8.0, 1.3)
"""Fewer than eight too many, or less than a third more, are no case for a duty officer, however improbable (the domain's rule)."""
ORANGE = Step("orange", 25.0, 1.5)
RED = Step("red", 50.0, 2.0)
"""Red is also broad, lasting or a matter of safety: one district's single day is not the city's business."""
STEPS = (YELLOW, ORANGE, RED)

BROAD = 3
"""Districts from which on an event is broad: fewer are events of those districts."""
LASTING = 5
"""Days of a week with `RED.ratio` times the expectation from which on an event is lasting."""
CARRIED = 0.8
"""Share of the excess that the districts of an event must carry together: what is left over is noise."""
CONCERNED_P = 0.05
"""A district whose own count is less probable than this takes part in a city-wide event."""
SPIKE_P = 1e-3
"""A day less probable than this is improbable alone: SPIKE; what only several days show is EMERGING."""


def level(excess: float, ratio: float, districts: int, days: int, safety: bool) -> str:
    """Colour of an event: the highest step that it reaches. More of anything never lowers it.

    Args:
        excess: tickets above expectation.
        ratio: observed / expected.
        districts: how many districts are concerned.
        days: how many of the last seven had `RED.ratio` times the expectation.
        safety: whether the category is one of safety.
    """
    grave = safety or districts >= BROAD or days >= LASTING
    reached = [step.colour for step in STEPS if excess >= step.excess and ratio >= step.ratio and (step is not RED or grave)]
    return reached[-1] if reached else "blue"
