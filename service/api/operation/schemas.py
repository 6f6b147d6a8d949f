"""Accuracy, nights, models and the state of the service as the API tells them. Names, types and units are a promise: later versions only add."""

from datetime import date as Day
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.alerts.schemas import Level
from service.api.intake.schemas import Ingest
from service.api.schemas import NEXT, Model


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
    next: str | None = NEXT


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
    next: str | None = NEXT


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
    next: str | None = NEXT


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
    next: str | None = NEXT


class RollBack(BaseModel):
    """Which forecast set is to be published again."""

    model_config = ConfigDict(extra="forbid")

    to: Annotated[int, Field(strict=True, ge=1, lt=10**18)] | Annotated[str, Field(max_length=40)] | None = Field(
        None, description="Number of a set, or `v7`, its version; left out: the one published before.", examples=[12, "v7"]
    )


class RolledBack(Model):
    """What a rollback did."""

    before: int = Field(description="Number of the set that was published before.")
    now: ModelSet
    withdrawn: list[int] = Field(description="Numbers of the sets that are withdrawn by it.")


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


class IntakeState(Model):
    """How the requests stand that are accepted and not counted yet."""

    waiting: int = Field(description="Number of requests that wait to be counted; one is at its turn at a time.", examples=[2], ge=0)
    oldest_waiting: datetime | None = Field(None, description="When the oldest of them came.", examples=["2025-11-09T07:29:40+08:00"])
    set_aside: int = Field(
        description="Number of requests that could not be counted and wait no more: somebody must look. Their rows are kept, and can be put back.",
        examples=[1],
        ge=0,
    )
    oldest_set_aside: datetime | None = Field(None, description="When the first of them was set aside.", examples=["2025-11-09T03:12:05+08:00"])
    set_aside_ids: list[int] = Field(
        description="`id` of their ingests, the oldest first, twenty at most: `/v1/ingests/{id}` says why each failed.", examples=[[12]]
    )


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
    intake: IntakeState


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
