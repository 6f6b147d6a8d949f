"""What the API tells of the audit log. Names, types and units are a promise: later versions only add."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from service.api.schemas import NEXT, Model

Action = Literal[
    "rollback",
    "aliases",
    "alert_acknowledged",
    "alert_resolved",
    "alert_judged",
    "silenced",
    "silence_ended",
    "webhook_made",
    "webhook_changed",
    "webhook_removed",
    "webhook_enabled",
    "webhook_disabled",
    "webhook_secret",
    "ingest_retried",
]


class AuditEntry(Model):
    """Something that was done to what is served."""

    seq: int = Field(description="Its number; they go up.", examples=[17])
    at: datetime = Field(description="When it was done.")
    actor: str = Field(description="Name of the key, or who ran a command; `weisu`: the service by itself.", examples=["值班长"])
    action: Action = Field(description="What was done.", examples=["silenced"])
    subject: str = Field(description="What it was done to.", examples=["silence 4"])
    detail: dict[str, Any] = Field(description="What else is worth knowing, such as the id of the key.", examples=[{"key": "k3v9x0a1bc"}])


class AuditPage(Model):
    """Entries of the audit log, the newest first."""

    items: list[AuditEntry]
    next: str | None = NEXT
