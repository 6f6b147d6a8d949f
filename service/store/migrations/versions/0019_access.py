"""Keys that end, are replaced and tell their last use; one-time tokens of the page. Keys made before stay valid: see `service.store.keys`."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

word = sa.String().with_variant(sa.String(collation="C"), "postgresql")  # as every text
moment = sa.DateTime().with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("expires_at", moment, nullable=True))
    op.add_column("api_keys", sa.Column("last_used_at", moment, nullable=True))
    op.add_column("api_keys", sa.Column("replaced_by", word, nullable=True))
    op.create_table(
        "page_tokens",
        sa.Column("hash", word, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_page_tokens"),
    )


def downgrade() -> None:
    op.drop_table("page_tokens")
    for column in ("replaced_by", "last_used_at", "expires_at"):
        op.drop_column("api_keys", column)
