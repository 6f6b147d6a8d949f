"""Prophet's model fitted to all series at once, against the package Prophet, one series after the other."""

from dataclasses import dataclass, fields, replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import small_cities
from prophet import Prophet
from scipy import optimize

from forecasting.hierarchy import Tree
from forecasting.models import additive, posterior
from forecasting.models.additive import Parameters
from forecasting.models.base import Known, NoOpinion
from forecasting.models.prophet_model import COMPONENTS, LEAST_TOTAL, FittedProphet, ProphetModel
from forecasting.panel import CountPanel

HORIZON = 28
DAYS = 900
SEEDS = (0, 1)
KINDS = ("bent", "dense", "growing", "holes", "late", "quarter", "ragged", "rare", "sparse")
STARTS = {"late": 500, "quarter": DAYS - 130}
LEVELS = {"dense": 80.0, "sparse": 0.4, "rare": 0.06}
USUAL = 20.0


@cache
def city(seed: int = 0) -> Known:
    """One series of each kind, with a week, a year and quiet holidays in it, until shortly before Christmas."""
    rng = np.random.default_rng(seed)
    days = pd.date_range(end="2024-12-14", periods=DAYS)
    time = np.arange(DAYS) / DAYS
    level = {kind: np.full(DAYS, LEVELS.get(kind, USUAL)) for kind in KINDS}
    level["bent"] = 60 + 60 * np.minimum(time, 0.4) - 90 * np.maximum(time - 0.6, 0)
    level["growing"] = 5 + 40 * time
    first = np.array([STARTS.get(kind, 0) for kind in KINDS])
    panel = CountPanel(pd.DataFrame({"area": KINDS, "category": "x"}), days, np.zeros((len(KINDS), DAYS)), first)
    known = Known(panel, Tree(), Tree(), country="US")
    free = known.calendar(HORIZON).loc[days, "holiday"].to_numpy() != ""
    shape = small_cities.WEEK[days.day_of_week] * (1 + 0.4 * np.sin(2 * np.pi * days.day_of_year / 365.25)) * np.where(free, 0.4, 1.0)
    counts = np.array([rng.poisson(level[kind] * shape) for kind in KINDS], dtype=float)
    counts[np.arange(DAYS) < first[:, None]] = 0.0
    counts[KINDS.index("holes"), 300:330] = np.nan
    counts[KINDS.index("holes"), -3:] = np.nan
    counts[KINDS.index("ragged"), rng.random(DAYS) < 0.2] = np.nan
    return replace(known, panel=replace(panel, counts=counts))


@cache
def fitted(seed: int = 0) -> FittedProphet:
    made = ProphetModel().fit(city(seed), HORIZON, 0)
    assert isinstance(made, FittedProphet)
    return made


@dataclass(frozen=True)
class Stock:
    """Prophet's fit of one series: the model, its history in its own units, and its forecast clipped at 0."""

    model: Prophet
    days: pd.DatetimeIndex
    regressors: pd.DataFrame
    y: np.ndarray
    forecast: np.ndarray


def history(kind: str, seed: int) -> pd.DataFrame:
    panel = city(seed).panel
    row = KINDS.index(kind)
    return pd.DataFrame({"ds": panel.days[panel.first[row] :], "y": panel.counts[row, panel.first[row] :]}).dropna()


def unfitted(kind: str, seed: int) -> Prophet:
    calendar = city(seed).calendar(HORIZON)
    groups = [("makeup", calendar["day_kind"].eq("makeup"))]
    groups += [(name, calendar[column].gt(0)) for name, column in (("before_break", "before_long_break"), ("after_break", "after_long_break"))]
    groups += [(name, calendar["holiday"].eq(name)) for name in calendar["holiday"].unique() if name]
    holidays = pd.concat([pd.DataFrame({"holiday": name, "ds": calendar.index[mark]}) for name, mark in groups])
    yearly = len(history(kind, seed)) >= 540
    return Prophet(weekly_seasonality=True, yearly_seasonality=yearly, daily_seasonality=False, holidays=holidays, uncertainty_samples=0)


@cache
def stock(kind: str, seed: int) -> Stock:
    model, past = unfitted(kind, seed), history(kind, seed)
    model.fit(past, algorithm="LBFGS")
    forecast = model.predict(pd.DataFrame({"ds": city(seed).days_ahead(HORIZON)}))["yhat"].to_numpy()
    model.stan_backend.cleanup()
    regressors = model.make_all_seasonality_features(model.history)[0]
    return Stock(model, pd.DatetimeIndex(past["ds"]), regressors, past["y"].to_numpy() / model.y_scale, np.maximum(forecast, 0.0))


def density(oracle: Stock, slope: float, level: float, bends: np.ndarray, effects: np.ndarray, noise: float) -> float:
    """The log posterior density as Prophet's Stan program has it, without constants; effects in the order of Prophet's columns."""
    time = ((oracle.days - oracle.days[0]) / (oracle.days[-1] - oracle.days[0])).to_numpy()
    trend = slope * time + level
    for at, bend in zip(oracle.model.changepoints_t, bends, strict=True):
        trend = trend + bend * np.where(time > at, time - at, 0.0)
    error = oracle.y - trend - oracle.regressors.to_numpy() @ effects
    likelihood = -len(error) * np.log(noise) - (error**2).sum() / (2 * noise**2)
    priors = -(slope**2 + level**2) / (2 * 5**2) - np.abs(bends).sum() / 0.05 - (effects**2).sum() / (2 * 10**2) - noise**2 / (2 * 0.5**2)
    return float(likelihood + priors)


def ours(kind: str, seed: int) -> tuple[float, float, np.ndarray, np.ndarray, float]:
    """What was learnt here of a series, in the form that `density` takes."""
    made = fitted(seed)
    (row,) = np.flatnonzero((made.nodes["area"] == kind) & (made.nodes["category"] == "x"))
    p = made.parameters
    place = {f"weekly_delim_{k + 1}": k for k in range(6)} | {f"yearly_delim_{k + 1}": 6 + k for k in range(20)}
    place |= {f"{name}_delim_+0": 26 + k for k, name in enumerate(made.holidays)}
    columns = stock(kind, seed).regressors.columns
    effects = np.array([p.effects[row, place[name]] if name in place else 0.0 for name in columns])
    return float(p.slope[row]), float(p.level[row]), p.bends[row], effects, float(p.noise[row])


def theirs(kind: str, seed: int) -> tuple[float, float, np.ndarray, np.ndarray, float]:
    found = {name: np.ravel(value) for name, value in stock(kind, seed).model.params.items()}
    return found["k"].item(), found["m"].item(), found["delta"], found["beta"], found["sigma_obs"].item()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_posterior_density_is_at_least_that_which_prophet_finds(kind: str, seed: int) -> None:
    ahead = density(stock(kind, seed), *ours(kind, seed)) - density(stock(kind, seed), *theirs(kind, seed))
    assert 0 <= ahead < 5  # Prophet's optimiser stops up to two short of the top


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_near_the_parameters_is_more_probable(kind: str) -> None:
    rng = np.random.default_rng(1)
    slope, level, bends, effects, noise = ours(kind, 0)
    best = density(stock(kind, 0), slope, level, bends, effects, noise)
    for size in (1e-1, 1e-2, 1e-3, 1e-4):
        for _ in range(20):
            by = rng.normal(0, size, 3)
            moved = bends + rng.normal(0, size, len(bends)) * (rng.random(len(bends)) < 0.2)
            other = effects + rng.normal(0, size, len(effects)) * (rng.random(len(effects)) < 0.2)
            assert density(stock(kind, 0), slope + by[0], level + by[1], moved, other, noise * np.exp(by[2])) < best + 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_the_noise_is_the_most_probable_for_the_other_parameters(kind: str) -> None:
    *others, noise = ours(kind, 0)
    best = optimize.minimize_scalar(
        lambda x: -density(stock(kind, 0), *others, np.exp(x)), bracket=(np.log(noise) - 0.1, np.log(noise) + 0.1), tol=1e-9
    )
    np.testing.assert_allclose(noise, np.exp(best.x), rtol=1e-6)


def test_forecasts_are_those_of_prophet() -> None:
    """The mean distance over four weeks, as a part of the mean forecast: median 0.4 %, worst 5.5 % (a series with a ticket in 18 days)."""
    distance = []
    for seed in SEEDS:
        means = fitted(seed).forecast(city(seed), HORIZON)
        wanted = np.array([stock(kind, seed).forecast for kind in KINDS])
        distance.append(np.abs(means[: len(KINDS)] - wanted).mean(axis=1) / wanted.mean(axis=1))
    assert np.median(distance) < 0.01
    assert np.max(distance) < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_prophet_started_at_our_parameters_stays_there(kind: str) -> None:
    slope, level, bends, effects, noise = ours(kind, 0)
    oracle = unfitted(kind, 0)
    start = {"k": slope, "m": level, "delta": bends, "beta": effects, "sigma_obs": noise}
    oracle.fit(history(kind, 0), algorithm="LBFGS", init=start)
    want = oracle.predict(pd.DataFrame({"ds": city().days_ahead(HORIZON)}))["yhat"].to_numpy()
    oracle.stan_backend.cleanup()
    got = sum(part[KINDS.index(kind)] for part in fitted().components(city(), HORIZON).values())
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-3 * np.abs(want).mean())


def test_components_are_those_of_prophet_and_add_up_to_the_forecast() -> None:
    parts = fitted().components(city(), HORIZON)
    assert tuple(parts) == COMPONENTS
    np.testing.assert_allclose(np.maximum(sum(parts.values()), 0), fitted().forecast(city(), HORIZON), rtol=1e-12)
    dense = KINDS.index("dense")
    want = stock("dense", 0).model.predict(pd.DataFrame({"ds": city().days_ahead(HORIZON)}))
    for name in COMPONENTS:
        np.testing.assert_allclose(parts[name][dense], want[name], atol=0.2)  # of 80 tickets a day
    quarter = KINDS.index("quarter")
    assert (parts["yearly"][quarter] == 0).all()  # four months have no yearly season
    free = city().calendar(HORIZON).loc[city().days_ahead(HORIZON), "holiday"].to_numpy() != ""
    assert free.any()
    assert (parts["holidays"][dense, free] < -10).all()


def learnt(use: np.ndarray, counts: np.ndarray, rows: np.ndarray, prior: float = 0.05) -> Parameters:
    days = np.arange(use.shape[1], dtype=float)
    return additive.fit(counts, use, rows, days, additive.seasons(days), prior)


def test_what_is_learnt_of_a_series_does_not_depend_on_the_others() -> None:
    rng = np.random.default_rng(3)
    counts = rng.poisson(rng.uniform(0.1, 30, (150, 1)), (150, 600)).astype(float)
    use = np.arange(600) >= rng.choice([0, 0, 40, 250], (150, 1))
    everyone = learnt(use, counts, np.arange(150))
    some = rng.permutation(150)[:90]
    fewer = learnt(use, counts, some)
    for field in fields(Parameters):
        np.testing.assert_allclose(getattr(fewer, field.name), getattr(everyone, field.name)[some], rtol=1e-7, atol=1e-9)
    again = learnt(use, counts, np.arange(150))
    assert all(np.array_equal(getattr(again, field.name), getattr(everyone, field.name)) for field in fields(Parameters))


@pytest.mark.parametrize("prior", [1e-4, 0.05, 10.0, 1e3])
@pytest.mark.parametrize("days", [120, 400, 1100])
def test_a_mode_is_found_whatever_the_counts(days: int, prior: float) -> None:
    rng = np.random.default_rng(days)
    time = np.arange(days)
    odd = [
        np.full(days, 7.0),
        np.where(time == days // 2, 30.0, 0.0),
        np.where(time == days - 1, 1e6, 1.0),
        np.where(time < days // 2, 0.0, 1000.0),
        time * 1.0,
        time**2 * 1.0,
        np.where(time % 7 < 5, 10.0, 0.0),
        np.where(time % 2, 1e-3, 0.0),
        np.zeros(days),
        *rng.poisson(0.1, (5, days)),
        *rng.negative_binomial(0.2, 0.01, (5, days)),
        *np.exp(np.cumsum(rng.normal(0, 0.3, (5, days)), axis=1)),
    ]
    counts = np.array(odd, dtype=float)
    found = learnt(np.ones(counts.shape, bool), counts, np.arange(len(counts)), prior)
    assert np.isfinite(found.noise).all()
    ahead = found.trend(np.arange(days, days + HORIZON)) + found.effect(additive.seasons(np.arange(days, days + HORIZON)), slice(None))
    assert np.isfinite(ahead).all()
    np.testing.assert_allclose(ahead[0], 7.0, rtol=1e-3)
    if prior == 0.05:
        np.testing.assert_allclose(ahead[4], np.arange(days, days + HORIZON), rtol=1e-2)


def test_a_series_whose_mode_is_not_found_gets_no_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posterior, "STEPS", 3)
    assert np.isnan(ProphetModel().fit(city(), HORIZON, 0).forecast(city(), HORIZON)).all()


def test_a_node_with_too_few_days_or_tickets_gets_no_forecast_and_all_others_do() -> None:
    known = city()
    counts, first = known.panel.counts.copy(), known.panel.first.copy()
    few, late = KINDS.index("rare"), KINDS.index("late")
    counts[few] = np.arange(DAYS) < LEAST_TOTAL - 1
    first[late] = DAYS - ProphetModel.least_days + 1
    changed = replace(known, panel=replace(known.panel, counts=counts, first=first))
    means = ProphetModel().fit(changed, HORIZON, 0).forecast(changed, HORIZON)
    assert set(np.flatnonzero(np.isnan(means[: len(KINDS)]).any(axis=1))) == {few, late}
    early = known.at(known.panel.days[ProphetModel.least_days - 2])
    assert isinstance(ProphetModel().fit(early, HORIZON, 0), NoOpinion)


def test_only_the_last_years_are_learnt_from() -> None:
    known = city()
    counts = known.panel.counts.copy()
    counts[:, : DAYS - 2 * 365] *= 3
    changed = replace(known, panel=replace(known.panel, counts=counts))
    for years, same in ((2, True), (3, False)):
        one, other = (ProphetModel(years=years).fit(k, HORIZON, 0).forecast(k, HORIZON) for k in (known, changed))
        assert np.array_equal(one, other) == same
