"""The feed of changes: none is missed, none comes twice, whoever writes at the same time."""

import threading
import time
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta

import pytest
from databases import Databases
from sqlalchemy import Connection, Engine, insert
from test_alerts import NOW, an_alert

from service.store import alert_changes, alerts, counters, forecast_sets, runs, schema
from service.store.alert_changes import Kept
from service.store.engine import open_engine, reading, upgrade, writing


def publish(conn: Connection) -> None:
    """The forecast set that alerts refer to."""
    run = runs.start(conn, date(2025, 11, 8), "test", NOW, timedelta(hours=1))
    forecast_sets.publish(conn, run_id=run, mlflow_run_id=None, cutoff=date(2025, 11, 8), horizon=1, issued_at=NOW, rows=0, blob=b"")


@pytest.fixture
def engine(engine: Engine) -> Engine:
    with writing(engine) as conn:
        publish(conn)
    return engine


def raise_one(conn: Connection, alert_id: str) -> None:
    alerts.insert(conn, an_alert(alert_id), "watch", NOW)


def numbers(conn: Connection, seq: int = 0, limit: int = 1000) -> list[int]:
    return [change.event.seq for change in alert_changes.after(conn, seq, limit)]


def test_every_event_is_a_change_with_its_alert_as_it_is_now(engine: Engine) -> None:
    with writing(engine) as conn:
        raise_one(conn, "a")
        raise_one(conn, "b")
        assert alerts.change_status(conn, "a", {"open"}, "acknowledged", "值班长", "去看", NOW + timedelta(hours=1))
    with reading(engine) as conn:
        changes = alert_changes.after(conn, 0, 10)
        now = {alert.id: alert for alert in alerts.list_alerts(conn)}
        assert alert_changes.newest(conn) == 3
        assert alert_changes.kept(conn) == Kept(3, 0)
    assert [(change.event.seq, change.event.alert_id, change.event.action) for change in changes] == [
        (1, "a", "raised"),
        (2, "b", "raised"),
        (3, "a", "acknowledged"),
    ]
    assert all(change.alert == now[change.event.alert_id] for change in changes)
    assert changes[0].alert.status == "acknowledged"


def test_before_the_first_change_the_feed_stands_at_nought(engine: Engine) -> None:
    with reading(engine) as conn:
        assert (alert_changes.newest(conn), alert_changes.after(conn, 0, 10)) == (0, [])


def test_what_came_after_a_number_comes_in_parts_without_a_seam(engine: Engine) -> None:
    with writing(engine) as conn:
        for k in range(7):
            raise_one(conn, f"a{k}")
    with reading(engine) as conn:
        place, parts = 0, []
        while found := numbers(conn, place, 3):
            parts.append(found)
            place = found[-1]
    assert parts == [[1, 2, 3], [4, 5, 6], [7]]


def test_changes_of_alerts_that_do_not_fit_are_left_out(engine: Engine) -> None:
    with writing(engine) as conn:
        raise_one(conn, "a")
        alerts.insert(conn, an_alert("b", area="110105"), "watch", NOW)
        raise_one(conn, "c")
    with reading(engine) as conn:
        found = alert_changes.after(conn, 0, 10, lambda alert: alert.area == "110108")
    assert [(change.event.seq, change.alert.id) for change in found] == [(1, "a"), (3, "c")]


def test_what_is_rolled_back_leaves_no_gap(engine: Engine) -> None:
    with writing(engine) as conn:
        raise_one(conn, "a")
    with engine.connect() as conn, conn.begin() as transaction:
        raise_one(conn, "b")
        assert numbers(conn) == [1, 2]
        transaction.rollback()
    with writing(engine) as conn:
        raise_one(conn, "c")
        assert numbers(conn) == [1, 2]


def test_numbers_that_follow_the_watch_are_no_change_but_are_counted(engine: Engine) -> None:
    with writing(engine) as conn:
        raise_one(conn, "a")
        assert alerts.update(conn, "a", {"usual_days": 1}, action=None, actor="watch", now=NOW)
        assert counters.ALERT_NUMBERS not in counters.read(conn)
        assert alerts.update(conn, "a", {"observed": 70.0, "usual_days": 0}, action=None, actor="watch", now=NOW)
        assert counters.read(conn)[counters.ALERT_NUMBERS] == 1
        assert numbers(conn) == [1]


def test_of_two_transactions_at_once_the_later_number_is_never_seen_before_the_earlier(engine: Engine) -> None:
    """Without the writers' lock of `writing`: the number itself makes the second transaction wait for the first."""
    if engine.dialect.name == "sqlite":
        pytest.skip("one writer at a time is all that SQLite has")
    numbered, commit, seen = threading.Event(), threading.Event(), []

    def first() -> None:
        with engine.begin() as conn:
            raise_one(conn, "first")
            numbered.set()
            assert commit.wait(10)

    def second() -> None:
        assert numbered.wait(10)
        with engine.begin() as conn:
            raise_one(conn, "second")

    threads = [threading.Thread(target=one) for one in (first, second)]
    for thread in threads:
        thread.start()
    assert numbered.wait(10)
    time.sleep(0.2)  # the second would have committed long ago
    with reading(engine) as conn:
        seen.append(numbers(conn))
    commit.set()
    for thread in threads:
        thread.join(10)
    with reading(engine) as conn:
        seen.append([(change.event.seq, change.alert.id) for change in alert_changes.after(conn, 0, 10)])
    assert seen == [[], [(1, "first"), (2, "second")]]


def test_a_reader_that_follows_many_writers_is_told_of_each_change_once_and_in_order(engine: Engine) -> None:
    writers, each = 4, 12
    own = engine.begin if engine.dialect.name == "postgresql" else lambda: writing(engine)

    def write(writer: int) -> None:
        for k in range(each):
            with own() as conn:
                raise_one(conn, f"{writer}-{k}")
                time.sleep(0.001)

    threads = [threading.Thread(target=write, args=[writer]) for writer in range(writers)]
    for thread in threads:
        thread.start()
    told: list[tuple[int, str]] = []
    until = time.monotonic() + 30
    while len(told) < writers * each and time.monotonic() < until:
        with reading(engine) as conn:
            told += [(change.event.seq, change.alert.id) for change in alert_changes.after(conn, told[-1][0] if told else 0, 5)]
    for thread in threads:
        thread.join()
    assert [seq for seq, _ in told] == list(range(1, writers * each + 1))
    assert {alert_id for _, alert_id in told} == {f"{writer}-{k}" for writer in range(writers) for k in range(each)}


def test_after_a_restore_numbers_go_on_beyond_all_that_were_given_and_none_of_those_is_told(engine: Engine) -> None:
    with writing(engine) as conn:
        raise_one(conn, "a")
        alert_changes.begin_anew(conn, datetime(2025, 11, 9, tzinfo=UTC))
        place = alert_changes.kept(conn)
        assert not place.tells_after(1)
        assert place.tells_after(place.newest)
        raise_one(conn, "b")
        assert numbers(conn, place.newest) == [1_762_646_401]
        alert_changes.begin_anew(conn, datetime(2025, 11, 9, tzinfo=UTC))
        assert alert_changes.newest(conn) == 1_762_646_402


def of_before(alert: alerts.Alert) -> dict[str, object]:
    """Its row before alerts remembered what they had taken in, for which day they were raised, and what came since their onset."""
    later = ("spread", "found", "since_observed", "since_expected")
    return {name: value for name, value in asdict(alert).items() if name not in later}


def test_a_database_from_before_goes_on_counting(databases: Databases, opened: list[Engine]) -> None:
    url = databases.bare()
    upgrade(url, "0012")
    opened.append(open_engine(url))
    with writing(opened[-1]) as conn:
        run = runs.start(conn, date(2025, 11, 8), "test", NOW, timedelta(hours=1))
        of_then = {"run_id": run, "cutoff": date(2025, 11, 8), "horizon": 1, "issued_at": NOW, "rows": 0, "sha256": "", "blob": b""}
        conn.execute(insert(schema.forecast_sets).values(of_then))  # no column that came later
        conn.execute(insert(schema.alerts).values(of_before(an_alert("a"))))
        for seq in (4, 9):  # the database's own sequence left gaps
            event = {"alert_id": "a", "at": NOW, "actor": "watch", "action": "raised", "level": "red", "status": "open", "note": None}
            conn.execute(insert(schema.alert_events).values(seq=seq, **event))
    upgrade(url)
    with writing(opened[-1]) as conn:
        raise_one(conn, "c")
        assert numbers(conn) == [4, 9, 10]


def test_an_alert_that_ran_when_snapshots_began_is_told_as_left_too(databases: Databases, opened: list[Engine]) -> None:
    url = databases.bare()
    upgrade(url, "0019")
    opened.append(open_engine(url))
    with writing(opened[-1]) as conn:
        publish(conn)
        conn.execute(insert(schema.alerts).values(of_before(an_alert("a"))))
        event = {"alert_id": "a", "at": NOW, "actor": "watch", "action": "raised", "level": "red", "status": "open", "note": None}
        conn.execute(insert(schema.alert_events).values(seq=counters.step(conn, counters.ALERT_CHANGES), **event))
    upgrade(url)
    with writing(opened[-1]) as conn:
        assert alerts.update(conn, "a", {"area": "110105"}, action="moved", actor="watch", now=NOW)
        raised, left = alert_changes.after(conn, 0, 10, lambda alert: alert.area == "110108")
    assert raised.alert == an_alert("a")
    assert (left.event.action, left.alert.area) == ("left", "110108")
