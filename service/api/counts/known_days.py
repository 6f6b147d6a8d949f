"""Of which days anything is known, now or at a moment that is asked about."""

from datetime import date, datetime

from forecasting.errors import InputError
from service.clock import Clock

Known = tuple[date, date] | None
"""First and last day with data; None: there is none."""


def as_known(clock: Clock, span: Known, moment: datetime | None) -> tuple[Known, Clock]:
    """Which days were known at a moment, and the clock as it stood then; without a moment both as they are.

    Raises:
        InputError: nothing was known then.
    """
    if span is None or moment is None:
        return span, clock
    today = moment.astimezone(clock.zone).date()
    if today < span[0]:
        raise InputError(f"nothing was known on {today}", "as_of", f"the counts begin on {span[0]}")
    return (span[0], min(span[1], today)), Clock(clock.zone, moment)


def newest_finished(clock: Clock, known: tuple[date, date]) -> date:
    """The last finished day with data; the first one if none is finished."""
    return max(min(known[1], clock.business_date()), known[0])


def require_known(known: tuple[date, date], start: date, end: date) -> None:
    """Raises InputError if nothing is known of the days from `start` to `end`."""
    if start > known[1] or end < known[0]:
        what = f"there are counts from {known[0]} to {known[1]}, none on the days asked for"
        raise InputError(what, "from, to", f"ask for days from {known[0]} to {known[1]}")
