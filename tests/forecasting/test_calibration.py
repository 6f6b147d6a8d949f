"""The dispersion learnt from residuals is the one that made them."""

import numpy as np
import pytest

from forecasting import calibration, distribution
from forecasting.calibration import DEFAULT, GRID, GROUP_DAYS

STEP = GRID[1] / GRID[0]


def draw(mean: np.ndarray, dispersion: np.ndarray | float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.gamma(1 / dispersion, mean * dispersion)).astype(float)


@pytest.mark.parametrize("true", [0.02, 0.2, 1.0])
def test_a_known_dispersion_is_recovered_to_a_step_of_the_grid(true: float) -> None:
    means = np.full((20, 3, 28), 50.0)
    got = calibration.fit(means, draw(means, true), np.zeros(20, int))
    typical = np.exp(np.log(got.at(28)).mean())
    assert true / STEP < typical < true * STEP


def test_poisson_counts_give_next_to_no_dispersion() -> None:
    means = np.full((10, 3, 28), 50.0)
    got = calibration.fit(means, np.random.default_rng(1).poisson(means).astype(float), np.zeros(10, int))
    assert (got.at(28).mean() * 50) < 0.3  # the variance is less than a third above the Poisson's


def test_a_node_that_differs_from_its_group_keeps_its_own_and_one_without_residuals_gets_its_group_s() -> None:
    means = np.full((30, 3, 28), 40.0)
    true = np.full((30, 1, 1), 0.02)
    true[0] = 1.0
    counts = draw(means, np.broadcast_to(true, means.shape))
    counts[1] = np.nan
    got = calibration.fit(means, counts, np.zeros(30, int)).nodes
    assert got[0] > 10 * np.median(got)
    assert got[1] == pytest.approx(np.median(got), rel=STEP)


def test_a_few_days_of_its_own_do_not_move_a_node_far_from_its_group() -> None:
    means = np.full((40, 1, 28), 40.0)
    counts = draw(means, 0.02)
    counts[0, 0, 4:] = np.nan
    counts[0, 0, :4] = [40, 41, 39, 40]
    assert GROUP_DAYS > 4
    got = calibration.fit(means, counts, np.zeros(40, int)).nodes
    assert got[0] > 0.02 / STEP**2


def test_one_burst_is_an_event_and_no_scatter() -> None:
    means = np.full((10, 3, 28), 5.0)
    counts = draw(means, 0.05)
    with_storm = counts.copy()
    with_storm[0, 2, 25] = 700
    groups = np.zeros(10, int)
    quiet, stormy = calibration.fit(means, counts, groups), calibration.fit(means, with_storm, groups)
    assert (stormy.at(28) <= quiet.at(28) * STEP**2).all()


def test_what_only_a_far_forecast_gets_wrong_does_not_widen_the_near_one() -> None:
    means = np.full((10, 3, 28), 20.0)
    counts = draw(means, 0.02)
    counts[0, 1:, 14:] *= 3  # seasons that begin: seen two weeks ahead by nobody, in the first week known
    got = calibration.fit(means, counts, np.zeros(10, int)).weeks[0]
    assert got[0] < 0.1
    assert got[2] > 4 * got[0]


def test_groups_do_not_mix() -> None:
    means = np.full((40, 3, 28), 40.0)
    groups = np.repeat([0, 1], 20)
    got = calibration.fit(means, draw(means, np.where(groups == 0, 0.01, 0.8)[:, None, None]), groups).nodes
    assert got[groups == 0].max() < got[groups == 1].min()


def test_later_weeks_scatter_more_where_residuals_say_so_and_never_less_than_earlier_ones() -> None:
    means = np.full((20, 6, 28), 60.0)
    true = np.repeat([0.02, 0.04, 0.08, 0.16], 7)
    got = calibration.fit(means, draw(means, np.broadcast_to(true, means.shape)), np.zeros(20, int))
    typical = np.median(got.weeks, axis=0)
    assert typical[3] / typical[0] > 3
    falling = calibration.fit(means, draw(means, np.broadcast_to(true[::-1], means.shape)), np.zeros(20, int))
    assert (np.diff(falling.weeks, axis=1) >= 0).all()


def test_beyond_the_last_week_learnt_from_that_week_s_dispersion_holds() -> None:
    means = np.full((4, 3, 14), 60.0)
    got = calibration.fit(means, draw(means, 0.1), np.zeros(4, int))
    far = got.at(40)
    assert far.shape == (4, 40)
    np.testing.assert_array_equal(far[:, 14:], np.repeat(far[:, 13:14], 26, axis=1))


@pytest.mark.parametrize("windows", [0, 2])
def test_without_any_residual_the_dispersion_is_wide(windows: int) -> None:
    nothing = np.full((3, windows, 7), np.nan)
    got = calibration.fit(nothing, nothing, np.array([0, 1, 0]))
    np.testing.assert_array_equal(got.at(7), np.full((3, 7), DEFAULT))


def test_a_missing_count_is_no_residual() -> None:
    means = np.full((5, 2, 28), 30.0)
    counts = draw(means, 0.1)
    holes = counts.copy()
    holes[:, 1] = np.nan
    np.testing.assert_array_equal(
        calibration.fit(means, holes, np.zeros(5, int)).nodes, calibration.fit(means[:, :1], counts[:, :1], np.zeros(5, int)).nodes
    )


def test_a_level_that_few_days_told_widens_the_forecast_and_a_long_history_does_not() -> None:
    rng = np.random.default_rng(2)
    level, dispersion = 30.0, 0.05
    seen = rng.poisson(rng.gamma(1 / dispersion, level * dispersion, (20_000, 7)))
    told = seen.mean(axis=1)
    coming = rng.poisson(rng.gamma(1 / dispersion, level * dispersion, 20_000))
    wide = calibration.widened(np.full((20_000, 1), dispersion), seen.sum(axis=1), np.full(20_000, 7))[:, 0]

    def inside(scatter: np.ndarray) -> float:
        low, high = distribution.quantiles(told, scatter, (0.05, 0.95)).T
        return float(((low <= coming) & (coming <= high)).mean())

    assert inside(np.full(20_000, dispersion)) < 0.9
    assert 0.9 < inside(wide) < 0.98
    long = calibration.widened(np.full((1, 3), dispersion), np.array([30_000]), np.array([1000]))
    np.testing.assert_allclose(long, dispersion, rtol=0.02)
