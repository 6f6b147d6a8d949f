"""Rolling origin: one task in, one long table out."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date

import pandas as pd

from forecasting import distribution, training
from forecasting.errors import InputError
from forecasting.forecast_set import with_quantiles
from forecasting.models.base import Known
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


def run(
    known_at: Callable[[pd.Timestamp], Known],
    recipe: Recipe,
    task: Task,
    executor: Executor | None = None,
    progress: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """Trains anew at each cutoff on what was known by its end, and forecasts the days after it.

    Args:
        known_at: what was known at the end of a cutoff; `Known.at` of everything, where nothing is received late.
        progress: called with the number of cutoffs done.

    Returns:
        long frame of `COLUMNS` and `dispersion` (see `distribution`), a row per model, cutoff, node and day; `ALL` stands where something is summed.

    Raises:
        InputError: a model of the task is not in the recipe.
    """
    for name in task.models:
        if name != CHAMPION and name not in {m.name for m in recipe.members}:
            raise InputError(f"'{name}' is not in the recipe", "--models", "add it to the recipe's members")
    wanted = recipe.members
    if CHAMPION not in task.models:  # a baseline stays: it forecasts the nodes on which a member has no opinion
        wanted = tuple(m for m in recipe.members if m.name in task.models or m.least_days == 0)
    parts = []
    for done, cutoff in enumerate(task.cutoffs, 1):
        members = training.backtest_members(known_at(cutoff), wanted, task.horizon, recipe.windows, task.seed, executor)
        for name in task.models:
            champion = training.assemble(members, None if name == CHAMPION else (name,), recipe.shrink)
            frame = with_quantiles(champion.forecast().frame)
            parts.append(frame.rename(columns={"area": "district"}).assign(cutoff=cutoff, model=name)[[*COLUMNS, "dispersion"]])
        if progress:
            progress(done)
    return pd.concat(parts, ignore_index=True)
