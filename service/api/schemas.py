"""What the API answers with. Names, types and units are a promise: later versions only add."""

from collections.abc import Mapping
from datetime import date as Day
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from forecasting.explanation import LABELS

Level = Literal["blue", "yellow", "orange", "red"]
Kind = Literal["SEASONAL", "SPIKE", "EMERGING", "FIRST_SEEN", "DATA"]
AlertStatus = Literal["open", "acknowledged", "resolved"]
Verdict = Literal["true", "false", "acted"]

_NEXT = Field(None, description="Pass it as `next` to get the following page; null: this is the last one. Opaque.")
NEXT = _NEXT  # for the modules of single nouns


class Model(BaseModel):
    """The base of every answer."""

    model_config = ConfigDict(frozen=True)


class Street(Model):
    """A street (街乡镇) of a district."""

    street: str = Field(description="Code of the street.", examples=["110105012"])
    zh: str = Field(examples=["望京街道"])
    en: str = Field(examples=["Wangjing"])


class District(Model):
    """A district (区)."""

    district: str = Field(description="Code of the district; `UNKNOWN` collects tickets that name none.", examples=["110105"])
    zh: str = Field(description="Chinese label.", examples=["朝阳区"])
    en: str = Field(description="English label.", examples=["Chaoyang"])
    population: int | None = Field(None, description="Inhabitants, if known.", examples=[3452460])
    streets: list[Street] = Field(description="The streets below it, by code.")


class DistrictList(Model):
    """Districts, by code."""

    items: list[District]
    next: str | None = _NEXT


class Category(Model):
    """A node of the category tree (问题分类)."""

    category: str = Field(description="Code of the category.", examples=["HEAT"])
    parent: str = Field(description="Code of the node above it; `ALL` is the root.", examples=["ALL"])
    level: str = Field(description="Level in the tree: `all`, `l1`, `l2` …", examples=["l2"])
    leaf: bool = Field(description="Whether nothing is below it.")
    zh: str = Field(examples=["供热采暖"])
    en: str = Field(examples=["Heating"])
    lead_unit: str | None = Field(None, description="Unit that takes the lead (主办单位).", examples=["市城市管理委"])
    supporting_units: str | None = Field(None, description="Units that support it (协办单位).")
    time_limit: str | None = Field(None, description="Time limit for handling a ticket (办理时限).", examples=["24 h"])
    safety: bool = Field(description="Whether lives may be at stake; raises the level of alerts.")


class CategoryList(Model):
    """Categories, by code; the root is left out."""

    items: list[Category]
    next: str | None = _NEXT


class _ForecastNode(Model):
    area: str = Field(description="Node of the area tree; `ALL`: the whole city.", examples=["110105"])
    category: str = Field(description="Node of the category tree; `ALL`: all categories.", examples=["HEAT"])
    date: Day = Field(description="Local date that is forecast; of a week or month its first one.", examples=["2025-11-15"])


class _ForecastLaw(Model):
    mean: float = Field(description="Expected tickets. Means add up over both trees.", examples=[128.4], ge=0)
    q05: float = Field(description="5 % quantile, tickets.", examples=[101])
    q10: float = Field(description="10 % quantile, tickets.", examples=[106])
    q25: float = Field(description="25 % quantile, tickets.", examples=[116])
    q50: float = Field(description="50 % quantile (median), tickets.", examples=[128])
    q75: float = Field(description="75 % quantile, tickets.", examples=[140])
    q90: float = Field(description="90 % quantile, tickets.", examples=[151])
    q95: float = Field(description="95 % quantile, tickets.", examples=[158])
    model: str = Field(description="Model that made it.", examples=["blend"])
    issued_at: datetime = Field(description="Moment at which it was published.", examples=["2025-11-08T18:21:07Z"])
    run_id: str = Field(description="MLflow run that made it; the number in `/v1/runs` if it was not tracked.")


class _DayAhead(Model):
    horizon: int = Field(description="Days after the cutoff, from 1.", examples=[7], ge=1)


class _WeekAhead(Model):
    week_ahead: int = Field(description="Weeks of seven days after the cutoff, from 1.", examples=[9], ge=1)


class _Hour(Model):
    hour: int = Field(description="Hour on the city's clock. One that passes twice is one row.", examples=[17], ge=0, le=23)


class ForecastRow(_ForecastLaw, _DayAhead, _ForecastNode):
    """The forecast of one node for one day. Unit of mean and quantiles: tickets a day."""


class WeekRow(_ForecastLaw, _WeekAhead, _ForecastNode):
    """The forecast of one node for one week. Unit of mean and quantiles: tickets a week."""


class _Month(Model):
    days: int = Field(description="Days of the month that are forecast and summed; the first and the last month have fewer than it has.", ge=1)


class MonthRow(_ForecastLaw, _Month, _ForecastNode):
    """The forecast of one node for one calendar month, `date` its first day. Unit of mean and quantiles: tickets in the days that are summed."""


class HourRow(_ForecastLaw, _Hour, _ForecastNode):
    """The forecast of one node for one hour. Unit of mean and quantiles: tickets an hour."""


class ForecastPage(Model):
    """Forecasts, by area, category, date; rows of one kind, as `granularity` asks."""

    items: list[ForecastRow] | list[WeekRow] | list[MonthRow] | list[HourRow]
    next: str | None = _NEXT
    stale_since: datetime | None = Field(
        None, description="The store does not answer: this is what it said at this moment, and newer forecasts may be there. Null: it answers."
    )


class Contribution(Model):
    """What one factor adds to a forecast."""

    factor: str = Field(
        description="`level`: mean of the last 364 days known, without bursts. `trend`: the two months before the last four weeks against that year; "
        "`news`: the last four weeks against these two months. `weekday`, `holiday`, `season` (heating included), `weather`: what the day has more "
        "than the mean of that year, as strong as the blend has it. `members`: by how much the forecast of all days ahead lies higher or lower than "
        "these say. `rest`: what is left on single days, where members disagree, and what makes sums add up.",
        examples=["season"],
    )
    tickets: float = Field(description="Tickets; the contributions of a forecast add up to its mean.", examples=[320.4])
    percent: float | None = Field(description="The same in percent of `level`; null if that is 0.", examples=[25.8])
    label_zh: str = Field(examples=["季节"])
    label_en: str = Field(examples=["season"])

    @classmethod
    def of(cls, parts: Mapping[str, float]) -> "list[Contribution]":
        """What the parts of a mean add, by the names `explanation.NAMES`."""
        level = parts["level"]
        return [
            cls(factor=name, tickets=tickets, percent=100 * tickets / level if level else None, label_zh=LABELS[name][0], label_en=LABELS[name][1])
            for name, tickets in parts.items()
        ]


class Member(Model):
    """A member of the blend."""

    name: str = Field(examples=["loglinear"])
    weight: float = Field(description="Its weight in this forecast; all add up to 1 but for rounding.", examples=[0.44])


class Explanation(_ForecastLaw, _ForecastNode):
    """The forecast of one node for one day or week, and why it is what it is."""

    horizon: int | None = Field(None, description="Days after the cutoff, from 1; null for a week.", examples=[7], ge=1)
    week_ahead: int | None = Field(None, description="Weeks of seven days after the cutoff, from 1; null for a day.", examples=[9], ge=1)
    known_until: Day = Field(description="Last local date that the forecast knew.", examples=["2025-11-08"])
    contributions: list[Contribution] = Field(description="`level` first, then what moves the forecast away from it, always in the same order.")
    members: list[Member] = Field(description="The models blended, the heaviest first.")
    sentence_zh: str = Field(description="What moves it most, in one Chinese sentence.")
    sentence_en: str = Field(description="The same in English.")


class ConcernedDistrict(Model):
    """A district that an alert concerns."""

    district: str = Field(description="Code of the district.", examples=["110108"])
    observed: float | None = Field(None, description="Tickets a day, as in the alert.", examples=[61])
    expected: float = Field(description="Tickets a day expected, as in the alert.", examples=[22.5])


class Label(Model):
    """A label in both languages."""

    zh: str = Field(examples=["海淀区"])
    en: str = Field(examples=["Haidian"])


class Labels(Model):
    """Labels of an alert's node."""

    area: Label
    category: Label


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


class AlertPage(Model):
    """Alerts, the one raised last first."""

    items: list[Alert]
    next: str | None = _NEXT
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
    next: str | None = _NEXT


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
    next: str | None = _NEXT


class AccuracyRow(Model):
    """How published forecasts compare with what came, over some days, nodes and horizons. What is null was summed over."""

    level: Literal["city", "category", "district", "series"] = Field(
        description="What was forecast: the whole city, each leaf category or each district as a whole, each pair of the two."
    )
    first_day: Day = Field(description="First day that is compared.", examples=["2025-11-01"])
    last_day: Day = Field(description="Last day that is compared.", examples=["2025-11-28"])
    area: str | None = Field(None, description="District, with `by=district`.", examples=["110105"])
    category: str | None = Field(None, description="Leaf category, with `by=category`.", examples=["HEAT"])
    horizon: int | None = Field(None, description="Days after the cutoff, from 1, with `by=horizon`.", examples=[7], ge=1)
    week_ahead: int | None = Field(None, description="Weeks after the cutoff, from 1, with `by=week_ahead`.", examples=[2], ge=1)
    rows: int = Field(description="Forecasts that are compared: nodes times days times horizons.", examples=[12544])
    actual: int = Field(description="Tickets that came, once for each forecast of them.", examples=[391204])
    forecast: float = Field(description="Tickets that were forecast (means).", examples=[388310.2])
    wape: float | None = Field(description="Sum of absolute errors by `actual`; null, as the next three: nothing came.", examples=[0.21], ge=0)
    bias: float | None = Field(description="`forecast` by `actual`, less 1: above 0, too many were forecast.", examples=[-0.007])
    wql: float | None = Field(description="Weighted quantile loss by `actual`, as in the runs.", examples=[0.15], ge=0)
    chance: float | None = Field(description="The `wape` that chance alone makes (Poisson): no forecast can go far below it.", examples=[0.19], ge=0)
    cover80: float = Field(description="Share inside the 80 % interval, q10 to q90; 0.8 or a little more is meant.", examples=[0.82], ge=0, le=1)
    cover90: float = Field(description="Share inside the 90 % interval, q05 to q95.", examples=[0.91], ge=0, le=1)
    skill: float | None = Field(
        description="1 - error by the error of the same weekday of the last week known at the cutoff: above 0, better than that. "
        "Null: that made no error.",
        examples=[0.27],
    )


class AccuracyPage(Model):
    """Accuracy by level, then day, area, category, horizon, as far as it is asked for."""

    items: list[AccuracyRow]
    next: str | None = _NEXT


class MixPart(Model):
    """One part of a mix."""

    code: str = Field(description="Category, source, or days after which a ticket became known.", examples=["HEAT"])
    before: float = Field(description="Share in the four weeks before.", examples=[0.11], ge=0, le=1)
    last: float = Field(description="Share in the last week.", examples=[0.19], ge=0, le=1)


class DriftRow(Model):
    """How far the mix of one input in a week is from that of the four weeks before."""

    date: Day = Field(description="Last day of the week.", examples=["2025-11-15"])
    input: Literal["category", "source", "delay"] = Field(
        description="category: what tickets are about. source: from which system they come. delay: how many days later they become known, "
        "of the last week that could be followed."
    )
    psi: float = Field(description="Population stability index: 0 for the same mix.", examples=[0.04], ge=0)
    chance: float = Field(description="What it is on average without any change, so many tickets being drawn.", examples=[0.01], ge=0)
    state: Literal["stable", "some", "much"] = Field(description="`psi` less `chance`: below 0.1 stable, below 0.25 some, else much.")
    tickets: int = Field(description="Tickets of the week.", examples=[18230])
    parts: list[MixPart] = Field(description="At most ten, the one that moves the index most first.")


class DriftPage(Model):
    """Drift of inputs, the newest week first."""

    items: list[DriftRow]
    next: str | None = _NEXT


class Run(Model):
    """A nightly run."""

    id: int = Field(description="Number in the ledger.")
    business_date: Day = Field(description="Last finished day that it learnt from.")
    attempt: int = Field(ge=1, description="Number of the attempt, of those for the same day.", examples=[1])
    status: str = Field(description="running, done or failed.", examples=["done"])
    started_at: datetime
    finished_at: datetime | None = None
    mlflow_run_id: str | None = None
    error: str | None = Field(None, description="Why it failed, in one line.")


class RunPage(Model):
    """Runs, newest first."""

    items: list[Run]
    next: str | None = _NEXT


class GateCheck(Model):
    """One thing that the gate looked at before a forecast set was published."""

    name: str = Field(description="What was looked at.", examples=["WRMSSE champion"])
    passed: bool
    measured: float | None = Field(None, description="What was measured; null: it could not be, which does not pass.", examples=[0.004])
    limit: float | None = Field(None, description="What is allowed.", examples=[0.02])
    at_least: bool = Field(description="Whether `limit` is the least allowed; else the most.")
    where: str = Field("", description="The level nearest to the limit: city, category, district or series; may be empty.", examples=["city"])


class ModelSet(Model):
    """A forecast set and the model that made it."""

    id: int = Field(description="Number of the forecast set.")
    published: bool = Field(description="Whether `/v1/forecasts` answers from it.")
    cutoff: Day = Field(description="Last day known to it.")
    horizon: int = Field(description="Days ahead.")
    issued_at: datetime = Field(description="When it was made.")
    published_at: datetime | None = Field(None, description="When it was first published; null: never.")
    withdrawn_at: datetime | None = Field(None, description="When it was rolled back or refused: since then no day is judged by it.")
    run_id: int = Field(description="Number of the run in the ledger, see `/v1/runs`.")
    mlflow_run_id: str | None = None
    version: int | None = Field(None, description="Version of the registered model `weisu-demand`, once it is known.")
    shadow: bool = Field(False, description="Whether a challenger made it in shadow: it is compared with what came, and never published.")
    gate: Literal["passed", "failed"] | None = Field(None, description="What the gate said; null: it was not asked.")
    checks: list[GateCheck] = Field(description="What the gate looked at.")


class ModelPage(Model):
    """Forecast sets, newest first."""

    items: list[ModelSet]
    next: str | None = _NEXT


class RollBack(BaseModel):
    """Which forecast set is to be published again."""

    model_config = ConfigDict(extra="forbid")

    to: Annotated[int, Field(ge=1, lt=10**18)] | Annotated[str, Field(max_length=40)] | None = Field(
        None, description="Number of a set, or `v7`, its version; left out: the one published before.", examples=[12, "v7"]
    )


class RolledBack(Model):
    """What a rollback did."""

    before: int = Field(description="Number of the set that was published before.")
    now: ModelSet
    withdrawn: list[int] = Field(description="Numbers of the sets that are withdrawn by it.")


class Ingest(Model):
    """The last intake of data."""

    id: int
    kind: str = Field(description="tickets, counts, drivers, areas or categories.", examples=["tickets"])
    status: str = Field(description="running (being read), applying (kept as a whole, being counted), done or failed.", examples=["done"])
    started_at: datetime
    finished_at: datetime | None = None


class RejectedRow(Model):
    """A row that was not taken, and why."""

    index: int | None = Field(None, description="Its place in a JSON body, from 0.", examples=[0])
    line: int | None = Field(None, description="Its line, from 1, in NDJSON, CSV or a file; its row, from 1, in Parquet.", examples=[17])
    ticket_id: str = Field(description="As sent; empty if it has none.")
    field: str = Field(description="The field concerned; empty: the row as a whole.", examples=["created_at"])
    reason: str = Field(description="What is wrong.", examples=["created_at is no moment"])


class IngestDetail(Ingest):
    """What became of an intake: of a file, or of a request to `/v1/tickets` or `/v1/drivers`."""

    rows: int = Field(description="Rows that came.")
    added: int = Field(description="Rows that were new.")
    changed: int = Field(description="Rows that changed what was known.")
    unchanged: int = Field(description="Rows that were known already, or older than what is known.")
    rejected: int = Field(description="Rows that are wrong.")
    later: int = Field(description="Rows later than the service's clock, left out: send them again.")
    left_out: int = Field(0, description="Rows that are no demand (consultations), left out.")
    first_day: Day | None = Field(None, description="First local day of the rows taken.")
    last_day: Day | None = Field(None, description="Last local day of the rows taken.")
    new_areas: list[str] = Field(description="Codes of areas met for the first time.")
    new_categories: list[str] = Field(description="Codes of categories met for the first time.")
    rejects: list[RejectedRow] = Field(description="The first 1000 rows that are wrong.")
    error: str | None = Field(None, description="Why it failed.")


class TicketIn(BaseModel):
    """A ticket. The headers of 12345 exports are understood for these names, too."""

    ticket_id: str = Field(max_length=200, description="Identifies it within its source; a number is taken as well.", examples=["20251109000123"])
    created_at: str = Field(
        description="When the citizen called: ISO 8601; without an offset, local time of the city.", examples=["2025-11-09T07:12:30+08:00"]
    )
    category: str | None = Field(
        None, max_length=200, description="Code, label, or path `first->second->third`; needed, or `path_1`.", examples=["HEAT"]
    )
    district: str | None = Field(None, max_length=200, description="Code or label.", examples=["110105"])
    street: str | None = Field(None, max_length=200, description="Code or label.")
    received_at: str | None = Field(None, description="When the hotline had it; left out: `created_at`.")
    updated_at: str | None = Field(None, description="Version: an older one than is known changes nothing.")
    closed_at: str | None = Field(None, description="When it was handled.")
    status: str | None = Field(None, max_length=200, examples=["open"])
    category_l1: str | None = Field(None, max_length=200, description="First level, where `category` names the second alone.")
    path_1: str | None = Field(None, max_length=200, description="With `path_2` and `path_3`: the levels one by one, in place of `category`.")
    path_2: str | None = Field(None, max_length=200)
    path_3: str | None = Field(None, max_length=200)
    source: str | None = Field(None, max_length=200, description="The system it comes from; left out: `hotline`.")
    lat: float | None = None
    lon: float | None = None
    ticket_type: str | None = Field(None, description="A ticket of a type that is no demand (咨询) is left out.", examples=["投诉"])
    caller: str | None = Field(None, description="Number or account of the caller: kept as a keyed hash that tells repeats, never as it is.")
    title: str | None = Field(None, description="This and the two below are kept, masked, where the installation keeps texts; otherwise ignored.")
    text: str | None = None
    closure_text: str | None = None


class CurrentForecastSet(Model):
    """The forecast set that `/v1/forecasts` answers from."""

    id: int
    cutoff: Day = Field(description="Last day known to it.")
    issued_at: datetime
    first_day: Day
    last_day: Day
    run_id: str


class LevelCounts(Model):
    """Alerts by level."""

    blue: int = 0
    yellow: int = 0
    orange: int = 0
    red: int = 0


class Ages(Model):
    """How old things are, in seconds; null: there is none."""

    data: float | None = Field(None, description="Since the end of the last day with data.")
    ingest: float | None = Field(None, description="Since the last intake began.")
    run: float | None = Field(None, description="Since the last run began.")
    forecast_set: float | None = Field(None, description="Since the current forecast set was published.")


class Job(Model):
    """How one of the scheduler's jobs stands."""

    name: str = Field(
        description="`scheduler`: that it is at work at all; `nightly`: the training; `challenger`: the one in shadow; `watch`: detection; "
        "`delivery`: to the webhooks; `alertmanager`: the push to it; `housekeeping`; `reports`: those of a month.",
        examples=["nightly"],
    )
    late: bool = Field(description="It should have succeeded by `late_at` and has not: somebody must look.")
    last_start: datetime | None = None
    last_success: datetime | None = None
    last_failure: datetime | None = None
    error: str | None = Field(None, description="Why it failed last; null: it has succeeded since.", examples=["MemoryError"])
    next: datetime = Field(description="When it begins next; in the past: it is at work, or waits for a look of the scheduler.")
    late_at: datetime = Field(description="From then on it is late, unless it has succeeded.")


class Unlabelled(Model):
    """Codes that tickets brought and no table of the city has labelled yet."""

    areas: int
    categories: int


class ReportingDelay(Model):
    """How much of a day's tickets is known after so many days, estimated from the last weeks that could be followed."""

    known: list[float] = Field(description="Share known by the end of the day itself, of the next day, and so on; the last is 1.")
    complete_after_days: int = Field(description="So many days later at least 90 % are known: until then a day counts as not complete.")
    tickets: int = Field(description="From so many tickets it was estimated.")
    slow_categories: list[str] = Field(description="Categories that take longer than the city as a whole, by code.")


class WebhooksState(Model):
    """How the webhooks stand."""

    enabled: int
    disabled: int = Field(description="Given up after ten failed attempts, or the receiver wanted no more: somebody must look.")
    waiting: int = Field(description="Messages that wait to be sent, or to be sent again.")
    oldest_waiting: datetime | None = Field(None, description="When the oldest of them was made.")


class Status(Model):
    """What is known, how fresh it is, and how the city stands. With a limited key, alerts on its own districts and city-wide ones
    that concern them."""

    now: datetime = Field(description="The service's present moment.")
    business_date: Day = Field(description="The last finished local day.")
    data_complete_until: Day | None = Field(None, description="Last day with complete counts; null: there are none.")
    last_ingest: Ingest | None = None
    last_run: Run | None = None
    forecast_set: CurrentForecastSet | None = None
    city_state: Level | None = Field(None, description="Highest level of a demand alert that is not resolved; null: all is usual.")
    open_alerts: LevelCounts = Field(description="Demand alerts that nobody has acknowledged, by level.")
    acknowledged_alerts: LevelCounts = Field(description="Demand alerts that are acknowledged but not resolved, by level.")
    data_alerts: int = Field(description="DATA alerts that are not resolved; they say nothing about demand.")
    unlabelled: Unlabelled
    reporting_delay: ReportingDelay | None = Field(None, description="How late tickets come in; null: no ticket tells when it was received.")
    ages: Ages
    jobs: list[Job] = Field(description="The scheduler's jobs, by name; none: no scheduler has run yet.")
    webhooks: WebhooksState


class Live(Model):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(Model):
    """The service can answer."""

    status: Literal["ready"] = "ready"


class Start(Model):
    """Where to go from here."""

    name: str = "Weisu 未诉"
    version: str = Field(examples=["0.1.0"])
    docs: str = Field("/docs", description="Documentation to read and try.")
    openapi: str = Field("/openapi.json", description="The same for programs.")
    status: str = "/v1/status"
