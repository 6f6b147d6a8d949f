"""What alerts were after each change. Of those that run, the newest change gets it: they may leave a reader who was told of them before."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

json = sa.JSON()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENTS = ("raised_at", "changed_at", "resolved_at", "judged_at")


def upgrade() -> None:
    op.add_column("alert_events", sa.Column("snapshot", json, nullable=True))
    conn = op.get_bind()
    events = sa.table("alert_events", sa.column("seq"), sa.column("alert_id"), sa.column("snapshot", json))
    alerts = sa.Table("alerts", sa.MetaData(), autoload_with=conn)
    for row in conn.execute(sa.select(alerts).where(alerts.c.status != "resolved")).mappings().all():
        newest = sa.select(sa.func.max(events.c.seq)).where(events.c.alert_id == row["id"]).scalar_subquery()
        snapshot = {name: _text(name, value) for name, value in row.items()}
        conn.execute(sa.update(events).where(events.c.seq == newest).values(snapshot=snapshot))


def downgrade() -> None:
    op.drop_column("alert_events", "snapshot")


def _text(name: str, value: Any) -> Any:
    if name in _MOMENTS and value is not None:  # microseconds since 1970 in SQLite, naive UTC in PostgreSQL
        value = _EPOCH + timedelta(microseconds=value) if isinstance(value, int) else value.replace(tzinfo=UTC)
    return value.isoformat() if isinstance(value, date) else value
