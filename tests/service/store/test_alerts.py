"""Alerts: found by any filter, page by page; every change is recorded, and of two changes at once one wins."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

from forecasting.detection.levels import LEVELS
from service.store import alerts, forecast_sets, runs
from service.store.alerts import Alert, AlertFilters
from service.store.engine import reading, writing

NOW = datetime(2025, 11, 9, 7, 30, tzinfo=UTC)


def an_alert(alert_id: str, **changes: Any) -> Alert:
    alert = Alert(
        id=alert_id,
        kind="SPIKE",
        level="yellow",
        status="open",
        area="110108",
        category="HEAT",
        districts=[{"code": "110108", "observed": 61.0, "expected": 22.5}],
        onset=date(2025, 11, 8),
        last_day=date(2025, 11, 8),
        usual_days=0,
        peak=date(2025, 11, 15),
        observed=61.0,
        expected=22.5,
        lower=14.0,
        upper=32.0,
        p_value=2e-6,
        reason_zh="海淀区供热采暖",
        reason_en="Heating in Haidian",
        forecast_set_id=1,
        raised_at=NOW,
        changed_at=NOW,
        resolved_at=None,
    )
    return replace(alert, **changes)


@pytest.fixture
def engine(engine: Engine) -> Engine:
    with writing(engine) as conn:
        run = runs.start(conn, date(2025, 11, 8), "test", NOW, timedelta(hours=1))
        forecast_sets.publish(conn, run_id=run, mlflow_run_id=None, cutoff=date(2025, 11, 8), horizon=1, issued_at=NOW, rows=0, blob=b"")
    return engine


@pytest.fixture
def conn(engine: Engine) -> Iterator[Connection]:
    with writing(engine) as conn:
        yield conn


def test_an_alert_comes_back_as_it_went_in(conn: Connection) -> None:
    alert = an_alert("a")
    alerts.insert(conn, alert, "watch", NOW)
    assert alerts.get(conn, "a") == alert


def test_there_is_no_alert_that_nobody_raised(conn: Connection) -> None:
    assert alerts.get(conn, "a") is None
    assert alerts.list_alerts(conn) == []
    assert alerts.history(conn, "a") == []


def test_the_history_tells_every_change_in_its_order(conn: Connection) -> None:
    alerts.insert(conn, an_alert("a"), "watch", NOW)
    assert alerts.update(conn, "a", {"level": "red"}, action="escalated", actor="watch", now=NOW + timedelta(hours=1), note="now in 3 districts")
    assert alerts.change_status(conn, "a", {"open"}, "acknowledged", "值班长", None, NOW + timedelta(hours=2))
    assert alerts.change_status(conn, "a", {"open", "acknowledged"}, "resolved", "值班长", "done", NOW + timedelta(hours=3))
    told = [(event.action, event.actor, event.level, event.status, event.note) for event in alerts.history(conn, "a")]
    assert told == [
        ("raised", "watch", "yellow", "open", None),
        ("escalated", "watch", "red", "open", "now in 3 districts"),
        ("acknowledged", "值班长", "red", "acknowledged", None),
        ("resolved", "值班长", "red", "resolved", "done"),
    ]
    assert [event.at for event in alerts.history(conn, "a")] == [NOW + timedelta(hours=hours) for hours in range(4)]


def test_a_change_moves_changed_at_and_bookkeeping_does_not(conn: Connection) -> None:
    alerts.insert(conn, an_alert("a"), "watch", NOW)
    alerts.update(conn, "a", {"usual_days": 1}, action=None, actor="watch", now=NOW + timedelta(hours=1))
    quiet = alerts.get(conn, "a")
    assert quiet is not None
    assert (quiet.usual_days, quiet.changed_at, len(alerts.history(conn, "a"))) == (1, NOW, 1)
    alerts.update(conn, "a", {"usual_days": 2}, action="moved", actor="watch", now=NOW + timedelta(hours=2))
    loud = alerts.get(conn, "a")
    assert loud is not None
    assert (loud.usual_days, loud.changed_at, len(alerts.history(conn, "a"))) == (2, NOW + timedelta(hours=2), 2)


def test_resolving_notes_the_moment(conn: Connection) -> None:
    alerts.insert(conn, an_alert("a"), "watch", NOW)
    alerts.change_status(conn, "a", {"open"}, "resolved", "x", None, NOW + timedelta(days=1))
    resolved = alerts.get(conn, "a")
    assert resolved is not None
    assert resolved.resolved_at == NOW + timedelta(days=1)


def test_a_status_changes_only_from_an_expected_one(conn: Connection) -> None:
    alerts.insert(conn, an_alert("a", status="resolved", resolved_at=NOW), "watch", NOW)
    assert not alerts.change_status(conn, "a", {"open", "acknowledged"}, "acknowledged", "x", None, NOW)
    assert not alerts.change_status(conn, "nobody", {"open"}, "acknowledged", "x", None, NOW)
    assert [event.action for event in alerts.history(conn, "a")] == ["raised"]


def test_a_resolved_alert_is_not_changed_any_more(conn: Connection) -> None:
    alert = an_alert("a", status="resolved", resolved_at=NOW)
    alerts.insert(conn, alert, "watch", NOW)
    assert not alerts.update(conn, "a", {"level": "red"}, action="escalated", actor="watch", now=NOW)
    assert alerts.get(conn, "a") == alert


def test_of_many_who_acknowledge_at_once_one_wins(engine: Engine) -> None:
    with writing(engine) as conn:
        alerts.insert(conn, an_alert("a"), "watch", NOW)
    won: list[bool] = []
    start = threading.Barrier(8)

    def acknowledge(name: str) -> None:
        start.wait()
        with writing(engine) as conn:
            won.append(alerts.change_status(conn, "a", {"open"}, "acknowledged", name, None, NOW))

    threads = [threading.Thread(target=acknowledge, args=(f"officer {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]
    with reading(engine) as conn:
        assert [event.action for event in alerts.history(conn, "a")] == ["raised", "acknowledged"]


def test_a_change_and_its_event_are_undone_together(engine: Engine) -> None:
    with writing(engine) as conn:
        alerts.insert(conn, an_alert("a"), "watch", NOW)

    def resolve_half_way() -> None:
        with writing(engine) as conn:
            alerts.change_status(conn, "a", {"open"}, "resolved", "x", None, NOW)
            raise RuntimeError("the power fails")

    with pytest.raises(RuntimeError, match="power"):
        resolve_half_way()
    with reading(engine) as conn:
        assert [alert.status for alert in alerts.running(conn)] == ["open"]
        assert len(alerts.history(conn, "a")) == 1


def test_a_verdict_is_given_overruled_and_withdrawn_by_those_who_know_the_one_there_is(conn: Connection) -> None:
    alerts.insert(conn, an_alert("a", status="resolved", resolved_at=NOW), "watch", NOW)
    later = NOW + timedelta(days=1)
    assert alerts.judge(conn, "a", None, "acted", "值班长", "crew sent", later)
    assert not alerts.judge(conn, "a", None, "false", "x", None, later), "it is no longer without a verdict"
    assert not alerts.judge(conn, "a", "true", "false", "x", None, later)
    assert not alerts.judge(conn, "nobody", None, "false", "x", None, later)
    judged = alerts.get(conn, "a")
    assert judged is not None
    assert (judged.verdict, judged.judged_at, judged.changed_at, judged.status) == ("acted", later, later, "resolved")
    assert alerts.judge(conn, "a", "acted", "true", "值班长", None, later)
    assert alerts.judge(conn, "a", "true", None, "值班长", "a slip", later)
    assert alerts.get(conn, "a") == replace(judged, verdict=None, judged_at=None)
    told = [(event.action, event.actor, event.status, event.note) for event in alerts.history(conn, "a")]
    assert told == [
        ("raised", "watch", "resolved", None),
        ("judged_acted", "值班长", "resolved", "crew sent"),
        ("judged_true", "值班长", "resolved", None),
        ("verdict_withdrawn", "值班长", "resolved", "a slip"),
    ]
    assert {event.action for event in alerts.history(conn, "a")} <= set(alerts.ACTIONS)


def test_of_many_who_judge_at_once_one_wins(engine: Engine) -> None:
    with writing(engine) as conn:
        alerts.insert(conn, an_alert("a"), "watch", NOW)
    won: list[str] = []
    start = threading.Barrier(6)

    def judge(verdict: str) -> None:
        start.wait()
        with writing(engine) as conn:
            if alerts.judge(conn, "a", None, verdict, verdict, None, NOW):
                won.append(verdict)

    threads = [threading.Thread(target=judge, args=(verdict,)) for verdict in alerts.VERDICTS * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(engine) as conn:
        judged = alerts.get(conn, "a")
        assert judged is not None
        assert won == [judged.verdict]
        assert [event.actor for event in alerts.history(conn, "a")] == ["watch", judged.verdict]


def test_verdicts_are_counted_as_they_were_at_a_moment(conn: Connection) -> None:
    for number, (kind, verdict) in enumerate([("SPIKE", "false"), ("SPIKE", "false"), ("SPIKE", None), ("DATA", "true"), ("SPIKE", "acted")]):
        alerts.insert(conn, an_alert(f"a{number}", kind=kind, raised_at=NOW + timedelta(hours=number)), "watch", NOW)
        if verdict:
            alerts.judge(conn, f"a{number}", None, verdict, "x", None, NOW + timedelta(days=number))

    def counted(judged_by: datetime | None = None, **filters: Any) -> dict[tuple[str, str | None], int]:
        return {(one.kind, one.verdict): one.alerts for one in alerts.verdicts(conn, AlertFilters(**filters), judged_by)}

    assert counted() == {("SPIKE", "false"): 2, ("SPIKE", None): 1, ("SPIKE", "acted"): 1, ("DATA", "true"): 1}
    assert counted(NOW) == {("SPIKE", "false"): 1, ("SPIKE", None): 3, ("DATA", None): 1}
    assert counted(kinds=["DATA"]) == {("DATA", "true"): 1}
    span = {"raised_from": NOW + timedelta(hours=1), "raised_before": NOW + timedelta(hours=3)}
    assert counted(**span) == {("SPIKE", "false"): 1, ("SPIKE", None): 1}


def test_running_are_those_not_resolved_oldest_first(conn: Connection) -> None:
    for number, status in enumerate(["resolved", "open", "acknowledged"]):
        alerts.insert(conn, an_alert(status, status=status, raised_at=NOW - timedelta(days=number)), "watch", NOW)
    assert [alert.id for alert in alerts.running(conn)] == ["acknowledged", "open"]


def test_the_tally_counts_by_kind_level_and_status(conn: Connection) -> None:
    for number, level in enumerate(["red", "red", "blue"]):
        alerts.insert(conn, an_alert(f"a{number}", level=level), "watch", NOW)
    alerts.insert(conn, an_alert("d", kind="DATA", area="110105"), "watch", NOW)
    assert alerts.tally(conn) == {("SPIKE", "red", "open"): 2, ("SPIKE", "blue", "open"): 1, ("DATA", "yellow", "open"): 1}
    assert alerts.tally(conn, AlertFilters(visible=["110105"])) == {("DATA", "yellow", "open"): 1}


def test_a_district_named_as_concerned_finds_a_city_wide_alert(conn: Connection) -> None:
    concerned = [{"code": "朝阳 100%", "observed": 1.0, "expected": 1.0}, {"code": "110105", "observed": 1.0, "expected": 1.0}]
    alerts.insert(conn, an_alert("city", area="ALL", districts=concerned), "watch", NOW)
    alerts.insert(conn, an_alert("other"), "watch", NOW)

    def found(code: str) -> list[str]:
        return [alert.id for alert in alerts.list_alerts(conn, filters=AlertFilters(areas=[code], concerning=[code]))]

    assert found("110105") == ["city"]
    assert found("朝阳 100%") == ["city"]
    assert found("11010") == []
    assert found("%") == []
    assert found("110108") == ["other"]


ANY_ALERT = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(alerts.KINDS),
        "level": st.sampled_from(LEVELS),
        "status": st.sampled_from(alerts.STATUSES),
        "area": st.sampled_from(["ALL", "110105", "110108"]),
        "category": st.sampled_from(["HEAT", "NOISE"]),
        "raised_at": st.sampled_from([NOW - timedelta(hours=hours) for hours in range(3)]),
        "verdict": st.none() | st.sampled_from(alerts.VERDICTS),
    }
)
SOME = {
    "statuses": st.sets(st.sampled_from(alerts.STATUSES), max_size=2),
    "kinds": st.sets(st.sampled_from(alerts.KINDS), max_size=2),
    "levels": st.sets(st.sampled_from(LEVELS), max_size=2),
    "areas": st.none() | st.sets(st.sampled_from(["ALL", "110105"])),
    "categories": st.none() | st.sets(st.sampled_from(["HEAT", "NOISE"])),
    "visible": st.none() | st.sets(st.sampled_from(["110105", "110108"])),
    "since": st.none() | st.just(NOW - timedelta(hours=1)),
    "verdicts": st.sets(st.none() | st.sampled_from(alerts.VERDICTS), max_size=2),
    "raised_before": st.none() | st.just(NOW),
}


def fits(alert: Alert, filters: AlertFilters) -> bool:
    return all(
        (
            not filters.statuses or alert.status in filters.statuses,
            not filters.kinds or alert.kind in filters.kinds,
            not filters.levels or alert.level in filters.levels,
            filters.areas is None or alert.area in filters.areas,
            filters.categories is None or alert.category in filters.categories,
            filters.visible is None or alert.area in filters.visible,
            filters.since is None or alert.changed_at >= filters.since,
            not filters.verdicts or alert.verdict in filters.verdicts,
            filters.raised_before is None or alert.raised_at < filters.raised_before,
        )
    )


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raised=st.lists(ANY_ALERT, max_size=8), filters=st.builds(AlertFilters, **SOME), limit=st.integers(1, 4))
def test_pages_together_are_what_a_plain_search_finds(engine: Engine, raised: list[dict[str, Any]], filters: AlertFilters, limit: int) -> None:
    with engine.connect() as conn, conn.begin() as transaction:
        everything = [an_alert(f"a{number}", changed_at=one["raised_at"], **one) for number, one in enumerate(raised)]
        for alert in everything:
            alerts.insert(conn, alert, "watch", NOW)
        expected = sorted((alert for alert in everything if fits(alert, filters)), key=lambda alert: (alert.raised_at, alert.id), reverse=True)

        found: list[Alert] = []
        while page := alerts.list_alerts(conn, filters=filters, limit=limit, after=(found[-1].raised_at, found[-1].id) if found else None):
            assert len(page) <= limit
            found += page
        assert found == expected
        assert alerts.list_alerts(conn, filters=filters, limit=None) == expected
        transaction.rollback()
