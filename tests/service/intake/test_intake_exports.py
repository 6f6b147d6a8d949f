"""Exports of known systems, and the page that lists their headers."""

import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, select
from workbooks import write

import service
from forecasting.errors import InputError
from service.clock import Clock, parse_as_of
from service.intake import dry_run
from service.intake.columns import ALIASES, EXPORTS, KINDS, LONGEST, MAY_BE_CONSTANT, Export, recognise
from service.intake.ingest import ingest
from service.intake.mapping import KEYS, load
from service.intake.nodes import Nodes
from service.settings import NOT_DEMAND
from service.store import categories, counts
from service.store.engine import reading
from service.store.schema import tickets

PAGE = (Path(service.__file__).parents[1] / "docs" / "files.md").read_text("utf-8")
BEIJING, NEW_YORK, CHICAGO = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York"), ZoneInfo("America/Chicago")


def _clock(zone: ZoneInfo) -> Clock:
    return Clock(zone, parse_as_of("2026-01-01", zone))


def _stored(engine: Engine) -> dict[str, tuple[str, str, datetime]]:
    with reading(engine) as conn:
        return {row.ticket_id: (row.area, row.category, row.created_at) for row in conn.execute(select(tickets))}


def _parents(engine: Engine) -> dict[str, str]:
    with reading(engine) as conn:
        frame = categories.frame(conn)
    return dict(zip(frame["code"], frame["parent"], strict=True))


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.name)
def test_every_header_of_an_export_is_understood(export: Export, folder: Path) -> None:
    values = {
        "created_at": "2024-01-05 10:03:00",
        "received_at": "2024-01-05",
        "lat": "1",
        "lon": "2",
        "updated_at": "2024-01-06",
        "closed_at": "2024-01-06",
    }
    first = {ours: headers[0] for ours, headers in export.columns.items()}
    for ours, headers in export.columns.items():
        for header in headers:
            row = {first[name]: values.get(name, f"{name}!") for name in first if name != ours} | {header: values.get(ours, f"{ours}!")}
            row |= {"source": "s"}
            layout = recognise(list(row), "a.csv")
            assert layout.kind == "tickets"
            assert layout.export == export.name
            assert list(row)[layout.positions[ours]] == header
            path = folder / "a.csv"
            pd.DataFrame([row]).to_csv(path, index=False)
            found = dry_run.examine(path, _clock(BEIJING), Nodes.empty(), Nodes.empty())
            assert (found.taken, found.rejected) == (1, 0)


def test_an_export_of_12345_loads_with_levels_streets_and_without_consultations(engine: Engine, folder: Path) -> None:
    path = folder / "a.csv"
    path.write_text(
        "某区12345工单导出(2024年1月),,,,,,,\n"
        "工单编号,工单类型,来电人,来电人电话/账号,来电时间,被反映区,被反映街乡镇,问题分类\n"
        "A1,投诉,张三,13900000001,2024/1/5 8:05,东城区,景山街道,住房城乡建设->物业管理->停车管理\n"
        "A2,咨询,李四,13900000002,2024/1/5 8:06,东城区,景山街道,医疗卫生->政策咨询\n"
        "A3,求助,王五,13900000003,45296.5,西城区,,公共服务→供热\n"
        "A4, 咨询 ,赵六,13900000004,soon,,,\n",
        encoding="gb18030",
    )
    report = ingest(engine, path, _clock(BEIJING))
    assert (report.rows, report.added, report.left_out, report.rejected) == (4, 2, 2, 0)
    assert report.new_categories == ("住房城乡建设", "住房城乡建设->物业管理->停车管理", "公共服务", "公共服务->供热")
    assert _stored(engine)["A3"] == ("西城区", "公共服务->供热", datetime(2024, 1, 5, 4, tzinfo=UTC))


def test_a_ticket_that_is_retyped_to_a_consultation_leaves_the_counts(engine: Engine, folder: Path) -> None:
    def bring(*rows: str) -> tuple[int, int, int, int]:
        path = folder / "a.csv"
        path.write_text("\n".join(("工单编号,工单类型,来电时间,更新时间,被反映区,问题分类", *rows)), encoding="utf-8")
        report = ingest(engine, path, _clock(BEIJING))
        return report.added, report.changed, report.unchanged, report.left_out

    def counted() -> list[int]:
        with reading(engine) as conn:
            return list(counts.daily(conn)["count"])

    monday = ("A1,投诉,2024-01-05 08:00,2024-01-05 08:00,东城区,停车", "A2,投诉,2024-01-05 09:00,2024-01-05 09:00,东城区,停车")
    tuesday = ("A1,咨询,2024-01-05 08:00,2024-01-06 08:00,,", "A9,咨询,2024-01-05 08:00,2024-01-06 08:00,东城区,停车", ",咨询,soon,,,")
    assert bring(*monday) == (2, 0, 0, 0)
    assert bring(*tuesday) == (0, 1, 0, 2)
    assert counted() == [1]
    assert bring(*tuesday) == (0, 0, 0, 3)
    assert bring(*monday) == (0, 0, 2, 0)
    assert counted() == [1]
    assert bring("A1,求助,2024-01-05 08:00,2024-01-07 08:00,东城区,停车") == (0, 1, 0, 0)
    assert counted() == [2]


def test_a_ticket_whose_channel_is_corrected_is_the_same_ticket_and_two_systems_have_tickets_of_their_own(engine: Engine, folder: Path) -> None:
    path = folder / "a.csv"

    def bring(*sources: str) -> tuple[int, int]:
        rows = [f"{number},2024-01-05 08:00,A,B,{source}" for number, source in enumerate(sources)]
        path.write_text("\n".join(("case_enquiry_id,open_dt,neighborhood,type,source", *rows)), encoding="utf-8")
        report = ingest(engine, path, _clock(NEW_YORK))
        return report.added, report.unchanged

    assert bring("Constituent Call", "电话", "", "grid") == (4, 0)
    assert bring("Self Service", "微信", "TWITTER", "grid") == (0, 4)
    assert bring("grid", "Citizens Connect App") == (1, 1)
    with reading(engine) as conn:
        assert sorted(conn.execute(select(tickets.c.source)).scalars()) == ["grid", "grid", "hotline", "hotline", "hotline"]
    shown = dry_run.report(dry_run.examine(path, _clock(NEW_YORK), Nodes.empty(), Nodes.empty()))
    assert "sources    2: grid 1, hotline 1 (tickets of the same id are different ones in each" in shown


@pytest.mark.parametrize("kind", ["csv", "parquet", "dictionary"])
def test_a_name_that_no_index_takes_is_rejected_alone(engine: Engine, folder: Path, kind: str) -> None:
    rng = np.random.default_rng(0)  # what repeats itself would be compressed, and fit

    def name(size: int) -> str:
        return "".join(map(chr, rng.integers(0x4E00, 0x9000, size)))

    header = ["工单编号", "来电时间", "区县", "街乡镇", "一级分类", "二级分类"]
    usual = ["{}", "2024-01-05 08:00", "东城区", "景山街道", "住房", "停车"]
    rows = [[cell.format(number) for cell in usual] for number in range(6)]
    rows[0][0], rows[1][2], rows[2][3], rows[3][4] = name(3000), name(201), name(3000), name(3000)
    rows[4][4:] = name(150), name(150)
    rows[5][4:] = name(80), name(80)
    frame = pd.DataFrame(rows, columns=header)
    path = folder / ("a.csv" if kind == "csv" else "a.parquet")
    if kind == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.astype("category" if kind == "dictionary" else "str").to_parquet(path)
    report = ingest(engine, path, _clock(BEIJING), rejects_dir=folder)
    assert (report.added, report.rejected) == (1, 5)
    assert report.rejects_path is not None
    told = pd.read_csv(report.rejects_path)["reason"].tolist()
    assert told == [f"{ours} is longer than {LONGEST} characters" for ours in ("ticket_id", "district", "street", "path_1", "path_1")]


def test_an_export_of_nyc_311_loads(engine: Engine, folder: Path) -> None:
    path = folder / "a.csv"
    path.write_text(
        "Unique Key,Created Date,Closed Date,Agency,Complaint Type,Descriptor,Incident Address,Status,Community Board,Borough,Latitude,Longitude\n"
        "59889001,01/02/2024 03:04:05 PM,01/03/2024 12:00:00 AM,NYPD,Noise - Residential,Loud Music/Party,1 A ST,Closed,07 BROOKLYN,BROOKLYN,4,-7\n"
        "59889002,07/02/2024 12:30:00 AM,,HPD,HEAT/HOT WATER,,2 MAIN ST,Open,0 Unspecified,Unspecified,,\n",
        encoding="utf-8",
    )
    assert ingest(engine, path, _clock(NEW_YORK)).added == 2
    assert _stored(engine) == {
        "59889001": ("07 BROOKLYN", "Noise - Residential->Loud Music/Party", datetime(2024, 1, 2, 20, 4, 5, tzinfo=UTC)),
        "59889002": ("UNKNOWN", "HEAT/HOT WATER", datetime(2024, 7, 2, 4, 30, tzinfo=UTC)),
    }
    assert _parents(engine)["Noise - Residential->Loud Music/Party"] == "Noise - Residential"


def test_the_old_and_the_new_portal_of_boston_give_the_same(engine: Engine, folder: Path) -> None:
    old = (
        "case_enquiry_id,open_dt,closed_dt,case_status,case_title,subject,reason,type,neighborhood,source\n"
        "1,2024-01-05 10:00:00,,Open,x,Public Works,r,Pothole,Roxbury,a\n"
    )
    new = (
        "case_id,open_date,close_date,case_topic,service_name,assigned_department,case_status,neighborhood,source\n"
        "BCS-2,2025-10-05 10:00:00,,Pothole,x,Public Works,Open,Roxbury,a\n"
    )
    for name, text in (("old", old), ("new", new)):
        (folder / f"{name}.csv").write_text(text)
        ingest(engine, folder / f"{name}.csv", _clock(NEW_YORK))
    assert {row[:2] for row in _stored(engine).values()} == {("Roxbury", "Pothole")}
    assert _parents(engine)["Pothole"] == "Public Works"


def test_the_old_and_the_new_exports_of_chicago_load_without_calls_for_information(engine: Engine, folder: Path) -> None:
    new = (
        "SR_NUMBER,SR_TYPE,SR_SHORT_CODE,OWNER_DEPARTMENT,STATUS,CREATED_DATE,LAST_MODIFIED_DATE,CLOSED_DATE,COMMUNITY_AREA,WARD,LATITUDE\n"
        "SR24-1,Pothole in Street Complaint,PHF,CDOT,Open,01/05/2024 10:03:00 AM,01/05/2024 11:00:00 AM,,24,1,41.8\n"
        "SR24-2,311 INFORMATION ONLY CALL,311IOC,311 City Services,Completed,01/05/2024 10:04:00 AM,01/05/2024 10:04:00 AM,,,,\n"
    )
    old = (
        "Creation Date,Status,Completion Date,Service Request Number,Type of Service Request,"
        "What is the Nature of this Code Violation?,Community Area\n"
        "01/05/2012,Completed,01/09/2012,12-00001,Sanitation Code Violation,Garbage in Alley,24\n"
    )
    for name, text in (("new", new), ("old", old)):
        (folder / f"{name}.csv").write_text(text)
    reports = [ingest(engine, folder / f"{name}.csv", _clock(CHICAGO)) for name in ("new", "old")]
    assert [(report.added, report.left_out) for report in reports] == [(1, 1), (1, 0)]
    assert _stored(engine) == {
        "SR24-1": ("24", "Pothole in Street Complaint", datetime(2024, 1, 5, 16, 3, tzinfo=UTC)),
        "12-00001": ("24", "Sanitation Code Violation->Garbage in Alley", datetime(2012, 1, 5, 6, tzinfo=UTC)),
    }


@pytest.mark.parametrize("as_list", [True, False])
def test_open311_loads_as_a_list_or_by_lines_with_or_without_a_zone(engine: Engine, folder: Path, as_list: bool) -> None:
    requests = [
        {
            "service_request_id": "14-1",
            "service_name": "Pothole",
            "service_code": "p",
            "requested_datetime": "2024-05-09T19:02:21-05:00",
            "address": "1200 W 81ST ST",
            "extended_attributes": {"ward": "21", "channel": "phone"},
            "notes": [{"type": "opened"}],
        },
        {
            "service_request_id": "14-2",
            "service_code": "p",
            "service_name": "Pothole",
            "requested_datetime": "2024-05-10T00:02:21Z",
            "lat": 1,
            "long": 2,
        },
    ]
    path = folder / ("a.json" if as_list else "a.ndjson")
    path.write_text(json.dumps(requests) if as_list else "\n".join(map(json.dumps, requests)))
    assert ingest(engine, path, _clock(CHICAGO)).added == 2
    same = datetime(2024, 5, 10, 0, 2, 21, tzinfo=UTC)
    assert _stored(engine) == {"14-1": ("21", "Pothole", same), "14-2": ("UNKNOWN", "Pothole", same)}


def test_open311_without_any_place_lies_in_no_district(folder: Path) -> None:
    path = folder / "a.csv"
    path.write_text("service_request_id,requested_datetime,service_name,address\n1,2024-05-10T00:02:21Z,Pothole,1 Main St\n")
    assert dry_run.examine(path, _clock(CHICAGO), Nodes.empty(), Nodes.empty()).districts == {"UNKNOWN": 1}


def test_digital_city_management_loads_with_its_three_levels(engine: Engine, folder: Path) -> None:
    path = folder / "a.csv"
    path.write_text(
        "rec_id,create_time,district_name,street_name,event_type_name,main_type_name,sub_type_name\n"
        "7,2024-01-05 10:03:00,东城区,景山街道,事件,市容环境,暴露垃圾\n",
        encoding="utf-8",
    )
    ingest(engine, path, _clock(BEIJING))
    assert _stored(engine) == {"7": ("景山街道", "事件->市容环境->暴露垃圾", datetime(2024, 1, 5, 2, 3, tzinfo=UTC))}


@pytest.mark.parametrize("hours", [True, False])
def test_counts_load_with_the_headers_of_an_export(folder: Path, hours: bool) -> None:
    path = folder / "a.csv"
    more = (",小时", ",9") if hours else ("", "")
    path.write_text(f"被反映区,一级分类,二级分类,日期,件数{more[0]}\n东城区,公共服务,供热,2024/1/5,7{more[1]}\n", encoding="gb18030")
    found = dry_run.examine(path, _clock(BEIJING), Nodes.empty(), Nodes.empty())
    assert (found.kind, found.taken, dict(found.districts), dict(found.categories)) == ("counts", 1, {"东城区": 7}, {"公共服务->供热": 7})


# Mapping files


def test_a_mapping_names_columns_constants_times_and_rows(engine: Engine, folder: Path) -> None:
    (folder / "a.csv").write_text(
        "流水号,登记,属地,大类,性质,状态,类型\n"
        "1,05.01.2024 10:03,东城区,供热,主办,办结,咨询\n"
        "2,05.01.2024 10:03,东城区,供热,协办,办结,投诉\n"
        "3,05.01.2024 10:03,东城区,供热,主办, 作废 ,投诉\n"
        "4,2024-01-05,东城区,供热,主办,办结,投诉\n",
        encoding="utf-8",
    )
    yaml = (
        "columns: {ticket_id: 流水号, created_at: [受理, 登记], district: 属地, category: 大类, ticket_type: 类型}\n"
        "constants: {source: grid}\ntime_format: '%d.%m.%Y %H:%M'\nonly: {性质: [主办]}\nleave_out: {状态: 作废}\nnot_demand: []\n"
    )
    toml = (
        "time_format = '%d.%m.%Y %H:%M'\nnot_demand = []\n[columns]\nticket_id = '流水号'\ncreated_at = ['受理', '登记']\ndistrict = '属地'\n"
        "category = '大类'\nticket_type = '类型'\n[constants]\nsource = 'grid'\n[only]\n'性质' = ['主办']\n[leave_out]\n'状态' = '作废'\n"
    )
    for name, text in (("m.yaml", yaml), ("m.toml", toml)):
        (folder / name).write_text(text, encoding="utf-8")
    assert load(folder / "m.yaml") == load(folder / "m.toml")
    report = ingest(engine, folder / "a.csv", _clock(BEIJING), mapping=load(folder / "m.yaml"))
    assert (report.rows, report.added, report.left_out, report.rejected) == (4, 1, 2, 1)
    with reading(engine) as conn:
        assert conn.execute(select(tickets.c.source, tickets.c.ticket_id)).all() == [("grid", "1")]


def test_a_mapping_chooses_one_of_two_sheets(folder: Path) -> None:
    rows = [["ticket_id", "created_at", "district", "category"], ["1", "2024-01-05", "D", "X"]]
    path = write(folder / "a.xlsx", {"1月": rows, "2月": [*rows, ["2", "2024-02-05", "D", "X"]]})
    (folder / "m.yaml").write_text("sheet: 2月\n", encoding="utf-8")
    found = dry_run.examine(path, _clock(BEIJING), Nodes.empty(), Nodes.empty(), load(folder / "m.yaml"))
    assert (found.taken, found.file.head.sheet) == (2, "2月")
    (folder / "m.yaml").write_text("sheet: 3月\n", encoding="utf-8")
    with pytest.raises(InputError, match="has no sheet '3月'; it has 1月, 2月"):
        dry_run.examine(path, _clock(BEIJING), Nodes.empty(), Nodes.empty(), load(folder / "m.yaml"))


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("m.json", "{}", "neither .yaml nor .toml"),
        ("m.yaml", "columns: [", "cannot be read"),
        ("m.toml", "a = ", "cannot be read"),
        ("m.yaml", "- a\n", "holds no keys"),
        ("m.yaml", "colums: {}\n", "'colums' is none of columns, constants"),
        ("m.yaml", "columns: x\n", "'columns' is no table"),
        ("m.yaml", "columns: {tickt: x}\n", "'tickt' below 'columns' is none of ticket_id"),
        ("m.yaml", "columns: {ticket_id: []}\n", "'ticket_id' below 'columns' is empty"),
        ("m.yaml", "columns: {ticket_id: {a: b}}\n", "'ticket_id' is no text"),
        ("m.yaml", "columns: {district: 来电人}\n", "about a person and may only be mapped to caller"),
        ("m.yaml", "constants: {created_at: x}\n", "'created_at' below 'constants' is none of source"),
        ("m.yaml", "time_format: '%H:%M'\n", "does not give a date"),
        ("m.yaml", "time_format: '%Q'\n", "does not give a date"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_bad_input(folder: Path, name: str, text: str, says: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=says) as caught:
        load(folder / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [("columns: {district: 属地}\n", "no column '属地', which the mapping takes for district"), ("only: {x: y}\n", "no column 'x', by which")],
)
def test_a_mapping_of_columns_that_are_not_there_is_bad_input(folder: Path, text: str, says: str) -> None:
    (folder / "a.csv").write_text("ticket_id,created_at,district,category\n1,2024-01-05,D,X\n")
    (folder / "m.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=says):
        dry_run.examine(folder / "a.csv", _clock(BEIJING), Nodes.empty(), Nodes.empty(), load(folder / "m.yaml"))


# The page


def _ticked(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.name)
def test_the_page_lists_exactly_the_headers_of_each_export(export: Export) -> None:
    section = PAGE.split(f"### {export.name}\n\n")[1].split("\n\n")[0].splitlines()
    assert section == ["| ours | headers |", "|---|---|", *(f"| `{ours}` | {_ticked(headers)} |" for ours, headers in export.columns.items())]


def test_the_page_lists_the_tables_the_keys_and_what_is_no_demand() -> None:
    for kind in KINDS:
        needs = ", ".join(" or ".join(f"`{name}`" for name in group) for group in kind.needs)
        assert f"| {kind.name} | {needs} | {_ticked(kind.may)} |" in PAGE
    example = PAGE.split("```yaml\n")[1].split("```")[0]
    assert [line.split(":")[0] for line in example.splitlines() if line[0] != " "] == list(KEYS)
    assert ", ".join(MAY_BE_CONSTANT) in example
    assert _ticked(NOT_DEMAND) in PAGE
    for ours in ("date", "count", "hour"):
        assert f"`{ours}` may be {_ticked(ALIASES[ours])}" in PAGE


def test_the_mapping_on_the_page_can_be_read(folder: Path) -> None:
    (folder / "m.yaml").write_text(PAGE.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    mapping = load(folder / "m.yaml")
    assert mapping.columns["created_at"] == ("登记时间", "受理时间")
    assert (mapping.constants, mapping.sheet, mapping.not_demand) == ({"source": "grid"}, "工单明细", ("咨询", "表扬"))
