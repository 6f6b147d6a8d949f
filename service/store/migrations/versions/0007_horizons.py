"""Weeks and hours beside the days of a forecast set."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("forecast_sets", sa.Column("outlook", sa.LargeBinary(), nullable=True))
    op.add_column("forecast_sets", sa.Column("hours", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("forecast_sets", "hours")
    op.drop_column("forecast_sets", "outlook")
