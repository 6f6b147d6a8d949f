from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from sqlalchemy import Engine

from forecasting.errors import InputError
from service.store import areas, bulk, categories, day_scores, drivers, forecast_sets, ingests, runs
from service.store.engine import reading, writing
from service.store.ingests import Totals

NOW = datetime(2025, 1, 2, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def test_areas_met_for_the_first_time_join_under_their_parents(engine: Engine) -> None:
    with writing(engine) as conn:
        assert areas.join(conn, {"S1": "D1", "UNKNOWN": "ALL"}, NOW) == ["D1", "S1", "UNKNOWN"]
        assert areas.join(conn, {"S1": "D1", "S2": "D1"}, LATER) == ["S2"]
        frame = areas.frame(conn)
        assert frame[["code", "parent", "level", "zh"]].to_numpy().tolist() == [
            ["D1", "ALL", "district", "D1"],
            ["S1", "D1", "street", "S1"],
            ["S2", "D1", "street", "S2"],
            ["UNKNOWN", "ALL", "district", "未知"],
        ]
        assert list(areas.districts(conn)["code"]) == ["D1", "UNKNOWN"]


def test_categories_met_for_the_first_time_join_under_their_first_level_or_the_root(engine: Engine) -> None:
    with writing(engine) as conn:
        assert categories.join(conn, {"A->B": "A", "C": "ALL"}, NOW) == ["A", "A->B", "C"]
        frame = categories.frame(conn)
    assert frame[["code", "parent", "level"]].to_numpy().tolist() == [["A", "ALL", "l1"], ["A->B", "A", "l2"], ["C", "ALL", "l1"]]
    assert not frame["safety"].any()


def test_a_citys_table_replaces_labels_and_keeps_when_a_node_was_first_seen(engine: Engine) -> None:
    table = pd.DataFrame(
        {
            "code": ["ALL", "D1", "D2"],
            "parent": ["", "ALL", "ALL"],
            "level": ["city", "district", "district"],
            "zh": ["城", "一", "二"],
            "en": ["City", "One", "Two"],
            "population": pd.array([None, 5, None], dtype="Int64"),
        }
    )
    with writing(engine) as conn:
        areas.join(conn, {"D1": "ALL"}, NOW)
        assert areas.put(conn, table, LATER) == Totals(added=2, changed=1)
        assert areas.put(conn, table, LATER) == Totals(unchanged=3)
        frame = areas.frame(conn).set_index("code")
    assert list(frame.index) == ["D1", "D2"]
    assert list(frame["zh"]) == ["一", "二"]
    assert frame.loc["D1", "population"] == 5
    assert pd.isna(frame.loc["D2", "population"])
    assert list(frame["first_seen"]) == [pd.Timestamp(NOW), pd.Timestamp(LATER)]


def test_driver_values_come_back_as_forecasting_expects_them(engine: Engine) -> None:
    issued = datetime(2025, 1, 1, 22, tzinfo=UTC)
    values = pd.DataFrame(
        {
            "name": "rain",
            "date": pd.Series(["2025-01-01", "2025-01-03"], dtype="str").astype(bulk.DAY),
            "value": [1.0, 2.0],
            "district": pd.Series([None, "D1"], dtype="str"),
            "issued_at": pd.Series([datetime(2025, 1, 1, 16, tzinfo=UTC), issued], dtype=bulk.UTC_MOMENT),
            "observed": [True, False],
        }
    )
    with writing(engine) as conn:
        ingest = ingests.begin(conn, "drivers", "a.csv", NOW)
        assert drivers.put(conn, values, ingest) == Totals(added=2)
        assert drivers.put(conn, values.assign(value=[1.0, 3.0]), ingest) == Totals(changed=1, unchanged=1)
        frame = drivers.frame(conn, ZoneInfo("Asia/Shanghai"))
    assert list(frame.columns) == ["name", "date", "value", "district", "issued_at"]
    assert list(frame["value"]) == [1.0, 3.0]
    assert frame["district"].isna().tolist() == [True, False]
    assert pd.isna(frame["issued_at"].iloc[0])
    assert str(frame["issued_at"].iloc[1]) == "2025-01-02 06:00:00+08:00"


def test_the_scores_of_a_day_are_replaced_as_a_whole(engine: Engine) -> None:
    day = date(2025, 1, 1)
    scores = pd.DataFrame({"area": ["ALL", "D1"], "category": "ALL", "observed": [3, 2], "expected": [2.5, 1.5], "p_value": [0.4, 0.3], "pit": 0.5})
    with writing(engine) as conn:
        run = runs.start(conn, day, "test", NOW, timedelta(hours=1))
        made = forecast_sets.add(conn, run_id=run, mlflow_run_id=None, cutoff=day, horizon=7, issued_at=NOW, rows=1, blob=b"x")
        day_scores.put(conn, day, made, scores)
        day_scores.put(conn, day, made, scores[:1].assign(observed=9))
        day_scores.put(conn, day + timedelta(days=1), made, scores)
        frame = day_scores.read(conn, day, day)
        assert frame[["area", "observed", "forecast_set_id"]].to_numpy().tolist() == [["ALL", 9, made]]
        assert len(day_scores.read(conn, day, day + timedelta(days=1))) == 3
        assert len(day_scores.read(conn, day, day + timedelta(days=1), areas=["D1"])) == 1
        some = day_scores.of_nodes(conn, [day, day + timedelta(days=1)], ["D1", "ALL"], ["ALL"])
        assert list(some.columns) == ["date", "area", "category", "observed", "expected"]
        assert some[["area", "observed"]].to_numpy().tolist() == [["ALL", 9], ["ALL", 3], ["D1", 2]]
        assert len(day_scores.of_nodes(conn, [day], ["D1"], ["ALL"])) == len(day_scores.of_nodes(conn, [], ["ALL"], ["ALL"])) == 0


def test_ingests_are_listed_newest_first_page_by_page(engine: Engine) -> None:
    with writing(engine) as conn:
        first, second, third = (ingests.begin(conn, "tickets", f"{name}.csv", NOW, sha256=name) for name in "abc")
        assert [ingest.id for ingest in ingests.list_recent(conn, limit=2)] == [third, second]
        assert [ingest.id for ingest in ingests.list_recent(conn, limit=2, before_id=second)] == [first]
        assert ingests.newest_done(conn) is None
        ingests.mark(conn, second, rows=5, rejected=1, later=1)
        ingests.advance(conn, second, Totals(added=2))
        ingests.advance(conn, second, Totals(added=1, unchanged=0))
        ingests.finish(conn, second, LATER)
        ingests.finish(conn, third, LATER, ingests.FAILED, "broken")
        assert ingests.newest_done(conn) == second
        done = ingests.get(conn, second)
        assert (done.status, done.rows, done.totals, done.finished_at) == ("done", 5, Totals(added=3), LATER)
        assert ingests.get(conn, third).note == "broken"
        with pytest.raises(InputError, match="no ingest 99"):
            ingests.get(conn, 99)


def test_a_statement_over_an_empty_table_gives_typed_columns(engine: Engine) -> None:
    with reading(engine) as conn:
        assert areas.frame(conn).empty
        assert str(drivers.frame(conn)["date"].dtype) == "datetime64[us]"


def test_drivers_are_told_place_by_place_as_they_were_known(engine: Engine) -> None:
    day = date(2025, 1, 1)
    issues = [(NOW - timedelta(days=3), False), (NOW - timedelta(days=2), False), (NOW, True)]
    rows = [(name, day, None, value, *issue) for name in ("rain", "tmax") for value, issue in enumerate(issues)]
    values = pd.DataFrame(rows, columns=["name", "date", "district", "value", "issued_at", "observed"])
    values = values.assign(date=values["date"].astype(bulk.DAY), issued_at=values["issued_at"].astype(bulk.UTC_MOMENT), value=values["value"] * 1.0)
    with writing(engine) as conn:
        drivers.put(conn, values, ingests.begin(conn, "drivers", "a.csv", NOW))

    def told(moment: datetime, after: drivers.Place | None = None, **wanted: Any) -> list[tuple[str, float]]:
        with reading(engine) as conn:
            found = drivers.known(conn, drivers.Wanted(moment, **wanted), 10, after)
        return list(zip(found["name"], found["value"], strict=True))

    assert told(NOW) == [("rain", 2.0), ("tmax", 2.0)]
    assert told(NOW - timedelta(seconds=1)) == [("rain", 1.0), ("tmax", 1.0)]
    assert told(NOW - timedelta(days=4)) == []
    everything = told(NOW, newest=False)
    assert everything == [(name, value) for name in ("rain", "tmax") for value in (0.0, 1.0, 2.0)]
    assert told(NOW, ("rain", "ALL", day, NOW - timedelta(days=2), False), newest=False) == everything[2:]
    assert told(NOW, names=["tmax"], areas=["ALL"], start=day, end=day) == [("tmax", 2.0)]
    assert told(NOW, start=day + timedelta(days=1)) == told(NOW, areas=["x"]) == []
