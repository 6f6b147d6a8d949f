"""The gate lets in what is right and as good as what serves, and says of the rest what is wrong and by how much."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tables
import yaml
from shuffled import Shuffled

from experiments import gate, gate_note, night
from experiments.gate import Check
from experiments.night import Night
from forecasting import panel, recipe
from forecasting.forecast_set import ForecastSet
from forecasting.hierarchy import ALL, Tree
from forecasting.models.base import Known
from forecasting.models.baselines import FourWeekMean, SeasonalNaive
from forecasting.recipe import Recipe

HORIZON = 7
BUDGET = 1.5
POOR = recipe.from_mapping({"windows": 6, "members": {"seasonal_naive": None}})


@pytest.fixture(scope="module")
def known() -> Known:
    counts = tables.counts(tables.tickets(200))
    return Known(panel.from_counts(counts), Tree(), Tree({"HEAT": "PUBLIC", "NOISE": "PUBLIC", "PUBLIC": ALL}), None, "none")


@pytest.fixture(scope="module")
def good(known: Known) -> Night:
    quick = yaml.safe_load(tables.QUICK) | {"windows": 6}
    return night.train(known, recipe.from_mapping(quick), HORIZON)


@pytest.fixture(scope="module")
def poor(known: Known) -> Night:
    """Of a recipe that repeats the last week."""
    return night.train(known, POOR, HORIZON)


def failed(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks if not check.passed}


def with_frame(made: Night, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Night:
    return replace(made, forecast_set=ForecastSet(change(made.forecast_set.frame.copy()), made.forecast_set.meta))


def test_a_night_as_good_as_what_serves_passes_every_check(good: Night) -> None:
    checks = gate.judge(good, good, BUDGET)
    assert {check.name for check in checks} == set(gate_note.NAMES), "each is there, and each has its words"
    assert failed(checks) == {}
    assert gate.passed(checks)
    by_name = {check.name: check for check in checks}
    assert by_name["WRMSSE champion"].measured == 0
    assert by_name["coherent"].measured < 1e-9


def test_a_recipe_that_is_worse_is_refused_beside_the_one_that_serves_and_not_the_other_way_round(good: Night, poor: Night) -> None:
    refused = failed(gate.judge(poor, good, BUDGET))
    assert {"WRMSSE champion", "WQL champion"} <= refused.keys()
    levels = [made.scores[made.scores["model"] == "champion"].set_index("level")["WRMSSE"] for made in (poor, good)]
    assert refused["WRMSSE champion"].measured == pytest.approx(levels[0].mean() / levels[1].mean() - 1), "the plain mean over the levels"
    assert failed(gate.judge(good, poor, BUDGET)) == {}


def test_a_difference_within_the_noise_of_the_windows_is_none(good: Night) -> None:
    """The same forecasts, worse in one window out of six by as much as nobody could call chance in all of them."""

    def worse(times: dict[int, float]) -> Night:
        windows = good.windows.copy()
        mine = windows["model"] == "champion"
        for origin, factor in times.items():
            windows.loc[mine & (windows["origin"] == origin), ["rmsse", "loss"]] *= factor
        return replace(good, windows=windows)

    origins = sorted(set(good.windows["origin"]))
    assert not {"WRMSSE champion", "WQL champion"} & failed(gate.judge(worse({origins[0]: 1.18}), good, BUDGET)).keys()
    everywhere = failed(gate.judge(worse(dict.fromkeys(origins, 1.03)), good, BUDGET))
    assert everywhere["WRMSSE champion"].measured == pytest.approx(0.03)
    assert everywhere["WRMSSE champion"].limit == pytest.approx(gate.TOLERANCE, abs=0.005)


def test_a_recipe_with_one_window_is_not_let_off_by_having_so_few(good: Night, known: Known) -> None:
    short = night.train(known, replace(POOR, windows=1), HORIZON, yardstick=good.yardstick)
    refused = failed(gate.judge(short, good, BUDGET))
    assert {"WRMSSE champion", "WQL champion"} <= refused.keys()
    assert refused["WRMSSE champion"].limit < gate.FEW_TOLERANCE, "what serves has windows enough"


def test_the_same_forecasts_are_as_good_as_themselves_however_many_windows_a_recipe_has(poor: Night, known: Known) -> None:
    fewer = night.train(known, replace(POOR, windows=2), HORIZON, yardstick=poor.yardstick)
    for one, other in ((poor, fewer), (fewer, poor)):
        (check,) = [check for check in gate.judge(one, other, BUDGET) if check.name == "WRMSSE champion"]
        assert check.measured == pytest.approx(0, abs=1e-12)


def test_scores_by_different_yardsticks_are_not_compared(poor: Night, known: Known) -> None:
    fewer = night.train(known, replace(POOR, windows=2), HORIZON)
    with pytest.raises(ValueError, match="different yardsticks"):
        gate.judge(fewer, poor, BUDGET)


def test_a_recipe_without_a_baseline_is_measured_by_that_of_what_serves(good: Night, known: Known) -> None:
    alone = night.train(known, recipe.from_mapping({"windows": 6, "members": {"usual_weeks": None}}), HORIZON)
    assert not any("baselines" in check.name for check in gate.judge(alone, None, BUDGET)), "else nothing is tested"
    assert {"WRMSSE baselines", "WQL baselines"} <= {check.name for check in gate.judge(alone, good, BUDGET)}


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_scores_that_are_no_numbers_are_refused_and_end_no_night(good: Night, share: float) -> None:
    windows = good.windows.copy()
    origins = sorted(set(windows["origin"]))
    lost = (windows["model"] == "champion") & (windows["level"] == "city") & windows["origin"].isin(origins[: int(share * len(origins))])
    windows.loc[lost, ["rmsse", "loss"]] = np.nan
    refused = failed(gate.judge(replace(good, windows=windows), good, BUDGET))
    assert {"WRMSSE champion", "WQL champion", "WRMSSE baselines", "WQL baselines"} <= refused.keys()
    assert refused["WRMSSE baselines"].where == "city"


def test_a_booster_whose_features_are_shuffled_is_refused_without_anything_to_compare_it_with(known: Known) -> None:
    made = night.train(known, Recipe((SeasonalNaive(), FourWeekMean(), Shuffled()), windows=6), HORIZON)
    refused = failed(gate.judge(made, None, BUDGET))
    assert {"WRMSSE baselines", "WQL baselines"} <= refused.keys()
    assert refused["WRMSSE baselines"].measured > 0.2
    assert refused["WRMSSE baselines"].where in ("city", "category", "district", "series")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        pytest.param(lambda f: f.iloc[1:], 1, id="a row is missing"),
        pytest.param(lambda f: pd.concat([f, f.iloc[:2]]), 2, id="two rows are there twice"),
        pytest.param(lambda f: f.assign(mean=f["mean"].where(f.index != 5)), 2, id="a mean is no number: that row is wrong, and its day has none"),
        pytest.param(lambda f: f.assign(dispersion=f["dispersion"].where(f.index != 5, -1.0)), 2, id="a dispersion is negative"),
        pytest.param(lambda f: f.assign(area=f["area"].where(f.index != 5, "nowhere")), 2, id="a node that there is not"),
        pytest.param(lambda f: f.assign(date=f["date"].where(f.index != 5, f["date"] + pd.Timedelta(days=1))), 2, id="a date that is not its day"),
    ],
)
def test_forecasts_that_are_not_complete_are_refused_even_where_nothing_is_served(good: Night, change: Any, wrong: int) -> None:
    checks = gate.judge(with_frame(good, change), None, BUDGET)
    assert failed(checks)["complete"].measured == wrong
    assert not gate.sound(checks)


def test_the_order_of_rows_does_not_matter(good: Night) -> None:
    assert gate.judge(with_frame(good, lambda f: f.sample(frac=1, random_state=1)), None, BUDGET) == gate.judge(good, None, BUDGET)


def test_a_week_of_the_outlook_that_is_no_number_is_found(good: Night) -> None:
    outlook = good.outlook.copy()
    outlook.loc[3, "mean"] = np.inf
    assert failed(gate.judge(replace(good, outlook=outlook), None, BUDGET))["complete"].measured == 1


def test_sums_that_do_not_add_up_are_refused_with_the_gap(good: Night) -> None:
    made = with_frame(good, lambda f: f.assign(mean=f["mean"] + 2e-6 * ((f["area"] == ALL) & (f["category"] == ALL))))
    checks = gate.judge(made, None, BUDGET)
    assert failed(checks)["coherent"].measured == pytest.approx(2e-6)
    assert not gate.sound(checks)


@pytest.mark.parametrize("factor", [3.0, 1 / 3.0])
def test_totals_far_from_the_last_weeks_are_refused(good: Night, factor: float) -> None:
    checks = gate.judge(with_frame(good, lambda f: f.assign(mean=f["mean"] * factor)), None, BUDGET)
    assert list(failed(checks)) == ["totals"]
    assert failed(checks)["totals"].measured == pytest.approx(3, rel=0.2)
    assert gate.sound(checks), "better than none"


@pytest.mark.parametrize(("share", "fails"), [(0.5, True), (0.8, False), (0.9, False)])
def test_intervals_that_are_too_narrow_are_refused(good: Night, share: float, fails: bool) -> None:
    scores = good.scores.assign(cover80=good.scores["cover80"].where(good.scores["level"] != "district", share))
    found = failed(gate.judge(replace(good, scores=scores), None, BUDGET))
    assert ("coverage 80" in found) == fails
    if fails:
        assert (found["coverage 80"].where, found["coverage 80"].measured) == ("district", share)


def test_evidence_that_would_bring_many_times_the_budget_is_refused(good: Night) -> None:
    loud = good.evidence.copy()
    loud[:, ::7] = 30.0  # an event every week at every node
    assert failed(gate.judge(replace(good, evidence=loud), None, BUDGET))["alerts"].measured > gate.MOST_ALERTS
    assert "alerts" not in failed(gate.judge(good, None, BUDGET))


def test_a_history_too_short_for_a_backtest_is_judged_by_what_can_be_seen() -> None:
    counts = tables.counts(tables.tickets(20))
    short = Known(panel.from_counts(counts), Tree(), Tree(), None, "none")
    checks = gate.judge(night.train(short, recipe.from_mapping(yaml.safe_load(tables.QUICK)), HORIZON), None, BUDGET)
    assert {check.name for check in checks} == {"complete", "coherent", "totals"}
    assert gate.passed(checks)


def test_the_note_says_which_check_failed_by_how_much_and_what_is_served(good: Night, poor: Night) -> None:
    told = [check.told() for check in gate.judge(poor, good, BUDGET)]
    day = known_day = poor.champion.backtested.known.cutoff.date()
    note = gate_note.note(day, told, known_day)
    measured = next(check["measured"] for check in told if check["name"] == "WRMSSE champion")
    assert f"WRMSSE above that of the recipe served: {measured:.1%}" in note.reason_en
    assert "goes on serving" in note.reason_en
    assert f"WRMSSE 比现用模型高 {measured:.1%}" in note.reason_zh
    assert (note.kind, note.level, note.area, note.category) == ("DATA", "blue", ALL, ALL)
    older = gate_note.note(day, told, day - pd.Timedelta(days=1).to_pytimedelta())
    assert older.level == "yellow"
    assert "go on being served" in older.reason_en


def test_equal_recipes_have_equal_mappings_from_which_the_same_is_built() -> None:
    content = {"windows": 4, "shrink": 0.2, "members": {"four_week_mean": None, "boosting": {"trees": 7, "without": ["drivers", "year"]}}}
    made = recipe.from_mapping(content)
    again = recipe.from_mapping(made.mapping())
    assert again.mapping() == made.mapping()
    assert again.settings() == made.settings()
    assert recipe.from_mapping(content | {"shrink": 0.3}).mapping() != made.mapping()
