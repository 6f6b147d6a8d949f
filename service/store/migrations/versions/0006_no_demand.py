"""Tickets that have become consultations leave the counts."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("tickets", sa.Column("demand", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("staged_tickets", sa.Column("demand", sa.Boolean(), server_default=sa.true(), nullable=True))


def downgrade() -> None:
    op.drop_column("staged_tickets", "demand")
    op.drop_column("tickets", "demand")
