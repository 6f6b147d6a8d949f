"""What was done by whom; of a forecast set its recipe, what the gate said of it, and whether it was taken back."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

word = sa.String().with_variant(sa.String(collation="C"), "postgresql")  # as every text
moment = sa.DateTime().with_variant(sa.BigInteger(), "sqlite")
number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("forecast_sets", sa.Column("recipe", sa.JSON(), nullable=True))
    op.add_column("forecast_sets", sa.Column("gate", sa.JSON(), nullable=True))
    op.add_column("forecast_sets", sa.Column("withdrawn_at", moment, nullable=True))
    op.add_column("forecast_sets", sa.Column("model_version", sa.Integer(), nullable=True))
    op.create_table(
        "audit_log",
        sa.Column("seq", number, autoincrement=True, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("actor", word, nullable=False),
        sa.Column("action", word, nullable=False),
        sa.Column("subject", word, nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_log"),
    )
    op.create_index("ix_audit_log_action", "audit_log", ["action"])


def downgrade() -> None:
    op.drop_index("ix_audit_log_action", table_name="audit_log")
    op.drop_table("audit_log")
    for column in ("model_version", "withdrawn_at", "gate", "recipe"):
        op.drop_column("forecast_sets", column)
