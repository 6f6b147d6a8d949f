"""Counts scatter around the true rates as specified, and keep the hours of the day."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from city_truth import Truth

from forecasting.city import City
from forecasting.city.counts import shocks
from forecasting.city.weather import simulate_weather

Ints = npt.NDArray[np.int64]


def test_counts_are_unbiased(truth: Truth, counted: Ints) -> None:
    assert counted.sum() / truth.raised.sum() == pytest.approx(1 - 0.005, abs=0.005)  # half a percent has no district


def test_a_cell_scatters_like_a_negative_binomial_with_shared_shocks(truth: Truth, counted: Ints) -> None:
    large = truth.raised > 20
    excess = ((counted - truth.raised) ** 2 - truth.raised)[large]
    alpha = excess.sum() / (truth.raised[large] ** 2).sum()
    assert alpha == pytest.approx(0.02 + 0.035**2 + 0.03**2 + 0.045**2, rel=0.12)
    little = (truth.raised > 0.5) & (truth.raised < 2)
    ratio = ((counted - truth.raised)[little] ** 2).mean() / truth.raised[little].mean()
    assert ratio == pytest.approx(1.03, abs=0.05)


def test_shocks_are_shared_and_categories_remember_theirs() -> None:
    days = pd.date_range("2024-01-01", "2025-12-31")
    shared = np.log(shocks(9, days))
    assert np.exp(shared).mean() == pytest.approx(1, abs=0.01)
    city = shared.mean(axis=(0, 1))
    district = shared.mean(axis=1) - city
    category = shared.mean(axis=0) - city
    assert city.std() == pytest.approx(0.036, abs=0.004)
    assert district.std() == pytest.approx(0.03, abs=0.003)
    assert category.std() == pytest.approx(0.045, abs=0.004)
    assert np.corrcoef(category[:, 1:].ravel(), category[:, :-1].ravel())[0, 1] == pytest.approx(0.6, abs=0.05)
    assert np.array_equal(shared[..., -90:], np.log(shocks(9, days[-90:])))


def test_categories_keep_their_hours(full: City) -> None:
    hours = full.counts.pivot_table(index="category", columns="hour", values="count", aggfunc="sum")
    hours = hours.div(hours.sum(axis=1), axis=0)
    assert hours.loc["CONSUM"].idxmax() == 10
    assert hours.loc["NOISE_S"].idxmax() == 22
    assert hours.loc["NOISE_S", [21, 22, 23, 0]].sum() > 3 * hours.loc["CONSUM", [21, 22, 23, 0]].sum()
    assert hours.loc["FOOD"].nlargest(2).index.tolist() in ([12, 19], [19, 12])


def test_flooding_is_called_in_when_the_rain_begins(full: City) -> None:
    weather = simulate_weather(0, 2022, 2026)
    wet = pd.Series(weather.rain_hour, weather.days)[weather.rain.mean(axis=0) > 10]["2023":"2025"]
    hours = full.counts[full.counts.category == "FLOOD"].pivot_table(index="date", columns="hour", values="count", aggfunc="sum", fill_value=0)
    busiest = hours.loc[wet.index].idxmax(axis=1)
    assert (busiest - wet).between(0, 1).mean() > 0.8


def test_counts_name_no_empty_hour(full: City) -> None:
    assert (full.counts["count"] > 0).all()
    assert not full.counts.duplicated(["district", "category", "date", "hour"]).any()
    assert set(full.counts.hour) == set(range(24))
    assert full.counts.date.min() == pd.Timestamp(full.start)
    assert full.counts.date.max() == pd.Timestamp(full.end)
