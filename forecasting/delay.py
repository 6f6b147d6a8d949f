"""Reporting delay: how much of a day's tickets is known after so many days.

The share known by the end of the k-th day after, over days old enough for all of it (a reporting-delay distribution, Lawless 1994, estimated by its
plain empirical form: no model is needed where whole days are followed to their end).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecasting.hierarchy import ALL

MOST = 14  # days for which a day's tickets are followed; what comes later counts as a correction
BACKLOG = 0.5  # of a day's tickets; a day of which more came after MOST days was loaded as history, and tells nothing of the delay
LEAST = 300  # tickets from which on a category has a curve of its own: a share is then known to three points
COMPLETE = 0.9  # of a day's tickets; a day is taught and judged once so much of it is expected to be there


@dataclass(frozen=True)
class Delay:
    """A delay curve.

    Attributes:
        known: [MOST + 1] share of a day's tickets known by the end of the k-th day after; never falls, the last is 1.
        tickets: from so many it was estimated.
    """

    known: tuple[float, ...]
    tickets: int

    @property
    def complete_after(self) -> int:
        """Days after which `COMPLETE` of a day's tickets is known."""
        return int(np.argmax(np.array(self.known) >= COMPLETE))


def estimate(arrived: pd.DataFrame) -> dict[str, Delay]:
    """Delay curves of the city (`ALL`) and of the categories with enough tickets.

    Args:
        arrived: a row per `day` and `category` with the columns 0 … MOST, tickets known by the end of the k-th day after, and `total`, those
            known by now. Days loaded as history are left out here; days on which the moment of reception was not told must not be among them.
    Returns:
        The curves by category; none without enough tickets.
    """
    lags = list(range(MOST + 1))
    whole = arrived.groupby("day")[[MOST, "total"]].sum()
    live = whole.index[(whole["total"] > 0) & (whole[MOST] >= BACKLOG * whole["total"])]
    kept = arrived[arrived["day"].isin(live)]
    sums = kept.groupby("category")[lags].sum()
    sums.loc[ALL] = sums.sum()
    return {str(code): _curve(row.to_numpy(float)) for code, row in sums.iterrows() if row[MOST] >= LEAST}


def _curve(known: np.ndarray) -> Delay:
    # Corrections can take tickets away again; a share that is known stays known.
    share = np.maximum.accumulate(np.clip(known / known[-1], 0.0, 1.0))
    return Delay(tuple(share.round(6).tolist()), int(known[-1]))


def complete_after(curves: Mapping[str, Delay]) -> int:
    """Days after which the city's day is complete; 0 where nothing is known of a delay."""
    return curves[ALL].complete_after if ALL in curves else 0
