"""What comes after a night, and whose turn it is: the scores of yesterday's forecasts, the challenger's forecasts beside it, and the reports of a
month when its last night is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection

from service.settings import Settings
from service.store import delays, drift, forecast_sets, promised, runs
from service.store.jobs import Job

SCORING, CHALLENGER, REPORTS = "scoring", "challenger", "reports"  # jobs whose state is noted; the second only where a challenger is set
LATE = {
    SCORING: timedelta(hours=6),  # after the nightly hour, as the challenger: it comes after the trainings
    CHALLENGER: timedelta(hours=6),  # after the nightly hour: a night that is late, and a training that runs into its limit
    REPORTS: timedelta(hours=12),  # after the nightly hour of the first of a month: a person may have to see to its night
}


@dataclass(frozen=True)
class Turn:
    """It is a job's turn.

    Attributes:
        words: the command to run; empty: there is nothing to do.
        next_at: its turn after this one.
    """

    words: Sequence[str]
    next_at: datetime


def next_hour(settings: Settings, now: datetime) -> datetime:
    """The next nightly hour after a moment."""
    local, hour = now.astimezone(settings.zone), time.fromisoformat(settings.nightly_at)
    return datetime.combine(local.date() + timedelta(days=local.time() >= hour), hour, settings.zone).astimezone(UTC)


def scoring(conn: Connection, settings: Settings, job: Job | None) -> Turn | None:
    """Once a day from the nightly hour on, when no training is at work, and whatever became of it. A night that is done has scored by itself, and
    drift is the last that it notes; what is missing was killed or has failed.
    """
    now = settings.clock.now()
    if job and job.next_at > now:
        return None
    last, until = runs.latest(conn), delays.complete_until(conn, settings.clock)
    if runs.newest_success(conn) is None or until is None or (last and last.status == runs.RUNNING and last.lease_until > now):
        return None
    scored = drift.newest(conn)
    return Turn(() if scored and scored >= until else ("score",), next_hour(settings, now))


def challenger(conn: Connection, settings: Settings, job: Job | None) -> Turn | None:
    """Once beside each night that is done, when no training is at work. One that failed waits for the next night."""
    now = settings.clock.now()
    if not settings.challenger or (job and job.error is not None and job.next_at > now):
        return None
    done, last = runs.newest_success(conn), runs.latest(conn)
    if done is None or last is None or (last.status == runs.RUNNING and last.lease_until > now):
        return None
    if forecast_sets.to_stand_beside(conn, done.id) is None:
        return None
    return Turn(("train", "--challenger"), next_hour(settings, now))


def reports(conn: Connection, settings: Settings, job: Job | None) -> Turn | None:
    """Once a month from the nightly hour of its first day on, as soon as the last night of the month before is done.

    A month of which nothing was compared with a forecast has no report.
    """
    now = settings.clock.now()
    if job and job.next_at > now:
        return None
    first = settings.clock.local_now().date().replace(day=1)
    if _hour_of(settings, first) > now:
        first = (first - timedelta(days=1)).replace(day=1)
    last = first - timedelta(days=1)
    done, span = runs.newest_success(conn), promised.span(conn)
    if done is None or done.business_date < last:
        return None
    following = _hour_of(settings, (first + timedelta(days=31)).replace(day=1))
    if span is None or span[0] > last or span[1] < last.replace(day=1):
        return Turn((), following)
    month = f"{last:%Y-%m}"
    return Turn(("report", "models", "--month", month, "--out", str(settings.reports_dir / f"models-{month}.md")), following)


def _hour_of(settings: Settings, day: date) -> datetime:
    return datetime.combine(day, time.fromisoformat(settings.nightly_at), settings.zone).astimezone(UTC)
