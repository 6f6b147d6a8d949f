"""An alert says how many tickets came since its onset, and how many were expected: on its last day there may have been none too many."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    for column in ("since_observed", "since_expected"):
        op.add_column("alerts", sa.Column(column, sa.Float()))


def downgrade() -> None:
    for column in ("since_expected", "since_observed"):
        op.drop_column("alerts", column)
