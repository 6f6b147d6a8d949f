"""Alerts to a Prometheus Alertmanager: all that run, again and again before they expire there, and at once the end of those that do no longer.

Alertmanager takes what is not told again for an end. So the end of an alert that was told is told too, whatever ended it: it was resolved, is
silenced, or bears other labels since it reached a higher level. Only where the scheduler was restarted in between does it end by itself.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import Connection, Engine

from forecasting.errors import InputError
from service.alerting.alertmanager import Posted
from service.clock import Clock
from service.settings import Settings
from service.store.engine import reading

EVERY = timedelta(seconds=15)  # how soon an alert is there; it lasts for a quarter of an hour
LIMIT = 10.0  # seconds to answer

Alarms = Callable[[Connection, datetime], list[Posted]]
"""The alerts as Alertmanager takes them at a moment, as the API tells them."""


class Pusher:
    """Pushes. Follows the real time, as Alertmanager does, even where the service's clock is frozen.

    Args:
        alarms: what to tell.
        now: the real time.
    """

    def __init__(self, db: Engine, settings: Settings, alarms: Alarms, now: Callable[[], datetime] | None = None) -> None:
        self.db, self.settings, self.alarms = db, settings, alarms
        self.now = now or Clock(settings.zone).now
        self._running: list[Posted] = []

    def step(self) -> None:
        """Tells how all alerts stand.

        Raises:
            InputError: Alertmanager does not take them.
            httpx.HTTPError: it does not answer.
            SQLAlchemyError: the database does not.
        """
        now = self.now()
        with reading(self.db) as conn:
            told = self.alarms(conn, now)
        there = [one.labels for one in told]
        ended = [replace(one, ends_at=now) for one in self._running if one.labels not in there]
        address = f"{self.settings.alertmanager_url.rstrip('/')}/api/v2/alerts"
        answer = httpx.post(address, json=[self._json(one) for one in (*told, *ended)], timeout=LIMIT, trust_env=False)
        if not answer.is_success:
            raise InputError(f"Alertmanager answered {answer.status_code}: {answer.text[:200]}", "WEISU_ALERTMANAGER_URL", "see its log")
        self._running = [one for one in told if one.ends_at > now]

    def _json(self, one: Posted) -> dict[str, Any]:
        starts = min(one.starts_at, one.ends_at)  # a frozen clock may stand ahead of the real one
        page = f"http://{self.settings.host}:{self.settings.api_port}{one.path}"
        moments = {"startsAt": starts.isoformat(), "endsAt": one.ends_at.isoformat()}
        return {"labels": one.labels, "annotations": one.annotations, **moments, "generatorURL": page}
