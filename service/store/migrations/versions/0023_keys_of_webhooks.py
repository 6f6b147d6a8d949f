"""The key with which a webhook ends. Of those made before, the key of the name of who made it, if only one bears it."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"

word = sa.String().with_variant(sa.String(collation="C"), "postgresql")  # as every text


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("key_id", word, nullable=True))
    op.execute(
        "update webhooks set key_id = (select min(id) from api_keys where name = webhooks.created_by) "
        "where (select count(*) from api_keys where name = webhooks.created_by) = 1"
    )


def downgrade() -> None:
    op.drop_column("webhooks", "key_id")
