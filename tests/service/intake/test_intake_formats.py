"""Every format of file: what is read from it, and what becomes of one that is damaged."""

import gzip
import json
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from sqlalchemy import Engine, select
from workbooks import Rows, serial, write

from forecasting.errors import InputError
from service.clock import Clock, parse_as_of
from service.intake import csv_rows, dry_run, encoding, json_rows, sheets
from service.intake.files import batches, open_table
from service.intake.ingest import ingest
from service.intake.mapping import Mapping
from service.intake.nodes import Nodes
from service.intake.work import Report
from service.store import areas, ingests
from service.store.engine import reading
from service.store.schema import count_changes, staged_tickets, tickets

BEIJING = ZoneInfo("Asia/Shanghai")
CLOCK = Clock(BEIJING, parse_as_of("2024-02-01T12:00", BEIJING))
TEN = datetime.fromisoformat("2024-01-05T10:03")
HEADER = ["工单编号", "来电时间", "被反映区", "问题分类"]
ROWS: list[list[str]] = [
    ["A1", "2024-01-05 10:03:00", "东城区", "公共服务->供热"],
    ["A2", "2024-01-06 11:00:00", "西城区", "水务->供水"],
    ["A3", "2024-01-06 12:00:00", "东城区", "水务->供水"],
]


def _csv_text(rows: list[list[str]] = ROWS) -> str:
    return "\n".join(",".join(row) for row in [HEADER, *rows]) + "\n"


def _csv(path: Path) -> None:
    path.write_text(_csv_text(), encoding="gb18030")


def _xlsx(path: Path) -> None:
    write(path, {"Sheet1": [HEADER, *ROWS]})


def _parquet(path: Path) -> None:
    pd.DataFrame(ROWS, columns=HEADER).to_parquet(path)


def _ndjson(path: Path) -> None:
    path.write_text("".join(json.dumps(dict(zip(HEADER, row, strict=True)), ensure_ascii=False) + "\n" for row in ROWS), encoding="utf-8")


def _json(path: Path) -> None:
    path.write_text(json.dumps([dict(zip(HEADER, row, strict=True)) for row in ROWS], ensure_ascii=False), encoding="utf-8")


WRITERS: dict[str, Callable[[Path], None]] = {
    ".csv": _csv,
    ".xlsx": _xlsx,
    ".parquet": _parquet,
    ".ndjson": _ndjson,
    ".jsonl": _ndjson,
    ".json": _json,
}


def _written(folder: Path, ending: str, zipped: bool = False) -> Path:
    path = folder / f"tickets{ending}"
    WRITERS[ending](path)
    if not zipped:
        return path
    with path.open("rb") as plain, gzip.open(f"{path}.gz", "wb") as packed:
        shutil.copyfileobj(plain, packed)
    path.unlink()
    return path.with_name(f"{path.name}.gz")


def _read(path: Path, mapping: Mapping | None = None) -> dict[str, list[str | None]]:
    read = list(batches(open_table(path, mapping)))
    return {name: [cell for batch in read for cell in batch.columns[name].to_pylist()] for name in read[0].columns}


def _lines(path: Path) -> tuple[list[int], list[tuple[int, str]]]:
    read = list(batches(open_table(path)))
    return [int(line) for batch in read for line in batch.lines], [row for batch in read for row in batch.broken]


def _stored(engine: Engine) -> list[tuple[object, ...]]:
    with reading(engine) as conn:
        assert conn.execute(select(staged_tickets)).all() == []
        query = select(tickets.c.ticket_id, tickets.c.created_at, tickets.c.area, tickets.c.category).order_by(tickets.c.ticket_id)
        return [tuple(row) for row in conn.execute(query)]


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzipped"])
@pytest.mark.parametrize("ending", WRITERS)
def test_the_same_tickets_are_read_from_every_format(folder: Path, ending: str, zipped: bool) -> None:
    columns = _read(_written(folder, ending, zipped))
    assert columns == dict(zip(("ticket_id", "created_at", "district", "category"), map(list, zip(*ROWS, strict=True)), strict=True))


def test_a_file_in_every_format_is_stored_once(engine: Engine, folder: Path) -> None:
    reports = [ingest(engine, _written(folder, ending, zipped), CLOCK) for ending in WRITERS for zipped in (False, True)]
    assert [report.added for report in reports] == [3] + [0] * (len(reports) - 1)
    assert {(report.rows, report.added + report.unchanged) for report in reports} == {(3, 3)}
    assert [row[0] for row in _stored(engine)] == ["A1", "A2", "A3"]


# Workbooks


def test_dates_of_a_workbook_are_dates_whether_it_shows_them_as_such_or_not(engine: Engine, folder: Path) -> None:
    cells: list[object] = [TEN, serial(TEN), "2024/1/5 10:03", "2024年1月5日 10时03分", "1/5/2024 10:03:00 AM"]
    path = write(folder / "a.xlsx", {"1月": [HEADER, *([f"A{i}", cell, "东城区", "供热"] for i, cell in enumerate(cells))]})
    assert ingest(engine, path, CLOCK).added == len(cells)
    assert {row[1] for row in _stored(engine)} == {TEN.replace(tzinfo=BEIJING)}


def test_the_sheet_with_the_header_is_read_and_rows_above_it_are_not(folder: Path) -> None:
    noise: Rows = [["月份", "件数", "环比"], ["1月", 3, 0.5]]
    table: Rows = [["东城区12345工单导出"], [], ["导出时间", TEN], HEADER, *ROWS]
    path = write(folder / "a.xlsx", {"封面": [["说明"]], "汇总": noise, "工单": table, "空": []})
    file = open_table(path)
    assert (file.head.sheet, file.head.line) == ("工单", 4)
    assert _read(path)["ticket_id"] == ["A1", "A2", "A3"]
    assert _lines(path) == ([5, 6, 7], [])


def test_numbers_of_a_workbook_keep_their_digits_and_rounded_ones_are_refused(engine: Engine, folder: Path) -> None:
    ids: list[object] = [20240105001, 7, "007", True, 202401050000000123]
    path = write(folder / "a.xlsx", {"a": [HEADER, *([one, "2024-01-05", "东城区", "供热"] for one in ids)]})
    report = ingest(engine, path, CLOCK, rejects_dir=folder / "rejects")
    assert (report.added, report.rejected) == (4, 1)
    assert [row[0] for row in _stored(engine)] == ["007", "20240105001", "7", "true"]
    assert report.rejects_path is not None
    assert "6,ticket_id was rounded by a spreadsheet" in report.rejects_path.read_text("utf-8-sig")


def test_ids_that_a_spreadsheet_wrote_to_csv_are_unwrapped_or_refused(engine: Engine, folder: Path) -> None:
    path = folder / "a.csv"
    rows = ['"=""0012"""', "\t0013", "'0014", "1.2E+15", "1.23457e17", "E12"]
    path.write_text(_csv_text([[one, *ROWS[0][1:]] for one in rows]), encoding="utf-8")
    assert ingest(engine, path, CLOCK).rejected == 2
    assert [row[0] for row in _stored(engine)] == ["0012", "0013", "0014", "E12"]


def test_blank_rows_are_no_rows(folder: Path) -> None:
    blank: list[list[object]] = [[None] * 4, ["", " ", None, ""]]
    path = write(folder / "a.xlsx", {"a": [HEADER, ROWS[0], *blank, ROWS[1], *blank]})
    assert _lines(path) == ([2, 5], [])
    text = folder / "a.csv"
    text.write_text(f"{','.join(HEADER)}\n{','.join(ROWS[0])}\n\n , ,,\n{','.join(ROWS[1])}\n,,,\n\n", encoding="utf-8")
    assert _lines(text) == ([2, 5], [])


def test_a_large_sheet_comes_in_parts_with_running_lines(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "SHEET_ROWS", 7)
    path = write(folder / "a.xlsx", {"a": [HEADER, *([f"A{i}", *ROWS[0][1:]] for i in range(2, 40))]})
    assert len(list(batches(open_table(path)))) == 6
    assert _read(path)["ticket_id"] == [f"A{line}" for line in _lines(path)[0]]


# JSON


def test_values_of_json_are_read_as_they_are_meant(folder: Path) -> None:
    values = [
        {"ticket_id": 12, "created_at": "2024-01-05", "district": "D", "category": "X", "lat": 1.5},
        {"category": "Y", "ticket_id": 13.0, "created_at": "2024-01-05", "status": True, "district": None, "where": {"a": [1]}},
    ]
    path = folder / "a.ndjson"
    path.write_text("\n\n".join(json.dumps(value) for value in values), encoding="utf-8")
    assert _read(path) == {
        "ticket_id": ["12", "13"],
        "created_at": ["2024-01-05"] * 2,
        "district": ["D", None],
        "category": ["X", "Y"],
        "lat": ["1.5", None],
        "status": [None, "true"],
    }
    assert _lines(path) == ([1, 3], [])


def test_a_broken_line_of_ndjson_is_rejected_and_the_others_are_taken(engine: Engine, folder: Path) -> None:
    good = json.dumps(dict(zip(HEADER, ROWS[0], strict=True)), ensure_ascii=False)
    other = json.dumps(dict(zip(HEADER, ROWS[1], strict=True)), ensure_ascii=False)
    listed = json.dumps(dict(zip(HEADER, ["A9", "2024-01-05", ["D"], "X"], strict=True)), ensure_ascii=False)
    path = folder / "a.ndjson"
    path.write_text("\n".join([good, '{"工单编号": "13987654321', "[1]", "7", "", listed, other, good[:-9]]), encoding="utf-8")
    report = ingest(engine, path, CLOCK, rejects_dir=folder / "rejects")
    assert (report.rows, report.added, report.rejected) == (7, 2, 5)
    assert report.rejects_path is not None
    assert report.rejects_path.read_text("utf-8-sig").splitlines()[1:] == [
        "2,is no JSON object,",
        "3,is no JSON object,",
        "4,is no JSON object,",
        "6,a value is a list,",
        "8,is no JSON object,",
    ]


def test_a_list_is_read_element_by_element(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "a.json"
    rows = [dict(zip(HEADER, [f"A{i}", *ROWS[0][1:]], strict=True)) for i in range(1, 60)]
    path.write_bytes(b"\xef\xbb\xbf \n" + json.dumps(rows, ensure_ascii=False).encode() + b"\n")
    monkeypatch.setattr(json_rows, "_BLOCK", 101)
    monkeypatch.setattr(json_rows, "JSON_ROWS", 10)
    assert _read(path)["ticket_id"] == [f"A{line}" for line in _lines(path)[0]]
    assert open_table(path).total == 59


# Encodings


def test_a_text_that_was_cut_within_a_sign_does_not_change_how_the_rest_is_read(engine: Engine, folder: Path) -> None:
    for name in ("utf-8", "gb18030"):
        path = folder / f"{name}.csv"
        lines = _csv_text().encode(name).splitlines()
        lines[2] = lines[2][:-1]
        path.write_bytes(b"\n".join([*lines, b""]))
        report = ingest(engine, path, CLOCK, rejects_dir=folder / "rejects")
        assert (report.rows, report.rejected) == (3, 1)
        assert report.rejects_path is not None
        assert report.rejects_path.read_text("utf-8-sig").splitlines()[1].startswith(f"3,a cell is no text in {name}")
    assert [row[0] for row in _stored(engine)] == ["A1", "A3"]


@pytest.mark.parametrize(("most", "few"), [("utf-8", "gb18030"), ("gb18030", "utf-8")])
def test_of_two_encodings_in_one_file_the_rows_in_the_rarer_one_are_rejected(folder: Path, most: str, few: str) -> None:
    lines = _csv_text(ROWS * 3).splitlines()
    path = folder / "a.csv"
    path.write_bytes(b"\n".join(line.encode(few if number in (4, 8) else most) for number, line in enumerate(lines, 1)))
    assert open_table(path).head.encoding == most
    taken, broken = _lines(path)
    assert taken == [2, 3, 5, 6, 7, 9, 10]
    assert [line for line, _ in broken] == [4, 8]


def test_bytes_that_are_no_text_matter_only_in_columns_that_are_read(folder: Path) -> None:
    path = folder / "a.csv"
    path.write_bytes(f"{','.join(HEADER)},主要内容\n{','.join(ROWS[0])},".encode() + b"cut \xe5\xae\n" + f"{','.join(ROWS[1])},x\0y\n".encode())
    assert _lines(path) == ([2, 3], [])


def test_words_that_are_valid_in_both_encodings_do_not_mislead(folder: Path) -> None:
    path = folder / "a.csv"
    path.write_bytes(_csv_text([["A1", "2024-01-05", "联通", "移动"], ["A2", "2024-01-05", "联通", "供热"]]).encode("gb18030"))
    assert _read(path)["district"] == ["联通", "联通"]
    path.write_bytes("ticket_id,created_at,district,category\n1,2024-01-05,Peña,Ruído\n2,2024-01-05,Peña,".encode() + b"cut\xc3\n")
    assert open_table(path).head.encoding == "utf-8"


def test_nul_bytes_in_a_row_reject_that_row(folder: Path) -> None:
    path = folder / "a.csv"
    path.write_text(_csv_text().replace("西城区", "西\0城区"), encoding="gb18030")
    taken, broken = _lines(path)
    assert (taken, [line for line, _ in broken]) == ([2, 4], [3])


# Files that are refused as a whole


def _truncated(ending: str, zipped: bool, part: float) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = _written(folder, ending, zipped)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * part)])
        return path

    return make


def _bytes(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def _renamed(ending: str, name: str) -> Callable[[Path], Path]:
    return lambda folder: _written(folder, ending).rename(folder / name)


def _book(sheets_: dict[str, Rows], name: str = "a.xlsx") -> Callable[[Path], Path]:
    return lambda folder: write(folder / name, sheets_)


def _damaged_sheet(folder: Path) -> Path:
    path = _written(folder, ".xlsx")
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    parts["xl/worksheets/sheet1.xml"] = parts["xl/worksheets/sheet1.xml"][:-200]
    with zipfile.ZipFile(path, "w") as book:
        for name, content in parts.items():
            book.writestr(name, content)
    return path


OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000)  # so begins a workbook that a password protects
LONG = encoding.LONGEST_LINE + 1
BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "CSV whose quotation mark is never closed": (_bytes("a.csv", _csv_text().replace("A2", '"A2').encode()), "quotation mark in line 3"),
    "CSV whose last cell is left open": (_bytes("a.csv", (_csv_text() + 'A4,2024-01-05,东城区,"供').encode()), "quotation mark in line 5"),
    "CSV with a line without an end": (_bytes("a.csv", _csv_text().encode() + b"A4," + b"x" * LONG), "line 5 is longer than 8 MB"),
    "CSV with a header alone": (_bytes("a.csv", _csv_text([]).encode()), "has no rows"),
    "CSV of nothing but blank lines below": (_bytes("a.csv", _csv_text([]).encode() + b"\n,,,\n\n"), "has no rows"),
    "CSV with a column twice": (_bytes("a.csv", _csv_text().replace("被反映区", "来电时间").encode()), "no column 'district'|two columns are named"),
    "CSV with the district twice": (
        _bytes("a.csv", b"ticket_id,created_at,district,category,District\n1,2024-01-05,D,X,E\n"),
        "two columns are named 'district'",
    ),
    "CSV with NUL in the header": (_bytes("a.csv", _csv_text().replace("来电", "来\0电").encode()), "binary data or another encoding in line 1"),
    "CSV in UTF-16": (_bytes("a.csv", _csv_text().encode("utf-16")), "written in UTF-16"),
    "CSV that is all wrong": (_bytes("a.csv", _csv_text([["A1", "soon", "D", "X"], ["A2", "later", "D", "X"]]).encode()), "all 2 rows are wrong"),
    "CSV that is a workbook": (_renamed(".xlsx", "a.csv"), "is XLSX although its name ends with .csv"),
    "CSV that is Parquet": (_renamed(".parquet", "a.csv"), "is Parquet although its name ends with .csv"),
    "CSV that is JSON": (_renamed(".ndjson", "a.csv"), "is JSON although its name ends with .csv"),
    "CSV that is gzipped": (lambda folder: _written(folder, ".csv", True).rename(folder / "a.csv"), "is gzipped; rename it to a.csv.gz"),
    "gzip that is none": (_renamed(".csv", "a.csv.gz"), "is not gzipped; rename it to a.csv"),
    "unknown ending": (_renamed(".csv", "a.txt"), "its ending '.txt' is none of .csv, .xlsx"),
    "no ending": (_renamed(".csv", "tickets"), "its ending '' is none of"),
    "empty file": (_bytes("a.xlsx", b""), "is empty"),
    "gzip of nothing": (_bytes("a.csv.gz", gzip.compress(b"")), "is empty"),
    "workbook that is CSV": (_renamed(".csv", "a.xlsx"), "cannot be read as a workbook"),
    "workbook cut in two": (_truncated(".xlsx", False, 0.5), "cannot be read as a workbook"),
    "workbook with a damaged sheet": (_damaged_sheet, "sheet 'Sheet1' cannot be read"),
    "workbook that a password protects": (_bytes("a.xlsx", OLD_EXCEL), "protected by a password or was saved by an old Excel"),
    "workbook with an empty sheet": (_book({"a": []}), "is empty"),
    "workbook with a header alone": (_book({"a": [HEADER]}), "has no rows"),
    "workbook with two tables": (_book({"1月": [HEADER, *ROWS], "2月": [HEADER, *ROWS]}), "sheets '1月', '2月' hold the same kind of table"),
    "workbook with a column twice": (_book({"a": [[*HEADER, "来电时间"], [*ROWS[0], "x"]]}), "two columns are named '来电时间'"),
    "Parquet that is CSV": (_renamed(".csv", "a.parquet"), "cannot be read as Parquet"),
    "Parquet cut in two": (_truncated(".parquet", False, 0.5), "cannot be read as Parquet"),
    "NDJSON that is CSV": (_renamed(".csv", "a.ndjson"), "holds no JSON object"),
    "NDJSON of nothing": (_bytes("a.ndjson", b"\n\n"), "is empty"),
    "NDJSON of one broken line": (_truncated(".ndjson", False, 0.2), "holds no JSON object"),
    "NDJSON with a line without an end": (_bytes("a.ndjson", b'{"ticket_id": "' + b"x" * LONG), "line 1 is longer than 8 MB"),
    "list that breaks off": (_truncated(".json", False, 0.7), "breaks off or is damaged"),
    "list with something behind it": (_bytes("a.json", b'[{"ticket_id": 1}] {"a": 1}'), "goes on behind the end"),
    "list of nothing": (_bytes("a.json", b"[]"), "is empty"),
    "list in another encoding": (_bytes("a.json", json.dumps([{"工单": "一"}], ensure_ascii=False).encode("gb18030")), "not written in UTF-8"),
    **{f"gzip that ends early: {ending}": (_truncated(ending, True, 0.6), "cannot be unpacked to its end") for ending in WRITERS},
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_file_is_one_clear_line(folder: Path, bad: str) -> None:
    make, says = BAD[bad]
    path = make(folder)
    with pytest.raises(InputError, match=says) as caught:
        _examine(path)
    assert path.name in caught.value.where
    assert "\n" not in str(caught.value)


def _examine(path: Path) -> None:
    """What an ingest says of a file, without a database."""
    dry_run.examine(path, CLOCK, Nodes.empty(), Nodes.empty()).check()


def test_bad_files_of_every_kind_change_nothing(engine: Engine, folder: Path) -> None:
    good = folder / "good.csv"
    good.write_text("ticket_id,created_at,district,category\nA1,2024-01-01,X区,供热\n", encoding="utf-8")
    ingest(engine, good, CLOCK)
    before = _stored(engine)
    for number, (make, says) in enumerate(BAD.values()):
        (folder / str(number)).mkdir()
        with pytest.raises(InputError, match=says):
            ingest(engine, make(folder / str(number)), CLOCK, rejects_dir=folder / "rejects")
        assert _stored(engine) == before
    with reading(engine) as conn:
        assert len(conn.execute(select(count_changes)).all()) == 1
        assert {one.status for one in ingests.list_recent(conn, 100)[:-1]} <= {"failed"}
        assert areas.frame(conn)["code"].tolist() == ["X区"]


def test_bytes_flipped_anywhere_in_a_workbook_never_end_in_a_traceback(folder: Path) -> None:
    content = bytearray(_written(folder, ".xlsx").read_bytes())
    path = folder / "a.xlsx"
    for place in range(0, len(content), 41):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        with suppress(InputError):
            assert len(_read(path)["ticket_id"]) <= len(ROWS)


def test_a_row_that_is_longer_than_a_block_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "CSV_BLOCK", 1 << 16)
    path = folder / "a.csv"
    path.write_text(_csv_text([ROWS[0], ["A2", "2024-01-05", '"' + "字\n" * 40_000 + '"', "X"], ROWS[2]]), encoding="utf-8")
    with pytest.raises(InputError, match=r"a row after line .* is longer than"):
        _read(path)


def test_a_cell_of_several_lines_is_one_row_and_a_forgotten_mark_is_hinted_at(folder: Path) -> None:
    path = folder / "a.csv"
    path.write_text(
        _csv_text([["A1", "2024-01-05", '"东\n城"', "X"], ["A2", "2024-01-05", '"D'], ["A3", "2024-01-05", 'D"', "X", "Y"], ROWS[2]]), "utf-8"
    )
    taken, broken = _lines(path)
    assert taken == [2, 4]
    assert broken[0][0] == 3
    assert broken[0][1].endswith("over 2 lines: a quotation mark may be missing")


def test_the_report_names_the_file_without_a_number_to_call(engine: Engine, folder: Path) -> None:
    path = _written(folder, ".csv").rename(folder / "张三13987654321.csv")
    report: Report = ingest(engine, path, CLOCK)
    assert report.name == "张三***.csv"
