"""The outlook: thirteen weeks that agree with the days, add up, see a season coming, and say how sure they are."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import small_cities

from forecasting import calibration, distribution, explanation, outlook, panel, training
from forecasting.hierarchy import ALL, Tree
from forecasting.models.base import Known, Model
from forecasting.models.baselines import FourWeekMean, SameWeekday, UsualWeeks
from forecasting.models.loglinear import Loglinear
from forecasting.models.prophet_model import ProphetModel
from forecasting.training import Champion

HORIZON = 28


def champion(
    known: Known, models: tuple[Model, ...] = (FourWeekMean(), UsualWeeks(), ProphetModel(), Loglinear()), horizon: int = HORIZON
) -> Champion:
    return training.assemble(training.backtest_members(known, models, horizon, 1, 0))


def table(frame: pd.DataFrame, column: str = "mean") -> pd.DataFrame:
    """A row per node, a column per week ahead."""
    return frame.pivot_table(index=["area", "category"], columns="week_ahead", values=column)


@pytest.fixture(scope="module")
def known() -> Known:
    counts = small_cities.counts(480, categories=("HEAT", "NOISE", "WATER"), level=9.0)
    tree = Tree({"HEAT": "UTILITY", "WATER": "UTILITY", "UTILITY": ALL, "NOISE": ALL})
    return Known(panel.from_counts(counts), Tree(), tree, None, "none")


@pytest.fixture(scope="module")
def trained(known: Known) -> Champion:
    return champion(known)


@pytest.fixture(scope="module")
def made(trained: Champion) -> pd.DataFrame:
    return outlook.make(trained)


def test_every_node_has_thirteen_weeks_counted_from_the_cutoff(made: pd.DataFrame, known: Known) -> None:
    assert list(made.columns) == [*outlook.COLUMNS, *explanation.COLUMNS]
    assert len(made) == len(known.hierarchy.nodes) * 13
    assert (made["date"] == known.cutoff + pd.to_timedelta(1 + 7 * (made["week_ahead"] - 1), unit="D")).all()
    assert np.isfinite(made[["mean", "dispersion"]]).all(axis=None)
    assert (made[["mean", "dispersion"]] >= 0).all(axis=None)


def test_the_first_four_weeks_are_the_sums_of_their_days(made: pd.DataFrame, trained: Champion) -> None:
    daily = trained.forecast().frame
    weekly = daily.assign(week_ahead=(daily["horizon"] - 1) // 7 + 1)
    sums = weekly.pivot_table(index=["area", "category"], columns="week_ahead", values="mean", aggfunc="sum")
    pd.testing.assert_frame_equal(table(made)[[1, 2, 3, 4]], sums, rtol=1e-12)


@pytest.mark.parametrize(("horizon", "near"), [(3, 0), (10, 1), (28, 4), (120, 13)])
def test_as_many_weeks_are_sums_as_the_daily_forecast_covers(known: Known, horizon: int, near: int) -> None:
    models = (UsualWeeks(),)
    trained = champion(known, models, horizon)
    weeks = table(outlook.make(trained)).loc[(ALL, ALL)].to_numpy()
    assert len(weeks) == 13
    days = trained.means[known.hierarchy.nodes["level"].eq("city").to_numpy()][0]
    np.testing.assert_allclose(weeks[:near], [days[7 * k : 7 * k + 7].sum() for k in range(near)])


def test_weeks_add_up_over_both_trees(made: pd.DataFrame) -> None:
    weeks = table(made)
    districts, leaves = ["d1", "d2"], ["HEAT", "NOISE", "WATER"]
    for category in [*leaves, "UTILITY", ALL]:
        np.testing.assert_allclose(sum(weeks.loc[(d, category)] for d in districts), weeks.loc[(ALL, category)], atol=1e-6)
    for area in [*districts, ALL]:
        np.testing.assert_allclose(sum(weeks.loc[(area, c)] for c in leaves), weeks.loc[(area, ALL)], atol=1e-6)
        np.testing.assert_allclose(weeks.loc[(area, "HEAT")] + weeks.loc[(area, "WATER")], weeks.loc[(area, "UTILITY")], atol=1e-6)


def test_the_same_champion_gives_the_same_outlook(made: pd.DataFrame, trained: Champion) -> None:
    pd.testing.assert_frame_equal(outlook.make(trained), made)


def test_later_weeks_name_the_members_that_see_so_far(made: pd.DataFrame) -> None:
    far = set(made.loc[made["week_ahead"] > 4, "model"])
    assert all(text.startswith("blend(") or text in ("loglinear", "prophet", "usual_weeks") for text in far)
    assert any("loglinear" in text for text in far)


def test_the_days_after_the_daily_ones_are_near_the_outlook_s_weeks_and_add_up(trained: Champion, made: pd.DataFrame, known: Known) -> None:
    days = outlook.later(trained)
    assert days.shape == (len(known.hierarchy.nodes), 91 - HORIZON)
    np.testing.assert_allclose(days, known.hierarchy.total(days[: known.hierarchy.n_series]), atol=1e-6)
    want = made[made["week_ahead"] > HORIZON // 7]["mean"].to_numpy().reshape(len(days), -1)
    city = (known.hierarchy.nodes["level"] == "city").to_numpy()
    np.testing.assert_allclose(outlook.weeks(days)[city], want[city], rtol=0.1)
    assert (days >= 0).all()


def test_a_week_is_explained_as_its_days_are(made: pd.DataFrame, trained: Champion) -> None:
    told = explanation.with_parts(made)
    np.testing.assert_allclose(told[list(explanation.NAMES)].sum(axis=1), made["mean"], rtol=1e-6, atol=1e-9)
    days = explanation.with_parts(trained.forecast(explained=True).frame)
    weekly = days.assign(week_ahead=(days["horizon"] - 1) // 7 + 1).groupby(["area", "category", "week_ahead"])[list(explanation.NAMES)].sum()
    near = told[told["week_ahead"] <= 4].set_index(["area", "category", "week_ahead"])[list(explanation.NAMES)]
    np.testing.assert_allclose(near.sort_index(), weekly.sort_index(), rtol=0.01, atol=0.02)


def test_a_season_is_seen_ten_weeks_ahead() -> None:
    """Summer brings four times the tickets of winter: in early spring the last four weeks say nothing of May."""
    days = pd.date_range("2021-03-10", "2024-03-10")
    rate = 12.0 * np.exp(0.7 * np.sin(2 * np.pi * (np.arange(len(days) + 91) / 365.25)))
    rng = np.random.default_rng(3)
    parts = [pd.DataFrame({"district": d, "category": c, "date": days, "count": rng.poisson(rate[: len(days)])}) for d in "ab" for c in "xy"]
    known = small_cities.known(pd.concat(parts, ignore_index=True))
    got = table(outlook.make(champion(known, (UsualWeeks(), Loglinear())))).loc[(ALL, ALL)]
    truth = 4 * rate[len(days) :].reshape(13, 7).sum(axis=1)
    recent = known.recent(28)[known.hierarchy.nodes["level"].eq("city").to_numpy()][0] * 7
    assert truth[9] > 1.6 * recent, "the season is under way by then"
    np.testing.assert_allclose(got, truth, rtol=0.15)


def test_intervals_cover_what_they_say() -> None:
    """Eighty series whose weeks are busier or quieter by a third than the last (gamma), of which the outlook sees a year."""
    rng = np.random.default_rng(5)
    days = pd.date_range(small_cities.START, periods=456)
    parts = []
    for district in range(8):
        for category in range(10):
            week = np.repeat(rng.gamma(10.0, 0.1, 66), 7)[:456]
            parts.append(pd.DataFrame({"district": f"d{district}", "category": f"c{category}", "date": days, "count": rng.poisson(9.0 * week)}))
    counts = pd.concat(parts, ignore_index=True)
    cutoff = small_cities.START + pd.Timedelta(days=364)
    whole = small_cities.known(counts)
    known = whole.at(cutoff)
    frame = outlook.make(champion(known))
    came = outlook.weeks(whole.counts[:, 365 : 365 + 91]).ravel()  # the same nodes in the same order
    mean, dispersion = frame["mean"].to_numpy(), frame["dispersion"].to_numpy()
    low, high = distribution.cdf(mean, dispersion, came - 1), distribution.cdf(mean, dispersion, came)
    pit = low + np.random.default_rng(0).random(len(came)) * (high - low)
    series = np.repeat(known.hierarchy.nodes["level"].eq("series").to_numpy(), 13)  # of sums there are too few to count
    assert 0.75 < ((pit > 0.1) & (pit < 0.9))[series].mean() < 0.85
    assert 0.86 < ((pit > 0.05) & (pit < 0.95))[series].mean() < 0.94


@pytest.mark.parametrize("days", [30, 60, 100])
def test_what_a_short_history_could_not_test_is_wide(days: int) -> None:
    frame = outlook.make(champion(small_cities.known(small_cities.counts(days))))
    assert np.isfinite(frame["mean"]).all()
    assert (frame.loc[frame["week_ahead"] > 4, "dispersion"] >= calibration.DEFAULT).all()
    assert not frame["model"].str.contains("prophet").any(), "it had too little to say anything"


def test_dispersion_never_falls_with_the_week(made: pd.DataFrame) -> None:
    assert (np.diff(table(made, "dispersion").to_numpy(), axis=1) >= 0).all()


def test_a_missing_day_makes_its_week_missing_and_no_less() -> None:
    days = np.arange(15.0)[None, :].copy()
    days[0, 3] = np.nan
    np.testing.assert_array_equal(outlook.weeks(days), [[np.nan, 7.0 * 10]])


LOOKED: list[tuple[pd.Timestamp, int]] = []


@dataclass(frozen=True)
class Watched(Loglinear):
    """A member that notes what it is shown."""

    def fit(self, known: Known, horizon: int, seed: int) -> SameWeekday:  # type: ignore[override]  # it only looks
        LOOKED.append((known.cutoff, known.counts.shape[1]))
        return SameWeekday(2)


def test_a_look_from_an_earlier_day_is_shown_nothing_later(known: Known) -> None:
    LOOKED.clear()
    trained = champion(known, (UsualWeeks(), Watched()))
    LOOKED.clear()
    outlook.make(trained)
    last = len(known.panel.days) - 1
    ends = [last - 252, last - 168, last - 84]
    assert sorted(LOOKED) == [(known.panel.days[end], end + 1) for end in ends]


def test_what_comes_after_the_cutoff_changes_nothing(known: Known) -> None:
    cutoff = known.panel.days[400]
    later = known.panel.counts.copy()
    later[:, 401:] *= 7
    other = Known(panel.CountPanel(known.panel.series, known.panel.days, later, known.panel.first), known.areas, known.categories, None, "none")
    one, two = (outlook.make(champion(k.at(cutoff), (UsualWeeks(), ProphetModel()))) for k in (known, other))
    pd.testing.assert_frame_equal(one, two)


def test_a_series_that_is_new_has_an_outlook() -> None:
    counts = small_cities.counts(200)
    new = small_cities.counts(200, ("d3",), ("HEAT",), seed=9)
    counts = pd.concat([counts, new[new["date"] >= small_cities.START + pd.Timedelta(days=190)]], ignore_index=True)
    weeks = table(outlook.make(champion(small_cities.known(counts))))
    assert np.isfinite(weeks).all(axis=None)
    assert weeks.loc[("d3", "HEAT"), 8] > 0
