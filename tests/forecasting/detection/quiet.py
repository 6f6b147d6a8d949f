"""Cities in which nothing happens: counts drawn from the very distribution that is forecast."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from forecasting.detection import events, excess
from forecasting.detection.events import Assigned, Event
from forecasting.detection.excess import Days
from forecasting.detection.explain import Labels
from forecasting.hierarchy import ALL, Hierarchy, Tree, build

WEEK = np.array([1.15, 1.1, 1.05, 1.05, 1.05, 0.85, 0.75])
WARM = 30  # days before the first that is counted


@dataclass(frozen=True)
class City:
    """A city whose series have means [N] and dispersions [N]."""

    hierarchy: Hierarchy
    areas: Tree
    categories: Tree
    mean: np.ndarray
    dispersion: np.ndarray


def city(districts: int, categories: int, groups: int, level: float, streets: int = 0, seed: int = 0) -> City:
    """Districts (each of `streets` streets, if any) times categories (in groups, if any); tickets a day and series about a level."""
    rng = np.random.default_rng(seed)
    codes = [f"d{i}" for i in range(districts)]
    areas = Tree.flat(codes)
    if streets:
        areas = Tree({**areas.parents, **{f"{d}s{i}": d for d in codes for i in range(streets)}})
        codes = [f"{d}s{i}" for d in codes for i in range(streets)]
    kinds = Tree.flat(f"c{j}" for j in range(categories))
    if groups:
        kinds = Tree({**{f"c{j}": f"g{j % groups}" for j in range(categories)}, **{f"g{g}": ALL for g in range(groups)}})
    series = pd.DataFrame([(a, f"c{j}") for a in codes for j in range(categories)], columns=["area", "category"])
    mean = np.outer(rng.lognormal(0, 0.5, len(codes)), rng.lognormal(0, 1.0, categories)).ravel()
    return City(build(series, areas, kinds), areas, kinds, mean / mean.mean() * level, np.exp(rng.uniform(np.log(0.02), np.log(0.3), len(series))))


def events_begun(city: City, days: int, budget: float, seed: int = 1, stricter: Mapping[str, float] | None = None) -> tuple[int, int]:
    """Events that begin within so many days, days with no more than three usual ones between them being one; and the number of days."""
    rng = np.random.default_rng(seed)
    mean = city.mean[:, None] * WEEK[np.arange(WARM + days) % 7]
    scatter = city.dispersion[:, None]
    counts = rng.poisson(rng.gamma(1 / scatter, mean * scatter)).astype(float)
    total, expected, variance = (city.hierarchy.total(x) for x in (counts, mean, mean + scatter * mean**2))
    nodes = list(zip(city.hierarchy.nodes["area"], city.hierarchy.nodes["category"], strict=True))
    begun = 0
    running: list[tuple[Event, int]] = []  # with the last day
    for t in range(WARM - excess.WEEK, WARM + days):
        last = slice(t - excess.DAYS + 1, t + 1)
        window = Days(nodes, total[:, last], expected[:, last], ((variance - expected) / expected**2)[:, last])
        day = date(2025, 1, 1) + timedelta(days=t)
        found = excess.detect(day, window, city.areas, city.categories, Labels(), budget=budget, stricter=stricter)
        running = [(event, last) for event, last in running if t - last <= events.USUAL_DAYS]
        assigned = events.assign(found, [event for event, _ in running], city.areas, city.categories)
        joined = {k for one in assigned for k in (*one.running, *one.taken)}
        begun += sum(not one.running for one in assigned) * (t >= WARM)
        running = [one for k, one in enumerate(running) if k not in joined] + [(_followed(a, running, day), t) for a in assigned]
    return begun, days


def _followed(one: Assigned, running: Sequence[tuple[Event, int]], day: date) -> Event:
    """The event after a day on which it was found."""
    begun = min([one.finding.onset, *(running[k][0].begun for k in one.running)])
    spread = events.spread(one, [event for event, _ in running])
    return Event((one.finding.area, one.finding.category), begun, spread, day, one.finding.peak)
