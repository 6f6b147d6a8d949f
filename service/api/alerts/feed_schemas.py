"""What the feed of alerts' changes answers with, and the view that Alertmanager takes."""

from datetime import datetime

from pydantic import Field, RootModel

from service.api.alerts.schemas import Alert, AlertEvent, Watch
from service.api.schemas import Model


class AlertChange(AlertEvent):
    """One change, and the alert as `/v1/alerts` tells it now: it may have changed again since. If it has `left`: as your key saw it last."""

    alert: Alert


class AlertChanges(Model):
    """Changes of alerts, oldest first."""

    items: list[AlertChange]
    next: int = Field(description="Ask with it as `after` next. It goes on past changes that your key may not see.", examples=[1042])
    more: bool = Field(description="There are more already: ask again at once.")
    watch: Watch


class AlertmanagerAlert(Model):
    """An alert as Alertmanager's API v2 takes it."""

    labels: dict[str, str] = Field(
        description="They identify it for Alertmanager: `alertname`, `severity` (the level), `area`, `category`; of a late job `job`.",
        examples=[{"alertname": "WeisuSpike", "severity": "orange", "area": "110108", "category": "HEAT"}],
    )
    annotations: dict[str, str] = Field(
        description="`summary`, `summary_zh`, `description`, `description_zh`, `alert_id`, `status`.",
        examples=[{"summary": "[internal demand alert] orange spike, Heating in Haidian: 61 on 11-08, 22 expected", "alert_id": "4b1f"}],
    )
    startsAt: datetime = Field(description="When it was raised.")
    endsAt: datetime = Field(description="When it was resolved; until then, by when it has to be told again.")
    generatorURL: str = Field(description="Where the alert is told whole.", examples=["http://127.0.0.1:8000/v1/alerts/4b1f"])


class AlertmanagerAlerts(RootModel[list[AlertmanagerAlert]]):
    """The body of `POST /api/v2/alerts`."""
