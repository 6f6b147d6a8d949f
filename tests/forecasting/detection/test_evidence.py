"""The evidence of the last days: what chance does is what is promised, whatever the size of a node."""

import numpy as np
import pytest

from forecasting import distribution
from forecasting.detection import evidence

YEARS = 400
DAYS = YEARS * 365
MERGE = 3


def draw(mean: float, dispersion: float, days: int = DAYS, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.negative_binomial(1 / dispersion, 1 / (1 + mean * dispersion), days).astype(float)


def scores(counts: np.ndarray, mean: float, dispersion: float) -> np.ndarray:
    return evidence.score(counts, np.full(counts.shape, mean), np.full(counts.shape, dispersion))


def episodes(on: np.ndarray) -> int:
    days = np.flatnonzero(on)
    return int((np.diff(days, prepend=-99) > MERGE + 1).sum())


@pytest.mark.parametrize("dispersion", [0.002, 0.05, 0.5])
@pytest.mark.parametrize("mean", [0.3, 1.0, 10.0, 80.0])
def test_a_usual_node_reaches_a_score_as_often_as_is_said(mean: float, dispersion: float) -> None:
    got = scores(draw(mean, dispersion), mean, dispersion)
    for a_year in (0.5, 1.0, 2.0, 4.0):
        limit = evidence.ONCE_A_YEAR - evidence.DECADE * np.log10(a_year)
        assert evidence.episodes_a_year(limit) == pytest.approx(a_year)
        assert episodes(got > limit) / YEARS == pytest.approx(a_year, rel=0.25)


def test_a_node_with_a_ticket_in_three_months_is_not_alarmed_by_single_ones() -> None:
    got = scores(draw(0.01, 0.05), 0.01, 0.05)
    assert episodes(got > evidence.threshold(1.0 / 365.25)) / YEARS < 1.25


def test_a_budget_is_shared_by_all_nodes() -> None:
    limit = evidence.threshold(1.5 / 500)
    assert 500 * evidence.episodes_a_year(limit) / 365.25 == pytest.approx(1.5)
    assert evidence.threshold(1.5 / 20_000) > limit > evidence.threshold(3.0 / 500)


def test_more_tickets_on_any_of_the_last_days_are_never_less_evidence() -> None:
    rng = np.random.default_rng(1)
    counts = rng.poisson(5.0, (50, 10)).astype(float)
    mean, scatter = np.full((50, 10), 5.0), np.full((50, 10), 0.1)
    before = evidence.score(counts, mean, scatter)[:, -1]
    for back in range(7):
        more = counts.copy()
        more[:, 9 - back] += 3
        assert (evidence.score(more, mean, scatter)[:, -1] > before).all()
    more = counts.copy()
    more[:, 2] += 3  # eight days ago: in no window
    np.testing.assert_allclose(evidence.score(more, mean, scatter)[:, -1], before)


def test_a_build_up_that_no_day_shows_is_seen_in_a_week() -> None:
    counts = np.full((1, 20), 20.0)
    counts[:, -6:] = 28.0
    mean, scatter = np.full((1, 20), 20.0), np.full((1, 20), 0.005)
    assert distribution.tail(mean, scatter, counts)[0, -1] > 0.03
    assert evidence.score(counts, mean, scatter)[0, -1] > evidence.ONCE_A_YEAR


def test_a_missing_day_says_nothing_and_hides_nothing() -> None:
    counts = np.full((1, 12), 20.0)
    mean, scatter = np.full((1, 12), 20.0), np.full((1, 12), 0.01)
    counts[:, -3] = 60.0
    whole = evidence.score(counts, mean, scatter)[0]
    counts[:, -1] = np.nan
    got = evidence.score(counts, mean, scatter)[0]
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got[:-1], whole[:-1])
    assert got[-1] > evidence.ONCE_A_YEAR


def test_where_nothing_is_expected_and_nothing_came_there_is_no_evidence() -> None:
    zero = np.zeros((2, 9))
    assert (evidence.score(zero, zero, zero) == 0).all()


def test_days_before_the_first_have_shorter_windows() -> None:
    counts = np.array([[3.0, 9.0, 1.0]])
    mean, scatter = np.full((1, 3), 2.0), np.full((1, 3), 0.1)
    first = evidence.score(counts, mean, scatter)[0, 0]
    alone = -np.log10(distribution.mid_tail(np.array(2.0), np.array(0.1), np.array(3.0)))
    assert first == pytest.approx(len(evidence.WINDOWS) * alone)
