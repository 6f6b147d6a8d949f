"""`weisu audit`: what was done to what is served, and by whom."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from processes import Bench

from service.store import audit
from service.store.engine import open_engine, writing

Typed = Callable[..., tuple[int, str, str]]
NOW = datetime(2025, 11, 8, 16, 30, tzinfo=UTC)


def test_the_audit_log_is_printed_by_who_what_and_to_what(bench: Bench, typed: Typed) -> None:
    assert typed(bench, "db", "upgrade")[0] == 0
    assert typed(bench, "audit") == (0, "no entries\n", "")
    engine = open_engine(f"sqlite:///{bench.folder / '.weisu' / 'weisu.db'}")
    with writing(engine) as conn:
        audit.record(conn, NOW, "甲", audit.ROLLBACK, "forecast set 2", {"before": 3})
        audit.record(conn, NOW, "乙", audit.SILENCED, "silence 1", {"key": "k"})
    engine.dispose()
    code, out, _ = typed(bench, "audit", timezone="Asia/Shanghai")
    assert code == 0
    assert out.splitlines() == [
        '2025-11-09 00:30:00  乙  silenced  silence 1  {"key": "k"}',
        '2025-11-09 00:30:00  甲  rollback  forecast set 2  {"before": 3}',
    ]
    for options in (["--actor", "甲"], ["--action", "rollback"], ["--subject", "forecast set 2"]):
        code, out, _ = typed(bench, "audit", *options, "--format", "json", timezone="Asia/Shanghai")
        (entry,) = json.loads(out)
        assert (entry["seq"], entry["at"], entry["detail"]) == (1, "2025-11-09T00:30:00+08:00", {"before": 3})
    code, _, err = typed(bench, "audit", "--action", "rolled")
    assert code == 2
    assert "choose rollback" in err
