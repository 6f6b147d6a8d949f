"""A level that has moved is known after two weeks; bursts, seasons' beginnings and noise are no shifts."""

import numpy as np
import pytest

from forecasting import shifts

DAYS = 400


def draw(mean: np.ndarray, nodes: int = 200, dispersion: float = 0.02, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.gamma(1 / dispersion, mean * dispersion, (nodes, len(mean)))).astype(float)


def level(change: float, since: int, base: float = 20.0) -> np.ndarray:
    mean = np.full(DAYS, base)
    mean[DAYS - since :] *= change
    return mean


@pytest.mark.parametrize("since", [14, 20, 28, 40, 56])
@pytest.mark.parametrize("change", [0.0, 0.3, 2.0])
def test_a_level_that_doubled_or_fell_to_a_third_is_found_two_weeks_later_and_for_weeks_to_come(change: float, since: int) -> None:
    assert shifts.moved(draw(level(change, since))).mean() > 0.8


@pytest.mark.parametrize(("change", "base", "least"), [(2.0, 3.0, 0.3), (2.0, 10.0, 0.8), (0.5, 10.0, 0.5), (0.5, 30.0, 0.85), (1.5, 30.0, 0.55)])
def test_small_nodes_and_smaller_shifts_are_found_as_far_as_two_weeks_can_show_them(change: float, base: float, least: float) -> None:
    assert shifts.moved(draw(level(change, 14, base))).mean() > least


@pytest.mark.parametrize("base", [0.05, 0.5, 3.0, 20.0, 400.0])
def test_where_nothing_moves_next_to_nothing_is_found(base: float) -> None:
    assert shifts.moved(draw(level(1.0, 1, base), nodes=4000)).mean() < 0.002


def test_a_burst_of_one_week_is_no_shift() -> None:
    mean = level(1.0, 1)
    mean[-7:] *= 5
    assert shifts.moved(draw(mean)).mean() < 0.01
    passed = level(1.0, 1)
    passed[-14:-7] *= 5
    assert shifts.moved(draw(passed)).mean() < 0.01


def test_a_slow_rise_is_left_to_the_members() -> None:
    assert shifts.moved(draw(20 * np.exp(np.linspace(0, 1, DAYS)))).mean() < 0.05


def test_missing_days_move_no_level() -> None:
    counts = draw(level(1.0, 1))
    counts[:, -20:-5] = np.nan
    counts[:, 100:200] = np.nan
    assert shifts.moved(counts).mean() < 0.01


def test_a_short_history_tells_no_shift() -> None:
    assert not shifts.moved(draw(level(2.0, 14))[:, -69:]).any()


def test_a_node_is_judged_by_itself() -> None:
    counts = np.concatenate([draw(level(2.0, 14), 3), draw(level(1.0, 1), 3, seed=1)])
    assert shifts.moved(counts).tolist() == [True] * 3 + [False] * 3
