"""The regression of counts finds the penalised maximum, and learns how large the effects of each group of columns are."""

import numpy as np
import pytest
from scipy.optimize import minimize

from forecasting.models.count_regression import GIVEN, fit

DAYS = 300


def drawn(seed: int, effects: np.ndarray, level: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """Counts [n] and columns [n, 1 + P] with these effects [P]."""
    rng = np.random.default_rng(seed)
    columns = np.column_stack([np.ones(DAYS), rng.normal(size=(DAYS, len(effects)))])
    return rng.poisson(level * np.exp(columns[:, 1:] @ effects)).astype(float), columns


def test_with_priors_that_are_given_it_is_the_penalised_likelihood_s_maximum() -> None:
    counts, columns = drawn(1, np.array([0.3, -0.2, 0.0]))
    scales = np.array([1.0, 0.05, 0.5, 0.01])

    def loss(b: np.ndarray) -> float:
        log = columns @ b
        return float((np.exp(log) - counts * log).sum() + 0.5 * ((b / scales)[1:] ** 2).sum())

    want = minimize(loss, np.array([3.0, 0, 0, 0]), method="BFGS").x
    np.testing.assert_allclose(fit(counts, columns, scales, np.full(4, GIVEN)), want, atol=0.005)


def test_a_group_of_columns_that_does_nothing_is_hardly_heard_and_one_that_does_is_not_held_back() -> None:
    truth = np.concatenate([np.zeros(20), np.tile([0.25, -0.25], 10)])
    groups = np.concatenate([[GIVEN], np.zeros(20, int), np.ones(20, int)])
    wrong = {"learnt": np.zeros(40), "given": np.zeros(40)}
    for seed in range(5):
        counts, columns = drawn(seed, truth, level=1.0)
        scales = np.full(41, 0.1)
        wrong["learnt"] += (fit(counts, columns, scales, groups)[1:] - truth) ** 2
        wrong["given"] += (fit(counts, columns, scales, np.full(41, GIVEN))[1:] - truth) ** 2
    assert wrong["learnt"][:20].sum() < 0.5 * wrong["given"][:20].sum()
    assert wrong["learnt"][20:].sum() < wrong["given"][20:].sum()


def test_one_group_s_size_is_learnt_apart_from_another_s() -> None:
    """The same quiet columns, alone and beside a group of great effects."""
    quiet, loud = np.zeros(15), np.tile([0.5, -0.5], 5)
    counts, columns = drawn(3, np.concatenate([quiet, loud]), level=1.0)
    scales, groups = np.full(26, 0.1), np.concatenate([[GIVEN], np.zeros(15, int), np.ones(10, int)])
    apart = fit(counts, columns, scales, groups)
    together = fit(counts, columns, scales, np.minimum(groups, 0))
    assert np.abs(apart[1:16]).max() < 0.5 * np.abs(together[1:16]).max()


@pytest.mark.parametrize("burst", [300.0, 30_000.0])
def test_a_burst_moves_no_effect(burst: float) -> None:
    counts, columns = drawn(4, np.array([0.2, 0.0]))
    stormy = counts.copy()
    stormy[100] += burst
    one, other = (fit(c, columns, np.full(3, 0.5), np.array([GIVEN, 0, 0])) for c in (counts, stormy))
    np.testing.assert_allclose(one, other, atol=0.02)


def test_columns_may_be_many_more_than_the_counts_can_tell() -> None:
    rng = np.random.default_rng(0)
    columns = np.column_stack([np.ones(40), rng.normal(size=(40, 100))])
    counts = np.zeros(40)
    counts[7] = 3
    got = fit(counts, columns, np.full(101, 0.2), np.concatenate([[GIVEN], np.arange(100) % 4]))
    assert np.isfinite(got).all()
    assert np.abs(got[1:]).max() < 1
