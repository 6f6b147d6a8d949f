"""Sums over both trees agree with a plain group-by, and reconciled forecasts with the textbook."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import InputError
from forecasting.hierarchy import ALL, Hierarchy, Tree, build


@st.composite
def trees(draw: st.DrawFn, letter: str) -> tuple[Tree, list[str]]:
    """A random tree and its leaves. A parent is always drawn from the codes before, so there is no ring."""
    n = draw(st.integers(1, 7))
    parents: dict[str, str] = {}
    for i in range(n):
        above = draw(st.integers(-1, i - 1))
        parents[f"{letter}{i}"] = ALL if above < 0 else f"{letter}{above}"
    leaves = sorted(set(parents) - set(parents.values()))
    return Tree(parents), leaves


@st.composite
def cities(draw: st.DrawFn) -> tuple[Tree, Tree, pd.DataFrame]:
    (areas, places), (categories, kinds) = draw(trees("a")), draw(trees("c"))
    pairs = [(a, c) for a in places for c in kinds]
    chosen = draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True))
    return areas, categories, pd.DataFrame(sorted(chosen), columns=["area", "category"])


def matrix(hierarchy: Hierarchy) -> np.ndarray:
    """The textbook's S [M, N]."""
    return np.vstack([np.eye(hierarchy.n_series), hierarchy.sums.toarray()])


@settings(max_examples=60, deadline=None)
@given(city=cities(), seed=st.integers(0, 99))
def test_sums_agree_with_a_plain_group_by(city: tuple[Tree, Tree, pd.DataFrame], seed: int) -> None:
    areas, categories, series = city
    hierarchy = build(series, areas, categories)
    values = np.random.default_rng(seed).integers(0, 50, (len(series), 3)).astype(float)
    got = hierarchy.nodes.join(pd.DataFrame(hierarchy.total(values))).set_index(["area", "category"])[[0, 1, 2]]
    long = pd.DataFrame(
        [(a, c, *values[i]) for i, pair in series.iterrows() for a in areas.path(pair["area"]) for c in categories.path(pair["category"])],
        columns=["area", "category", 0, 1, 2],
    )
    want = long.groupby(["area", "category"])[[0, 1, 2]].sum()
    pd.testing.assert_frame_equal(got.sort_index(), want.sort_index(), check_index_type=False)
    assert got.index.is_unique


@settings(max_examples=30, deadline=None)
@given(city=cities())
def test_the_series_come_first_in_their_order_and_every_node_has_its_level(city: tuple[Tree, Tree, pd.DataFrame]) -> None:
    areas, categories, series = city
    nodes = build(series, areas, categories).nodes
    pd.testing.assert_frame_equal(nodes.loc[: len(series) - 1, ["area", "category"]], series, check_dtype=False)
    for i, node in enumerate(nodes.itertuples()):
        if i < len(series):
            assert node.level == "series"
        else:
            sums = (node.area == ALL, node.category == ALL)
            assert node.level == {(True, True): "city", (True, False): "category", (False, True): "district", (False, False): "branch"}[sums]


def test_a_code_that_the_tree_does_not_know_hangs_from_the_root() -> None:
    hierarchy = build(pd.DataFrame({"area": ["new"], "category": ["kind"]}), Tree(), Tree.flat(["other", ALL]))
    assert {*hierarchy.nodes[["area", "category"]].itertuples(index=False, name=None)} == {("new", "kind"), ("new", ALL), (ALL, "kind"), (ALL, ALL)}


def test_arrays_of_any_shape_are_summed_along_their_first_axis() -> None:
    hierarchy = build(pd.DataFrame({"area": ["a", "b"], "category": ["x", "x"]}), Tree(), Tree())
    values = np.arange(12.0).reshape(2, 3, 2)
    total = hierarchy.total(values)
    city = hierarchy.nodes.index[hierarchy.nodes["level"] == "city"][0]
    np.testing.assert_array_equal(total[city], values.sum(axis=0))
    assert hierarchy.total(np.array([1.0, 2.0])).tolist()[city] == 3


def test_a_sum_is_missing_where_a_series_below_it_is() -> None:
    hierarchy = build(pd.DataFrame({"area": ["a", "b"], "category": ["x", "x"]}), Tree(), Tree())
    total = pd.DataFrame(hierarchy.total(np.array([[1.0, np.nan], [2.0, 3.0]]))).set_index(pd.MultiIndex.from_frame(hierarchy.nodes.iloc[:, :2]))
    assert total.loc[(ALL, ALL)].tolist()[0] == 3
    assert np.isnan(total.loc[(ALL, ALL), 1])
    assert np.isnan(total.loc[("a", ALL), 1])
    assert total.loc[("b", ALL), 1] == 3


def test_a_ring_is_an_error_that_names_a_code_in_it() -> None:
    ring = Tree({"a": "b", "b": "c", "c": "a"})
    with pytest.raises(InputError, match="ring at 'a'"):
        ring.path("a")
    with pytest.raises(InputError, match="ring at 'a'"):
        build(pd.DataFrame({"area": ["a"], "category": ["x"]}), ring, Tree())
    with pytest.raises(InputError, match="ring at 'a'"):
        Tree({"a": "a"}).path("a")


def test_a_node_that_is_counted_itself_cannot_be_above_another() -> None:
    series = pd.DataFrame({"area": ["a", "a"], "category": ["kind", "kind->leaf"]})
    with pytest.raises(InputError, match="'a × kind' is counted itself and is above 'a × kind->leaf'"):
        build(series, Tree(), Tree({"kind->leaf": "kind"}))


def test_an_inner_code_may_be_counted_where_nothing_is_counted_below_it() -> None:
    series = pd.DataFrame({"area": ["a", "b"], "category": ["kind", "kind->leaf"]})
    hierarchy = build(series, Tree(), Tree({"kind->leaf": "kind"}))
    total = hierarchy.nodes.assign(value=hierarchy.total(np.array([1.0, 2.0]))).set_index(["area", "category"])["value"]
    assert total[(ALL, "kind")] == 3


@settings(max_examples=60, deadline=None)
@given(city=cities(), seed=st.integers(0, 999))
def test_reconciled_forecasts_are_those_of_the_textbook(city: tuple[Tree, Tree, pd.DataFrame], seed: int) -> None:
    hierarchy = build(city[2], city[0], city[1])
    rng = np.random.default_rng(seed)
    s = matrix(hierarchy)
    variances = rng.uniform(0.1, 10, len(s))
    means = hierarchy.total(rng.uniform(50, 100, (hierarchy.n_series, 2))) + rng.normal(0, 1, (len(s), 2))  # so large that nothing is clipped
    weight = np.diag(1 / variances)
    want = s @ np.linalg.solve(s.T @ weight @ s, s.T @ weight @ means)
    np.testing.assert_allclose(hierarchy.reconcile(means, variances), want, rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(city=cities(), seed=st.integers(0, 999))
def test_reconciled_forecasts_add_up_and_are_never_negative(city: tuple[Tree, Tree, pd.DataFrame], seed: int) -> None:
    hierarchy = build(city[2], city[0], city[1])
    rng = np.random.default_rng(seed)
    means = rng.uniform(0, 5, (len(hierarchy.nodes), 4)) * rng.choice([0, 1, 1000], (len(hierarchy.nodes), 1))
    got = hierarchy.reconcile(means, rng.uniform(0.01, 1000, len(means)))
    assert (got >= 0).all()
    np.testing.assert_allclose(got, matrix(hierarchy) @ got[: hierarchy.n_series], atol=1e-6, rtol=0)


@settings(max_examples=40, deadline=None)
@given(city=cities(), seed=st.integers(0, 999))
def test_forecasts_that_add_up_stay_as_they_are(city: tuple[Tree, Tree, pd.DataFrame], seed: int) -> None:
    hierarchy = build(city[2], city[0], city[1])
    rng = np.random.default_rng(seed)
    means = hierarchy.total(rng.gamma(0.3, 30, (hierarchy.n_series, 3)))
    np.testing.assert_allclose(hierarchy.reconcile(means, rng.uniform(0.1, 10, len(means))), means, atol=1e-8)


def test_what_is_less_certain_moves_more() -> None:
    hierarchy = build(pd.DataFrame({"area": ["a", "b"], "category": ["x", "x"]}), Tree(), Tree())
    means = hierarchy.total(np.array([[50.0], [50.0]]))
    variances = np.ones(len(means))
    variances[0], variances[1] = 1.0, 4.0
    upper = hierarchy.nodes["level"].isin(["city", "category"]).to_numpy()
    means[upper] += 10
    moved = hierarchy.reconcile(means, variances)[:2, 0] - 50
    assert 0 < moved[0] < moved[1]
    sure = np.where(upper, 1e-6, variances)
    np.testing.assert_allclose(hierarchy.reconcile(means, sure)[upper, 0], 110, atol=1e-3)


def test_a_city_of_one_node_is_its_own_sum() -> None:
    hierarchy = build(pd.DataFrame({"area": [ALL], "category": [ALL]}), Tree(), Tree())
    assert hierarchy.reconcile(np.array([[3.0, -1.0]]), np.ones(1)).tolist() == [[3.0, 0.0]]


@pytest.mark.parametrize("sure", [[0], [0, 1], [2, 3], range(9)])
def test_nodes_that_were_never_wrong_are_trusted(sure: list[int]) -> None:
    series = pd.DataFrame({"area": ["a", "a", "b", "b"], "category": ["x", "y", "x", "y"]})
    hierarchy = build(series, Tree(), Tree())
    means = hierarchy.total(np.array([[10.0], [20.0], [30.0], [40.0]]))
    means[-1] += 12
    variances = np.ones(len(means))
    variances[list(sure)] = 0
    got = hierarchy.reconcile(means, variances)
    np.testing.assert_allclose(got, matrix(hierarchy) @ got[:4], atol=1e-6)
    if len(sure) < 9:
        np.testing.assert_allclose(got[list(sure)], means[list(sure)], atol=1e-3)
    assert 100 < got[-1, 0] < 112
