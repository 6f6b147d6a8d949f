"""One suite for every model of `recipe.MODELS`, and for the champion that blends them."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import small_cities
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting import backtest, features, recipe, training
from forecasting.backtest import Task
from forecasting.forecast_set import with_quantiles
from forecasting.hierarchy import ALL
from forecasting.models import blend
from forecasting.models.base import Known, Model
from forecasting.models.boosting import Boosting
from forecasting.recipe import CHAMPION, MODELS, Recipe

SMALL: dict[str, dict[str, Any]] = {
    "boosting": {"rows": 3000, "trees": 12, "leaves": 7, "least_rows": 10, "threads": 1},
}
"""Settings that make a model quick; a model without an entry runs as it is."""
HORIZON = 7
DAYS = 210
QUANTILES = ["q05", "q10", "q25", "q50", "q75", "q90", "q95"]


def day(n: int) -> pd.Timestamp:
    return small_cities.START + pd.Timedelta(days=n)


def of(*names: str) -> Recipe:
    return recipe.from_mapping({"members": {name: SMALL.get(name) for name in names}, "windows": 2})


def model_of(name: str) -> Model:
    return next(m for m in of(*dict.fromkeys([name, "four_week_mean"])).members if m.name == name)


def usual() -> Known:
    return small_cities.known(small_cities.counts(DAYS), "CN", small_cities.weather(DAYS))


def constant() -> Known:
    dates = pd.date_range(small_cities.START, periods=DAYS)
    frames = [pd.DataFrame({"district": d, "category": "x", "date": dates, "count": c}) for d, c in (("a", 5), ("b", 3))]
    return small_cities.known(pd.concat(frames))


def nothing() -> Known:
    dates = pd.date_range(small_cities.START, periods=DAYS)
    return small_cities.known(pd.DataFrame({"district": "a", "category": "x", "date": dates, "count": 0}))


def brand_new() -> Known:
    new = pd.DataFrame({"district": ["d9"], "category": ["NEW"], "date": [day(DAYS - 1)], "count": [4]})
    return small_cities.known(pd.concat([small_cities.counts(DAYS), new]), "CN")


def half_way() -> Known:
    """A series that is named for the first time between two windows of the backtest, and a driver that begins there."""
    later = small_cities.counts(DAYS, ("d9",), ("NEW",), seed=5)
    weather = small_cities.weather(DAYS).assign(name="rain")
    both = pd.concat([small_cities.weather(DAYS), weather[weather["date"] > day(DAYS - 10)]])
    return small_cities.known(pd.concat([small_cities.counts(DAYS), later[later["date"] > day(DAYS - 10)]]), "none", both)


def with_holes() -> Known:
    counts = small_cities.counts(DAYS, level=90)
    silent = counts["date"].isin([day(60), day(150), day(DAYS - 9)]) | ((counts["district"] == "d1") & (counts["date"] >= day(DAYS - 3)))
    made = small_cities.known(counts[~silent])
    assert np.isnan(made.panel.counts[:, -1]).any()
    return made


CITIES: dict[str, Callable[[], Known]] = {
    "usual": usual,
    "20 days": lambda: small_cities.known(small_cities.counts(20), "CN", small_cities.weather(20)),
    "60 days": lambda: small_cities.known(small_cities.counts(60)),
    "one day": lambda: small_cities.known(small_cities.counts(1)),
    "constant": constant,
    "all zero": nothing,
    "brand-new series": brand_new,
    "series and driver half-way": half_way,
    "one series": lambda: small_cities.known(small_cities.counts(DAYS, ("d1",), ("HEAT",))),
    "one district": lambda: small_cities.known(small_cities.counts(DAYS, ("d1",))),
    "sparse": lambda: small_cities.known(small_cities.counts(DAYS, level=0.2)),
    "holes": with_holes,
}


@cache
def city(name: str) -> Known:
    return CITIES[name]()


def check_table(frame: pd.DataFrame) -> None:
    """What holds of the forecasts of one model at one cutoff, as `backtest` gives them."""
    numbers = frame[["mean", *QUANTILES]].to_numpy()
    assert np.isfinite(numbers).all()
    assert (numbers >= 0).all()
    assert (np.diff(numbers[:, 1:], axis=1) >= 0).all()
    bottom = frame[(frame["district"] != ALL) & (frame["category"] != ALL)]
    for keys in (["district"], ["category"], []):
        sums = bottom.groupby([*keys, "date"])["mean"].sum()
        at = frame[(frame["district"].eq(ALL) ^ ("district" in keys)) & (frame["category"].eq(ALL) ^ ("category" in keys))]
        np.testing.assert_allclose(at.set_index([*keys, "date"])["mean"].sort_index(), sums.sort_index(), atol=1e-6, rtol=0)


def forecast(known: Known, made: Recipe, names: tuple[str, ...], horizon: int = HORIZON, seed: int = 0) -> pd.DataFrame:
    return backtest.run(known.at, made, Task((known.cutoff,), horizon, names, seed))


@pytest.mark.parametrize("where", CITIES)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_forecasts_every_node_or_has_no_opinion_on_it(name: str, where: str) -> None:
    known, model = city(where), model_of(name)
    if len(known.panel.days) < model.least_days:
        return
    means = model.fit(known, HORIZON, 0).forecast(known, HORIZON)
    assert means.shape == (len(known.hierarchy.nodes), HORIZON)
    assert not np.isinf(means).any()
    assert (means[np.isfinite(means)] >= 0).all()
    assert np.array_equal(np.isnan(means).any(axis=1), np.isnan(means).all(axis=1))  # an opinion on every day or on none
    if model.least_days == 0:
        assert np.isfinite(means).all()


@pytest.mark.parametrize("where", CITIES)
@pytest.mark.parametrize("name", MODELS)
def test_forecasts_of_a_model_are_finite_ordered_and_add_up(name: str, where: str) -> None:
    frame = forecast(city(where), of(*dict.fromkeys([name, "four_week_mean"])), (name,))
    nodes = city(where).hierarchy.nodes
    assert len(frame) == HORIZON * len(nodes)
    check_table(frame)


@pytest.mark.parametrize("where", CITIES)
def test_forecasts_of_the_champion_are_finite_ordered_and_add_up(where: str) -> None:
    known = city(where)
    members = training.backtest_members(known, of(*MODELS).members, HORIZON, 2, 0)
    champion = training.assemble(members)
    made = champion.forecast()
    check_table(with_quantiles(made.frame).rename(columns={"area": "district"}))
    assert made.meta["cutoff"] == f"{known.cutoff:%Y-%m-%d}"
    np.testing.assert_allclose(champion.weights.sum(axis=1), 1)
    assert made.frame["model"].str.contains("|".join(MODELS)).all()  # a forecast says which members made it
    assert (made.frame["dispersion"] > 0).all()


@pytest.mark.parametrize("horizon", [1, 28, 90])
@pytest.mark.parametrize("days", [140, 210])
def test_every_horizon_is_forecast_from_a_short_history(days: int, horizon: int) -> None:
    known = small_cities.known(small_cities.counts(days, ("d1",)))
    check_table(forecast(known, of(*MODELS), (CHAMPION,), horizon))


@pytest.mark.parametrize("name", [*MODELS, CHAMPION])
def test_the_future_changes_nothing(name: str) -> None:
    """Forecasts at a cutoff are bit for bit those from a panel, and drivers, that end there; other districts and drivers may come later."""
    counts, weather = small_cities.counts(DAYS + 20), small_cities.weather(DAYS + 20)
    cutoff = day(DAYS - 1)
    later = counts["date"] > cutoff
    other = pd.concat(
        [
            counts.assign(count=counts["count"].where(~later, counts["count"] * 9 + 7)),
            small_cities.counts(5, ("d0", "d9"), ("AAA", "NEW")).assign(date=cutoff + pd.Timedelta(days=2)),
        ]
    )
    knowable = weather["issued_at"].fillna(weather["date"]) <= cutoff
    new = weather[~knowable]
    changed = weather.assign(value=weather["value"].where(knowable, 99.0))
    other_weather = pd.concat([changed, new.assign(name="rain"), new.assign(district="d2"), new.assign(district="d9")])
    made = of(*MODELS) if name == CHAMPION else of(*dict.fromkeys([name, "four_week_mean"]))
    task = Task((cutoff,), HORIZON, (name,))
    cut = backtest.run(small_cities.known(counts[~later], "CN", weather[knowable]).at, made, task)
    whole = backtest.run(small_cities.known(other, "CN", other_weather).at, made, task)
    pd.testing.assert_frame_equal(cut, whole, check_exact=True)


@pytest.mark.parametrize("name", [*MODELS, CHAMPION])
def test_the_same_inputs_and_seed_give_the_same_bytes(name: str) -> None:
    made = of(*MODELS) if name == CHAMPION else of(*dict.fromkeys([name, "four_week_mean"]))
    one, other = (forecast(usual(), made, (name,), seed=7).to_parquet() for _ in range(2))
    assert one == other


def test_a_booster_is_the_same_with_any_number_of_threads() -> None:
    known = usual()
    fits = [Boosting(rows=20_000, trees=60, threads=threads).fit(known, HORIZON, 0) for threads in (1, 2, 3)]
    one, *others = (fitted.forecast(known, HORIZON).tobytes() for fitted in fits)
    assert others == [one, one]


@pytest.mark.parametrize("name", [name for name in MODELS if not MODELS[name].ages])
def test_a_model_that_does_not_age_serves_later_days_and_series_it_has_not_seen(name: str) -> None:
    known = city("series and driver half-way")
    then = known.at(day(DAYS - 30))
    assert len(then.panel.series) < len(known.panel.series)
    means = model_of(name).fit(then, HORIZON, 0).forecast(known, HORIZON)
    assert means.shape == (len(known.hierarchy.nodes), HORIZON)
    assert np.isfinite(means).all()


@pytest.mark.parametrize("name", [name for name in MODELS if not MODELS[name].ages])
def test_a_model_that_does_not_age_takes_the_newest_day_into_account(name: str) -> None:
    known = city("usual")
    counts = known.panel.counts.copy()
    counts[:, -1] = counts[:, -1] + 1
    fitted = model_of(name).fit(known.at(day(DAYS - 30)), HORIZON, 0)
    before, after = (fitted.forecast(k, HORIZON) for k in (known, replace(known, panel=replace(known.panel, counts=counts))))
    assert (before != after).any(axis=1).all()


@pytest.mark.parametrize("name", MODELS)
def test_a_window_of_the_backtest_sees_nothing_after_its_origin(name: str) -> None:
    known, model = city("usual"), model_of(name)
    members = training.backtest_members(known, (model,), HORIZON, 3, 0)
    first = known.at(known.panel.days[members.origins[0]])
    for w, origin in enumerate(members.origins):
        then = known.at(known.panel.days[origin])
        want = model.fit(then if model.ages else first, HORIZON, 0).forecast(then, HORIZON)
        np.testing.assert_array_equal(members.forecasts[0, :, w], want)
        np.testing.assert_array_equal(members.counts[:, w], known.counts[:, origin + 1 : origin + 1 + HORIZON])


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name].ages])
def test_a_model_that_ages_says_so_when_it_is_asked_at_another_day(name: str) -> None:
    with pytest.raises(ValueError, match="fitted for"):
        model_of(name).fit(usual().at(day(DAYS - 30)), HORIZON, 0).forecast(usual(), HORIZON)


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_forecasts_as_before(name: str, tmp_path: Path) -> None:
    fitted = model_of(name).fit(city("usual"), HORIZON, 0)
    fitted.save(tmp_path)
    loaded = type(fitted).load(tmp_path)
    np.testing.assert_allclose(loaded.forecast(city("usual"), HORIZON), fitted.forecast(city("usual"), HORIZON), rtol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_saved_as_the_same_bytes_each_time(name: str, tmp_path: Path) -> None:
    written = []
    for attempt in ("one", "two"):
        folder = tmp_path / attempt
        folder.mkdir()
        model_of(name).fit(city("usual"), HORIZON, 0).save(folder)
        written.append({p.name: p.read_bytes() for p in sorted(folder.iterdir())})
    assert written[0]
    assert written[0] == written[1]


@pytest.mark.parametrize("name", MODELS)
def test_settings_are_flat_plain_values(name: str) -> None:
    assert all(isinstance(value, int | float | str) for value in model_of(name).settings().values())


def test_a_burst_is_not_forecast_again_by_the_blend_s_own_baseline_and_a_new_level_is_learnt() -> None:
    known = city("60 days")
    counts = known.panel.counts.copy()
    counts[:, -3] += 400  # a storm
    stormy = replace(known, panel=replace(known.panel, counts=counts))
    calm = model_of("usual_weeks").fit(known, 28, 0).forecast(known, 28)
    after = model_of("usual_weeks").fit(stormy, 28, 0).forecast(stormy, 28)
    assert (np.abs(after - calm) <= 0.5 * calm + 3 * known.counts.shape[0]).all()
    counts = known.panel.counts.copy()
    counts[:, -35:] += 400  # a level that stays
    shifted = replace(known, panel=replace(known.panel, counts=counts))
    got = model_of("usual_weeks").fit(shifted, 7, 0).forecast(shifted, 7)
    assert (got[: known.hierarchy.n_series] > 200).all()


def test_what_is_there_to_be_compared_with_has_no_part_in_the_blend() -> None:
    made = of("seasonal_naive", "four_week_mean", "usual_weeks", "boosting")
    members = training.backtest_members(city("usual"), made.members, HORIZON, 2, 0)
    champion = training.assemble(members)
    assert [members.models[k].name for k in champion.chosen] == ["usual_weeks", "boosting"]


def test_the_seasonal_naive_forecast_is_last_week_and_the_four_week_mean_its_mean() -> None:
    known = city("60 days")
    counts = known.counts
    naive = model_of("seasonal_naive").fit(known, 14, 0).forecast(known, 14)
    np.testing.assert_allclose(naive[:, :7], counts[:, -7:])
    np.testing.assert_allclose(naive[:, 7:], counts[:, -7:])
    mean = model_of("four_week_mean").fit(known, 7, 0).forecast(known, 7)
    np.testing.assert_allclose(mean, counts[:, -28:].reshape(len(counts), 4, 7).mean(axis=1))


def test_a_baseline_skips_holes_and_takes_the_newest_days_that_are_known() -> None:
    known = city("holes")
    counts = known.counts
    naive = model_of("seasonal_naive").fit(known, 7, 0).forecast(known, 7)
    for i, h in [(0, 7), (0, 1), (len(counts) - 1, 7)]:
        same = [counts[i, t] for t in range(len(known.panel.days) - 8 + h, -1, -7)]
        assert naive[i, h - 1] == next(y for y in same if not np.isnan(y))


def test_the_blend_gives_no_weight_to_a_member_that_is_far_off() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(30, (6, 3, 28)).astype(float)
    good, bad = np.full(counts.shape, 30.0), np.full(counts.shape, 90.0)
    weights = training.blend.weights(np.stack([bad, good]), counts, np.full(6, 5.0), np.zeros(6, int), np.zeros(2, bool), 0.1)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert (weights[:, 1] > 0.9).all()


@settings(max_examples=150, deadline=None)
@given(
    spread=st.lists(st.sampled_from([0.0, 1e-3, 1.0, 1e3, 1e5]), min_size=4, max_size=4),
    days=st.integers(1, 6),
    alike=st.booleans(),
    shrink=st.sampled_from([0, 0.1, 10]),
    seed=st.integers(0, 99),
)
def test_weights_add_up_to_one_however_few_or_perfect_the_residuals(spread: list[float], days: int, alike: bool, shrink: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(3, (2, 1, days)).astype(float)
    noise = rng.normal(0, 1, (1 if alike else 4, 2, 1, days)) * np.array(spread)[:, None, None, None]
    baseline = np.array([True, True, False, False])
    weights = training.blend.weights(counts + noise, counts, np.ones(2), np.zeros(2, int), baseline, shrink)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    if shrink == 0:  # then the weighted errors are no larger than those of the best member
        errors = np.broadcast_to(noise, (4, 2, 1, days)).reshape(4, -1)
        size = np.sqrt((errors**2).mean(axis=1))
        assert np.sqrt(((weights[0] @ errors) ** 2).mean()) <= 1.01 * size.min() + 1e-3 * size.max()


def test_a_missing_member_s_weight_goes_to_the_others() -> None:
    forecasts = np.stack([np.full((2, 3), 10.0), np.full((2, 3), 20.0)])
    forecasts[1, 1] = np.nan
    got = training.blend.combine(forecasts, np.array([[0.25, 0.75], [0.0, 1.0]]))
    np.testing.assert_allclose(got, [[17.5] * 3, [10.0] * 3])
    with pytest.raises(ValueError, match="no forecast from any member"):
        training.blend.combine(np.full((2, 1, 3), np.nan), np.ones((1, 2)))


def test_a_window_left_out_does_not_shape_its_own_weights() -> None:
    members = training.backtest_members(city("usual"), of("seasonal_naive", "four_week_mean").members, HORIZON, 2, 0)
    spoilt = members.counts.copy()
    spoilt[:, 1] *= 50
    one, other = (training.assemble(replace(members, counts=c), leave_out=1) for c in (members.counts, spoilt))
    np.testing.assert_array_equal(one.weights, other.weights)
    np.testing.assert_array_equal(one.dispersion.nodes, other.dispersion.nodes)


@pytest.mark.parametrize(("days", "horizon"), [(1, 7), (20, 7), (22, 7), (60, 28), (200, 28), (900, 28), (5, 1)])
def test_windows_end_by_the_cutoff_and_leave_enough_history(days: int, horizon: int) -> None:
    origins = training.window_origins(days, horizon, 3)
    assert origins == sorted(set(origins))
    assert all(training.LEAST_HISTORY <= origin + 1 < days for origin in origins)
    if days >= 5 * horizon and days > 40:
        assert origins == [days - 1 - horizon * k for k in (3, 2, 1)]


def test_a_booster_is_not_given_the_groups_of_features_that_it_goes_without() -> None:
    made = recipe.from_mapping({"members": {"four_week_mean": None, "boosting": SMALL["boosting"] | {"without": ["calendar", "drivers"]}}})
    fitted = made.members[1].fit(city("usual"), HORIZON, 0)
    assert {features.group(name) for name in fitted.names} == set(features.GROUPS) - {"calendar", "drivers"} | {""}
    assert np.isfinite(fitted.forecast(city("usual"), HORIZON)).all()


def test_a_driver_may_have_any_name(tmp_path: Path) -> None:
    weather = small_cities.weather(DAYS).replace({"name": {"temperature": '气温 (℃), max: "day"'}})
    known = small_cities.known(small_cities.counts(DAYS), "CN", weather)
    fitted = model_of("boosting").fit(known, HORIZON, 0)
    fitted.save(tmp_path)
    np.testing.assert_array_equal(type(fitted).load(tmp_path).forecast(known, HORIZON), fitted.forecast(known, HORIZON))


def test_what_is_said_of_a_blend_can_be_read_again() -> None:
    weights = {"boosting": 0.62, "four_week_mean": 0.0, "prophet": 0.38}
    assert blend.describe(weights) == "blend(boosting 0.62, prophet 0.38)"
    assert blend.members(blend.describe(weights)) == {"boosting": 0.62, "prophet": 0.38}
    assert blend.describe({"prophet": 1.0, "boosting": 0.0}) == "prophet"
    assert blend.members("prophet") == {"prophet": 1.0}


def test_a_new_series_is_forecast_with_a_wider_interval_than_one_of_its_size_that_is_known() -> None:
    old = small_cities.counts(DAYS, ("d1", "d2", "d3"), ("x",), seed=3)
    new = old[(old["district"] == "d1") & (old["date"] > day(DAYS - 6))].assign(district="d9")
    known = small_cities.known(pd.concat([old, new]))
    members = training.backtest_members(known, of("usual_weeks", "loglinear").members, HORIZON, 2, 0)
    frame = training.assemble(members).forecast().frame
    scatter = frame[frame["category"] == "x"].groupby("area")["dispersion"].mean()
    assert scatter["d9"] > 2 * scatter["d1"]


def test_the_ticket_that_names_a_node_first_says_nothing_of_its_size() -> None:
    old = small_cities.counts(DAYS, ("d1",), ("x",), level=30)
    one = pd.DataFrame({"district": ["d8"], "category": ["x"], "date": [day(DAYS - 1)], "count": [1]})
    thirty = old[old["date"] > day(DAYS - 4)].assign(district="d9", count=30)
    known = small_cities.known(pd.concat([old, one, thirty]))
    recent = dict(zip(known.hierarchy.nodes["area"], known.recent(56), strict=True))
    assert recent["d8"] == 0
    assert recent["d9"] == pytest.approx(30, rel=0.02)
