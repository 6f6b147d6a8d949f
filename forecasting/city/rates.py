"""The expected number of tickets of every district, category and day: who lives where, what day and season it is, and the weather."""

from datetime import date
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecasting.calendars import day_table
from forecasting.city.places import ALL_CODES, CATEGORIES, CODES, DISTRICTS, shares
from forecasting.city.weather import Weather, simulate_weather

Floats = npt.NDArray[np.float64]

TICKETS_A_DAY = 12000  # in 2023 at scale 1

# Growth of the whole year's tickets over the year before. 2024 and 2025 as the hotline reported them; the years around are assumed: the
# growth of a grown-up service.
GROWTH = {2024: 0.129, 2025: 0.033}
USUAL_GROWTH = 0.02
BASE_YEAR = 2023
# A category's own growth a year, on top of the city's; HEAT falls by itself, whatever the city does.
OWN_GROWTH = {"CONSUM": 0.06, "TOUR": 0.06, "EDU": -0.08}
HEAT_TREND, HEAT_BASE = -0.10, 2024.5  # a year; the moment (year and fraction) at which its level is HEAT_LEVEL
# Brings the season to its size at scale 1: 55 a day in early October, 1,600 in the trial week, 1,800-2,900 at the start, 1,100 in December.
HEAT_LEVEL = 1.3

WEEK = np.array([1.06, 1.03, 1.01, 0.98, 0.97])  # Monday to Friday
BEFORE_BREAK, AFTER_BREAK = 0.92, 1.12  # the last two working days before a break of three days or more, the first one after it
FESTIVAL_DIP, FESTIVAL_CENTRE, FESTIVAL_SPREAD = 0.28, 3.0, 4.5  # depth, days after the lunar New Year, sd in days
NO_FESTIVAL_DIP = ("FIRE", "TOUR", "HEAT", "NOISE_S")

# Heating: trial from day 0 (7 November), regular from day 8 (15 November) until 15 March.
HEAT_OFF, HEAT_TRIAL, HEAT_RISE, HEAT_REGULAR, HEAT_SURGE, HEAT_SETTLE = 0.12, 2.0, 0.45, 1.7, 4.3, 9.0
HEAT_AFTER, HEAT_FADE = 1.2, 3.0
HEAT_COLD, HEAT_MILD, HEAT_DROP = 0.045, 2.0, 0.05  # per ℃ below 2 ℃, per ℃ of a two-day drop
HEAT_LIMITS, HEAT_DROP_LIMIT = (0.65, 1.4), 8.0

RECODING = date(2025, 4, 1)  # from this day part of PROP is filed elsewhere
RECODED_SHARE, RECODED_FROM, RECODED_TO = 0.30, "PROP", ("ELEV", "PARK")

REFERENCE_SEED, REFERENCE_YEARS = 20_000, (2014, 2023)  # a decade whose mean makes 1 of every category's seasons


def growth(days: pd.DatetimeIndex) -> Floats:
    """[T] the city's level against the mean of 2023, smooth, its yearly means growing as `GROWTH` says."""
    years = np.arange(1969, 2092)
    step = np.array([np.log1p(GROWTH.get(int(y), USUAL_GROWTH)) for y in years])
    mean = np.cumsum(step)
    mean -= mean[years == BASE_YEAR]
    # Straight lines between the middles of the years, so that a year's mean is 3/4 of its own knot and 1/8 of each neighbour's.
    system = 0.75 * np.eye(len(years)) + 0.125 * (np.eye(len(years), k=1) + np.eye(len(years), k=-1))
    system[0, 0] = system[-1, -1] = 0.875
    knots = np.linalg.solve(system, mean)
    return np.asarray(np.exp(np.interp(_moment(days), years + 0.5, knots)))


def _moment(days: pd.DatetimeIndex) -> Floats:
    """[T] the year and the fraction of it that has passed at noon."""
    return np.asarray(days.year + (days.day_of_year - 0.5) / 365.25)


def expected(seed: int, scale: float, days: pd.DatetimeIndex, weather: Weather) -> Floats:
    """Expected tickets without incidents: [districts, ALL_CODES, T].

    Args:
        seed: fixes the districts' mix.
        scale: 1 means 12,000 tickets a day in 2023.
        days: the calendar days.
        weather: on those days and at least two before them.
    """
    level = shares(seed)[:, :, None] * TICKETS_A_DAY * scale * _trends(days) * _seasons(days) / reference()[:, None]
    rates = np.zeros((len(DISTRICTS), len(ALL_CODES), len(days)))
    rates[:, : len(CODES)] = level * weather_response(days, weather)
    return recode(rates, days)


def recode(rates: Floats, days: pd.DatetimeIndex) -> Floats:
    """Moves a share of PROP to ELEV and PARK, half each, from the day of the recoding on; changes `rates` in place and returns it."""
    later = days >= pd.Timestamp(RECODING)
    moved = rates[:, CODES.index(RECODED_FROM)][:, later] * RECODED_SHARE
    rates[:, CODES.index(RECODED_FROM), later] -= moved
    for code in RECODED_TO:
        rates[:, CODES.index(code), later] += moved / len(RECODED_TO)
    return rates


@lru_cache(maxsize=1)
def reference() -> Floats:
    """[CATEGORIES] mean over a decade of all factors but growth, by which they are divided: so a weight is a share of tickets."""
    first, last = REFERENCE_YEARS
    weather = simulate_weather(REFERENCE_SEED, first - 1, last)
    days = pd.date_range(date(first, 1, 1), date(last, 12, 31))
    return np.asarray((_seasons(days) * weather_response(days, weather).mean(axis=0)).mean(axis=1))


def _trends(days: pd.DatetimeIndex) -> Floats:
    """[CATEGORIES, T] growth."""
    years = _moment(days)
    trend = np.tile(growth(days), (len(CODES), 1))
    for code, own in OWN_GROWTH.items():
        trend[CODES.index(code)] *= (1 + own) ** (years - BASE_YEAR - 0.5)
    trend[CODES.index("HEAT")] = HEAT_LEVEL * (1 + HEAT_TREND) ** (years - HEAT_BASE)
    return trend


def _seasons(days: pd.DatetimeIndex) -> Floats:
    """[CATEGORIES, T] what the calendar says: day of the week, holidays, time of the year."""
    table = day_table(days[0].date(), days[-1].date(), "CN")
    kind = table.day_kind.to_numpy()
    week = np.append(WEEK, (1.0, 1.0, 1.0))[table.shape_day.to_numpy()]
    holiday = np.array([c.holiday for c in CATEGORIES])[:, None]
    weekend = np.array([c.weekend for c in CATEGORIES])[:, None]
    factor = np.where(kind == "holiday", holiday, np.where(kind == "weekend", weekend, week))
    factor = factor * np.where(table.before_long_break > 0, BEFORE_BREAK, 1) * np.where(table.after_long_break > 0, AFTER_BREAK, 1)
    lunar = table.lunar_offset.to_numpy()
    dip = 1 - FESTIVAL_DIP * np.exp(-0.5 * ((lunar - FESTIVAL_CENTRE) / FESTIVAL_SPREAD) ** 2)
    factor *= np.where(np.isin(CODES, NO_FESTIVAL_DIP)[:, None], 1, dip)
    for code, shape in annual_shapes(days, table).items():
        factor[CODES.index(code)] *= shape
    return factor


def _hump(days: pd.DatetimeIndex, middle: tuple[int, int], spread: float) -> Floats:
    """[T] a bell of height 1 around a date of each year, `spread` being its sd in days."""
    day = days.day_of_year.to_numpy()
    distance = np.abs(day - pd.Timestamp(2023, *middle).day_of_year)
    return np.asarray(np.exp(-0.5 * (np.minimum(distance, 365 - distance) / spread) ** 2))


def _stretch(days: pd.DatetimeIndex, first: tuple[int, int], last: tuple[int, int], edge: float = 6.0) -> Floats:
    """[T] nearly 1 from one date of the year to another, nearly 0 outside, with soft edges of some days."""
    day = days.day_of_year.to_numpy()
    begin, end = (pd.Timestamp(2023, *at).day_of_year for at in (first, last))
    return np.asarray(1 / (1 + np.exp(-(day - begin) / edge)) / (1 + np.exp((day - end) / edge)))


def annual_shapes(days: pd.DatetimeIndex, table: pd.DataFrame) -> dict[str, Floats]:
    """[T] factor of the time of the year for every category that has one."""
    summer = _stretch(days, (6, 1), (8, 31))
    lunar = table.lunar_offset.to_numpy()
    shopping_week = table.shopping.rolling(7, min_periods=1).max().to_numpy()  # the day and the six after it, while parcels arrive
    eve = np.select([lunar == -1, lunar == 0, (lunar >= 1) & (lunar <= 4), lunar == 14], [10.0, 4.0, 2.0, 6.0], 1.0)
    warm = 1 + 0.35 * summer
    return {
        "HEAT": heating_curve(days, table),
        "WATER": warm,
        "POWER": 1 + 0.70 * summer + 0.25 * _hump(days, (1, 15), 15),
        "HOUSE": 1 + 0.25 * summer,
        "EBIKE": warm,
        "NOISE_S": 1 + 0.45 * _stretch(days, (5, 1), (8, 31)),
        "NOISE_C": (1 + 0.25 * _hump(days, (4, 20), 25) + 0.25 * _hump(days, (10, 10), 25)) * (1 - 0.5 * _stretch(days, (2, 1), (2, 28), 3)),
        "ENV": warm,
        "VENDOR": warm,
        "FLOOD": 0.4 + 1.2 * _stretch(days, (6, 1), (9, 15)),
        "GREEN": 1 + 0.6 * _stretch(days, (4, 25), (5, 31), 4) + 0.35 * summer,
        "AIR": warm,
        "CONSUM": 1 + 0.10 * shopping_week,
        "FOOD": warm,
        "LABOR": 1 + 0.55 * np.exp(-0.5 * ((lunar + 14) / 5.0) ** 2),
        "EDU": 1 + 1.1 * _hump(days, (5, 15), 10) + 0.8 * _hump(days, (8, 25), 7),
        "HEALTH": 1 + 0.35 * _hump(days, (1, 1), 20),
        "TOUR": warm,
        "FIRE": eve,
    }


def heating_curve(days: pd.DatetimeIndex, table: pd.DataFrame) -> Floats:
    """[T] complaints about heating by the day of its season, the weather apart."""
    day = table.heating_day.to_numpy()
    after = _after_heating(days)
    trial = HEAT_TRIAL + HEAT_RISE * day
    regular = HEAT_REGULAR + HEAT_SURGE * np.exp(-np.maximum(day - 8, 0) / HEAT_SETTLE)
    fading = HEAT_OFF + HEAT_AFTER * np.exp(-np.maximum(after, 0) / HEAT_FADE)
    curve = np.where(day < 8, trial, regular)
    curve = np.where(after > 0, fading, curve)
    return np.asarray(np.where(day >= 0, curve, HEAT_OFF))


def _after_heating(days: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    """[T] days since 15 March from 16 March until the end of April, else 0."""
    since = (days.to_numpy().astype("datetime64[D]") - (days.year.astype(str) + "-03-15").to_numpy().astype("datetime64[D]")).astype(np.int64)
    return np.asarray(np.where((since > 0) & (since < 46), since, 0))


def cold_response(days: pd.DatetimeIndex, weather: Weather) -> Floats:
    """[T] factor of cold and of its sudden coming on HEAT, while the heating runs."""
    seen = weather.between(days)
    month_day = (days.month * 100 + days.day).to_numpy()
    running = (month_day >= 1107) | (month_day <= 315)
    cold = np.clip(np.exp(HEAT_COLD * (HEAT_MILD - seen.temperature)), *HEAT_LIMITS)
    drop = np.exp(HEAT_DROP * np.minimum(_part(weather.drop(), weather, days), HEAT_DROP_LIMIT))
    return np.asarray(np.where(running, cold * drop, 1))


def weather_response(days: pd.DatetimeIndex, weather: Weather) -> Floats:
    """[districts, CATEGORIES, T] factor of the day's and the day before's weather."""
    seen = weather.between(days)
    rain = seen.rain
    eve = _part(np.concatenate([np.zeros((len(rain), 1)), weather.rain[:, :-1]], axis=1), weather, days)
    heat = np.maximum(seen.temperature - 26, 0)  # mean temperature of a hot day in ℃ above 26
    frost = np.maximum(-5 - seen.temperature, 0)
    storm = np.maximum(rain - 25, 0)
    factor = np.ones((len(DISTRICTS), len(CODES), len(days)))
    response = {
        "HEAT": cold_response(days, weather),
        "WATER": 1 + 0.03 * heat,
        "POWER": (1 + 0.06 * heat) * (1 + np.minimum(storm / 40, 2)),
        "HOUSE": 1 + np.minimum(rain / 40, 2.5) + np.minimum(eve / 20, 4),
        "ROAD": (1 + 0.03 * frost) * (1 + np.minimum(rain / 100, 0.4)),
        "TRAF": 1 + np.minimum(rain / 60, 0.8),
        "NOISE_S": np.where(rain > 1, 0.85, 1),
        "ENV": 1 + 0.015 * heat,
        "VENDOR": np.where(rain > 1, 0.75, 1),
        "FLOOD": np.minimum(1 + rain / 12 + 0.35 * eve / 12, 15),
        "GREEN": 1 + np.minimum(rain / 60, 0.5) + np.minimum(storm / 20, 3),
        "FOOD": 1 + 0.02 * heat,
    }
    for code, value in response.items():
        factor[:, CODES.index(code)] *= value
    return factor


def _part(values: Floats, weather: Weather, days: pd.DatetimeIndex) -> Floats:
    return values[..., weather.place(days)]
