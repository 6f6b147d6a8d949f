"""What an alert turned out to be."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

word = sa.String().with_variant(sa.String(collation="C"), "postgresql")  # as every text
moment = sa.DateTime().with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    op.add_column("alerts", sa.Column("verdict", word, nullable=True))
    op.add_column("alerts", sa.Column("judged_at", moment, nullable=True))


def downgrade() -> None:
    op.drop_column("alerts", "judged_at")
    op.drop_column("alerts", "verdict")
