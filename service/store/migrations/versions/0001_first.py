"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


moment = sa.DateTime().with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("districts", sa.JSON(), nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("revoked_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_table(
        "areas",
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("parent", sa.String(), nullable=False),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("zh", sa.String(), nullable=False),
        sa.Column("en", sa.String(), nullable=False),
        sa.Column("first_seen", moment, nullable=False),
        sa.Column("population", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_areas")),
    )
    op.create_table(
        "categories",
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("parent", sa.String(), nullable=False),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("zh", sa.String(), nullable=False),
        sa.Column("en", sa.String(), nullable=False),
        sa.Column("first_seen", moment, nullable=False),
        sa.Column("lead_unit", sa.String(), nullable=True),
        sa.Column("supporting_units", sa.String(), nullable=True),
        sa.Column("time_limit", sa.String(), nullable=True),
        sa.Column("safety", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_categories")),
    )
    op.create_table(
        "daily_counts",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("area", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", "area", "category", name=op.f("pk_daily_counts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ingests",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("finished_at", moment, nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("unchanged", sa.BigInteger(), nullable=False),
        sa.Column("rejected", sa.BigInteger(), nullable=False),
        sa.Column("later", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ingests")),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("finished_at", moment, nullable=True),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("lease_until", moment, nullable=False),
        sa.Column("mlflow_run_id", sa.String(), nullable=True),
        sa.Column("scores", sa.JSON(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("business_date", "attempt", name=op.f("uq_runs_business_date_attempt")),
    )
    op.create_table(
        "staged_tickets",
        sa.Column("ingest_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("line", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("ticket_id", sa.String(), nullable=False),
        sa.Column("area", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("hour", moment, nullable=False),
        sa.Column("received_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=True),
        sa.Column("closed_at", moment, nullable=True),
        sa.Column("status", sa.String(), nullable=True),
        sa.Column("lat", sa.Float(), nullable=True),
        sa.Column("lon", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("ingest_id", "line", name=op.f("pk_staged_tickets")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "count_changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("area", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("hour", moment, nullable=False),
        sa.Column("delta", sa.Integer(), nullable=False),
        sa.Column("received_at", moment, nullable=False),
        sa.Column("ingest_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["ingest_id"], ["ingests.id"], name=op.f("fk_count_changes_ingest_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_count_changes")),
    )
    op.create_index(op.f("ix_count_changes_day"), "count_changes", ["day"], unique=False)
    op.create_index(op.f("ix_count_changes_received_at"), "count_changes", ["received_at"], unique=False)
    op.create_table(
        "drivers",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("area", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("issued_at", moment, nullable=False),
        sa.Column("observed", sa.Boolean(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("ingest_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["ingest_id"], ["ingests.id"], name=op.f("fk_drivers_ingest_id")),
        sa.PrimaryKeyConstraint("name", "area", "day", "issued_at", "observed", name=op.f("pk_drivers")),
    )
    op.create_table(
        "forecast_sets",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("mlflow_run_id", sa.String(), nullable=True),
        sa.Column("cutoff", sa.Date(), nullable=False),
        sa.Column("horizon", sa.Integer(), nullable=False),
        sa.Column("issued_at", moment, nullable=False),
        sa.Column("published_at", moment, nullable=True),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_forecast_sets_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forecast_sets")),
    )
    op.create_index(op.f("ix_forecast_sets_cutoff"), "forecast_sets", ["cutoff"], unique=False)
    op.create_table(
        "tickets",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("ticket_id", sa.String(), nullable=False),
        sa.Column("area", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("hour", moment, nullable=False),
        sa.Column("received_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=True),
        sa.Column("closed_at", moment, nullable=True),
        sa.Column("status", sa.String(), nullable=True),
        sa.Column("lat", sa.Float(), nullable=True),
        sa.Column("lon", sa.Float(), nullable=True),
        sa.Column("ingest_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["ingest_id"], ["ingests.id"], name=op.f("fk_tickets_ingest_id")),
        sa.PrimaryKeyConstraint("source", "ticket_id", name=op.f("pk_tickets")),
    )
    op.create_index(op.f("ix_tickets_day_area_category"), "tickets", ["day", "area", "category"], unique=False)
    op.create_table(
        "alerts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("area", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("districts", sa.JSON(), nullable=False),
        sa.Column("onset", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("usual_days", sa.Integer(), nullable=False),
        sa.Column("peak", sa.Date(), nullable=True),
        sa.Column("observed", sa.Float(), nullable=True),
        sa.Column("expected", sa.Float(), nullable=False),
        sa.Column("lower", sa.Float(), nullable=False),
        sa.Column("upper", sa.Float(), nullable=False),
        sa.Column("p_value", sa.Float(), nullable=False),
        sa.Column("reason_zh", sa.Text(), nullable=False),
        sa.Column("reason_en", sa.Text(), nullable=False),
        sa.Column("forecast_set_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("raised_at", moment, nullable=False),
        sa.Column("changed_at", moment, nullable=False),
        sa.Column("resolved_at", moment, nullable=True),
        sa.ForeignKeyConstraint(["forecast_set_id"], ["forecast_sets.id"], name=op.f("fk_alerts_forecast_set_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index(op.f("ix_alerts_kind_category"), "alerts", ["kind", "category"], unique=False)
    op.create_index(op.f("ix_alerts_status_raised_at"), "alerts", ["status", "raised_at"], unique=False)
    op.create_table(
        "day_scores",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("area", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("forecast_set_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("observed", sa.Integer(), nullable=False),
        sa.Column("expected", sa.Float(), nullable=False),
        sa.Column("p_value", sa.Float(), nullable=False),
        sa.Column("pit", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["forecast_set_id"], ["forecast_sets.id"], name=op.f("fk_day_scores_forecast_set_id")),
        sa.PrimaryKeyConstraint("day", "area", "category", name=op.f("pk_day_scores")),
    )
    op.create_table(
        "published",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("forecast_set_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("moved_at", moment, nullable=False),
        sa.ForeignKeyConstraint(["forecast_set_id"], ["forecast_sets.id"], name=op.f("fk_published_forecast_set_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_published")),
    )
    op.create_table(
        "alert_events",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("alert_id", sa.String(), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"], name=op.f("fk_alert_events_alert_id")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_alert_events")),
    )
    op.create_index(op.f("ix_alert_events_alert_id"), "alert_events", ["alert_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_alert_events_alert_id"), table_name="alert_events")
    op.drop_table("alert_events")
    op.drop_table("published")
    op.drop_table("day_scores")
    op.drop_index(op.f("ix_alerts_status_raised_at"), table_name="alerts")
    op.drop_index(op.f("ix_alerts_kind_category"), table_name="alerts")
    op.drop_table("alerts")
    op.drop_index(op.f("ix_tickets_day_area_category"), table_name="tickets")
    op.drop_table("tickets")
    op.drop_index(op.f("ix_forecast_sets_cutoff"), table_name="forecast_sets")
    op.drop_table("forecast_sets")
    op.drop_table("drivers")
    op.drop_index(op.f("ix_count_changes_received_at"), table_name="count_changes")
    op.drop_index(op.f("ix_count_changes_day"), table_name="count_changes")
    op.drop_table("count_changes")
    op.drop_table("staged_tickets")
    op.drop_table("runs")
    op.drop_table("ingests")
    op.drop_table("daily_counts")
    op.drop_table("categories")
    op.drop_table("areas")
    op.drop_table("api_keys")
