"""What a night publishes: the candidate, if the gate lets it in; else the recipe that serves, fitted anew.

The recipe that serves goes on serving with fresh data whatever the gate says of its scores: forecasts that grow older every night would be worse.
Only what is broken is not published; what is served then goes on.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from experiments import gate
from experiments.gate import Check
from experiments.night import Night
from forecasting import recipe as recipes
from forecasting.errors import InputError
from forecasting.recipe import Recipe
from service.clock import Clock
from service.store import forecast_sets
from service.store.forecast_sets import About

log = logging.getLogger(__name__)


class Refused(RuntimeError):
    """What a night made is broken, and nothing is served that could go on being served."""


@dataclass(frozen=True)
class Judged:
    """A night before the gate, and whether it is to be published."""

    night: Night
    checks: list[Check]
    published: bool


@dataclass(frozen=True)
class Decision:
    """What a night comes to.

    Attributes:
        made: what was trained and is to be kept: what was refused first, and last what is to be published, if there is such.
        served: what goes on being served where nothing of it is to be published; None: nothing is served.
    """

    made: list[Judged]
    served: About | None

    @property
    def published(self) -> Judged | None:
        """What is to be published; None: nothing."""
        return next((one for one in self.made if one.published), None)

    @property
    def candidate(self) -> Judged:
        """What the night's own recipe made."""
        return self.made[0]

    def outcome(self, one: Judged) -> str:
        """What comes of one of those that were made, in words."""
        refitted = "the champion's recipe, refitted to the newest data"
        begins = "" if one is self.candidate else f"The candidate was refused; this is {refitted}. "
        if gate.passed(one.checks):
            return f"{begins}All checks hold: it is published."
        if one.published:
            why = "nothing was served before" if self.served is None else "older forecasts would be worse"
            return f"{begins}Not all checks hold. It is published all the same: {why}."
        if self.published is not None:
            return f"It is refused; {refitted}, is published in its place."
        assert self.served is not None
        neither = "" if len(self.made) == 1 or begins else f", nor is {refitted}"
        return f"{begins}It is not published{neither}; the forecasts known until {self.served.cutoff} go on being served."


def served(conn: Connection, clock: Clock) -> About | None:
    """The published set; None where there is none, or it does not reach the day that is running: such a one can no longer serve."""
    pointer = forecast_sets.pointer(conn)
    found = None if pointer is None else forecast_sets.about(conn, pointer)
    return found if found is not None and found.covers(clock.local_now().date()) else None


def recipe_served(served: About | None, candidate: Recipe, default: Recipe) -> Recipe | None:
    """The recipe to compare a candidate with; None: it is the same, or there is none that this version can still train.

    Args:
        served: what is served; before recipes were kept beside sets there was the default one alone.
    """
    if served is None:
        return None
    mapping = default.mapping() if served.recipe is None else served.recipe
    if mapping == candidate.mapping():
        return None
    try:
        return recipes.from_mapping(mapping, f"forecast set {served.id}")
    except InputError as error:  # a setting that newer programs do not have
        log.warning("gate.recipe_unknown", extra={"forecast_set": served.id, "reason": str(error)})
        return None


def decide(candidate: Night, refit: Callable[[], Night] | None, served: About | None, budget: float) -> Decision:
    """Judges a night.

    Args:
        refit: trains the recipe that is served on the same data, by the candidate's yardstick; None: it is the candidate's own.
        served: what is served.
        budget: expected false alerts a day.

    Raises:
        Refused: the candidate is broken, and nothing else is there.
    """
    champion = refit() if refit else None
    checks = gate.judge(candidate, champion, budget)
    if gate.passed(checks):
        return Decision([Judged(candidate, checks, published=True)], served)
    if served is None:
        if not gate.sound(checks):
            raise Refused("; ".join(f"{c.name}: {c.measured:g}, allowed {c.limit:g}" for c in checks if c.vital and not c.passed))
        log.warning("gate.first", extra={"failed": [c.name for c in checks if not c.passed]})
        return Decision([Judged(candidate, checks, published=True)], None)
    log.warning("gate.failed", extra={"failed": [c.name for c in checks if not c.passed], "served": served.id})
    if champion is None:
        return Decision([Judged(candidate, checks, published=gate.sound(checks))], served)
    again = gate.judge(champion, None, budget)
    return Decision([Judged(candidate, checks, published=False), Judged(champion, again, published=gate.sound(again))], served)
