"""Silences as the API takes and tells them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from forecasting.errors import InputError
from service.api.alerts.schemas import Kind, Level
from service.api.schemas import NEXT, Model
from service.api.trees.schemas import Label

SilenceState = Literal["pending", "active", "expired"]


def _some(text: str) -> str:
    if not text.strip():
        raise InputError("a silence needs a comment", "", "say why, for those who wonder")
    return text.strip()


class SilenceIn(BaseModel):
    """A silence to be made."""

    model_config = ConfigDict(extra="forbid")

    area: str = Field("ALL", max_length=200, description="Alerts on this area and below it; `ALL`: everywhere.", examples=["110108"])
    category: str = Field("ALL", max_length=200, description="Alerts on this category and below it; `ALL`: on everything.", examples=["HEAT"])
    kind: Kind | None = Field(None, description="Alerts of this kind; left out: every kind but DATA, which is covered only where it is named.")
    level: Level = Field(
        "orange",
        description="Alerts up to this level. Red ones are covered only if it is red, and on categories of safety never.",
        examples=["orange"],
    )
    comment: Annotated[
        str,
        AfterValidator(_some),
        Field(max_length=2000, pattern=r"^[^\x00]*$", description="Why, for those who wonder.", examples=["供热管网计划检修"]),
    ]
    starts: str | None = Field(None, max_length=40, description="Moment, or date (its start), at which it begins; left out: now.")
    ends: str = Field(
        max_length=40, description="Moment, or date (its end), at which it ends; 30 days after it starts at most.", examples=["2025-11-12"]
    )


class Silence(Model):
    """A silence: alerts that it covers are marked with its number in `silenced_by`, and go on living."""

    silence_id: int
    state: SilenceState = Field(description="pending: it has not started. expired: it has ended, or somebody has ended it.")
    area: str = Field(description="Node of the area tree; it covers what is below it too.", examples=["110108"])
    category: str = Field(description="Node of the category tree; it covers what is below it too.", examples=["HEAT"])
    kind: Kind | None = Field(None, description="Null: every kind but DATA.")
    level: Level = Field(description="Alerts up to this level.")
    author: str = Field(description="Name of the key that made it.", examples=["值班长"])
    comment: str
    created_at: datetime
    starts_at: datetime
    ends_at: datetime = Field(description="When it ends by itself.")
    ended_at: datetime | None = Field(None, description="When somebody ended it before.")
    ended_by: str | None = Field(None, description="Name of the key that did.")
    area_label: Label
    category_label: Label


class SilencePage(Model):
    """Silences, the newest first."""

    items: list[Silence]
    next: str | None = NEXT
