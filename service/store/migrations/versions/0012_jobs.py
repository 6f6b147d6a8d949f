"""What the scheduler's jobs did last."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

word = sa.String().with_variant(sa.String(collation="C"), "postgresql")  # as every text
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
moment = sa.DateTime().with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("name", word, nullable=False),
        sa.Column("started_at", moment, nullable=True),
        sa.Column("succeeded_at", moment, nullable=True),
        sa.Column("failed_at", moment, nullable=True),
        sa.Column("error", text, nullable=True),
        sa.Column("next_at", moment, nullable=False),
        sa.Column("late_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_jobs")),
    )


def downgrade() -> None:
    op.drop_table("jobs")
