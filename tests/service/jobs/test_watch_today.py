"""The running day in the watch: a burst is raised within the hour, once, and nothing is found where nothing is known."""

import numpy as np
import pandas as pd
import pytest
from job_city import DAYS, OLD_WAYS_OF_MLFLOW, City, counts, day

from forecasting.hierarchy import ALL
from service.jobs import nightly, watch
from service.store import alerts
from service.store.alerts import Alert
from service.store.engine import reading

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)

TODAY = DAYS + 1
OFFICE = np.array([0] * 7 + [1, 3, 5, 5, 4, 3, 3, 4, 4, 3, 2, 1, 1, 1] + [0] * 3) / 40


def by_hour(table: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Counts by day laid out over the hours of an office."""
    rng = np.random.default_rng(seed)
    parts = rng.multinomial(table["count"].to_numpy(int), OFFICE)
    rows = table.loc[table.index.repeat(24), ["district", "category", "date"]].assign(hour=np.tile(np.arange(24), len(table)), count=parts.ravel())
    return rows[rows["count"] > 0]


def until(table: pd.DataFrame, hour: int) -> pd.DataFrame:
    return table[table["hour"] < hour]


@pytest.fixture
def city(bare: City, without_mlflow: None) -> City:
    """A city whose counts have hours, on the morning after its sixtieth day."""
    bare.bring(by_hour(counts(DAYS)))
    nightly.run(bare.engine, bare.settings(day(DAYS)))
    return bare


def of_today(city: City) -> list[Alert]:
    with reading(city.engine) as conn:
        return [a for a in alerts.list_alerts(conn, limit=None) if a.last_day == day(TODAY)]


def at(city: City, hour: int) -> watch.Watched:
    return watch.run(city.engine, city.settings(f"{day(TODAY)}T{hour:02d}:00:00+00:00"))


def test_a_burst_at_nine_is_raised_by_ten_and_the_second_look_changes_nothing(city: City) -> None:
    usual = by_hour(counts(TODAY, first=TODAY), 1)
    city.bring(until(usual, 9), "until-nine")
    at(city, 9)
    assert of_today(city) == [], "a usual morning"
    burst = pd.DataFrame({"district": ["South"], "category": ["Noise"], "date": [pd.Timestamp(day(TODAY))], "hour": [9], "count": [30]})
    city.bring(pd.concat([until(usual, 9), burst]), "until-ten")
    assert at(city, 10).raised == 1
    (alert,) = of_today(city)
    assert (alert.kind, alert.area, alert.category, alert.onset) == ("SPIKE", "South", "Noise", day(TODAY))
    assert alert.observed is not None
    assert 30 <= alert.observed < 40
    assert alert.expected < 6, "until ten, not of the whole day"
    again = at(city, 10)
    assert (again.raised, again.resolved) == (0, 0)
    assert of_today(city) == [alert]


def test_a_burst_all_over_the_city_is_one_alert_with_its_districts(city: City) -> None:
    places = ["North", "South", "West"]
    burst = pd.DataFrame({"district": places, "category": "Heat", "date": pd.Timestamp(day(TODAY)), "hour": 8, "count": 40})
    city.bring(pd.concat([until(by_hour(counts(TODAY, first=TODAY), 1), 8), burst]), "storm")
    assert at(city, 9).raised == 1
    (alert,) = of_today(city)
    assert (alert.area, alert.category, {d["code"] for d in alert.districts}) == (ALL, "Heat", set(places))


def test_the_day_after_a_district_was_missing_its_backlog_is_no_demand(city: City) -> None:
    table = by_hour(counts(TODAY, first=TODAY))
    city.bring(table[table["district"] != "North"], "yesterday")
    watch.run(city.engine, city.settings(day(TODAY)))
    backlog = pd.DataFrame({"district": "North", "category": ["Heat", "Noise", "Water"], "date": pd.Timestamp(day(TODAY + 1)), "hour": 8})
    city.bring(backlog.assign(count=[40, 20, 10]), "backlog")
    watch.run(city.engine, city.settings(f"{day(TODAY + 1)}T09:00:00+00:00"))
    with reading(city.engine) as conn:
        found = [a for a in alerts.list_alerts(conn, limit=None) if a.area == "North" and a.last_day > day(TODAY)]
    assert found == []


def test_before_the_first_hour_is_over_nothing_is_looked_at(city: City) -> None:
    assert at(city, 0).raised == 0
    assert of_today(city) == []
