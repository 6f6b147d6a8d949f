"""From expected rates to counted tickets: shared shocks, chance, hours of the day, and the faults that change what is counted."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.signal import lfilter

from forecasting.city.faults import BLANK_SHARE, OUTAGE_HOURS, OUTAGE_LOSS, OUTAGE_RETURN, Fault
from forecasting.city.places import ALL_CODES, CATEGORIES, DISTRICT_CODES, DISTRICTS, NEW_TYPES, UNKNOWN
from forecasting.city.streams import Purpose, stream
from forecasting.city.weather import Weather

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

OVERDISPERSION = 0.02  # of a cell's negative binomial: variance = mean + 0.02 mean²
CITY_SHOCK, DISTRICT_SHOCK, CATEGORY_SHOCK = 0.035, 0.03, 0.045  # sd of the logs of the day's shared shocks
CATEGORY_MEMORY = 0.6  # autoregression of the category's shock

PLACES = (*DISTRICT_CODES, UNKNOWN)  # the order of the first axis of counted tickets

# Tickets by hour of the day, in any unit. HOME: before and after work; MEAL: noon and evening; an EVENT follows the hour of the rain.
HOURS = {
    "OFFICE": (1.2, 0.8, 0.6, 0.5, 0.5, 0.8, 1.6, 3.2, 6, 8.4, 9.0, 7.2, 5.2, 6.2, 7.6, 7.8, 7.0, 6.0, 5.0, 4.6, 4.2, 3.2, 2.4, 1.7),
    "HOME": (1.6, 1.0, 0.7, 0.6, 0.6, 1.0, 2.4, 4.6, 6.6, 7.6, 7.2, 5.6, 4.6, 4.4, 4.6, 4.8, 5.0, 5.4, 6.4, 7.6, 7.4, 5.6, 3.8, 2.4),
    "NIGHT": (7.5, 4.8, 3.2, 2.4, 2.0, 2.2, 4.0, 4.0, 3.4, 3.2, 3.2, 3.0, 3.4, 3.2, 3.0, 3.0, 3.2, 3.6, 4.2, 5.4, 6.6, 8.4, 9.4, 8.9),
    "MEAL": (1.6, 0.9, 0.6, 0.5, 0.5, 0.8, 1.8, 3.2, 4.0, 4.8, 5.8, 7.6, 9.0, 7.0, 4.8, 4.4, 4.8, 6.2, 8.4, 9.0, 7.4, 5.4, 3.6, 2.4),
}
EVENT_FADE = 4.0  # hours
EVENT_RAIN = 1.0  # mm; with less, an EVENT keeps office hours
_NAMES = tuple(HOURS)


def _profiles() -> Floats:
    """[profiles, 24] shares of the hours: those of `HOURS`, then an event that begins at 0, 1 … 23 o'clock."""
    named = np.array([HOURS[name] for name in _NAMES])
    since = np.arange(24) - np.arange(24)[:, None]
    event = np.where(since >= 0, np.exp(-since / EVENT_FADE), 0)
    event = 0.25 * named[0] / named[0].sum() + 0.75 * event / event.sum(axis=1, keepdims=True)
    return np.concatenate([named / named.sum(axis=1, keepdims=True), event])


PROFILES = _profiles()


def shocks(seed: int, days: pd.DatetimeIndex) -> Floats:
    """Shared shocks with mean 1: [districts, ALL_CODES, T]; of the city, of every district, and of every category with a memory."""
    city, district, category = [], [], []
    years = range(days[0].year - 1, days[-1].year + 1)  # a year to forget where the categories' shocks began
    for year in years:
        rng = stream(seed, Purpose.SHOCK, year)
        size = 366 if pd.Timestamp(year, 1, 1).is_leap_year else 365
        city.append(rng.normal(0, CITY_SHOCK, size))
        district.append(rng.normal(0, DISTRICT_SHOCK, (len(DISTRICTS), size)))
        category.append(rng.normal(0, CATEGORY_SHOCK * np.sqrt(1 - CATEGORY_MEMORY**2), (len(ALL_CODES), size)))
    remembered = lfilter([1.0], [1.0, -CATEGORY_MEMORY], np.concatenate(category, axis=1), axis=1)
    first = (days[0] - pd.Timestamp(years[0], 1, 1)).days
    part = slice(first, first + len(days))
    whole = np.concatenate(city)[part] + np.concatenate(district, axis=1)[:, None, part] + remembered[None, :, part]
    return np.asarray(np.exp(whole - (CITY_SHOCK**2 + DISTRICT_SHOCK**2 + CATEGORY_SHOCK**2) / 2))


def month_of_counts(seed: int, days: pd.DatetimeIndex, means: Floats, weather: Weather, faults: list[Fault]) -> Counts:
    """Tickets of one whole month as they are counted: [PLACES, ALL_CODES, T, 24].

    Args:
        seed: the city's.
        days: the days of the month.
        means: [districts, ALL_CODES, T] expected tickets, shocks included.
        weather: on those days.
        faults: those of single days; others than the month's are left out.
    """
    rng = stream(seed, Purpose.COUNT, days[0].year, days[0].month)
    chance = rng.gamma(1 / OVERDISPERSION, OVERDISPERSION, means.shape)
    tickets = rng.poisson(means * chance)
    hourly = np.zeros((len(PLACES), len(ALL_CODES), len(days), 24), np.int64)
    profile = profile_of(weather)
    for number in np.unique(profile):
        category, day = np.nonzero(profile == number)
        hourly[: len(DISTRICTS), category, day] = rng.multinomial(tickets[:, category, day], PROFILES[number])
    for fault in faults:
        if (fault.day.year, fault.day.month) != (days[0].year, days[0].month):
            continue
        at = fault.day.day - 1
        if fault.kind == "missing_district":
            hourly[fault.district, :, at] = 0
        elif fault.kind == "outage":
            lost = rng.binomial(hourly[:, :, at, fault.hour : fault.hour + OUTAGE_HOURS], OUTAGE_LOSS)
            hourly[:, :, at, fault.hour : fault.hour + OUTAGE_HOURS] -= lost
            back = rng.binomial(lost.sum(axis=-1), OUTAGE_RETURN)
            hourly[:, :, at + 1] += rng.multinomial(back, PROFILES[0])
    blank = rng.binomial(hourly[: len(DISTRICTS)], BLANK_SHARE)
    hourly[: len(DISTRICTS)] -= blank
    hourly[len(DISTRICTS)] = blank.sum(axis=0)
    return hourly


def profile_of(weather: Weather) -> npt.NDArray[np.int64]:
    """[ALL_CODES, T] which of `PROFILES` each category follows on each day."""
    raining = weather.rain.mean(axis=0) >= EVENT_RAIN
    event = np.where(raining, len(_NAMES) + weather.rain_hour, 0)
    usual = np.zeros(len(event), np.int64)
    return np.stack([event if c.profile == "EVENT" else usual + _NAMES.index(c.profile) for c in CATEGORIES + NEW_TYPES])
