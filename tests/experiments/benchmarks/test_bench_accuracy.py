"""The accuracy benchmark from end to end on a small panel, with models of the product."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer

from experiments.benchmarks import panels
from experiments.benchmarks.accuracy import compare
from experiments.benchmarks.accuracy.__main__ import main
from experiments.benchmarks.page import Bar, bar_table
from forecasting.errors import InputError

PANEL = "boston-311-rodent"
NAMES = ("seasonal_naive", "four_week_mean")


def bench(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    places = ("--work", str(folder / "work"), "--page", str(folder / "page.md"), "--kept", str(folder / "kept"))
    command = [sys.executable, "-m", "experiments.benchmarks.accuracy", *places]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some tickets of the slice, and what the benchmark made of them."""
    path = tmp_path_factory.mktemp("bench")
    rng = np.random.default_rng(0)
    days = pd.date_range("2014-09-01", "2015-12-31")
    parts = []
    for district in ("Roxbury", "Fenway"):
        for category in panels.REAL[PANEL].categories[:2]:
            parts.append(pd.DataFrame({"created_at": np.repeat(days, rng.poisson(2, len(days))), "district": district, "category": category}))
    tickets = pd.concat(parts, ignore_index=True)
    (path / panels.REAL[PANEL].folder).mkdir()
    tickets.assign(ticket_id=tickets.index.astype(str)).to_parquet(path / panels.REAL[PANEL].folder / "tickets.parquet")
    done = bench(path, "--data", str(path), "--panels", PANEL, "--models", ",".join(NAMES), "--parts", "scores")
    assert done.returncode == 0, done.stderr
    (path / "printed").write_text(done.stdout)
    return path


def test_every_model_is_scored_at_every_level_with_its_seconds_and_memory(folder: Path) -> None:
    (path,) = (folder / "work").glob("accuracy-*.csv")
    table = pd.read_csv(path)
    assert set(table["model"]) == set(NAMES)
    assert set(table["level"]) == {"all", "series", "category", "district", "city"}
    assert (table[["WRMSSE", "WAPE", "WQL", "seconds", "peak_mb"]] > 0).all(axis=None)


def test_the_page_says_what_was_not_measured_and_holds_the_table(folder: Path) -> None:
    page = (folder / "page.md").read_text()
    assert f"## {PANEL}" in page
    assert "| city | four_week_mean |" in page
    assert "not measured" in page
    assert "| yes |" not in page


def test_rendering_runs_nothing_and_makes_the_same_page(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (folder / "work" / PANEL).iterdir()}
    page = (folder / "page.md").read_text()
    (folder / "page.md").unlink()
    done = bench(folder, "--render")
    assert done.returncode == 0, done.stderr
    assert (folder / "page.md").read_text() == page
    assert {path: path.stat().st_mtime_ns for path in (folder / "work" / PANEL).iterdir()} == before


def test_with_what_is_kept_alone_the_page_is_the_same_and_nothing_is_run_again(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "kept", tmp_path / "kept")
    page = (folder / "page.md").read_text()
    assert bench(tmp_path, "--render").returncode == 0
    assert (tmp_path / "page.md").read_text() == page
    done = bench(tmp_path, "--data", str(folder), "--panels", PANEL, "--models", ",".join(NAMES), "--parts", "scores")
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in (tmp_path / "work" / PANEL).iterdir()} == {"counts.parquet", "counts.sha256"}
    assert (tmp_path / "page.md").read_text() == page


def test_the_benchmark_goes_through_the_same_windows_as_the_peers(folder: Path) -> None:
    made = pd.read_parquet(folder / "work" / PANEL / "four_week_mean.parquet")
    panel = panels.lay_down(PANEL, None, folder / "work")
    assert [f"{c:%Y-%m-%d}" for c in sorted(made["cutoff"].unique())] == panel.cutoffs()
    assert list(compare.run_of(panel, "AutoETS", folder, Path("python")).command[-13:]) == panel.cutoffs()


def test_what_was_made_from_other_inputs_is_said_to_be(folder: Path) -> None:
    panel = panels.lay_down(PANEL, None, folder / "work")
    run = compare.run_of(panel, "four_week_mean", folder / "work", Path("python"))
    assert compare.collect(panel, 0, [("four_week_mean", run)]).outdated == ()
    other = compare.Run(run.out, run.command, "other")
    assert compare.collect(panel, 0, [("four_week_mean", other)]).outdated == ("four_week_mean",)


def test_another_scorer_is_asked_and_its_difference_said(folder: Path) -> None:
    panel = panels.lay_down(PANEL, None, folder / "work")
    made = compare.collect(panel, 0, [(n, compare.run_of(panel, n, folder / "work", Path("python"))) for n in NAMES])
    table = made.table()
    scorer = folder / "score.py"
    off = table.assign(WQL=table["WQL"] + (table["level"] == "city") * 0.25)
    off.to_csv(folder / "theirs.csv", index=False)
    scorer.write_text(f"import shutil, sys; shutil.copy({str(folder / 'theirs.csv')!r}, sys.argv[-1])")
    assert compare.difference_to(scorer, made, table, str) == pytest.approx(0.25)
    scorer.write_text("raise SystemExit('broken')")
    with pytest.raises(InputError, match="broken"):
        compare.difference_to(scorer, made, table, str)


@pytest.mark.parametrize(
    ("option", "value"), [("panel", "nowhere"), ("model", "nobody"), ("parts", "all"), ("panel", "boston-311-pest")], ids=lambda text: str(text)
)
def test_bad_options_are_one_line_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str) -> None:
    with pytest.raises(typer.Exit) as stopped:
        main(**{"work": tmp_path, "parts": "scores", "model": "champion", "panel": "", option: value})
    assert stopped.value.exit_code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_without_the_peers_python_nothing_is_begun(tmp_path: Path) -> None:
    done = bench(tmp_path, "--peers", str(tmp_path / "python"), "--panels", "city-0.1", "--models", "champion,AutoETS", "--parts", "scores")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "--peers" in line
    assert not (tmp_path / "work").exists()


def test_a_run_that_fails_is_named_on_the_page_and_by_the_exit_code(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "work" / PANEL, tmp_path / "work" / PANEL, ignore=shutil.ignore_patterns(*(f"{name}.*" for name in NAMES)))
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho out of order >&2\nexit 3\n")
    broken.chmod(0o755)
    asked = ("--data", str(folder), "--peers", str(broken), "--panels", PANEL, "--models", "AutoETS", "--parts", "scores")
    done = bench(tmp_path, *asked)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == f"failed: {PANEL} AutoETS (exit 3: out of order)"
    page = (tmp_path / "page.md").read_text()
    assert f"## {PANEL}" in page
    assert "AutoETS failed (exit 3: out of order)." in page
    assert bench(tmp_path, "--render", "--peers", str(broken)).returncode == 0


def test_scores_and_seconds_are_printed(folder: Path) -> None:
    printed = (folder / "printed").read_text()
    head = next(line for line in printed.splitlines() if line.split()[:2] == ["level", "model"])
    assert {"WRMSSE", "WQL", "seconds", "peak_mb"} <= set(head.split())
    assert [line for line in printed.splitlines() if line.split()[:2] == ["city", "four_week_mean"]]


def test_forecasts_of_a_panel_that_was_cut_otherwise_are_not_scored(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "work" / PANEL, tmp_path / PANEL)
    panel = panels.lay_down(PANEL, None, tmp_path)
    panel.table().replace({"district": {"Fenway": "Elsewhere"}}).to_parquet(panel.counts)
    made = compare.collect(panel, 0, [(n, compare.run_of(panel, n, tmp_path, Path("python"))) for n in NAMES])
    assert made.frames == {}
    assert made.outdated == NAMES


def test_a_bar_that_fails_is_shown_to_fail() -> None:
    table = bar_table([Bar("a", "b", "c", "", False), Bar("a", "b", "c", "", True), Bar("a", "b")])
    assert list(table["holds"]) == ["**no**", "yes", ""]
