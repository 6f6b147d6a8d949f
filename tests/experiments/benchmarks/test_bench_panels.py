"""The panels of the accuracy benchmark."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from experiments.benchmarks import panels
from experiments.benchmarks.panels import Slice
from forecasting.errors import InputError

PART = Slice("here", "2020-01-01", "2020-12-31", ("A", "B"), ("0",))


def tickets(*rows: tuple[str, str, str | None, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["ticket_id", "created_at", "district", "category"])
    return frame.assign(created_at=pd.to_datetime(frame["created_at"], format="ISO8601"))


def test_the_windows_after_the_cutoffs_tile_the_last_364_days() -> None:
    last = pd.Timestamp("2014-12-31")
    days = [pd.Timestamp(c) + pd.Timedelta(days=h) for c in panels.cutoffs(last) for h in range(1, panels.HORIZON + 1)]
    assert days == list(pd.date_range(end=last, periods=364))


def test_a_ticket_counts_once_and_on_its_day() -> None:
    made = panels.counts_of(
        tickets(("1", "2020-03-01 23:59", "d", "A"), ("1", "2020-03-01 23:59", "d", "A"), ("2", "2020-03-01 00:00", "d", "A")), PART
    )
    assert made.to_dict("records") == [{"district": "d", "category": "A", "date": pd.Timestamp("2020-03-01"), "count": 2}]


@pytest.mark.parametrize(
    "row",
    [
        ("9", "2019-12-31 23:59", "d", "A"),
        ("9", "2021-01-01", "d", "A"),
        ("9", "2020-03-01", None, "A"),
        ("9", "2020-03-01", "0", "A"),
        ("9", "2020-03-01", "d", "C"),
    ],
    ids=["before", "after", "no district", "a district that is none", "a category that is not complete"],
)
def test_what_is_not_of_the_slice_is_left_out(row: tuple[str, str, str | None, str]) -> None:
    made = panels.counts_of(tickets(("1", "2020-12-31 12:00", "d", "B"), row), PART)
    assert list(made["count"]) == [1]


def test_the_panel_of_time_holds_the_largest_series() -> None:
    counts = pd.DataFrame({"district": list("aabc"), "category": "k", "date": pd.Timestamp("2020-01-01"), "count": [2, 2, 3, 9]})
    assert set(panels.largest(counts, 2)["district"]) == {"a", "c"}


def test_a_real_panel_needs_its_tickets_and_a_name_must_be_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs its tickets"):
        panels.lay_down("boston-311-pest", None, tmp_path)
    with pytest.raises(InputError, match="unknown panel"):
        panels.lay_down("nowhere", None, tmp_path)
    assert not (tmp_path / "boston-311-pest" / "counts.parquet").exists()


def test_two_names_of_a_district_are_one() -> None:
    part = Slice("here", "2020-01-01", "2020-12-31", merge={"old": "new"})
    made = panels.counts_of(tickets(("1", "2020-03-01", "old", "A"), ("2", "2020-03-01", "new", "A"), ("3", "2020-03-01", "other", "A")), part)
    assert made[["district", "count"]].to_numpy().tolist() == [["new", 2], ["other", 1]]


def test_bostons_slices_merge_what_overlaps_and_merge_into_no_name_that_is_merged() -> None:
    for name, part in panels.REAL.items():
        assert bool(part.merge) == name.startswith("boston")
        assert not set(part.merge) & set(part.merge.values())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / panels.REAL["boston-311-rodent"].folder
    folder.mkdir(parents=True)
    days = [f"2015-{month:02d}-01" for month in range(1, 13)]
    rows = [(f"{i}", day, "Mattapan", "Rat Bite") for i, day in enumerate(days)]
    tickets(*rows).to_parquet(folder / "tickets.parquet")
    return tmp_path / "data"


def test_a_panel_that_is_cut_otherwise_is_made_again_and_any_other_is_kept(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "boston-311-rodent"
    made = panels.lay_down(name, data, tmp_path)
    assert set(made.table()["district"]) == {"Greater Mattapan"}
    when, before = made.counts.stat().st_mtime_ns, made.fingerprint
    assert panels.lay_down(name, None, tmp_path) == panels.laid(name, tmp_path) == made
    assert made.counts.stat().st_mtime_ns == when
    monkeypatch.setitem(panels.DEFINED, name, replace(panels.REAL[name], merge={}))
    monkeypatch.setitem(panels.REAL, name, replace(panels.REAL[name], merge={}))
    assert panels.laid(name, tmp_path) is None
    with pytest.raises(InputError, match="needs its tickets"):
        panels.lay_down(name, None, tmp_path)
    again = panels.lay_down(name, data, tmp_path)
    assert set(again.table()["district"]) == {"Mattapan"}
    assert again.fingerprint != before


def test_a_file_of_tickets_that_is_not_there_or_no_table_is_said(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tickets\.parquet is not there"):
        panels.lay_down("chicago-311-sanitation", data, tmp_path)
    path = data / panels.REAL["boston-311-rodent"].folder / "tickets.parquet"
    pd.read_parquet(path).drop(columns="created_at").to_parquet(path)
    with pytest.raises(InputError, match="cannot be read"):
        panels.lay_down("boston-311-rodent", data, tmp_path)
    path.write_text("no table")
    with pytest.raises(InputError, match="cannot be read"):
        panels.lay_down("boston-311-rodent", data, tmp_path)
    assert not (tmp_path / "boston-311-rodent").exists()
