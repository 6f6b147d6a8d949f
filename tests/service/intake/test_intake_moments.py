from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.intake.moments import days, moments
from service.intake.texts import coded, numbers, texts

SHANGHAI, BOSTON = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")


def _one(cell: object, zone: ZoneInfo = SHANGHAI) -> str:
    return str(moments(pa.array([cell, "2025-01-01T00:00:00"]) if isinstance(cell, str) else pa.array([cell]), zone)[0])


@pytest.mark.parametrize(
    "cell",
    [
        "2024-01-05 10:03:00",
        "2024-01-05T10:03",
        "2024/01/05 10:03:00",
        "2024/1/5 10:03",
        "01/05/2024 10:03:00 AM",
        "1/5/2024 10:03",
        "2024年1月5日 10:03:00",
        "2024-01-05T10:03:00+08:00",
        "2024-01-05T02:03:00Z",
        "2024-01-05 02:03:00.000 +0000",
        "45296.41875",
        datetime.fromisoformat("2024-01-05T10:03"),
        datetime(2024, 1, 5, 2, 3, tzinfo=UTC),
    ],
)
def test_a_moment_is_read_however_it_is_written(cell: object) -> None:
    assert _one(cell) == "2024-01-05 02:03:00+00:00"


@pytest.mark.parametrize("cell", ["", "  ", "yesterday", "today", " Now", "2024-13-01", "05.01.2024 10:03", "2024-01-05 25:00"])
def test_what_is_no_moment_is_missing(cell: str) -> None:
    assert _one(cell) == "NaT"


def test_one_bad_cell_does_not_spoil_its_neighbours() -> None:
    column = pa.array(["2024-01-05 10:03:00", None, "?", "2024/1/5 10:03", "2024-01-05T02:03:00Z"])
    assert moments(column, SHANGHAI).isna().tolist() == [False, True, True, False, False]
    assert moments(column, SHANGHAI).nunique() == 1


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2011-03-13 01:59:59", "2011-03-13 06:59:59+00:00"),
        ("2011-03-13 02:30:00", "2011-03-13 07:00:00+00:00"),  # left out: the first moment after it
        ("2011-03-13 03:00:00", "2011-03-13 07:00:00+00:00"),
        ("2011-11-06 00:59:59", "2011-11-06 04:59:59+00:00"),
        ("2011-11-06 01:30:00", "2011-11-06 05:30:00+00:00"),  # twice: the first
        ("2011-11-06 02:00:00", "2011-11-06 07:00:00+00:00"),
    ],
)
def test_the_clocks_that_go_forward_and_back_are_minded(local: str, utc: str) -> None:
    assert _one(local, BOSTON) == utc


@settings(max_examples=50, deadline=None)
@given(st.lists(st.datetimes(datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2030-01-01")), min_size=1))
def test_a_local_time_becomes_the_moment_that_the_standard_library_says(times: list[datetime]) -> None:
    found = moments(pa.array(times, pa.timestamp("us")), BOSTON)
    for local, moment in zip(times, found, strict=True):
        expected = local.replace(tzinfo=BOSTON, fold=0).astimezone(UTC)
        gap = expected.astimezone(BOSTON).replace(tzinfo=None) != local
        assert moment == expected if not gap else abs(moment - expected) < timedelta(hours=1)


@pytest.mark.parametrize(
    ("column", "day"),
    [
        (pa.array(["2024-01-05"]), date(2024, 1, 5)),
        (pa.array([date(2024, 1, 5)]), date(2024, 1, 5)),
        (pa.array([datetime(2024, 1, 4, 18, tzinfo=UTC)]), date(2024, 1, 5)),
        (pa.array([20240105]), date(2024, 1, 5)),
        (pa.array([45296]), date(2024, 1, 5)),
        (pa.array(["2024/1/5"]).dictionary_encode(), date(2024, 1, 5)),
    ],
)
def test_a_date_is_the_citys_date(column: Any, day: date) -> None:
    assert days(column, SHANGHAI)[0].date() == day


def test_texts_are_trimmed_and_whole_numbers_stay_whole() -> None:
    assert texts(pa.array([" a ", "", None, "　b　"])).to_pylist() == ["a", None, None, "b"]
    assert texts(pa.array([61.0, None, float("nan")])).to_pylist() == ["61", None, None]
    assert texts(pa.array([1.5, 2.0])).to_pylist() == ["1.5", "2"]
    assert texts(pa.array([None, None])).to_pylist() == [None, None]
    assert coded(pa.array(["x", " x", None])).astype(object).tolist()[:2] == ["x", "x"]
    assert coded(pa.array(["x", " x", None])).isna().tolist() == [False, False, True]


def test_numbers_are_read_from_texts() -> None:
    assert numbers(pa.array(["1", " 2.5 ", "x", ""])).fillna(-1).tolist() == [1.0, 2.5, -1.0, -1.0]
    assert numbers(pa.array([1, None])).fillna(-1).tolist() == [1.0, -1.0]
