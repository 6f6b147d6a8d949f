"""A living city tells what a replay of the same days tells, whatever is found, by the hour and at the end of days."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from sqlalchemy import Engine

from forecasting.detection.explain import Labels
from forecasting.detection.finding import EMERGING, FIRST_SEEN, GROWS, SPIKE, Finding, Part
from forecasting.detection.replay import Alerts, World
from forecasting.detection.running import Running
from forecasting.hierarchy import ALL, Tree, build
from service.alerting import lifecycle
from service.store import alerts, day_scores, forecast_sets, runs
from service.store.engine import reading, writing

DAY, DAYS, HOURS = date(2025, 7, 1), 16, (9, 12, 16)
DISTRICTS = ("North", "South", "West")
AREAS = Tree.flat(DISTRICTS)
KINDS = Tree({"Heat": "Home", "Water": "Home", "Home": ALL})
PARTS_OF = {"Heat": ("Heat",), "Water": ("Water",), "Home": ("Heat", "Water")}
NODES = [(area, category) for area in (ALL, *DISTRICTS) for category in PARTS_OF]
USUAL = 10.0  # tickets a day, of every node
STEPS = (8, "yellow"), (25, "orange"), (50, "red")

BUDGET = 1.5

Node = tuple[str, str]
Told = tuple[str, str, str, str, str, date, date | None, date]  # what is told of a running alert


@dataclass(frozen=True)
class Happening:
    node: Node
    begins: int
    lasts: int
    size: int
    new: bool


@dataclass
class City:
    """What goes on in it, and what looks find of it: not always, not always where it is, not always since when."""

    rng: random.Random
    happenings: list[Happening] = field(init=False)
    excess: Counter[tuple[Node, int]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        rng = self.rng
        self.happenings = [
            Happening(rng.choice(NODES), rng.randrange(DAYS), rng.choice((1, 2, 3, 5, 8, 14)), rng.choice((6, 12, 30, 60)), rng.random() < 0.2)
            for _ in range(rng.randint(3, 6))
        ]
        for one in self.happenings:
            for day in range(one.begins, min(DAYS, one.begins + one.lasts)):
                share = one.size * rng.uniform(0.6, 1.4) / len(series(one.node))
                for low in series(one.node):
                    self.excess.update({(node, day): share for node in NODES if low in series(node)})

    def came(self, node: Node, day: int) -> int:
        return round(USUAL + self.excess[node, day])

    def found(self, day: int, gone: float) -> list[Finding]:
        """What a look finds when a share of a day is gone."""
        rng, at = self.rng, {}
        for one in self.happenings:
            if not one.begins <= day < one.begins + one.lasts + rng.randrange(2) or rng.random() < 0.25:
                continue
            area, category = one.node
            places = [one.node]
            if area == ALL and rng.random() < 0.4:
                places = [(part, category) for part in rng.sample(DISTRICTS, rng.choice((1, 2)))]
            elif area != ALL and rng.random() < 0.15:
                places = [(area, "Home")]
            for place in places:
                onset = one.begins if rng.random() < 0.75 else rng.randint(min(one.begins, day), day)
                at.setdefault(place, self._finding(place, day, min(onset, day), gone, one.new))
        return list(at.values())

    def _finding(self, node: Node, day: int, onset: int, gone: float, new: bool) -> Finding:
        area, category = node
        more = round(self.excess[node, day] * gone)
        came = [self.came(node, before) for before in range(onset, day)] + [USUAL + more]
        districts = DISTRICTS[: self.rng.choice((2, 3))] if area == ALL else (area,)
        parts = tuple(Part(d, USUAL + self.excess[(d, category), day], USUAL) for d in districts)
        kind = FIRST_SEEN if new and area != ALL else self.rng.choice((SPIKE, EMERGING))
        level = max([name for least, name in STEPS if more >= least], key=[name for _, name in STEPS].index, default="blue")
        days = on(day), on(onset), on(onset + came.index(max(came)))
        numbers = USUAL + more, USUAL, 5.0, 16.0, USUAL + more, USUAL
        return Finding(kind, level, area, category, parts, *days, *numbers, 10 ** self.rng.uniform(-9, -4), "多", "more")


def on(day: int) -> date:
    return DAY + timedelta(days=day)


def series(node: Node) -> list[Node]:
    area, category = node
    return [(a, c) for a in (DISTRICTS if area == ALL else (area,)) for c in PARTS_OF[category]]


class Replayed:
    def __init__(self, city: City, budget: float) -> None:
        self.city = city
        nodes = build(pd.DataFrame(series((ALL, "Home")), columns=["area", "category"]), AREAS, KINDS)
        self.alerts = Alerts(World(nodes, AREAS, KINDS, Labels(), budget=budget))
        self.raised: set[str] = set()
        self.over = False  # whether the day of the look is

    def look(self, day: int, found: Sequence[Finding], over: bool) -> None:
        self.over = over
        told = self.alerts.carry(GROWS, list(found), on(day), self._peak, none_silent if over else None)
        self.raised |= {one.alert_id for one in told}

    def _peak(self, finding: Finding) -> date:
        first, last = ((day - DAY).days for day in (finding.onset, finding.day))
        came = [self.city.came((finding.area, finding.category), day) for day in range(first, last + self.over)]
        came += [] if self.over else [int(finding.observed)]
        return on(first + came.index(max(came)))

    @property
    def running(self) -> set[Told]:
        found = ((one.alert_id, one.finding) for one in self.alerts.running[GROWS])
        return {(name, f.kind, f.level, f.area, f.category, f.onset, f.peak, f.day) for name, f in found}


def none_silent(events: Sequence[Running]) -> list[bool]:
    return [False] * len(events)


class Living:
    def __init__(self, engine: Engine, city: City, budget: float) -> None:
        self.engine, self.city, self.budget = engine, city, budget
        with writing(engine) as conn:
            run = runs.start(conn, DAY, "test", moment(0, 0), timedelta(hours=1))
            row = {"run_id": run, "mlflow_run_id": None, "cutoff": DAY, "horizon": 1, "issued_at": moment(0, 0), "rows": 0, "blob": b""}
            self.set_id = forecast_sets.publish(conn, **row)

    def look(self, day: int, found: Sequence[Finding], now: datetime, over: bool) -> None:
        with writing(self.engine) as conn:
            if over:
                scores = pd.DataFrame(NODES, columns=["area", "category"])
                came = [self.city.came(node, day) for node in NODES]
                day_scores.put(conn, on(day), self.set_id, scores.assign(observed=came, expected=USUAL, p_value=0.5, pit=0.5))
            lifecycle.apply(conn, GROWS, found, on(day), now, self.set_id, AREAS, KINDS, self.budget)

    @property
    def raised(self) -> set[str]:
        with reading(self.engine) as conn:
            return {one.id for one in alerts.list_alerts(conn, limit=None)}

    @property
    def running(self) -> set[Told]:
        with reading(self.engine) as conn:
            found = alerts.running(conn)
        return {(one.id, one.kind, one.level, one.area, one.category, one.onset, one.peak, one.last_day) for one in found}


def moment(day: int, hour: float) -> datetime:
    """By the clock of Shanghai."""
    return datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC) + timedelta(days=day, hours=hour - 8)


@pytest.mark.parametrize("seed", range(4))
def test_a_living_city_tells_what_its_replay_tells(engine: Engine, seed: int) -> None:
    city = City(random.Random(seed))
    replayed, living = Replayed(city, BUDGET), Living(engine, city, BUDGET)
    for day in range(DAYS):
        for hour in HOURS:
            found = city.found(day, hour / 24)
            living.look(day, found, moment(day, hour), over=False)
            replayed.look(day, found, over=False)
            assert (living.raised, living.running) == (replayed.raised, replayed.running), (day, hour)
        found = city.found(day, 1.0)
        living.look(day, found, moment(day, 24.5), over=True)
        replayed.look(day, found, over=True)
        assert (living.raised, living.running) == (replayed.raised, replayed.running), day
    assert len(living.raised) >= len(city.happenings) / 2, "something is told"


@pytest.mark.parametrize("seed", range(4))
def test_looking_at_yesterday_again_raises_nothing_else(engine: Engine, seed: int) -> None:
    """A living city does so with every look, for what comes late."""
    city = City(random.Random(seed))
    replayed, living = Replayed(city, BUDGET), Living(engine, city, BUDGET)
    yesterday: list[Finding] = []
    for day in range(DAYS):
        for hour in HOURS:
            found = city.found(day, hour / 24)
            if day:
                living.look(day - 1, yesterday, moment(day, hour), over=True)
            living.look(day, found, moment(day, hour), over=False)
            replayed.look(day, found, over=False)
        yesterday = city.found(day, 1.0)
        living.look(day, yesterday, moment(day, 24.5), over=True)
        replayed.look(day, yesterday, over=True)
        assert living.raised == replayed.raised, day
