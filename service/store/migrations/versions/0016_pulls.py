"""How far each pull has come."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0014"

word = sa.String().with_variant(sa.String(collation="C"), "postgresql")  # as every text
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "pulls",
        sa.Column("name", word, nullable=False),
        sa.Column("watermark", text, nullable=True),
        sa.Column("etag", text, nullable=True),
        sa.Column("last_modified", text, nullable=True),
        sa.Column("sha256", word, nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_pulls")),
    )


def downgrade() -> None:
    op.drop_table("pulls")
