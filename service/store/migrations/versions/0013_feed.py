"""The feed of alerts' changes, numbered by a counter; silences."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

word = sa.String().with_variant(sa.String(collation="C"), "postgresql")  # as every text
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
moment = sa.DateTime().with_variant(sa.BigInteger(), "sqlite")
number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "counters",
        sa.Column("name", word, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )
    op.execute("insert into counters (name, value) select 'alert_changes', seq from alert_events order by seq desc limit 1")
    if op.get_bind().dialect.name == "postgresql":  # its sequence numbers before the commit
        op.execute("alter table alert_events alter column seq drop default")
    op.create_table(
        "silences",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("area", word, nullable=False),
        sa.Column("category", word, nullable=False),
        sa.Column("kind", word, nullable=True),
        sa.Column("level", word, nullable=False),
        sa.Column("author", word, nullable=False),
        sa.Column("comment", text, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("starts_at", moment, nullable=False),
        sa.Column("ends_at", moment, nullable=False),
        sa.Column("ended_at", moment, nullable=True),
        sa.Column("ended_by", word, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_silences"),
    )
    op.create_index("ix_silences_ends_at", "silences", ["ends_at"])


def downgrade() -> None:
    op.drop_index("ix_silences_ends_at", table_name="silences")
    op.drop_table("silences")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("select setval('alert_events_seq_seq', coalesce(max(seq), 0) + 1, false) from alert_events")
        op.execute("alter table alert_events alter column seq set default nextval('alert_events_seq_seq')")
    op.drop_table("counters")
