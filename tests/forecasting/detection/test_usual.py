"""What is usual: a level that is followed, events that are not learnt, and what forecasts made out of sample tell."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from forecasting.detection import evidence, usual
from forecasting.detection.usual import Trust, Usual

NODES = 40
MEAN = 20.0
WEEKDAYS = np.array([1.15, 1.1, 1.05, 1.05, 1.05, 0.85, 0.75])


def trust(nodes: int = NODES, scatter: float = 0.02) -> Trust:
    return Trust(np.full(nodes, scatter), np.zeros(nodes), np.zeros(nodes))


def drawn(mean: np.ndarray, scatter: float, seed: int = 0) -> np.ndarray:
    """Negative binomial counts."""
    rng = np.random.default_rng(seed)
    return rng.poisson(mean * (rng.gamma(1 / scatter, scatter, mean.shape) if scatter else 1.0)).astype(float)


def follow(state: Usual, forecast: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """[M, T] what was usual on each day, as it was known when the day began."""
    means = np.empty(forecast.shape)
    for t in range(forecast.shape[1]):
        state.begin(forecast[:, t])
        means[:, t] = state.mean[:, -1]
        state.end(counts[:, t : t + 1])
    return means


@pytest.mark.parametrize("factor", [0.6, 0.8, 1.25])
def test_a_level_that_moves_is_followed_half_of_the_way_in_three_weeks_and_then_all_of_it(factor: float) -> None:
    forecast = MEAN * np.tile(WEEKDAYS, (NODES, 18))
    true = np.where(np.arange(126) < 49, 1.0, factor) * forecast
    means = follow(Usual(trust()), forecast, drawn(true, 0.02))
    ratio = (means / true).mean(axis=0)
    assert_allclose(ratio[21:49], 1.0, atol=0.06)
    gone = (ratio - 1 / factor) / (1 - 1 / factor)
    assert abs(gone[50]) < 0.2, "not yet followed"
    assert gone[49 + 21] > 0.5
    assert_allclose(ratio[49 + 56 :], 1.0, atol=0.12)


def test_an_event_of_a_week_does_not_become_usual() -> None:
    forecast = np.full((NODES, 70), MEAN)
    event = (np.arange(70) >= 42) & (np.arange(70) < 49)
    counts = drawn(forecast * np.where(event, 4.0, 1.0), 0.02)
    means = follow(Usual(trust()), forecast, counts)
    assert_allclose((means / MEAN).mean(axis=0)[42:], 1.0, atol=0.1)
    quiet = follow(Usual(trust()), forecast, np.where(event, np.nan, counts))
    assert_allclose(means[:, 49:].mean(axis=0), quiet[:, 49:].mean(axis=0), rtol=0.05)


def test_what_came_lately_is_not_yet_learnt() -> None:
    """Whatever comes on the last days, today's usual is as it was known before them."""
    forecast = np.full((NODES, 40), MEAN)
    counts = drawn(forecast, 0.02)
    other = counts.copy()
    other[:, 37:] = MEAN  # no more than what makes no event of the days before
    one, two = (follow(Usual(trust()), forecast, x) for x in (counts, other))
    assert usual.GUARD >= 1
    assert_array_equal(one[:, : 37 + usual.GUARD], two[:, : 37 + usual.GUARD])


def test_days_without_data_teach_nothing() -> None:
    forecast = np.full((NODES, 60), MEAN)
    nothing = follow(Usual(trust()), forecast, np.full(forecast.shape, np.nan))
    assert_allclose(nothing, MEAN)
    counts = drawn(0.7 * forecast, 0.02)
    gap = counts.copy()
    gap[:, 45:] = np.nan
    means = follow(Usual(trust()), forecast, gap)
    before = means[:, 45].mean()
    assert before == pytest.approx(0.7 * MEAN, rel=0.06)
    assert (np.diff(means[:, 50:].mean(axis=0)) >= 0).all(), "what was learnt is slowly forgotten, not unlearnt"
    assert before <= means[:, -1].mean() < MEAN


@pytest.mark.parametrize("turned", [0.5, 1.0, 3.0])
def test_a_forecast_that_is_renewed_at_another_level_changes_nothing_of_what_is_usual(turned: float) -> None:
    forecast = 3 * MEAN * np.tile(WEEKDAYS, (NODES, 6))
    counts = drawn(1.2 * forecast, 0.02)
    state = Usual(trust())
    follow(state, forecast, counts)
    told = {name: getattr(state, name).copy() for name in ("observed", "mean", "dispersion", "event")}
    ahead = 3 * turned * MEAN * np.tile(WEEKDAYS, (NODES, 1))
    new = state.renew(ahead, trust())
    for name, before in told.items():
        assert_array_equal(getattr(new, name), before, err_msg=name)
    state.begin(forecast[:, 0])
    new.begin(ahead[:, 0])
    assert_allclose(new.mean[:, -1], state.mean[:, -1], rtol=0.1)


def test_a_renewed_forecast_knows_its_season() -> None:
    forecast = MEAN * np.arange(1, 4)[:, None] * np.ones(42)
    state = Usual(trust(3))
    follow(state, forecast, drawn(forecast, 0.0))
    new = state.renew(forecast[:, :7], trust(3))
    new.begin(2 * forecast[:, 0])  # twice as much is coming on this day
    assert_allclose(new.mean[:, -1], 2 * forecast[:, 0], rtol=0.15)


def test_learnt_anew_by_what_the_last_days_were_judged_stays() -> None:
    """Another state of the same days, longer or shorter, with a node more and in another order."""
    forecast = np.full((3, 30), MEAN)
    counts = drawn(forecast, 0.02)
    before, longer, empty = Usual(trust(3)), Usual(trust(4)), Usual(trust(4))
    follow(before, forecast[:, 20:], counts[:, 20:])
    follow(longer, 3 * np.full((4, 30), MEAN), np.zeros((4, 30)))
    level, own = longer.told.copy(), longer.mean.copy()
    rows = np.array([2, -1, 0, 1])
    for state in (longer, empty):
        state.recall(before, rows)
        for name in ("observed", "mean", "dispersion"):
            assert_array_equal(getattr(state, name)[[0, 2, 3], -10:], getattr(before, name)[[2, 0, 1]], err_msg=name)
    assert_array_equal(longer.told, level)
    assert_array_equal(longer.mean[:, :-10], own[:, :-10])
    assert_array_equal(longer.mean[1], own[1])
    assert np.isnan(empty.mean[1]).all()
    for state in (longer, empty):
        state.begin(np.full(4, MEAN))
        state.end(np.full((4, 1), MEAN))


def test_how_levels_stand_turns_the_next_day_s_forecast_into_what_it_is_judged_by() -> None:
    forecast = np.vstack([np.full((NODES - 1, 42), MEAN), np.full((1, 42), 0.01)])
    state = Usual(replace(trust(), least=np.full(NODES, 0.05)))
    follow(state, forecast, drawn(0.8 * forecast, 0.02))
    state.begin(forecast[:, 0])
    mean, dispersion = state.standing.usual(forecast[:, 0])
    assert_array_equal(mean, state.mean[:, -1])
    assert_array_equal(dispersion, state.dispersion[:, -1])
    assert_allclose(mean[:-1].mean(), 0.8 * MEAN, rtol=0.06)
    assert (mean[-1], dispersion[-1]) == (0.05, pytest.approx(state.standing.dispersion[-1] + 2)), "rarer than can be told: guessed"


def test_the_evidence_of_the_day_is_that_of_its_windows_and_its_shift() -> None:
    forecast = np.full((NODES, 30), 5.0)
    counts = drawn(forecast, 0.02)
    state = Usual(Trust(np.full(NODES, 0.02), np.linspace(-1, 1, NODES), np.zeros(NODES)))
    for t in range(30):
        state.begin(forecast[:, t])
        got = state.end(counts[:, t : t + 1])
    want = evidence.newest(counts[:, -7:], state.mean[:, -7:], state.dispersion[:, -7:]) + state.trust.shift
    assert_allclose(got, want)


def windows(mean: np.ndarray) -> np.ndarray:
    """[M, T] as six windows of four weeks."""
    return mean.reshape(len(mean), 6, 28)


@pytest.mark.parametrize("scatter", [0.0, 0.1])
def test_the_scatter_of_single_days_is_learnt(scatter: float) -> None:
    forecast = np.full((30, 168), MEAN)
    found, _ = usual.learn(windows(forecast), windows(drawn(forecast, scatter)), np.zeros(30, int), ["c"] * 30)
    assert scatter / 2 <= np.median(found.scatter) <= scatter * 2 + 0.01


def test_groups_that_scatter_differently_are_told_apart() -> None:
    forecast, groups = np.full((40, 168), MEAN), np.repeat([0, 1], 20)
    counts = np.concatenate([drawn(forecast[:20], 0.005), drawn(forecast[20:], 0.1)])
    found, _ = usual.learn(windows(forecast), windows(counts), groups, ["c"] * len(groups))
    assert np.median(found.scatter[:20]) < 0.03 < 0.05 < np.median(found.scatter[20:])


def test_what_is_wilder_than_any_scatter_that_is_tried_is_asked_for_more_evidence() -> None:
    """Ten years of other days of the same kind: alarms come no more than twice as often as they are said to."""
    rows, wild = 200, 0.5
    forecast = np.full((rows, 168), MEAN)
    found, _ = usual.learn(windows(forecast), windows(drawn(forecast, wild)), np.zeros(rows, int), ["c"] * rows)
    said = evidence.threshold(usual.NOMINAL / evidence.DAYS_A_YEAR)

    def a_year(shift: np.ndarray) -> float:
        again = replace(found, shift=shift)
        follower = Usual(again)
        days = drawn(forecast, wild, seed=1)
        told = np.empty(forecast.shape)
        for t in range(forecast.shape[1]):
            follower.begin(forecast[:, t])
            told[:, t] = follower.end(days[:, t : t + 1])
        return evidence.episodes(told >= said) / (told.size / evidence.DAYS_A_YEAR)

    assert a_year(np.zeros(rows)) > 3 * usual.NOMINAL, "else nothing is tested"
    assert a_year(found.shift) < 2 * usual.NOMINAL


def test_a_history_with_events_in_it_is_not_usual() -> None:
    """The forecast is the mean of everything, a week of four times the usual in every eight included: less than it comes on usual days."""
    rng = np.random.default_rng(5)
    event = np.zeros((30, 168), bool)
    for row, first in enumerate(rng.integers(0, 56, 30)):
        for again in (0, 56, 112):
            event[row, first + again : first + again + 7] = True
    true = MEAN * np.where(event, 4.0, 1.0)
    forecast = np.full((30, 168), true.mean())
    found, state = usual.learn(windows(forecast), windows(drawn(true, 0.02)), np.zeros(30, int), ["c"] * 30)
    assert np.median(found.scatter) < 0.06
    state.begin(np.full(30, true.mean()))
    assert_allclose(np.median(state.mean[:, -1]), MEAN, rtol=0.12)
    _, calm = usual.learn(windows(forecast), windows(drawn(forecast, 0.02)), np.zeros(30, int), ["c"] * 30)
    calm.begin(np.full(30, true.mean()))
    assert_allclose(np.median(calm.mean[:, -1]), true.mean(), rtol=0.06)


def test_events_in_the_history_do_not_ask_for_more_evidence() -> None:
    """Four events a year at each of two hundred series are more than the alarms of chance: the evidence stays where it is without them."""
    rng, rows = np.random.default_rng(7), 200
    forecast = np.full((rows, 168), MEAN)
    event = np.zeros(forecast.shape, bool)
    for row in range(rows):
        for first in (0, 84):
            start = first + rng.integers(0, 77)
            event[row, start : start + 7] = True
    quiet = drawn(forecast, 0.02)
    eventful = quiet + np.where(event, np.random.default_rng(8).poisson(forecast), 0)  # as many again
    with_events, without = (usual.learn(windows(forecast), windows(counts), np.zeros(rows, int), ["c"] * rows)[0] for counts in (eventful, quiet))
    assert_allclose(with_events.shift, without.shift, atol=0.5)  # a step of those that are tried


def test_where_forecasts_were_too_sure_evidence_is_lowered_and_where_too_unsure_raised() -> None:
    """Bursts twice a month in one group, hardly a day above its forecast in the other."""
    rng = np.random.default_rng(1)
    forecast, groups = np.full((160, 168), MEAN), np.repeat([0, 1], 80)
    counts = drawn(forecast, 0.02)
    counts[:80] *= np.where(rng.random((80, 168)) < 1 / 14, 2.5, 1.0)
    counts[80:] = np.minimum(counts[80:], MEAN)
    found, _ = usual.learn(windows(forecast), windows(counts), groups, ["wild"] * 80 + ["tame"] * 80)
    assert found.shift[:80].max() < found.shift[80:].min()
    assert found.shift[0] < 0 < found.shift[-1]


def test_nothing_to_learn_from_gives_finite_numbers() -> None:
    nothing = np.full((4, 6, 28), np.nan)
    found, state = usual.learn(nothing, nothing, np.array([0, 0, 1, 1]), ["c"] * 4)
    assert np.isfinite([found.scatter, found.shift]).all()
    state.renew(np.full((4, 7), MEAN), found).begin(np.full(4, MEAN))
