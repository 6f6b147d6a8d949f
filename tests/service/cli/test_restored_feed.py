"""Who follows the alerts' changes is told when a backup was brought back under it."""

from collections.abc import Callable

from processes import Bench

from service.store import alert_changes, counters
from service.store.engine import open_engine, reading, writing

Typed = Callable[..., tuple[int, str, str]]


def test_after_a_restore_no_number_that_was_given_before_can_be_gone_on_from(bench: Bench, typed: Typed) -> None:
    url = f"sqlite:///{bench.folder / '.weisu' / 'weisu.db'}"
    assert typed(bench, "db", "upgrade")[0] == 0
    assert typed(bench, "backup", "one.backup")[0] == 0
    engine = open_engine(url)
    with writing(engine) as conn:
        told = [counters.step(conn, counters.ALERT_CHANGES) for _ in range(3)]
    engine.dispose()
    code, _, err = typed(bench, "restore", "one.backup", "--force")
    assert code == 0, err
    engine = open_engine(url)
    with reading(engine) as conn:
        kept = alert_changes.kept(conn)
    engine.dispose()
    assert told == [1, 2, 3]
    assert not any(kept.tells_after(seq) for seq in (0, *told))
    assert kept.tells_after(kept.newest)
