"""The public peers' script: a file in, a file out, nothing of the product."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.benchmarks.accuracy import compare, peers

DAYS = pd.date_range("2024-01-01", periods=150)
CUTOFF = DAYS[99]


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    """Rows with tickets of three pairs; the third is first named after the cutoff."""
    rng = np.random.default_rng(0)
    parts = []
    for district, category, first in (("d1", "a", 0), ("d1", "b", 5), ("d2", "a", 110)):
        number = rng.poisson(2 + np.arange(len(DAYS)) % 7)
        parts.append(pd.DataFrame({"district": district, "category": category, "date": DAYS, "count": number})[first:])
    made = pd.concat(parts, ignore_index=True)
    return made[made["count"] > 0]


def test_it_imports_nothing_of_the_product() -> None:
    tree = ast.parse(compare.PEERS_FILE.read_text("utf-8"))
    modules = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    modules += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert modules
    assert not {name.split(".")[0] for name in modules} & {"forecasting", "experiments", "service", ""}


def test_the_nodes_are_the_pairs_named_by_the_cutoff_and_their_sums(counts: pd.DataFrame) -> None:
    nodes, long = peers.table_of(counts, CUTOFF)
    pairs = set(zip(nodes["district"], nodes["category"], strict=True))
    assert pairs == {("d1", "a"), ("d1", "b"), ("ALL", "a"), ("ALL", "b"), ("d1", "ALL"), ("ALL", "ALL")}
    assert (long.groupby("unique_id").size() == 100).all()
    assert long["ds"].max() == CUTOFF


def test_every_node_has_what_was_counted_and_zeros_elsewhere(counts: pd.DataFrame) -> None:
    nodes, long = peers.table_of(counts, CUTOFF)
    named = long.merge(nodes, on="unique_id").set_index(["district", "category", "ds"])["y"].sort_index()
    past = counts[counts["date"] <= CUTOFF]
    for row in past[past["date"] == CUTOFF].itertuples():
        assert named[row.district, row.category, row.date] == row.count
    assert named["ALL", "ALL"].sum() == past["count"].sum()
    assert named["ALL", "a"].sum() == past.loc[past["category"] == "a", "count"].sum()
    assert (named["d1", "b"].iloc[:5] == 0).all()


def test_what_a_library_gives_becomes_the_form_of_the_product() -> None:
    nodes = pd.DataFrame({"unique_id": ["000000"], "district": ["d"], "category": ["ALL"]})
    made = pd.DataFrame({"unique_id": ["000000"], "ds": [CUTOFF + pd.Timedelta(days=1)], "M": [3.0]})
    for width, (low, high) in {50: (2.0, 4.0), 80: (1.0, 5.0), 90: (-1.0, 6.0)}.items():
        made[f"M-lo-{width}"], made[f"M-hi-{width}"] = low, high
    row = peers.as_forecasts(made, nodes, "Peer", CUTOFF).iloc[0]
    assert list(row.index) == peers.COLUMNS
    assert list(row[["mean", "q05", "q10", "q25", "q50", "q75", "q90", "q95"]]) == [3.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert (row["district"], row["category"], row["model"]) == ("d", "ALL", "Peer")


def test_one_peer_forecasts_every_node_and_day_as_a_program_of_its_own(counts: pd.DataFrame, tmp_path: Path) -> None:
    counts.to_parquet(tmp_path / "counts.parquet", index=False)
    command = [sys.executable, "-P", str(compare.PEERS_FILE), str(tmp_path / "counts.parquet"), str(tmp_path / "out.parquet")]
    done = subprocess.run([*command, "Prophet", "none", f"{CUTOFF:%Y-%m-%d}"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made = pd.read_parquet(tmp_path / "out.parquet")
    assert len(made) == 6 * peers.HORIZON
    assert made[peers.COLUMNS[5:]].notna().all(axis=None)
    assert (made[["q05", "q10", "q25", "q50"]].diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
    assert made["date"].min() == CUTOFF + pd.Timedelta(days=1)
    city = made[(made["district"] == "ALL") & (made["category"] == "ALL")]
    assert 5 < city["mean"].mean() < 20  # ten a day came
