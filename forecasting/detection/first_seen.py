"""FIRST_SEEN 首发: tickets of a category that was never seen, or not for half a year, in the city or in a district.

Of the rate of what was not seen for so long a gamma posterior knows no more than that: half a ticket in the time (Jeffreys 1946). Three tickets
within a week have then a probability of two in a hundred thousand: they are a finding. A single one is none: a slip of the pen is not news.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from forecasting import distribution
from forecasting.detection import explain, levels
from forecasting.detection.explain import Labels
from forecasting.detection.finding import FIRST_SEEN, Finding, Part
from forecasting.hierarchy import ALL, Hierarchy

WEEK = 7  # days in which tickets are put together
UNSEEN = 180  # days without one, before the week, after which it is news
LEAST = 3  # tickets in the week
HALF = 0.5  # a ticket: the shape of Jeffreys' prior


def look(day: date, hierarchy: Hierarchy, counts: np.ndarray, labels: Labels) -> list[Finding]:
    """What is seen for the first time in the city and its areas, of the categories of the series themselves.

    Args:
        day: the last of the days.
        hierarchy: of the N series.
        counts: [N, D] until the day; NaN where missing. Fewer days than `UNSEEN` and a week tell nothing.
        labels: names for the sentences.
    """
    if counts.shape[1] < UNSEEN + WEEK:
        return []
    nodes = hierarchy.nodes
    rows = np.flatnonzero(nodes["category"].isin(nodes["category"].iloc[: hierarchy.n_series].unique()).to_numpy())
    pairs = list(zip(nodes["area"].iloc[rows], nodes["category"].iloc[rows], strict=True))
    before = np.nan_to_num(counts[:, -UNSEEN - WEEK : -WEEK]).sum(axis=1)
    week = hierarchy.total(np.nan_to_num(counts[:, -WEEK:]))
    return detect(day, pairs, week[rows], hierarchy.total(before[:, None])[rows, 0], labels)


def detect(day: date, nodes: Sequence[tuple[str, str]], week: np.ndarray, before: np.ndarray, labels: Labels) -> list[Finding]:
    """What is seen for the first time.

    Args:
        day: the last of the days.
        nodes: M pairs of area and category, of which the sums over all areas have `ALL`: categories in the city, and in its districts.
        week: [M, 7] what came on the last days; NaN where missing.
        before: [M] what came on the `UNSEEN` days before them; NaN where history is shorter, which tells nothing.

    Returns:
        one finding a category, in the city if it is in several districts and was unseen in all of it, else one for each district.
    """
    week = np.nan_to_num(week)
    came = week.sum(axis=1)
    look = np.flatnonzero((before == 0) & (came >= LEAST))
    mean = HALF / UNSEEN * WEEK
    found = {nodes[i]: _finding(day, nodes[i], week[i], mean) for i in look.tolist()}
    index = {node: i for i, node in enumerate(nodes)}
    told = []
    for (area, category), finding in sorted(found.items()):
        if area != ALL and (ALL, category) in found:
            continue
        parts = [Part(a, float(week[i].sum()), mean) for (a, c), i in index.items() if a != ALL and c == category and week[i].any()]
        parts.sort(key=lambda p: (-p.observed, p.district))
        if area == ALL and len(parts) == 1:
            area = parts[0].district
        mine = tuple(parts) if area == ALL else tuple(p for p in parts if p.district == area)
        placed = replace(finding, area=area, districts=mine)
        zh, en = explain.first_seen(labels, placed, UNSEEN)
        told.append(replace(placed, reason_zh=zh, reason_en=en))
    return told


def _finding(day: date, node: tuple[str, str], week: np.ndarray, expected: float) -> Finding:
    """A node's week, of which so much was expected, in numbers."""
    first, scatter = day - timedelta(days=WEEK - 1), np.array([1.0 / HALF])
    total = float(week.sum())
    return Finding(
        kind=FIRST_SEEN,
        level=levels.level(total - expected, total / expected, 1, 0, False),
        area=node[0],
        category=node[1],
        districts=(),
        day=day,
        onset=first + timedelta(days=int(np.flatnonzero(week)[0])),
        peak=first + timedelta(days=int(week.argmax())),
        observed=float(week[-1]),
        expected=expected / WEEK,
        lower=0.0,
        upper=float(distribution.quantiles(np.array([expected / WEEK]), scatter, (0.95,))[0, 0]),
        since_observed=total,
        since_expected=expected,
        p_value=float(distribution.tail(np.array([expected]), scatter, np.array([total]))[0]),
    )
