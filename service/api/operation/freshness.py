"""How old each thing is against what is expected of it, and what is to be known about the data."""

from datetime import date as Day
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field
from sqlalchemy import Connection

from service.api.alerts.schemas import Level
from service.api.alerts.view import AlertView
from service.api.deps import Service
from service.api.operation import schemas
from service.api.schemas import Model
from service.store import alerts, counts, ingests, jobs, runs

DELIVERED_WITHIN = timedelta(hours=36)  # a file a night, twelve hours late
NOTES = 20  # that a status tells, the newest; all are alerts of the kind DATA
JOBS = {"training": "nightly", "detection": "watch"}


class Freshness(Model):
    """When something happened last, and by when it should happen again."""

    name: Literal["ticket", "ingest", "training", "detection"] = Field(
        description="`ticket`: the newest one was received; `ingest`: a delivery was taken in; `training`, `detection`: that job succeeded."
    )
    last: datetime | None = Field(None, description="When it happened last; null: never.")
    age: float | None = Field(None, description="Seconds since then.")
    expected_by: datetime | None = Field(None, description="By when it should happen again; null: nothing is known to expect it by.")
    late: bool = Field(description="It should have happened by now.")


class DataNote(Model):
    """What is wrong with the data, as a running alert of the kind DATA tells it."""

    alert_id: str
    level: Level
    area: str = Field(examples=["110105"])
    category: str = Field(examples=["ALL"])
    onset: Day
    reason_zh: str
    reason_en: str


class Status(schemas.Status):
    """What is known, how fresh it is, and how the city stands. With a limited key, alerts on its own districts and city-wide ones
    that concern them."""

    freshness: list[Freshness] = Field(description="Of tickets, intake, training and detection, against what is expected.")
    data_notes: list[DataNote] = Field(description="The running DATA alerts that the caller may see, the newest first, twenty at most.")


def freshness(service: Service, conn: Connection) -> list[Freshness]:
    """Of tickets, ingests, training and detection."""
    now = service.clock.now()
    newest, done = counts.newest_received(conn), ingests.newest_done(conn)
    ingest = None if done is None else ingests.get(conn, done).finished_at
    run = runs.newest_success(conn)
    known = {job.name: job for job in jobs.list_jobs(conn)}
    last = {"ticket": newest, "ingest": ingest}
    expected = {name: None if at is None else at + DELIVERED_WITHIN for name, at in last.items()}
    for name, job in JOBS.items():
        last[name] = known[job].succeeded_at if job in known else None
        expected[name] = known[job].late_at if job in known else None
    last["training"] = last["training"] or (None if run is None else run.finished_at)  # one that a person started, without a scheduler

    def told(moment: datetime | None) -> datetime | None:
        return None if moment is None else service.local(moment)

    return [
        Freshness.model_validate(
            {
                "name": name,
                "last": told(at),
                "age": None if at is None else (now - at).total_seconds(),
                "expected_by": told(by := expected[name]),
                "late": by is not None and now > by,
            }
        )
        for name, at in last.items()
    ]


def data_notes(conn: Connection, view: AlertView, filters: alerts.AlertFilters) -> list[DataNote]:
    """The running notes on the data that fit, the newest first, as a view tells them."""
    found = [view.alert(one) for one in alerts.list_alerts(conn, filters=filters, limit=NOTES)]
    return [DataNote.model_validate({name: getattr(one, name) for name in DataNote.model_fields}) for one in found]
