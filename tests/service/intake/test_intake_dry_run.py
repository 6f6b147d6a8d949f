"""What a dry run says."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from processes import Bench
from sqlalchemy import Engine

from forecasting.errors import InputError
from service.clock import Clock, parse_as_of
from service.intake.dry_run import Finding, examine, report
from service.intake.ingest import ingest
from service.intake.mapping import Mapping
from service.intake.nodes import Nodes
from service.store import areas, categories
from service.store.engine import reading

BEIJING = ZoneInfo("Asia/Shanghai")
CLOCK = Clock(BEIJING, parse_as_of("2024-02-01", BEIJING))
EXPORT = (
    "东城区12345工单,,,,,,,\n"
    "工单编号,工单类型,来电时间,来电人,主要内容,被反映区,问题分类,企业名称\n"
    "A1,投诉,2024/1/5 8:05,张三,冷,东城区,公共服务->供热,\n"
    "A2,咨询,2024/1/5 8:06,李四,冷,东城区,公共服务->供热,\n"
    "A3,投诉,soon,王五,冷,西城区,公共服务->供热,\n"
    "A4,投诉,2024/1/7 8:05,王五,冷,,公共服务->供水,\n"
    "A4,投诉,2024/1/7 8:05,王五,冷,,公共服务->供水,\n"
    "A5,投诉,2024/3/1 8:05,王五,冷,南城区,新类,\n"
    "A6,投诉\n"
    "A7,投诉,later,王五,冷,西城区,公共服务->供热,\n"
)


def _export(folder: Path) -> Path:
    path = folder / "a.csv"
    path.write_text(EXPORT, encoding="gb18030")
    return path


def _examine(path: Path, mapping: Mapping | None = None) -> Finding:
    return examine(path, CLOCK, Nodes.empty(), Nodes.empty(), mapping)


def test_it_says_how_an_export_is_understood_and_what_becomes_of_its_rows(folder: Path) -> None:
    assert report(_examine(_export(folder))).splitlines() == [
        "a.csv",
        "  read as    tickets; CSV; gb18030; separated by ','; header in line 2; export of 12345 hotline",
        "  columns    ticket_id ← 工单编号, created_at ← 来电时间, district ← 被反映区, category ← 问题分类, ticket_type ← 工单类型",
        "  not read   来电人 (personal)",
        "  not read   主要内容 (free text)",
        "  not read   企业名称 (not needed)",
        "  rows       8: 3 would be taken (1 of them name a ticket once more), 1 left out as no demand, 1 later than the clock, 3 rejected",
        "  days       2024-01-05 to 2024-01-07 in Asia/Shanghai; with the time of day",
        "  districts  2: 东城区 1; 2 rows name none; 2 codes would be new (with their upper levels)",
        "  categories 2: 公共服务->供水 2, 公共服务->供热 1; 3 codes would be new (with their upper levels)",
        "  rejected   2 rows: created_at is no moment (first in line 5)",
        "  rejected   1 rows: has 2 cells instead of 8 (first in line 9)",
    ]


def test_it_counts_exactly_what_an_ingest_does(engine: Engine, folder: Path) -> None:
    found, done = _examine(_export(folder)), ingest(engine, folder / "a.csv", CLOCK)
    assert (found.rows, found.left_out, found.later, found.rejected) == (done.rows, done.left_out, done.later, done.rejected)
    assert found.taken - found.repeated == done.added
    assert found.met == (len(done.new_areas), len(done.new_categories))
    with reading(engine) as conn:
        again = examine(folder / "a.csv", CLOCK, Nodes(areas.frame(conn)), Nodes(categories.frame(conn)))
    assert again.met == (0, 0)


def test_streets_are_summed_into_districts_and_dates_alone_are_told(folder: Path) -> None:
    path = folder / "a.parquet"
    rows = [("1", "2024-01-05", "D1", "S1", "X"), ("2", "2024-01-06", "D1", "S2", "X"), ("3", "2024-01-06", "D2", None, "X")]
    pd.DataFrame(rows, columns=["ticket_id", "created_at", "district", "street", "category"]).to_parquet(path)
    found = _examine(path)
    assert dict(found.districts) == {"D1": 2, "D2": 1}
    assert "dates only, without the time of day" in report(found)


@pytest.mark.parametrize(
    ("text", "kind", "taken"),
    [
        ("district,category,date,count,hour\nD,X,2024-01-05,3,9\nD,X,2024-01-05,x,10\n", "counts", 1),
        ("name,date,value\nrain,2024-01-05,3\nrain,soon,4\n", "drivers", 1),
        ("code,parent,level,zh,en\nD1,ALL,district,一,One\n", "areas", 1),
        ("code,parent,level,zh,en\nL,ALL,l1,类,Class\n", "categories", 1),
    ],
)
def test_other_tables_are_examined_as_well(folder: Path, text: str, kind: str, taken: int) -> None:
    path = folder / "a.csv"
    path.write_text(text, encoding="utf-8")
    found = _examine(path)
    assert (found.kind, found.taken, found.rejected) == (kind, taken, found.rows - taken)
    assert report(found).startswith(f"a.csv\n  read as    {kind}; CSV; utf-8")


def test_a_city_table_with_a_wrong_row_is_refused_as_by_an_ingest(folder: Path) -> None:
    path = folder / "a.csv"
    path.write_text("code,parent,level,zh,en\nS1,D9,street,一,One\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2"):
        _examine(path)


def test_the_command_prints_it_and_writes_nothing(bench: Bench) -> None:
    _export(bench.folder)
    (bench.folder / "m.yaml").write_text("leave_out: {被反映区: 东城区}\nnot_demand: []\n", "utf-8")
    done = bench.run("ingest", "a.csv", "--dry-run", "--mapping", "m.yaml", as_of="2024-01-31")
    assert (done.returncode, done.stderr) == (0, "")
    assert "rows       8: 2 would be taken (1 of them name a ticket once more), 2 left out" in done.stdout
    assert sorted(path.name for path in bench.folder.iterdir()) == ["a.csv", "m.yaml"]


def test_the_command_says_what_an_ingest_would_refuse_and_ends_with_2(bench: Bench) -> None:
    (bench.folder / "a.csv").write_text("ticket_id,created_at,district,category\n1,soon,D,X\n")
    done = bench.run("ingest", "a.csv", "--dry-run")
    assert done.returncode == 2
    assert "1 rows: created_at is no moment (first in line 2)" in done.stdout
    assert "all 1 rows are wrong" in done.stderr
    assert bench.run("ingest", "a.csv", "--mapping", "none.yaml").returncode == 2


def test_types_that_are_no_demand_are_a_setting(bench: Bench) -> None:
    _export(bench.folder)
    done = bench.run("ingest", "a.csv", as_of="2024-01-31", not_demand='["投诉"]')
    assert done.returncode == 0
    assert "1 new" in done.stderr
    assert "6 rows left out as no demand" in done.stderr
