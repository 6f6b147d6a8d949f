"""Tickets that have become consultations leave the counts; a channel is no source."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

CHANNELS = ("constituent call", "self service", "citizens connect app", "city worker app", "employee generated", "maximo integration", "twitter")


def upgrade() -> None:
    op.add_column("tickets", sa.Column("demand", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("staged_tickets", sa.Column("demand", sa.Boolean(), server_default=sa.true(), nullable=True))
    _name_the_system()


def downgrade() -> None:
    op.drop_column("staged_tickets", "demand")
    op.drop_column("tickets", "demand")


def _name_the_system() -> None:
    """Tickets that Boston's exports filed under their channels; those whose id occurs under several sources stay as they are."""
    tickets, staged = (sa.table(name, sa.column("source"), sa.column("ticket_id")) for name in ("tickets", "staged_tickets"))
    several = sa.select(tickets.c.ticket_id).group_by(tickets.c.ticket_id).having(sa.func.count() > 1)
    system = {"source": "hotline"}
    op.execute(sa.update(tickets).where(sa.func.lower(tickets.c.source).in_(CHANNELS), tickets.c.ticket_id.not_in(several)).values(system))
    op.execute(sa.update(staged).where(sa.func.lower(staged.c.source).in_(CHANNELS)).values(system))
