"""`weisu backtest --compare`, `--sweep` and `--track`, typed on a real machine and read back from a real MLflow store."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from processes import Bench

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # MLflow's; not ours to mend

DAYS, HORIZON, WINDOWS = 130, 7, 8
DATES = pd.date_range("2025-01-06", periods=DAYS)
CUTOFFS = ",".join(f"{DATES[-1] - pd.Timedelta(days=HORIZON * k):%Y-%m-%d}" for k in range(WINDOWS, 0, -1))
PLAIN = ("backtest", "--counts", "counts.csv", "--cutoffs", CUTOFFS, "--horizon", str(HORIZON), "--country", "none")
USUAL = "windows: 2\nmembers: {four_week_mean: , usual_weeks: }\n"
NAIVE = "members: {seasonal_naive: }\n"
GRID = [(1, 0.1), (1, 2), (3, 0.1), (3, 2)]
TABLES = {"comparison", "differences", "ranking"}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A machine with a file of counts and recipes."""
    bench = Bench(tmp_path_factory.mktemp("cli") / "machine")
    rng = np.random.default_rng(2)
    pairs = [(f"d{i}", f"c{j}") for i in range(2) for j in range(3)]
    parts = [pd.DataFrame({"district": d, "category": c, "date": DATES, "count": rng.poisson(6, DAYS)}) for d, c in pairs]
    pd.concat(parts).to_csv(bench.folder / "counts.csv", index=False)
    (bench.folder / "usual.yaml").write_text(USUAL)
    (bench.folder / "naive.yaml").write_text(NAIVE)
    (bench.folder / "same.yaml").write_text("# as usual\n" + USUAL)
    (bench.folder / "grid.yaml").write_text("sweep: {windows: [1, 3], shrink: [0.1, 2]}\n")
    (bench.folder / "odd.yaml").write_text("sweep: {boosting.trees: [3]}\n")
    (bench.folder / "empty.yaml").write_text("sweep: {}\n")
    yield bench
    assert bench.living() == {}


@pytest.fixture(scope="module")
def compared(machine: Bench) -> subprocess.CompletedProcess[str]:
    return machine.run(*PLAIN, "--config", "usual.yaml", "--compare", "naive.yaml", "--out", "out", "--track", workers=1)


@pytest.fixture(scope="module")
def swept(machine: Bench, compared: object) -> subprocess.CompletedProcess[str]:
    return machine.run(*PLAIN, "--config", "usual.yaml", "--sweep", "grid.yaml", "--out", "sweep", "--track", workers=1)


def store(machine: Bench) -> MlflowClient:
    return MlflowClient(tracking_uri=f"sqlite:///{machine.folder / '.weisu' / 'mlflow' / 'mlflow.db'}")


def runs(machine: Bench, where: str) -> list[Run]:
    client = store(machine)
    experiment = client.get_experiment_by_name("weisu-backtests")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], where, order_by=["attributes.start_time ASC"]))


def test_a_comparison_is_printed_by_level_and_by_category_and_said_in_a_sentence(compared: subprocess.CompletedProcess[str]) -> None:
    assert compared.returncode == 0, compared.stderr
    lines = compared.stdout.splitlines()
    rows = [line.split() for line in lines]
    assert [row[:2] for row in rows[1:16]] == [
        [level, m] for level in ("all", "city", "district", "category", "series") for m in ("WRMSSE", "WAPE", "WQL")
    ]
    assert any(line.startswith("by category, WRMSSE: the clearest of 3") for line in lines)
    assert sum(row[:1] in (["c0"], ["c1"], ["c2"]) for row in rows) == 3
    assert lines[-1].startswith("naive is worse than usual: WRMSSE +")
    assert f"over {WINDOWS} cutoffs" in lines[-1]


def test_both_backtests_and_their_comparison_are_written(compared: subprocess.CompletedProcess[str], machine: Bench, tmp_path: Path) -> None:
    out = machine.folder / "out"
    assert {p.name for p in out.iterdir()} == {"a", "b", *(f"{name}.parquet" for name in TABLES)}
    alone = machine.run(*PLAIN, "--config", "naive.yaml", "--out", str(tmp_path / "alone"), workers=1)
    assert alone.returncode == 0, alone.stderr
    for name in ("forecasts.parquet", "scores.parquet"):
        assert (tmp_path / "alone" / name).read_bytes() == (out / "b" / name).read_bytes()
    table = pd.read_parquet(out / "comparison.parquet")
    assert len(table) == 3 * (5 + 3)
    assert (table["low"] <= table["difference"]).all()
    assert (table["difference"] <= table["high"]).all()


def test_a_comparison_is_a_run_for_each_recipe_below_one(compared: subprocess.CompletedProcess[str], machine: Bench) -> None:
    (parent,) = runs(machine, "tags.kind = 'comparison' and tags.verdict LIKE '%is worse than%'")
    a, b = runs(machine, f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    assert parent.info.run_id in compared.stderr
    assert [run.info.status for run in (parent, a, b)] == ["FINISHED"] * 3
    assert [run.info.run_name for run in (parent, a, b)] == ["naive against usual", "usual", "naive"]
    assert (a.data.params["members"], b.data.params["members"]) == ("four_week_mean,usual_weeks", "seasonal_naive")
    assert a.data.params["windows"] == "2"
    for run in (parent, a, b):
        assert run.data.tags["cutoffs"] == CUTOFFS
        assert len(run.data.tags["fingerprint"]) == 64
        assert run.data.tags["code_version"].startswith("0.")
    assert len({run.data.tags["fingerprint"] for run in (parent, a, b)}) == 1
    assert parent.data.tags["best"] == "usual"
    assert parent.data.metrics["all.WRMSSE"] == a.data.metrics["all.WRMSSE"] < b.data.metrics["all.WRMSSE"]
    for run in (a, b):
        assert run.info.end_time - run.info.start_time == pytest.approx(run.data.metrics["usage/seconds.total"] * 1000, abs=1)
    assert parent.data.metrics["usage/seconds.total"] == pytest.approx(sum(run.data.metrics["usage/seconds.total"] for run in (a, b)))
    scores = pd.read_parquet(machine.folder / "out" / "b" / "scores.parquet").set_index("level")
    assert b.data.metrics["city.WAPE"] == pytest.approx(scores.loc["city", "WAPE"])
    assert b.data.metrics["all.WRMSSE"] == pytest.approx(scores.loc["all", "WRMSSE"])
    assert b.data.metrics["versus/all.WRMSSE"] > b.data.metrics["versus_low/all.WRMSSE"] > 0
    assert not [name for name in a.data.metrics if name.startswith("versus")]
    (data,) = b.inputs.dataset_inputs
    assert data.dataset.name == "counts.csv"


def test_recipes_are_found_without_the_run_above_them_and_the_figure_that_decides_is_told_first(
    compared: subprocess.CompletedProcess[str], machine: Bench
) -> None:
    """MLflow's compare view draws the figure that was told first."""
    found = runs(machine, "tags.kind = 'backtest' and tags.cutoffs != ''")
    assert {"usual", "naive"} <= {run.info.run_name for run in found}
    assert "naive against usual" not in {run.info.run_name for run in found}
    assert {next(iter(run.data.metrics)) for run in found} == {"all.WRMSSE"}


def test_each_cutoff_is_a_step_and_they_add_up_to_the_score(compared: subprocess.CompletedProcess[str], machine: Bench) -> None:
    (b,) = runs(machine, "attributes.run_name = 'naive'")
    steps = store(machine).get_metric_history(b.info.run_id, "windows/city.WQL")
    assert sorted(m.step for m in steps) == list(range(1, WINDOWS + 1))
    assert np.mean([m.value for m in steps]) == pytest.approx(b.data.metrics["city.WQL"])
    assert [f"{pd.Timestamp(m.timestamp, unit='ms'):%Y-%m-%d}" for m in sorted(steps, key=lambda m: m.step)] == CUTOFFS.split(",")


def test_files_are_kept_with_the_runs(compared: subprocess.CompletedProcess[str], machine: Bench, tmp_path: Path) -> None:
    client = store(machine)
    (parent,) = runs(machine, "tags.kind = 'comparison' and attributes.run_name = 'naive against usual'")
    (b,) = runs(machine, "attributes.run_name = 'naive'")
    assert {f.path for f in client.list_artifacts(parent.info.run_id)} == {*(f"{n}.parquet" for n in TABLES), "comparison.csv", "ranking.csv"}
    assert {f.path for f in client.list_artifacts(b.info.run_id)} == {"forecasts.parquet", "scores.parquet", "recipe.yaml"}
    got = client.download_artifacts(b.info.run_id, "forecasts.parquet", str(tmp_path))
    assert Path(got).read_bytes() == (machine.folder / "out" / "b" / "forecasts.parquet").read_bytes()


def test_a_sweep_is_ranked_and_every_combination_is_a_run_below_one(swept: subprocess.CompletedProcess[str], machine: Bench) -> None:
    assert swept.returncode == 0, swept.stderr
    lines = swept.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:6]] == ["1", "2", "3", "4", "5"]
    assert lines[-1].startswith("the best of 4: ")
    told = [line for line in swept.stderr.splitlines() if ": WRMSSE " in line]
    assert [line.split(":")[0] for line in told] == ["base usual", *(f"{n + 1:02d} windows={w} shrink={s}" for n, (w, s) in enumerate(GRID))]
    ranking = pd.read_parquet(machine.folder / "sweep" / "ranking.parquet")
    assert set(ranking["trial"]) == {"base", "01", "02", "03", "04"}
    (parent,) = runs(machine, "tags.kind = 'sweep' and params.trials = '5'")
    children = runs(machine, f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    assert [run.info.run_name for run in children] == ["usual (base)", *(f"windows={w} shrink={s}" for w, s in GRID)]
    assert [(run.data.params["windows"], run.data.params["shrink"]) for run in children[1:]] == [
        ("1", "0.1"),
        ("1", "2.0"),
        ("3", "0.1"),
        ("3", "2.0"),
    ]
    for run in children:
        row = ranking.set_index("trial").loc[run.data.tags["trial"]]
        assert run.data.metrics["all.WRMSSE"] == pytest.approx(row["WRMSSE"])
        if run.data.tags["trial"] != "base":
            assert run.data.metrics["versus/all.WRMSSE"] == pytest.approx(row["difference"])


@pytest.mark.parametrize(
    "where",
    [
        "metrics.`versus/all.WRMSSE` > 0 and tags.verdict = 'worse'",
        "metrics.`versus_p/all.WRMSSE` < 0.05",
        "metrics.city.WAPE < 1 and tags.kind = 'backtest'",
        "params.windows = '3'",
    ],
)
def test_runs_are_found_by_what_they_have(swept: subprocess.CompletedProcess[str], machine: Bench, where: str) -> None:
    found = runs(machine, where)
    assert 0 < len(found) < len(runs(machine, ""))


def test_a_backtest_alone_is_one_run(machine: Bench, compared: object) -> None:
    done = machine.run(*PLAIN, "--config", "usual.yaml", "--out", "alone", "--track", workers=1)
    assert done.returncode == 0, done.stderr
    (run,) = [run for run in runs(machine, "tags.kind = 'backtest'") if "trial" not in run.data.tags]
    assert run.info.run_name == "usual"
    assert "mlflow.parentRunId" not in run.data.tags
    assert run.data.metrics["all.WRMSSE"] == pytest.approx(
        pd.read_parquet(machine.folder / "alone" / "scores.parquet").set_index("level").loc["all", "WRMSSE"]
    )


def test_a_server_that_never_answers_costs_seconds_and_one_line_and_nothing_else(machine: Bench) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        quick = ("--cutoffs", CUTOFFS.split(",")[0], "--models", "champion", "--config", "naive.yaml", "--compare", "usual.yaml")
        started = time.monotonic()
        machine.run(*PLAIN, *quick, "--out", "untracked", workers=1)
        plain = time.monotonic() - started
        started = time.monotonic()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = machine.run(*PLAIN, *quick, "--out", "silent", "--track", mlflow_tracking_uri=address, workers=1)
        assert time.monotonic() - started - plain < 15 + 3, "three seconds to load MLflow"
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if line.startswith("not tracked")] == done.stderr.splitlines()
    assert done.stderr.count("\n") == 1
    assert (machine.folder / "silent" / "comparison.parquet").read_bytes() == (machine.folder / "untracked" / "comparison.parquet").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--config", "usual.yaml", "--compare", "usual.yaml"), "usual.yaml: is the same recipe"),
        (("--config", "usual.yaml", "--compare", "same.yaml"), "same.yaml: is the same recipe"),
        (("--compare", "none.yaml"), "none.yaml: cannot be read"),
        (("--compare", "usual.yaml", "--sweep", "grid.yaml"), "give one of them"),
        (("--config", "usual.yaml", "--sweep", "odd.yaml"), "unknown parameter 'boosting.trees'"),
        (("--sweep", "empty.yaml"), "empty.yaml: the grid is empty"),
        (("--sweep", "none.yaml"), "none.yaml: cannot be read"),
        (("--compare", "usual.yaml", "--cutoffs", f"{DATES[-1]:%Y-%m-%d}"), "nothing to compare"),
        (("--compare", "usual.yaml", "--out", "counts.csv"), "--out"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(
    machine: Bench, typed: Callable[..., tuple[int, str, str]], arguments: tuple[str, ...], named: str
) -> None:
    code, out, err = typed(machine, *PLAIN, "--out", "bad", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("weisu: ")
    assert err.count("\n") == 1
    assert named in err
    assert not (machine.folder / "bad").exists()
