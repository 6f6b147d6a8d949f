"""A challenger in shadow: it forecasts from what the night knew, is compared as the night is, and nothing else ever picks its forecasts."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from job_city import DAYS, OLD_WAYS_OF_MLFLOW, City, counts, day
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import text

from experiments import night, registry, spool
from forecasting.errors import InputError
from forecasting.forecast_set import ForecastSet
from service.jobs import aliases, challenger, monitoring, promised, tracked
from service.settings import Settings
from service.store import forecast_sets, rollback, runs
from service.store import promised as store
from service.store.engine import reading, writing

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)

EVERYTHING = ("published", "runs", "alerts", "day_scores", "promised_days", "promised_sums")


def recipe(folder: Path, member: str) -> str:
    path = folder / f"{member}.yaml"
    path.write_text(f"members:\n  {member}:\n")
    return str(path)


@pytest.fixture
def weekly(tmp_path: Path) -> str:
    return recipe(tmp_path, "seasonal_naive")


def settings(city: City, path: str, n: int = 0) -> Settings:
    return city.settings(day(DAYS + n), challenger=path)


def shadow(city: City) -> forecast_sets.About | None:
    with reading(city.engine) as conn:
        return forecast_sets.newest_shadow(conn)


def image(city: City) -> dict[str, list[object]]:
    """All that is served, judged and noted, but under which id MLflow has it."""
    with reading(city.engine) as conn:
        return {name: list(conn.execute(text(f"select * from {name} order by 1, 2, 3")).all()) for name in EVERYTHING}


def another_night(city: City) -> None:
    """The night is done once more, with the same forecasts."""
    with writing(city.engine) as conn:
        pointer = forecast_sets.pointer(conn)
        assert pointer is not None
        old, now = forecast_sets.get(conn, pointer), city.settings(day(DAYS)).clock.now()
        run = runs.start(conn, day(DAYS), "test", now, timedelta(hours=1), force=True)
        row = {name: getattr(old, name) for name in ("cutoff", "horizon", "rows", "blob", "newest_change", "recipe")}
        forecast_sets.publish(conn, **row, run_id=run, mlflow_run_id=None, issued_at=now)
        runs.succeed(conn, run, now)


def a_day_later(city: City, path: str) -> dict[str, float]:
    """Another day comes in and is compared with what was forecast for it."""
    city.bring(counts(DAYS + 1, first=DAYS + 1), "more")
    return monitoring.run(city.engine, settings(city, path, 1))


def test_it_forecasts_what_its_recipe_says_and_changes_nothing_of_the_night(trained: City, weekly: str) -> None:
    before = image(trained)
    made = challenger.run(trained.engine, settings(trained, weekly))
    assert image(trained) == before
    kept = shadow(trained)
    assert kept is not None
    assert (kept.id, kept.cutoff, kept.published_at, kept.gate, kept.withdrawn_at) == (made.forecast_set_id, day(DAYS), None, None, None)
    with reading(trained.engine) as conn:
        frame = ForecastSet.from_parquet(forecast_sets.get(conn, kept.id).blob).frame
    table = counts(DAYS)
    last_week = table[table["date"] > str(day(DAYS - 7))]
    city = frame[(frame["area"] == "ALL") & (frame["category"] == "ALL")].set_index("horizon")["mean"]
    came = last_week.groupby("date")["count"].sum().to_numpy()
    assert city.loc[1:7].to_numpy() == pytest.approx(came, abs=1e-4), "the last week comes again"


def test_nothing_but_the_comparison_picks_its_forecasts(trained: City, weekly: str) -> None:
    with reading(trained.engine) as conn:
        now = trained.settings(day(DAYS)).clock.now()
        judge, current = forecast_sets.latest_before(conn, day(DAYS + 1)), forecast_sets.as_of(conn, now)
        refused, failed = forecast_sets.refused(conn), forecast_sets.failed(conn, day(DAYS))
    made = challenger.run(trained.engine, settings(trained, weekly))
    with reading(trained.engine) as conn:
        assert forecast_sets.latest_before(conn, day(DAYS + 1)) == judge
        assert forecast_sets.as_of(conn, now + timedelta(days=1)) == current
        assert (forecast_sets.refused(conn), forecast_sets.failed(conn, day(DAYS))) == (refused, failed)
        assert made.forecast_set_id not in [one.id for one in forecast_sets.promises(conn)]
    for to in (f"{made.forecast_set_id}", "v2"):
        with writing(trained.engine) as conn, pytest.raises(rollback.NoWayBack, match="is the challenger's, made in shadow"):
            rollback.roll_back(conn, to, day(DAYS + 1), now, "night desk")


def test_late_tickets_that_come_in_after_the_night_began_are_not_seen(trained: City, weekly: str) -> None:
    late = counts(DAYS, first=DAYS - 9).assign(count=lambda table: table["count"] + 40)
    late.loc[len(late)] = ["East", "Fire", late["date"].iloc[0], 900]
    trained.bring(late, "late")
    made = challenger.run(trained.engine, settings(trained, weekly))
    with reading(trained.engine) as conn:
        client = MlflowClient(tracking_uri=trained.settings(day(DAYS)).tracking_uri)
        published = forecast_sets.about(conn, forecast_sets.pointer(conn) or 0)
    assert published is not None
    assert published.mlflow_run_id is not None
    assert made.night.fingerprint == client.get_run(published.mlflow_run_id).data.tags["fingerprint"]


def test_it_forecasts_once_beside_a_night(trained: City, weekly: str) -> None:
    challenger.run(trained.engine, settings(trained, weekly))
    with pytest.raises(InputError, match=f"has forecast beside the night of {day(DAYS)}"):
        challenger.run(trained.engine, settings(trained, weekly))
    another_night(trained)
    challenger.run(trained.engine, settings(trained, weekly))


def test_without_a_night_it_says_so(bare: City, weekly: str) -> None:
    with pytest.raises(InputError, match="no night is done"):
        challenger.run(bare.engine, settings(bare, weekly))


def test_without_a_recipe_it_says_so(trained: City, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="WEISU_CHALLENGER: no challenger is set"):
        challenger.run(trained.engine, trained.settings(day(DAYS)))
    with pytest.raises(InputError, match="cannot be read"):
        challenger.run(trained.engine, settings(trained, str(tmp_path / "none.yaml")))
    assert shadow(trained) is None


def test_one_that_breaks_leaves_the_night_as_it_is(trained: City, weekly: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = image(trained)

    def broken(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(night, "train", broken)
    with pytest.raises(MemoryError):
        challenger.run(trained.engine, settings(trained, weekly))
    assert image(trained) == before
    assert shadow(trained) is None


def test_mlflow_has_it_as_a_challenger_and_the_alias_names_its_version(trained: City, weekly: str) -> None:
    made = challenger.run(trained.engine, settings(trained, weekly))
    tracked.replay(trained.engine, settings(trained, weekly))  # what a busy machine could not send in time
    aliases.follow(trained.engine, settings(trained, weekly))
    kept = shadow(trained)
    assert kept is not None
    assert kept.id == made.forecast_set_id
    client = MlflowClient(tracking_uri=trained.settings(day(DAYS)).tracking_uri)
    run = client.get_run(kept.mlflow_run_id)
    assert (run.info.run_name, run.data.tags["kind"], run.data.tags["shadow"]) == (f"challenger {day(DAYS)}", "challenger", "true")
    version = client.get_model_version_by_alias(registry.MODEL, registry.CHALLENGER)
    assert (version.run_id, int(version.version)) == (kept.mlflow_run_id, kept.model_version)
    assert client.get_model_version_by_alias(registry.MODEL, registry.CHAMPION).run_id != kept.mlflow_run_id
    with reading(trained.engine) as conn:
        ledger, pointer = runs.latest(conn), forecast_sets.about(conn, forecast_sets.pointer(conn) or 0)
    assert ledger is not None
    assert pointer is not None
    assert ledger.mlflow_run_id == pointer.mlflow_run_id != kept.mlflow_run_id
    assert spool.waiting(trained.settings(day(DAYS)).spool_dir) == []
    aliases.follow(trained.engine, trained.settings(day(DAYS)))
    with pytest.raises(MlflowException):
        client.get_model_version_by_alias(registry.MODEL, registry.CHALLENGER)


def compared(city: City, of: store.Of) -> dict[date, float]:
    """City-wide means of one day ahead, by day."""
    with reading(city.engine) as conn:
        found = store.read(conn, day(1), day(200), ["city"], ["day"], horizons=[1], of=of)
    return {at.date(): mean for at, mean in zip(found["day"], found["forecast"], strict=True)}


def test_it_is_compared_every_day_and_kept_apart(trained: City, weekly: str) -> None:
    challenger.run(trained.engine, settings(trained, weekly))
    told = a_day_later(trained, weekly)
    mine, theirs = compared(trained, store.CHALLENGER), compared(trained, store.PUBLISHED)
    table = counts(DAYS + 1).groupby("date")["count"].sum()
    assert mine == pytest.approx({day(DAYS + 1): table[str(day(DAYS - 6))]}), "the same weekday of the week before"
    assert abs(theirs[day(DAYS + 1)] - mine[day(DAYS + 1)]) > 0.5
    assert told["challenger.city.bias"] == pytest.approx(mine[day(DAYS + 1)] / table[str(day(DAYS + 1))] - 1)
    assert told["promised.city.bias"] == pytest.approx(theirs[day(DAYS + 1)] / table[str(day(DAYS + 1))] - 1)
    late = counts(DAYS + 1, first=DAYS + 1).assign(count=lambda of_day: of_day["count"] + 5)
    trained.bring(late, "late")
    assert promised.run(trained.engine, settings(trained, weekly, 1), store.CHALLENGER).days == (day(DAYS + 1),), "late tickets count, too"


def test_with_another_recipe_the_comparison_begins_anew(trained: City, weekly: str, tmp_path: Path) -> None:
    challenger.run(trained.engine, settings(trained, weekly))
    a_day_later(trained, weekly)
    another_night(trained)
    challenger.run(trained.engine, settings(trained, weekly))
    assert set(compared(trained, store.CHALLENGER)) == {day(DAYS + 1)}, "the same recipe goes on"
    another_night(trained)
    challenger.run(trained.engine, settings(trained, recipe(tmp_path, "four_week_mean")))
    assert compared(trained, store.CHALLENGER) == {}
    assert set(compared(trained, store.PUBLISHED)) == {day(DAYS + 1)}


def test_a_comparison_of_it_that_breaks_stands_in_the_way_of_nothing(trained: City, weekly: str, caplog: pytest.LogCaptureFixture) -> None:
    made = challenger.run(trained.engine, settings(trained, weekly))
    with writing(trained.engine) as conn:
        conn.execute(text("update forecast_sets set blob = :blob where id = :id"), {"blob": b"no parquet", "id": made.forecast_set_id})
    told = a_day_later(trained, weekly)
    assert "promised.city.wape" in told
    assert set(compared(trained, store.PUBLISHED)) == {day(DAYS + 1)}
    assert "monitoring.challenger_failed" in [record.message for record in caplog.records]
