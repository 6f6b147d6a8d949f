"""Requests that wait know to which districts their sender is limited: it holds when they are applied, too."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("waiting_ingests", sa.Column("districts", sa.JSON(), nullable=True))
    op.add_column("waiting_ingests", sa.Column("by_index", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    for column in ("by_index", "districts"):
        op.drop_column("waiting_ingests", column)
