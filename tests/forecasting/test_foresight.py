"""What a weather forecast tells at each lead, against processes whose answer is known."""

import numpy as np
import pytest

from forecasting.models import foresight

LEADS = 12


def unusual_weather(persistence: float, number: int) -> np.ndarray:
    """[number, LEADS + 1] pieces of an autoregression of order one, of variance 1, each beginning anew."""
    rng = np.random.default_rng(3)
    out = rng.normal(size=(number, LEADS + 1))
    for lead in range(1, LEADS + 1):
        out[:, lead] = persistence * out[:, lead - 1] + np.sqrt(1 - persistence**2) * out[:, lead]
    return out


def test_without_forecasts_what_is_unusual_fades_as_it_has_always_faded() -> None:
    came = unusual_weather(0.8, 4000)[None]
    seen = np.where(np.arange(LEADS + 1) == 0, came, np.nan)
    trusted = foresight.trust(seen, came)
    np.testing.assert_allclose(trusted[0], 0.8 ** np.arange(LEADS + 1), atol=0.05)


def test_a_forecast_is_believed_as_far_as_it_was_right() -> None:
    came = unusual_weather(0.8, 4000)[None]
    rng = np.random.default_rng(4)
    noise = np.linspace(0, 1, LEADS + 1)  # standard deviations of the errors, by lead
    trusted = foresight.trust(came + noise * rng.normal(size=came.shape), came)
    np.testing.assert_allclose(np.diag(trusted), 1 / (1 + noise**2), atol=0.05)
    np.testing.assert_allclose(trusted[4, 6], 0.8**2 / (1 + noise[4] ** 2), atol=0.05)
    assert (np.tril(trusted, -1) == 0).all()


def test_before_any_forecast_was_seen_a_forecast_is_believed() -> None:
    came = np.full((2, 1, LEADS + 1), np.nan)
    np.testing.assert_array_equal(foresight.trust(came, came), np.eye(LEADS + 1))


def test_a_few_wrong_forecasts_move_the_opinion_a_little() -> None:
    came = np.ones((1, 3, LEADS + 1))
    wrong = np.where(np.arange(LEADS + 1) == 0, came, -came)
    part = np.diag(foresight.trust(wrong, came))[1:]
    np.testing.assert_allclose(part, (foresight.ISSUES - 3) / (foresight.ISSUES + 3), atol=1e-3)


def test_areas_of_one_weather_count_once() -> None:
    came = unusual_weather(0.6, 20)[None]
    np.testing.assert_allclose(foresight.trust(came, came), foresight.trust(np.repeat(came, 7, axis=0), np.repeat(came, 7, axis=0)), atol=2e-4)


def test_what_is_expected_is_the_season_and_a_part_of_what_is_unusual() -> None:
    usual = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    log = np.array([0.5, 0.6, 9.0, 9.0, 9.0])
    given = np.array([True, True, False, False, False])
    trusted = np.triu(np.array([0.0, 0.5, 0.4, 0.25, 0.0])[None] * np.ones((5, 1)))
    np.testing.assert_allclose(foresight.expected(log, usual, given, trusted), [0.1 + 0.25, 0.2 + 0.2, 0.3 + 0.125, 0.4])
    nothing = np.zeros(5, bool)
    np.testing.assert_array_equal(foresight.expected(log, usual, nothing, trusted), usual[1:])


def test_a_season_is_the_mean_of_other_years_and_of_the_factor() -> None:
    days = np.arange(3 * 365)
    wave = 1 + 0.5 * np.sin(2 * np.pi * days / 365)
    rng = np.random.default_rng(5)
    rain = wave * rng.choice([0.5, 2.0], p=[2 / 3, 1 / 3], size=len(days))  # mean 1; the mean of its log is far below 0
    got = foresight.season(rain, 60)
    coming = 1 + 0.5 * np.sin(2 * np.pi * (len(days) + np.arange(60)) / 365)
    assert got[-60:] == pytest.approx(coming, rel=0.25)
    assert got.mean() == pytest.approx(1.0, rel=0.1)


def test_a_hot_spell_is_no_part_of_its_own_season() -> None:
    factor = np.ones(3 * 365)
    factor[700:730] = 5.0
    got = foresight.season(factor, 0)
    assert got[715] == 1.0
    assert got[715 - 365] > 1.5


def test_in_the_first_year_the_days_around_are_the_season() -> None:
    got = foresight.season(np.full(100, 2.0), 20)
    np.testing.assert_allclose(got, 2.0)
