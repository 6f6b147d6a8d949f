"""Tickets over HTTP: what is told of an ingest, the keys of repeated requests, and requests that wait to be applied."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

moment = sa.DateTime().with_variant(sa.BigInteger(), "sqlite")
big_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "ingest_reports",
        sa.Column("ingest_id", big_id, autoincrement=False, nullable=False),
        sa.Column("first_day", sa.Date(), nullable=True),
        sa.Column("last_day", sa.Date(), nullable=True),
        sa.Column("new_areas", sa.JSON(), nullable=False),
        sa.Column("new_categories", sa.JSON(), nullable=False),
        sa.Column("rejects", sa.JSON(), nullable=False),
        sa.Column("sender", sa.String(), nullable=True),
        sa.Column("request_key", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["ingest_id"], ["ingests.id"], name=op.f("fk_ingest_reports_ingest_id")),
        sa.PrimaryKeyConstraint("ingest_id", name=op.f("pk_ingest_reports")),
        sa.UniqueConstraint("sender", "request_key", name=op.f("uq_ingest_reports_sender_request_key")),
    )
    op.create_table(
        "waiting_ingests",
        sa.Column("ingest_id", big_id, autoincrement=False, nullable=False),
        sa.Column("lease_until", moment, nullable=True),
        sa.ForeignKeyConstraint(["ingest_id"], ["ingests.id"], name=op.f("fk_waiting_ingests_ingest_id")),
        sa.PrimaryKeyConstraint("ingest_id", name=op.f("pk_waiting_ingests")),
    )
    op.create_index(op.f("ix_ingests_status_finished_at"), "ingests", ["status", "finished_at"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_ingests_status_finished_at"), table_name="ingests")
    op.drop_table("waiting_ingests")
    op.drop_table("ingest_reports")
