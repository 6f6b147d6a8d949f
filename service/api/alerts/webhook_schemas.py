"""What the API answers and takes about webhooks."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.api.alerts.schemas import Kind, Level
from service.api.schemas import NEXT, Model
from service.store.alerts import ACTIONS

Event = Literal[
    "raised",
    "escalated",
    "turned",
    "moved",
    "acknowledged",
    "resolved",
    "judged_true",
    "judged_false",
    "judged_acted",
    "verdict_withdrawn",
    "unsilenced",
]
DeliveryStatus = Literal["waiting", "delivered", "given_up"]

MOST_NODES = 200  # of a filter
Url = Annotated[str, Field(max_length=2000, description="Where messages are sent, by POST.", examples=["https://example.org/weisu"])]
Description = Annotated[str, Field(max_length=200, description="Whose it is and what for.", examples=["值班大屏"])]
Codes = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=MOST_NODES)]


def _printable(values: dict[str, Any]) -> dict[str, Any]:
    """Raises ValueError for a text that no database takes and nobody can read."""
    lists = [given for name in ("areas", "categories") if isinstance(given := values.get(name), list)]
    texts = [values.get("description"), *(one for given in lists for one in given)]
    if any(isinstance(text, str) and not text.isprintable() for text in texts):
        raise ValueError("texts must be printable")
    return values


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _check(cls, given: Any) -> Any:
        return _printable(given) if isinstance(given, dict) else given


class WebhookIn(_Asked):
    """A webhook to be made."""

    url: Url
    description: Description = ""
    level: Level | None = Field(None, description="Alerts of this level or a higher one; null: all.")
    kinds: list[Kind] = Field([], max_length=10, description="Alerts of these kinds; empty: all.")
    areas: Codes = Field([], description="Alerts on these areas or below them, or that name one of them as concerned; empty: all.")
    categories: Codes = Field([], description="Alerts on these categories or below them; empty: all.")
    events: list[Event] = Field([], max_length=len(ACTIONS), description="What happened to the alert, as in its history; empty: anything.")


class WebhookChange(_Asked):
    """What is to be changed; what is left out stays."""

    url: Url | None = None
    description: Description | None = None
    level: Level | None = Field(None, description="Null: all levels.")
    kinds: list[Kind] | None = Field(None, max_length=10)
    areas: Codes | None = None
    categories: Codes | None = None
    events: list[Event] | None = Field(None, max_length=len(ACTIONS))


class Webhook(Model):
    """A webhook: who is told of changes of alerts, and of which."""

    webhook_id: str = Field(examples=["k3v9x0a1bc"])
    url: str
    description: str
    level: Level | None = Field(None, description="Alerts of this level or a higher one; null: all.")
    kinds: list[Kind] = Field(description="Empty: all.")
    areas: list[str] = Field(description="Empty: all.")
    categories: list[str] = Field(description="Empty: all.")
    events: list[Event] = Field(description="Empty: all.")
    districts: list[str] | None = Field(None, description="Districts to which the key that made it is limited; null: the whole city.")
    created_at: datetime
    created_by: str = Field(description="Name of the key.", examples=["运维"])
    enabled: bool = Field(description="Whether it is told.")
    disabled_at: datetime | None = None
    disabled_because: str | None = Field(None, description="Why nothing is sent.")
    old_secret_until: datetime | None = Field(None, description="Until then the secret before the present one signs as well.")
    seq: int = Field(description="Number of the last change that was looked at for it, as in `/v1/alerts/changes`.")


class WebhookWithSecret(Webhook):
    """A webhook and its secret, which is shown this once."""

    secret: str = Field(description="Signs every message, as Standard Webhooks says. Keep it: it is not shown again.", examples=["whsec_…"])


class WebhookPage(Model):
    """Webhooks, oldest first."""

    items: list[Webhook]
    next: str | None = NEXT


class WebhookAttempt(Model):
    """One attempt at a delivery."""

    number: int
    at: datetime
    status: int | None = Field(None, description="HTTP status of the answer; null: there was none.", examples=[200])
    milliseconds: int | None = Field(None, description="How long it took; null: it is at work, or the sender was stopped in the middle.")
    error: str | None = Field(None, description="Why it failed; null with a status: it was delivered.")
    answer: str | None = Field(None, description="The answer's first 300 characters.")


class WebhookDelivery(Model):
    """A message to a webhook, and every attempt to send it."""

    message_id: str = Field(description="The header `webhook-id`: the same in every attempt.", examples=["msg_k3v9x0a1bc_17"])
    seq: int | None = Field(None, description="Number of the change, as in `/v1/alerts/changes`; null: a test.")
    type: str = Field(examples=["alert.raised"])
    status: DeliveryStatus = Field(description="waiting, delivered, or given_up after ten attempts or because the webhook was disabled.")
    created_at: datetime
    next_attempt: datetime | None = Field(None, description="When it is tried next; null: no more.")
    finished_at: datetime | None = Field(None, description="When it was delivered or given up.")
    attempts: list[WebhookAttempt] = Field(description="Oldest first.")


class WebhookDeliveryPage(Model):
    """Deliveries, newest first."""

    items: list[WebhookDelivery]
    next: str | None = NEXT
