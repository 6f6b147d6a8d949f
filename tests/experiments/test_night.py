"""One training: members, champion, scores, fingerprint, and models that can be kept."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tables
import yaml
from pandas.testing import assert_frame_equal

from experiments import night
from experiments.night import Night
from forecasting import explanation, outlook, panel, recipe, training
from forecasting.detection import issued
from forecasting.drivers import from_frame
from forecasting.errors import InputError
from forecasting.forecast_set import ForecastSet
from forecasting.hierarchy import ALL, Tree
from forecasting.models.base import Known
from forecasting.recipe import Recipe

HORIZON = 7


@pytest.fixture(scope="module")
def quick() -> Recipe:
    return recipe.from_mapping(yaml.safe_load(tables.QUICK))


def known(days: int = 170, silent: int | None = None) -> Known:
    counts = tables.counts(tables.tickets(days))
    if silent is not None:
        counts = counts[counts["date"] != tables.START + pd.Timedelta(days=silent)]
    weather = pd.DataFrame({"name": "t", "date": pd.date_range(tables.START, periods=days), "value": np.sin(np.arange(days))})
    categories = Tree({"HEAT": "PUBLIC", "NOISE": "ORDER", "PUBLIC": ALL, "ORDER": ALL})
    return Known(panel.from_counts(counts), Tree(), categories, from_frame(weather), "none")


@pytest.fixture(scope="module")
def result(quick: Recipe) -> Night:
    return night.train(known(), quick, HORIZON)


def test_the_forecast_set_holds_every_node_and_day(result: Night) -> None:
    frame = result.forecast_set.frame
    nodes = result.champion.backtested.known.hierarchy.nodes
    assert len(frame) == len(nodes) * HORIZON
    assert {(ALL, "PUBLIC"), ("d1", "ORDER"), (ALL, ALL)} <= set(frame[["area", "category"]].itertuples(index=False, name=None))
    assert np.isfinite(frame[["mean", "dispersion"]].to_numpy()).all()


def test_weeks_and_what_is_usual_are_of_the_same_nodes(result: Night) -> None:
    nodes = result.champion.backtested.known.hierarchy.nodes[["area", "category"]]
    assert_frame_equal(result.outlook, outlook.make(result.champion))
    assert_frame_equal(result.standing[["area", "category"]], nodes)
    assert np.isfinite(result.standing[list(issued.STANDING[2:])]).all(axis=None)
    assert result.standing["level"].between(0.5, 2).all(), "drawn from rates that do not move"


def test_every_forecast_of_a_night_is_explained(result: Night) -> None:
    read = ForecastSet.from_parquet(result.forecast_set.to_parquet()).frame
    told = explanation.with_parts(read)[list(explanation.NAMES)]
    np.testing.assert_allclose(told.sum(axis=1), read["mean"])
    assert (told["level"] > 0).all()
    assert (told["weekday"].abs() > 0).any()


def test_scores_cover_the_champion_and_every_member_at_every_level(result: Night) -> None:
    members = {m.name for m in result.recipe.members}
    got = set(result.scores[["model", "level"]].itertuples(index=False, name=None))
    assert {(m, level) for m in ("champion", *members) for level in ("city", "district", "series")} <= got
    assert set(result.series_scores["model"]) == {"champion", "seasonal_naive", "four_week_mean"}
    assert len(result.series_scores) == 3 * 4
    city = result.scores[result.scores["level"] == "city"].set_index("model")
    assert (city["rows"] == HORIZON * 2).all()


def test_the_champion_s_scores_are_of_the_windows_before_the_cutoff(result: Night) -> None:
    """Recomputed by hand: WAPE of a baseline at the city over both windows."""
    counts = result.champion.backtested.known.counts
    city = counts[result.champion.backtested.known.hierarchy.nodes["level"] == "city"][0]
    errors = actual = 0.0
    for origin in (len(city) - 1 - 2 * HORIZON, len(city) - 1 - HORIZON):
        for h in range(1, HORIZON + 1):
            errors += abs(city[origin + h] - city[origin + h - 7])
            actual += city[origin + h]
    got = result.scores.set_index(["model", "level"]).loc[("seasonal_naive", "city"), "WAPE"]
    assert got == pytest.approx(errors / actual, rel=0.02)  # reconciliation may move it by a hair


def test_the_champion_is_scored_in_each_window_with_weights_learnt_from_the_others(result: Night) -> None:
    members = result.champion.backtested
    city = members.known.hierarchy.nodes.index[members.known.hierarchy.nodes["level"] == "city"][0]
    errors = 0.0
    for w in range(len(members.origins)):
        others = training.assemble(members, None, result.recipe.shrink, leave_out=w)
        errors += np.abs(others.in_windows[city, w] - members.counts[city, w]).sum()
    got = result.scores.set_index(["model", "level"]).loc[("champion", "city"), "WAPE"]
    assert got == pytest.approx(errors / members.counts[city].sum())


def test_weeks_ahead_are_scored_on_the_forecasts_that_are_kept(result: Night) -> None:
    """Recomputed from the table of forecasts, which the scores do not come from."""
    rows = result.backtest
    members = result.champion.backtested
    assert rows["cutoff"].nunique() == len(members.origins)
    assert ((rows["date"] - rows["cutoff"]).dt.days == rows["horizon"]).all()
    scores = result.week_scores[result.week_scores["model"] == "champion"].set_index(["level", "week"])
    week = (rows["horizon"] - 1) // 7 + 1
    assert sorted(scores.index) == sorted(pd.MultiIndex.from_arrays([rows["level"].astype(str), week]).unique())
    for place, part in rows.groupby([rows["level"].astype(str), week]):
        wape = (part["mean"] - part["count"]).abs().sum() / part["count"].sum()
        assert scores.loc[place, "WAPE"] == pytest.approx(wape, rel=1e-5)
    panel = members.known.panel
    one = rows[(rows["level"] == "city") & (rows["horizon"] == 3)].iloc[0]
    assert one["count"] == panel.counts[:, panel.days.get_loc(one["date"])].sum()


def test_a_member_that_knows_what_the_others_miss_is_worth_more_than_one_that_adds_nothing() -> None:
    """A wave of thirty days that no weekday mean follows, and a regression that is told it."""
    days = pd.date_range(tables.START, periods=200)
    wave = np.sin(2 * np.pi * np.arange(200) / 30)
    rng = np.random.default_rng(4)
    counts = pd.concat(
        [pd.DataFrame({"district": d, "category": "x", "date": days, "count": rng.poisson(60 * np.exp(0.6 * wave))}) for d in ("a", "b", "c")]
    )
    ahead = pd.DataFrame({"name": "t", "date": days, "value": wave, "issued_at": days - pd.Timedelta(days=7)})
    weather = pd.concat([pd.DataFrame({"name": "t", "date": days, "value": wave, "issued_at": pd.NaT}), ahead])
    known = Known(panel.from_counts(counts), Tree(), Tree(), from_frame(weather), "none")
    made = night.train(known, recipe.from_mapping({"windows": 2, "members": {"usual_weeks": None, "loglinear": None}}), HORIZON)
    worth = made.worth.set_index(["member", "level"])["WRMSSE"]
    assert set(made.worth["member"]) == {"usual_weeks", "loglinear"}
    assert worth["loglinear", "city"] > 0.3
    assert worth["usual_weeks", "city"] < 0.1


def test_a_single_member_has_nobody_to_be_compared_with(result: Night) -> None:
    assert result.worth.empty


def test_the_same_inputs_give_the_same_set_and_the_same_fingerprint(result: Night, quick: Recipe) -> None:
    again = night.train(known(), quick, HORIZON)
    assert again.forecast_set.to_parquet() == result.forecast_set.to_parquet()
    assert again.fingerprint == result.fingerprint


def test_the_fingerprint_tells_counts_drivers_and_country_apart() -> None:
    base = known()
    assert base.drivers is not None
    other_counts = replace(base, panel=replace(base.panel, counts=base.panel.counts + 1))
    other_drivers = replace(base, drivers=replace(base.drivers, observed=base.drivers.observed + 1))
    others = [other_counts, other_drivers, replace(base, country="US"), replace(base, drivers=None), base.at(base.panel.days[-2])]
    assert len({night.fingerprint(k) for k in [base, *others]}) == len(others) + 1
    assert night.fingerprint(known()) == night.fingerprint(base)


def test_models_are_kept_as_text_and_tables_with_their_sums(result: Night, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    night.save_models(result, folder)
    sums = json.loads((folder / "sha256.json").read_text())
    written = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {"sha256.json"}
    assert set(sums) == written
    assert {"blend.parquet", "boosting/booster.txt"} <= written
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())
    assert {Path(name).suffix for name in written} <= {".parquet", ".txt", ".json", ".jsonl"}
    blend = pd.read_parquet(folder / "blend.parquet")
    np.testing.assert_allclose(blend[[m.name for m in result.recipe.members if m.name in blend]].sum(axis=1), 1)


def test_a_saved_model_forecasts_as_before(result: Night, tmp_path: Path) -> None:
    night.save_models(result, tmp_path / "model")
    loaded = night.load_models(tmp_path / "model")
    trained = result.champion.backtested
    assert set(loaded) == {model.name for model, fitted in zip(trained.models, trained.fitted, strict=True) if fitted is not None}
    for model, fitted in zip(trained.models, trained.fitted, strict=True):
        if fitted is not None:
            np.testing.assert_allclose(loaded[model.name].forecast(trained.known, HORIZON), fitted.forecast(trained.known, HORIZON), rtol=1e-12)


def test_a_changed_model_file_is_refused(result: Night, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    night.save_models(result, folder)
    (folder / "boosting" / "booster.txt").write_text("another one")
    with pytest.raises(InputError, match=r"booster\.txt' is not the file that was written"):
        night.load_models(folder)
    with pytest.raises(InputError, match="cannot be read"):
        night.load_models(tmp_path / "nowhere")


@pytest.mark.parametrize("days", [1, 8, 20, 60])
def test_a_short_history_gives_forecasts_all_the_same(quick: Recipe, days: int) -> None:
    result = night.train(known(days), quick, HORIZON)
    assert np.isfinite(result.forecast_set.frame["mean"]).all()
    assert {"model", "level", "WAPE"} <= set(result.scores.columns)
    assert result.scores.empty == (days <= 20)


def test_a_silent_day_in_a_window_is_left_out_of_the_scores(quick: Recipe) -> None:
    counts = tables.counts(tables.tickets(170)).assign(count=lambda f: f["count"] * 9)
    hole = tables.START + pd.Timedelta(days=165)
    made = Known(panel.from_counts(counts[counts["date"] != hole]), Tree(), Tree(), None, "none")
    assert np.isnan(made.panel.counts[:, 165]).all()
    scores = night.train(made, quick, HORIZON).scores
    assert (scores.loc[scores["level"] == "city", "rows"] == HORIZON * 2 - 1).all()


def test_steps_and_seconds_are_told(quick: Recipe) -> None:
    said: list[str] = []
    result = night.train(known(60), quick, HORIZON, progress=said.append)
    assert said == ["fitting members", "weighing and calibrating", "looking ahead and scoring"]
    assert set(result.seconds) == {"fit", "assemble", "total"}
    assert result.seconds["total"] >= result.seconds["fit"] >= 0
    assert result.peak_mb > 10
