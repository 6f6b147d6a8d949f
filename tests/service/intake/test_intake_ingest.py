import csv
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, func, select

import service
from forecasting.errors import InputError
from service.clock import Clock, parse_as_of
from service.intake.ingest import STALE_AFTER, ingest, recover
from service.intake.work import Report
from service.store import areas, categories, counts, drivers, ingests
from service.store import tickets as store
from service.store.engine import open_engine, reading, writing
from service.store.schema import count_changes, staged_tickets, tickets

ROOT = Path(service.__file__).parents[1]
BEIJING, BOSTON = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")
CLOCK = Clock(BEIJING, parse_as_of("2024-02-01T12:00", BEIJING))
HEADER = "ticket_id,created_at,district,category"


def _csv(folder: Path, text: str, name: str = "tickets.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_text(text, encoding=encoding)
    return path


def _daily(engine: Engine) -> list[tuple[str, str, str, int]]:
    with reading(engine) as conn:
        return [(r.area, r.category, str(r.date.date()), r.count) for r in counts.daily(conn).itertuples(index=False)]


def _everything(engine: Engine) -> list[object]:
    with reading(engine) as conn:
        return [
            sorted(map(tuple, conn.execute(select(*(c for c in tickets.c if c.name != "ingest_id")))), key=str),
            _daily(engine),
            conn.execute(select(func.count()).select_from(count_changes)).scalar(),
            conn.execute(select(func.count()).select_from(staged_tickets)).scalar(),
            areas.frame(conn)["code"].tolist(),
            categories.frame(conn)["code"].tolist(),
        ]


def _numbers(report: Report) -> dict[str, int]:
    names = ("rows", "added", "changed", "unchanged", "rejected", "later")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def test_tickets_are_stored_and_counted_by_local_day(engine: Engine, folder: Path) -> None:
    path = _csv(folder, f"{HEADER}\n1,2024-01-05 00:00:00,D1,X\n2,2024-01-04T16:00:00Z,D1, X \n3,2024-01-05 23:59,,Y\n")
    report = ingest(engine, path, CLOCK)
    assert _daily(engine) == [("D1", "X", "2024-01-05", 2), ("UNKNOWN", "Y", "2024-01-05", 1)]
    assert (report.kind, report.name, _numbers(report)) == ("tickets", "tickets.csv", {"rows": 3, "added": 3})
    assert (report.first_day, report.last_day) == (date(2024, 1, 5), date(2024, 1, 5))
    assert (report.new_areas, report.new_categories, report.rejects_path) == (("D1", "UNKNOWN"), ("X", "Y"), None)
    with reading(engine) as conn:
        row = conn.execute(select(tickets).where(tickets.c.ticket_id == "3")).one()
        stored = ingests.get(conn, report.ingest_id)
    assert (row.source, row.hour, row.received_at) == ("hotline", datetime(2024, 1, 5, 15, tzinfo=UTC), datetime(2024, 1, 5, 15, 59, tzinfo=UTC))
    assert (stored.status, stored.rows, stored.totals.added, len(stored.sha256 or "")) == ("done", 3, 3, 64)


def test_the_same_file_again_changes_nothing(engine: Engine, folder: Path) -> None:
    path = _csv(folder, f"{HEADER}\n" + "".join(f"{i},2024-01-{i % 28 + 1:02},D{i % 3},X\n" for i in range(200)))
    ingest(engine, path, CLOCK)
    before = _everything(engine)
    report = ingest(engine, path, CLOCK)
    assert _numbers(report) == {"rows": 200, "unchanged": 200}
    assert report.new_areas == ()
    assert _everything(engine) == before


def test_wrong_rows_are_listed_with_line_and_reason_and_nothing_personal(engine: Engine, folder: Path) -> None:
    text = (
        "ticket_id,created_at,来电人,district,category\n"
        "1,2024-01-05,张三,D1,X\n"
        ",2024-01-05,李四,D1,X\n"
        "=3,soon,王五,D1,X\n"
        "4,2024-01-05,赵六,D1,\n"
        "5,2024-01-05\n"
        "6,1900-01-05,钱七,D1,X\n"
        "7,2024-01-05,孙八,D1,ALL\n"
    )
    report = ingest(engine, _csv(folder, text), CLOCK, rejects_dir=folder / "rejects")
    assert _numbers(report) == {"rows": 7, "added": 1, "rejected": 6}
    assert report.rejects_path == folder / "rejects" / f"rejects-{report.ingest_id}.csv"
    with report.rejects_path.open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file)) == [
            ["line", "reason", "ticket_id"],
            ["3", "no ticket_id", ""],
            ["4", "created_at is no moment", "'=3"],
            ["5", "no category", "4"],
            ["6", "has 2 cells instead of 5", ""],
            ["7", "created_at lies before 1990", "6"],
            ["8", "no category", "7"],
        ]


def test_what_the_clock_has_not_reached_is_left_out_and_adds_no_area(engine: Engine, folder: Path) -> None:
    text = (
        "ticket_id,created_at,district,category,received_at,updated_at\n"
        "1,2024-02-01 11:59,D1,X,,2024-02-03\n"
        "2,2024-02-01 12:01,D2,Y,,\n"
        "3,2024-01-31,D3,Z,2024-02-02,\n"
    )
    path = _csv(folder, text)
    report = ingest(engine, path, CLOCK)
    assert _numbers(report) == {"rows": 3, "added": 1, "later": 2}
    assert (report.new_areas, report.new_categories) == (("D1",), ("X",))
    with reading(engine) as conn:
        assert conn.execute(select(tickets.c.updated_at)).scalar_one() is None
    later = Clock(BEIJING, parse_as_of("2024-03-01", BEIJING))
    assert _numbers(ingest(engine, path, later)) == {"rows": 3, "added": 2, "changed": 1}


def test_a_file_all_of_whose_rows_are_later_is_no_error(engine: Engine, folder: Path) -> None:
    report = ingest(engine, _csv(folder, f"{HEADER}\n1,2025-01-01,D1,X\n"), CLOCK)
    assert _numbers(report) == {"rows": 1, "later": 1}
    assert (report.first_day, report.last_day) == (None, None)


def test_beijing_exports_are_read_with_their_paths_and_streets(engine: Engine, folder: Path) -> None:
    text = (
        "北京12345工单导出,,,,,,,\n"
        "工单编号,来电时间,来电人,主要内容,被反映区,被反映街乡镇,问题分类,办结时间\n"
        'GD1,2024/1/5 8:05,张三,"停车,太乱\n请管管 13800000000",东城区,景山街道,住房城乡建设->物业管理->停车管理,2024/1/6 9:00\n'
        "GD2,2024/1/5 9:05,李四,冷,西城区,,公共服务->供热,\n"
        "GD3,45296.5,王五,冷,,,公共服务->供热,\n"
    )
    path = _csv(folder, text, encoding="gb18030")
    report = ingest(engine, path, CLOCK)
    assert _numbers(report) == {"rows": 3, "added": 3}
    assert sorted(_daily(engine)) == [
        ("UNKNOWN", "公共服务->供热", "2024-01-05", 1),
        ("景山街道", "住房城乡建设->物业管理->停车管理", "2024-01-05", 1),
        ("西城区", "公共服务->供热", "2024-01-05", 1),
    ]
    with reading(engine) as conn:
        parents = categories.frame(conn).set_index("code")["parent"].to_dict()
        districts = counts.by_district(conn)["district"].tolist()
    assert parents["住房城乡建设->物业管理->停车管理"] == "住房城乡建设"
    assert parents["住房城乡建设"] == "ALL"
    assert sorted(districts) == ["UNKNOWN", "东城区", "西城区"]


def test_beijing_exports_with_a_column_for_each_level_give_the_same_categories(engine: Engine, folder: Path) -> None:
    text = (
        "受理编号,创建时间,所在区,一级分类,二级分类,三级分类\n"
        "A,2024-01-05,东城区,住房,物业,停车\n"
        "B,2024-01-05,东城区,住房,,\n"
        "C,2024-01-05,东城区,,,\n"
    )
    report = ingest(engine, _csv(folder, text), CLOCK)
    assert _numbers(report) == {"rows": 3, "added": 2, "rejected": 1}
    assert [row[1] for row in _daily(engine)] == ["住房", "住房->物业->停车"]


def test_boston_exports_are_read_in_bostons_time(engine: Engine, folder: Path) -> None:
    text = (
        "case_enquiry_id,open_dt,closed_dt,case_status,subject,reason,type,neighborhood,latitude,longitude,source\n"
        "101,2011-08-28 23:59:59,,Open,Public Works,Highway,Pothole,Allston,42.3,-71.1,Constituent Call\n"
        "102,2011-08-29 00:00:00,,Open,Public Works,Highway,Pothole,Allston,42.3,-71.1,Self Service\n"
        "103,2011-03-13 02:30:00,2011-03-14,Closed,Parks,Trees,Pothole, ,,,\n"
    )
    clock = Clock(BOSTON, parse_as_of("2011-08-29T00:00-04:00", BOSTON))
    report = ingest(engine, _csv(folder, text), clock)
    assert _daily(engine) == [
        ("UNKNOWN", "Pothole", "2011-03-13", 1),
        ("Allston", "Pothole", "2011-08-28", 1),
        ("Allston", "Pothole", "2011-08-29", 1),
    ]
    with reading(engine) as conn:
        rows = {row.ticket_id: row for row in conn.execute(select(tickets))}
        assert categories.frame(conn).set_index("code").loc["Pothole", "parent"] == "Public Works"
    assert rows["103"].created_at == datetime(2011, 3, 13, 7, tzinfo=UTC)
    assert [rows[name].source for name in ("101", "103")] == ["hotline", "hotline"]
    assert (rows["101"].lat, rows["103"].lat, rows["103"].status) == (42.3, None, "Closed")
    assert report.later == 0


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "nothing,here\n1,2\n", "no column of it is known"),
        ("a.csv", f"{HEADER}\n", "rows"),
        ("a.csv", f"{HEADER}\n,x,D,X\n1,x,D,X\n", "all 2 rows are wrong (line 2: no ticket_id)"),
        ("a.csv", "name,date,value\nrain,2024-01-05,wet\n", "all 1 rows are wrong (line 2: value is no number)"),
        ("a.csv", "district,category,date,count\nD,X,2024-01-05,-1\n", "all 1 rows are wrong (line 2: count is no whole number"),
        ("a.csv", "code,parent,level,zh,en\nD1,ALL,street,a,a\nD1,ALL,street,a,a\n", "line 3: the code is named twice"),
        ("a.csv", "code,parent,level,zh,en\nD1,ALL,village,a,a\n", "line 2: level is none of"),
        ("a.csv", "code,parent,level,zh,en\nS1,D9,street,a,a\n", "line 2: the parent is no code of level district"),
        ("a.csv", "code,parent,level,zh,en\nD1,D2,district,a,a\n", "line 2: the parent of a node of level district is ALL"),
        ("a.csv", "code,parent,level,zh,en,population\nD1,ALL,district,a,a,many\n", "line 2: population is no number"),
        ("a.csv", "code,parent,level,zh,en,safety\nX,ALL,l1,a,a,maybe\n", "line 2: safety is neither"),
        ("a.csv", "code,parent,level,zh,en\nX,ALL,l1\n", "line 2: has 3 cells instead of 5"),
    ],
)
def test_a_bad_file_changes_nothing_and_says_why_in_one_line(engine: Engine, folder: Path, name: str, content: str, says: str) -> None:
    before = _everything(engine)
    with pytest.raises(InputError) as caught:
        ingest(engine, _csv(folder, content, name), CLOCK)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert _everything(engine) == before
    with reading(engine) as conn:
        assert {one.status for one in ingests.list_recent(conn)} <= {"failed"}


def test_a_file_that_turns_out_to_be_damaged_half_way_changes_nothing(engine: Engine, folder: Path) -> None:
    path = folder / "a.parquet"
    frame = pd.DataFrame({"ticket_id": np.arange(4000), "created_at": "2024-01-05", "district": "D", "category": "X"})
    frame.to_parquet(path, row_group_size=1000)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 500] = bytes(500)
    path.write_bytes(content)
    before = _everything(engine)
    with pytest.raises(InputError, match="cannot be read"):
        ingest(engine, path, CLOCK)
    assert _everything(engine) == before
    with reading(engine) as conn:
        failed = ingests.list_recent(conn)[0]
    assert (failed.status, "cannot be read" in (failed.note or "")) == ("failed", True)


def test_progress_goes_up_to_the_number_of_rows(engine: Engine, folder: Path) -> None:
    path = folder / "a.parquet"
    pd.DataFrame({"ticket_id": range(150_000), "created_at": "2024-01-05", "district": "D", "category": "X"}).to_parquet(path)
    told: list[tuple[int, int | None]] = []
    ingest(engine, path, CLOCK, progress=lambda done, total: told.append((done, total)))
    assert len(told) > 4
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {total for _, total in told} == {150_000}
    assert told[-1] == (150_000, 150_000)


def test_counts_by_day_are_stored_and_a_day_that_is_not_over_is_left_out(engine: Engine, folder: Path) -> None:
    rows = ["D1,X,2024-01-30,5", "D1,X,2024-01-31,7", "D1,X,2024-02-01,3", ",X,2024-01-31,2", "D1,,2024-01-31,2", "D1,Y,2024-01-31,0.5"]
    path = _csv(folder, "\n".join(["district,category,date,count", *rows]))
    report = ingest(engine, path, CLOCK)
    assert (report.kind, _numbers(report)) == ("counts", {"rows": 6, "added": 3, "rejected": 2, "later": 1})
    assert sorted(_daily(engine)) == [("D1", "X", "2024-01-30", 5), ("D1", "X", "2024-01-31", 7), ("UNKNOWN", "X", "2024-01-31", 2)]
    before = _everything(engine)
    assert _numbers(ingest(engine, path, CLOCK)) == {"rows": 6, "unchanged": 3, "rejected": 2, "later": 1}
    assert _everything(engine) == before
    with reading(engine) as conn:
        assert counts.hourly(conn, date(2024, 1, 30), date(2024, 1, 31)).empty


def test_counts_by_hour_and_street_add_up_to_days(engine: Engine, folder: Path) -> None:
    frame = pd.DataFrame(
        {
            "district": ["D1", "D1", "D1", "D1"],
            "street": ["S1", "S1", None, "S1"],
            "category": "X",
            "date": pd.to_datetime(["2024-01-05", "2024-01-05", "2024-01-05", "2024-02-01"]),
            "hour": [8, 9, 23, 11],
            "count": [1, 2, 4, 8],
        }
    )
    frame.to_parquet(folder / "counts.parquet")
    report = ingest(engine, folder / "counts.parquet", CLOCK)
    assert report.new_areas == ("D1", "S1")
    assert sorted(_daily(engine)) == [("D1", "X", "2024-01-05", 4), ("S1", "X", "2024-01-05", 3), ("S1", "X", "2024-02-01", 8)]
    with reading(engine) as conn:
        hours = counts.hourly(conn, date(2024, 1, 5), date(2024, 1, 5))
    assert hours["hour"].dt.tz_convert(BEIJING).dt.hour.tolist() == [8, 9, 23]


def test_a_large_table_of_counts_is_stored_part_by_part(engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.intake.ingest.BASELINE_ROWS", 100)
    rng = np.random.default_rng(5)
    cells = pd.MultiIndex.from_product(
        [["D1", "D2"], ["X", "Y", "Z"], pd.date_range("2023-01-01", periods=90)], names=["district", "category", "date"]
    )
    frame = pd.DataFrame({"count": rng.poisson(3, len(cells))}, index=cells).reset_index().sample(frac=1, random_state=1)
    frame.to_parquet(folder / "counts.parquet")
    report = ingest(engine, folder / "counts.parquet", CLOCK)
    assert report.rows == len(frame)
    expected = Counter({(r.district, r.category, str(r.date.date())): r.count for r in frame.itertuples(index=False) if r.count})
    assert Counter({row[:3]: row[3] for row in _daily(engine)}) == expected


def test_driver_files_bring_observations_and_forecasts_as_they_were_known(engine: Engine, folder: Path) -> None:
    text = (
        "name,date,value,district,issued_at\n"
        "rain,2024-01-05,1.5,,\n"
        "rain,2024-02-03,2.5,东城区,2024-02-01 06:00\n"
        "rain,2024-02-01,9,,\n"  # observed: known only when the day is over
        "rain,2024-02-03,9,,2024-02-01 13:00\n"
        "rain,2024-01-06,,,\n"
        "rain,2024-01-06,1,,soon\n"
    )
    _csv(folder, "code,parent,level,zh,en\n110101,ALL,district,东城区,Dongcheng\n", "areas.csv")
    ingest(engine, folder / "areas.csv", CLOCK)
    path = _csv(folder, text, "drivers.csv")
    report = ingest(engine, path, CLOCK)
    assert (report.kind, _numbers(report)) == ("drivers", {"rows": 6, "added": 2, "rejected": 2, "later": 2})
    with reading(engine) as conn:
        frame = drivers.frame(conn, BEIJING)
    assert frame["value"].tolist() == [2.5, 1.5]
    assert frame["district"].tolist()[0] == "110101"
    assert [str(moment) for moment in frame["issued_at"]] == ["2024-02-01 06:00:00+08:00", "NaT"]
    assert _numbers(ingest(engine, path, CLOCK)) == {"rows": 6, "unchanged": 2, "rejected": 2, "later": 2}


def test_a_driver_of_what_is_no_district_is_rejected(engine: Engine, folder: Path) -> None:
    _csv(folder, "code,parent,level,zh,en\n110101,ALL,district,东城区,Dongcheng\n110101001,110101,street,东华门,Donghuamen\n", "areas.csv")
    rows = "".join(f"rain,2024-01-05,1.5,{district}\n" for district in ("999999", "110101001", "110101", "东城区", "ALL", ""))
    path = _csv(folder, "name,date,value,district\n" + rows, "drivers.csv")
    ingest(engine, folder / "areas.csv", CLOCK)
    report = ingest(engine, path, CLOCK, rejects_dir=folder)
    assert (report.rows, report.rejected, report.added) == (6, 2, 2)
    assert report.rejects_path is not None
    reasons = pd.read_csv(report.rejects_path)
    assert reasons["line"].tolist() == [2, 3]
    assert set(reasons["reason"]) == {"district is not known: load areas or tickets first"}
    with reading(engine) as conn:
        assert drivers.frame(conn)["district"].fillna("").tolist() == ["110101", ""]


def test_drivers_may_be_loaded_before_any_district_is_known(engine: Engine, folder: Path) -> None:
    rows = "rain,2024-01-05,1.5,110101\nrain,2024-01-05,2.5,东城区\nrain,2024-01-05,3.5,ALL\nrain,2024-01-05,3.5,\n"
    path = _csv(folder, "name,date,value,district\n" + rows, "early.csv")
    report = ingest(engine, path, CLOCK)
    assert (report.rows, report.rejected, report.added) == (4, 0, 3)
    with reading(engine) as conn:
        assert drivers.frame(conn)["district"].fillna("").tolist() == ["110101", "", "东城区"]


def test_a_citys_own_tables_are_told_apart_by_their_levels(engine: Engine, folder: Path) -> None:
    first = ingest(
        engine, _csv(folder, "code,parent,level,zh,en,population\nALL,,city,城,City,9\nD1,ALL,district,一,One,5\nS1,D1,street,街,,\n"), CLOCK
    )
    second = ingest(
        engine,
        _csv(folder, "code,parent,level,zh,en,lead_unit,safety\nL,ALL,l1,类,Class,,\nX,L,L2,项,Item,某局,是\n"),
        CLOCK,
    )
    assert (first.kind, second.kind, first.added, second.added) == ("areas", "categories", 3, 2)
    with reading(engine) as conn:
        assert areas.frame(conn)[["code", "en"]].to_numpy().tolist() == [["D1", "One"], ["S1", "S1"]]
        item = categories.frame(conn).set_index("code").loc["X"]
    assert (item["parent"], item["level"], item["lead_unit"], bool(item["safety"])) == ("L", "l2", "某局", True)
    report = ingest(engine, _csv(folder, f"{HEADER},street\n1,2024-01-05,一,项,街\n"), CLOCK)
    assert (report.new_areas, report.new_categories) == ((), ())
    assert _daily(engine) == [("S1", "X", "2024-01-05", 1)]


def test_what_a_dead_process_left_is_finished_if_it_was_whole_and_dropped_if_not(engine: Engine, folder: Path) -> None:
    path = _csv(folder, f"{HEADER}\n1,2024-01-05,D1,X\n")
    ingest(engine, path, CLOCK)
    staged = {"line": [2], "source": "hotline", "area": "D1", "category": "X", "day": pd.Timestamp("2024-01-06").as_unit("us")}
    moments = dict.fromkeys(("created_at", "hour", "received_at"), pd.Timestamp("2024-01-06T04:00Z").as_unit("us"))
    left: dict[str, int] = {}
    for name in ("whole", "part"):
        with writing(engine) as conn:
            left[name] = ingests.begin(conn, "tickets", f"{name}.csv", CLOCK.now())
            store.stage(conn, left[name], pd.DataFrame({**staged, **moments, "ticket_id": name}))
            if name == "whole":
                ingests.mark(conn, left[name], rows=1, rejected=0, later=0)
    assert recover(engine, CLOCK) == []  # they may still be at work
    afterwards = Clock(BEIJING, CLOCK.now() + STALE_AFTER)
    assert recover(engine, afterwards) == [left["whole"], left["part"]]
    with reading(engine) as conn:
        assert [ingests.get(conn, left[name]).status for name in ("whole", "part")] == ["done", "failed"]
        assert conn.execute(select(tickets.c.ticket_id).order_by(tickets.c.ticket_id)).scalars().all() == ["1", "whole"]
        assert conn.execute(select(func.count()).select_from(staged_tickets)).scalar() == 0
    assert recover(engine, afterwards) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from service.clock import Clock, parse_as_of
from service.intake.ingest import ingest
from service.store.engine import open_engine
from zoneinfo import ZoneInfo

zone = ZoneInfo("Asia/Shanghai")

def kill(done, total):
    if done >= int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

ingest(open_engine(sys.argv[1]), Path(sys.argv[2]), Clock(zone, parse_as_of("2024-02-01", zone)), kill)
"""


@pytest.mark.parametrize("rows_done", [70_000 // 2, 155_000 // 2], ids=["while it reads", "while it stores"])
def test_a_file_whose_ingest_was_killed_can_be_brought_in_again(
    engine: Engine, new_engine: Callable[[], Engine], folder: Path, rows_done: int
) -> None:
    path = folder / "a.parquet"
    hours = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(100_000) % 600, unit="h")
    names = np.array(["D1", "D2", "D3"])
    pd.DataFrame({"ticket_id": range(100_000), "created_at": hours, "district": names[np.arange(100_000) % 3], "category": "X"}).to_parquet(path)
    engine.dispose()
    command = [sys.executable, "-c", KILLED, str(engine.url), str(path), str(rows_done)]
    killed = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
    assert killed.returncode == -signal.SIGKILL

    survivor, once = open_engine(str(engine.url)), new_engine()
    with reading(survivor) as conn:
        assert ingests.list_recent(conn)[0].status in ("running", "applying")
    ingest(survivor, path, CLOCK)
    ingest(once, path, CLOCK)
    assert _daily(survivor) == _daily(once)
    with reading(survivor) as conn, reading(once) as other:
        same = select(func.count(), func.sum(count_changes.c.delta))
        assert conn.execute(same).one() == other.execute(same).one() == (100_000, 100_000)
    survivor.dispose()
    once.dispose()


def test_zero_bytes_in_a_file_of_tables_are_left_out(engine: Engine, folder: Path) -> None:
    frame = pd.DataFrame({"ticket_id": ["a\0", "b"], "created_at": "2024-01-05", "district": ["D\0", "E"], "category": ["X", "\0"]})
    frame.to_parquet(folder / "a.parquet")
    assert _numbers(ingest(engine, folder / "a.parquet", CLOCK)) == {"rows": 2, "added": 1, "rejected": 1}
    assert _daily(engine) == [("D", "X", "2024-01-05", 1)]
