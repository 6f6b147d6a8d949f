"""The panels of the accuracy benchmark."""

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
