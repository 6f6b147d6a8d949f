"""Rolling origin: one task in, one long table out."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from datetime import date

import pandas as pd

from forecasting import distribution, training
from forecasting.errors import InputError
from forecasting.forecast_set import with_quantiles
from forecasting.models.base import Known, Model
from forecasting.recipe import CHAMPION, MODELS, Recipe

COLUMNS = ("district", "category", "cutoff", "date", "horizon", "model", "mean", *distribution.QUANTILE_NAMES)
GREATEST_SEED = 2**31 - 1  # what every library of the models takes


@dataclass(frozen=True)
class Task:
    """What to forecast, as if standing at each cutoff in turn.

    Attributes:
        cutoffs: last days known, ascending.
        horizon: days ahead.
        models: 'champion' (the recipe's blend) or names of members, each reported under its own name.
        seed: makes the result repeatable.
    """

    cutoffs: tuple[pd.Timestamp, ...]
    horizon: int = 28
    models: tuple[str, ...] = (CHAMPION,)
    seed: int = 0


def make_task(cutoffs: Sequence[str], horizon: int, models: Sequence[str], seed: int, known: Known) -> Task:
    """Checks a task against the data.

    Raises:
        InputError: a cutoff is no date, lies outside the data or appears twice; an unknown model or none; a horizon or seed out of range.
    """
    parsed = []
    for text in cutoffs:
        try:
            parsed.append(pd.Timestamp(date.fromisoformat(text.strip())))
        except ValueError:
            raise InputError(f"'{text}' is not a date", "--cutoffs", "write 2018-07-31,2018-10-07") from None
    first, last = known.panel.days[0], known.panel.days[-1]
    for cutoff in parsed:
        if not first <= cutoff <= last:
            raise InputError(f"{cutoff:%Y-%m-%d} lies outside the data", "--cutoffs", f"choose days from {first:%Y-%m-%d} to {last:%Y-%m-%d}")
    if not parsed or len(set(parsed)) != len(parsed):
        raise InputError("no cutoff, or one twice", "--cutoffs", "name each day once")
    if not 1 <= horizon <= 90:
        raise InputError(f"{horizon} days", "--horizon", "choose 1 to 90")
    if not 0 <= seed <= GREATEST_SEED:
        raise InputError(f"{seed} does not fit", "--seed", f"choose 0 to {GREATEST_SEED}")
    if not models:
        raise InputError("no model", "--models", f"choose from {', '.join([CHAMPION, *MODELS])}")
    for name in models:
        if name != CHAMPION and name not in MODELS:
            raise InputError(f"unknown model '{name}'", "--models", f"choose from {', '.join([CHAMPION, *MODELS])}")
    return Task(tuple(sorted(parsed)), horizon, tuple(dict.fromkeys(models)), seed)


@dataclass(frozen=True)
class Short:
    """A member with too short a history at a cutoff.

    Attributes:
        member: its name.
        needs, has: days of history.
        stand_in: the baseline whose forecasts stand under its name.
    """

    member: str
    needs: int
    has: int
    stand_in: str


def too_short(known: Known, recipe: Recipe, task: Task) -> tuple[Short, ...]:
    """The members of a task that what is known at a cutoff is too short for: the champion does without them."""
    has, members = len(known.panel.days), _members(recipe, task)
    stand_in = [m.name for m in members if m.least_days == 0][-1]
    return tuple(Short(m.name, m.least_days, has, stand_in) for m in members if has < m.least_days)


def _members(recipe: Recipe, task: Task) -> tuple[Model, ...]:
    if CHAMPION in task.models:
        return recipe.members
    # A baseline stays: it forecasts the nodes on which a member has no opinion.
    return tuple(m for m in recipe.members if m.name in task.models or m.least_days == 0)


def run(
    known_at: Callable[[pd.Timestamp], Known],
    recipe: Recipe,
    task: Task,
    executor: Executor | None = None,
    progress: Callable[[int], None] | None = None,
    at_once: int = 2,
) -> pd.DataFrame:
    """Trains anew at each cutoff on what was known by its end, and forecasts the days after it.

    Args:
        known_at: what was known at the end of a cutoff; `Known.at` of everything, where nothing is received late.
        executor: where the cutoffs are worked on; None: in this process, one after the other. The result is the same.
        progress: called with the number of cutoffs done.
        at_once: cutoffs that an executor is given at a time. What is known at each, and at the one that comes next, is in memory.

    Returns:
        long frame of `COLUMNS` and `dispersion` (see `distribution`), a row per model, cutoff, node and day; `ALL` stands where something is summed.

    Raises:
        InputError: a model of the task is not in the recipe.
    """
    for name in task.models:
        if name != CHAMPION and name not in {m.name for m in recipe.members}:
            raise InputError(f"'{name}' is not in the recipe", "--models", "add it to the recipe's members")
    say = progress or (lambda _: None)
    parts: dict[pd.Timestamp, pd.DataFrame] = {}
    if executor is None:
        for cutoff in task.cutoffs:
            parts[cutoff] = at_cutoff(cutoff, known_at(cutoff), recipe, task)
            say(len(parts))
        return pd.concat(parts.values(), ignore_index=True)

    at_work: dict[Future[pd.DataFrame], pd.Timestamp] = {}

    def collect(until: int) -> None:
        while len(at_work) > until:
            for future in wait(at_work, return_when=FIRST_COMPLETED).done:
                parts[at_work.pop(future)] = future.result()
                say(len(parts))

    for cutoff in task.cutoffs:
        known = known_at(cutoff)  # while the executor is at work
        collect(at_once - 1)
        at_work[executor.submit(at_cutoff, cutoff, known, recipe, task)] = cutoff
    collect(0)
    return pd.concat([parts[cutoff] for cutoff in task.cutoffs], ignore_index=True)


def at_cutoff(cutoff: pd.Timestamp, known: Known, recipe: Recipe, task: Task) -> pd.DataFrame:
    """The rows of one cutoff, of all models of the task, as `run` gives them.

    Args:
        known: what was known at the end of the cutoff.
    """
    members = training.backtest_members(known, _members(recipe, task), task.horizon, recipe.windows, task.seed)
    parts = []
    for name in task.models:
        champion = training.assemble(members, None if name == CHAMPION else (name,), recipe.shrink)
        frame = with_quantiles(champion.forecast().frame)
        parts.append(frame.rename(columns={"area": "district"}).assign(cutoff=cutoff, model=name)[[*COLUMNS, "dispersion"]])
    return pd.concat(parts, ignore_index=True)
