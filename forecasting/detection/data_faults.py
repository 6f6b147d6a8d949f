"""DATA: counts that tell how complaints reached us and not what people complain about; no demand alert comes from them.

Taken out before excess is looked for: days that were not delivered as usual (`delivery`), and tickets that are filed under other categories from a
day on (`recoded`). Nothing is known of what comes later.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from forecasting import distribution
from forecasting.detection import explain, grid, recoded
from forecasting.detection.delivery import UNTRUSTED, Areas, State
from forecasting.detection.excess import Days
from forecasting.detection.explain import Labels
from forecasting.detection.finding import DATA, Finding, Part
from forecasting.detection.levels import BROAD
from forecasting.hierarchy import ALL, Tree

NOTED_REBOUND = 0.01  # probability by chance of a rebound that is told


@dataclass(frozen=True)
class Judged:
    """What faults of the data explain.

    Attributes:
        notes: findings of kind DATA on the last day, the city's first.
        days: as given, what faults explain taken out: counts that cannot be trusted are NaN, sums above them are (observed and mean) of the other
            areas, and means are where they are to be expected after an outage or a recoding.
    """

    notes: list[Finding]
    days: Days


def detect(day: date, days: Days, areas: Tree, categories: Tree, labels: Labels) -> Judged:
    """What about the last days is due to their data.

    Args:
        day: the last of the days.
        days: D consecutive ones, of which four weeks tell most. Fewer will do.
        areas, categories: the trees.
        labels: names for the sentences.
    """
    if not len(days.nodes) or not days.observed.shape[1]:
        return Judged([], days)
    found = Areas(days, grid.of(days.nodes, areas, categories))
    judged = replace(days, observed=found.observed, mean=found.mean)
    moves = recoded.find(judged, found.grid)
    return Judged(
        [*_notes(day, days, found, areas, labels), *(recoded.note(day, move, judged, found.grid, areas, labels) for move in moves if move.sure)],
        recoded.expected(judged, found.grid, moves),
    )


_KINDS = {
    State.MISSING: explain.MISSING,
    State.SHORT: explain.SHORT,
    State.REBOUND: explain.REBOUND,
    State.DOUBLED: explain.DOUBLED,
    State.NEW: explain.NEW,
}


def _notes(day: date, days: Days, found: Areas, areas: Tree, labels: Labels) -> list[Finding]:
    """The states of the last day in words: many areas of one state are one note at the area above them."""
    where = found.grid
    own = [i for i in range(len(where.areas)) if _worth_a_note(found, i)]
    groups: dict[tuple[int, State], list[int]] = {}
    for i in own:
        groups.setdefault((int(where.above[i]), State(found.state[i, -1])), []).append(i)
    notes = []
    for (above, state), members in groups.items():
        if len(members) >= BROAD and above >= 0:
            notes.append(_note(day, days, found, where.areas[above], members, state, areas, labels))
        else:
            notes += [_note(day, days, found, where.areas[i], [i], state, areas, labels) for i in members]
    return notes


def _worth_a_note(found: Areas, area: int) -> bool:
    state, up = State(found.state[area, -1]), int(found.grid.above[area])
    if state == State.USUAL or (up >= 0 and State(found.state[up, -1]) in UNTRUSTED):
        return False
    if state == State.REBOUND:
        return bool(found.p_value[area, -1] < NOTED_REBOUND)
    return not (state == State.NEW and (found.state[area, :-1] == State.NEW).any())


def _note(day: date, days: Days, found: Areas, at: str, members: Sequence[int], state: State, areas: Tree, labels: Labels) -> Finding:
    where = found.grid
    parts, spread = [], 0.0
    for i in members:
        rows = where.at[i, where.leaves]
        rows = rows[rows < len(days.nodes)]
        mean, dispersion = np.nan_to_num(days.mean[rows, -1]), np.nan_to_num(days.dispersion[rows, -1])
        parts.append(Part(where.areas[i], float(np.nansum(days.observed[rows, -1])), float(mean.sum())))
        spread += float((dispersion * mean**2).sum())
    observed, expected = sum(p.observed for p in parts), sum(p.expected for p in parts)
    lower, upper = distribution.quantiles(np.array([expected]), np.array([spread / max(expected, 1e-9) ** 2]), (0.05, 0.95))[0]
    run = found.state[list(members)] == state
    begun = day - timedelta(days=int((~run.any(axis=0)[::-1]).argmax() if not run.any(axis=0).all() else run.shape[1]) - 1)
    zh, en = explain.data(labels, _KINDS[state], at, day, observed, expected, [p.district for p in parts] if at != parts[0].district else [])
    grave = at == ALL and state in (State.MISSING, State.SHORT, State.DOUBLED)
    named = tuple(sorted((Part(areas.path(p.district)[-2], p.observed, p.expected) for p in parts if p.district != ALL), key=lambda p: -p.expected))
    return Finding(
        DATA, "yellow" if grave else "blue", at, ALL, named, day, begun, day, observed, expected,
        float(lower), float(upper), observed, expected, float(found.p_value[list(members), -1].min()), zh, en,
    )  # fmt: skip
