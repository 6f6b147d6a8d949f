"""Whether the check of intervals tells a right distribution from a wrong one."""

import numpy as np
import pandas as pd
import pytest

from experiments.benchmarks.accuracy import calibration
from forecasting.forecast_set import with_quantiles

DAYS = pd.date_range("2023-01-01", periods=364 + 13 * 28)
MEANS = np.repeat([0.05, 0.2, 0.6, 2.0, 6.0, 30.0], 12)
DISPERSION = 0.3


@pytest.fixture(scope="module")
def truth() -> pd.DataFrame:
    """Negative binomial counts of twelve series in each size class."""
    rng = np.random.default_rng(0)
    rate = MEANS[:, None] * rng.gamma(1 / DISPERSION, DISPERSION, (len(MEANS), len(DAYS)))
    code = [f"d{i}" for i in range(len(MEANS))]
    return pd.DataFrame(
        {"district": np.repeat(code, len(DAYS)), "category": "a", "date": np.tile(DAYS, len(MEANS)), "count": rng.poisson(rate).ravel()}
    )


def forecasts(truth: pd.DataFrame, dispersion: float) -> pd.DataFrame:
    late = truth[truth["date"] > DAYS[363]].drop(columns="count")
    window = (late["date"] - DAYS[364]).dt.days // 28
    mean = dict(zip([f"d{i}" for i in range(len(MEANS))], MEANS, strict=True))
    made = late.assign(cutoff=DAYS[363] + pd.to_timedelta(window * 28, unit="D"), mean=late["district"].map(mean), dispersion=dispersion)
    return with_quantiles(made)


def test_the_right_distribution_is_within_two_points_in_every_size_class(truth: pd.DataFrame) -> None:
    found = calibration.inside([calibration.transform(forecasts(truth, DISPERSION), truth)])
    assert {size for size, _ in found} == set(calibration.CLASSES)
    for (size, name), held in found.items():
        e = held.transforms
        assert held.rows == 12 * 364, size
        assert e.value == pytest.approx(calibration.NOMINAL[name], abs=0.02), size
        assert e.low < e.value < e.high


def test_what_whole_numbers_would_cover_is_what_they_cover_where_the_distribution_is_right(truth: pd.DataFrame) -> None:
    made = forecasts(truth, DISPERSION)
    found = calibration.inside([calibration.transform(made, truth)])
    both = made.merge(truth, on=["district", "category", "date"])
    for size, mean in zip(calibration.CLASSES, sorted(set(MEANS)), strict=True):
        rows = both[both["mean"] == mean]
        covered = rows["count"].between(rows["q10"], rows["q90"]).mean()
        assert found[size, "cover80"].whole == pytest.approx(covered, abs=0.02)
    assert found["< 0.1", "cover80"].whole > 0.9


def test_a_distribution_that_is_too_narrow_is_found_out_where_counts_are_large(truth: pd.DataFrame) -> None:
    found = calibration.inside([calibration.transform(forecasts(truth, 0.0), truth)])
    assert found["> 10", "cover80"].transforms.value < 0.6
    assert found["3-10", "cover80"].transforms.value < 0.75


def test_the_draw_is_the_same_every_time(truth: pd.DataFrame) -> None:
    made = forecasts(truth, DISPERSION)
    pd.testing.assert_frame_equal(calibration.transform(made, truth), calibration.transform(made, truth))


def test_panels_are_pooled_by_rows() -> None:
    cutoffs = pd.date_range("2024-01-01", periods=13, name="cutoff")

    def panel(rows: float, inside: float) -> pd.DataFrame:
        sums = pd.DataFrame({"rows": rows, "in80": rows * inside, "in90": rows}, index=cutoffs)
        return pd.concat({("champion", level): sums for level in ("series", "category", "district", "city")}, names=["model", "level"]).sort_index()

    found = calibration.coverage({"one": panel(30, 0.9), "two": panel(10, 0.5)}, "champion")
    assert found["city", "cover80"].value == pytest.approx(0.8)
    assert found["city", "cover90"].value == 1
