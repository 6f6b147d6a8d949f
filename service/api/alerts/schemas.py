"""Alerts as the API tells them, and what is said about them. Names, types and units are a promise: later versions only add."""

from datetime import date as Day
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from service.api.forecasts.schemas import Contribution
from service.api.schemas import NEXT, Model
from service.api.trees.schemas import ConcernedDistrict, Label, Labels

Level = Literal["blue", "yellow", "orange", "red"]
Kind = Literal["SEASONAL", "SPIKE", "EMERGING", "FIRST_SEEN", "DATA"]
AlertStatus = Literal["open", "acknowledged", "resolved"]
Verdict = Literal["true", "false", "acted"]


class Watch(Model):
    """How detection stands. While it is late, that there is no alert does not mean that all is calm."""

    watched_at: datetime | None = Field(None, description="When detection last succeeded; null: it never has.")
    as_of: Day | None = Field(None, description="The last finished day that it has judged; the day that is running is looked at hour by hour.")
    late: bool = Field(description="Detection should have succeeded by `late_at` and has not, or never has: somebody must look.")
    late_at: datetime | None = Field(None, description="From then on it is late, unless it has succeeded. Null: no scheduler has ever run.")


class Alert(Model):
    """An alert (诉求预警, internal: no public warning).

    `observed` and `expected` depend on the kind. SPIKE: what came in on the day, and what was forecast for it. SEASONAL: the mean of the last
    four weeks (or of the last one, if that is higher), and the mean forecast for the highest coming week: here `expected` lies above `observed`.
    """

    alert_id: str = Field(description="Identifies the alert for its whole life.")
    kind: Kind = Field(description="SEASONAL 季节性, SPIKE 突增, EMERGING 苗头性, FIRST_SEEN 首发, DATA 数据.")
    level: Level = Field(description="blue 蓝 < yellow 黄 < orange 橙 < red 红.")
    status: AlertStatus
    area: str = Field(description="Node of the area tree on which it stands; `ALL`: the whole city.", examples=["110108"])
    category: str = Field(description="Node of the category tree on which it stands.", examples=["HEAT"])
    districts: list[ConcernedDistrict] = Field(description="Districts concerned, greatest excess first.")
    onset: Day = Field(description="First day of the unusual; may lie ahead.")
    peak: Day | None = Field(None, description="Day with the most, expected or seen, if known.")
    observed: float | None = Field(
        None,
        description="Tickets a day. SPIKE: what came in on the day. SEASONAL: the mean of the last four weeks, or of the last one if that is higher.",
        examples=[61],
    )
    expected: float = Field(
        description="Tickets a day. SPIKE: what is usual, the forecast at the level that the node has of late. SEASONAL: the forecast's mean "
        "over the highest coming week.",
        examples=[22.5],
    )
    lower: float = Field(description="Lower end of the 90 % interval of `expected`, tickets a day.", examples=[14])
    upper: float = Field(description="Upper end of the 90 % interval of `expected`, tickets a day.", examples=[32])
    p_value: float = Field(
        description="How improbable it is if all is usual. SPIKE: so many tickets or more if the day is a usual one. "
        "SEASONAL: a coming week that is not above `observed`.",
        examples=[2.1e-6],
    )
    reason_zh: str = Field(description="Why, in one Chinese sentence.")
    reason_en: str = Field(description="Why, in one English sentence.")
    reason: str = Field(description="The same as `reason_en`.")
    raised_at: datetime = Field(description="Moment at which it was raised.")
    changed_at: datetime = Field(description="Moment of its last change.")
    resolved_at: datetime | None = Field(None, description="Moment at which it was resolved.")
    labels: Labels
    verdict: Verdict | None = Field(
        None, description="What it turned out to be: true 属实, false 误报, acted 已处置 (something was done about it). Null: nobody has said."
    )
    judged_at: datetime | None = Field(None, description="Moment of the verdict.")
    short_zh: str = Field(description="The alert in one Chinese line of at most 140 characters, for a group chat or a text message.", max_length=140)
    short_en: str = Field(description="The same in English.", max_length=140)
    notice: Label = Field(
        description="What it is: an internal alert, no public warning.", examples=[{"zh": "诉求预警(内部)", "en": "internal demand alert"}]
    )
    lead_unit: str | None = Field(None, description="Unit that takes the lead (牵头单位), by the category or the nearest above it.")
    supporting_units: str | None = Field(None, description="Units that support it (协同单位), with `;` between.")
    time_limit: str | None = Field(None, description="Time limit for handling a ticket of the category (办理时限).", examples=["24 h"])
    silenced_by: list[int] = Field(description="Numbers of the silences that cover it now, see `/v1/silences`; empty: none does.", examples=[[]])
    since_observed: float | None = Field(
        None,
        description="Tickets from the onset to the last day on which it was found. Null: of SEASONAL and DATA, and of alerts of before.",
        examples=[203],
    )
    since_expected: float | None = Field(None, description="Tickets that were expected on these days.", examples=[95.5])


class AlertPage(Model):
    """Alerts, the one raised last first."""

    items: list[Alert]
    next: str | None = NEXT
    seq: int = Field(description="Number of the newest change that the list knows: go on with `/v1/alerts/changes?after=`.", examples=[1042])
    watch: Watch


class AlertEvent(Model):
    """One step in an alert's life."""

    seq: int = Field(description="Number of the change, see `/v1/alerts/changes`.", examples=[1042])
    at: datetime
    actor: str = Field(description="Name of the key, or the job, that did it.", examples=["值班长"])
    action: str = Field(
        description="raised, escalated, turned (of another kind now), moved, acknowledged, resolved, judged_true, judged_false, judged_acted, "
        "verdict_withdrawn, unsilenced (a silence under which it changed is over); in the feed also left: it goes on where your key does not see "
        "it, told once and as resolved.",
        examples=["acknowledged"],
    )
    level: Level = Field(description="Level after it.")
    status: AlertStatus = Field(description="Status after it.")
    note: str | None = None


class AlertWithHistory(Alert):
    """An alert with everything that happened to it, oldest first."""

    history: list[AlertEvent]


class Since(Model):
    """What came in all since the onset, on days that are finished."""

    first_day: Day = Field(description="The onset, or the first of the last 60 days.")
    last_day: Day
    observed: float = Field(description="Tickets that came.", examples=[175])
    expected: float = Field(description="Tickets that were forecast for these days before they came.", examples=[60.4])


class Carrier(Model):
    """A child of the alert's node that has a part in the excess."""

    code: str = Field(description="Code of the district, street or category.", examples=["110108"])
    label: Label
    tickets: float = Field(description="Tickets since the onset. SEASONAL: a day, in the week about the peak, as forecast.", examples=[90])
    usual: float = Field(description="Tickets that were expected. SEASONAL: a day, the mean of the last four weeks.", examples=[20])
    share: float = Field(description="Of all that is too many, 0 to 1.", examples=[0.62], ge=0, le=1)


class Carriers(Model):
    """Who carries the excess: shares and rest add up to 1."""

    by: Literal["district", "street", "category"]
    parts: list[Carrier] = Field(description="The greatest share first; with a limited key, districts of its own only.")
    rest: float = Field(description="Share of those not listed, and of what none of them has.", examples=[0.08], ge=0, le=1)


class AtWork(Model):
    """What weekday, holidays, season and weather have in the forecast of the node for one day."""

    date: Day = Field(description="The last day on which the alert was found; SEASONAL: the peak.")
    mean: float = Field(description="Tickets forecast.", examples=[22.5])
    contributions: list[Contribution] = Field(description="They add up to `mean`.")
    sentence_zh: str
    sentence_en: str


class Peak(Model):
    """The day with the most tickets, so far or to come."""

    date: Day
    tickets: float = Field(description="Tickets on the day, seen or likely.", examples=[132])
    lower: float | None = Field(None, description="Lower end of the 90 % interval of a day to come.")
    upper: float | None = Field(None, description="Upper end of it.")
    passed: bool = Field(description="Whether it has been seen: no later day is likely to bring more.")


class SimilarEvent(Model):
    """A past alert at the node, or at one above or below it along one tree."""

    alert_id: str
    kind: Kind
    level: Level = Field(description="The highest that it reached.")
    area: str
    category: str
    labels: Labels
    onset: Day
    last_day: Day = Field(description="The last day on which it was found.")
    days: int = Field(description="From onset to last day.", examples=[4])
    peak: Day | None = Field(None, description="The day on which the most came.")
    observed: float | None = Field(None, description="Tickets on that day.", examples=[90])
    expected: float | None = Field(None, description="Tickets expected on that day.", examples=[20])
    verdict: Verdict | None = None


class AppliedThreshold(Model):
    """See `/v1/alerts/thresholds`; as it was when the alert was raised."""

    category: str
    true: int = Field(description="Alerts judged true.", examples=[2])
    false: int = Field(description="Alerts judged false.", examples=[10])
    stricter: float = Field(description="Added to the evidence asked for.", examples=[1.56])
    times_as_often: float = Field(description="Times as often as without verdicts.", examples=[0.4])


class Why(Model):
    """What an alert rests on, derived from what is stored when it is asked for."""

    since: Since | None = Field(None, description="Null: none of the days is finished, or nothing was forecast.")
    carriers: list[Carriers] = Field(description="By district, street or category, as far as the node has them.")
    at_work: AtWork | None = Field(None, description="Weather and calendar in the forecast by which it was found; null: it is not forecast.")
    likely_peak: Peak | None = Field(
        None,
        description="SEASONAL: as forecast. An excess that runs: the coming two weeks as forecast, times what is left of the ratio of the last day "
        "as it fades in past events. Null: nothing is known of it.",
    )
    similar: list[SimilarEvent] = Field(description="At most five, those of the same node first, then the newest.")
    threshold: AppliedThreshold | None = Field(None, description="What verdicts had made of the evidence asked for; null: nothing.")


class AlertDetail(AlertWithHistory):
    """An alert with its history, and with what it rests on."""

    why: Why


class StatusChange(BaseModel):
    """What goes with acknowledging or resolving an alert."""

    model_config = ConfigDict(extra="forbid")

    note: str | None = Field(None, max_length=2000, pattern=r"^[^\x00]*$", description="A remark for the history.", examples=["已通知市城市管理委"])
    expected_seq: int | None = Field(
        None,
        strict=True,  # else `false` would be 0
        ge=0,
        lt=2**53,
        description="`seq` of the alert's last change that you know: where it has changed again since, nothing is done and 409 says so.",
        examples=[1042],
    )


def _as_text(value: object) -> object:
    """JSON has words of its own for true and false."""
    return str(value).lower() if isinstance(value, bool) else value


SentVerdict = Annotated[Verdict, BeforeValidator(_as_text, json_schema_input_type=Verdict | bool)]


class Feedback(StatusChange):
    """What an alert turned out to be."""

    verdict: SentVerdict | None = Field(
        description="true: something was the matter. false: nothing was. acted: something was done about it, so that missing complaints say "
        "nothing against it. null: withdraws the verdict that there is.",
        examples=["acted"],
    )
    replaces: SentVerdict | None = Field(None, description="The verdict that it replaces; left out: there is none yet.")


class VerdictRow(Model):
    """Alerts of one category and kind, and what they turned out to be."""

    category: str = Field(description="Node of the category tree on which they stand.", examples=["HEAT"])
    kind: Kind
    raised: int = Field(description="So many were raised.", examples=[12])
    true: int = Field(description="Of these, something was the matter.", examples=[6])
    false: int = Field(description="Nothing was the matter.", examples=[2])
    acted: int = Field(description="Something was done about them: neither true nor false.", examples=[3])
    not_judged: int = Field(description="Nobody has said.", examples=[1])
    false_share: float | None = Field(None, description="`false` of those that are true or false; null: there is none.", examples=[0.25])
    label: Label


class VerdictList(Model):
    """What alerts turned out to be, by category and kind."""

    items: list[VerdictRow]
    next: str | None = NEXT


class Threshold(Model):
    """What verdicts have made of the evidence that is asked for in a category before SPIKE or EMERGING is raised."""

    category: str = Field(description="Node of the category tree.", examples=["HEAT"])
    true: int = Field(description="Verdicts `true` of the last 365 days, on alerts of this category and of those above and below it.", examples=[2])
    false: int = Field(description="The same, `false`.", examples=[10])
    false_share: float = Field(
        description="Share of false ones as it is believed to be: eight verdicts, half of them false, are added.", examples=[0.7]
    )
    meant_share: float = Field(description="Share at which nothing changes.", examples=[0.5])
    stricter: float = Field(description="Added to the evidence asked for: from -2.125 to 4.25, less than 0 is laxer.", examples=[1.56])
    times_as_often: float = Field(
        description="By chance alone, alerts of the category come so many times as often as without verdicts: from 0.1 to 3.16. Where some are "
        "laxer, all categories together are made as much stricter as keeps the budget.",
        examples=[0.43],
    )
    label: Label


class ThresholdList(Model):
    """What verdicts have made of the evidence asked for, by category."""

    items: list[Threshold]
    next: str | None = NEXT
