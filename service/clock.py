"""The one clock: "now" and the business date everywhere, frozen by `WEISU_AS_OF` for demos, tests and replays."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from forecasting.errors import InputError


@dataclass(frozen=True)
class Clock:
    """Tells the time in the city's zone.

    Attributes:
        zone: the city's time zone.
        frozen: the moment at which the clock stands (aware), or None for a running clock.
    """

    zone: ZoneInfo
    frozen: datetime | None = None

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return self.frozen.astimezone(UTC) if self.frozen else datetime.now(UTC)

    def local_now(self) -> datetime:
        """The present moment in the city's zone."""
        return self.now().astimezone(self.zone)

    def business_date(self) -> date:
        """The last finished day of the city: a day still running is never taught to a model."""
        return self.local_now().date() - timedelta(days=1)

    def end_of(self, day: date) -> datetime:
        """The moment (UTC) at which a local day is over."""
        return datetime.combine(day + timedelta(days=1), time.min, self.zone).astimezone(UTC)


def parse_as_of(text: str, zone: ZoneInfo) -> datetime:
    """Reads `AS_OF`: a date means the end of that local day, a moment means itself (local unless it has an offset).

    Raises:
        InputError: the text is neither a date nor a moment.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.time() == time.min and _is_date(text):
            return Clock(zone).end_of(moment.date())
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError(f"'{text}' is neither a date nor a moment", "WEISU_AS_OF", "write it as 2011-08-28 or 2011-08-28T09:30") from None


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
