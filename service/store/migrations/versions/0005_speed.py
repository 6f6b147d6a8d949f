"""Nothing that costs time with every ticket and serves nobody; texts in the order of their code points in PostgreSQL, too."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.drop_index("ix_tickets_day_area_category", table_name="tickets")
    for table in ("tickets", "count_changes"):
        with op.batch_alter_table(table) as change:
            change.drop_constraint(f"fk_{table}_ingest_id", type_="foreignkey")
    if op.get_bind().dialect.name == "postgresql":
        _collate("C")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        _collate("default")
    for table in ("tickets", "count_changes"):
        with op.batch_alter_table(table) as change:
            change.create_foreign_key(f"fk_{table}_ingest_id", "ingests", ["ingest_id"], ["id"])
    op.create_index("ix_tickets_day_area_category", "tickets", ["day", "area", "category"])


def _collate(name: str) -> None:
    """SQLite compares texts byte by byte. So must PostgreSQL, for the same order in both; and it is faster than a language's order."""
    inspector = sa.inspect(op.get_bind())
    for table in inspector.get_table_names():
        texts = [column for column in inspector.get_columns(table) if isinstance(column["type"], sa.String) and table != "alembic_version"]
        if texts:
            changes = (f'ALTER "{c["name"]}" TYPE {c["type"].compile(op.get_bind().dialect)} COLLATE "{name}"' for c in texts)
            op.execute(f'ALTER TABLE "{table}" {", ".join(changes)}')
