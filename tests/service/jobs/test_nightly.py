"""The night's work: trains, records, publishes in one step, detects; whatever fails, the old forecasts stay."""

import hashlib
import json
import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pandas as pd
import pytest
from job_city import CATEGORIES, DAYS, DISTRICTS, OLD_WAYS_OF_MLFLOW, City, counts, day, planted
from mlflow import MlflowClient
from processes import Bench, free_port, until
from sqlalchemy import Connection

from experiments import registry
from forecasting import intraday, outlook
from forecasting.errors import InputError
from forecasting.forecast_set import ForecastSet, unpack
from forecasting.hierarchy import ALL
from service import whole_set
from service.jobs import nightly
from service.store import alerts, forecast_sets, runs
from service.store.engine import reading, writing

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)


def published(conn: Connection) -> forecast_sets.ForecastSet:
    pointer = forecast_sets.pointer(conn)
    assert pointer is not None
    return forecast_sets.get(conn, pointer)


def test_the_first_night_publishes_one_set_and_keeps_one_of_a_week_earlier_unpublished(trained: City) -> None:
    with reading(trained.engine) as conn:
        current, run = published(conn), runs.latest(conn)
        warm_up = forecast_sets.latest_before(conn, day(DAYS))
    assert run is not None
    assert (run.status, run.business_date, run.attempt) == (runs.DONE, day(DAYS), 1)
    assert (current.cutoff, current.run_id, current.mlflow_run_id) == (day(DAYS), run.id, run.mlflow_run_id)
    assert warm_up is not None
    now = trained.settings(day(DAYS)).clock.now()
    assert (warm_up.cutoff, warm_up.issued_at, warm_up.published_at) == (day(DAYS - 7), now, None)
    assert (current.issued_at, current.published_at) == (now, now)
    assert warm_up.id != current.id
    with reading(trained.engine) as conn:
        assert forecast_sets.as_of(conn, now - timedelta(seconds=1)) is None, "nothing was published before the first night"
        known = forecast_sets.as_of(conn, now)
    assert known is not None
    assert known.id == current.id


def test_every_node_has_every_day_and_all_sums_add_up(trained: City) -> None:
    with reading(trained.engine) as conn:
        frame = ForecastSet.from_parquet(published(conn).blob).frame
    assert len(frame) == (len(DISTRICTS) + 1) * (len(CATEGORIES) + 1) * 28
    assert frame["date"].min() == pd.Timestamp(day(DAYS + 1))
    assert np.isfinite(frame[["mean", "dispersion"]]).all(axis=None)
    assert (frame["mean"] >= 0).all()
    table = frame.pivot_table(index=["horizon", "area"], columns="category", values="mean")
    np.testing.assert_allclose(table[list(CATEGORIES)].sum(axis=1), table[ALL], atol=1e-6)
    table = frame.pivot_table(index=["horizon", "category"], columns="area", values="mean")
    np.testing.assert_allclose(table[list(DISTRICTS)].sum(axis=1), table[ALL], atol=1e-6)


def test_the_published_set_lies_ready_as_one_file(trained: City) -> None:
    with reading(trained.engine) as conn:
        current = published(conn)
    file = whole_set.file_of(trained.settings(day(DAYS)), current.id, current.issued_at, current.mlflow_run_id or str(current.run_id))
    frame = ForecastSet.from_parquet(current.blob).frame.sort_values(["area", "category", "date"])
    assert pd.read_parquet(file)["mean"].tolist() == frame["mean"].tolist()


def test_the_set_has_thirteen_weeks_and_says_that_there_are_no_hours(trained: City) -> None:
    with reading(trained.engine) as conn:
        current = published(conn)
        warm_up = forecast_sets.latest_before(conn, day(DAYS))
    assert current.outlook is not None
    assert current.hours is not None
    weeks = unpack(current.outlook, outlook.COLUMNS)
    assert len(weeks) == (len(DISTRICTS) + 1) * (len(CATEGORIES) + 1) * 13
    assert weeks["date"].min() == pd.Timestamp(day(DAYS + 1))
    days = ForecastSet.from_parquet(current.blob).frame
    first = weeks[weeks["week_ahead"] == 1].set_index(["area", "category"])["mean"]
    np.testing.assert_allclose(first, days[days["horizon"] <= 7].groupby(["area", "category"])["mean"].sum().loc[first.index])
    assert unpack(current.hours, intraday.COLUMNS).empty, "its counts came by whole days"
    assert warm_up is not None
    assert (warm_up.outlook, warm_up.hours) == (None, None), "nobody asks a set that is not published"


@pytest.mark.usefixtures("without_mlflow")
def test_counts_by_hour_give_the_shares_of_each_day_s_hours(bare: City) -> None:
    bare.bring(counts(DAYS).assign(hour=9))
    nightly.run(bare.engine, bare.settings(day(DAYS)))
    with reading(bare.engine) as conn:
        current = published(conn)
    assert current.hours is not None
    shares = unpack(current.hours, intraday.COLUMNS)
    assert set(shares["category"]) == set(CATEGORIES)
    assert set(shares["date"]) == {pd.Timestamp(day(DAYS + k)) for k in range(1, 29)}
    np.testing.assert_allclose(shares[list(intraday.HOURS)].sum(axis=1), 1)
    assert (shares["h09"] > 0.8).all()
    days = ForecastSet.from_parquet(current.blob).frame
    hours = intraday.hours(days, days, shares)
    assert len(hours) == 24 * len(days)
    np.testing.assert_allclose(hours["mean"].to_numpy().reshape(-1, 24).sum(axis=1), days["mean"], atol=1e-6)


@pytest.mark.usefixtures("without_mlflow")
def test_a_night_that_is_done_is_not_done_again_unless_it_is_forced(trained: City) -> None:
    settings = trained.settings(day(DAYS))
    with pytest.raises(InputError, match=rf"{day(DAYS)} is done.*--force"):
        nightly.run(trained.engine, settings)
    with reading(trained.engine) as conn:
        before = published(conn)
    done = nightly.run(trained.engine, settings, force=True)
    with reading(trained.engine) as conn:
        after = published(conn)
        run = runs.latest(conn)
    assert after.id == done.forecast_set_id > before.id
    assert after.blob == before.blob, "the same data give the same forecasts"
    assert run is not None
    assert (run.attempt, run.status) == (2, runs.DONE)


def test_a_night_at_which_another_training_works_is_left_to_it(trained: City) -> None:
    settings = trained.settings(day(DAYS + 1))
    with writing(trained.engine) as conn:
        runs.start(conn, day(DAYS + 1), "elsewhere:1", settings.clock.now(), nightly.LEASE)
    with pytest.raises(InputError, match="elsewhere:1 is at work"):
        nightly.run(trained.engine, settings)


@pytest.mark.usefixtures("without_mlflow")
def test_an_attempt_that_was_taken_over_does_not_publish(trained: City) -> None:
    settings = trained.settings(day(DAYS + 1))

    def take_over(step: str) -> None:
        if step == "publishing":
            with writing(trained.engine) as conn:
                runs.start(conn, day(DAYS + 1), "elsewhere:1", settings.clock.now(), nightly.LEASE, force=True)

    with reading(trained.engine) as conn:
        before = published(conn).id
    with pytest.raises(runs.LeaseLost):
        nightly.run(trained.engine, settings, progress=take_over)
    with reading(trained.engine) as conn:
        assert published(conn).id == before
        run = runs.latest(conn)
    assert run is not None
    assert (run.owner, run.status) == ("elsewhere:1", runs.RUNNING)


@pytest.mark.usefixtures("without_mlflow")
def test_a_failure_is_in_the_ledger_and_the_next_attempt_succeeds(trained: City) -> None:
    settings = trained.settings(day(DAYS + 1))

    def fail(step: str) -> None:
        raise RuntimeError(f"no more memory while {step}")

    with pytest.raises(RuntimeError, match="no more memory"):
        nightly.run(trained.engine, settings, progress=fail)
    with reading(trained.engine) as conn:
        run = runs.latest(conn)
        assert published(conn).cutoff == day(DAYS)
    assert run is not None
    assert run.status == runs.FAILED
    assert run.error is not None
    assert run.error.startswith("RuntimeError: no more memory while training on all days")
    assert nightly.run(trained.engine, settings).run_id == run.id + 1


def test_an_empty_store_and_a_short_history_are_said_and_leave_no_run(bare: City) -> None:
    with pytest.raises(InputError, match=r"holds no tickets of a finished day.*weisu ingest"):
        nightly.run(bare.engine, bare.settings(day(DAYS)))
    bare.bring(counts(27))
    with pytest.raises(InputError, match="only 27 days of counts"):
        nightly.run(bare.engine, bare.settings(day(27)))
    with reading(bare.engine) as conn:
        assert runs.latest(conn) is None


@pytest.mark.usefixtures("without_mlflow")
def test_four_weeks_of_history_are_enough(bare: City) -> None:
    bare.bring(counts(28))
    assert nightly.run(bare.engine, bare.settings(day(28))).cutoff == day(28)


@pytest.mark.parametrize(("wrong", "why"), [({"country": "XX"}, "XX"), ({"recipe": "gone.yaml"}, "gone.yaml: cannot be read")])
def test_a_setting_that_no_night_can_begin_with_is_an_attempt_that_failed_and_says_why(trained: City, wrong: dict[str, str], why: str) -> None:
    with pytest.raises(InputError, match=why):
        nightly.run(trained.engine, trained.settings(day(DAYS + 1), **wrong))
    with reading(trained.engine) as conn:
        run = runs.latest(conn, day(DAYS + 1))
    assert run is not None
    assert run.status == runs.FAILED
    assert why in (run.error or "")


@pytest.mark.usefixtures("without_mlflow")
def test_tickets_of_a_running_day_are_not_learnt_from(bare: City) -> None:
    bare.bring(planted(counts(41), {("North", "Heat", day(41)): 9000}))
    assert nightly.run(bare.engine, bare.settings(f"{day(41)}T16:00")).cutoff == day(40)


@pytest.mark.usefixtures("without_mlflow")
def test_tickets_filed_under_an_inner_category_do_not_stop_the_night(bare: City) -> None:
    rows = [("Noise", "ALL", "l1", "噪声", "Noise"), ("Traffic", "Noise", "l2", "交通", "Traffic"), ("Building", "Noise", "l2", "施工", "Building")]
    bare.bring(pd.DataFrame(rows, columns=["code", "parent", "level", "zh", "en"]), "categories")
    table = counts(40)
    table.loc[table["category"] == "Water", "category"] = "Traffic"
    table.loc[table["category"] == "Heat", "category"] = "Building"
    bare.bring(table)
    nightly.run(bare.engine, bare.settings(day(40)))
    with reading(bare.engine) as conn:
        frame = ForecastSet.from_parquet(published(conn).blob).frame
    means = frame[(frame["horizon"] == 1) & (frame["area"] == "North")].set_index("category")["mean"]
    assert means["Traffic"] + means["Building"] < means["Noise"]
    assert means["Noise"] == pytest.approx(means[ALL])


def test_a_run_in_mlflow_has_everything_that_a_person_compares(trained: City) -> None:
    with reading(trained.engine) as conn:
        run_id = published(conn).mlflow_run_id
    assert run_id is not None
    client = MlflowClient(tracking_uri=trained.settings(day(DAYS)).tracking_uri)
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["members"].startswith("seasonal_naive")
    assert (run.data.params["days"], run.data.params["series"], run.data.params["horizon"]) == (str(DAYS), "9", "28")
    assert run.data.tags["business_date"] == run.data.tags["known_until"] == str(day(DAYS))
    assert len(run.data.tags["fingerprint"]) == 64
    assert {"kind", "model", "code_version", "ledger_run"} <= set(run.data.tags)
    names = ("WAPE", "MASE", "WRMSSE", "WQL", "cover80", "cover90", "bias", "skill")
    for level in ("city", "district", "category", "series"):
        assert {f"{section}{level}.{name}" for name in names for section in ("", "weeks/")} <= set(run.data.metrics)
    assert {"usage/seconds.total", "usage/peak_mb"} <= set(run.data.metrics)
    assert 0 < run.data.metrics["city.WAPE"] < 1
    assert [point.step for point in client.get_metric_history(run_id, "weeks/city.WAPE")] == [1, 2, 3, 4]
    (learnt,) = run.inputs.dataset_inputs
    assert learnt.dataset.digest == run.data.tags["fingerprint"][:36]
    assert json.loads(learnt.dataset.profile)["days"] == DAYS
    children = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'")
    by_model = {child.data.tags["model"]: child for child in children}
    assert set(by_model) == {"champion", "seasonal_naive", "four_week_mean", "usual_weeks", "loglinear"}
    assert by_model["loglinear"].data.params == {"model": "loglinear", "loglinear.years": "10"}
    assert by_model["champion"].data.metrics["city.WAPE"] == run.data.metrics["city.WAPE"]
    better = min(by_model[name].data.metrics["city.WAPE"] for name in ("seasonal_naive", "four_week_mean"))
    for one in (run, *children):  # as in a backtest's run, the figure that decides, told first: MLflow's compare view draws that
        assert next(iter(one.data.metrics)) == "all.WRMSSE"
        levels = [one.data.metrics[f"{level}.WRMSSE"] for level in ("city", "district", "category", "series")]
        assert one.data.metrics["all.WRMSSE"] == pytest.approx(sum(levels) / 4)
    assert run.data.metrics["city.skill"] == pytest.approx(1 - run.data.metrics["city.WAPE"] / better)
    version = client.get_model_version_by_alias(registry.MODEL, registry.CHAMPION)
    assert version.run_id == run_id
    tables = {"scores.csv", "week_scores.parquet", "series_scores.parquet", "backtest.parquet"}
    assert {a.path for a in client.list_artifacts(run_id)} == {"model", "report.html", *tables}


def model_files(folder: Path) -> dict[str, bytes]:
    """The model's files, after their checksums have been compared."""
    sums = json.loads((folder / "sha256.json").read_text())
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "sha256.json"}
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return files


def test_mlflow_out_of_reach_does_not_stop_the_night(trained: City) -> None:
    settings = trained.settings(day(DAYS + 1), mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}")
    trained.bring(counts(DAYS + 1, first=DAYS + 1), "more")
    started = time.monotonic()
    done = nightly.run(trained.engine, settings)
    assert time.monotonic() - started < 15
    assert done.mlflow_run_id is None
    with reading(trained.engine) as conn:
        assert published(conn).cutoff == day(DAYS + 1)


def test_a_database_of_mlflow_that_is_none_does_not_stop_the_night(trained: City) -> None:
    broken = trained.folder / "mlflow" / "broken.db"
    broken.write_bytes(b"this is no database" * 100)
    settings = trained.settings(day(DAYS + 1), mlflow_tracking_uri=f"sqlite:///{broken}")
    assert nightly.run(trained.engine, settings).mlflow_run_id is None


@pytest.mark.usefixtures("without_mlflow")
def test_a_burst_of_the_first_week_is_an_alert_after_the_first_night(bare: City) -> None:
    bare.bring(planted(counts(DAYS), {("South", "Noise", day(DAYS)): 60}))
    watched = nightly.run(bare.engine, bare.settings(day(DAYS))).watched
    assert watched.days == tuple(day(DAYS - k) for k in range(6, -1, -1))
    with reading(bare.engine) as conn:
        (alert,) = [a for a in alerts.running(conn) if a.kind == "SPIKE" and a.last_day == day(DAYS)]
    assert (alert.area, alert.category) == ("South", "Noise")


def test_a_killed_training_leaves_the_old_forecasts_and_no_process_and_is_made_up_for(trained: City, bench: Bench) -> None:
    days = 180  # long enough for all members of the recipe
    trained.bring(counts(days, first=DAYS + 1), "more")
    settings = trained.settings(day(days))
    process = bench.start("train", data_dir=trained.folder, as_of=day(days), timezone="UTC", country="none")

    def at_work() -> bool:
        with reading(trained.engine) as conn:
            run = runs.latest(conn, day(days))
        return run is not None and run.status == runs.RUNNING

    until("the training is at work", lambda: process.poll() is not None or at_work())
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    until("whatever it started ends as well", lambda: not bench.living())
    with reading(trained.engine) as conn:
        run = runs.latest(conn)
        assert published(conn).cutoff == day(DAYS)
    assert run is not None
    assert (run.status, run.business_date) == (runs.RUNNING, day(days))

    with pytest.raises(InputError, match="is at work"):
        nightly.run(trained.engine, settings)
    later = trained.settings((settings.clock.now() + nightly.LEASE + timedelta(seconds=1)).isoformat())
    done = nightly.run(trained.engine, later)
    with reading(trained.engine) as conn:
        assert (published(conn).id, published(conn).cutoff) == (done.forecast_set_id, day(days))
        (killed,) = [r for r in runs.list_runs(conn) if r.id == run.id]
    assert (killed.status, killed.error) == (runs.FAILED, "the lease ran out")

    artifacts = MlflowClient(tracking_uri=later.tracking_uri).get_run(done.mlflow_run_id).info.artifact_uri
    files = model_files(Path(urlparse(artifacts).path) / "model")
    assert {name.split("/")[0] for name in files} >= {"boosting", "prophet", "blend.parquet"}
    assert not [name for name, content in files.items() if content.startswith((b"\x80", b"PK"))], "a pickle runs code when it is loaded"
    assert {Path(name).suffix for name in files} <= {".txt", ".json", ".parquet", ".jsonl"}
