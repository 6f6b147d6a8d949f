"""What people say of alerts moves what is asked for as evidence in their category: up where too many were false, down where few were.

At a given limit chance begins false events at one rate and true ones come at another; the odds that an alert is false are the ratio of the
two. Evidence that is `evidence.DECADE` higher is reached by chance a tenth as often, and by what is worth an alert nearly as often as before.
So the odds become those that are meant when the limit is moved by DECADE * log10(odds / odds meant). Later verdicts are on alerts that the
moved limit has let through: the limit settles half-way (the square root of the odds), and goes back as the reason for it goes.

The share of false ones is the mean of its Beta posterior (Bayes 1763; Gelman et al. 2013, Bayesian Data Analysis, section 2.4), so that a
first verdict moves little. An alert says something of every category on its branch: of those above it, whose sums hold its tickets, and of
those below it, whose tickets made it. It says nothing of its neighbours. One that was acted on says nothing: nobody knows what would have come.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from forecasting.detection.evidence import DECADE
from forecasting.hierarchy import ALL, Tree

MEANT = 0.5
"""Share of false ones among the alerts of a category that is meant: a duty officer looks into two to find one that is true."""
PRIOR = 8.0
"""Verdicts that this share is worth before anybody has said anything: eight more, all of them false, make it three quarters."""
STEP = DECADE / 2
"""A third as often, or three times as often (the square root of ten)."""
LAXEST, STRICTEST = -STEP, 2 * STEP
"""The bounds: feedback alone neither silences a category nor lets it eat the others' budget."""
DAYS = 365
"""Verdicts on alerts older than this are no longer heeded: every season once."""


@dataclass(frozen=True)
class Threshold:
    """What the verdicts on a category and its branch ask for.

    Attributes:
        true, false: verdicts.
        share: of false ones, as it is believed to be.
        stricter: added to the evidence asked for, see `excess.detect`; 0 without a verdict.
    """

    true: int
    false: int
    share: float
    stricter: float


def threshold(true: int, false: int) -> Threshold:
    """What so many verdicts ask for."""
    share = (MEANT * PRIOR + false) / (PRIOR + true + false)
    odds = share / (1.0 - share) / (MEANT / (1.0 - MEANT))
    return Threshold(true, false, share, float(np.clip(DECADE * np.log10(odds), LAXEST, STRICTEST)))


def thresholds(verdicts: Mapping[str, tuple[int, int]], categories: Tree) -> dict[str, Threshold]:
    """What is asked for in every category of the tree and of the verdicts; nothing if there are no verdicts.

    Args:
        verdicts: category -> how many of its alerts were true, how many false.
        categories: the category tree.
    """
    heard = {code: counts for code, counts in verdicts.items() if any(counts)}
    if not heard:
        return {}
    paths = {code: categories.path(code) for code in {ALL, *categories.parents, *categories.parents.values(), *heard}}
    found = {}
    for code, path in paths.items():
        branch = [counts for other, counts in heard.items() if other in path or code in paths[other]]
        found[code] = threshold(sum(true for true, _ in branch), sum(false for _, false in branch))
    return found
