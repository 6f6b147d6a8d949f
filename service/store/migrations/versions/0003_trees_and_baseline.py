"""Category map, excluded spans, reporting delays; counts that came without tickets are told apart in the journal."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

moment = sa.DateTime().with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    op.add_column("count_changes", sa.Column("part", sa.SmallInteger(), server_default="0", nullable=False))
    op.create_table(
        "baseline_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("area", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("day", "area", name=op.f("pk_baseline_days")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "category_map",
        sa.Column("old", sa.String(), nullable=False),
        sa.Column("new", sa.String(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("share", sa.Float(), nullable=False),
        sa.Column("ingest_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["ingest_id"], ["ingests.id"], name=op.f("fk_category_map_ingest_id")),
        sa.PrimaryKeyConstraint("old", "new", "valid_from", name=op.f("pk_category_map")),
    )
    op.create_table(
        "excluded_spans",
        sa.Column("start", sa.Date(), nullable=False),
        sa.Column("end", sa.Date(), nullable=False),
        sa.Column("area", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("ingest_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["ingest_id"], ["ingests.id"], name=op.f("fk_excluded_spans_ingest_id")),
        sa.PrimaryKeyConstraint("start", "end", "area", "category", name=op.f("pk_excluded_spans")),
    )
    op.create_table(
        "reporting_delays",
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("lag", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("share", sa.Float(), nullable=False),
        sa.Column("tickets", sa.BigInteger(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("estimated_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("category", "lag", name=op.f("pk_reporting_delays")),
    )
    _mark_counts_without_tickets()


def _mark_counts_without_tickets() -> None:
    """Changes that files of counts brought become parts 1 (by hours) and 2 (by whole days), and their days are noted."""
    of_counts = "ingest_id IN (SELECT id FROM ingests WHERE kind = 'counts'{})"
    op.execute(sa.text(f"UPDATE count_changes SET part = 1 WHERE {of_counts.format('')}"))
    op.execute(sa.text("UPDATE count_changes SET part = 2 WHERE " + of_counts.format(" AND note = 'whole days'")))
    op.execute(
        sa.text(
            "INSERT INTO baseline_days (day, area) SELECT DISTINCT c.day, CASE WHEN a.level = 'street' THEN a.parent ELSE c.area END"
            " FROM count_changes c LEFT JOIN areas a ON a.code = c.area WHERE c.part > 0"
        )
    )


def downgrade() -> None:
    op.drop_table("reporting_delays")
    op.drop_table("excluded_spans")
    op.drop_table("category_map")
    op.drop_table("baseline_days")
    op.drop_column("count_changes", "part")
