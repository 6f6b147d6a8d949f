"""What models see: history in today's codes, excluded spans missing, tickets filed under an inner category counted once."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from forecasting.errors import InputError
from forecasting.intraday import Profiles
from service.jobs import knowledge
from service.settings import Settings
from service.store import areas, bulk, categories, category_map, counts, drivers, excluded_spans, ingests
from service.store.engine import reading, writing

START, DAYS = date(2025, 1, 1), 40
NOW = datetime(2025, 3, 1, tzinfo=UTC)
LAST = START + timedelta(days=DAYS - 1)


@pytest.fixture
def city(engine: Engine) -> Engine:
    """Forty days: 10 PROP and 2 PARK a day in D1, 4 tickets a day under the first level HOUSING itself in D2."""
    with writing(engine) as conn:
        areas.join(conn, {"D1": "ALL", "D2": "ALL"}, NOW)
        categories.join(conn, {"PROP": "HOUSING", "ELEV": "HOUSING", "PARK": "TRAFFIC"}, NOW)
        cells = [("D1", "PROP", 10), ("D1", "PARK", 2), ("D2", "HOUSING", 4)]
        days = pd.date_range(START, periods=DAYS, tz="Asia/Shanghai")
        frame = pd.DataFrame([(a, c, day, n) for a, c, n in cells for day in days], columns=["area", "category", "hour", "count"])
        local = frame["hour"].dt.tz_localize(None).astype(bulk.DAY)
        frame = frame.assign(day=local, hour=frame["hour"].dt.tz_convert("UTC").astype(bulk.UTC_MOMENT))
        frame = frame.assign(received_at=frame["hour"] + timedelta(days=1))
        counts.set_baseline(conn, ingests.begin(conn, "counts", "counts.csv", NOW, note=counts.WHOLE_DAYS), frame, NOW)
    return engine


def seen(engine: Engine, folder: Path, until: date = LAST, as_filed: bool = False) -> dict[tuple[str, str], np.ndarray]:
    with reading(engine) as conn:
        panel = knowledge.known(conn, Settings(data_dir=folder), until, as_filed).panel
    return dict(zip(zip(panel.series["area"], panel.series["category"], strict=True), panel.counts, strict=True))


def recode(engine: Engine, day: int, share: float) -> None:
    with writing(engine) as conn:
        when = pd.Series([pd.Timestamp(START) + timedelta(days=day)], dtype=bulk.DAY)
        table = pd.DataFrame({"old": ["PROP"], "new": ["ELEV"], "valid_from": when, "share": [share]})
        category_map.put(conn, table, ingests.begin(conn, "category_map", "category_map.csv", NOW))


def test_history_is_seen_in_todays_codes_and_stays_stored_as_filed(city: Engine, folder: Path) -> None:
    recode(city, 20, 0.3)
    found = seen(city, folder)
    np.testing.assert_allclose(found["D1", "ELEV"], [3.0] * 20 + [0.0] * 20)
    np.testing.assert_allclose(found["D1", "PROP"], [7.0] * 20 + [10.0] * 20)
    assert set(seen(city, folder, as_filed=True)) == {("D1", "PROP"), ("D1", "PARK"), ("D2", "HOUSING->*")}
    with reading(city) as conn:
        assert counts.daily(conn, categories=["ELEV"]).empty
        assert counts.daily(conn, categories=["PROP"])["count"].eq(10).all()


def test_a_recoding_to_come_is_not_seen_before_its_eve(city: Engine, folder: Path) -> None:
    recode(city, 20, 1.0)
    assert ("D1", "ELEV") not in seen(city, folder, START + timedelta(days=18))
    found = seen(city, folder, START + timedelta(days=19))
    assert ("D1", "PROP") not in found
    np.testing.assert_allclose(found["D1", "ELEV"], [10.0] * 20)


def test_a_driver_of_what_is_no_district_is_no_weather_of_the_city(city: Engine, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    days = pd.Series(pd.date_range(START, periods=2), dtype=bulk.DAY)
    rows = pd.concat([pd.DataFrame({"name": "t", "date": days, "value": v, "district": d}) for d, v in (("D1", 10.0), ("999999", 1000.0))])
    rows = rows.assign(issued_at=(rows["date"] + timedelta(days=1)).dt.tz_localize("UTC").astype(bulk.UTC_MOMENT), observed=True)
    with writing(city) as conn:
        drivers.put(conn, rows, ingests.begin(conn, "drivers", "drivers.csv", NOW))
    with reading(city) as conn:
        weather = knowledge.known(conn, Settings(data_dir=folder), LAST).drivers
    assert weather is not None
    assert weather.observed[0, 0, :2].tolist() == [10, 10]
    note = next(record for record in caplog.records if record.message == "drivers.left_out")
    assert (vars(note)["areas"], vars(note)["rows"]) == (["999999"], 2)


def test_weather_that_was_there_before_its_district_is_found_by_code_or_label(city: Engine, folder: Path) -> None:
    days = pd.Series(pd.date_range(START, periods=3), dtype=bulk.DAY)
    given = (("东城区", days, 10.0), ("D2", days, 20.0), ("D1", days[:1], 15.0))  # D1 was delivered again, by its code, for one day
    rows = pd.concat([pd.DataFrame({"name": "t", "date": when, "value": v, "district": d}) for d, when, v in given])
    rows = rows.assign(issued_at=(rows["date"] + timedelta(days=1)).dt.tz_localize("UTC").astype(bulk.UTC_MOMENT), observed=True)
    table = pd.DataFrame({"code": ["D1", "D2"], "parent": "ALL", "level": "district", "zh": ["东城区", "西城区"], "en": ["East", "West"]})
    with writing(city) as conn:
        drivers.put(conn, rows, ingests.begin(conn, "drivers", "drivers.csv", NOW))
        areas.put(conn, table, NOW)
    with reading(city) as conn:
        weather = knowledge.known(conn, Settings(data_dir=folder), LAST).drivers
    assert weather is not None
    assert weather.areas == ("ALL", "D1", "D2")
    assert weather.observed[0, 1:, :3].tolist() == [[15, 10, 10], [20, 20, 20]]


def test_excluded_days_are_missing_and_others_stay(city: Engine, folder: Path) -> None:
    with writing(city) as conn:
        days = pd.Series([pd.Timestamp(START) + timedelta(days=5)], dtype=bulk.DAY)
        table = pd.DataFrame({"start": days, "end": days + timedelta(days=2), "area": ["D1"], "category": ["HOUSING"], "reason": ["outage"]})
        excluded_spans.put(conn, table, ingests.begin(conn, "excluded_spans", "excluded_spans.csv", NOW))
    found = seen(city, folder)
    assert np.flatnonzero(np.isnan(found["D1", "PROP"])).tolist() == [5, 6, 7]
    assert not np.isnan(found["D1", "PARK"]).any()
    assert not np.isnan(found["D2", "HOUSING->*"]).any()


def test_tickets_of_an_inner_category_count_once_and_have_a_name(city: Engine, folder: Path) -> None:
    with reading(city) as conn:
        known = knowledge.known(conn, Settings(data_dir=folder), LAST)
        labels = knowledge.labels(conn)
    totals = dict(zip(zip(known.hierarchy.nodes["area"], known.hierarchy.nodes["category"], strict=True), known.counts[:, 0], strict=True))
    assert (totals["ALL", "HOUSING"], totals["ALL", "ALL"]) == (14, 16)
    assert labels.zh["category", "HOUSING->*"] == "HOUSING(未细分)"
    assert labels.en["category", "HOUSING->*"] == "HOUSING (no detail)"


def test_a_category_that_moves_takes_its_history_along(city: Engine, folder: Path) -> None:
    with writing(city) as conn:
        node = pd.DataFrame({"code": ["PROP"], "parent": ["TRAFFIC"], "level": ["l2"], "zh": ["物业"], "en": ["Property"]})
        categories.put(conn, node, NOW)
    with reading(city) as conn:
        known = knowledge.known(conn, Settings(data_dir=folder), LAST)
    nodes = known.hierarchy.nodes
    row = nodes.index[(nodes["area"] == "D1") & (nodes["category"] == "TRAFFIC")][0]
    assert (known.counts[row] == 12).all()


def hourly(engine: Engine, zone: str, hours: dict[str, list[int]], days: pd.DatetimeIndex) -> None:
    """Brings 30 tickets an hour of each category, in D1, at these hours of the city's clock."""
    local = pd.DataFrame([(c, day + pd.Timedelta(hours=h)) for c, at in hours.items() for h in at for day in days], columns=["category", "local"])
    moment = local["local"].dt.tz_localize(zone).dt.tz_convert("UTC").astype(bulk.UTC_MOMENT)
    frame = local.assign(area="D1", day=local["local"].dt.normalize().astype(bulk.DAY), hour=moment, count=30, received_at=moment)
    with writing(engine) as conn:
        areas.join(conn, {"D1": "ALL"}, NOW)
        categories.join(conn, {"PROP": "HOUSING", "ELEV": "HOUSING", "PARK": "TRAFFIC"}, NOW)
        counts.set_baseline(conn, ingests.begin(conn, "counts", "counts.csv", NOW), frame.drop(columns="local"), NOW)


def profiles(engine: Engine, folder: Path, zone: str, until: date = LAST) -> Profiles | None:
    settings = Settings(data_dir=folder, timezone=zone, country="none")
    with reading(engine) as conn:
        return knowledge.profiles(conn, settings, knowledge.known(conn, settings, until))


def peak(made: Profiles | None, category: str) -> int:
    assert made is not None
    return int(made.shares[list(made.paths).index(category), 0].argmax())


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York", "Australia/Lord_Howe"])
def test_hours_are_those_of_the_city_s_clock_also_when_it_is_shifted(engine: Engine, folder: Path, zone: str) -> None:
    hourly(engine, zone, {"PROP": [9], "PARK": [20]}, pd.date_range("2025-02-10", "2025-04-20"))
    made = profiles(engine, folder, zone, date(2025, 4, 20))
    assert (peak(made, "PROP"), peak(made, "PARK")) == (9, 20)
    assert made is not None
    assert made.shares[:, 0].max(axis=1).min() > 0.8, "no hour slipped into its neighbour"


def test_hours_are_told_in_todays_codes(engine: Engine, folder: Path) -> None:
    hourly(engine, "Asia/Shanghai", {"PROP": [15], "HOUSING": [9]}, pd.date_range(START, periods=DAYS))
    recode(engine, 60, 1.0)
    made = profiles(engine, folder, "Asia/Shanghai", START + timedelta(days=DAYS - 1))
    assert (peak(made, "PROP"), peak(made, "HOUSING->*")) == (15, 9)
    recode(engine, 20, 1.0)
    assert peak(profiles(engine, folder, "Asia/Shanghai"), "ELEV") == 15


def test_hours_after_the_cutoff_are_not_known(engine: Engine, folder: Path) -> None:
    days = pd.date_range(START, periods=DAYS)
    hourly(engine, "Asia/Shanghai", {"PROP": [9]}, days)
    before = profiles(engine, folder, "Asia/Shanghai")
    hourly(engine, "Asia/Shanghai", {"PROP": [20]}, days + pd.Timedelta(days=DAYS))
    after = profiles(engine, folder, "Asia/Shanghai")
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(before.shares, after.shares)


def test_days_on_which_the_whole_city_is_excluded_teach_no_hours(engine: Engine, folder: Path) -> None:
    days = pd.date_range(START, periods=DAYS)
    hourly(engine, "Asia/Shanghai", {"PROP": [9]}, days[:19])
    hourly(engine, "Asia/Shanghai", {"PROP": [20]}, days[19:])
    assert peak(profiles(engine, folder, "Asia/Shanghai"), "PROP") == 20
    with writing(engine) as conn:
        span = {"start": days[19:20], "end": days[-1:], "area": ["ALL"], "category": ["ALL"], "reason": ["lockdown"]}
        table = pd.DataFrame(span).astype({"start": bulk.DAY, "end": bulk.DAY})
        excluded_spans.put(conn, table, ingests.begin(conn, "excluded_spans", "excluded_spans.csv", NOW))
    assert peak(profiles(engine, folder, "Asia/Shanghai"), "PROP") == 9


def test_counts_by_whole_days_tell_no_hours(city: Engine, folder: Path) -> None:
    assert profiles(city, folder, "Asia/Shanghai") is None


def test_an_empty_store_says_what_to_do(engine: Engine, folder: Path) -> None:
    with reading(engine) as conn, pytest.raises(InputError, match="load some with `weisu ingest FILE`"):
        knowledge.complete_until(conn, Settings(data_dir=folder, as_of="2025-03-01").clock)
