"""The simulated city's weather, and the forecasts of it as they were issued day by day."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.signal import lfilter

from forecasting.city.places import DISTRICT_CODES, DISTRICTS
from forecasting.city.streams import Purpose, stream

Floats = npt.NDArray[np.float64]

# Climate of Beijing, 1971-2000, by month: mean temperature (℃), sum of rain (mm); days with rain are assumed.
MEAN_TEMPERATURE = np.array([-3.7, -0.7, 5.8, 14.2, 19.9, 24.4, 26.2, 24.8, 20.0, 13.1, 4.6, -1.5])
RAIN_SUM = np.array([2.7, 4.9, 8.3, 21, 34, 78, 185, 160, 46, 22, 7.4, 2.8])
WET_DAYS = np.array([2, 2, 3, 5, 6, 10, 13, 12, 8, 5, 3, 2])
MONTH_DAYS = np.array([31, 28.25, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])

TEMPERATURE_MEMORY, TEMPERATURE_NOISE = 0.75, 2.2  # autoregression of the departure from the climate, sd of its innovations (℃)
RAIN_SHAPE = 0.6  # of the gamma amounts of wet days: many drizzles, few storms
RAIN_SPREAD = 0.5  # sd of the log of a district's share of a day's rain
LEADS = 7  # days ahead that a weather forecast reaches
ISSUED_HOUR = 20  # local hour at which the forecast for the days after is issued
TEMPERATURE_ERROR = np.linspace(1, 3, LEADS)  # sd by lead (℃)
ERROR_MEMORY = 0.8  # correlation of one forecast's errors from lead to lead
RAIN_ERROR = 0.4 * np.sqrt(np.arange(1, LEADS + 1) / 4)  # sd of the log by lead: 0.4 in the middle
RAIN_CONFUSED = 0.02 * np.arange(1, LEADS + 1)  # chance by lead that a wet day is forecast as dry, or a dry one as wet at that month's rate
DRY = 0.1  # mm; less does not count as rain


@dataclass(frozen=True)
class Weather:
    """Weather by day.

    Attributes:
        days: [T] calendar days.
        temperature: [T] mean temperature of the city (℃).
        rain: [districts, T] rain (mm).
        rain_hour: [T] local hour at which it begins to rain.
    """

    days: pd.DatetimeIndex
    temperature: Floats
    rain: Floats
    rain_hour: npt.NDArray[np.int64]

    def drop(self) -> Floats:
        """[T] fall of the temperature over two days (℃), 0 where it rose."""
        before = np.concatenate([self.temperature[:1], self.temperature[:1], self.temperature[:-2]])
        return np.maximum(before - self.temperature, 0)

    def place(self, days: pd.DatetimeIndex) -> slice:
        """Where the given run of days lies on the axis of days."""
        first = (days[0] - self.days[0]).days
        return slice(first, first + len(days))

    def between(self, days: pd.DatetimeIndex) -> "Weather":
        """The part on the given run of days."""
        part = self.place(days)
        return Weather(self.days[part], self.temperature[part], self.rain[:, part], self.rain_hour[part])


def climate(days: pd.DatetimeIndex) -> Floats:
    """[T] mean temperature of the season (℃): monthly means joined by straight lines."""
    middle = np.arange(-15.2, 396, 30.44)  # day of the year in the middle of December, January … January
    values = np.concatenate([MEAN_TEMPERATURE[-1:], MEAN_TEMPERATURE, MEAN_TEMPERATURE[:1]])
    return np.asarray(np.interp(days.day_of_year.to_numpy(), middle[: len(values)], values))


def simulate_weather(seed: int, first_year: int, last_year: int) -> Weather:
    """Weather of whole years. A day's weather depends on the seed alone, not on the years asked for."""
    temperature, rain, hours = [], [], []
    days = pd.date_range(date(first_year - 1, 1, 1), date(last_year, 12, 31))  # a year to forget where the departures began
    for year in range(first_year - 1, last_year + 1):
        rng = stream(seed, Purpose.WEATHER, year)
        month = pd.date_range(date(year, 1, 1), date(year, 12, 31)).month.to_numpy() - 1
        size = len(month)
        temperature.append(rng.normal(0, TEMPERATURE_NOISE, size))
        wet = rng.random(size) < (WET_DAYS / MONTH_DAYS)[month]
        amount = rng.gamma(RAIN_SHAPE, (RAIN_SUM / WET_DAYS)[month] / RAIN_SHAPE)
        local = np.exp(rng.normal(-(RAIN_SPREAD**2) / 2, RAIN_SPREAD, (len(DISTRICTS), size)))
        rain.append(np.where(wet, amount, 0) * local)
        hours.append(rng.choice(24, size, p=_rain_hours()))
    departure = lfilter([1.0], [1.0, -TEMPERATURE_MEMORY], np.concatenate(temperature))
    whole = Weather(days, climate(days) + departure, np.concatenate(rain, axis=1).round(1), np.concatenate(hours))
    return whole.between(days[days.year >= first_year])


def _rain_hours() -> Floats:
    """Chance of each hour to be the one in which it begins to rain: thunderstorms come in the late afternoon and the evening."""
    chance = 1 + 2.5 * np.exp(-0.5 * ((np.arange(24) - 18) / 3.5) ** 2)
    return np.asarray(chance / chance.sum())


def weather_drivers(weather: Weather, seed: int, start: date, end: date) -> pd.DataFrame:
    """Observed and forecast weather as a driver table.

    Args:
        weather: must reach from the day before `start` to a week after `end`.
        seed: the city's.
        start, end: first and last day observed.

    Returns:
        `name, date, value, district, issued_at`: `temperature` (℃, city-wide, district ALL) and `rain` (mm, by district). Observations have no
        `issued_at`. Each day from the eve of `start` on has a forecast, issued at 20:00 local time, for the seven days after it; its error
        grows with the lead.
    """
    observed = pd.date_range(start, end)
    seen = weather.between(observed)
    size = len(observed)
    parts = [_frame("temperature", observed, seen.temperature, "ALL")]
    parts.append(_frame("rain", np.tile(observed, len(DISTRICTS)), seen.rain.ravel(), np.repeat(np.array(DISTRICT_CODES), size)))
    issues = pd.date_range(pd.Timestamp(start) - pd.Timedelta(days=1), end)
    target = weather.place(issues).start + 1 + np.arange(len(issues))[:, None] + np.arange(LEADS)  # [issues, leads]
    error, factor, confused = _forecast_errors(seed, issues)
    month = weather.days.month.to_numpy()[target] - 1
    typical = (RAIN_SUM / WET_DAYS)[month]
    wet = weather.rain[:, target] > 0  # [districts, issues, leads]
    rain = np.where(
        wet, np.where(confused < RAIN_CONFUSED, 0, weather.rain[:, target]), np.where(confused < RAIN_CONFUSED * WET_DAYS[month] / 30, typical, 0)
    )
    rain = (rain * factor).round(1)
    dates = weather.days[target.ravel()]
    issued = np.repeat(issues + pd.Timedelta(hours=ISSUED_HOUR), LEADS)
    parts.append(_frame("temperature", dates, (weather.temperature[target] + error).ravel(), "ALL", issued))
    many = len(DISTRICTS)
    parts.append(_frame("rain", np.tile(dates, many), rain.ravel(), np.repeat(np.array(DISTRICT_CODES), len(dates)), np.tile(issued, many)))
    return pd.concat(parts, ignore_index=True)


def _forecast_errors(seed: int, issues: pd.DatetimeIndex) -> tuple[Floats, Floats, Floats]:
    """Of each issue: temperature error [issues, leads], rain factor [districts, issues, leads], uniform draw for wet or dry [issues, leads]."""
    error, factor, confused = [], [], []
    for year in sorted(set(issues.year)):
        rng = stream(seed, Purpose.FORECAST, int(year))
        size = 366
        noise = rng.normal(size=(size, LEADS)) * np.where(np.arange(LEADS) > 0, np.sqrt(1 - ERROR_MEMORY**2), 1)
        pick = issues.day_of_year.to_numpy()[issues.year == year] - 1
        error.append((lfilter([1.0], [1.0, -ERROR_MEMORY], noise, axis=1) * TEMPERATURE_ERROR)[pick])
        spread = rng.normal(size=(len(DISTRICTS), size, LEADS)) * RAIN_ERROR - RAIN_ERROR**2 / 2
        factor.append(np.exp(spread)[:, pick])
        confused.append(rng.random((size, LEADS))[pick])
    return np.concatenate(error), np.concatenate(factor, axis=1), np.concatenate(confused)


def _frame(name: str, days: object, values: Floats, district: object, issued: object = None) -> pd.DataFrame:
    frame = pd.DataFrame({"name": name, "date": days, "value": values.round(2), "district": district, "issued_at": issued})
    return frame.astype({"name": "str", "district": "str", "date": "datetime64[us]", "issued_at": "datetime64[us]"})
