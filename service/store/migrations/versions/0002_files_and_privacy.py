"""What files bring besides: a keyed hash of the caller, texts where they are wanted, rows that a filter left out."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TICKET_COLUMNS = (("caller", sa.String()), ("title", sa.Text()), ("text", sa.Text()), ("closure_text", sa.Text()))


def upgrade() -> None:
    for table in ("tickets", "staged_tickets"):
        for name, kind in TICKET_COLUMNS:
            op.add_column(table, sa.Column(name, kind, nullable=True))
    op.add_column("ingests", sa.Column("left_out", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("ingests", "left_out")
    for table in ("staged_tickets", "tickets"):
        for name, _ in reversed(TICKET_COLUMNS):
            op.drop_column(table, name)
