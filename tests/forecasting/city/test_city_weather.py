"""Weather has the climate of its city; forecasts of it get worse with every day ahead."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from forecasting.city import City
from forecasting.city.weather import MEAN_TEMPERATURE, RAIN_SUM, WET_DAYS, simulate_weather


def test_ten_years_of_weather_have_the_climate() -> None:
    weather = simulate_weather(11, 2010, 2019)
    month = weather.days.month
    assert np.allclose(pd.Series(weather.temperature).groupby(month).mean(), MEAN_TEMPERATURE, atol=2.0)
    rain = pd.Series(weather.rain.mean(axis=0), weather.days)
    assert rain.sum() / 10 == pytest.approx(RAIN_SUM.sum(), rel=0.2)
    assert np.allclose((rain > 0).groupby(month).sum() / 10, WET_DAYS, atol=2.5)


def test_the_weather_of_a_year_does_not_depend_on_where_one_begins() -> None:
    late, early = simulate_weather(2, 2024, 2024), simulate_weather(2, 2020, 2025)
    part = early.between(late.days)
    assert np.array_equal(late.temperature, part.temperature)
    assert np.array_equal(late.rain, part.rain)


def _errors(city: City, name: str) -> pd.DataFrame:
    drivers = city.drivers[city.drivers.name == name]
    seen = drivers[drivers.issued_at.isna()][["date", "district", "value"]]
    told = drivers[drivers.issued_at.notna()].merge(seen, on=["date", "district"], suffixes=("", "_seen"))
    return told.assign(lead=(told.date - told.issued_at.dt.normalize()).dt.days)


def test_temperature_forecasts_get_worse_from_one_degree_to_three(full: City) -> None:
    told = _errors(full, "temperature")
    spread = (told.value - told.value_seen).groupby(told.lead).std()
    assert list(spread.index) == list(range(1, 8))
    assert spread[1] == pytest.approx(1, abs=0.1)
    assert spread[7] == pytest.approx(3, abs=0.3)
    assert spread.is_monotonic_increasing


def test_rain_forecasts_get_worse_as_well(full: City) -> None:
    told = _errors(full, "rain")
    both = told[(told.value > 1) & (told.value_seen > 1)]
    spread = np.log(both.value / both.value_seen).groupby(both.lead).std()
    assert spread[4] == pytest.approx(0.4, abs=0.05)
    assert spread[7] > spread[4] > spread[1]
    missed = ((told.value == 0) & (told.value_seen > 1)).groupby(told.lead).sum()
    assert missed[7] > missed[1]


def test_every_day_has_one_forecast_for_each_of_the_next_seven_days(full: City) -> None:
    told = full.drivers[(full.drivers.name == "temperature") & full.drivers.issued_at.notna()]
    assert (told.groupby("issued_at").size() == 7).all()
    assert (told.issued_at.dt.hour == 20).all()
    assert (told.date > told.issued_at).all()
    assert told.issued_at.min().date() == date(2022, 12, 31)
    assert told.issued_at.max().date() == full.end
    assert told.date.max() == pd.Timestamp(full.end) + pd.Timedelta(days=7)
    seen = full.drivers[full.drivers.issued_at.isna()]
    assert seen.date.max() == pd.Timestamp(full.end)
    assert not seen.duplicated(["name", "date", "district"]).any()
    assert (full.drivers[full.drivers.name == "rain"].value >= 0).all()
