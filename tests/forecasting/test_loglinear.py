"""The log-linear model recovers what calendar and weather do; its level is the discounted one of a plain recursion."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import small_cities

from forecasting import calendars, effects, panel
from forecasting.drivers import from_frame
from forecasting.hierarchy import Tree
from forecasting.models import smoothing
from forecasting.models.base import Known
from forecasting.models.loglinear import FittedLoglinear, Loglinear

DAYS = 800
START = pd.Timestamp("2022-01-03")
HORIZON = 28


def city(mean: np.ndarray, country: str = "none", drivers: pd.DataFrame | None = None, seed: int = 0, days: int = DAYS) -> Known:
    """One district with one category whose counts are Poisson with a mean [T] per day."""
    dates = pd.date_range(START, periods=days)
    counts = pd.DataFrame({"district": "d1", "category": "x", "date": dates, "count": np.random.default_rng(seed).poisson(mean[:days])})
    return Known(panel.from_counts(counts), Tree(), Tree(), from_frame(drivers) if drivers is not None else None, country)


def learn(known: Known) -> FittedLoglinear:
    fitted = Loglinear().fit(known, HORIZON, 0)
    assert isinstance(fitted, FittedLoglinear)
    return fitted


def rain(days: int, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(days) < 0.25, rng.gamma(0.8, 15.0, days), 0.0).round(1)


def rainy_city(ahead: int, seed: int = 0) -> tuple[Known, np.ndarray]:
    """Rain doubles the tickets at 20 mm and leaves something for the next day; `ahead` days are forecast. Also the means [T + HORIZON]."""
    fallen = rain(DAYS + HORIZON)
    eve = np.concatenate([[0.0], fallen[:-1]])
    mean = 40 * (1 + fallen / 20 + eve / 60)
    dates = pd.date_range(START, periods=DAYS + HORIZON)
    observed = pd.DataFrame({"name": "rain", "date": dates[:DAYS], "value": fallen[:DAYS], "issued_at": pd.NaT})
    coming = slice(DAYS, DAYS + ahead)
    issued = pd.DataFrame({"name": "rain", "date": dates[coming], "value": fallen[coming], "issued_at": dates[DAYS - 1]})
    return city(mean, drivers=pd.concat([observed, issued]), seed=seed), mean


def test_a_holiday_takes_from_its_days_what_it_took_before() -> None:
    """National Day's week has halved the tickets in two years; it lies 6 to 12 days ahead of the cutoff."""
    days = int((pd.Timestamp("2024-09-25") - START).days) + 1
    dates = pd.date_range(START, periods=days + HORIZON)
    in_break = (dates.month == 10) & (dates.day <= 7)
    known = city(np.where(in_break, 30.0, 60.0), country="CN", days=days)
    got = learn(known).forecast(known, HORIZON)[0]
    ahead = in_break[days:]
    assert got[ahead].mean() == pytest.approx(30, rel=0.2)
    assert got[~ahead].mean() == pytest.approx(60, rel=0.1)


def festival_error(seed: int) -> float:
    """WAPE of four weeks around the third Spring Festival against their means: the dip is a curve of two weeks, seen twice among few tickets."""
    start, cutoff = pd.Timestamp("2023-01-02"), pd.Timestamp("2025-01-14")
    dates = pd.date_range(start, cutoff + pd.Timedelta(days=HORIZON))
    lunar = calendars.day_table(dates[0].date(), dates[-1].date(), "CN")["lunar_offset"].to_numpy(float)
    mean = 25 * (1 - 0.45 * np.exp(-0.5 * ((lunar - 2) / 6) ** 2))
    days = len(dates) - HORIZON
    counts = pd.DataFrame({"district": "d1", "category": "x", "date": dates[:days], "count": np.random.default_rng(seed).poisson(mean[:days])})
    known = Known(panel.from_counts(counts), Tree(), Tree(), None, "CN")
    return float(np.abs(learn(known).forecast(known, HORIZON)[0] - mean[days:]).sum() / mean[days:].sum())


def test_what_the_lunar_new_year_does_is_a_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two festivals tell a curve better than a bump for every four days."""
    curve = np.mean([festival_error(seed) for seed in range(6)])
    monkeypatch.setattr(effects, "LUNAR_REACH", 0.1)
    assert curve < 0.92 * np.mean([festival_error(seed) for seed in range(6)])


def test_a_season_of_the_year_comes_back() -> None:
    dates = pd.date_range(START, periods=DAYS + HORIZON)
    season = 1 + 0.5 * np.sin(2 * np.pi * dates.day_of_year / 365.25)
    cutoff = int((pd.Timestamp("2024-02-28") - START).days) + 1
    known = city(60 * season.to_numpy(), days=cutoff)
    got = learn(known).forecast(known, HORIZON)[0]
    want = 60 * season.to_numpy()[cutoff : cutoff + HORIZON]
    np.testing.assert_allclose(got, want, rtol=0.12)


def test_rain_that_is_forecast_brings_tickets_and_rain_that_is_not_its_usual_share() -> None:
    known, mean = rainy_city(ahead=7)
    got = learn(known).forecast(known, HORIZON)[0]
    wet = mean[DAYS : DAYS + 7]
    assert np.corrcoef(got[:7], wet)[0, 1] > 0.95
    np.testing.assert_allclose(got[:7], wet, rtol=0.3)
    assert got[7:].mean() == pytest.approx(mean.mean(), rel=0.15)  # some rain falls, nobody knows when
    assert got[7:].std() < 0.35 * wet.std()


def test_a_district_feels_its_own_weather() -> None:
    known, _ = rainy_city(ahead=7)
    counts = np.concatenate([known.panel.counts, known.panel.counts])
    series = pd.DataFrame({"area": ["d1", "d2"], "category": ["x", "x"]})
    dates = pd.date_range(START, periods=DAYS + HORIZON)
    fallen = rain(DAYS + HORIZON)
    rows = []
    for district, coming in (("d1", 0.0), ("d2", 60.0)):
        rows.append(pd.DataFrame({"name": "rain", "district": district, "date": dates[:DAYS], "value": fallen[:DAYS], "issued_at": pd.NaT}))
        ahead = {"name": "rain", "district": district, "date": [dates[DAYS]], "value": [coming], "issued_at": [dates[DAYS - 1]]}
        rows.append(pd.DataFrame(ahead))
    both = Known(
        replace(known.panel, series=series, counts=counts, first=np.zeros(2, int)), Tree(), Tree(), from_frame(pd.concat(rows)), known.country
    )
    means = learn(both).forecast(both, HORIZON)
    assert means[1, 0] > 2 * means[0, 0]


def test_a_burst_is_no_effect_of_the_calendar() -> None:
    calm = city(np.full(DAYS, 30.0))
    counts = calm.panel.counts.copy()
    counts[:, 400] += 2000
    stormy = replace(calm, panel=replace(calm.panel, counts=counts))
    one, other = (learn(k).forecast(k, HORIZON)[0] for k in (calm, stormy))
    np.testing.assert_allclose(one, other, rtol=0.05)


def test_a_level_that_has_moved_is_followed_within_two_weeks() -> None:
    mean = np.full(DAYS, 40.0)
    mean[-14:] = 80.0
    known = city(mean)
    assert learn(known).forecast(known, HORIZON)[0].mean() > 60


def test_a_category_too_thin_to_tell_takes_the_effects_of_the_one_above_it() -> None:
    frame = small_cities.counts(200, ("d1",), ("HEAT",), level=80)
    thin = frame.assign(category="RARE", count=0)
    thin.loc[thin.index[::40], "count"] = 1
    base = small_cities.known(pd.concat([frame, thin]))
    known = replace(base, categories=Tree({"RARE": "HOME", "HEAT": "HOME"}))
    fitted = learn(known)
    assert "RARE" not in fitted.effects
    logs, which = fitted.logs(known, HORIZON, 0)
    nodes = known.hierarchy.nodes
    at = {pair: i for i, pair in enumerate(zip(nodes["area"], nodes["category"], strict=True))}
    np.testing.assert_array_equal(logs[:, which[at["d1", "RARE"]]], logs[:, which[at["ALL", "HOME"]]])


def test_factors_are_relative_to_the_mean_of_the_days_known() -> None:
    known, _ = rainy_city(ahead=3)
    logs, _ = learn(known).logs(known, HORIZON, 0)
    np.testing.assert_allclose(logs[..., :DAYS].mean(axis=-1), 0, atol=1e-9)


def error_with_weather(recorded: np.ndarray, seed: int) -> float:
    """WAPE of a fortnight against its means. Each degree takes 4 %; the temperature was recorded on some of the days [T], and is forecast."""
    days, ahead = len(recorded), 14
    dates = pd.date_range(START, periods=days + ahead)
    noise = pd.Series(np.random.default_rng(seed).normal(0, 7, days + ahead)).rolling(3, min_periods=1).mean().to_numpy()
    warm = 10 - 12 * np.cos(2 * np.pi * dates.day_of_year.to_numpy() / 365.25) + noise
    seen = pd.DataFrame({"name": "t", "date": dates[:days][recorded], "value": warm[:days][recorded], "issued_at": pd.NaT})
    issued = pd.DataFrame({"name": "t", "date": dates[days:], "value": warm[days:], "issued_at": dates[days - 1]})
    mean = 100 * np.exp(-0.04 * (warm - 10))
    known = city(mean, drivers=pd.concat([seen, issued]), seed=seed + 100, days=days)
    return float(np.abs(Loglinear().fit(known, ahead, 0).forecast(known, ahead)[0] - mean[days:]).sum() / mean[days:].sum())


@pytest.mark.parametrize(
    ("recorded", "most"),
    [
        (np.ones(1010, bool), 0.02),
        (np.arange(1010) >= 1010 - 365, 0.06),
        (np.arange(1010) >= 1010 - 120, 0.15),
        (np.random.default_rng(1).random(1010) < 0.5, 0.07),
    ],
    ids=["every day", "the last year", "the last four months", "every other day"],
)
def test_what_is_filled_in_for_weather_that_was_not_recorded_is_not_taken_for_weather(recorded: np.ndarray, most: float) -> None:
    assert np.mean([error_with_weather(recorded, seed) for seed in range(6)]) < most


def test_what_is_usual_is_the_wave_through_the_days_known() -> None:
    days = pd.date_range(START, periods=730)
    wave = 3 - 2 * np.cos(2 * np.pi * days.day_of_year.to_numpy() / 365.25)
    year = np.where(np.arange(730) < 365, np.nan, wave)
    usual = effects.usual(np.stack([year, np.full(730, np.nan)]), days)
    np.testing.assert_allclose(usual[0], wave, atol=0.12)  # a little nearer to no season
    assert (usual[1] == 0).all()


@pytest.mark.parametrize("values", [rain(300), np.random.default_rng(0).normal(10, 5, 300)], ids=["rain", "temperature"])
def test_how_a_driver_enters_is_told_by_the_days_on_which_it_is_known(values: np.ndarray) -> None:
    table = calendars.day_table(START.date(), (START + pd.Timedelta(days=599)).date(), "none", None)
    late = np.concatenate([np.full(300, np.nan), values])
    assert effects.design(table, ("x",), late[None, None]) == effects.design(table.iloc[300:], ("x",), values[None, None])


def test_a_driver_that_is_no_longer_given_is_as_usual() -> None:
    known, mean = rainy_city(ahead=7)
    fitted = learn(known)
    rows = pd.DataFrame({"name": "wind", "date": known.panel.days, "value": 1.0})
    got = fitted.forecast(replace(known, drivers=from_frame(rows)), HORIZON)[0]
    assert got.mean() == pytest.approx(mean.mean(), rel=0.3)


def test_without_its_weather_a_fitted_model_still_forecasts() -> None:
    known, mean = rainy_city(ahead=7)
    blind = replace(known, drivers=None)
    got = learn(known).forecast(blind, HORIZON)[0]
    assert got.mean() == pytest.approx(mean.mean(), rel=0.3)


def cold_city(seed: int, wind: str) -> tuple[Known, np.ndarray]:
    """Each degree takes 4 % of the tickets and wind brings some; the temperature is observed and forecast for a fortnight. Also the means ahead.

    Args:
        wind: "none", "observed" (on every day known, never forecast) or "silent since" (observed until ten days before the cutoff).
    """
    days, ahead = 740, 14
    rng = np.random.default_rng(seed)
    dates = pd.date_range(START, periods=days + ahead)
    noise = pd.Series(rng.normal(0, 7, days + ahead)).rolling(3, min_periods=1).mean().to_numpy()
    warm = 10 - 12 * np.cos(2 * np.pi * dates.day_of_year.to_numpy() / 365.25) + noise
    blows = rng.gamma(4.0, 1.0, days + ahead)
    mean = 100 * np.exp(-0.04 * (warm - 10) + 0.02 * (blows - 4))
    issued = np.arange(ahead + 1, days + ahead)[:, None] - np.arange(1, ahead + 1)  # the temperature is forecast without error
    target = np.repeat(np.arange(ahead + 1, days + ahead), ahead)
    use = issued.ravel() < days
    rows = [
        pd.DataFrame({"name": "t", "date": dates[:days], "value": warm[:days], "issued_at": pd.NaT}),
        pd.DataFrame({"name": "t", "date": dates[target[use]], "value": warm[target[use]], "issued_at": dates[issued.ravel()[use]]}),
    ]
    until = {"none": 0, "observed": days, "silent since": days - 10}[wind]
    rows.append(pd.DataFrame({"name": "wind", "date": dates[:until], "value": blows[:until], "issued_at": pd.NaT}))
    return city(mean, drivers=pd.concat([r for r in rows if len(r)]), seed=seed + 100, days=days), mean[days:]


@pytest.mark.parametrize("wind", ["observed", "silent since"])
def test_a_driver_without_forecasts_takes_nothing_from_one_that_has_them(wind: str) -> None:
    def error(seed: int, wind: str) -> float:
        known, mean = cold_city(seed, wind)
        got = Loglinear().fit(known, len(mean), 0).forecast(known, len(mean))[0]
        return float(np.abs(got - mean).sum() / mean.sum())

    alone, beside = (np.mean([error(seed, kind) for seed in range(4)]) for kind in ("none", wind))
    assert beside < alone + 0.01
    assert alone < 0.06, "the temperature ahead is made use of"


def plain_recursion(
    counts: np.ndarray, kinds: np.ndarray, factors: np.ndarray, level_discount: float, shape_discount: float, horizon: int
) -> list[float]:
    """The level and the shape of one node, one day after the other: an oracle for the recursion over arrays."""
    a = b = 0.0
    total, number = np.zeros(8), np.zeros(8)

    def shape(kind: int) -> float:
        week = total[:7].sum() / max(number[:7].sum(), 1e-9)
        prior = smoothing.PRIOR * shape_discount / (week + 0.05)
        return float((total[kind] + prior * week) / (number[kind] + prior) / week) if week > 0 else 1.0

    for age, (y, kind, x) in enumerate(zip(counts, kinds, factors, strict=False)):
        usual = shape(kind)
        rate = max(level_discount, 1 / (age + 1))
        a, b = a + rate * (y - a), b + rate * (usual * x - b)
        rate = max(shape_discount, 1 / (age / 7 + 1))
        total[kind] += rate * (y / x - total[kind])
        number[kind] += rate * (1 - number[kind])
    n = len(counts)
    return [a / b * shape(kinds[n + h]) * factors[n + h] for h in range(horizon)]


def test_the_recursion_over_arrays_is_that_of_each_node_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("LEVELS", (0.05,)),
        ("SHAPES", (0.02,)),
        ("OF_LEVEL", np.array([[0.05]])),
        ("OF_SHAPE", np.array([[0.02]])),
        ("FAST_LEVELS", np.ones((1, 1))),
    ):
        monkeypatch.setattr(smoothing, name, value)
    known = small_cities.known(small_cities.counts(120))
    rng = np.random.default_rng(5)
    factors = np.exp(rng.normal(0, 0.2, (3, 120 + 14)))
    which = rng.integers(0, 3, len(known.counts))
    got = smoothing.smooth(known, 14, 0, factors, which, np.zeros(len(known.counts), bool))
    kinds = known.calendar(14)["shape_day"].to_numpy(int)[: 120 + 14]
    for i, counts in enumerate(known.counts):
        np.testing.assert_allclose(got[i], plain_recursion(counts, kinds, factors[which[i]], 0.05, 0.02, 14), rtol=1e-9)


def test_of_many_discounts_the_one_that_fits_is_believed() -> None:
    """Where the level wanders fast, the forecast follows the last days; where it stands, it is the mean of all."""
    rng = np.random.default_rng(1)
    wandering = 200 * np.exp(np.cumsum(rng.normal(0, 0.08, DAYS)))
    known = city(np.clip(wandering, 20, 4000))
    factors, which = np.ones((1, DAYS + 7)), np.zeros(len(known.counts), int)
    near, still = known.counts[0, -7:].mean(), np.zeros(len(known.counts), bool)
    assert smoothing.smooth(known, 7, 0, factors, which, still)[0].mean() == pytest.approx(near, rel=0.15)
    steady = city(np.full(DAYS, 20.0), seed=2)
    assert smoothing.smooth(steady, 7, 0, factors, which, still)[0].mean() == pytest.approx(steady.counts[0].mean(), rel=0.04)
