"""Table files as the contract has them, and clear words about those that are not."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
import tables

from experiments import files
from forecasting.errors import InputError

ZONE = "Asia/Shanghai"


def text(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.write_text(content, encoding)
    return path


def test_counts_are_the_same_from_csv_and_from_parquet(tmp_path: Path) -> None:
    frame = tables.counts(tables.tickets(20))
    one, other = (files.counts(tables.write(frame, tmp_path / name)) for name in ("c.csv", "c.parquet"))
    pd.testing.assert_frame_equal(one, other, check_dtype=False)
    assert one["count"].sum() == frame["count"].sum()


def test_codes_of_digits_stay_text_and_blank_districts_are_unknown(tmp_path: Path) -> None:
    path = text(tmp_path / "c.csv", "district,category,date,count\n0110, HEAT ,2025-01-01,3\n,HEAT,2025-01-01,2\n", "utf-8-sig")
    assert files.counts(path)[["district", "category"]].to_numpy().tolist() == [["0110", "HEAT"], ["UNKNOWN", "HEAT"]]


def test_codes_that_parquet_holds_as_numbers_become_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"district": [110101, 110102], "category": ["a", "a"], "date": [date(2025, 1, 1), date(2025, 1, 2)], "count": [1, 2]})
    got = files.counts(tables.write(frame, tmp_path / "c.parquet"))
    assert got["district"].tolist() == ["110101", "110102"]
    assert got["date"].tolist() == [pd.Timestamp("2025-01-01"), pd.Timestamp("2025-01-02")]
    blank = files.counts(tables.write(frame.assign(district=[110101, None]), tmp_path / "d.parquet"))
    assert blank["district"].tolist() == ["110101", "UNKNOWN"]


def test_tickets_are_counted_by_local_day(tmp_path: Path) -> None:
    rows = "T1,2025-01-01T15:59:59Z,a,x\nT2,2025-01-01T16:00:00Z,a,x\nT3,2025-01-02T03:00:00+08:00,a,x\n"
    got = files.tickets(text(tmp_path / "t.csv", "ticket_id,created_at,district,category\n" + rows), ZONE)
    assert dict(zip(got["date"].dt.day, got["count"], strict=True)) == {1: 1, 2: 2}


def test_moments_without_offset_are_local(tmp_path: Path) -> None:
    rows = "T1,2025-01-01 23:59:59,a,x\nT2,2025-01-02,a,x\n"
    got = files.tickets(text(tmp_path / "t.csv", "ticket_id,created_at,district,category\n" + rows), "America/New_York")
    assert got["date"].dt.day.tolist() == [1, 2]


def test_a_repeated_ticket_counts_once_as_its_last_row_says(tmp_path: Path) -> None:
    rows = "T1,2025-01-01,a,x\nT1,2025-01-01,a,y\nT2,2025-01-01,a,x\n"
    got = files.tickets(text(tmp_path / "t.csv", "ticket_id,created_at,district,category\n" + rows), ZONE)
    assert dict(zip(got["category"], got["count"], strict=True)) == {"x": 1, "y": 1}


def test_the_same_number_from_two_sources_is_two_tickets(tmp_path: Path) -> None:
    rows = "1,2025-01-01,a,x,web\n1,2025-01-01,a,x,phone\n1,2025-01-01,a,x,\n1,2025-01-01,a,x,\n"
    got = files.tickets(text(tmp_path / "t.csv", "ticket_id,created_at,district,category,source\n" + rows), ZONE)
    assert got["count"].tolist() == [3]


def test_a_ticket_without_its_number_is_an_error(tmp_path: Path) -> None:
    path = text(tmp_path / "t.csv", "ticket_id,created_at,district,category\nT1,2025-01-01,a,x\n,2025-01-01,a,x\n,2025-01-02,a,x\n")
    with pytest.raises(InputError, match=r"t.csv, row 2: .*without a ticket_id"):
        files.tickets(path, ZONE)


def test_offsets_may_change_within_a_file_as_they_do_with_summer_time(tmp_path: Path) -> None:
    rows = "T1,2025-03-08T23:30:00-05:00,a,x\nT2,2025-03-09T23:30:00-04:00,a,x\n"
    got = files.tickets(text(tmp_path / "t.csv", "ticket_id,created_at,district,category\n" + rows), "America/New_York")
    assert got["date"].dt.day.tolist() == [8, 9]


def test_moments_may_be_typed_in_parquet(tmp_path: Path) -> None:
    frame = tables.tickets(15)
    aware = frame.assign(created_at=frame["created_at"].dt.tz_localize(ZONE).dt.tz_convert("UTC"))
    one, other = (files.tickets(tables.write(f, tmp_path / name), ZONE) for f, name in ((frame, "n.parquet"), (aware, "a.parquet")))
    pd.testing.assert_frame_equal(one, other)
    assert one["count"].sum() == len(frame)


def test_district_codes_of_drivers_are_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"name": "t", "date": ["2025-01-01", "2025-01-02"], "value": 1.0, "district": [110101, None]})
    got = files.drivers(tables.write(frame, tmp_path / "d.parquet"), ZONE)
    assert got["district"].iloc[0] == "110101"
    assert pd.isna(got["district"].iloc[1])


def test_driver_moments_become_local_and_observations_stay_without(tmp_path: Path) -> None:
    rows = "t,2025-01-02,3.5,2025-01-01T17:00:00Z\nt,2025-01-01,3,\n"
    got = files.drivers(text(tmp_path / "d.csv", "name,date,value,issued_at\n" + rows), ZONE)
    assert got["issued_at"].iloc[0] == pd.Timestamp("2025-01-02T01:00")
    assert pd.isna(got["issued_at"].iloc[1])


def test_drivers_may_be_observations_only(tmp_path: Path) -> None:
    for content in ("name,date,value\nt,2025-01-02,3.5\n", "name,date,value,issued_at,district\nt,2025-01-02,3.5,,\n"):
        assert len(files.drivers(text(tmp_path / "d.csv", content), ZONE)) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.xlsx", "", "ending '.xlsx' is not known"),
        ("c.csv", "", "is no table"),
        ("c.csv", "district,category,date\na,x,2025-01-01\n", "no column 'count'"),
        ("c.csv", "district,category,date,count\n", "has no rows"),
        ("c.csv", 'a,b\n"1,2\n3,4', "is no table"),
        ("c.parquet", "PAR1 nothing", "is no table"),
        ("c.csv", "district,category,date,count\na,,2025-01-01,3\n", "row 1: a row without a category"),
        ("c.csv", "district,category,date,count\na,x,2025-01-01,3\na,x,32nd of May,3\n", "row 2: date '32nd of May' is no date"),
        ("c.csv", "district,category,date,count\na,x,,3\n", "row 1: date '.*' is no date"),
        ("c.csv", "district,category,date,count\na,x,2025-01-01T00:00:00Z,3\na,x,2025-01-01,3\n", "with an offset or without"),
        ("c.csv", "district,category,date,count\na,x,2025-01-01T00:00:00Z,3\n", "date carries an offset"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = text(tmp_path / name, content)
    with pytest.raises(InputError, match=message) as error:
        files.counts(path)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_in_another_encoding_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        files.counts(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"cannot be read|is no table"):
        files.counts(tmp_path / "none.parquet")
    with pytest.raises(InputError, match="is no table"):
        files.counts(text(tmp_path / "c.csv", "district,category,date,count\n朝阳,供热,2025-01-01,3\n", "gb18030"))
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(InputError, match=r"folder\.parquet"):
        files.counts(tmp_path / "folder.parquet")
