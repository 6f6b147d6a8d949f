"""By what the days of a forecast set are judged."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("forecast_sets", sa.Column("standing", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("forecast_sets", "standing")
