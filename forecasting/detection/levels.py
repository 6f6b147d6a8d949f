"""Whether something is worth an alert, and its colour: every number that was chosen stands here."""

LEVELS = ("blue", "yellow", "orange", "red")

LEAST_EXCESS = 8.0
"""Tickets a day above expectation: fewer are no case for a duty officer, however improbable (the domain's rule)."""
LEAST_RATIO = 1.3
"""Times the expectation: cuts false alarms by half (with the excess) at a modest cost in early detection, as measured in public simulations."""

YELLOW_P = 1e-3
ORANGE_P, ORANGE_RATIO = 1e-4, 1.5
RED_P, RED_RATIO = 1e-5, 2.0
BROAD = 3
"""Districts from which on an event is broad: fewer are events of those districts."""
CARRIED = 0.8
"""Share of the excess that the districts of an event must carry together: what is left over is noise."""
CONCERNED_P = 0.05
"""A district whose own count is less probable than this takes part in a city-wide event."""


def threshold(budget: float, tests: int) -> float:
    """Probability below which a test is significant, so that `tests` calibrated tests give `budget` false alarms a day at most (Bonferroni)."""
    return min(budget / max(tests, 1), 0.01)


def level(p_value: float, ratio: float, districts: int, safety: bool) -> str:
    """Colour of an event. Never falls when the excess grows: p falls and the ratio rises with it.

    Args:
        p_value: probability of such a count if nothing were wrong.
        ratio: observed / expected.
        districts: how many districts are concerned.
        safety: whether the category is one of safety.
    """
    if p_value < RED_P and ratio >= RED_RATIO and (districts >= BROAD or safety):
        return "red"
    if p_value < ORANGE_P and ratio >= ORANGE_RATIO:
        return "orange"
    return "yellow" if p_value < YELLOW_P else "blue"
