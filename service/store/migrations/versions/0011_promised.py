"""What was promised against what came, and the drift of what comes in."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

word = sa.String().with_variant(sa.String(collation="C"), "postgresql")  # as every text
moment = sa.DateTime().with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "promised_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("newest_change", sa.BigInteger(), nullable=False),
        sa.Column("sets", sa.Integer(), nullable=False),
        sa.Column("scored_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_promised_days")),
    )
    op.create_table(
        "promised_sums",
        sa.Column("level", word, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("horizon", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("area", word, nullable=False),
        sa.Column("category", word, nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("actual", sa.BigInteger(), nullable=False),
        sa.Column("forecast", sa.Float(), nullable=False),
        sa.Column("absolute", sa.Float(), nullable=False),
        sa.Column("squared", sa.Float(), nullable=False),
        sa.Column("loss", sa.Float(), nullable=False),
        sa.Column("in80", sa.Integer(), nullable=False),
        sa.Column("in90", sa.Integer(), nullable=False),
        sa.Column("naive", sa.Float(), nullable=False),
        sa.Column("chance", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("level", "day", "horizon", "area", "category", name=op.f("pk_promised_sums")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "input_drift",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("input", word, nullable=False),
        sa.Column("psi", sa.Float(), nullable=False),
        sa.Column("chance", sa.Float(), nullable=False),
        sa.Column("tickets", sa.BigInteger(), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("day", "input", name=op.f("pk_input_drift")),
    )


def downgrade() -> None:
    op.drop_table("input_drift")
    op.drop_table("promised_sums")
    op.drop_table("promised_days")
