"""Several recipes over the same cutoffs: each as if it were backtested alone, and what their differences are made of."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import tables

from experiments import compare, recipes, rolling, sweep, trials
from experiments.rolling import Request
from experiments.trials import Trial, Tried
from forecasting.errors import InputError
from forecasting.hierarchy import ALL

HORIZON = 7
WINDOWS = 7
LAST = tables.START + pd.Timedelta(days=199)
CUTOFFS = tuple(f"{LAST - pd.Timedelta(days=HORIZON * k):%Y-%m-%d}" for k in range(WINDOWS, 0, -1))
NAIVE = "members: {seasonal_naive: }"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trials")
    tables.write(tables.counts(tables.tickets(200)), path / "counts.csv")
    (path / "quick.yaml").write_text(tables.QUICK)
    (path / "naive.yaml").write_text(NAIVE)
    (path / "grid.yaml").write_text("sweep: {boosting.trees: [4, 25]}")
    return path


@pytest.fixture(scope="module")
def request_(folder: Path) -> Request:
    return Request(CUTOFFS, counts=folder / "counts.csv", horizon=HORIZON, country="none", workers=1, models=("champion", "seasonal_naive"))


@pytest.fixture(scope="module")
def tried(folder: Path, request_: Request) -> list[Tried]:
    both = [Trial("a", "quick", recipes.load(folder / "quick.yaml")), Trial("b", "naive", recipes.load(folder / "naive.yaml"))]
    return trials.run(both, request_, folder / "out")


def test_each_is_what_a_backtest_of_it_alone_gives_byte_for_byte(tried: list[Tried], folder: Path, request_: Request, tmp_path: Path) -> None:
    for one in tried:
        rolling.run(replace(request_, config=folder / f"{one.trial.label}.yaml"), tmp_path / one.trial.name)
        for name in ("forecasts.parquet", "scores.parquet"):
            assert (folder / "out" / one.trial.name / name).read_bytes() == (tmp_path / one.trial.name / name).read_bytes()
        again = recipes.load(one.folder / trials.RECIPE)
        assert again.mapping() == one.trial.recipe.mapping()


def test_what_cutoffs_add_is_the_score_of_every_level_and_category(tried: list[Tried], folder: Path) -> None:
    counts = pd.read_csv(folder / "counts.csv", parse_dates=["date"])
    for one in tried:
        means = one.losses.mean(axis=1)
        for row in one.scores.to_dict("records"):
            for metric in compare.METRICS:
                assert means[row["model"], row["level"], ALL, metric] == pytest.approx(row[metric], rel=1e-12)
        heat = pd.read_parquet(one.folder / "forecasts.parquet").query("model == 'champion' and district == 'ALL' and category == 'HEAT'")
        came = counts[counts["category"] == "HEAT"].groupby("date")["count"].sum().reindex(heat["date"], fill_value=0).to_numpy()
        assert means["champion", "category", "HEAT", "WAPE"] == pytest.approx((heat["mean"] - came).abs().sum() / came.sum())


def test_differences_by_cutoff_add_up_to_the_difference(tried: list[Tried]) -> None:
    _, table = trials.ranked(tried, HORIZON)
    steps = trials.differences(tried)
    assert len(steps) == len(table) * WINDOWS
    assert set(steps["trial"]) == {"b"}
    means = steps.groupby(compare.ROW)["difference"].mean()
    for row in table.to_dict("records"):
        assert means[tuple(row[key] for key in compare.ROW)] == pytest.approx(row["b"] - row["a"], abs=1e-12)
        assert row["difference"] == pytest.approx(row["b"] / row["a"] - 1)


def test_the_naive_recipe_is_worse_and_the_member_that_both_have_is_the_same(tried: list[Tried]) -> None:
    ranking, table = trials.ranked(tried, HORIZON)
    assert ranking["trial"].tolist() == ["a", "b"]
    assert ranking["verdict"].tolist() == ["", "worse"]
    member = table[(table["model"] == "seasonal_naive") & (table["metric"] != "WQL")]  # its scatter is learnt in other windows
    assert (member["difference"].abs() < 1e-9).all()
    assert (member["verdict"] == compare.NOISE).all()
    said = trials.conclusion(tried, ranking, HORIZON)
    assert said.startswith("naive is worse than quick: WRMSSE +")
    assert {*compare.LEVELS} == set(table["level"])


def test_a_sweep_ranks_its_combinations_against_the_base(folder: Path, request_: Request, tmp_path: Path) -> None:
    request = replace(request_, cutoffs=CUTOFFS[-2:], models=("champion",))
    done: list[int] = []
    tried = trials.run(sweep.load(folder / "grid.yaml", recipes.load(folder / "quick.yaml"), "quick"), request, tmp_path, done.append)
    assert done == [1, 2, 3, 4, 5, 6]
    ranking, table = trials.ranked(tried, HORIZON)
    assert set(ranking["trial"]) == {"base", "01", "02"}
    assert ranking["WRMSSE"].is_monotonic_increasing
    assert set(table["trial"]) == {"01", "02"}
    assert (ranking.loc[ranking["trial"] != "base", "verdict"] == compare.FEW).all()
    assert "too few cutoffs" in trials.conclusion(tried, ranking, HORIZON)
    assert "trees: 25" in (tmp_path / "02" / trials.RECIPE).read_text()


def test_what_is_said_of_the_data_is_said_once(folder: Path, request_: Request, tmp_path: Path) -> None:
    request = replace(request_, cutoffs=("2024-05-01",), models=("champion",))
    quick = recipes.load(folder / "quick.yaml")
    said: list[str] = []
    trials.run([Trial("a", "x", quick), Trial("b", "y", replace(quick, shrink=9))], request, tmp_path, note=said.append)
    assert len(said) == 1
    assert "boosting needs" in said[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cutoffs": (f"{LAST:%Y-%m-%d}",)}, f"--cutoffs: no day after {LAST:%Y-%m-%d}, on which the data end"),
        ({"cutoffs": ("2030-01-01",)}, "2030-01-01 lies outside the data"),
        ({"cutoffs": ("soon",)}, "'soon' is not a date"),
        ({"counts": None}, "give one of --counts and --tickets"),
        ({"counts": Path("none.csv")}, "none.csv: cannot be read"),
        ({"models": ("oracle",)}, "unknown model 'oracle'"),
        ({"models": ("champion", "four_week_mean")}, "--models: 'four_week_mean' is not in the recipe 'naive'"),
    ],
)
def test_bad_requests_are_one_clear_line_and_nothing_is_written(
    folder: Path, request_: Request, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    both = [Trial(name, name, recipes.load(folder / f"{name}.yaml")) for name in ("quick", "naive")]
    with pytest.raises(InputError) as error:
        trials.run(both, replace(request_, **change), tmp_path / "out")
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()


def test_the_fingerprint_is_of_what_is_in_the_files(request_: Request, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other.csv"
    copy.write_bytes((folder / "counts.csv").read_bytes())
    assert trials.fingerprint(request_) == trials.fingerprint(replace(request_, counts=copy))
    copy.write_bytes(copy.read_bytes()[:-1])
    assert trials.fingerprint(request_) != trials.fingerprint(replace(request_, counts=copy))
    assert trials.fingerprint(request_) != trials.fingerprint(replace(request_, drivers=copy))
    assert len(trials.fingerprint(request_)) == 64
