"""An alert remembers the latest onset of what it has taken in, so that none is told twice, and the day for which it was raised."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    for column in ("spread", "found"):
        op.add_column("alerts", sa.Column(column, sa.Date()))


def downgrade() -> None:
    for column in ("found", "spread"):
        op.drop_column("alerts", column)
