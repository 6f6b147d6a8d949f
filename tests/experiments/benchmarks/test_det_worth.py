"""What detectors and rules are worth: each is switched off for a while, and nothing else is."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import replay as replaying
from experiments.benchmarks.detection import apart, bars, passes, replay, worth
from experiments.benchmarks.detection.apart import Apart
from experiments.benchmarks.runs import Record, Run

QUICK = """\
windows: 3
members:
  four_week_mean:
  loglinear: {years: 1}
"""


def request(folder: Path) -> replaying.Request:
    """A month of a small city: three days of three times as many in one series, and single tickets that came together elsewhere."""
    rng = np.random.default_rng(2)
    days = pd.date_range("2025-01-01", periods=140)
    rates = {("d1", "HEAT"): 12.0, ("d1", "ROAD"): 6.0, ("d2", "HEAT"): 8.0, ("d2", "ROAD"): 4.0, ("d2", "TREE"): 0.05}
    counts = {pair: rng.poisson(rate, len(days)) for pair, rate in rates.items()}
    counts["d1", "HEAT"][125:128] *= 3
    counts["d2", "TREE"][130] = 4
    rows = [pd.DataFrame({"district": d, "category": c, "date": days, "count": y}) for (d, c), y in counts.items()]
    pd.concat(rows).to_parquet(folder / "counts.parquet", index=False)
    (folder / "quick.yaml").write_text(QUICK)
    return replaying.Request("2025-04-25", "2025-05-20", folder / "counts.parquet", country="none", config=folder / "quick.yaml", workers=1)


@pytest.mark.parametrize("name", worth.PARTS)
def test_a_part_is_switched_off_where_it_stands_and_on_again(name: str) -> None:
    part = worth.PARTS[name]
    before = [getattr(where, attribute) for where, attribute, _ in part.where]
    with worth.without(part):
        assert [getattr(where, attribute) for where, attribute, _ in part.where] == [instead for *_, instead in part.where]
    assert [getattr(where, attribute) for where, attribute, _ in part.where] == before
    with pytest.raises(RuntimeError), worth.without(part):
        raise RuntimeError
    assert [getattr(where, attribute) for where, attribute, _ in part.where] == before


def test_without_nothing_a_year_is_as_replayed_and_without_a_part_it_is_another(tmp_path: Path) -> None:
    asked = request(tmp_path)
    trained = list(replaying.prepare(asked).issued(1))
    whole = replay.demand(replaying.run(asked, tmp_path / "out"))
    made = {name: worth.told(asked, trained, name) for name in worth.PARTS}
    pd.testing.assert_frame_equal(made[worth.NOTHING], whole[list(worth.TOLD)], check_dtype=False)
    assert len(made["one alert an event"]) > len(whole)
    assert "TREE" not in set(whole["category"])
    assert ("d2", "TREE") in set(zip(made["five tickets"]["district"], made["five tickets"]["category"], strict=True))


def test_a_table_is_kept_and_found_again(tmp_path: Path) -> None:
    columns = ["without", "what", *worth.FIGURES]
    table = pd.DataFrame([(name, part.what, 1.0, 0.5, 0.25, 2.0, 47.0, 0) for name, part in worth.PARTS.items()], columns=columns)
    record = Record("f" * 64, 9.0, 100.0, "2026-01-01", 0.0)
    folder, run = tmp_path / worth.NAME, Run(worth.out(tmp_path / "work"), (), record.fingerprint)
    apart.keep(folder, {"of": "a city"}, Apart(table, record, outdated=False))
    found = apart.collect(run.out, run, folder)
    assert found is not None
    pd.testing.assert_frame_equal(found.table, table)
    assert (found.record, found.outdated) == (record, False)
    assert apart.is_kept(run, folder)
    other = Run(run.out, (), "0" * 64)
    assert not apart.is_kept(other, folder)
    again = apart.collect(run.out, other, folder)
    assert again is not None
    assert again.outdated
    assert apart.collect(run.out, run, None) is None


def test_looks_at_a_large_city_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("DISTRICTS", 3), ("STREETS", 2), ("GROUPS", 2)):
        monkeypatch.setattr(passes, name, value)
    passes.main(tmp_path / "passes.parquet")
    table = pd.read_parquet(tmp_path / "passes.parquet")
    assert table["look"].value_counts().to_dict() == dict.fromkeys(passes.LIMITS, passes.LOOKS)
    assert (table["seconds"] > 0).all()
    record = Record("f" * 64, 9.0, 100.0, "2026-01-01", 0.3)
    slow = table.assign(seconds=[limit + 1 for limit in passes.LIMITS.values() for _ in range(passes.LOOKS)])
    for made, holds in ((table, True), (slow, False)):
        assert [bar.holds for bar in bars.of_passes(Apart(made, record, outdated=False))] == [holds, holds]
    assert [bar.holds for bar in bars.of_passes(Apart(table, record, outdated=True))] == [None, None]
