from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecasting.errors import InputError
from service.intake import csv_rows, files
from service.intake.files import batches, open_table

HEADER = "ticket_id,created_at,district,category\n"
ROWS = "1,2024-01-05 10:00,东城区,供热\n2,2024-01-05 11:00,西城区,供水\n"


def _read(path: Path) -> dict[str, list[str | None]]:
    read = list(batches(open_table(path)))
    return {name: [cell for batch in read for cell in batch.columns[name].to_pylist()] for name in read[0].columns}


def _lines(path: Path) -> tuple[list[int], list[tuple[int, str]]]:
    read = list(batches(open_table(path)))
    return [int(line) for batch in read for line in batch.lines], [row for batch in read for row in batch.broken]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk"])
def test_a_csv_file_is_read_in_its_own_encoding(folder: Path, encoding: str) -> None:
    path = folder / "a.csv"
    path.write_bytes((HEADER + ROWS).encode(encoding))
    assert _read(path)["district"] == ["东城区", "西城区"]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_csv_file_is_read_with_its_own_delimiter(folder: Path, delimiter: str) -> None:
    path = folder / "a.csv"
    path.write_text((HEADER + ROWS).replace(",", delimiter), encoding="utf-8")
    assert _read(path)["ticket_id"] == ["1", "2"]


def test_rows_that_explain_the_table_may_stand_above_its_header(folder: Path) -> None:
    path = folder / "a.csv"
    path.write_text('"12345 tickets,\nexported 2024-02-01",,\n\n' + HEADER + ROWS, encoding="utf-8")
    assert _read(path)["ticket_id"] == ["1", "2"]


def test_only_known_columns_are_read(folder: Path) -> None:
    path = folder / "a.csv"
    path.write_text(
        '工单编号,来电人,来电人电话/账号,主要内容,来电时间,被反映区,问题分类\n1,张三,13800000000,"a\nb",2024-01-05,东城区,供热\n', encoding="utf-8"
    )
    assert set(_read(path)) == {"ticket_id", "created_at", "district", "category"}
    table = pa.table({"ticket_id": ["1"], "created_at": ["2024-01-05"], "district": ["D"], "category": ["X"], "text": ["secret"]})
    pq.write_table(table, folder / "a.parquet")
    assert set(_read(folder / "a.parquet")) == {"ticket_id", "created_at", "district", "category"}


def test_rows_of_the_wrong_width_are_told_by_their_line_and_the_others_keep_theirs(folder: Path) -> None:
    path = folder / "a.csv"
    path.write_text(HEADER + "1,a,b,c\n2,a\n3,a,b,c\n4,a,b,c,d\n5,a,b,c\n6\n", encoding="utf-8")
    assert _lines(path) == ([2, 4, 6], [(3, "has 2 cells instead of 4"), (5, "has 5 cells instead of 4"), (7, "has 1 cells instead of 4")])


def test_a_large_file_comes_in_batches_with_running_lines(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "CSV_BLOCK", 200)
    monkeypatch.setattr(files, "PARQUET_ROWS", 7)
    path = folder / "a.csv"
    rows = [f"{i},2024-01-05,D,X" if i % 10 else f"{i},broken" for i in range(2, 100)]
    path.write_text(HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    lines, broken = _lines(path)
    assert len(list(batches(open_table(path)))) > 5
    assert lines == [int(cell) for cell in _read(path)["ticket_id"] if cell]
    assert [line for line, _ in broken] == list(range(10, 100, 10))

    pd.DataFrame({"ticket_id": range(1, 31), "created_at": "2024-01-05", "district": "D", "category": "X"}).to_parquet(folder / "a.parquet")
    lines, _ = _lines(folder / "a.parquet")
    assert lines == list(range(1, 31))
    assert open_table(folder / "a.parquet").total == 30


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"\n \n", "is empty"),
        ("a.csv", "a,b".encode("utf-16"), "UTF-16"),
        ("a.csv", b"ticket_id\0,created_at\n", "binary"),
        ("a.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(128, 256)), "neither UTF-8 nor GB18030|no column of it is known"),
        ("a.csv", b"a,b\n1,2\n", "no column of it is known"),
        ("a.parquet", b"PAR1 but not really", "cannot be read as Parquet"),
        ("a.parquet", b"", "is empty"),
        ("a.xlsx", b"", "is empty"),
        ("a.docx", b"x", "its ending '.docx' is none of .csv, .xlsx"),
    ],
)
def test_a_file_that_cannot_be_read_is_bad_input(folder: Path, name: str, content: bytes, says: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        open_table(folder / name)
    assert name in caught.value.where
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_bad_input(folder: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_table(folder / "a.csv")


def test_a_column_of_lists_is_bad_input(folder: Path) -> None:
    table = pa.table({"ticket_id": ["1"], "created_at": ["2024-01-05"], "district": [["D"]], "category": ["X"]})
    pq.write_table(table, folder / "a.parquet")
    with pytest.raises(InputError, match="column 'district' holds list"):
        open_table(folder / "a.parquet")


def test_a_parquet_file_that_breaks_off_is_bad_input(folder: Path) -> None:
    path = folder / "a.parquet"
    frame = pd.DataFrame({"ticket_id": range(5000), "created_at": "2024-01-05", "district": "D", "category": "X"})
    frame.to_parquet(path)
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)  # the footer stays: the header can be read, the rows cannot
    path.write_bytes(content)
    file = open_table(path)
    with pytest.raises(InputError, match="cannot be read"):
        list(batches(file))


def long_texts(rows: int, length: int) -> pa.Table:
    """The same long text in every row, written once."""
    same = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * length]))
    moments = pa.array(["2024-01-05"] * rows)
    return pa.table({"ticket_id": [str(i) for i in range(rows)], "created_at": moments, "district": same, "category": ["X"] * rows})


def test_a_long_text_that_a_parquet_file_holds_once_is_not_written_out_for_every_row(folder: Path) -> None:
    pq.write_table(long_texts(4000, 1 << 20), folder / "a.parquet")
    assert (folder / "a.parquet").stat().st_size < 1 << 20
    with pytest.raises(InputError, match=r"column 'district' holds 4000 MB in 4,000 rows"):
        list(batches(open_table(folder / "a.parquet")))


@pytest.mark.parametrize("dictionary", [True, False])
def test_texts_of_a_parquet_file_are_read_up_to_the_limit_and_refused_beyond_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, dictionary: bool
) -> None:
    monkeypatch.setattr(files, "MOST_PARQUET", 1 << 20)
    table = long_texts(1000, 1000).set_column(2, "district", pa.array(["x" * 1000] * 1000))
    pq.write_table(table, folder / "a.parquet", use_dictionary=dictionary)
    (batch,) = batches(open_table(folder / "a.parquet"))
    assert len(batch.lines) == 1000
    pq.write_table(table.set_column(2, "district", pa.array(["x" * 1100] * 1000)), folder / "b.parquet", use_dictionary=dictionary)
    with pytest.raises(InputError, match="column 'district' holds 1 MB"):
        list(batches(open_table(folder / "b.parquet")))
