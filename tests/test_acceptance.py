"""The main job from end to end, as somebody runs it who has just installed the product: `weisu demo --once`."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from processes import Bench

DAYS = 70
LAST = date(2025, 8, 28)
ZONE = ZoneInfo("America/New_York")
BOROUGHS = {"Bronx": 0.8, "Brooklyn": 1.4, "Manhattan": 1.0, "Queens": 1.1}
COMPLAINTS = {"Damaged Tree": 3.0, "Noise - Residential": 14.0, "Illegal Parking": 10.0, "Water System": 4.0, "Street Condition": 5.0}
STORM = {"Brooklyn": 55, "Queens": 70, "Bronx": 35}
WEEK = np.array([0.9, 0.9, 0.95, 1.0, 1.1, 1.2, 1.1])
KEYS = ["area", "category", "date", "horizon", "mean", "q05", "q10", "q25", "q50", "q75", "q90", "q95", "model", "issued_at", "run_id"]


def write_tickets(path: Path) -> int:
    """Ten weeks of tickets with moments of the day, streets and status, and a storm on the last day; returns their number."""
    rng = np.random.default_rng(11)
    days = [LAST - timedelta(days=k) for k in range(DAYS - 1, -1, -1)]
    rows: list[tuple[pd.Timestamp, str, str]] = []
    for day in days:
        for borough, size in BOROUGHS.items():
            for complaint, level in COMPLAINTS.items():
                number = rng.poisson(level * size * WEEK[day.weekday()])
                if day == LAST and complaint == "Damaged Tree":
                    number += STORM.get(borough, 0)
                seconds = np.sort(rng.integers(6 * 3600, 23 * 3600, number))
                rows += [(pd.Timestamp(day) + pd.Timedelta(seconds=int(s)), borough, complaint) for s in seconds]
    rows.sort()
    table = pd.DataFrame(rows, columns=["created_at", "district", "category"])
    table["created_at"] = table["created_at"].dt.tz_localize(ZONE).map(lambda moment: moment.isoformat())
    table.insert(0, "ticket_id", [f"311-{number:07d}" for number in range(len(table))])
    table["street"] = [f"{borough} {rng.integers(1, 4)}" for borough in table["district"]]
    table["status"] = rng.choice(["Open", "Closed"], len(table))
    table.to_csv(path, index=False)
    return len(table)


def once(bench: Bench, *arguments: str, **settings: object) -> dict[str, Any]:
    """Runs the demo and reads the one document that it prints."""
    done = bench.run("demo", "--once", *arguments, **settings)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert sorted(document) == ["alerts", "forecasts", "run_id", "status"]
    return document


def forecasts_of(document: dict[str, Any]) -> pd.DataFrame:
    """The forecasts, after the promises that hold for every row have been checked."""
    rows = pd.DataFrame(document["forecasts"])
    assert list(rows.columns) == KEYS
    numbers = rows[KEYS[4:12]]
    assert np.isfinite(numbers).all(axis=None)
    assert (numbers >= 0).all(axis=None)
    assert (np.diff(rows[KEYS[5:12]], axis=1) >= 0).all()
    assert not rows.duplicated(["area", "category", "date"]).any()
    assert set(rows["horizon"]) == set(range(1, 29))
    assert set(rows["run_id"]) == {document["run_id"]}
    return rows


@pytest.fixture
def city(bench: Bench) -> Bench:
    write_tickets(bench.folder / "tickets.csv")
    return bench


FLAGS = ("--data", "tickets.csv", "--as-of", f"{LAST}", "--tz", "America/New_York", "--country", "US")


def test_somebodys_own_tickets_become_forecasts_and_the_storm_an_alert(city: Bench) -> None:
    document = once(city, *FLAGS)
    rows = forecasts_of(document)
    assert set(rows["area"]) == set(BOROUGHS)
    assert set(rows["category"]) == set(COMPLAINTS)
    assert len(rows) == 28 * len(BOROUGHS) * len(COMPLAINTS)
    assert (rows["date"].min(), rows["date"].max()) == (f"{LAST + timedelta(days=1)}", f"{LAST + timedelta(days=28)}")
    usual = rows.groupby("category")["mean"].sum() / 28
    for complaint, level in COMPLAINTS.items():
        if complaint != "Damaged Tree":
            assert usual[complaint] == pytest.approx(level * sum(BOROUGHS.values()) * WEEK.mean(), rel=0.15)

    (storm,) = [a for a in document["alerts"] if a["kind"] == "SPIKE" and a["category"] == "Damaged Tree"]
    assert (storm["status"], storm["peak"]) == ("open", f"{LAST}")
    assert storm["onset"] in (f"{LAST}", f"{LAST - timedelta(days=1)}"), "a borough may have stood out by chance the day before"
    assert set(STORM) <= {district["district"] for district in storm["districts"]}
    assert storm["observed"] > sum(STORM.values())
    assert storm["expected"] < 2 * 3.0 * sum(BOROUGHS.values()) < storm["observed"] / 4
    assert storm["level"] in ("orange", "red")
    assert "Damaged Tree" in json.dumps(storm["reason"], ensure_ascii=False)
    assert len(document["alerts"]) <= 5, "alerts are rare: less than half of what the budget has for eight days"

    status = document["status"]
    assert (status["business_date"], status["data_complete_until"]) == (f"{LAST}", f"{LAST}")
    assert status["last_run"]["status"] == "done"
    assert city.living() == {}

    again = once(city, *FLAGS)
    columns = KEYS[:13]
    pd.testing.assert_frame_equal(forecasts_of(again)[columns], rows[columns])
    assert [a["reason"] for a in again["alerts"]] == [a["reason"] for a in document["alerts"]]


def test_the_demo_touches_no_folder_that_is_not_its_own(city: Bench) -> None:
    folder = city.folder / ".weisu" / "demo"
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("three years of work")
    done = city.run("demo", "--once", *FLAGS)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert str(folder) in done.stderr
    assert [p.name for p in folder.iterdir()] == ["thesis.txt"]


def test_the_demo_does_not_delete_the_file_that_it_is_given(bench: Bench) -> None:
    folder = bench.folder / ".weisu" / "demo"
    folder.mkdir(parents=True)
    (folder / ".weisu-demo").touch()
    number = write_tickets(folder / "tickets.csv")
    done = bench.run("demo", "--once", "--data", str(folder / "tickets.csv"))
    assert done.returncode == 2
    assert "move it elsewhere" in done.stderr
    assert len(pd.read_csv(folder / "tickets.csv")) == number
