"""`weisu replay`: files in, the days lived through as if live, alerts and scores out."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from experiments import files, recipes, rolling, workers
from experiments.seen import OfCounts, OfTickets
from forecasting import hierarchy, panel, training
from forecasting.backtest import GREATEST_SEED
from forecasting.detection import issued, replay
from forecasting.detection.explain import Labels
from forecasting.detection.issued import Issued
from forecasting.detection.replay import SCORES, Lived, Seen, World
from forecasting.detection.running import Running
from forecasting.drivers import from_frame
from forecasting.errors import InputError
from forecasting.hierarchy import ALL, Tree
from forecasting.models.base import Known
from forecasting.recipe import Recipe

LEAST_DAYS = 28  # days of history before the first day: four weeks give each weekday four times
HORIZON = 28  # days that a training forecasts, if it need not serve for longer
MOST_REFIT_DAYS = 90
MOST_BUDGET = 1000  # alerts a day: beyond it nobody reads any
ALERTS = (
    "alert_id", "raised_at", "date", "kind", "level", "district", "category", "districts", "onset", "observed", "expected", "p_value", "reason",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What the command line asks for; see `weisu replay --help`.

    Attributes:
        start, end: first and last day that are lived through.
        refit_days: days between two trainings.
        budget: expected false demand alerts a day, over all kinds and nodes.
        zone: the city's.
        workers: processes that train; 1: this one alone.
        scheduler: address of a Dask scheduler, whose workers train instead; empty: none.
    """

    start: str
    end: str
    counts: Path | None = None
    tickets: Path | None = None
    drivers: Path | None = None
    country: str = "CN"
    zone: str = "Asia/Shanghai"
    refit_days: int = 28
    budget: float = 1.5
    config: Path | None = None
    seed: int = 0
    workers: int = 2
    scheduler: str = ""


def run(request: Request, out: Path, progress: Callable[[int], None] | None = None) -> pd.DataFrame:
    """Writes `out/alerts.parquet` and `out/scores.parquet`; returns the alerts.

    Nothing is written before all days are lived through.

    Args:
        progress: called with the number of days done.

    Raises:
        InputError: bad files or flags; too short a history; a cluster that cannot be used.
    """
    nearest = next(path for path in (out, *out.parents) if path.exists())
    if not nearest.is_dir():
        raise InputError(f"{nearest} is a file", "--out", "give a folder")
    alerts, scores = [], []
    for done, day in enumerate(live(request), 1):
        scores.append(day.scores)
        alerts += [_row(moment, one) for moment, one in day.told]
        if progress:
            progress(done)
    out.mkdir(parents=True, exist_ok=True)
    made = pd.DataFrame(alerts, columns=list(ALERTS))
    pq.write_table(_table(made, request.zone), out / "alerts.parquet")
    pd.concat(scores, ignore_index=True)[list(SCORES)].to_parquet(out / "scores.parquet", index=False)
    return made


def live(request: Request) -> Iterator[Lived]:
    """The days, one after the other.

    Raises:
        InputError: bad files or flags; too short a history; a cluster that cannot be used.
    """
    ready = prepare(request)
    with closing(ready.issued(request.workers, request.scheduler)) as trainings:
        yield from replay.live(ready.seen, trainings, ready.world, ready.first, request.zone)


@dataclass(frozen=True)
class Ready:
    """What is there before the first day is lived through.

    Attributes:
        first: position of that day.
        cutoffs: of the trainings.
        known_at: what is known at a cutoff.
        train: what is to be expected, by what is known.
    """

    seen: Seen
    world: World
    first: int
    cutoffs: pd.DatetimeIndex
    known_at: Callable[[pd.Timestamp], Known]
    train: Callable[[Known], Issued]

    def issued(self, processes: int, scheduler: str = "") -> Generator[Issued]:
        """The trainings, ahead of the days as many as are at work at a time: in processes, in this one (1), or in a Dask scheduler's workers."""
        known = map(self.known_at, self.cutoffs)
        with workers.fan_out(len(self.cutoffs), processes, scheduler) as (executor, at_once):
            yield from _ahead(executor, self.train, known, at_once) if executor else map(self.train, known)


def prepare(request: Request) -> Ready:
    """Reads the files.

    Raises:
        InputError: bad files or flags; too short a history.
    """
    rows, table = _read(request)
    start, end = _days(request, table)
    source = str(request.counts or request.tickets)
    whole = panel.from_counts(table, end, source)
    weather = from_frame(rolling.drivers(request.drivers, request.zone, whole)) if request.drivers else None
    known = Known(whole, Tree(), Tree(), weather, request.country)
    known.calendar(0)  # an unknown country is said before the work begins
    first = int(whole.days.get_indexer(pd.DatetimeIndex([start]))[0])
    if first < LEAST_DAYS:
        least = whole.days[0] + pd.Timedelta(days=LEAST_DAYS)
        raise InputError(f"only {max(first, 0)} days of counts before {start:%Y-%m-%d}", "--start", f"choose {least:%Y-%m-%d} or later")
    seen = OfCounts(whole) if rows is None else OfTickets(rows, whole, request.country)
    world = World(hierarchy.build(whole.series, Tree(), Tree()), Tree(), Tree(), Labels(), budget=request.budget)
    recipe = rolling.one_thread(recipes.load(request.config))
    train = partial(issue, recipe=recipe, horizon=max(HORIZON, request.refit_days), seed=request.seed)
    cutoffs = pd.date_range(whole.days[first - 1], end - pd.Timedelta(days=1), freq=f"{request.refit_days}D")

    def known_at(cutoff: pd.Timestamp) -> Known:
        if "received" not in table:
            return known.at(cutoff)
        by_then = table[table["received"] <= cutoff]  # what was received later was not known, whatever day it is of
        return replace(known, panel=panel.from_counts(by_then, cutoff)).at(cutoff)

    return Ready(seen, world, first, cutoffs, known_at, train)


def issue(known: Known, recipe: Recipe, horizon: int, seed: int) -> Issued:
    """Trains on what is known, and says to detection what is to be expected."""
    fitted = training.backtest_members(known, recipe.members, horizon, recipe.windows, seed)
    champion = training.assemble(fitted, None, recipe.shrink)
    return issued.issue(champion)


def _ahead(pool: Executor, train: Callable[[Known], Issued], known: Iterator[Known], at_once: int) -> Iterator[Issued]:
    """Trainings in their order, some of them at work while the days before are lived through."""
    waiting = []
    for one in known:
        waiting.append(pool.submit(train, one))
        if len(waiting) > at_once:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


def _read(request: Request) -> tuple[pd.DataFrame | None, pd.DataFrame]:
    """The tickets, if they are what is given, and the counts by day."""
    if (request.counts is None) == (request.tickets is None):
        raise InputError("give one of --counts and --tickets", "replay", "a file of counts or one of tickets")
    if not 1 <= request.refit_days <= MOST_REFIT_DAYS:
        raise InputError(f"{request.refit_days} days", "--refit-days", f"choose 1 to {MOST_REFIT_DAYS}")
    if not 0 < request.budget <= MOST_BUDGET:
        raise InputError(f"{request.budget:g} alerts a day", "--budget", f"choose more than 0, and {MOST_BUDGET} at most")
    if not 0 <= request.seed <= GREATEST_SEED:
        raise InputError(f"{request.seed} does not fit", "--seed", f"choose 0 to {GREATEST_SEED}")
    rows = files.moments(request.tickets, request.zone) if request.tickets else None
    table = files.by_day(rows) if rows is not None else files.counts(request.counts)  # type: ignore[arg-type]
    for column in ("district", "category"):
        if (table[column] == ALL).any():
            raise InputError(f"{column} '{ALL}' is kept for sums", str(request.counts or request.tickets), "leave such rows out: sums are made here")
    if rows is not None and "received" not in rows:
        rows = rows.assign(received=rows["created"])
    return rows, table


def _days(request: Request, table: pd.DataFrame) -> tuple[pd.Timestamp, pd.Timestamp]:
    """First and last day that are lived through."""
    found = []
    for flag, text in (("--start", request.start), ("--end", request.end)):
        try:
            found.append(pd.Timestamp(date.fromisoformat(text.strip())))
        except ValueError:
            raise InputError(f"'{text}' is not a date", flag, "write 2018-07-31") from None
    (start, end), first, last = found, table["date"].min(), table["date"].max()
    if end < start:
        raise InputError(f"it is before {start:%Y-%m-%d}", "--end", "choose the day of --start or a later one")
    for flag, day in (("--start", start), ("--end", end)):
        if not first <= day <= last:
            raise InputError(f"{day:%Y-%m-%d} lies outside the data", flag, f"choose days from {first:%Y-%m-%d} to {last:%Y-%m-%d}")
    return start, end


def _row(moment: pd.Timestamp, one: Running) -> tuple[object, ...]:
    f = one.finding
    districts = list(dict.fromkeys(part.district for part in f.districts)) or [f.area]  # several of its categories may name the same one
    day, onset = (pd.Timestamp(x) for x in (f.day, f.onset))
    return (one.alert_id, moment, day, f.kind, f.level, f.area, f.category, districts, onset, f.observed, f.expected, f.p_value, f.reason_en)


def _table(alerts: pd.DataFrame, zone: str) -> pa.Table:
    """Alerts with their types, also where there are none."""
    text, number, moment = pa.string(), pa.float64(), pa.timestamp("us")
    kinds = {
        "raised_at": pa.timestamp("us", zone), "date": moment, "onset": moment, "districts": pa.list_(text),
        "observed": number, "expected": number, "p_value": number,
    }  # fmt: skip
    schema = pa.schema([(name, kinds.get(name, text)) for name in ALERTS])
    return pa.Table.from_pydict({name: alerts[name].tolist() for name in ALERTS}, schema)
