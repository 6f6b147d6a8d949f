"""A day of the simulated city as it comes in: each ticket when the hotline hands it on, some late, some twice, and again when it is handled."""

from datetime import date, timedelta

import numpy as np
import pandas as pd

from forecasting.city.simulate import SHORTEST, simulate
from forecasting.city.streams import Purpose, stream

LATE_SHARE, LATE_HOURS = 0.02, (0.5, 4.0)  # tickets that are handed on so much later
DOUBLED_SHARE, DOUBLED_HOURS = 0.02, (0.05, 2.0)  # deliveries that come once more, so much later
LATEST_DAYS = 3  # days after which every ticket has come in, those of a late day among them
HANDLED_DAYS = 28  # days after which the handling of a ticket is told no more
COLUMNS = ["ticket_id", "created_at", "district", "category", "received_at", "updated_at", "status", "source", "lat", "lon"]


def deliveries(seed: int, scale: float, day: date, history: date) -> pd.DataFrame:
    """All that is delivered on one day.

    Tickets are delivered open, when they were received; a few of them hours late, or once more; and as closed when they are handled. Those of
    the days before are among them if they come, or are handled, on this day.

    Args:
        seed, scale: as of the city whose history it goes on.
        day: the day.
        history: last day of that history: from then on there are no faults but those of the delivery.
    Returns:
        `deliver_at` and `COLUMNS`, by `deliver_at`; moments are local and naive, none of a row is later than its `deliver_at`.
    """
    start = (day - timedelta(days=SHORTEST - 1)).replace(day=1)  # chance is drawn month by month
    tickets = simulate(seed, scale, start, day, faults_before=history).tickets.drop_duplicates("ticket_id")
    born = tickets["created_at"].dt.normalize()
    parts = []
    for days in range(LATEST_DAYS + 1):
        of = day - timedelta(days=days)
        parts += _handed_on(seed, of, tickets[born == pd.Timestamp(of)])
    closed = tickets[(tickets["status"] == "closed") & (born >= pd.Timestamp(day - timedelta(days=HANDLED_DAYS)))]
    parts.append(closed.assign(deliver_at=closed["updated_at"]))
    found = pd.concat(parts)
    today = (found["deliver_at"] >= pd.Timestamp(day)) & (found["deliver_at"] < pd.Timestamp(day + timedelta(days=1)))
    return found.loc[today, ["deliver_at", *COLUMNS]].sort_values(["deliver_at", "ticket_id"], kind="stable", ignore_index=True)


def _handed_on(seed: int, day: date, tickets: pd.DataFrame) -> list[pd.DataFrame]:
    """The tickets of one day as they are handed on first, and those handed on once more."""
    rng = stream(seed, Purpose.FEED, day.year, day.month, day.day)
    chance, late, again = rng.random((2, len(tickets))), rng.uniform(*LATE_HOURS, len(tickets)), rng.uniform(*DOUBLED_HOURS, len(tickets))
    received = tickets["received_at"] + _hours(np.where(chance[0] < LATE_SHARE, late, 0))
    first = tickets.assign(deliver_at=received, updated_at=tickets["received_at"], received_at=received, status="open")
    doubled = chance[1] < DOUBLED_SHARE
    return [first, first[doubled].assign(deliver_at=first["deliver_at"][doubled] + _hours(again[doubled]))]


def _hours(hours: np.ndarray) -> pd.TimedeltaIndex:
    return pd.to_timedelta((hours * 3600).astype(np.int64), unit="s")
