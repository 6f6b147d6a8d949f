"""SPIKE within the running day: what is known so far against what is usually known by this hour.

A running day is told in three columns, the last three hours, the three before and the rest of it, beside the finished days before: the windows of
the evidence (`evidence`) then end with the hour, and a burst of three hours is not lost in a quiet morning.

Looking every hour finds by chance what a look at the finished day does not. How much more was simulated: hourly looks at negative binomial counts
of 0.2 to 100 a day, by the hours of an office, bring about 4.5 times the episodes of one look a day at the same score.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np

from forecasting.detection import excess
from forecasting.detection.excess import Days
from forecasting.detection.explain import Labels
from forecasting.detection.finding import Finding
from forecasting.hierarchy import Tree
from forecasting.intraday import FREE, WORKING, Profiles

SPAN = 3  # hours of a column: in one hour most series have no ticket
FINISHED = excess.DAYS - 3  # days beside the three columns
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
    return excess.detect(day, columns(days, known, share, hour), areas, categories, labels, safety, budget, stricter, 3, OF_HOURS)


def shares_of(categories: Sequence[str], profiles: Profiles, by_category: np.ndarray) -> np.ndarray:
    """[N, 24] shares of series by their categories; of a category without a profile the mean of all."""
    index = {code: i for i, code in enumerate(profiles.paths)}
    usual = by_category.mean(axis=0)
    return np.stack([by_category[index[code]] if code in index else usual for code in categories])
