"""The watch: every finished day against what was published before it, once and for all."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from job_city import CATEGORIES, DAYS, DISTRICTS, OLD_WAYS_OF_MLFLOW, City, counts, day, planted

from forecasting.errors import InputError
from forecasting.forecast_set import ForecastSet
from forecasting.hierarchy import ALL
from service.jobs import watch
from service.store import alerts, day_scores, forecast_sets, jobs, runs
from service.store.alerts import Alert
from service.store.engine import reading, writing

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)

NODES = (len(DISTRICTS) + 1) * (len(CATEGORIES) + 1)
TODAY = DAYS + 1


def alerts_in(city: City) -> list[Alert]:
    with reading(city.engine) as conn:
        return alerts.list_alerts(conn, limit=None)


def alerts_of(city: City, kind: str = "SPIKE", last_day: date | None = None) -> list[Alert]:
    return [a for a in alerts_in(city) if a.kind == kind and last_day in (None, a.last_day)]


def scores(city: City, at: date) -> pd.DataFrame:
    with reading(city.engine) as conn:
        return day_scores.read(conn, at, at)


def image(city: City) -> object:
    with reading(city.engine) as conn:
        events = [alerts.history(conn, a.id) for a in alerts.list_alerts(conn, limit=None)]
    return alerts_of(city), alerts_of(city, "SEASONAL"), events, scores(city, day(TODAY)).to_dict()


def test_a_burst_is_one_alert_with_its_district_and_the_second_look_changes_nothing(trained: City) -> None:
    trained.bring(planted(counts(TODAY, first=TODAY), {("South", "Noise", day(TODAY)): 60}), "more")
    settings = trained.settings(day(TODAY))
    assert watch.run(trained.engine, settings).raised >= 1
    (alert,) = [a for a in alerts_in(trained) if a.last_day == day(TODAY) and a.category in ("Noise", ALL)]
    assert (alert.area, alert.category, alert.status, alert.onset) == ("South", "Noise", "open", day(TODAY))
    (part,) = alert.districts
    assert (part["code"], part["observed"]) == ("South", alert.observed)
    assert alert.observed is not None
    assert alert.observed > 60
    assert alert.upper < 30
    assert alert.expected == pytest.approx(6.0, abs=4)
    assert "South" in alert.reason_en

    before = image(trained)
    again = watch.run(trained.engine, settings)
    assert again.days == (day(TODAY),)
    assert (again.raised, again.resolved) == (0, 0)
    assert image(trained) == before


def test_where_alerts_were_false_more_is_asked_for_and_withdrawing_the_verdicts_undoes_it(trained: City) -> None:
    trained.bring(planted(counts(TODAY, first=TODAY), {("South", "Noise", day(TODAY)): 10}), "more")
    settings = trained.settings(day(TODAY), false_alerts_per_day=0.05)
    watch.run(trained.engine, settings)
    (alert,) = alerts_of(trained, last_day=day(TODAY))

    def again() -> list[Alert]:
        with writing(trained.engine) as conn:
            conn.exec_driver_sql("delete from alert_events where alert_id not like 'past%'")
            conn.exec_driver_sql("delete from alerts where id not like 'past%'")
        watch.run(trained.engine, settings)
        return alerts_of(trained, last_day=day(TODAY))

    past = replace(alert, status="resolved", onset=day(20), found=day(20), last_day=day(20), resolved_at=alert.raised_at)
    with writing(trained.engine) as conn:
        for n in range(60):
            alerts.insert(conn, replace(past, id=f"past{n}"), "watch", alert.raised_at)
            alerts.judge(conn, f"past{n}", None, "false", "x", None, alert.raised_at)
    assert again() == []
    with writing(trained.engine) as conn:
        for n in range(60):
            alerts.judge(conn, f"past{n}", "false", None, "x", None, alert.raised_at)
    assert [one.id for one in again()] == [alert.id]


def test_a_storm_over_the_city_is_one_alert_that_names_the_districts(trained: City) -> None:
    storm = {(district, "Heat", day(TODAY)): 80 for district in DISTRICTS}
    trained.bring(planted(counts(TODAY, first=TODAY), storm), "more")
    assert watch.run(trained.engine, trained.settings(day(TODAY), false_alerts_per_day=0.1)).raised == 1
    (alert,) = alerts_of(trained, last_day=day(TODAY))
    assert (alert.area, alert.category, {d["code"] for d in alert.districts}) == (ALL, "Heat", set(DISTRICTS))


def test_the_scores_of_a_day_compare_with_the_forecast_published_before_it(trained: City) -> None:
    trained.bring(counts(TODAY, first=TODAY), "more")
    watch.run(trained.engine, trained.settings(day(TODAY)))
    table = scores(trained, day(TODAY))
    with reading(trained.engine) as conn:
        pointer = forecast_sets.pointer(conn)
        assert pointer is not None
        frame = ForecastSet.from_parquet(forecast_sets.get(conn, pointer).blob).frame
    expected = frame[frame["horizon"] == 1].set_index(["area", "category"])["mean"]
    assert len(table) == NODES
    assert set(table["forecast_set_id"]) == {pointer}
    np.testing.assert_allclose(table.set_index(["area", "category"])["expected"].sort_index(), expected.sort_index())
    came = counts(TODAY, first=TODAY)
    assert table.set_index(["area", "category"]).loc[(ALL, ALL), "observed"] == came["count"].sum()
    assert table[["p_value", "pit"]].apply(lambda c: c.between(0, 1)).all(axis=None)


def test_after_an_outage_every_day_is_caught_up_in_its_order(trained: City) -> None:
    last = DAYS + 12
    trained.bring(planted(counts(last, first=TODAY), {("South", "Noise", day(TODAY)): 60}), "more")
    done = watch.run(trained.engine, trained.settings(day(last)))
    assert done.days == tuple(day(n) for n in range(DAYS, last + 1))
    (alert,) = [a for a in alerts_of(trained) if a.category == "Noise"]
    assert day(DAYS) <= alert.onset <= day(TODAY)
    assert (alert.area, alert.status) == ("South", "resolved"), "usual again since"
    assert len(scores(trained, day(last))) == NODES


def test_days_beyond_the_horizon_of_the_last_forecast_are_not_judged(trained: City) -> None:
    last = DAYS + 30
    trained.bring(counts(last, first=TODAY), "more")
    done = watch.run(trained.engine, trained.settings(day(last)))
    assert done.days[-1] == day(DAYS + 28)


def test_a_district_that_delivers_nothing_is_noted_as_missing_and_raises_no_demand_alert(trained: City) -> None:
    table = counts(TODAY, first=TODAY)
    trained.bring(table[table["district"] != "North"], "more")
    watch.run(trained.engine, trained.settings(day(TODAY)))
    (note,) = alerts_of(trained, "DATA")
    assert (note.area, note.category) == ("North", ALL)
    assert [a for a in alerts_in(trained) if a.kind != "DATA" and a.area in ("North", ALL)] == [], "of West something may be told, by chance"
    assert set(scores(trained, day(TODAY))["area"]) == {"South", "West"}, "nor is a sum judged that lacks a part"


def test_a_day_on_which_nothing_came_at_all_is_passed_over(trained: City) -> None:
    trained.bring(counts(TODAY + 1, first=TODAY + 1), "more")
    done = watch.run(trained.engine, trained.settings(day(TODAY + 1)))
    assert done.days == (day(DAYS), day(TODAY + 1))


def test_a_category_met_since_the_training_waits_for_the_next(trained: City) -> None:
    trained.bring(planted(counts(TODAY, first=TODAY), {("South", "Snow", day(TODAY)): 3}), "more")
    assert watch.run(trained.engine, trained.settings(day(TODAY))).days[-1] == day(TODAY)
    assert "Snow" not in set(scores(trained, day(TODAY))["category"])


def test_before_the_first_training_there_is_nothing_to_compare_with(bare: City) -> None:
    with pytest.raises(InputError, match="holds no tickets"):
        watch.run(bare.engine, bare.settings(day(DAYS)))
    bare.bring(counts(DAYS))
    assert watch.run(bare.engine, bare.settings(day(DAYS))) == watch.Watched((), 0, 0, 0)


def publish_rise(city: City, cutoff: int, factor: float) -> None:
    """Publishes the current forecasts, as of another day, with more of the category Heat from the tenth day on."""
    with writing(city.engine) as conn:
        pointer = forecast_sets.pointer(conn)
        assert pointer is not None
        frame = ForecastSet.from_parquet(forecast_sets.get(conn, pointer).blob).frame
        frame["date"] += pd.Timedelta(days=cutoff - DAYS)
        bottom = frame.loc[frame["area"].isin(DISTRICTS) & frame["category"].isin(CATEGORIES)].assign(model="test")
        bottom.loc[(bottom["category"] == "Heat") & (bottom["horizon"] >= 10), "mean"] *= factor
        parts = [bottom]
        for keys in (["area"], ["category"], []):
            sums = bottom.groupby([*keys, "date", "horizon", "model"], as_index=False)[["mean"]].sum()
            parts.append(sums.assign(**{column: ALL for column in ("area", "category") if column not in keys}, dispersion=0.01))
        now = city.settings(day(cutoff)).clock.now()
        run = runs.start(conn, day(cutoff), "test", now, pd.Timedelta(hours=1).to_pytimedelta(), force=True)
        table = pd.concat(parts, ignore_index=True)
        row = {"run_id": run, "mlflow_run_id": None, "cutoff": day(cutoff), "horizon": 28, "issued_at": now, "rows": len(table)}
        forecast_sets.publish(conn, **row, blob=ForecastSet(table).to_parquet())


def test_a_rise_that_is_coming_is_told_days_ahead(trained: City) -> None:
    publish_rise(trained, DAYS, 2.5)
    watch.run(trained.engine, trained.settings(day(DAYS)))
    (alert,) = [a for a in alerts_of(trained, "SEASONAL") if a.category == "Heat"]
    assert (alert.area, alert.onset) == (ALL, day(DAYS + 10))
    assert alert.peak is not None
    assert alert.peak >= alert.onset
    assert alert.observed is not None
    assert alert.expected > 1.5 * alert.observed


def test_forecasts_of_an_older_night_tell_no_coming_rise(trained: City) -> None:
    publish_rise(trained, DAYS, 2.5)
    trained.bring(counts(TODAY, first=TODAY), "more")
    watch.run(trained.engine, trained.settings(day(TODAY)))
    assert not [a for a in alerts_of(trained, "SEASONAL") if a.category == "Heat"]


def test_weather_that_comes_no_more_is_a_note_on_the_newest_day_until_it_comes_again(trained: City) -> None:
    trained.bring(counts(TODAY, first=TODAY), "more")
    pull = {"drivers": [{"name": "forecast", "url": "http://weather.example/", "date": "days", "values": {"tmax": "tmax"}}]}
    settings = trained.settings(day(TODAY), pull=pull)
    now = settings.clock.now()

    def fresh_until(moment: datetime) -> None:
        with writing(trained.engine) as conn:
            jobs.succeed(conn, "pull:forecast", now - timedelta(days=3), now, moment)
        watch.run(trained.engine, settings)

    fresh_until(now)
    assert alerts_of(trained, "DATA") == []
    fresh_until(now - timedelta(hours=2))
    (note,) = alerts_of(trained, "DATA")
    assert (note.area, note.category, note.level, note.last_day) == (ALL, ALL, "yellow", day(TODAY))
    assert "forecast" in note.reason_en
    assert "forecast" in note.reason_zh
    watch.run(trained.engine, trained.settings(day(TODAY)))
    assert len(alerts_of(trained, "DATA")) == 1
