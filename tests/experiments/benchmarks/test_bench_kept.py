"""Kept results: they say what the forecasts said, for as long as they would be made again."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.benchmarks import kept, panels, runs
from experiments.benchmarks.accuracy import __main__ as program
from experiments.benchmarks.accuracy import bars, compare, measured, report, scorer, scores, worth
from experiments.benchmarks.accuracy.compare import Compared
from experiments.benchmarks.panels import Panel
from experiments.benchmarks.runs import Record, Run
from forecasting import metrics
from forecasting.forecast_set import with_quantiles
from forecasting.panel import from_counts

DAYS = pd.date_range("2024-09-01", "2024-11-30")
CUTOFFS = [DAYS[-1] - pd.Timedelta(days=7 * k) for k in (4, 3, 2, 1)]
MEAN = {("d1", "HEAT"): 8.0, ("d1", "b"): 2.0, ("d2", "HEAT"): 4.0}
FACTORS = {"champion": 1.0, "Prophet": 1.8, "AutoETS": 1.6, "MSTL": 0.7}
REAL, CITY = "boston-311-rodent", "city-1.0"


def laid(name: str, work: Path) -> Panel:
    """A panel of three series in the place of the one of that name."""
    rng = np.random.default_rng(1)
    parts = [pd.DataFrame({"district": d, "category": c, "date": DAYS, "count": rng.poisson(m, len(DAYS))}) for (d, c), m in MEAN.items()]
    panel = Panel(name, work / name / "counts.parquet", None, work / name / "rates.parquet" if name == CITY else None, "US")
    panel.counts.parent.mkdir(parents=True)
    pd.concat(parts).to_parquet(panel.counts)
    if panel.rates:
        pd.concat([p.assign(rate_without_incidents=m) for p, m in zip(parts, MEAN.values(), strict=True)]).to_parquet(panel.rates)
    return panel


def forecast(panel: Panel, models: Mapping[str, float]) -> None:
    """Runs that left forecasts: mean and distribution of those who know the means, but for a factor."""
    nodes = metrics.actuals(from_counts(panel.table()))[["district", "category"]].drop_duplicates()
    days = pd.DataFrame([(c, c + pd.Timedelta(days=h)) for c in CUTOFFS for h in range(1, 8)], columns=["cutoff", "date"])
    rows = nodes.merge(days, how="cross")
    mean = np.array([sum(m for (d, c), m in MEAN.items() if r.district in (d, "ALL") and r.category in (c, "ALL")) for r in rows.itertuples()])
    for i, (model, factor) in enumerate(models.items()):
        out = made(panel)[model].out
        with_quantiles(rows.assign(mean=mean * factor + i / 7, dispersion=0.1, model=model)).to_parquet(out)
        record = Record(f"run of {model}", 12.5 + i, 100, "2026-01-01", 0.5)
        out.with_suffix(".json").write_text(json.dumps(asdict(record)))


def made(panel: Panel, of: str = "run of") -> dict[str, Run]:
    return {model: Run(panel.counts.with_name(f"{model}.parquet"), (), f"{of} {model}") for model in FACTORS}


def collected(panel: Panel, root: Path, of: str = "run of") -> Compared:
    return compare.collect(panel, 0, made(panel, of).items(), root / panel.name)


def shown(compared: list[Compared]) -> str:
    lines = bars.of_real(compared) + bars.of_simulated(compared) + bars.of_calibration(compared)
    return report.page("today", lines, compared, [], "")


def emptied(panel: Panel, root: Path) -> Panel:
    """The panel on a machine that has the repository alone."""
    for path in panel.counts.parent.iterdir():
        path.unlink()
    facts = measured.facts(root / panel.name)
    assert facts is not None
    return panels.told(panel.name, panel.counts.parents[1], facts)


@pytest.fixture
def panel(tmp_path: Path) -> Panel:
    return laid(REAL, tmp_path / "work")


@pytest.mark.parametrize("name", [REAL, CITY])
def test_without_the_forecasts_the_page_is_the_same_to_the_letter(tmp_path: Path, name: str) -> None:
    panel = laid(name, tmp_path / "work")
    forecast(panel, FACTORS)
    before = collected(panel, tmp_path)
    page, draws = shown([before]), before.draws
    assert {scores.AVERAGE, "generator" if name == CITY else "hindsight"} <= {model for model, _ in draws}
    report.keep(tmp_path, before, None)
    files = {path: path.read_bytes() for path in (tmp_path / name).iterdir()}
    after = collected(emptied(panel, tmp_path), tmp_path)
    assert after.frames == {}
    assert shown([after]) == page
    for key, drawn in draws.items():
        pd.testing.assert_frame_equal(after.draws[key], drawn, check_exact=True)
    report.keep(tmp_path, after, None)
    assert {path: path.read_bytes() for path in (tmp_path / name).iterdir()} == files


def test_what_is_kept_is_not_run_again_until_the_run_would_be_another(panel: Panel, tmp_path: Path) -> None:
    forecast(panel, FACTORS)
    report.keep(tmp_path, collected(panel, tmp_path), None)
    folder = tmp_path / REAL
    assert all(compare.is_kept(panel, made(panel), model, folder) for model in FACTORS)
    assert not any(compare.is_kept(panel, made(panel, "other run of"), model, folder) for model in FACTORS)
    assert not compare.is_kept(panel, made(panel), "MSTL", tmp_path / "nowhere")


def test_of_two_that_are_averaged_both_are_run_unless_both_are_kept(panel: Panel, tmp_path: Path) -> None:
    forecast(panel, {"Prophet": 1.8, "MSTL": 0.7})
    report.keep(tmp_path, collected(panel, tmp_path), None)
    assert not compare.is_kept(panel, made(panel), "Prophet", tmp_path / REAL)
    assert compare.is_kept(panel, made(panel), "MSTL", tmp_path / REAL)
    made(panel)["Prophet"].out.unlink()
    forecast(panel, {"AutoETS": 1.6})
    mixed = collected(panel, tmp_path)
    assert mixed.results.models == {"Prophet", "AutoETS", "MSTL"}
    assert mixed.lacks(["Prophet", "AutoETS"]) == [scores.AVERAGE]


def test_kept_results_of_other_code_are_shown_and_said_to_be(panel: Panel, tmp_path: Path) -> None:
    forecast(panel, FACTORS)
    report.keep(tmp_path, collected(panel, tmp_path), None)
    old = collected(emptied(panel, tmp_path), tmp_path, "other run of")
    assert old.outdated == tuple(FACTORS)
    assert old.results.models == {*FACTORS, scores.AVERAGE, "hindsight"}
    assert "Made before the code or its inputs changed: champion, Prophet, AutoETS, MSTL." in shown([old])
    assert {bar.holds for bar in bars.of_real([old])} == {None}


def test_kept_results_of_a_panel_that_is_another_now_are_left_out(panel: Panel, tmp_path: Path) -> None:
    forecast(panel, FACTORS)
    report.keep(tmp_path, collected(panel, tmp_path), None)
    for model in FACTORS:
        made(panel)[model].out.unlink()
    panel.table().replace({"district": {"d2": "elsewhere"}}).to_parquet(panel.counts)
    assert collected(replace(panel), tmp_path).records == {}


def test_files_of_a_panel_that_was_cut_otherwise_are_not_asked(panel: Panel, tmp_path: Path) -> None:
    forecast(panel, FACTORS)
    report.keep(tmp_path, collected(panel, tmp_path), None)
    page = shown([collected(panel, tmp_path)])
    panel.table().replace({"district": {"d2": "elsewhere"}}).to_parquet(panel.counts)
    there = measured.panel_of(REAL, tmp_path / "work", tmp_path / REAL)
    assert there is not None
    after = collected(there, tmp_path)
    assert after.frames == {}
    assert shown([after]) == page


def test_forecasts_at_hand_come_before_kept_results_and_the_later_of_two_outdated_ones_counts(panel: Panel, tmp_path: Path) -> None:
    forecast(panel, FACTORS)
    report.keep(tmp_path, collected(panel, tmp_path), None)
    assert set(collected(panel, tmp_path).frames) == set(FACTORS)
    old, new, failed = (
        Record(f, 1, 1, day, 1, error) for f, day, error in (("a", "2026-01-01", ""), ("b", "2026-02-01", ""), ("c", "2026-03-01", "x"))
    )
    assert runs.latest("a", new, old) == old
    assert runs.latest("other", old, new) == new
    assert runs.latest("other", old, failed) == old
    assert runs.latest("c", old, failed) == failed
    assert runs.latest("a", None, None) is None


def test_rows_of_another_run_than_the_one_that_is_named_count_for_nothing(panel: Panel, tmp_path: Path) -> None:
    forecast(panel, FACTORS)
    report.keep(tmp_path, collected(panel, tmp_path), None)
    path = tmp_path / REAL / "sums.csv"
    table = pd.read_csv(path, dtype=str)
    table.loc[table["model"] == "MSTL", "run"] = "0" * kept.RUN_LETTERS
    table.to_csv(path, index=False)
    after = collected(emptied(panel, tmp_path), tmp_path)
    assert after.results.models == {*FACTORS, scores.AVERAGE, "hindsight"} - {"MSTL"}
    assert not compare.is_kept(panels.told(REAL, tmp_path / "work", after.panel.facts), made(panel), "MSTL", tmp_path / REAL)


def test_a_pass_that_takes_the_champion_apart_is_kept_as_well(panel: Panel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forecast(panel, FACTORS)
    compared = collected(panel, tmp_path)
    monkeypatch.setattr(worth, "run_of", lambda *_: Run(panel.counts.with_name("worth.parquet"), (), "worth"))
    assert not worth.is_kept(panel, tmp_path / "work", tmp_path / REAL)
    sums = compared.results.sums.rename(index={"MSTL": "without weekday"}, level="model")
    sums.to_parquet(panel.counts.with_name("worth.parquet"))
    panel.counts.with_name("worth.json").write_text(json.dumps(asdict(Record("worth", 1, 1, "2026-01-01", 1))))
    before = worth.collect(panel, 0, tmp_path / "work", tmp_path / REAL)
    assert before is not None
    report.keep(tmp_path, compared, before)
    after = worth.collect(emptied(panel, tmp_path), 0, tmp_path / "work", tmp_path / REAL)
    assert after is not None
    assert report.worth_table([after]).equals(report.worth_table([before]))
    assert "without weekday" in set(report.worth_table([after])["champion"])
    assert worth.is_kept(panel, tmp_path / "work", tmp_path / REAL)
    monkeypatch.setattr(worth, "run_of", lambda *_: Run(panel.counts.with_name("worth.parquet"), (), "other"))
    assert not worth.is_kept(panel, tmp_path / "work", tmp_path / REAL)


def fingerprints() -> tuple[str, str]:
    """Of a peer's result and of the champion's, by the scorer as it is."""
    for one in (scorer.of_sums, scorer.of_probabilities):
        one.cache_clear()
    return scorer.fingerprint("MSTL", "run"), scorer.fingerprint("champion", "run")


@pytest.fixture(scope="module")
def before() -> tuple[str, str]:
    return fingerprints()


@pytest.mark.parametrize(
    ("module", "name", "value", "of_peers"),
    [
        (metrics, "WEIGHT_DAYS", 30, True),
        (scorer.floor, "HEATING", "b", True),
        (scorer.floor, "CITY_SHOCK", 0.5, False),
        (scorer.calibration, "PAST", 7, False),
    ],
    ids=["weights", "heating", "the generator's rates", "transforms"],
)
def test_a_scorer_is_another_when_its_figures_are(
    before: tuple[str, str], monkeypatch: pytest.MonkeyPatch, module: object, name: str, value: object, of_peers: bool
) -> None:
    monkeypatch.setattr(module, name, value)
    after = fingerprints()
    monkeypatch.undo()
    scorer.of_sums.cache_clear()
    scorer.of_probabilities.cache_clear()
    assert (after[0] != before[0], after[1] != before[1]) == (of_peers, True)


def test_a_table_is_known_by_what_it_holds_and_not_by_its_file(tmp_path: Path) -> None:
    table = pd.DataFrame({"district": ["a", None, "b"], "date": pd.to_datetime(["2024-01-01", None, "2024-01-02"]), "count": [1, 2, 3], "x": 0.25})
    table.to_parquet(tmp_path / "one.parquet", compression="zstd")
    other = table.astype({"date": "datetime64[ns]", "count": "int32"})
    other.to_parquet(tmp_path / "two.parquet", compression=None)
    one, two = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("one", "two"))
    assert runs.content(table) == runs.content(one) == runs.content(two)
    for column, value in (("district", "c"), ("date", pd.Timestamp("2024-01-03")), ("count", 4), ("x", 0.5)):
        changed = table.copy()
        changed.loc[2, column] = value
        assert runs.content(changed) != runs.content(table)
    assert runs.content(table[::-1]) != runs.content(table) != runs.content(table, table)


def test_what_the_repository_keeps_is_complete() -> None:
    for folder in program.KEPT.iterdir():
        assert folder.name in {*panels.DEFINED, *program.speed.NIGHTS}
        assert kept.about(folder)["fingerprint"]
        records = {name: record for name, record in kept.records(folder).items() if not record.error}
        if folder.name in {*panels.REAL, *panels.SIMULATED}:
            models = {name: record.fingerprint for name, record in records.items() if name != worth.NAME}
            assert measured.read(folder, models).models == set(models)
