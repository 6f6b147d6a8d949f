"""An ingest has a lease as long as its process is at work on it. Those of before have none, and are taken for dead after an hour as ever."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

moment = sa.DateTime().with_variant(sa.BigInteger(), "sqlite")  # UTC, microseconds since 1970 in SQLite


def upgrade() -> None:
    op.add_column("ingests", sa.Column("lease_until", moment))


def downgrade() -> None:
    op.drop_column("ingests", "lease_until")
