"""A grid of settings becomes recipes; whatever is wrong with it is said in one line."""

from pathlib import Path

import pytest
import tables

from experiments import recipes, sweep, trials
from forecasting.errors import InputError
from forecasting.models.boosting import Boosting
from forecasting.recipe import Recipe, from_mapping

EXAMPLES = Path(recipes.__file__).parent / "configs" / "examples"


@pytest.fixture
def base(tmp_path: Path) -> Recipe:
    (tmp_path / "quick.yaml").write_text(tables.QUICK)
    return recipes.load(tmp_path / "quick.yaml")


def load(folder: Path, text: str, base: Recipe) -> list[trials.Trial]:
    (folder / "grid.yaml").write_text(text)
    return sweep.load(folder / "grid.yaml", base, "quick")


def test_every_combination_is_tried_and_the_base_first(tmp_path: Path, base: Recipe) -> None:
    made = load(tmp_path, "sweep: {shrink: [0.1, 1], boosting.trees: [5, 20, 30]}", base)
    assert [(t.name, t.label) for t in made] == [
        ("base", "quick"),
        ("01", "shrink=0.1 boosting.trees=5"),
        ("02", "shrink=0.1 boosting.trees=20"),
        ("03", "shrink=0.1 boosting.trees=30"),
        ("04", "shrink=1 boosting.trees=5"),
        ("05", "shrink=1 boosting.trees=20"),
        ("06", "shrink=1 boosting.trees=30"),
    ]
    assert made[0].recipe is base
    last = made[-1].recipe
    assert last.shrink == 1.0
    assert [m.trees for m in last.members if isinstance(m, Boosting)] == [30]
    assert [m.rows for m in last.members if isinstance(m, Boosting)] == [3000], "what is not swept stays"
    assert base.mapping()["members"]["boosting"]["trees"] == 12, "the base is as it was"


def test_the_base_s_own_values_are_tried_once(tmp_path: Path, base: Recipe) -> None:
    made = load(tmp_path, "sweep: {boosting.trees: [12, 20], windows: [2]}", base)
    assert [t.label for t in made] == ["quick", "boosting.trees=20 windows=2"]


def test_a_value_may_be_a_list(tmp_path: Path, base: Recipe) -> None:
    made = load(tmp_path, "sweep: {boosting.without: [[], [recent], [recent, year]]}", base)
    assert [m.without for t in made for m in t.recipe.members if isinstance(m, Boosting)] == [(), ("recent",), ("recent", "year")]


def test_the_mapping_of_a_recipe_gives_the_recipe() -> None:
    default = recipes.load()
    mapping = default.mapping()
    again = from_mapping(mapping)
    assert again.settings() == default.settings()
    assert again.mapping() == mapping


def test_the_examples_can_be_tried() -> None:
    recipes.load(EXAMPLES / "few_members.yaml")
    assert len(sweep.load(EXAMPLES / "sweep.yaml", recipes.load(), "champion")) == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no grid"),
        ("- a", "is no grid"),
        ("shrink: [1]", "is no grid"),
        ("sweep: {shrink: [1]}\nbase: x", "is no grid"),
        ("sweep: [a", "is no YAML"),
        ("sweep:", "the grid is empty"),
        ("sweep: {}", "the grid is empty"),
        ("sweep: [shrink]", "the grid is empty"),
        ("sweep: {shrink: 3}", "'shrink' has no list of values"),
        ("sweep: {shrink: []}", "'shrink' has no list of values"),
        ("sweep: {shrink: [1, 2, 1]}", "'shrink' has a value twice"),
        ("sweep: {shrink: [1], shrink: [2]}", "'shrink' stands there twice"),
        ("sweep: {shrnk: [1]}", "unknown parameter 'shrnk'; the base recipe has windows, shrink, boosting.rows"),
        ("sweep: {boosting.tres: [1]}", "unknown parameter 'boosting.tres'"),
        ("sweep: {prophet.years: [1]}", "unknown parameter 'prophet.years'"),
        ("sweep: {members: [1]}", "unknown parameter 'members'"),
        ("sweep: {boosting: [1]}", "unknown parameter 'boosting'"),
        ("sweep: {7: [1]}", "unknown parameter '7'"),
        ("sweep: {boosting.trees: [20, many]}", "boosting.trees: 'many' does not fit"),
        ("sweep: {windows: [3, 99]}", "windows is 99"),
        ("sweep: {shrink: [0, 1, 2, 3, 4], windows: [1, 2, 3, 4, 5], boosting.trees: [7, 8, 9]}", "75 combinations; at most 64"),
        ("sweep: {boosting.trees: [12], windows: [2]}", "the base's own values alone"),
    ],
)
def test_a_wrong_grid_is_one_clear_line(tmp_path: Path, base: Recipe, text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        load(tmp_path, text, base)
    assert message in str(error.value)
    assert "grid.yaml" in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.mend


def test_a_grid_that_cannot_be_read_is_an_error(tmp_path: Path, base: Recipe) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read"):
        sweep.load(tmp_path / "none.yaml", base, "quick")
