"""An index of the tickets by day, for those who look at the tickets behind a count."""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_index(op.f("ix_tickets_day"), "tickets", ["day"])


def downgrade() -> None:
    op.drop_index(op.f("ix_tickets_day"), table_name="tickets")
