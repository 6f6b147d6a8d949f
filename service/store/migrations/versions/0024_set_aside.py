"""A request that waits knows how often it was tried; one that failed is set aside with its rows."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.add_column("waiting_ingests", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("waiting_ingests", sa.Column("aside", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.execute("delete from waiting_ingests where aside")
    for column in ("aside", "attempts"):
        op.drop_column("waiting_ingests", column)
