"""The nights whose time is measured."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.benchmarks import runs
from experiments.benchmarks.accuracy import night, speed
from experiments.benchmarks.panels import daily
from experiments.benchmarks.runs import Run
from forecasting import city


def test_a_night_goes_over_both_trees_and_makes_weeks_and_hours(tmp_path: Path) -> None:
    days = pd.date_range("2025-01-01", periods=100)
    rng = np.random.default_rng(0)
    pairs = [(s, c) for s in ("s1", "s2", "s3") for c in ("a1", "a2")]
    parts = [pd.DataFrame({"district": s, "category": c, "date": days, "count": rng.poisson(3, len(days))}) for s, c in pairs]
    hours = [pd.DataFrame({"category": c, "date": days, "hour": hour, "count": rng.poisson(9, len(days))}) for c in ("a1", "a2") for hour in (9, 15)]
    tables = {
        "counts": pd.concat(parts),
        "areas": pd.DataFrame({"code": ["s1", "s2", "s3"], "parent": ["d1", "d1", "d2"]}),
        "categories": pd.DataFrame({"code": ["a1", "a2"], "parent": ["A", "A"]}),
        "hours": pd.concat(hours),
    }
    asked = {name: str(tmp_path / f"{name}.parquet") for name in tables}
    for name, table in tables.items():
        table.to_parquet(asked[name], index=False)
    out = tmp_path / "scores.parquet"
    made = runs.ensure(Run(out, runs.program(night.__name__, out, asked), "f"), str)
    assert made.error == ""
    table = pd.read_parquet(out)
    assert set(table["series"]) == {6}
    assert set(table["level"]) == {"series", "district", "category", "city"}
    said = json.loads(out.with_suffix(".log").read_text().splitlines()[-1])
    assert said["seconds"]["hours and packing"] > 0
    nodes = (3 + 2 + 1) * (2 + 1 + 1)
    assert said["rows"] == {"days": nodes * 28, "weeks": nodes * 13, "hours": 2 * 28}


def test_hours_are_of_the_whole_city_and_of_the_days_that_are_learnt_from() -> None:
    made = city.simulate(0, 0.3, speed.START, speed.START.replace(month=9, day=30)).counts
    hours = speed.hours_of(made)
    late = made[pd.to_datetime(made["date"]) > pd.Timestamp(speed.START.replace(month=9, day=30)) - pd.Timedelta(days=182)]
    assert hours["date"].nunique() == 182
    assert hours["count"].sum() == late["count"].sum()
    assert not hours.duplicated(["category", "date", "hour"]).any()


def test_the_city_of_a_night_has_448_series_and_no_others() -> None:
    counts = daily(city.simulate(0, 1.0, speed.START.replace(month=11), speed.START.replace(month=12, day=31)).counts)
    kept = speed.base(counts)
    assert len(kept[["district", "category"]].drop_duplicates()) == 448
    assert len(kept) < len(counts)
