"""The detection benchmark from end to end on a small panel, with numpy peers and a stand-in for the product's replay."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer

from experiments.benchmarks import panels
from experiments.benchmarks.detection import bars, calibration, compare, known, measured, replay, scorer, scoring, sets
from experiments.benchmarks.detection.__main__ import main
from experiments.benchmarks.detection.compare import Compared
from experiments.benchmarks.detection.sets import PlantedSet
from experiments.benchmarks.runs import Record
from forecasting.errors import InputError

SET = "boston-311-rodent"
RECORD = Record("f", 100.0, 100.0, "2026-01-01", 1.0)


def bench(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    places = ("--work", str(folder / "work"), "--page", str(folder / "page.md"), "--kept", str(folder / "kept"))
    command = [sys.executable, "-m", "experiments.benchmarks.detection", *places]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False)


def stand_in(one: PlantedSet, copy: str) -> None:
    """What `weisu replay` would write, by somebody who knows the mean."""
    law = one.known[known.ESTIMATE]
    counts = one.planted.counts if copy == "planted" else one.planted.clean
    score = known.score(counts, law, one.days, "3 days")
    rows = score.rename_axis(columns="series").reset_index(names="date").melt("date", var_name="series", value_name="score")
    pair = rows["series"].str.split("|", n=1, expand=True)
    table = rows.assign(district=pair[0], category=pair[1], observed=1.0, expected=1.0, p_value=10 ** -rows["score"]).drop(columns="series")
    city = table.iloc[:5].assign(district="ALL", category="ALL", score=1e6)
    folder = replay.of_set(one, copy).folder
    folder.mkdir(parents=True)
    pd.concat([city, table]).to_parquet(folder / "scores.parquet", index=False)
    pd.DataFrame(columns=["alert_id", "raised_at", "date", "kind", "districts"]).to_parquet(folder / "alerts.parquet")
    (folder / "scores.json").write_text(json.dumps(asdict(RECORD)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some tickets of the slice, what two peers made of them, and a stand-in for the product."""
    path = tmp_path_factory.mktemp("bench")
    rng = np.random.default_rng(0)
    days = pd.date_range("2013-06-01", "2015-12-31")
    parts = []
    for district in ("Roxbury", "Fenway", "Allston", "Dorchester"):
        for category in panels.REAL[SET].categories[:2]:
            parts.append(pd.DataFrame({"created_at": np.repeat(days, rng.poisson(2, len(days))), "district": district, "category": category}))
    tickets = pd.concat(parts, ignore_index=True)
    (path / panels.REAL[SET].folder).mkdir()
    tickets.assign(ticket_id=tickets.index.astype(str)).to_parquet(path / panels.REAL[SET].folder / "tickets.parquet")
    done = bench(path, "--data", str(path), "--sets", SET, "--detectors", "ESSENCE,Farrington-7", "--parts", "planted")
    assert done.returncode == 0, done.stderr
    assert "| weisu |" not in (path / "page.md").read_text()
    for copy in sets.COPIES:
        stand_in(sets.stored(SET, path / "work"), copy)
    done = bench(path, "--render")
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def compared(folder: Path) -> Compared:
    return compare.collect(sets.stored(SET, folder / "work"), lambda text: None)


def test_every_detector_is_scored_at_every_budget_plain_and_paired(folder: Path, compared: Compared) -> None:
    (path,) = (folder / "work").glob("detection-*.csv")
    table = pd.read_csv(path)
    assert set(table["detector"]) == {"weisu", "ESSENCE", "Farrington-7", *(f"two-sided, {d}" for d in known.DETECTORS)}
    at = table[table["detector"] == "weisu"]
    assert sorted(zip(at["measured"], at["at"].astype(str), strict=True)) == sorted(
        [("plain", "own"), *[(m, b) for m in ("plain", "paired") for b in ("1", "2", "4")]]
    )
    assert (table.loc[table["at"] != "own", "FA_sy"] <= table.loc[table["at"] != "own", "at"].astype(float) + 1e-9).all()
    assert table.loc[table["detector"].isin(["weisu", "ESSENCE"]), "ms"].gt(0).all()
    assert compared.failed == {}


def test_the_page_holds_the_tables_and_says_what_was_not_measured(folder: Path) -> None:
    page = (folder / "page.md").read_text()
    assert f"## {SET}" in page
    assert "### At 2 false alarms a series-year, paired" in page
    assert "| weisu |" in page
    assert "| quiet-20000: false alerts a day by the budget of 1.5 | 0.7 to 1.3 | not measured |" in page
    assert "| planted events, each in one series | 1,000 or more | not measured |" in page
    assert "Made before the code or its inputs changed: weisu." in page


def test_rendering_runs_nothing_and_makes_the_same_page(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (folder / "work" / SET).rglob("*")}
    page = (folder / "page.md").read_text()
    (folder / "page.md").unlink()
    done = bench(folder, "--render")
    assert done.returncode == 0, done.stderr
    assert (folder / "page.md").read_text() == page
    assert {path: path.stat().st_mtime_ns for path in (folder / "work" / SET).rglob("*")} == before


def test_with_what_is_kept_alone_the_page_is_the_same_and_peers_are_not_run_again(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "kept", tmp_path / "kept")
    page = (folder / "page.md").read_text()
    assert bench(tmp_path, "--render").returncode == 0
    assert (tmp_path / "page.md").read_text() == page
    done = bench(tmp_path, "--data", str(folder), "--sets", SET, "--detectors", "ESSENCE,Farrington-7", "--parts", "planted")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [f"{SET}: 0 detectors, 3 kept"]
    assert not [path for path in (tmp_path / "work" / SET).iterdir() if path.is_dir()]
    assert (tmp_path / "page.md").read_text() == page
    assert {p.name: p.read_text() for p in (tmp_path / "kept" / SET).iterdir()} == {p.name: p.read_text() for p in (folder / "kept" / SET).iterdir()}


def test_kept_results_of_another_set_are_left_out_and_those_of_other_code_are_said_to_be(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "kept" / SET, tmp_path / "kept")
    one = sets.stored(SET, folder / "work")
    told = replace(one, told=measured.facts(tmp_path / "kept"))
    made = compare.collect(told, lambda text: None, tmp_path / "kept")
    assert (made.outdated, made.detectors >= {"weisu", "ESSENCE", "Farrington-7"}) == (("weisu",), True)
    assert compare.is_kept(told, "ESSENCE", tmp_path / "kept")
    path = tmp_path / "kept" / "runs.csv"
    path.write_text(path.read_text().replace(made.records["ESSENCE"].fingerprint, made.records["ESSENCE"].fingerprint[::-1]))
    assert not compare.is_kept(told, "ESSENCE", tmp_path / "kept")
    rest = compare.collect(told, lambda text: None, tmp_path / "kept")
    assert rest.outdated == ("weisu", "ESSENCE")
    assert "ESSENCE" not in rest.detectors
    other = replace(one, told=replace(one.facts, truth="other"))
    assert compare.collect(other, lambda text: None, tmp_path / "kept").records == {}


@pytest.mark.parametrize(("module", "name", "value"), [(scoring, "MERGE", 1), (known, "SLACK", 0.4), (calibration, "NOMINAL", 3.0)])
def test_a_scorer_is_another_when_its_figures_are(monkeypatch: pytest.MonkeyPatch, module: object, name: str, value: object) -> None:
    before = scorer.judge.__wrapped__()
    assert scorer.judge.__wrapped__() == before
    monkeypatch.setattr(module, name, value)
    assert scorer.judge.__wrapped__() != before


def test_the_product_is_read_at_series_level_alone_with_its_seconds(compared: Compared) -> None:
    one = compared.of
    law = known.score(one.planted.counts, one.known[known.ESTIMATE], one.days, "3 days")
    assert compared.marks["weisu"].score == pytest.approx(law.to_numpy().T)
    assert compared.seconds["weisu"] == pytest.approx(100.0 / (8 * 364))
    assert compared.calibration is not None
    assert compared.calibration["series"].sum() == 8


def test_the_product_equals_who_knows_what_it_knows(compared: Compared) -> None:
    for at in ("1", "2", "4"):
        for measure in bars.MEASURES:
            assert bars.pooled([compared], "weisu", measure, at) == bars.pooled([compared], "two-sided, 3 days", measure, at)


def test_bars_of_planted_incidents_want_half_the_way_from_the_best_peer(compared: Compared) -> None:
    present = replace(compared, outdated=())
    lines = {line.what: line for line in bars.of_planted([present], "here", known.ESTIMATE)}
    line = lines["here: POD at 2 false alarms a series-year"]
    peer = max(bars.row(compared, name, "2")["POD"] for name in ("ESSENCE", "Farrington-7"))
    limit = max(bars.row(compared, f"two-sided, {d}", "2")["POD"] for d in known.DETECTORS)
    mine = bars.row(compared, "weisu", "2")["POD"]
    assert f"{(peer + limit) / 2:.3f} wanted" in line.reached
    assert line.holds == (mine >= (peer + limit) / 2)
    assert lines["here: alarm days at 2 false alarms a series-year"].holds is True
    assert bars.of_calibration([present])[0].holds is not None


def test_bars_of_runs_by_other_code_hold_nothing(compared: Compared) -> None:
    assert compared.outdated == ("weisu",)
    for line in [*bars.of_planted([compared], "here", known.ESTIMATE), *bars.of_calibration([compared])]:
        assert line.holds is None
        assert line.reached.startswith("not measured with the present code; before: ")


def test_several_sets_are_pooled_by_their_events(compared: Compared) -> None:
    value, error = bars.pooled([compared], "weisu", "POD", "2")
    assert bars.pooled([compared] * 4, "weisu", "POD", "2") == (pytest.approx(value), pytest.approx(error / 2))


def test_other_incidents_are_planted_beside_the_reported_ones(folder: Path) -> None:
    page = (folder / "page.md").read_text()
    done = bench(folder, "--sets", SET, "--detectors", "ESSENCE", "--parts", "planted", "--seed", "3", "--data", str(folder))
    assert done.returncode == 0, done.stderr
    other, reported = sets.stored(SET, folder / "work", 3).planted, sets.stored(SET, folder / "work").planted
    assert other.clean.equals(reported.clean)
    assert not other.truth.equals(reported.truth)
    assert (folder / "page.md").read_text() == page


def test_a_run_that_fails_is_named_on_the_page_and_by_the_exit_code(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "work" / SET, tmp_path / "work" / SET, ignore=shutil.ignore_patterns("ESSENCE.*", "weisu"))
    (tmp_path / "work" / SET / "planted.csv").write_text("date,a\n")
    done = bench(tmp_path, "--data", str(folder), "--sets", SET, "--detectors", "ESSENCE", "--parts", "planted")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"failed: {SET}/planted/ESSENCE (exit 1: ")
    assert "ESSENCE failed (exit 1: " in (tmp_path / "page.md").read_text()
    assert bench(tmp_path, "--render").returncode == 0


def test_the_products_runs_go_through_its_command_line(tmp_path: Path) -> None:
    pd.DataFrame({"count": [1]}).to_parquet(tmp_path / "c.parquet")
    request = replay.Request(tmp_path / "out", "2024-01-01", "2024-12-31", counts=tmp_path / "c.parquet", country="CN", budget=0.5)
    asked = dict(zip(*[iter(request.run.command[6:])] * 2, strict=True))
    assert request.run.command[3:6] == ("-m", "service.cli", "replay")
    assert asked == {
        "--start": "2024-01-01", "--end": "2024-12-31", "--out": str(tmp_path / "out"), "--country": "CN", "--counts": str(tmp_path / "c.parquet"),
        "--budget": "0.5",
    }  # fmt: skip
    assert request.run.command[:2] == ("env", "WEISU_TIMEZONE=Asia/Shanghai")
    before = request.run.fingerprint
    pd.DataFrame({"count": [2]}).to_parquet(tmp_path / "c.parquet")
    assert replace(request).run.fingerprint != before


@pytest.mark.parametrize(
    ("option", "value"), [("chosen_sets", "nowhere"), ("detectors", "nobody"), ("parts", "all"), ("chosen_sets", "boston-311-pest")], ids=str
)
def test_bad_options_are_one_line_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str) -> None:
    with pytest.raises(typer.Exit) as stopped:
        main(**{"work": tmp_path, "parts": "planted", "chosen_sets": "", "detectors": "ESSENCE", option: value})
    assert stopped.value.exit_code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_set_needs_its_tickets(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs its tickets"):
        sets.lay_down(SET, None, tmp_path)


def test_the_simulated_set_knows_its_truth(tmp_path: Path) -> None:
    one = sets.lay_down(sets.SIMULATED, None, tmp_path)
    law, guess = one.known[known.TRUTH], one.known[known.ESTIMATE]
    assert list(law.mean.columns) == list(one.planted.clean.columns)
    assert len(one.planted.truth) >= 500
    year = one.planted.clean.loc[one.days]
    assert year.to_numpy().sum() == pytest.approx(law.mean.loc[one.days].to_numpy().sum(), rel=0.01)
    assert np.corrcoef(law.mean.loc[one.days].to_numpy().ravel(), guess.mean.loc[one.days].to_numpy().ravel())[0, 1] > 0.99
    whole = pd.read_parquet(one.folder / "planted.parquet")
    assert whole["count"].sum() == pd.read_parquet(one.folder / "clean.parquet")["count"].sum() + one.planted.truth["tickets"].sum()
