"""What the scheduler tells others by itself, in the API's own words: a change as `/v1/alerts/changes`, alerts as `/v1/alerts/alertmanager`."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from service.alerting.alertmanager import Posted
from service.api.alerts.alertmanager_paths import posted_to
from service.api.alerts.feed_paths import change_told
from service.api.alerts.news import News
from service.api.alerts.view import AlertView
from service.api.deps import Service
from service.api.forecasts.published import PublishedForecasts
from service.api.remembered import Remembered
from service.secret import of_keys
from service.settings import Settings
from service.store.alert_changes import Change
from service.store.keys import Caller


class Outgoing:
    """Alerts as the API tells them, without a request.

    Args:
        settings, db: as of the API.
    """

    def __init__(self, settings: Settings, db: Engine) -> None:
        forecasts = PublishedForecasts()
        self._service = Service(settings, db, forecasts, News(db), Remembered(db, forecasts, settings.clock, of_keys(settings)))

    def changes(self, conn: Connection, districts: Sequence[str] | None) -> Callable[[Change], dict[str, Any]]:
        """A function that tells changes, as they stand now, to a key that is limited to some districts (None: it is not)."""
        view = AlertView.read(self._service, conn, _key(districts))
        return lambda change: change_told(view, change).model_dump(mode="json")

    def alarms(self, conn: Connection, now: datetime) -> list[Posted]:
        """The alerts of the whole city as Alertmanager takes them."""
        return posted_to(self._service, conn, _key(None), now)


def _key(districts: Sequence[str] | None) -> Caller:
    return Caller("", "weisu", frozenset({"alerts:read"}), None if districts is None else frozenset(districts))
