"""The tables. Moments are UTC, dates are the city's local dates, `ALL` is the code of a tree's root.

Tables that take a row a ticket name their ingest without a foreign key: the database would look it up for every row, and no ingest is ever deleted.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    true,
)
from sqlalchemy.types import TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(TypeDecorator[datetime]):
    """An aware moment: naive UTC in PostgreSQL, microseconds since 1970 in SQLite (which has no type for it, and takes 26 bytes as text)."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        return (value - _EPOCH) // timedelta(microseconds=1) if dialect.name == "sqlite" else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = _EPOCH + timedelta(microseconds=value) if dialect.name == "sqlite" else value.replace(tzinfo=UTC)
        return moment


BigId = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows by itself only for INTEGER

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _tree(name: str, *more: Column[Any]) -> Table:
    return Table(
        name,
        metadata,
        Column("code", String, primary_key=True),
        Column("parent", String, nullable=False),
        Column("level", String, nullable=False),  # areas: city, district, street; categories: all, l1, l2
        Column("zh", String, nullable=False),
        Column("en", String, nullable=False),
        Column("first_seen", Moment, nullable=False),
        *more,
    )


areas = _tree("areas", Column("population", Integer))
categories = _tree(
    "categories",
    Column("lead_unit", String),
    Column("supporting_units", String),
    Column("time_limit", String),
    Column("safety", Boolean, nullable=False, default=False),
)

ingests = Table(
    "ingests",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("kind", String, nullable=False),  # tickets, counts, drivers, areas, categories
    Column("name", String, nullable=False),  # file name without its folder
    Column("sha256", String),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("status", String, nullable=False),  # running, applying (staged as a whole), done, failed
    Column("rows", BigInteger, nullable=False, default=0),
    Column("added", BigInteger, nullable=False, default=0),
    Column("changed", BigInteger, nullable=False, default=0),
    Column("unchanged", BigInteger, nullable=False, default=0),
    Column("rejected", BigInteger, nullable=False, default=0),
    Column("later", BigInteger, nullable=False, default=0),  # rows after the clock, left out
    Column("note", Text),
    Column("left_out", BigInteger, nullable=False, default=0, server_default="0"),  # rows that are no demand (consultations)
    Column("lease_until", Moment),  # of the process at work on it; None: it has ended, was taken from it, or began before there were leases
    Index(None, "status", "finished_at"),
)

ingest_reports = Table(
    "ingest_reports",
    metadata,
    Column("ingest_id", ForeignKey("ingests.id"), primary_key=True, autoincrement=False),
    Column("first_day", Date),
    Column("last_day", Date),
    Column("new_areas", JSON, nullable=False),  # codes
    Column("new_categories", JSON, nullable=False),
    Column("rejects", JSON, nullable=False),  # the first of them: [{index, line, ticket_id, field, reason}]
    Column("sender", String),  # id of the API key, of a request
    Column("request_key", String),  # Idempotency-Key of a request
    UniqueConstraint("sender", "request_key"),
)

waiting_ingests = Table(  # requests that are staged as a whole and not yet applied
    "waiting_ingests",
    metadata,
    Column("ingest_id", ForeignKey("ingests.id"), primary_key=True, autoincrement=False),
    Column("lease_until", Moment),  # until then a process is at work on it
    Column("districts", JSON),  # to which the sender was limited; None: the whole city
    Column("by_index", Boolean, nullable=False, server_default=false()),  # its rows are told by their place, not by their line
    Column("attempts", Integer, nullable=False, server_default="0"),  # to apply it that failed for what it holds, and not for the store
    Column("aside", Boolean, nullable=False, server_default=false()),  # it has failed and waits no more: its rows are kept for a person
)

tickets = Table(
    "tickets",
    metadata,
    Column("source", String, primary_key=True),
    Column("ticket_id", String, primary_key=True),
    Column("area", String, nullable=False),  # the deepest known node of the area tree
    Column("category", String, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("day", Date, nullable=False),  # local date of created_at
    Column("hour", Moment, nullable=False),  # start of the local hour of created_at
    Column("received_at", Moment, nullable=False),
    Column("updated_at", Moment),
    Column("closed_at", Moment),
    Column("status", String),
    Column("lat", Float),
    Column("lon", Float),
    Column("ingest_id", BigId, nullable=False),
    Column("caller", String),  # a keyed hash: tells that somebody called again, not who
    Column("title", Text),  # this and the two below: masked, and only where texts are kept
    Column("text", Text),
    Column("closure_text", Text),
    Column("demand", Boolean, nullable=False, server_default=true()),  # false: it was counted, and has become a consultation; counted nowhere
    Index(None, "day"),
)

staged_tickets = Table(
    "staged_tickets",
    metadata,
    Column("ingest_id", BigInteger, primary_key=True, autoincrement=False),
    Column("line", BigInteger, primary_key=True, autoincrement=False),
    *(Column(c.name, c.type, nullable=c.nullable) for c in tickets.c if c.name not in ("ingest_id", "demand")),
    Column("demand", Boolean, server_default=true()),  # NULL: no demand; the other columns of its cell say nothing then
    sqlite_with_rowid=False,
)

count_changes = Table(
    "count_changes",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("area", String, nullable=False),
    Column("category", String, nullable=False),
    Column("day", Date, nullable=False),
    Column("hour", Moment, nullable=False),
    Column("delta", Integer, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("ingest_id", BigId, nullable=False),
    Column("part", SmallInteger, nullable=False, server_default="0"),  # see `counts.TICKETS` and the others
    Index(None, "day"),
    Index(None, "received_at"),
)

compaction = Table(  # how far the changes of long ago are put together
    "compaction",
    metadata,
    Column("id", Integer, primary_key=True),  # one row: 1
    Column("known_since", Moment, nullable=False),  # from then on counts can be told as they were known
    Column("done_until", Moment),  # the last pass that came to its end put together what was known by then,
    Column("done_change", BigInteger),  # of the changes up to this one
)

baseline_days = Table(  # for which districts and days there are counts that came without tickets
    "baseline_days",
    metadata,
    Column("day", Date, primary_key=True),
    Column("area", String, primary_key=True),
    sqlite_with_rowid=False,
)

daily_counts = Table(
    "daily_counts",
    metadata,
    Column("day", Date, primary_key=True),  # first, so that new days lie together
    Column("area", String, primary_key=True),
    Column("category", String, primary_key=True),
    Column("count", Integer, nullable=False),
    sqlite_with_rowid=False,
)

category_map = Table(
    "category_map",
    metadata,
    Column("old", String, primary_key=True),
    Column("new", String, primary_key=True),
    Column("valid_from", Date, primary_key=True),  # first local day on which tickets are filed under the new code
    Column("share", Float, nullable=False),
    Column("ingest_id", ForeignKey("ingests.id"), nullable=False),
)

excluded_spans = Table(
    "excluded_spans",
    metadata,
    Column("start", Date, primary_key=True),
    Column("end", Date, primary_key=True),  # included
    Column("area", String, primary_key=True),
    Column("category", String, primary_key=True),
    Column("reason", Text),
    Column("ingest_id", ForeignKey("ingests.id"), nullable=False),
)

reporting_delays = Table(
    "reporting_delays",
    metadata,
    Column("category", String, primary_key=True),  # ALL: the whole city
    Column("lag", Integer, primary_key=True, autoincrement=False),  # days after the day of the tickets
    Column("share", Float, nullable=False),  # of the day's tickets, known by the end of that later day
    Column("tickets", BigInteger, nullable=False),  # from which it was estimated
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("estimated_at", Moment, nullable=False),
)

drivers = Table(
    "drivers",
    metadata,
    Column("name", String, primary_key=True),
    Column("area", String, primary_key=True),  # ALL where the file names no district
    Column("day", Date, primary_key=True),
    Column("issued_at", Moment, primary_key=True),  # an observation carries the end of its day
    Column("observed", Boolean, primary_key=True),
    Column("value", Float, nullable=False),
    Column("ingest_id", ForeignKey("ingests.id"), nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("business_date", Date, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("status", String, nullable=False),  # running, done, failed
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("owner", String, nullable=False),
    Column("lease_until", Moment, nullable=False),
    Column("mlflow_run_id", String),
    Column("scores", JSON),
    Column("error", Text),
    UniqueConstraint("business_date", "attempt"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("name", String, primary_key=True),
    Column("started_at", Moment),
    Column("succeeded_at", Moment),
    Column("failed_at", Moment),
    Column("error", Text),  # None: it has succeeded since
    Column("next_at", Moment, nullable=False),
    Column("late_at", Moment, nullable=False),  # it is late from then on unless it has succeeded
)

pulls = Table(
    "pulls",
    metadata,
    Column("name", String, primary_key=True),
    Column("watermark", Text),  # up to where it has come, as its connector writes it
    Column("etag", Text),
    Column("last_modified", Text),
    Column("sha256", String),  # of the last answer
    Column("failures", Integer, nullable=False, default=0),  # since its last success
)

forecast_sets = Table(
    "forecast_sets",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("mlflow_run_id", String),
    Column("cutoff", Date, nullable=False),
    Column("horizon", Integer, nullable=False),
    Column("issued_at", Moment, nullable=False),
    Column("published_at", Moment),  # None: never published
    Column("rows", Integer, nullable=False),
    Column("sha256", String, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Column("outlook", LargeBinary),  # this and the next: Parquet; None in sets that were made before there was one
    Column("hours", LargeBinary),  # shares of the hours of each day; an empty table: no ticket tells its hour
    Column("standing", LargeBinary),  # by what its days are judged; Parquet; None in sets that were made before there was one
    Column("recipe", JSON),  # as `forecasting.recipe.from_mapping` reads it; None: made before it was kept
    Column("gate", JSON),  # [{name, passed, measured, limit, where, vital}]; None: nobody asked for its publication, or before there was a gate
    Column("withdrawn_at", Moment),  # rolled back, or refused by the gate: since then it judges no day
    Column("model_version", Integer),  # of the registered model; None: not yet known
    Column("shadow", Boolean, nullable=False, server_default=false()),  # the challenger's: never published, judges no day
    Column("newest_change", BigInteger),  # in `count_changes`, of those that it learnt from; None in sets that were made before it was kept
    Index(None, "cutoff"),
)

published = Table(
    "published",
    metadata,
    Column("id", Integer, primary_key=True),  # one row: 1
    Column("forecast_set_id", ForeignKey("forecast_sets.id"), nullable=False),
    Column("moved_at", Moment, nullable=False),
)

day_scores = Table(
    "day_scores",
    metadata,
    Column("day", Date, primary_key=True),
    Column("area", String, primary_key=True),
    Column("category", String, primary_key=True),
    Column("forecast_set_id", ForeignKey("forecast_sets.id"), nullable=False),
    Column("observed", Integer, nullable=False),
    Column("expected", Float, nullable=False),
    Column("p_value", Float, nullable=False),  # P(count >= observed) under the forecast as published
    Column("pit", Float, nullable=False),  # mid probability integral transform
)


def _promised(name: str) -> tuple[Table, Table]:
    """The finished days that were compared with what was promised for them, and the sums of that, see `forecasting.promised`."""
    days = Table(
        f"{name}_days",
        metadata,
        Column("day", Date, primary_key=True),
        Column("newest_change", BigInteger, nullable=False),  # of the day in `count_changes`, 0 without any: a later one makes it due again
        Column("sets", Integer, nullable=False),  # forecast sets that had promised something
        Column("scored_at", Moment, nullable=False),
    )
    sums = Table(
        f"{name}_sums",
        metadata,
        Column("level", String, primary_key=True),  # city, category, district, series
        Column("day", Date, primary_key=True),
        Column("horizon", Integer, primary_key=True, autoincrement=False),
        Column("area", String, primary_key=True),
        Column("category", String, primary_key=True),
        Column("rows", Integer, nullable=False),
        Column("actual", BigInteger, nullable=False),
        Column("forecast", Float, nullable=False),
        Column("absolute", Float, nullable=False),
        Column("squared", Float, nullable=False),
        Column("loss", Float, nullable=False),
        Column("in80", Integer, nullable=False),
        Column("in90", Integer, nullable=False),
        Column("naive", Float, nullable=False),
        Column("chance", Float, nullable=False),
        sqlite_with_rowid=False,
    )
    return days, sums


promised_days, promised_sums = _promised("promised")
shadow_days, shadow_sums = _promised("shadow")  # what the challenger would have promised

input_drift = Table(
    "input_drift",
    metadata,
    Column("day", Date, primary_key=True),  # last day of the week that is compared
    Column("input", String, primary_key=True),  # category, source, delay
    Column("psi", Float, nullable=False),
    Column("chance", Float, nullable=False),
    Column("tickets", BigInteger, nullable=False),
    Column("parts", JSON, nullable=False),  # [{code, before, last}], the one that adds most first
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("level", String, nullable=False),
    Column("status", String, nullable=False),  # open, acknowledged, resolved
    Column("area", String, nullable=False),
    Column("category", String, nullable=False),
    Column("districts", JSON, nullable=False),  # [{code, observed, expected}] of those concerned, greatest excess first
    Column("onset", Date, nullable=False),
    Column("last_day", Date, nullable=False),  # last day on which it was seen
    Column("usual_days", Integer, nullable=False, default=0),  # days in a row without it
    Column("peak", Date),
    Column("observed", Float),
    Column("expected", Float, nullable=False),
    Column("lower", Float, nullable=False),
    Column("upper", Float, nullable=False),
    Column("p_value", Float, nullable=False),
    Column("reason_zh", Text, nullable=False),
    Column("reason_en", Text, nullable=False),
    Column("forecast_set_id", ForeignKey("forecast_sets.id"), nullable=False),
    Column("raised_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("resolved_at", Moment),
    Column("verdict", String),  # true, false, acted; None: nobody has judged it
    Column("judged_at", Moment),
    Column("spread", Date),  # latest onset of what it has taken in
    Column("found", Date),  # day of the findings by which it was raised
    Column("since_observed", Float),  # tickets from the onset to the last day
    Column("since_expected", Float),
    Index(None, "status", "raised_at"),
    Index(None, "kind", "category"),
)

alert_events = Table(
    "alert_events",
    metadata,
    Column("seq", BigId, primary_key=True, autoincrement=False),  # of the counter, see `alert_changes`
    Column("alert_id", ForeignKey("alerts.id"), nullable=False, index=True),
    Column("at", Moment, nullable=False),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False),  # see `alerts.ACTIONS`
    Column("level", String, nullable=False),
    Column("status", String, nullable=False),
    Column("note", Text),
    Column("snapshot", JSON),  # the alert after it, see `alerts.Alert`; None: of a time when it was not kept, and no newer one changed it since
)

counters = Table(
    "counters",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

silences = Table(
    "silences",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("area", String, nullable=False),  # it covers alerts on this node and below it
    Column("category", String, nullable=False),
    Column("kind", String),  # None: every kind of demand alert
    Column("level", String, nullable=False),  # alerts up to this level
    Column("author", String, nullable=False),  # name of an API key
    Column("comment", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("starts_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False, index=True),
    Column("ended_at", Moment),  # somebody ended it earlier
    Column("ended_by", String),
    Column("lifted", Boolean, nullable=False, server_default=false()),  # it is over, and alerts that it covered were told
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String, primary_key=True),  # the public part, shown in lists and logs
    Column("name", String, nullable=False),
    Column("hash", String, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("districts", JSON),  # None: the whole city
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("expires_at", Moment),  # None: valid until it is revoked
    Column("last_used_at", Moment),
    Column("replaced_by", String),  # id of the key that a rotation made
)

page_tokens = Table(
    "page_tokens",
    metadata,
    Column("hash", String, primary_key=True),
    Column("expires_at", Moment, nullable=False),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("seq", BigId, primary_key=True, autoincrement=True),
    Column("at", Moment, nullable=False),
    Column("actor", String, nullable=False),  # the name of an API key, or who ran a command
    Column("action", String, nullable=False),  # see `audit.ACTIONS`
    Column("subject", String, nullable=False),  # what it was done to, as "forecast set 12"
    Column("detail", JSON, nullable=False),
    Index(None, "action"),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String, primary_key=True),
    Column("url", String, nullable=False),
    Column("description", String, nullable=False),
    Column("level", String),  # alerts of this level or a higher one; None: all
    Column("kinds", JSON, nullable=False),  # of this and the three below an empty list means all
    Column("areas", JSON, nullable=False),  # codes, each with all below it
    Column("categories", JSON, nullable=False),
    Column("events", JSON, nullable=False),  # see `alerts.ACTIONS`
    Column("districts", JSON),  # to which the key that made it is limited; None: the whole city
    Column("secret", String, nullable=False),  # sealed, see `service.alerting.signing`
    Column("old_secret", String),  # signs as well until the moment below
    Column("old_secret_until", Moment),
    Column("created_at", Moment, nullable=False),
    Column("created_by", String, nullable=False),  # name of an API key
    Column("key_id", String),  # of the caller with whom it ends; None: made before that was kept
    Column("disabled_at", Moment),
    Column("disabled_because", Text),
    Column("seq", BigInteger, nullable=False),  # the last change that was looked at for it
)

webhook_deliveries = Table(  # the outbox
    "webhook_deliveries",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("webhook_id", ForeignKey("webhooks.id"), nullable=False),
    Column("message_id", String, nullable=False, unique=True),  # the header `webhook-id`: the same in every attempt
    Column("seq", BigInteger),  # of the change; None: a test
    Column("type", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("status", String, nullable=False),  # waiting, delivered, given_up
    Column("attempts", Integer, nullable=False),  # that were begun
    Column("next_at", Moment, nullable=False),  # a waiting one is not sent before
    Column("finished_at", Moment),
    UniqueConstraint("webhook_id", "seq"),
    Index(None, "status", "webhook_id", "id"),
)

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("delivery_id", ForeignKey("webhook_deliveries.id"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("milliseconds", Integer),  # None, with those below: the sender has not lived to tell
    Column("http_status", Integer),  # None: there was no answer
    Column("error", Text),
    Column("answer", Text),  # its first characters
)
