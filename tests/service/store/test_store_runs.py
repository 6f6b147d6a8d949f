import threading
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from forecasting.errors import InputError
from service.store import forecast_sets, runs
from service.store.engine import reading, writing

DAY = date(2025, 1, 1)
NOW = datetime(2025, 1, 1, 18, tzinfo=UTC)
LEASE = timedelta(hours=2)


def _start(engine: Engine, day: date = DAY, now: datetime = NOW, force: bool = False) -> int:
    with writing(engine) as conn:
        return runs.start(conn, day, "host:1", now, LEASE, force)


def _succeed(engine: Engine, run: int, now: datetime = NOW) -> None:
    with writing(engine) as conn:
        runs.succeed(conn, run, now, "mlflow", {"wape": 0.2})


def _publish(engine: Engine, run: int, cutoff: date = DAY, blob: bytes = b"blob", issued_at: datetime = NOW) -> int:
    with writing(engine) as conn:
        return forecast_sets.publish(conn, run_id=run, mlflow_run_id=None, cutoff=cutoff, horizon=28, issued_at=issued_at, rows=1, blob=blob)


def _state(engine: Engine) -> list[tuple[int, int, str]]:
    with reading(engine) as conn:
        return [(run.id, run.attempt, run.status) for run in runs.list_runs(conn)]


def test_a_night_that_is_at_work_is_not_begun_twice(engine: Engine) -> None:
    first = _start(engine)
    with pytest.raises(InputError, match=f"run {first} of host:1 is at work on 2025-01-01"):
        _start(engine, now=NOW + LEASE - timedelta(seconds=1))
    assert _start(engine, day=DAY + timedelta(days=1)) == first + 1


def test_an_attempt_whose_lease_ran_out_is_closed_and_followed_by_the_next(engine: Engine) -> None:
    first = _start(engine)
    second = _start(engine, now=NOW + LEASE)
    assert _state(engine) == [(second, 2, "running"), (first, 1, "failed")]
    with reading(engine) as conn:
        assert runs.list_runs(conn)[1].error == "the lease ran out"


def test_a_night_that_is_done_is_repeated_only_by_force(engine: Engine) -> None:
    first = _start(engine)
    _succeed(engine, first)
    with pytest.raises(InputError, match=r"2025-01-01 is done .*--force"):
        _start(engine)
    second = _start(engine, force=True)
    assert _state(engine) == [(second, 2, "running"), (first, 1, "done")]


def test_a_failed_night_may_be_tried_again(engine: Engine) -> None:
    first = _start(engine)
    with writing(engine) as conn:
        runs.fail(conn, first, NOW, "out of memory")
    assert _state(engine)[0] == (first, 1, "failed")
    assert _start(engine) == first + 1


def test_an_attempt_that_lost_its_place_can_neither_finish_nor_publish(engine: Engine) -> None:
    stale = _start(engine)
    _start(engine, force=True)

    def publish_and_succeed() -> None:
        with writing(engine) as conn:
            forecast_sets.publish(conn, run_id=stale, mlflow_run_id=None, cutoff=DAY, horizon=28, issued_at=NOW, rows=1, blob=b"stale")
            runs.succeed(conn, stale, NOW)

    with pytest.raises(runs.LeaseLost):
        publish_and_succeed()
    with reading(engine) as conn:
        assert forecast_sets.pointer(conn) is None
    with writing(engine) as conn, pytest.raises(runs.LeaseLost):
        runs.renew(conn, stale, NOW + LEASE)


def test_an_attempt_that_slept_until_a_later_night_was_done_does_not_publish_over_it(engine: Engine) -> None:
    stale = _start(engine)
    newer = _start(engine, DAY + timedelta(days=1), NOW + timedelta(days=1))
    current = _publish(engine, newer, DAY + timedelta(days=1))
    _succeed(engine, newer)

    def publish_and_succeed() -> None:
        with writing(engine) as conn:
            forecast_sets.publish(conn, run_id=stale, mlflow_run_id=None, cutoff=DAY, horizon=28, issued_at=NOW, rows=1, blob=b"stale")
            runs.succeed(conn, stale, NOW)

    with pytest.raises(runs.LeaseLost, match="2025-01-02 is done, a later night"):
        publish_and_succeed()
    with reading(engine) as conn:
        assert forecast_sets.pointer(conn) == current
    with writing(engine) as conn:
        runs.fail(conn, stale, NOW, "overtaken")  # so the ledger can say what became of it


def test_a_night_that_is_made_up_for_after_a_later_one_counts(engine: Engine) -> None:
    _succeed(engine, _start(engine, DAY + timedelta(days=1)))
    _succeed(engine, _start(engine))
    assert [status for _, _, status in _state(engine)] == ["done", "done"]


def test_a_renewed_lease_keeps_others_away(engine: Engine) -> None:
    run = _start(engine)
    with writing(engine) as conn:
        runs.renew(conn, run, NOW + 3 * LEASE)
    with pytest.raises(InputError, match="at work"):
        _start(engine, now=NOW + 2 * LEASE)


def test_of_many_that_begin_at_once_one_wins(engine: Engine) -> None:
    outcomes: list[str] = []
    together = threading.Barrier(5)

    def begin() -> None:
        together.wait()
        try:
            _start(engine)
            outcomes.append("won")
        except InputError:
            outcomes.append("refused")

    threads = [threading.Thread(target=begin) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 4 + ["won"]


def test_the_newest_success_is_that_of_the_latest_business_date(engine: Engine) -> None:
    with reading(engine) as conn:
        assert runs.newest_success(conn) is None
        assert runs.latest(conn) is None
    later = _start(engine, DAY + timedelta(days=1))
    _succeed(engine, later)
    earlier = _start(engine, DAY)
    _succeed(engine, earlier)
    with reading(engine) as conn:
        newest, latest = runs.newest_success(conn), runs.latest(conn)
        assert newest is not None
        assert (newest.id, newest.scores, newest.mlflow_run_id) == (later, {"wape": 0.2}, "mlflow")
        assert latest is not None
        assert latest.id == earlier
        assert runs.latest(conn, DAY + timedelta(days=1)) == newest
        assert [run.id for run in runs.list_runs(conn, limit=1, before_id=earlier)] == [later]


def test_weeks_and_hours_are_kept_with_the_set_and_may_be_missing(engine: Engine) -> None:
    run = _start(engine)
    older = _publish(engine, run)
    row = {"run_id": run, "mlflow_run_id": None, "cutoff": DAY, "horizon": 28, "issued_at": NOW, "rows": 1, "blob": b"days"}
    with writing(engine) as conn:
        newer = forecast_sets.publish(conn, **row, outlook=b"weeks", hours=b"hours")
    with reading(engine) as conn:
        found = [forecast_sets.get(conn, one) for one in (older, newer)]
    assert [(one.outlook, one.hours) for one in found] == [(None, None), (b"weeks", b"hours")]


def test_publishing_moves_the_pointer_and_adding_does_not(engine: Engine) -> None:
    run = _start(engine)
    first = _publish(engine, run, blob=b"one")
    with writing(engine) as conn:
        forecast_sets.add(conn, run_id=run, mlflow_run_id=None, cutoff=DAY, horizon=28, issued_at=NOW, rows=1, blob=b"candidate")
        assert forecast_sets.pointer(conn) == first
    second = _publish(engine, run, blob=b"two")
    with reading(engine) as conn:
        assert forecast_sets.pointer(conn) == second
        found = forecast_sets.get(conn, second)
        assert (found.blob, found.sha256, found.cutoff, found.issued_at) == (b"two", sha256(b"two").hexdigest(), DAY, NOW)
        with pytest.raises(InputError, match="no forecast set 99"):
            forecast_sets.get(conn, 99)
    with writing(engine) as conn:
        forecast_sets.point(conn, first, NOW)
        assert forecast_sets.pointer(conn) == first


def test_the_pointer_cannot_name_a_set_that_is_not_there(engine: Engine) -> None:
    with pytest.raises(IntegrityError), writing(engine) as conn:
        forecast_sets.point(conn, 99, NOW)


def test_a_day_is_judged_by_the_newest_set_that_knew_nothing_of_it(engine: Engine) -> None:
    run = _start(engine)
    sets = [_publish(engine, run, DAY + timedelta(days=day), issued_at=NOW + timedelta(days=day)) for day in range(3)]
    with reading(engine) as conn:

        def before(day: date) -> int | None:
            found = forecast_sets.latest_before(conn, day)
            return found and found.id

        def known(moment: datetime) -> int | None:
            found = forecast_sets.as_of(conn, moment)
            return found and found.id

        assert [before(DAY + timedelta(days=day)) for day in range(5)] == [None, *sets, sets[2]]
        assert [known(NOW + timedelta(hours=hours)) for hours in (-1, 0, 24, 100)] == [None, *sets]


def _add(engine: Engine, run: int, cutoff: date, issued_at: datetime) -> int:
    with writing(engine) as conn:
        return forecast_sets.add(conn, run_id=run, mlflow_run_id=None, cutoff=cutoff, horizon=28, issued_at=issued_at, rows=1, blob=b"unpublished")


def test_what_was_never_published_judges_days_and_was_never_current(engine: Engine) -> None:
    run = _start(engine)
    warm_up = _add(engine, run, DAY - timedelta(days=7), NOW)
    first = _publish(engine, run, DAY, issued_at=NOW)
    _add(engine, run, DAY, NOW + timedelta(days=1))
    with reading(engine) as conn:
        judges = [forecast_sets.latest_before(conn, DAY + timedelta(days=n)) for n in (-7, -6, 0, 1)]
        known = [forecast_sets.as_of(conn, NOW + timedelta(hours=hours)) for hours in (-1, 0, 48)]
    assert [found and found.id for found in judges] == [None, warm_up, warm_up, first], "the published one of equal cutoffs"
    assert [found and found.id for found in known] == [None, first, first]


def test_of_equal_cutoffs_the_set_published_last_judges(engine: Engine) -> None:
    run = _start(engine)
    _publish(engine, run, DAY, issued_at=NOW)
    again = _publish(engine, run, DAY, issued_at=NOW + timedelta(hours=1))
    with reading(engine) as conn:
        found = forecast_sets.latest_before(conn, DAY + timedelta(days=1))
    assert found is not None
    assert found.id == again


def test_pointing_back_keeps_the_moment_of_the_first_publication(engine: Engine) -> None:
    run = _start(engine)
    first, late = _publish(engine, run, DAY), _add(engine, run, DAY, NOW)
    with writing(engine) as conn:
        assert forecast_sets.get(conn, late).published_at is None
        forecast_sets.point(conn, late, NOW + timedelta(hours=1))
        forecast_sets.point(conn, first, NOW + timedelta(hours=2))
        moments = [forecast_sets.get(conn, number).published_at for number in (first, late)]
    assert moments == [NOW, NOW + timedelta(hours=1)]


def test_a_reader_never_sees_half_a_publication(engine: Engine) -> None:
    run = _start(engine)
    seen: set[int] = set()
    problems: list[int] = []
    stop = threading.Event()

    def read() -> None:
        last = False
        while not last:
            last = stop.is_set()
            with reading(engine) as conn:
                pointed = forecast_sets.pointer(conn)
                if pointed is None:
                    continue
                found = forecast_sets.get(conn, pointed)
                seen.add(pointed)
                if sha256(found.blob).hexdigest() != found.sha256 or found.blob != bytes([found.rows]) * 50_000:
                    problems.append(pointed)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(25):
        with writing(engine) as conn:
            blob = bytes([number]) * 50_000
            forecast_sets.publish(conn, run_id=run, mlflow_run_id=None, cutoff=DAY, horizon=28, issued_at=NOW, rows=number, blob=blob)
    stop.set()
    reader.join()
    assert seen
    assert problems == []
