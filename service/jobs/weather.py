"""Whether the weather that comes by itself still comes: without it nobody sees a season's complaints ahead."""

from datetime import date, datetime

from sqlalchemy import Connection

from forecasting.detection.finding import DATA, Finding
from forecasting.hierarchy import ALL
from service.connectors.pull import JOB
from service.settings import Settings
from service.store import jobs


def late(conn: Connection, settings: Settings, day: date) -> list[Finding]:
    """A note on a day for each pull of weather that is late."""
    now = settings.clock.now()
    found = (jobs.get(conn, JOB + one.name) for one in settings.pull.drivers)
    return [_note(day, job.name.removeprefix(JOB), job.late_at.astimezone(settings.zone)) for job in found if job is not None and job.is_late(now)]


def _note(day: date, name: str, since: datetime) -> Finding:
    return Finding(
        DATA, "yellow", ALL, ALL, (), day, day, day, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0,
        f"天气数据({name})自 {since:%Y-%m-%d %H:%M} 起未更新,季节性预警暂按常年气候推算。",
        f"The weather ({name}) is late since {since:%Y-%m-%d %H:%M}: seasonal alerts go by what is usual at this time of the year.",
    )  # fmt: skip
