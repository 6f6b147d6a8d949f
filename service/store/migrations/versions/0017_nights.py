"""A challenger in shadow and what became of its forecasts; from when on counts can be asked for as they were known."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

word = sa.String().with_variant(sa.String(collation="C"), "postgresql")  # as every text
moment = sa.DateTime().with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    op.add_column("forecast_sets", sa.Column("shadow", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("forecast_sets", sa.Column("newest_change", sa.BigInteger(), nullable=True))
    op.create_table(
        "shadow_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("newest_change", sa.BigInteger(), nullable=False),
        sa.Column("sets", sa.Integer(), nullable=False),
        sa.Column("scored_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_shadow_days")),
    )
    op.create_table(
        "shadow_sums",
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
        sa.PrimaryKeyConstraint("level", "day", "horizon", "area", "category", name=op.f("pk_shadow_sums")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "compaction",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("known_since", moment, nullable=False),
        sa.Column("done_until", moment, nullable=True),
        sa.Column("done_change", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compaction")),
    )


def downgrade() -> None:
    op.drop_table("compaction")
    op.drop_table("shadow_sums")
    op.drop_table("shadow_days")
    op.drop_column("forecast_sets", "newest_change")
    op.drop_column("forecast_sets", "shadow")
