"""`weisu backtest`: files in, forecasts as if standing at each cutoff out, scores where there are actuals."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from experiments import files, recipes, workers
from forecasting import backtest, metrics, panel
from forecasting.drivers import from_frame
from forecasting.errors import InputError
from forecasting.hierarchy import ALL, Tree
from forecasting.models.base import Known
from forecasting.models.boosting import Boosting
from forecasting.panel import CountPanel
from forecasting.recipe import Recipe

SHOWN = 5  # districts that an error names


@dataclass(frozen=True)
class Request:
    """What the command line asks for; see `weisu backtest --help`.

    Attributes:
        zone: time zone of moments that carry an offset.
        workers: processes, each of which works on a cutoff; 1: this one alone.
        scheduler: address of a Dask scheduler, whose workers do it instead; empty: none.
    """

    cutoffs: tuple[str, ...]
    counts: Path | None = None
    tickets: Path | None = None
    drivers: Path | None = None
    horizon: int = 28
    country: str = "CN"
    zone: str = "Asia/Shanghai"
    config: Path | None = None
    models: tuple[str, ...] = ("champion",)
    seed: int = 0
    workers: int = 2
    scheduler: str = ""


def run(request: Request, out: Path, progress: Callable[[int], None] | None = None, note: Callable[[str], None] | None = None) -> pd.DataFrame:
    """Writes `out/forecasts.parquet` and, where there are actuals, `out/scores.parquet`; returns the scores (empty without actuals).

    Nothing is written before all forecasts are made.

    Args:
        progress: called with the number of cutoffs done.
        note: called with a line for each cutoff and member whose history is too short.

    Raises:
        InputError: bad files, flags or recipe; a cluster that cannot be used.
    """
    nearest = next(path for path in (out, *out.parents) if path.exists())
    if not nearest.is_dir():
        raise InputError(f"{nearest} is a file", "--out", "give a folder")
    forecasts, whole = forecast(request, progress, note)
    # To a model a silent day is missing; in the file, and so in the scores, a pair that a day does not name is 0.
    named = replace(whole, counts=np.nan_to_num(whole.counts))
    scores = metrics.score(forecasts, metrics.actuals(named))
    if len(scores):
        scores = pd.concat([scores, metrics.mean_of_levels(scores)], ignore_index=True)
    out.mkdir(parents=True, exist_ok=True)
    forecasts[list(backtest.COLUMNS)].to_parquet(out / "forecasts.parquet", index=False)
    if len(scores):
        scores.to_parquet(out / "scores.parquet", index=False)
    else:
        (out / "scores.parquet").unlink(missing_ok=True)  # those of an earlier run would pass for this one's
    return scores


def forecast(
    request: Request, progress: Callable[[int], None] | None = None, note: Callable[[str], None] | None = None
) -> tuple[pd.DataFrame, CountPanel]:
    """The forecasts of all cutoffs, as `forecasting.backtest.run` gives them, and the whole panel.

    Raises:
        InputError: bad files, flags or recipe; a cluster that cannot be used.
    """
    if (request.counts is None) == (request.tickets is None):
        raise InputError("give one of --counts and --tickets", "backtest", "a file of counts or one of tickets")
    recipe = recipes.load(request.config)
    table = files.counts(request.counts) if request.counts else files.tickets(request.tickets, request.zone)  # type: ignore[arg-type]
    for column in ("district", "category"):
        if (table[column] == ALL).any():
            raise InputError(f"{column} '{ALL}' is kept for sums", str(request.counts or request.tickets), "leave such rows out: sums are made here")
    whole = panel.from_counts(table, source=str(request.counts or request.tickets))
    weather = from_frame(drivers(request.drivers, request.zone, whole)) if request.drivers else None
    known = Known(whole, Tree(), Tree(), weather, request.country)
    task = backtest.make_task(request.cutoffs, request.horizon, request.models, request.seed, known)
    known.calendar(request.horizon)  # an unknown country is said before the work begins

    def known_at(cutoff: pd.Timestamp) -> Known:
        then = arrived(cutoff)
        if note:
            for short in backtest.too_short(then, recipe, task):
                instead = f"{short.stand_in} forecast in its place" if short.member in task.models else "the champion does without it"
                note(f"{cutoff:%Y-%m-%d}: {short.member} needs {short.needs} days of history and has {short.has}; {instead}")
        return then

    def arrived(cutoff: pd.Timestamp) -> Known:
        if "received" not in table:
            return known.at(cutoff)
        by_then = table[table["received"] <= cutoff]  # what was received later was not known, whatever day it is of
        return replace(known, panel=panel.from_counts(by_then, cutoff)).at(cutoff)

    with workers.fan_out(len(task.cutoffs), request.workers, request.scheduler) as (executor, at_once):
        return backtest.run(known_at, one_thread(recipe) if executor else recipe, task, executor, progress, at_once), whole


def one_thread(recipe: Recipe) -> Recipe:
    """The recipe for processes that share the cores: threads that wait for a busy core are many times slower than none. It forecasts the same."""
    members = (replace(member, threads=1) if isinstance(member, Boosting) else member for member in recipe.members)
    return replace(recipe, members=tuple(members))


def drivers(path: Path, zone: str, whole: CountPanel) -> pd.DataFrame:
    """Driver rows of the city and the districts that are counted; InputError if a row is of another district, or none of a day of the counts."""
    table = files.drivers(path, zone)
    if "district" in table:
        districts = sorted(set(whole.series["area"]))
        unknown = ~table["district"].fillna("").isin(["", ALL, *districts]).to_numpy()
        if unknown.any():
            at = int(unknown.argmax())
            mend = f"the counts have {', '.join(districts[:SHOWN])}{' …' if len(districts) > SHOWN else ''}; leave such rows out"
            raise InputError(f"district '{table['district'].iloc[at]}' has no counts", f"{path}, row {at + 1}", mend)
    first, last = whole.days[0], whole.days[-1]
    if not table["date"].dt.normalize().between(first, last).any():
        raise InputError(f"no row of a day from {first:%Y-%m-%d} to {last:%Y-%m-%d}, which the counts are of", str(path), "check the dates of both")
    return table
