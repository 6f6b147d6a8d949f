"""Going back to an earlier forecast set: what is served, what judges, what the audit log says."""

from datetime import UTC, date, datetime, timedelta
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import Engine

from forecasting.errors import InputError
from service.store import audit, forecast_sets, rollback, runs
from service.store.engine import reading, writing

DAY = date(2025, 1, 1)
NOW = datetime(2025, 1, 4, 3, tzinfo=UTC)
TODAY = date(2025, 1, 4)
BAD = [{"name": "totals", "passed": False, "measured": 9.0, "limit": 2.5, "at_least": False, "where": "city", "vital": False}]


def _night(engine: Engine, n: int, published: bool = True, **more: Any) -> int:
    """The set of the n-th night, which knows the days up to DAY + n."""
    moment = NOW + timedelta(days=n - 2)
    with writing(engine) as conn:
        run = runs.start(conn, DAY + timedelta(days=n), "host:1", moment, timedelta(hours=1), force=True)
        runs.succeed(conn, run, moment)
        row = {"run_id": run, "mlflow_run_id": f"run{n}", "cutoff": DAY + timedelta(days=n), "horizon": 28, "issued_at": moment, "rows": 1}
        return (forecast_sets.publish if published else forecast_sets.add)(conn, **{**row, "blob": b"x", **more})


def _back(engine: Engine, to: int | str | None = None, today: date = TODAY, now: datetime = NOW) -> rollback.RolledBack:
    with writing(engine) as conn:
        return rollback.roll_back(conn, None if to is None else str(to), today, now, "night desk")


def _pointer(engine: Engine) -> int | None:
    with reading(engine) as conn:
        return forecast_sets.pointer(conn)


def _judge(engine: Engine, day: date) -> int | None:
    with reading(engine) as conn:
        found = forecast_sets.latest_before(conn, day)
    return found and found.id


def test_a_rollback_publishes_the_set_before_and_says_so_in_the_audit_log(engine: Engine) -> None:
    sets = [_night(engine, n) for n in range(3)]
    done = _back(engine)
    assert (done.before.id, done.now.id, done.withdrawn) == (sets[2], sets[1], [sets[2]])
    assert _pointer(engine) == sets[1]
    with reading(engine) as conn:
        (entry,) = audit.entries(conn)
    assert (entry.actor, entry.action, entry.subject, entry.at) == ("night desk", "rollback", f"forecast set {sets[1]}", NOW)
    assert entry.detail == {"from": sets[2], "to": sets[1], "withdrawn": [sets[2]], "overruled_the_gate": False}


def test_what_was_rolled_back_judges_no_day_and_is_not_what_was_current_since(engine: Engine) -> None:
    sets = [_night(engine, n) for n in range(3)]
    after = DAY + timedelta(days=3)
    assert _judge(engine, after) == sets[2]
    _back(engine, now=NOW + timedelta(hours=1))
    assert _judge(engine, after) == sets[1]
    with reading(engine) as conn:
        current = [forecast_sets.as_of(conn, NOW + timedelta(minutes=minutes)) for minutes in (30, 90)]
    assert [found and found.id for found in current] == [sets[2], sets[1]], "what was told before stays what was told"


def test_the_night_after_a_rollback_publishes_and_the_next_rollback_passes_over_what_was_withdrawn(engine: Engine) -> None:
    sets = [_night(engine, n) for n in range(3)]
    _back(engine)
    new = _night(engine, 3)
    assert _pointer(engine) == new
    assert _judge(engine, DAY + timedelta(days=4)) == new
    assert _back(engine, now=NOW + timedelta(days=1)).now.id == sets[1]


def test_a_rollback_that_comes_twice_goes_back_once(engine: Engine) -> None:
    sets = [_night(engine, n) for n in range(3)]
    _back(engine)
    with pytest.raises(rollback.NoWayBack, match=f"forecast set {sets[1]} is there by the rollback that night desk made.*name the set"):
        _back(engine)
    with pytest.raises(rollback.NoWayBack, match=f"forecast set {sets[1]} is published already"):
        _back(engine, sets[1])
    assert _pointer(engine) == sets[1]
    assert _back(engine, sets[0]).withdrawn == [sets[1]]


def test_a_rollback_by_mistake_is_taken_back_by_naming_the_set(engine: Engine) -> None:
    sets = [_night(engine, n) for n in range(3)]
    _back(engine)
    assert _back(engine, sets[2]).withdrawn == []
    assert _pointer(engine) == sets[2]
    assert _judge(engine, DAY + timedelta(days=3)) == sets[2]


def test_a_set_is_named_by_its_number_or_its_version(engine: Engine) -> None:
    sets = [_night(engine, n) for n in range(3)]
    with writing(engine) as conn:
        forecast_sets.note_versions(conn, {"run0": 7, "run2": 9})
    assert _back(engine, "v7").now.id == sets[0]
    with pytest.raises(InputError, match="no forecast set is known to be of version 8"):
        _back(engine, "v8")


@pytest.mark.parametrize("to", ["99", "0", "-1", "v0", "x", "1.0", "９", "1９", "9" * 30])
def test_a_set_that_there_is_not_is_said(engine: Engine, to: str) -> None:
    _night(engine, 0)
    with pytest.raises(InputError, match=f"there is no forecast set '{to}'.*GET /v1/models"):
        _back(engine, to)
    with reading(engine) as conn:
        assert audit.entries(conn) == []


def test_there_is_nothing_to_go_back_to_before_the_second_night(engine: Engine) -> None:
    with pytest.raises(rollback.NoWayBack, match=r"no forecast set is published.*weisu train"):
        _back(engine)
    only = _night(engine, 0)
    with pytest.raises(rollback.NoWayBack, match=f"no forecast set was published before set {only}"):
        _back(engine)
    assert _pointer(engine) == only


def test_a_set_that_does_not_reach_today_is_not_gone_back_to(engine: Engine) -> None:
    sets = [_night(engine, 0, horizon=3), _night(engine, 2)]
    with pytest.raises(rollback.NoWayBack, match=r"knows nothing after 2025-01-01 and forecasts 3 days: 2025-01-05 is none of them"):
        _back(engine, today=date(2025, 1, 5))
    assert _pointer(engine) == sets[1]
    assert _back(engine).now.id == sets[0], "the fourth is its last day"


def test_what_judges_the_first_week_alone_is_not_published(engine: Engine) -> None:
    warm_up = _night(engine, 0, published=False)
    _night(engine, 1)
    with pytest.raises(rollback.NoWayBack, match="made to judge the days of the first week"):
        _back(engine, warm_up)


def test_what_the_gate_refused_judges_no_day_and_is_published_only_by_name(engine: Engine) -> None:
    first = _night(engine, 0)
    refused = _night(engine, 1, published=False, gate=BAD, withdrawn_at=NOW)
    after = DAY + timedelta(days=2)
    assert _judge(engine, after) == first
    with reading(engine) as conn:
        found = forecast_sets.refused(conn)
    assert found is not None
    assert found.id == refused
    with pytest.raises(rollback.NoWayBack, match="no forecast set was published before"):
        _back(engine)
    _back(engine, refused)
    assert (_pointer(engine), _judge(engine, after)) == (refused, refused)
    with reading(engine) as conn:
        assert forecast_sets.refused(conn) is None, "a person has overruled the gate"
        assert audit.entries(conn)[0].detail["overruled_the_gate"] is True


def test_what_is_published_over_the_gate_judges_in_the_place_of_what_was_fitted_in_its_stead(engine: Engine) -> None:
    _night(engine, 0)
    refused = _night(engine, 1, published=False, gate=BAD, withdrawn_at=NOW)
    instead = _night(engine, 1)
    after = DAY + timedelta(days=2)
    assert _judge(engine, after) == instead
    _back(engine, refused)
    assert (_pointer(engine), _judge(engine, after)) == (refused, refused), "what is served is what days are judged by"
    assert _back(engine, instead, now=NOW + timedelta(hours=1)).withdrawn == [refused]
    assert _judge(engine, after) == instead


def test_a_list_of_sets_leaves_their_forecasts_unread(engine: Engine) -> None:
    sets = [_night(engine, n, recipe={"windows": n + 1}) for n in range(3)]
    with reading(engine) as conn:
        found = forecast_sets.list_sets(conn, limit=2)
        rest = forecast_sets.list_sets(conn, before_id=sets[1])
    assert [one.id for one in found] == [sets[2], sets[1]]
    assert [(one.id, one.recipe) for one in rest] == [(sets[0], {"windows": 1})]
    assert not any(isinstance(one, forecast_sets.ForecastSet) for one in found)


def test_going_back_takes_no_longer_where_sets_are_large(engine: Engine) -> None:
    """A city of 20,000 series: some 30 MB a night."""
    sets = [_night(engine, n, blob=bytes([n]) * 30_000_000) for n in range(2)]
    started = monotonic()
    assert _back(engine).now.id == sets[0]
    assert monotonic() - started < 2
