"""Cutoffs of a backtest worked on elsewhere: the same rows, in the same order, and the same errors."""

import gc
import multiprocessing
import pickle
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pandas as pd
import pytest
import small_cities

from forecasting import backtest, recipe
from forecasting.backtest import Task
from forecasting.errors import InputError
from forecasting.models.base import Known
from forecasting.models.baselines import SameWeekday
from forecasting.recipe import CHAMPION, Recipe

DAYS, HORIZON = 210, 7
CUTOFFS = tuple(small_cities.START + pd.Timedelta(days=n) for n in (170, 190, 209))
QUICK = recipe.from_mapping(
    {"windows": 2, "members": {"four_week_mean": None, "loglinear": None, "boosting": {"rows": 3000, "trees": 12, "leaves": 7, "threads": 1}}}
)
TASK = Task(CUTOFFS, HORIZON, (CHAMPION, "boosting"), 3)


@pytest.fixture(scope="module")
def known() -> Known:
    return small_cities.known(small_cities.counts(DAYS), "CN", small_cities.weather(DAYS))


@pytest.fixture(scope="module")
def here(known: Known) -> pd.DataFrame:
    """What this process makes of the task by itself."""
    return backtest.run(known.at, QUICK, TASK)


@pytest.fixture(scope="module", params=[1, 2])
def processes(request: pytest.FixtureRequest) -> Iterator[tuple[Executor, int]]:
    """Spawned processes, and how many."""
    with ProcessPoolExecutor(request.param, multiprocessing.get_context("spawn")) as pool:
        yield pool, request.param


def test_processes_change_no_byte(known: Known, here: pd.DataFrame, processes: tuple[Executor, int]) -> None:
    pool, number = processes
    done: list[int] = []
    there = backtest.run(known.at, QUICK, TASK, pool, done.append, number)
    assert there.to_parquet() == here.to_parquet()
    assert list(there["cutoff"].unique()) == list(CUTOFFS)
    assert done == [1, 2, 3]


def test_bad_input_found_in_a_process_is_the_same_error(known: Known, processes: tuple[Executor, int]) -> None:
    nowhere = replace(known, country="XX")
    with pytest.raises(InputError) as here:
        backtest.run(nowhere.at, QUICK, TASK)
    with pytest.raises(InputError) as there:
        backtest.run(nowhere.at, QUICK, TASK, processes[0])
    assert vars(there.value) == vars(here.value)
    assert str(there.value) == str(here.value)


@pytest.mark.parametrize("error", [InputError("no date"), InputError("no date", "row 3"), InputError("no date", "row 3", "write one")])
def test_bad_input_keeps_its_words_on_the_way_between_processes(error: InputError) -> None:
    again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(error))))
    assert type(again) is InputError
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


LAST_BEGUN = threading.Event()


@dataclass(frozen=True)
class Patient:
    """A member that is not done with the first cutoff before the last one has begun."""

    name: ClassVar[str] = "patient"
    least_days: ClassVar[int] = 0
    ages: ClassVar[bool] = False
    reference: ClassVar[bool] = False
    fitted: ClassVar[type[Any]] = SameWeekday

    def fit(self, known: Known, horizon: int, seed: int) -> SameWeekday:
        if known.cutoff == CUTOFFS[-1]:
            LAST_BEGUN.set()
        elif known.cutoff == CUTOFFS[0]:
            assert LAST_BEGUN.wait(60)
        return SameWeekday(1)

    def settings(self) -> dict[str, Any]:
        return {}


def test_rows_stand_in_the_order_of_the_cutoffs_whichever_is_done_first(known: Known) -> None:
    task = Task(CUTOFFS, HORIZON)
    LAST_BEGUN.clear()
    with ThreadPoolExecutor(2) as pool:
        there = backtest.run(known.at, Recipe((Patient(),)), task, pool)
    pd.testing.assert_frame_equal(there, backtest.run(known.at, Recipe((Patient(),)), task))
    assert list(there["cutoff"].unique()) == list(CUTOFFS)


class Counting(ThreadPoolExecutor):
    """Threads that note how much is not done yet whenever more is submitted."""

    def __init__(self) -> None:
        super().__init__(1)
        self.futures: list[Future[Any]] = []
        self.waiting: list[int] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.waiting.append(sum(not future.done() for future in self.futures))
        self.futures.append(super().submit(fn, *args, **kwargs))
        return self.futures[-1]


@pytest.mark.parametrize("at_once", [1, 2])
def test_few_cutoffs_are_in_memory_at_once(known: Known, at_once: int) -> None:
    made: list[weakref.ref[Known]] = []
    held = []

    def known_at(cutoff: pd.Timestamp) -> Known:
        gc.collect()
        held.append(sum(one() is not None for one in made))
        now = known.at(cutoff)
        made.append(weakref.ref(now))
        return now

    with Counting() as pool:
        backtest.run(known_at, QUICK, TASK, pool, at_once=at_once)
    assert max(pool.waiting) < at_once
    assert max(held) <= at_once
