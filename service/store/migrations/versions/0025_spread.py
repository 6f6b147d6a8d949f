"""An alert remembers the latest onset of what it has taken in, so that none is told twice."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.add_column("alerts", sa.Column("spread", sa.Date()))


def downgrade() -> None:
    op.drop_column("alerts", "spread")
