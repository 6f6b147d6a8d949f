"""How the scheduler's jobs stand, and which scheduler leads."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from forecasting.errors import InputError
from service.store import jobs
from service.store.engine import open_engine, reading, writing
from service.store.leader import LEADERS_LOCK, leading

NOW = datetime(2025, 11, 9, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def the_job(engine: Engine) -> jobs.Job:
    with reading(engine) as conn:
        (job,) = jobs.list_jobs(conn)
    return job


def test_a_job_is_late_when_its_moment_has_passed_without_a_success(engine: Engine) -> None:
    with writing(engine) as conn:
        jobs.expect(conn, "nightly", NOW, NOW + HOUR)
    job = the_job(engine)
    assert (job.started_at, job.succeeded_at, job.failed_at, job.error) == (None, None, None, None)
    assert [job.is_late(moment) for moment in (NOW, NOW + HOUR, NOW + HOUR + timedelta(seconds=1))] == [False, False, True]
    with writing(engine) as conn:
        jobs.succeed(conn, "nightly", NOW + 2 * HOUR, NOW + 3 * HOUR, NOW + 4 * HOUR)
    assert [the_job(engine).is_late(NOW + n * HOUR) for n in (2, 4, 5)] == [False, False, True]


def test_neither_a_failure_nor_a_new_start_puts_off_when_a_job_is_late(engine: Engine) -> None:
    with writing(engine) as conn:
        jobs.expect(conn, "watch", NOW, NOW + HOUR)
        jobs.begin(conn, "watch", NOW, NOW + 9 * HOUR)
        jobs.fail(conn, "watch", NOW + HOUR, "exit code 1", NOW + 2 * HOUR)
        jobs.expect(conn, "watch", NOW + 5 * HOUR, NOW + 6 * HOUR)
    job = the_job(engine)
    assert (job.started_at, job.failed_at, job.error, job.next_at) == (NOW, NOW + HOUR, "exit code 1", NOW + 2 * HOUR)
    assert job.late_at == NOW + HOUR
    with writing(engine) as conn:
        jobs.succeed(conn, "watch", NOW + 2 * HOUR, NOW + 3 * HOUR, NOW + 4 * HOUR)
    job = the_job(engine)
    assert (job.failed_at, job.error, job.succeeded_at) == (NOW + HOUR, None, NOW + 2 * HOUR)


def test_one_leads_until_its_block_ends(engine: Engine, folder: Path) -> None:
    other = open_engine(engine.url.render_as_string(hide_password=False))
    with leading(engine, folder) as leads:
        assert leads()
        with pytest.raises(InputError, match="another scheduler is at work"), leading(other, folder):
            pass
        assert leads()
    with leading(other, folder) as leads:
        assert leads()
    other.dispose()


def test_a_leader_that_the_server_has_forgotten_knows_it_and_another_may_lead(engine: Engine, folder: Path) -> None:
    if engine.dialect.name != "postgresql":
        return  # a file's lock is kept by the kernel as long as its process lives
    own = f"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32) + objid::bigint = {LEADERS_LOCK}"
    with leading(engine, folder) as leads:
        with writing(engine) as conn:
            assert conn.execute(text(f"SELECT count(pg_terminate_backend(pid, 5000)) FROM ({own}) AS leader")).scalar_one() == 1
        assert not leads()
        with leading(engine, folder) as others:
            assert others()
