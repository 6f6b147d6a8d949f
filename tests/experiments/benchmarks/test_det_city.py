"""The simulated city's protocol, bursts, quiet days and the storm: what counts as alerted, explained, brought about by a fault, in time."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.benchmarks import panels
from experiments.benchmarks.detection import bars, boston, calibration, city, hourly, quiet, replay, results
from experiments.benchmarks.runs import Record
from forecasting.hierarchy import ALL

END = pd.Timestamp(panels.END)
COLUMNS = ["date", "kind", "category", "districts"]


def alerts(*rows: tuple[str, str, str, list[str]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame["date"] = pd.to_datetime(frame["date"])
    frame["district"] = [several[0] if len(several) == 1 else ALL for several in frame["districts"]]
    frame["raised_at"] = frame["date"] + pd.Timedelta(days=1)
    frame["alert_id"] = [f"A{i}" for i in range(len(frame))]
    return frame.assign(level="yellow")


def incidents(*rows: tuple[str, str, str, str, str, str, str, bool]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["kind", "districts", "category", "also", "onset", "peak", "end", "planted"])
    return frame.assign(**{name: pd.to_datetime(frame[name]) for name in ("onset", "peak", "end")})


MAIN = ("water_main", "d1;d2", "WATER", "ROAD", "2025-09-10", "2025-09-10", "2025-09-12", True)
WAGES = ("unpaid_wages", "d1", "LABOR", "", "2025-10-10", "2025-10-13", "2025-10-16", True)
STORM = ("storm", ALL, "FLOOD", "HOUSE;GREEN", "2025-08-10", "2025-08-10", "2025-08-11", False)


def test_each_place_of_an_incident_is_alerted_by_its_category_in_its_time() -> None:
    made = city.places(
        alerts(
            ("2025-09-11", "SPIKE", "WATER", ["d1"]),
            ("2025-09-11", "SPIKE", "ROAD", ["d2"]),
            ("2025-09-13", "SPIKE", "WATER", ["d2"]),
            ("2025-10-12", "EMERGING", "LABOR", ["d3", "d1"]),
        ),
        incidents(MAIN, WAGES),
    )
    assert made.to_numpy().tolist() == [
        ["water_main", "d1", True, False],
        ["water_main", "d2", False, False],
        ["unpaid_wages", "d1", True, True],
    ]


def test_an_alert_of_the_whole_city_is_one_of_each_district_and_one_on_the_peak_day_is_not_before_it() -> None:
    made = city.places(alerts(("2025-10-13", "SPIKE", "LABOR", [ALL])), incidents(WAGES))
    assert made[["hit", "before"]].to_numpy().tolist() == [[True, False]]


def test_what_is_foreseen_counts_only_as_seasonal() -> None:
    early = alerts(("2025-10-01", "SEASONAL", "LABOR", ["d1"]), ("2025-10-01", "SPIKE", "LABOR", ["d1"]))
    assert city.places(early[:1], incidents(WAGES))["before"].tolist() == [True]
    assert city.places(early[1:], incidents(WAGES))["hit"].tolist() == [False]


def test_alerts_are_explained_by_what_is_near_in_time_place_and_category() -> None:
    made = city.explained(
        alerts(
            ("2025-08-10", "SPIKE", "HOUSE", ["d9"]),
            ("2025-08-18", "SPIKE", "FLOOD", ["d9"]),
            ("2025-08-19", "SPIKE", "FLOOD", ["d9"]),
            ("2025-09-11", "SPIKE", "ROAD", ["d1"]),
            ("2025-09-11", "SPIKE", ALL, ["d1"]),
            ("2025-09-11", "SPIKE", "ROAD", ["d3"]),
            ("2025-09-11", "SPIKE", "PARK", ["d1"]),
        ),
        incidents(MAIN, STORM),
    )
    assert made.tolist() == [True, True, False, True, True, False, False]


def test_a_seasonal_alert_needs_true_rates_that_rise() -> None:
    days = pd.date_range("2025-09-01", "2025-12-31", name="date")
    expected = pd.DataFrame({"HEAT": np.where(days >= "2025-11-07", 100.0, 5.0), "PARK": 10.0}, days)
    some = alerts(
        ("2025-10-20", "SEASONAL", "HEAT", [ALL]),
        ("2025-09-29", "SEASONAL", "HEAT", [ALL]),
        ("2025-10-20", "SEASONAL", "PARK", [ALL]),
        ("2025-10-20", "SPIKE", "HEAT", [ALL]),
        ("2025-10-20", "SEASONAL", ALL, [ALL]),
    )
    assert city.seasonal(some, expected).tolist() == [True, False, False, False, True]


def test_heating_is_led_by_the_first_seasonal_alert_of_its_weeks() -> None:
    days = pd.date_range("2025-07-05", "2025-12-31")
    expected = pd.Series(np.where(days == "2025-11-16", 9.0, 1.0), days)
    season = alerts(("2025-08-01", "SEASONAL", "HEAT", [ALL]), ("2025-11-02", "SEASONAL", "HEAT", [ALL]), ("2025-11-05", "SEASONAL", "HEAT", ["d1"]))
    assert city.heating(season, expected) == 14
    assert city.heating(season[:1], expected) is None


def faults(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["kind", "district", "category", "start"])
    return frame.assign(start=pd.to_datetime(frame["start"]))


def test_an_alert_comes_from_a_fault_if_the_city_without_it_does_not_raise_it() -> None:
    table = faults(
        ("missing_district", "d1", "", "2025-03-26"), ("recoding", "", "PROP;ELEV;PARK", "2025-04-01"), ("blank_district", "", "", "2025-01-01")
    )
    some = alerts(
        ("2025-03-27", "SPIKE", "PARK", ["d1"]),
        ("2025-03-27", "SPIKE", "WATER", ["d1"]),
        ("2025-03-27", "SPIKE", "PARK", ["d2"]),
        ("2025-03-29", "SPIKE", "PARK", ["d1"]),
        ("2025-04-05", "EMERGING", "ELEV", ["d3"]),
        ("2025-04-05", "EMERGING", "WATER", ["d3"]),
    )
    without = alerts(("2025-03-26", "EMERGING", "WATER", ["d1", "d4"]), ("2025-04-05", "EMERGING", "ELEV", ["d3"]))
    nothing = np.zeros(len(some), bool)
    assert city.from_faults(some, without, table, nothing).tolist() == [True, False, False, False, True, False]
    assert not city.from_faults(some, without, table, ~nothing).any()


def test_in_recoded_categories_as_many_alerts_are_due_to_chance_as_on_other_days() -> None:
    table = faults(("recoding", "", "PROP;ELEV", "2025-04-01"))
    some = alerts(
        ("2025-03-31", "SPIKE", "ELEV", ["d1"]),
        ("2025-04-01", "SPIKE", "ELEV", ["d1"]),
        ("2025-04-29", "SPIKE", "PROP", ["d1"]),
        ("2025-04-30", "SPIKE", "PROP", ["d1"]),
        ("2025-06-01", "SPIKE", "PROP", ["d1"]),
        ("2025-06-02", "SPIKE", "WATER", ["d1"]),
    )
    known = np.array([False] * 4 + [True, False])
    assert city.by_chance(some, table, known) == pytest.approx(2 * 29 / (365 - 29))
    assert city.by_chance(some, faults(), known) == 0


def test_a_city_is_judged_on_its_last_half_year_and_its_faults_on_the_whole_year() -> None:
    days = pd.date_range("2025-01-01", END)
    rates = pd.DataFrame({"district": "d1", "category": "HEAT", "date": days, "rate_without_incidents": np.where(days == "2025-11-16", 9.0, 5.0)})
    raised = alerts(
        ("2025-03-26", "SPIKE", "PARK", ["d1"]),
        ("2025-09-10", "SPIKE", "WATER", ["d1", "d2"]),
        ("2025-10-11", "EMERGING", "LABOR", ["d1"]),
        ("2025-12-01", "SPIKE", "PARK", ["d1"]),
        ("2025-12-02", "FIRST_SEEN", "NEW", ["d1"]),
    )
    table = faults(("missing_district", "d1", "", "2025-03-26"))
    made = city.judge(raised, raised[1:], incidents(MAIN, WAGES, STORM), table, rates)
    assert (made.places, made.pod, made.slow_places, made.slow) == (3, 1.0, 1, 1.0)
    assert made.beyond == pytest.approx(2 / 180)
    assert made.by_kind == {"SPIKE": 1, "FIRST_SEEN": 1}
    assert (made.heating, made.faults) == (None, 1)
    assert city.judge(raised, None, incidents(MAIN, WAGES), table, rates).faults is None


def test_who_knows_the_rates_finds_before_the_peak_what_shows_before_it() -> None:
    days = pd.date_range("2025-09-01", "2025-10-31")
    cells = pd.MultiIndex.from_product([[f"d{i}" for i in range(400)], ["LABOR"], days], names=["district", "category", "date"]).to_frame(index=False)
    rates, counts = cells.assign(rate_without_incidents=20.0), cells.assign(count=20)
    risen = counts["date"].between("2025-10-11", "2025-10-12") & (counts["district"] == "d1")
    counts.loc[risen, "count"] = 45
    counts.loc[counts["date"] == "2025-10-13", "count"] = 90
    both = incidents((*WAGES[:1], "d1;d2", *WAGES[2:]))
    assert city.knowing(counts, rates, both).tolist() == [True, False], "on the day of the peak it is too late"
    assert city.knowing(counts, rates.assign(rate_without_incidents=40.0), both).tolist() == [False, False], "it was to be expected"


def test_an_alert_that_goes_up_a_level_tells_of_more_places_and_is_one_alert_all_the_same() -> None:
    days = pd.date_range("2025-01-01", END)
    rates = pd.DataFrame({"district": "d1", "category": "HEAT", "date": days, "rate_without_incidents": 5.0})
    first = alerts(("2025-09-10", "SPIKE", "WATER", ["d1"]), ("2025-12-01", "SPIKE", "PARK", ["d1"]))
    again = alerts(("2025-09-11", "SPIKE", "WATER", ["d1", "d2"]), ("2025-12-02", "SPIKE", "PARK", ["d1", "d2"]))
    once, twice = (city.judge(told, None, incidents(MAIN), faults(), rates) for told in (first, pd.concat([first, again], ignore_index=True)))
    assert (once.places, once.pod, twice.pod) == (2, 0.5, 1.0)
    assert once.beyond == twice.beyond == pytest.approx(1 / 180)


def test_the_reported_cities_have_incidents_and_faults_to_judge_by() -> None:
    planted, table = city.truth()
    late = planted[planted["planted"] & (planted["onset"] > END - pd.Timedelta(days=city.JUDGED_DAYS))]
    assert len(late) >= 20
    assert set(city.SLOW) <= set(late["kind"])
    assert set(city.LASTS) <= set(table.loc[table["start"] >= pd.Timestamp(city.REPLAYED_FROM), "kind"])


@pytest.fixture(scope="module")
def tickets() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    hours = pd.date_range("2025-03-01", "2025-06-30 23:00", freq="h")
    busy = (hours.hour.to_numpy() >= 8) & (hours.hour.to_numpy() < 20)
    parts = []
    for i in range(20):
        moments = np.repeat(hours.to_numpy(), rng.poisson(np.where(busy, 0.8, 0.1)))
        parts.append(pd.DataFrame({"created_at": moments, "district": f"d{i}", "category": "c"}))
    made = pd.concat(parts, ignore_index=True)
    return made.assign(ticket_id=made.index.astype(str), received_at=made["created_at"] + pd.Timedelta(minutes=5))


def test_bursts_are_so_many_times_the_usual_in_series_with_tickets(tickets: pd.DataFrame) -> None:
    none = incidents(MAIN)[:0]
    with_bursts, truth = hourly.plant(tickets, none, END.date().replace(month=6, day=30), 0)
    assert len(truth) == hourly.BURSTS
    assert len(with_bursts) == len(tickets) + truth["tickets"].sum()
    assert with_bursts["ticket_id"].is_unique
    assert set(truth["ratio"]) == set(hourly.RATIOS)
    hours = (truth["onset"].dt.hour.to_numpy()[:, None] + np.arange(hourly.HOURS)) % 24
    usual = np.where((hours >= 8) & (hours < 20), 0.8, 0.1).sum(axis=1)
    assert (truth["tickets"] / (truth["ratio"] - 1) / usual).mean() == pytest.approx(1, abs=0.1)
    for _, own in truth.sort_values("onset").groupby("district"):
        assert (own["onset"].diff().dropna() >= pd.Timedelta(days=hourly.APART)).all()


def test_bursts_keep_away_from_incidents(tickets: pd.DataFrame) -> None:
    whole = ("power_cut", ";".join(f"d{i}" for i in range(10)), "c", "", "2025-05-10", "2025-05-10", "2025-06-20", True)
    _, truth = hourly.plant(tickets, incidents(whole), END.date().replace(month=6, day=30), 0)
    near = truth[truth["onset"].between("2025-05-03", "2025-06-27")]
    assert len(near) > 0
    assert not near["district"].isin(whole[1].split(";")).any()


def test_the_delay_is_that_of_the_first_alert_after_the_onset_that_names_the_place() -> None:
    truth = pd.DataFrame({"district": ["d1", "d2", "d3"], "category": "c", "onset": pd.Timestamp("2025-06-01 09:00")})
    raised = alerts(*[("2025-06-01", "SPIKE", "c", ["d1"])] * 3, ("2025-06-01", "SPIKE", "x", ["d2"]), ("2025-06-01", "SPIKE", "c", ["d3"]))
    moments = ["2025-06-01 00:30", "2025-06-01 03:00", "2025-06-01 04:00", "2025-06-01 02:00", "2025-06-02 01:30"]
    raised["raised_at"] = pd.to_datetime(moments).tz_localize("UTC")
    assert hourly.delays(raised, truth).tolist() == [2.0, np.inf, np.inf]
    local = raised.assign(raised_at=pd.to_datetime(moments) + pd.Timedelta(hours=8))
    assert hourly.delays(local, truth).tolist() == [2.0, np.inf, np.inf]


def test_quiet_days_count_every_demand_alert_once() -> None:
    rows = alerts(("2024-12-30", "SPIKE", "c", ["d1"]), ("2024-12-30", "DATA", "c", ["d1"]), ("2024-12-31", "SEASONAL", "c", ["d1"]))
    again = pd.concat([rows, rows.assign(level="red", raised_at=rows["raised_at"] + pd.Timedelta(days=1))])
    assert sorted(replay.demand(again)["level"]) == ["red", "red", "yellow", "yellow"]
    made = replay.first(replay.demand(again))
    assert made["level"].tolist() == ["yellow", "yellow"]
    found = quiet.false_a_day(made)
    assert found.mean == pytest.approx(2 / 180)
    assert found.error == pytest.approx(np.sqrt(2 * (1 - 1 / 90)) / 180, rel=0.01)
    assert found.by_kind == {"SPIKE": 1, "SEASONAL": 1}


def test_quiet_panels_are_of_the_sizes_they_are_named_after() -> None:
    assert [d * c for d, c in quiet.PANELS.values()] == [int(name.split("-")[1]) for name in quiet.PANELS]
    means = [kind.mean for kind in quiet.kinds(100, 0)]
    assert quiet.LEAST <= min(means) < max(means) <= quiet.MOST


def test_the_storm_is_one_event_of_the_city_in_time() -> None:
    rows = alerts(
        ("2011-08-20", "SPIKE", "Graffiti Removal", ["d1"]),
        ("2011-08-20", "SPIKE", "Rodent Activity", ["d1"]),
        ("2011-08-28", "SPIKE", boston.TREES, ["d1"]),
        ("2011-08-28", "SPIKE", boston.TREES, ["d1", "d2"]),
    )
    rows["raised_at"] = pd.to_datetime(["2011-08-21 00:00", "2011-08-21 00:00", "2011-08-28 06:00", "2011-08-28 08:30"])
    made = boston.judge(rows, pd.concat([rows, rows[3:].assign(level="red")]))
    assert (made.raised, made.districts, made.red, made.most) == (pd.Timestamp("2011-08-28 08:30"), 2, True, 2)
    never = boston.judge(rows[:3], rows[:3])
    assert (never.raised, never.red) == (None, False)


def test_realised_false_alarms_are_told_by_size() -> None:
    rng = np.random.default_rng(0)
    mean = np.repeat([0.1, 5.0], 60)
    probability = rng.random((120, 364))
    probability[60:] /= 3  # three times too many in large series
    made = calibration.false_alarms(mean, -np.log(probability), probability).set_index("size")
    assert made.index.tolist() == ["< 0.3", "3-10"]
    assert made["by_p"].to_numpy() == pytest.approx([1, 3], rel=0.25)
    assert made["by_score"].mean() == pytest.approx(1, rel=0.1)
    assert made["by_score"].iloc[1] > 2 * made["by_score"].iloc[0]


def test_nothing_stored_is_nothing_measured(tmp_path: Path) -> None:
    lines = results.bars_of(results.collect(tmp_path / "work", tmp_path / "kept")) + bars.of_passes(None)
    assert len(lines) == 5 * 2 + 1 + 3 + 3 + 1 + 2
    assert {(line.reached, line.holds) for line in lines} == {("not measured", None)}
    assert list(tmp_path.iterdir()) == []


def replayed(folder: Path, rows: pd.DataFrame, asked: str) -> None:
    """What a replay of the present code leaves behind."""
    folder.mkdir(parents=True)
    rows.to_parquet(folder / "alerts.parquet")
    pd.DataFrame({"score": [1.0]}).to_parquet(folder / replay.SCORES)
    (folder / replay.ASKED).write_text(asked)
    record = Record(replay.fingerprint(asked), 12.0, 100, "2026-01-01", 0.5)
    (folder / replay.SCORES).with_suffix(".json").write_text(json.dumps(asdict(record)))


def test_figures_of_replays_are_kept_and_said_again_without_them(tmp_path: Path) -> None:
    work, root = tmp_path / "work", tmp_path / "kept"
    name = "quiet-100"
    replayed(quiet.folder(name, work), alerts(("2024-12-01", "SPIKE", "x", ["d"]), ("2024-12-02", "EMERGING", "x", ["d"])), "asked")
    storm = alerts(("2011-08-28", "SPIKE", boston.TREES, ["d1", "d2"]), ("2011-08-03", "SPIKE", "x", ["d1"]))
    storm["raised_at"] = pd.to_datetime(["2011-08-28 12:30", "2011-08-03 12:00"], utc=True)
    replayed(boston.folder(work), storm, "the storm")
    burst = pd.DataFrame({"district": ["01"], "category": ["x"], "onset": [pd.Timestamp("2025-05-01 09:20")], "ratio": [5], "tickets": [9]})
    replayed(hourly.folder(work), alerts(("2025-05-01", "SPIKE", "x", ["02"])), "bursts")
    burst.to_csv(work / hourly.FOLDER / "truth.csv", index=False)
    before = results.collect(work, root)
    lines = results.bars_of(before)
    assert {line.what for line in lines if line.holds is not None} == {
        "quiet-100: false alerts a day by the budget of 1.5",
        *(line.what for line in lines if line.what.startswith("Boston 2011")),
        next(line.what for line in lines if line.what.startswith("bursts")),
    }
    results.keep(before, root)
    shutil.rmtree(work)
    assert results.bars_of(results.collect(work, root)) == lines
    request = replay.Request(tmp_path, "2024-01-01", "2024-12-31", inputs="inputs")
    assert not results.is_kept(name, [request], root, work)
    replayed(quiet.folder(name, work), alerts(("2024-12-01", "SPIKE", "x", ["d"])), request.asked)
    results.keep(results.collect(work, root), root)
    assert results.is_kept(name, [request], root, work)


def test_figures_of_other_code_are_said_and_hold_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, root, name = tmp_path / "work", tmp_path / "kept", "quiet-100"
    replayed(quiet.folder(name, work), alerts(("2024-12-01", "SPIKE", "x", ["d"])), "asked")
    results.keep(results.collect(work, root), root)
    monkeypatch.setattr(replay, "engine", lambda *_: "other")
    for place in (work, tmp_path / "nowhere"):
        (line,) = [line for line in results.bars_of(results.collect(place, root)) if line.what.startswith(name)]
        assert line.holds is None
        assert line.reached.startswith("not measured with the present code; before: 0.00 (")
