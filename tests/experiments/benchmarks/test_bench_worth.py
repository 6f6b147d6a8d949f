"""What each part is worth: one pass gives what a run for each variant would."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from experiments import recipes
from experiments.benchmarks.accuracy import report, scores, worth
from experiments.benchmarks.accuracy.scores import ALL_LEVELS
from experiments.benchmarks.page import percent
from experiments.benchmarks.panels import HORIZON, REAL, SIMULATED, Panel
from experiments.benchmarks.runs import Record
from forecasting import backtest, features
from forecasting.hierarchy import Tree
from forecasting.models.base import Known, Model
from forecasting.models.baselines import FourWeekMean, UsualWeeks
from forecasting.models.boosting import Boosting
from forecasting.panel import from_counts
from forecasting.recipe import Recipe

BOOSTING = Boosting(rows=5_000, trees=10, threads=1)
RECIPE = Recipe((FourWeekMean(), UsualWeeks(), BOOSTING), windows=2)
KEYS = ["district", "category", "date"]
NUMBERS = ["mean", "dispersion", "q05", "q50", "q95"]


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Panel:
    """Four series of 650 days with a week and a year, and noise."""
    rng = np.random.default_rng(0)
    days = pd.date_range("2023-01-01", periods=650)
    shape = (1 + 0.4 * (days.day_of_week < 5)) * (1 + 0.5 * np.sin(days.day_of_year / 58))
    parts = [
        pd.DataFrame({"district": d, "category": c, "date": days, "count": rng.poisson(m * shape)})
        for d, c, m in (("d1", "a", 6), ("d1", "b", 1), ("d2", "a", 3), ("d2", "b", 0.4))
    ]
    path = tmp_path_factory.mktemp("worth") / "here" / "counts.parquet"
    path.parent.mkdir()
    table = pd.concat(parts)
    table[table["count"] > 0].to_parquet(path, index=False)
    return Panel("here", path, None, None, "US")


@pytest.fixture(scope="module")
def made(panel: Panel) -> dict[str, pd.DataFrame]:
    """The rows of each variant at the last cutoff."""
    table = worth.at_cutoff(panel, RECIPE, panel.cutoffs()[-1]).astype({"district": str, "category": str, "model": str})
    return {str(name): rows.sort_values(KEYS, ignore_index=True) for name, rows in table.groupby("model")}


def run_of_its_own(panel: Panel, recipe: Recipe, model: str = "champion") -> pd.DataFrame:
    known = Known(from_counts(panel.table()), Tree(), Tree(), None, panel.country)
    task = backtest.make_task(panel.cutoffs()[-1:], HORIZON, (model,), worth.SEED, known)
    return backtest.run(known.at, recipe, task).sort_values(KEYS, ignore_index=True)


@pytest.mark.parametrize(
    ("variant", "members"),
    [
        ("champion", RECIPE.members),
        ("without usual_weeks", (FourWeekMean(), BOOSTING)),
        ("without boosting", (FourWeekMean(), UsualWeeks())),
        ("without weekday", (FourWeekMean(), UsualWeeks(), replace(BOOSTING, without=("weekday",)))),
    ],
)
def test_a_variant_is_what_a_backtest_of_its_recipe_gives(
    panel: Panel, made: dict[str, pd.DataFrame], variant: str, members: tuple[Model, ...]
) -> None:
    alone = run_of_its_own(panel, replace(RECIPE, members=members))
    assert made[variant][KEYS].equals(alone[KEYS])
    np.testing.assert_array_equal(made[variant][NUMBERS], alone[NUMBERS])


def test_a_member_is_what_a_backtest_of_it_gives(panel: Panel, made: dict[str, pd.DataFrame]) -> None:
    for model in RECIPE.members:
        np.testing.assert_array_equal(made[model.name][NUMBERS], run_of_its_own(panel, RECIPE, model.name)[NUMBERS])


def test_bottom_up_adds_up_and_what_is_not_reconciled_does_not(made: dict[str, pd.DataFrame]) -> None:
    def city_and_series(name: str) -> tuple[np.ndarray, pd.DataFrame]:
        wide = made[name].pivot_table(index=["district", "category"], columns="date", values="mean")
        series = wide[~wide.index.to_frame().eq("ALL").any(axis=1)]
        return wide.loc[("ALL", "ALL")].to_numpy() - series.to_numpy().sum(axis=0), series

    apart, own = city_and_series("not reconciled")
    together, bottom = city_and_series("bottom-up")
    assert np.abs(together).max() < 1e-9
    assert np.abs(apart).max() > 1e-3
    pd.testing.assert_frame_equal(bottom, own)
    assert np.abs(city_and_series("champion")[1] - own).to_numpy().max() > 1e-4


def test_each_member_of_the_blend_and_each_group_is_left_out_once_and_what_is_compared_with_stays() -> None:
    recipe = recipes.load()
    models, chosen = worth.variants(recipe)
    blended = {model.name for model in recipe.members if not model.reference}
    assert set(chosen) == {"champion", *(f"without {name}" for name in [*blended, *features.GROUPS])}
    assert len(models) == len(recipe.members) + len(features.GROUPS)
    for name in blended:
        assert {models[k].name for k in chosen[f"without {name}"]} == {m.name for m in recipe.members} - {name}
    for group in features.GROUPS:
        mine = [models[k] for k in chosen[f"without {group}"]]
        assert [m.name for m in mine] == [m.name for m in recipe.members]
        assert [m.without for m in mine if isinstance(m, Boosting)] == [(group,)]


def test_the_panels_that_are_taken_apart_exist() -> None:
    assert set(worth.PANELS) <= {*REAL, *SIMULATED}


def test_what_was_measured_is_read_from_its_file(panel: Panel) -> None:
    work = panel.counts.parents[1]
    assert worth.collect(panel, 0, work) is None
    sums = worth.measure(panel, replace(RECIPE, members=(FourWeekMean(), UsualWeeks()), windows=1))
    run = worth.run_of(panel, work)
    sums.to_parquet(run.out)
    run.out.with_suffix(".json").write_text(json.dumps(vars(Record("other", 100.0, 1.0, "2026-01-01", 1.0))))
    one = worth.collect(panel, 0, work)
    assert one is not None
    assert one.outdated
    rows = report.worth_table([one]).set_index("champion")
    assert set(rows.index) == {"without usual_weeks", "bottom-up", "not reconciled"}
    table = scores.table(scores.resampled(sums)).set_index(["level", "model"])["WRMSSE"]
    assert rows.loc["bottom-up", "WRMSSE"] == percent(table[ALL_LEVELS, "bottom-up"] / table[ALL_LEVELS, "champion"] - 1)
    members = report.members_table([one]).set_index("alone")
    assert set(members.index) == {"champion", "four_week_mean", "usual_weeks"}
    assert members.loc["usual_weeks", "WRMSSE city"] == table["city", "usual_weeks"]
    assert "here: 100 s in all, measured on 2026-01-01. The code or its inputs changed since." in report.page("today", [], [], [one], "")


def test_a_pass_that_failed_is_named() -> None:
    one = worth.TakenApart("here", Record("f", 1.0, 1.0, "2026-01-01", 1.0, "exit 1: no memory"), False, {})
    assert "It failed (exit 1: no memory)." in report.page("today", [], [], [one], "")
