"""SPIKE within the running day: what is known so far against what is usually known by this hour.

A running day is told in three columns, the last three hours, the three before and the rest of it, beside the finished days before: the windows of
the evidence (`evidence`) then end with the hour, and a burst of three hours is not lost in a quiet morning.

Looking every hour finds by chance what a look at the finished day does not. How much more was simulated: hourly looks at negative binomial counts
of 0.2 to 100 a day, by the hours of an office, bring about 4.5 times the episodes of one look a day at the same score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

import numpy as np

from forecasting import distribution
from forecasting.detection import data_faults, excess
from forecasting.detection.excess import Days
from forecasting.detection.explain import Labels
from forecasting.detection.finding import Finding
from forecasting.hierarchy import ALL, Tree
from forecasting.intraday import FREE, WORKING, Profiles

SPAN = 3  # hours of a column: in one hour most series have no ticket
FINISHED = excess.DAYS - 3  # days beside the three columns
HIGH, IMPROBABLE = 1.5, 1e-3  # times what is usual, and how rarely: from there on an area's sum may be one of tickets that came twice
OF_DAY = 1.0  # what is added to the evidence asked of a finished day, so that days and hours together keep the budget
OF_HOURS = 3.5  # ... and of a running one: 2.5, a quarter as often, for its many looks
WITHIN_HOURS = 0.5  # of what a node's evidence is set right by: what lets days drift from their forecast hardly shows within hours


def known_by(profiles: Profiles, same_day: float, working: bool) -> np.ndarray:
    """[C, 24] share of a day's tickets that is known at the end of each of its hours, by category.

    Args:
        profiles: of the hours in which tickets become known.
        same_day: share of a day's tickets that is known on the day.
    """
    return np.asarray(profiles.shares[:, WORKING if working else FREE].cumsum(axis=1) * same_day)


def columns(days: Days, known: np.ndarray, share: np.ndarray, hour: int) -> Days:
    """The finished days and the running one in columns.

    Args:
        days: D finished days and the running one, whose `mean` and `dispersion` are of the whole day.
        known: [M, 24] tickets of the running day known at the end of each hour; later ones are not looked at.
        share: [M, 24] of the day's tickets that is usually known then.
        hour: the last that is over, from 0.
    """
    at = np.array([hour - 2 * SPAN, hour - SPAN, hour])

    def parts(by_hour: np.ndarray) -> np.ndarray:
        upto = np.where(at >= 0, by_hour[:, np.maximum(at, 0)], 0.0)
        return np.diff(upto, axis=1, prepend=0.0)

    past = slice(-FINISHED - 1, -1)
    mean, dispersion = days.mean[:, -1:], days.dispersion[:, -1:]
    return Days(
        days.nodes,
        np.concatenate([days.observed[:, past], parts(known)], axis=1),
        np.concatenate([days.mean[:, past], mean * parts(share)], axis=1),
        np.concatenate([days.dispersion[:, past], np.repeat(dispersion, 3, axis=1)], axis=1),
        None if days.shift is None else days.shift * WITHIN_HOURS,
    )


def without(
    faulty: frozenset[str], nodes: Sequence[tuple[str, str]], mean: np.ndarray, known: np.ndarray, share: np.ndarray, areas: Tree
) -> tuple[np.ndarray, np.ndarray]:
    """Known tickets and usual shares of a running day without areas whose data of the day before were at fault: they may be made up for.

    Args:
        faulty: codes of areas.
        mean: [M] of the whole day.
        known, share: [M, 24], see `columns`.

    Returns:
        both anew: NaN tickets at those areas and below, and sums above without them.
    """
    if not faulty:
        return known, share
    known, share = known.copy(), share.copy()
    index = {node: i for i, node in enumerate(nodes)}
    paths = {area: areas.path(area) for area, _ in nodes}
    at = [i for i, (area, _) in enumerate(nodes) if not faulty.isdisjoint(paths[area])]
    for i in at:
        area, category = nodes[i]
        if area in faulty and faulty.isdisjoint(paths[area][1:]):
            for j in (index[above, category] for above in paths[area][1:] if (above, category) in index):
                known[j] -= np.nan_to_num(known[i])
                share[j] -= np.nan_to_num(mean[i]) * share[i] / max(float(np.nan_to_num(mean[j])), distribution.LEAST_MEAN)
    known[at] = np.nan
    return known, np.maximum(share, 0.0)


def trusted(day: date, days: Days, known: np.ndarray, share: np.ndarray, hour: int, areas: Tree, categories: Tree, labels: Labels) -> np.ndarray:
    """[M, 24] tickets known at the end of each hour, NaN at nodes whose tickets so far are a matter of delivery: a file that came twice.

    Arguments as in `columns` and `data_faults.detect`. Only where an area as a whole has many more than usual is there anything to judge.
    """
    so_far, usual = known[:, hour], days.mean[:, -1] * share[:, hour]
    whole = np.array([category == ALL for _, category in days.nodes])
    many = whole & (so_far >= HIGH * usual) & (usual > 0)
    if not (distribution.mid_tail(usual[many], days.dispersion[many, -1], so_far[many]) < IMPROBABLE).any():
        return known
    observed, mean = (np.concatenate([x[:, :-1], last[:, None]], axis=1) for x, last in ((days.observed, so_far), (days.mean, usual)))
    judged = data_faults.detect(day, replace(days, observed=observed, mean=mean), areas, categories, labels)
    return np.where((judged.days.observed[:, -1] == so_far)[:, None], known, np.nan)


def detect(
    day: date,
    days: Days,
    known: np.ndarray,
    share: np.ndarray,
    hour: int,
    areas: Tree,
    categories: Tree,
    labels: Labels,
    safety: frozenset[str] = frozenset(),
    budget: float = 1.5,
    stricter: Mapping[str, float] | None = None,
) -> list[Finding]:
    """Events that run at the end of an hour of the running day; arguments as in `columns` and `excess.detect`."""
    known = trusted(day, days, known, share, hour, areas, categories, labels)
    return excess.detect(day, columns(days, known, share, hour), areas, categories, labels, safety, budget, stricter, 3, OF_HOURS)


def shares_of(categories: Sequence[str], profiles: Profiles, by_category: np.ndarray) -> np.ndarray:
    """[N, 24] shares of series by their categories; of a category without a profile the mean of all."""
    index = {code: i for i, code in enumerate(profiles.paths)}
    usual = by_category.mean(axis=0)
    return np.stack([by_category[index[code]] if code in index else usual for code in categories])
