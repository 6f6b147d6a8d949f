"""The nights whose time is measured."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.benchmarks import runs
from experiments.benchmarks.accuracy import product, speed
from experiments.benchmarks.panels import daily
from experiments.benchmarks.runs import Run
from forecasting import city


def test_a_night_is_trained_with_the_tree_of_streets(tmp_path: Path) -> None:
    days = pd.date_range("2025-01-01", periods=100)
    rng = np.random.default_rng(0)
    parts = [pd.DataFrame({"district": s, "category": "a", "date": days, "count": rng.poisson(3, len(days))}) for s in ("s1", "s2", "s3")]
    pd.concat(parts).to_parquet(tmp_path / "counts.parquet", index=False)
    pd.DataFrame({"code": ["s1", "s2", "s3"], "parent": ["d1", "d1", "d2"]}).to_parquet(tmp_path / "areas.parquet", index=False)
    out = tmp_path / "scores.parquet"
    asked = {"counts": str(tmp_path / "counts.parquet"), "areas": str(tmp_path / "areas.parquet"), "drivers": None}
    made = runs.ensure(Run(out, product.command("night", out, asked), "f"), str)
    assert made.error == ""
    table = pd.read_parquet(out)
    assert set(table["series"]) == {3}
    assert set(table["level"]) == {"series", "district", "category", "city"}
    assert "total" in json.loads(out.with_suffix(".log").read_text().splitlines()[-1])


def test_the_city_of_a_night_has_448_series_and_no_others() -> None:
    counts = daily(city.simulate(0, 1.0, speed.START.replace(month=11), speed.START.replace(month=12, day=31)).counts)
    kept = speed.base(counts)
    assert len(kept[["district", "category"]].drop_duplicates()) == 448
    assert len(kept) < len(counts)
