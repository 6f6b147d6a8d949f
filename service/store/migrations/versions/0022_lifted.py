"""Whether alerts that a silence covered were told when it was over. What silences of before have kept back, and what still runs, is told now."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("silences", sa.Column("lifted", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("silences", "lifted")
