"""What MLflow is told of the nights: at once, later, in order, once."""

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from job_city import DAYS, OLD_WAYS_OF_MLFLOW, City, counts, day
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow_nights import hanging, kept_id, night, nights, send_all
from processes import free_port

from experiments import over_time, registry, spool, tracking
from service.jobs import nightly, tracked
from service.settings import Settings
from service.store import forecast_sets, promised, rollback, runs
from service.store.engine import reading, writing

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)


def test_nights_that_nobody_could_be_told_of_come_in_their_order_with_the_next(unseen: City) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    for n in (1, 2):
        settings, seconds = night(unseen, n, mlflow_tracking_uri=away)
        assert seconds < 15
        assert len(spool.waiting(settings.spool_dir)) == n
    settings, _ = night(unseen, 3)
    send_all(unseen, settings)
    found = nights(settings.tracking_uri)
    assert [run.data.tags["business_date"] for run in found] == [str(day(DAYS + n)) for n in (1, 2, 3)]
    client = tracking.connect(settings.tracking_uri)
    versions = {int(v.version): v.run_id for v in client.search_model_versions(f"name = '{registry.MODEL}'")}
    assert [versions[k] for k in sorted(versions)] == [run.info.run_id for run in found]
    assert client.get_model_version_by_alias(registry.MODEL, registry.CHAMPION).run_id == found[-1].info.run_id == kept_id(unseen)
    with reading(unseen.engine) as conn:
        told = {run.business_date: run.mlflow_run_id for run in runs.list_runs(conn)}
    assert [told[day(DAYS + n)] for n in (1, 2, 3)] == [run.info.run_id for run in found]


def test_a_run_that_was_asked_for_twice_is_there_once(unseen: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to a request got lost: the server has made the run, and whoever asked does not know."""
    begin = tracking.begin

    def lost(*arguments: object) -> str:
        begin(*arguments)  # type: ignore[arg-type]
        raise OSError("the line is dead")

    with monkeypatch.context() as patch:
        patch.setattr(tracking, "begin", lost)
        settings, _ = night(unseen, 1)
    begin(*_first_run(settings))
    assert tracked.replay(unseen.engine, settings) == 1
    assert len(nights(settings.tracking_uri)) == 1


def _first_run(settings: Settings) -> tuple[MlflowClient, str, tracking.Run, int]:
    """What a second request for the parent of the waiting night sends."""
    client = tracking.connect(settings.tracking_uri)
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT).experiment_id
    (made,) = client.search_runs([experiment])
    return client, experiment, tracking.Run(made.info.run_name, tags=made.data.tags), made.info.start_time


def test_what_is_no_night_is_put_aside_and_holds_up_no_other(unseen: City) -> None:
    settings, _ = night(unseen, 1, mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}")
    broken = settings.spool_dir / "20000101T000000.000000Z-00000000"
    broken.mkdir()
    (broken / "night.json").write_text('{"moment": 1, "runs": [{"unknown": 1}]}')
    assert tracked.replay(unseen.engine, unseen.settings(day(DAYS))) == 1
    assert "it is no night" in spool.set_aside(settings.spool_dir)[broken.name]
    assert spool.waiting(settings.spool_dir) == []


def test_a_spool_that_cannot_be_written_does_not_stop_the_night(unseen: City) -> None:
    (unseen.folder / "mlflow" / "spool").write_text("in the way")
    night(unseen, 1)
    assert kept_id(unseen) is None


def test_a_night_whose_writer_died_is_not_sent_and_goes(unseen: City) -> None:
    settings = unseen.settings(day(DAYS))
    half = settings.spool_dir / ".20000101T000000.000000Z-00000000"
    half.mkdir(parents=True)
    assert spool.waiting(settings.spool_dir) == []
    night(unseen, 1)
    assert not half.exists()


def spooled(settings: Settings, *names: str) -> list[Path]:
    return [spool.write(settings.spool_dir, [tracking.Run(name, tags={"kind": "test"})], lambda _: None) for name in names]


def sent(settings: Settings) -> list[str]:
    """Sends once what waits; the names of the nights that MLflow has taken."""
    made = []
    for one in spool.replay(settings.spool_dir, settings.tracking_uri, settings.mlflow_dir / "artifacts"):
        made.append(tracking.connect(settings.tracking_uri).get_run(one.run_id).info.run_name)
        spool.forget(one.folder)
    return made


def takes_none_of(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    fill = tracking.fill

    def fills(client: MlflowClient, run_id: str, run: tracking.Run, moment: int) -> None:
        if run.name in names:
            raise MlflowException("a bug of the server's")
        fill(client, run_id, run, moment)

    monkeypatch.setattr(tracking, "fill", fills)


def test_a_night_that_mlflow_never_takes_is_set_aside_with_its_reason_and_later_ones_go_in_order(
    unseen: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = unseen.settings(day(DAYS))
    takes_none_of(monkeypatch, "poisoned")
    first, poisoned, *_ = spooled(settings, "first", "poisoned", "third", "fourth")
    assert sent(settings) == ["first"]
    for _ in range(spool.TRIES - 2):
        assert sent(settings) == [], "it may be the server's trouble, and the order is kept"
    assert sent(settings) == ["third", "fourth"]
    assert spool.waiting(settings.spool_dir) == []
    assert spool.set_aside(settings.spool_dir) == {poisoned.name: "a bug of the server's"}
    assert first.name != poisoned.name


def test_nights_of_which_mlflow_takes_none_wait_however_often_it_was_tried(unseen: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its disk is full, say."""
    settings = unseen.settings(day(DAYS))
    with monkeypatch.context() as patch:
        takes_none_of(patch, "first", "second")
        folders = spooled(settings, "first", "second")
        for _ in range(spool.TRIES + 2):
            assert sent(settings) == []
        assert spool.waiting(settings.spool_dir) == folders
    assert sent(settings) == ["first", "second"]
    assert spool.set_aside(settings.spool_dir) == {}


def test_what_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    """The challenger and a training that was begun by hand write at once."""
    other: list[Path] = []

    def meanwhile(files: Path) -> None:
        (files / "half").write_text("")
        other.append(spool.write(tmp_path, [tracking.Run("the other")], lambda _: None))
        (files / "rest").write_text("")

    mine = spool.write(tmp_path, [tracking.Run("mine")], meanwhile)
    assert spool.waiting(tmp_path) == sorted([mine, *other])
    assert {path.name for path in (mine / spool.FILES).iterdir()} == {"half", "rest"}


def ends(step: str) -> None:
    """The attempt fails when it has been recorded."""
    if step == "publishing":
        raise RuntimeError("no more memory")


def of_attempt(settings: Settings, number: int) -> list[Run]:
    """What MLflow has of an attempt, its children too."""
    client = tracking.connect(settings.tracking_uri)
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    return list(client.search_runs([experiment.experiment_id], f"tags.ledger_run = '{number}'"))


def test_an_attempt_that_failed_after_it_was_recorded_is_told_as_failed_by_the_one_that_makes_up_for_it(unseen: City) -> None:
    settings = unseen.settings(day(DAYS + 1))
    unseen.bring(counts(DAYS + 1, first=DAYS + 1), "more")
    with pytest.raises(RuntimeError):
        nightly.run(unseen.engine, settings, progress=ends)
    send_all(unseen, settings)
    with reading(unseen.engine) as conn:
        failed = runs.latest(conn)
    assert failed is not None
    done = nightly.run(unseen.engine, settings)
    send_all(unseen, settings)
    tracked.afterwards(unseen.engine, settings, seconds=60)  # a busy machine could not do it in time
    told = of_attempt(settings, failed.id)
    assert {run.info.status for run in told} == {"FAILED"}
    assert {(run.data.tags["let_in"], run.data.tags["ended"]) for run in told} == {("false", "RuntimeError: no more memory")}
    assert {(run.info.status, run.data.tags.get("ended")) for run in of_attempt(settings, done.run_id)} == {("FINISHED", None)}
    client = tracking.connect(settings.tracking_uri)
    assert {v.run_id for v in client.search_model_versions(f"name = '{registry.MODEL}'")} == {kept_id(unseen)}, "nobody can go back to it"


def test_an_attempt_that_was_killed_while_its_record_waited_is_told_as_killed_when_it_is_sent(unseen: City, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = unseen.settings(day(DAYS + 1))
    unseen.bring(counts(DAYS + 1, first=DAYS + 1), "more")
    with monkeypatch.context() as patch:
        patch.setattr(nightly, "_fail", lambda *_: None)  # nobody is there any more to note it
        with pytest.raises(RuntimeError):
            nightly.run(unseen.engine, unseen.settings(day(DAYS + 1), mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}"), progress=ends)
    with writing(unseen.engine) as conn:
        killed = runs.latest(conn)
        assert killed is not None
        runs.start(conn, day(DAYS + 1), "test", killed.lease_until, nightly.LEASE)
    send_all(unseen, settings)
    told = of_attempt(settings, killed.id)
    assert {(run.info.status, run.data.tags["ended"]) for run in told} == {("KILLED", runs.LEASE_RAN_OUT)}


def curve(settings: Settings, year: int, name: str) -> dict[int, float]:
    """What MLflow has of one metric of monitoring, by the day of the year; every point stands at the end of its day."""
    client = tracking.connect(settings.tracking_uri)
    experiment = client.get_experiment_by_name(over_time.EXPERIMENT)
    (run,) = client.search_runs([experiment.experiment_id], f"tags.kind = 'monitoring' and tags.year = '{year}'")
    points = client.get_metric_history(run.info.run_id, name)
    for point in points:
        end = settings.clock.end_of(date(year, 1, 1) + timedelta(days=point.step - 1))
        assert point.timestamp == end.timestamp() * 1000
    assert len({point.step for point in points}) == len(points), "a day is told once"
    return {point.step: point.value for point in points}


def test_what_monitoring_finds_is_a_curve_over_the_days_and_days_that_were_not_told_follow(unseen: City) -> None:
    for n in (1, 2):
        night(unseen, n, mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}")
    settings = unseen.settings(day(DAYS + 3))
    unseen.bring(counts(DAYS + 3, first=DAYS + 3), "more3")
    done = nightly.run(unseen.engine, settings)
    if done.mlflow_run_id is None:  # a busy machine could not send three nights in time
        tracked.afterwards(unseen.engine, settings, done.cutoff, 60)
    tracked.afterwards(unseen.engine, settings, done.cutoff, 60)
    found = curve(settings, 2025, "promised.series.wape")
    assert list(found) == [day(DAYS + n).timetuple().tm_yday for n in (1, 2, 3)]
    assert found[day(DAYS + 3).timetuple().tm_yday] == done.monitored["promised.series.wape"]
    with reading(unseen.engine) as conn:
        sums = promised.read(conn, day(1), day(DAYS + 1), ["series"])
    assert found[day(DAYS + 1).timetuple().tm_yday] == pytest.approx(sums["absolute"].item() / sums["actual"].item())
    assert set(curve(settings, 2025, "drift.category.psi")) >= set(found)


def test_a_night_is_done_in_time_when_mlflow_hangs_after_it_has_taken_the_run(trained: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """Aliases, failed attempts and monitoring: all that MLflow is told after publishing."""
    trained.bring(counts(DAYS + 1, first=DAYS + 1), "more")
    began: dict[str, float] = {}
    with hanging() as port:
        settings = trained.settings(day(DAYS + 1), mlflow_tracking_uri=f"http://127.0.0.1:{port}")
        monkeypatch.setattr(tracked, "record", lambda *_: ["a run"])
        nightly.run(trained.engine, settings, progress=lambda step: began.setdefault(step, time.monotonic()))
        for step in ("publishing", "detecting"):
            assert step in began
        rest = time.monotonic() - began["telling MLflow what came of it"]
    assert began["detecting"] - began["publishing"] < 10, "an MLflow that hangs would have been waited for here"
    assert rest < tracked.PATIENCE + 1


def test_after_a_rollback_a_report_sets_itself_beside_what_is_published_again_and_not_beside_what_was_withdrawn(unseen: City) -> None:
    for n in (1, 2):
        settings, _ = night(unseen, n)
    with writing(unseen.engine) as conn:
        back = rollback.roll_back(conn, None, day(DAYS + 3), datetime.now(UTC), "night desk")
        run = runs.of(conn, back.now.run_id)
    night(unseen, 3)
    client, last = tracking.connect(settings.tracking_uri), nights(settings.tracking_uri)[-1]
    report = Path(client.download_artifacts(last.info.run_id, "report.html")).read_text("utf-8")
    assert run.business_date == day(DAYS + 1)
    assert str(day(DAYS + 1)) in report
    assert str(day(DAYS + 2)) not in report


def test_an_experiment_that_somebody_deleted_comes_back(unseen: City) -> None:
    settings, _ = night(unseen, 1)
    send_all(unseen, settings)
    client = tracking.connect(settings.tracking_uri)
    client.delete_experiment(client.get_experiment_by_name(tracking.EXPERIMENT).experiment_id)
    night(unseen, 2)
    send_all(unseen, settings)
    assert len(nights(settings.tracking_uri)) == 2


def test_old_nights_keep_what_is_pointed_to_and_nothing_else(unseen: City) -> None:
    for n in (1, 2):
        settings, _ = night(unseen, n)
    unseen.bring(counts(DAYS + 3, first=DAYS + 3), "more3")
    with pytest.raises(RuntimeError):
        nightly.run(unseen.engine, unseen.settings(day(DAYS + 3)), progress=ends)
    send_all(unseen, settings)
    client = tracking.connect(settings.tracking_uri)
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT).experiment_id

    def there(kind: int) -> list[Run]:
        return list(client.search_runs([experiment], run_view_type=kind))

    before = {run.info.run_id for run in there(ViewType.ACTIVE_ONLY)}
    today = datetime.now(UTC).date()
    tracked.tidy(unseen.engine, unseen.settings(today))
    assert {run.info.run_id for run in there(ViewType.ACTIVE_ONLY)} == before, "they are not old"
    tracked.tidy(unseen.engine, unseen.settings(today + timedelta(days=402)))
    left = there(ViewType.ACTIVE_ONLY)
    assert {run.data.tags["business_date"] for run in left} == {str(day(DAYS + 1)), str(day(DAYS + 2))}
    assert len(left) == 2
    assert there(ViewType.DELETED_ONLY) == []
    assert all({file.path for file in client.list_artifacts(run.info.run_id)} == {"model", "scores.csv"} for run in left)
    assert all("city.WAPE" in run.data.metrics for run in left)
    assert {v.run_id for v in client.search_model_versions(f"name = '{registry.MODEL}'")} == {run.info.run_id for run in left}
    assert client.get_model_version_by_alias(registry.MODEL, registry.CHAMPION).run_id == kept_id_of(unseen)
    kept = settings.mlflow_dir / "artifacts"
    assert {path.relative_to(kept).parts[0] for path in kept.rglob("*") if path.is_file()} == {run.info.run_id for run in left}


def kept_id_of(city: City) -> str | None:
    """The MLflow run of the set that is published, whatever the last attempt made."""
    with reading(city.engine) as conn:
        pointer = forecast_sets.pointer(conn)
        assert pointer is not None
        return forecast_sets.get(conn, pointer).mlflow_run_id
