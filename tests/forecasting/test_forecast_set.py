"""A forecast set survives its file unchanged, and its file is always the same."""

import numpy as np
import pandas as pd
import pytest

from forecasting import distribution, explanation
from forecasting.errors import InputError
from forecasting.forecast_set import ForecastSet, pack, unpack, with_quantiles


@pytest.fixture
def made() -> ForecastSet:
    frame = pd.DataFrame(
        {
            "area": ["a", "ALL", "朝阳"],
            "category": ["x", "ALL", "x"],
            "date": pd.date_range("2025-01-01", periods=3),
            "horizon": [1, 2, 3],
            "mean": [0.0, 12.5, 3.25],
            "dispersion": [0.1, 0.02, 1.0],
            "model": ["four_week_mean", "blend(boosting 0.62, prophet 0.38)", "boosting"],
        }
    )
    return ForecastSet(frame, {"cutoff": "2024-12-31", "horizon": 3, "family": "negative_binomial"})


def test_what_is_written_is_read(made: ForecastSet) -> None:
    read = ForecastSet.from_parquet(made.to_parquet())
    pd.testing.assert_frame_equal(read.frame, made.frame)
    assert read.meta == made.meta


def test_the_rows_of_some_nodes_are_read_by_themselves(made: ForecastSet) -> None:
    rows = ForecastSet.of_nodes(made.to_parquet(), ["a", "朝阳"], ["x"])
    pd.testing.assert_frame_equal(rows, made.frame.iloc[[0, 2]].reset_index(drop=True))
    assert ForecastSet.of_nodes(made.to_parquet(), ["ALL"], ["x"]).empty


def test_the_same_set_gives_the_same_bytes_whatever_else_its_frame_holds(made: ForecastSet) -> None:
    other = ForecastSet(made.frame.assign(more=1)[::1], dict(reversed(made.meta.items())))
    assert other.to_parquet() == made.to_parquet()


def test_what_explains_a_set_is_kept_with_it(made: ForecastSet) -> None:
    parts = pd.DataFrame(0.25, index=made.frame.index, columns=list(explanation.COLUMNS), dtype="float32")
    read = ForecastSet.from_parquet(ForecastSet(made.frame.join(parts)).to_parquet()).frame
    pd.testing.assert_frame_equal(read, made.frame.join(parts))
    told = explanation.with_parts(read)
    np.testing.assert_allclose(told["rest"], read["mean"] - 0.25 * len(parts.columns))


def test_bytes_that_are_no_forecast_set_are_an_error(made: ForecastSet) -> None:
    blob = made.to_parquet()
    for wrong in (b"", b"PAR1", blob[:-20], blob[: len(blob) // 2], b"x" * 100, _plain(made.frame), _plain(made.frame.drop(columns="mean"))):
        with pytest.raises(InputError, match="not a forecast set"):
            ForecastSet.from_parquet(wrong)


def test_a_table_beside_the_set_is_read_as_it_was_written() -> None:
    days = pd.date_range("2025-01-01", periods=2)
    frame = pd.DataFrame({"category": ["朝阳", "x"], "path": [["朝阳", "ALL"], ["x", "ALL"]], "date": days, "h00": [0.5, np.nan]})
    read = unpack(pack(frame), list(frame.columns))
    pd.testing.assert_frame_equal(read.drop(columns="path"), frame.drop(columns="path"))
    assert [list(path) for path in read["path"]] == list(frame["path"])
    assert pack(frame) == pack(frame.copy())


def test_bytes_that_are_no_such_table_are_an_error(made: ForecastSet) -> None:
    for wrong in (b"", made.to_parquet()[:-20], made.to_parquet()):
        with pytest.raises(InputError, match="not a table of a forecast set"):
            unpack(wrong, ["week_ahead"])


def _plain(frame: pd.DataFrame) -> bytes:
    return bytes(frame.to_parquet(index=False))


def test_quantiles_are_derived_row_by_row(made: ForecastSet) -> None:
    got = with_quantiles(made.frame)
    want = distribution.quantiles(made.frame["mean"].to_numpy(), made.frame["dispersion"].to_numpy())
    np.testing.assert_array_equal(got[list(distribution.QUANTILE_NAMES)].to_numpy(), want)
    pd.testing.assert_frame_equal(got[made.frame.columns], made.frame)
