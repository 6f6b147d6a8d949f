"""What a night tells of earlier promises and of what comes in; and that it cannot break one."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from job_city import DAYS, OLD_WAYS_OF_MLFLOW, City
from job_city import counts as job_counts
from job_city import day as job_day
from promised_city import PromisedCity, by_hand, counts, day
from sqlalchemy import Engine, text

from service.cli.models import score
from service.jobs import monitoring, nightly
from service.store import drift
from service.store.engine import reading, writing

LAST = 70


@pytest.fixture
def city(engine: Engine, folder: Path) -> PromisedCity:
    """Seventy days of counts."""
    made = PromisedCity(folder, engine)
    made.bring(counts(LAST), day(LAST))
    return made


def tickets(last: int, sources: dict[str, int], late: dict[int, int], days: int = 35) -> pd.DataFrame:
    """So many tickets of each source on each of the last days; of a day's tickets so many are received so many days later."""
    rows = []
    for n in range(last - days + 1, last + 1):
        waits = [lag for lag, number in late.items() for _ in range(number)]
        for k, source in enumerate(name for name, number in sources.items() for _ in range(number)):
            created = datetime.combine(day(n), datetime.min.time(), UTC) + timedelta(hours=9)
            received = created + timedelta(hours=2, days=waits[k % len(waits)])
            rows.append((f"{n}-{k}", created.isoformat(), received.isoformat(), "East", "Heat", source))
    return pd.DataFrame(rows, columns=["ticket_id", "created_at", "received_at", "district", "category", "source"])


def test_the_numbers_for_the_run_are_those_of_the_last_four_weeks(city: PromisedCity) -> None:
    frame = city.publish(LAST - 6)
    told = monitoring.run(city.engine, city.settings(day(LAST)))
    table = pd.DataFrame(by_hand(frame, counts(LAST), LAST - 6, range(LAST - 5, LAST + 1)))
    series = table[(table["area"] != "ALL") & (table["category"] != "ALL")]
    assert told["promised.series.wape"] == pytest.approx(series["absolute"].sum() / series["actual"].sum())
    assert told["promised.series.bias"] == pytest.approx(series["forecast"].sum() / series["actual"].sum() - 1)
    assert told["promised.series.cover80"] == pytest.approx(series["in80"].mean())
    assert told["promised.series.wql"] == pytest.approx(series["loss"].sum() / series["actual"].sum())
    assert told["promised.series.skill"] == pytest.approx(1 - series["absolute"].sum() / series["naive"].sum())
    assert told["alerts.raised"] == 0
    assert {name.split(".")[1] for name in told if name.startswith("promised.")} == {"city", "category", "district", "series"}
    assert {name for name in told if name.startswith("drift.")} == {"drift.category.psi"}, "counts tell neither source nor reception"


def test_the_command_scores_without_a_night_and_says_what_it_found(
    city: PromisedCity, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    city.publish(LAST - 6)
    monkeypatch.setattr("service.cli.models.load_settings", lambda: city.settings(day(LAST)))
    monkeypatch.setattr("service.store.engine.open_engine", lambda _: city.engine)
    score()
    assert "promised.series.wape" in capsys.readouterr().out
    with reading(city.engine) as conn:
        assert drift.newest(conn) == day(LAST)


def test_a_category_that_comes_otherwise_shows_as_drift(city: PromisedCity) -> None:
    settings = city.settings(day(LAST + 7))
    table = counts(LAST + 7, LAST + 1)
    table.loc[table["category"] == "Water", "count"] *= 4
    city.bring(table, day(LAST + 7), "more")
    monitoring.run(city.engine, settings)
    with reading(city.engine) as conn:
        found = drift.read(conn, day(LAST + 7), day(LAST + 7))[day(LAST + 7)]["category"]
    mix = table.groupby("category")["count"].sum()
    assert found.state == "much"
    assert found.parts[0].code == "Water"
    assert found.parts[0].last == pytest.approx(mix["Water"] / mix.sum())
    assert found.tickets == mix.sum()
    monitoring.run(city.engine, settings)
    with reading(city.engine) as conn:
        assert drift.read(conn, day(LAST + 7), day(LAST + 7))[day(LAST + 7)]["category"] == found, "the same night twice"


def test_days_on_which_no_night_got_so_far_are_made_up_for(city: PromisedCity) -> None:
    monitoring.run(city.engine, city.settings(day(LAST)))
    city.bring(counts(LAST + 3, LAST + 1), day(LAST + 3), "more")
    monitoring.run(city.engine, city.settings(day(LAST + 3)))
    with reading(city.engine) as conn:
        found = drift.read(conn, day(1), day(LAST + 3))
        assert found[day(LAST + 1)] == monitoring.look(conn, city.settings(day(LAST + 1)), day(LAST + 1))
    assert list(found) == [day(LAST + n) for n in range(4)]


def test_another_source_and_a_longer_delay_show_as_drift(engine: Engine, folder: Path) -> None:
    city = PromisedCity(folder, engine)
    city.bring(tickets(60, {"hotline": 36, "app": 4}, {0: 30, 1: 10}), day(90), "before")
    city.bring(tickets(67, {"hotline": 20, "app": 20}, {0: 10, 1: 20, 3: 10}, days=7), day(90), "since")
    settings = city.settings(day(70))
    with reading(engine) as conn:
        found = monitoring.look(conn, settings, day(67))
    assert {name: one.state for name, one in found.items()} == {"category": "stable", "source": "much", "delay": "much"}
    source, delay = found["source"], found["delay"]
    assert {part.code: (part.before, part.last) for part in source.parts} == {"hotline": (0.9, 0.5), "app": (0.1, 0.5)}
    assert {part.code: (part.before, part.last) for part in delay.parts} == {"0": (0.75, 0.25), "1": (0.25, 0.5), "3": (0.0, 0.25)}
    assert (source.tickets, delay.tickets) == (280, 280)


def test_a_blob_that_cannot_be_read_is_in_the_log_and_breaks_nothing(city: PromisedCity, caplog: pytest.LogCaptureFixture) -> None:
    city.publish(LAST - 1)
    with writing(city.engine) as conn:
        conn.execute(text("update forecast_sets set blob = :blob"), {"blob": b"no parquet"})
    with caplog.at_level(logging.ERROR):
        assert monitoring.run(city.engine, city.settings(day(LAST))) == {}
    (record,) = [one for one in caplog.records if one.message == "monitoring.failed"]
    assert record.exc_info


@pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)
def test_the_second_night_compares_the_day_that_the_first_one_forecast(trained: City) -> None:
    trained.bring(job_counts(DAYS + 1, first=DAYS + 1), "more")
    done = nightly.run(trained.engine, trained.settings(job_day(DAYS + 1)))
    table = job_counts(DAYS + 1, first=DAYS + 1)
    with reading(trained.engine) as conn:
        (actual, horizon, forecast) = conn.execute(text("select actual, horizon, forecast from promised_sums where level = 'city'")).one()
    assert (actual, horizon) == (table["count"].sum(), 1)
    assert done.monitored["promised.city.bias"] == pytest.approx(forecast / actual - 1)
