"""Features see nothing past their origin, mean the same in training and in serving, and agree with plain loops over windows."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import small_cities
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting import features
from forecasting.drivers import from_frame
from forecasting.features import LEVEL_PRIOR, LEVEL_WINDOW, SMALL, YEAR, Features
from forecasting.hierarchy import ALL, Tree
from forecasting.models.base import Known
from forecasting.panel import from_counts

DAYS = 800
AHEAD = np.array([1, 2, 7, 8, 20, 28])
CODES = {"area": {"d1": 0, "d2": 1, ALL: 2}, "category": {"HEAT": 0, "NOISE": 1, ALL: 2}, "holiday": {"": 0, "national_day": 1}}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    counts = small_cities.counts(DAYS, level=40)
    late = (counts["district"] == "d2") & (counts["category"] == "NOISE") & (counts["date"] < small_cities.START + pd.Timedelta(days=300))
    silent = (counts["district"] == "d1") & (counts["date"] == small_cities.START + pd.Timedelta(days=700))
    return counts[~late & ~silent]


@pytest.fixture(scope="module")
def weather() -> pd.DataFrame:
    return small_cities.weather(DAYS, ahead=5)


@pytest.fixture(scope="module")
def known(frame: pd.DataFrame, weather: pd.DataFrame) -> Known:
    made = small_cities.known(frame, "CN", weather)
    assert np.isnan(made.panel.counts).any()
    return made


def at(known: Known, origin: int, ahead: np.ndarray = AHEAD) -> Features:
    return features.compute(known, np.full(len(ahead), origin), ahead, CODES)


def column(known: Known, table: Features, name: str, node: tuple[str, str]) -> np.ndarray:
    nodes = known.hierarchy.nodes
    row = nodes.index[(nodes["area"] == node[0]) & (nodes["category"] == node[1])][0]
    return table.values.reshape(len(nodes), -1, len(table.names))[row, :, table.names.index(name)]


@settings(max_examples=25, deadline=None)
@given(origin=st.integers(60, DAYS - 30), seed=st.integers(0, 99))
def test_no_feature_of_an_origin_changes_with_what_comes_after_it(known: Known, weather: pd.DataFrame, origin: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    day = known.panel.days[origin]
    counts = known.panel.counts.copy()
    counts[:, origin + 1 :] = np.where(rng.random(counts[:, origin + 1 :].shape) < 0.1, np.nan, rng.integers(0, 9999, counts[:, origin + 1 :].shape))
    later = weather["issued_at"].fillna(weather["date"]) > day
    other = weather.assign(value=np.where(later, rng.normal(0, 999, len(weather)), weather["value"]))
    changed = replace(known, panel=replace(known.panel, counts=counts), drivers=from_frame(other))
    one, two = at(known, origin), at(changed, origin)
    np.testing.assert_array_equal(one.values, two.values)
    np.testing.assert_array_equal(one.level, two.level)


@settings(max_examples=15, deadline=None)
@given(origin=st.integers(300, DAYS - 1))
def test_training_and_serving_give_the_same_values(known: Known, origin: int) -> None:
    """Training computes an origin from all that is known by now, among other origins; serving knows nothing later."""
    ahead = AHEAD[origin + AHEAD < DAYS]
    if not len(ahead):
        return
    then = known.at(known.panel.days[origin])
    others = np.array([200, 400, 640])
    n = len(ahead)
    trained = features.compute(known, np.concatenate([np.full(n, origin), others]), np.concatenate([ahead, [3, 28, 9]]), CODES)
    served = at(then, origin, ahead)
    assert trained.names == served.names
    m = len(known.hierarchy.nodes)
    np.testing.assert_array_equal(trained.values.reshape(m, n + 3, -1)[:, :n], served.values.reshape(m, n, -1))
    np.testing.assert_array_equal(trained.level[:, :n], served.level)


def history(known: Known, node: tuple[str, str]) -> list[float]:
    """Counts of a node, None-like NaN before it was first named."""
    nodes = known.hierarchy.nodes
    row = nodes.index[(nodes["area"] == node[0]) & (nodes["category"] == node[1])][0]
    return [float("nan") if t < known.first[row] else float(y) for t, y in enumerate(known.counts[row])]


def mean(values: list[float], days: list[int]) -> float:
    """Mean of the known values on some days; NaN where there is none."""
    known = [values[t] for t in days if 0 <= t < len(values) and values[t] == values[t]]
    return sum(known) / len(known) if known else float("nan")


def ratio(x: float, base: float) -> float:
    return float(np.log((x + SMALL) / (base + SMALL)))


@pytest.mark.parametrize("node", [("d1", "HEAT"), ("d2", "NOISE"), ("d1", ALL), (ALL, "NOISE"), (ALL, ALL)])
@pytest.mark.parametrize("origin", [56, 299, 301, 420, 699, 700, 702, 799])
def test_windows_agree_with_plain_loops(known: Known, node: tuple[str, str], origin: int) -> None:
    y = history(known, node)
    table = at(known, origin)
    near, year = (np.nan_to_num(mean(y, list(range(origin - w + 1, origin + 1)))) for w in (LEVEL_WINDOW, YEAR))
    seen = sum(1 for t in range(max(0, origin - LEVEL_WINDOW + 1), origin + 1) if y[t] == y[t])
    level = (near * seen + year * LEVEL_PRIOR) / (seen + LEVEL_PRIOR) + SMALL / 5
    want: dict[str, list[float]] = {"level": [np.log(level)] * len(AHEAD)}
    for window in (7, 14, 28, 91, 182, 364):
        want[f"mean_{window}"] = [ratio(mean(y, list(range(origin - window + 1, origin + 1))), level)] * len(AHEAD)
    for weeks in (1, 4, 8, 16):
        same = [[t for t in range(origin, -1, -1) if (t - (origin + h)) % 7 == 0][:weeks] for h in AHEAD]
        want[f"weekday_{weeks}"] = [ratio(mean(y, days), level) for days in same]
    for years in (1, 2):
        base = mean(y, list(range(origin - YEAR * years - 27, origin - YEAR * years + 1)))
        for half in (3, 14):
            centres = [origin + h - YEAR * years for h in AHEAD]
            want[f"season_{years}_{half}"] = [ratio(mean(y, list(range(c - half, c + half + 1))), base) for c in centres]
        want[f"growth_{years}"] = [ratio(mean(y, list(range(origin - 27, origin + 1))), base)] * len(AHEAD)
    want["last_2"] = [ratio(mean(y, [origin - 1, origin]), level)] * len(AHEAD)
    zeros = [float(value == 0) if value == value else value for value in y]
    want["zeros"] = [mean(zeros, list(range(origin - LEVEL_WINDOW + 1, origin + 1)))] * len(AHEAD)
    for name, values in want.items():
        np.testing.assert_allclose(column(known, table, name, node), values, rtol=1e-4, atol=1e-6, err_msg=name)


def test_pooled_features_are_those_of_the_category_s_and_the_area_s_own_sums(known: Known) -> None:
    table = at(known, 750)
    for name, above in (("season_1_3_category", (ALL, "HEAT")), ("season_1_3_area", ("d1", ALL))):
        np.testing.assert_array_equal(column(known, table, name, ("d1", "HEAT")), column(known, table, "season_1_3", above))
    np.testing.assert_array_equal(column(known, table, "trend_category", ("d1", "HEAT")), column(known, table, "trend_category", (ALL, "HEAT")))


def test_drivers_are_those_of_the_day_meant_as_known_at_the_origin(known: Known, weather: pd.DataFrame) -> None:
    origin = 500
    day = known.panel.days[origin]
    table = at(known, origin, np.array([1, 3]))
    for k, ahead in enumerate((1, 3)):
        row = weather[(weather["issued_at"] == day) & (weather["date"] == day + pd.Timedelta(days=ahead))]
        assert column(known, table, "driver_temperature", ("d1", "HEAT"))[k] == pytest.approx(row["value"].iloc[0], rel=1e-6)
    assert column(known, table, "driver_temperature_given", ("d1", "HEAT")).tolist() == [1, 1]
    assert column(known, at(known, origin), "driver_temperature_given", (ALL, ALL)).tolist() == [1, 1, 0, 0, 0, 0]


def test_the_calendar_is_that_of_the_day_meant(known: Known) -> None:
    table, days = at(known, 600), known.panel.days
    want = [int(days[600 + h].day_of_week) for h in AHEAD]
    assert column(known, table, "weekday", (ALL, ALL)).tolist() == want


def test_a_code_that_was_not_learnt_is_unknown(known: Known) -> None:
    codes = {**CODES, "area": {"d1": 0}}
    table = features.compute(known, np.array([700]), np.array([1]), codes)
    assert column(known, table, "area", ("d1", "HEAT"))[0] == 0
    assert np.isnan(column(known, table, "area", ("d2", "HEAT"))[0])


def test_targets_are_missing_in_a_hole_and_unless_the_node_was_known_at_the_origin(known: Known) -> None:
    nodes = known.hierarchy.nodes
    late = nodes.index[(nodes["area"] == "d2") & (nodes["category"] == "NOISE")][0]
    first = int(known.first[late])
    assert first >= 300
    hole = nodes.index[(nodes["area"] == "d1") & (nodes["category"] == "HEAT")][0]
    origins = np.array([first - 1, first, 695, 695])
    target = features.target(known, origins, np.array([5, 5, 5, 6]))
    assert np.isnan(target[late, 0])
    assert target[late, 1] == known.counts[late, first + 5]
    assert np.isnan(target[hole, 2])
    assert target[hole, 3] == known.counts[hole, 701]


def test_levels_are_positive_and_features_never_infinite(known: Known) -> None:
    for origin in (0, 1, 10, 299, 799):
        table = at(known, origin)
        assert (table.level > 0).all()
        assert not np.isinf(table.values).any()


def test_a_year_without_data_leaves_the_level_to_what_was_known_before() -> None:
    days = 900
    table = pd.DataFrame({"district": "d1", "category": "HEAT", "date": pd.date_range("2022-01-01", periods=days), "count": 20.0})
    whole = Known(from_counts(table), Tree.flat(["d1"]), Tree.flat(["HEAT"]), None, "none")
    holes = replace(whole.panel, counts=np.where(np.arange(days) >= days - YEAR - 20, np.nan, whole.panel.counts))
    level = [at(replace(whole, panel=panel), days - 1).level[0, 0] for panel in (whole.panel, holes)]
    assert level[0] == pytest.approx(20, rel=0.01)
    assert level[1] == pytest.approx(20, rel=0.01)


def test_every_feature_belongs_to_a_group_but_the_level_and_the_days_ahead(known: Known) -> None:
    names = at(known, 700).names
    assert {name for name in names if not features.group(name)} == {"level", "ahead"}
    assert {features.group(name) for name in names} - {""} == set(features.GROUPS)
    assert all(name in names for kind, group in features.GROUPS.items() if kind != "drivers" for name in group if "season" not in name)
