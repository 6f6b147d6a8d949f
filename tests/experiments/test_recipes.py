"""A recipe is read from YAML; whatever is wrong with it is said in one line."""

from pathlib import Path

import pytest

from experiments import recipes
from forecasting.errors import InputError
from forecasting.models.boosting import Boosting
from forecasting.models.prophet_model import ProphetModel
from forecasting.recipe import MODELS


def load(folder: Path, text: str) -> recipes.Recipe:
    path = folder / "recipe.yaml"
    path.write_text(text, "utf-8")
    return recipes.load(path)


def test_the_default_recipe_names_every_model_and_only_settings_that_exist() -> None:
    default = recipes.load()
    assert {m.name for m in default.members} == set(MODELS)
    assert all(value == value for value in default.settings().values())


def test_settings_reach_the_model_and_others_keep_their_default(tmp_path: Path) -> None:
    made = load(tmp_path, "members: {four_week_mean: , boosting: {trees: 50, rate: 1}}\nwindows: 4\nshrink: 2")
    boosting = made.members[1]
    assert isinstance(boosting, Boosting)
    assert (boosting.trees, boosting.rate, boosting.leaves) == (50, 1.0, Boosting.leaves)
    assert isinstance(boosting.rate, float)
    assert (made.windows, made.shrink) == (4, 2.0)


def test_settings_of_a_run_are_flat_and_complete(tmp_path: Path) -> None:
    flat = load(tmp_path, "members: {four_week_mean: , prophet: {changepoint_prior: 7}}").settings()
    assert flat["prophet.changepoint_prior"] == 7.0
    assert flat["prophet.years"] == ProphetModel.years
    assert flat["members"] == "four_week_mean,prophet"


BOTH = "members: {four_week_mean: , %s}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no recipe"),
        ("just words", "is no recipe"),
        ("- a\n- b", "is no recipe"),
        ("members: [a", "is no YAML"),
        ("a: b: c", "is no YAML"),
        ("members: !!python/object:os.system {}", "is no YAML"),
        ("members: {four_week_mean: }\nwindow: 3", "unknown key 'window'"),
        ("members: {four_week_mean: }\nwindow: 3\n1: 2", "unknown key"),
        ("windows: 3", "no members"),
        ("members:", "no members"),
        ("members: [four_week_mean]", "no members"),
        ("members: four_week_mean", "no members"),
        ("members: {}", "no members"),
        ("members: {oracle: }", "unknown model 'oracle'"),
        ("members: {7: }", "unknown model '7'"),
        ("members: {boosting: }", "no baseline among the members"),
        ("members: {four_week_mean: {weeks: 3}}", "'four_week_mean' has no setting 'weeks'"),
        (BOTH % "boosting: {tres: 3}", "'boosting' has no setting 'tres'"),
        (BOTH % "boosting: {without: calendar}", "'calendar' does not fit"),
        (BOTH % "boosting: {without: [weather]}", "give a list of some of recent, year"),
        (BOTH % "boosting: [1]", "settings of 'boosting' are no mapping"),
        (BOTH % "boosting: []", "settings of 'boosting' are no mapping"),
        (BOTH % "boosting: 0", "settings of 'boosting' are no mapping"),
        (BOTH % "boosting: {trees: many}", "boosting.trees: 'many' does not fit"),
        (BOTH % "boosting: {trees: 3.5}", "boosting.trees: '3.5' does not fit"),
        (BOTH % "boosting: {trees: true}", "boosting.trees: 'True' does not fit"),
        (BOTH % "boosting: {trees: }", "boosting.trees: 'None' does not fit"),
        (BOTH % "boosting: {trees: .inf}", "boosting.trees: 'inf' does not fit"),
        (BOTH % "boosting: {rate: .nan}", "boosting.rate: 'nan' does not fit"),
        (BOTH % "boosting: {rate: .inf}", "boosting.rate: 'inf' does not fit"),
        (BOTH % "boosting: {rate: -0.1}", "boosting.rate: '-0.1' does not fit"),
        (BOTH % "boosting: {rate: 0}", "boosting.rate: '0' does not fit"),
        (BOTH % "boosting: {trees: 0}", "boosting.trees: '0' does not fit"),
        (BOTH % "boosting: {leaves: 1}", "boosting.leaves: '1' does not fit"),
        (BOTH % "boosting: {leaves: 1000000}", "boosting.leaves: '1000000' does not fit"),
        (BOTH % "boosting: {columns: 0}", "boosting.columns: '0' does not fit"),
        (BOTH % "boosting: {columns: 1.5}", "boosting.columns: '1.5' does not fit"),
        (BOTH % "boosting: {threads: 0}", "boosting.threads: '0' does not fit"),
        (BOTH % "prophet: {changepoint_prior: 0}", "prophet.changepoint_prior: '0' does not fit"),
        (BOTH % "prophet: {years: 0}", "prophet.years: '0' does not fit"),
        ("members: {four_week_mean: }\nwindows: 0", "windows is 0"),
        ("members: {four_week_mean: }\nwindows: 27", "windows is 27"),
        ("members: {four_week_mean: }\nwindows: 2.5", "windows: '2.5' does not fit"),
        ("members: {four_week_mean: }\nshrink: -1", "shrink: '-1' does not fit"),
        ("members: {four_week_mean: }\nshrink: .nan", "shrink: 'nan' does not fit"),
        ("members: {four_week_mean: }\nshrink: much", "shrink: 'much' does not fit"),
        ("members: {four_week_mean: , four_week_mean: }", "'four_week_mean' stands there twice"),
    ],
)
def test_a_wrong_recipe_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        load(tmp_path, text)
    assert message in str(error.value)
    assert "recipe.yaml" in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.mend


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        recipes.load(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        recipes.load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("members: é".encode("latin-1"))
    with pytest.raises(InputError, match="is no YAML"):
        recipes.load(tmp_path / "latin.yaml")
