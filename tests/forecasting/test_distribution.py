"""The predictive distribution agrees with scipy's, with simulation, and with what is known of a negative binomial."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from forecasting import distribution
from forecasting.distribution import LEVELS

MEANS = np.array([1e-3, 0.05, 0.7, 3.0, 12.5, 150.0, 4000.0])
DISPERSIONS = np.array([1e-4, 0.02, 0.3, 2.0])
GRID = [(m, a) for m in MEANS for a in DISPERSIONS]

means = st.floats(1e-3, 1e4)
dispersions = st.floats(0, 4)


def scipy_nb(mean: float, dispersion: float) -> stats.rv_discrete:
    size = 1 / dispersion
    return stats.nbinom(size, size / (size + mean))


@pytest.mark.parametrize(("mean", "dispersion"), GRID)
def test_mean_and_variance_are_those_of_nb2(mean: float, dispersion: float) -> None:
    reference = scipy_nb(mean, dispersion)
    assert reference.mean() == pytest.approx(mean)
    assert reference.var() == pytest.approx(mean + dispersion * mean**2)
    top = int(reference.ppf(1 - 1e-12)) + 1
    k = np.arange(top + 1)
    p = np.exp(distribution.log_likelihood(np.full(top + 1, mean), np.full(top + 1, dispersion), k))
    assert p.sum() == pytest.approx(1, abs=1e-9)
    assert (p * k).sum() == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize(("mean", "dispersion"), GRID)
def test_tails_and_likelihood_agree_with_scipy(mean: float, dispersion: float) -> None:
    reference = scipy_nb(mean, dispersion)
    k = np.unique(np.concatenate([np.arange(12.0), reference.ppf([0.1, 0.5, 0.9, 0.999, 1 - 1e-9])]))
    m, a = np.full(len(k), mean), np.full(len(k), dispersion)
    np.testing.assert_allclose(distribution.tail(m, a, k), reference.sf(k - 1), rtol=1e-6)
    np.testing.assert_allclose(distribution.cdf(m, a, k), reference.cdf(k), rtol=1e-9)
    np.testing.assert_allclose(distribution.log_likelihood(m, a, k), reference.logpmf(k), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(distribution.mid_pit(m, a, k), reference.cdf(k) - reference.pmf(k) / 2, atol=1e-9)


@pytest.mark.parametrize(("mean", "dispersion"), GRID)
def test_a_quantile_is_the_smallest_count_that_reaches_its_level(mean: float, dispersion: float) -> None:
    reference = scipy_nb(mean, dispersion)
    q = distribution.quantiles(np.array([mean]), np.array([dispersion]))[0]
    assert (reference.cdf(q) >= np.array(LEVELS) - 1e-9).all()
    assert (reference.cdf(q - 1) < np.array(LEVELS)).all()


def scipy_quantiles(mean: np.ndarray, dispersion: np.ndarray, levels: tuple[float, ...] = LEVELS) -> np.ndarray:
    """As scipy inverts the same shape."""
    size = 1.0 / np.maximum(dispersion, distribution.LEAST_DISPERSION)
    p = size / (size + np.maximum(mean, distribution.LEAST_MEAN))
    return np.asarray(stats.nbinom.ppf(np.asarray(levels), size[..., None], p[..., None]))


def test_quantiles_are_scipys_to_the_last_bit_whatever_the_mean_and_dispersion() -> None:
    mean = np.concatenate([[0.0], np.geomspace(1e-12, 1e9, 211)])
    dispersion = np.concatenate([[0.0], np.geomspace(1e-9, 300.0, 97)])
    m, a = (x.ravel() for x in np.meshgrid(mean, dispersion))
    np.testing.assert_array_equal(distribution.quantiles(m, a), scipy_quantiles(m, a))


@settings(max_examples=300, deadline=None)
@given(mean=st.floats(0, 1e6), dispersion=st.floats(0, 300), levels=st.lists(st.floats(1e-4, 1 - 1e-4), min_size=1, max_size=9))
def test_quantiles_of_any_level_are_scipys(mean: float, dispersion: float, levels: list[float]) -> None:
    m, a, ascending = np.array([mean]), np.array([dispersion]), tuple(sorted(levels))
    np.testing.assert_array_equal(distribution.quantiles(m, a, ascending), scipy_quantiles(m, a, ascending))


@settings(max_examples=100, deadline=None)
@given(mean=st.floats(0, 1e9), dispersion=st.floats(0, 300), count=st.floats(-10, 1e10))
def test_the_distribution_function_is_scipys_to_the_last_bit(mean: float, dispersion: float, count: float) -> None:
    size = 1.0 / max(dispersion, distribution.LEAST_DISPERSION)
    reference = stats.nbinom.cdf(count, size, size / (size + max(mean, distribution.LEAST_MEAN)))
    assert distribution.cdf(np.array([mean]), np.array([dispersion]), np.array([count])) == reference


def test_quantiles_have_the_shape_of_the_means_and_are_unknown_where_they_are() -> None:
    mean, dispersion = np.array([[3.0, np.nan, 2.0], [0.0, 5e5, 1e-12]]), np.array([[0.1, 0.1, np.nan], [0.0, 0.2, 0.1]])
    made = distribution.quantiles(mean, dispersion)
    np.testing.assert_array_equal(made, scipy_quantiles(mean, dispersion))
    assert made.shape == (2, 3, len(LEVELS))
    assert np.isnan(made).any(axis=2).tolist() == [[False, True, True], [False, False, False]]
    assert distribution.quantiles(np.zeros((0, 4)), np.zeros((0, 4))).shape == (0, 4, len(LEVELS))


@settings(max_examples=80, deadline=None)
@given(mean=st.floats(0, 1e4), dispersion=dispersions)
def test_quantiles_are_whole_finite_and_never_cross(mean: float, dispersion: float) -> None:
    q = distribution.quantiles(np.array([mean]), np.array([dispersion]))[0]
    assert np.isfinite(q).all()
    assert (q >= 0).all()
    assert (q == np.round(q)).all()
    assert (np.diff(q) >= 0).all()


@settings(max_examples=60, deadline=None)
@given(mean=means, dispersion=dispersions, count=st.integers(0, 20000))
def test_a_greater_count_is_never_more_probable_to_be_exceeded(mean: float, dispersion: float, count: int) -> None:
    p = distribution.tail(np.full(2, mean), np.full(2, dispersion), np.array([count, count + 1.0]))
    assert 0 <= p[1] <= p[0] <= 1
    assert p[0] + distribution.cdf(np.array([mean]), np.array([dispersion]), np.array([count - 1.0]))[0] == pytest.approx(1, abs=1e-8)


@settings(max_examples=40, deadline=None)
@given(mean=means, dispersion=dispersions, count=st.integers(1, 1000))
def test_the_same_count_is_less_unusual_where_more_is_expected(mean: float, dispersion: float, count: int) -> None:
    p = distribution.tail(np.array([mean, mean * 1.5]), np.full(2, dispersion), np.full(2, float(count)))
    assert p[0] <= p[1] + 1e-12


def test_simulated_counts_fall_below_their_quantiles_as_often_as_they_should() -> None:
    rng = np.random.default_rng(3)
    mean, dispersion, n = 40.0, 0.1, 200_000
    sample = rng.poisson(rng.gamma(1 / dispersion, dispersion * mean, n))
    q = distribution.quantiles(np.array([mean]), np.array([dispersion]))[0]
    share = (sample[:, None] <= q).mean(axis=0)
    exact = scipy_nb(mean, dispersion).cdf(q)
    np.testing.assert_allclose(share, exact, atol=4 * np.sqrt(0.25 / n))
    pit = distribution.mid_pit(np.full(n, mean), np.full(n, dispersion), sample)
    assert pit.mean() == pytest.approx(0.5, abs=4 * np.sqrt(1 / 12 / n))


@pytest.mark.parametrize("mean", [0.2, 3.0, 80.0])
def test_without_dispersion_it_is_the_poisson(mean: float) -> None:
    k = np.arange(0, int(mean * 3) + 8.0)
    m, none = np.full(len(k), mean), np.zeros(len(k))
    reference = stats.poisson(mean)
    np.testing.assert_allclose(distribution.tail(m, none, k), reference.sf(k - 1), rtol=2e-3, atol=1e-12)
    np.testing.assert_allclose(distribution.log_likelihood(m, none, k), reference.logpmf(k), atol=2e-2)
    np.testing.assert_array_equal(distribution.quantiles(m[:1], none[:1])[0], reference.ppf(LEVELS))


@pytest.mark.parametrize("dispersion", [0.0, 0.02, 3.0])
def test_a_mean_of_zero_is_a_count_of_zero_for_sure(dispersion: float) -> None:
    zero, a = np.zeros(2), np.full(2, dispersion)
    assert distribution.quantiles(zero, a).max() == 0
    assert distribution.tail(zero, a, np.array([0.0, 1.0])).tolist() == pytest.approx([1, 0], abs=1e-8)
    assert distribution.cdf(zero, a, zero).tolist() == pytest.approx([1, 1])
    assert distribution.log_likelihood(zero, a, zero).tolist() == pytest.approx([0, 0], abs=1e-6)


def test_arrays_of_any_shape_keep_it() -> None:
    mean = np.linspace(1, 5, 12).reshape(3, 4)
    a = np.full((3, 4), 0.1)
    assert distribution.quantiles(mean, a, (0.5, 0.9)).shape == (3, 4, 2)
    assert distribution.tail(mean, a, np.full((3, 4), 2.0)).shape == (3, 4)
    assert distribution.mid_pit(mean, a, np.full((3, 4), 2.0)).shape == (3, 4)


@pytest.mark.parametrize("odd", [None, 0.5, 3_000_000.0])
def test_log_likelihoods_of_one_dispersion_for_all_are_those_of_each(odd: float | None) -> None:
    """Also of what is no whole number and of what is very large."""
    rng = np.random.default_rng(1)
    mean = np.concatenate([np.exp(rng.normal(0, 4, (40, 30))), np.zeros((1, 30))])
    observed = rng.poisson(np.minimum(mean, 1e5)).astype(float)
    if odd is not None:
        observed[3, 4] = odd
    dispersions = (0.0, 1e-4, 0.3, 4.0)
    for dispersion, got in zip(dispersions, distribution.log_likelihoods(mean, observed, dispersions), strict=True):
        np.testing.assert_allclose(got, distribution.log_likelihood(mean, np.full(mean.shape, dispersion), observed), rtol=1e-7, atol=1e-5)
