"""Webhooks: subscriptions, the outbox of their deliveries, and the attempts at each."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

word = sa.String().with_variant(sa.String(collation="C"), "postgresql")  # as every text
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
moment = sa.DateTime().with_variant(sa.BigInteger(), "sqlite")
number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", word, nullable=False),
        sa.Column("url", word, nullable=False),
        sa.Column("description", word, nullable=False),
        sa.Column("level", word, nullable=True),
        sa.Column("kinds", sa.JSON(), nullable=False),
        sa.Column("areas", sa.JSON(), nullable=False),
        sa.Column("categories", sa.JSON(), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("districts", sa.JSON(), nullable=True),
        sa.Column("secret", word, nullable=False),
        sa.Column("old_secret", word, nullable=True),
        sa.Column("old_secret_until", moment, nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("created_by", word, nullable=False),
        sa.Column("disabled_at", moment, nullable=True),
        sa.Column("disabled_because", text, nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("webhook_id", word, nullable=False),
        sa.Column("message_id", word, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("type", word, nullable=False),
        sa.Column("body", text, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("status", word, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", moment, nullable=False),
        sa.Column("finished_at", moment, nullable=True),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], name="fk_webhook_deliveries_webhook_id"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
        sa.UniqueConstraint("message_id", name="uq_webhook_deliveries_message_id"),
        sa.UniqueConstraint("webhook_id", "seq", name="uq_webhook_deliveries_webhook_id_seq"),
    )
    op.create_index("ix_webhook_deliveries_status_webhook_id_id", "webhook_deliveries", ["status", "webhook_id", "id"])
    op.create_table(
        "webhook_attempts",
        sa.Column("delivery_id", number, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=True),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("error", text, nullable=True),
        sa.Column("answer", text, nullable=True),
        sa.ForeignKeyConstraint(["delivery_id"], ["webhook_deliveries.id"], name="fk_webhook_attempts_delivery_id"),
        sa.PrimaryKeyConstraint("delivery_id", "number", name="pk_webhook_attempts"),
    )


def downgrade() -> None:
    op.drop_table("webhook_attempts")
    op.drop_table("webhook_deliveries")
    op.drop_table("webhooks")
