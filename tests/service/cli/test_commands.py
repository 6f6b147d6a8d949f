"""Commands that do what their help says."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pandas as pd
from processes import Bench

from forecasting import explanation

Typed = Callable[..., tuple[int, str, str]]

FIRST = date(2025, 1, 6)
WEEK = np.array([1.2, 1.1, 1.0, 1.0, 1.0, 0.8, 0.7])


def write_counts(bench: Bench, days: int) -> None:
    rng = np.random.default_rng(3)
    dates = pd.date_range(FIRST, periods=days)
    parts = [
        pd.DataFrame({"district": d, "category": c, "date": dates, "count": rng.poisson(mean * WEEK[dates.day_of_week])})
        for d, c, mean in (("North", "Heat", 20.0), ("North", "Noise", 8.0), ("South", "Heat", 9.0))
    ]
    pd.concat(parts).to_csv(bench.folder / "counts.csv", index=False)


def said(bench: Bench, *arguments: str, **settings: object) -> str:
    done = bench.run(*arguments, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


def answer(typed: Typed, bench: Bench, *arguments: str, **settings: object) -> str:
    code, out, err = typed(bench, *arguments, **settings)
    assert code == 0, err
    return out


def test_no_command_shows_the_help_and_ends_with_2(bench: Bench) -> None:
    done = bench.run()
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: weisu")
    assert "backtest" in done.stderr


def test_help_needs_nothing_to_be_there(bench: Bench) -> None:
    assert "Usage: weisu train" in said(bench, "train", "--help")
    assert list(bench.folder.iterdir()) == []


def test_a_file_sent_twice_counts_once(bench: Bench) -> None:
    write_counts(bench, 30)
    first = bench.run("ingest", "counts.csv")
    again = bench.run("ingest", "counts.csv")
    assert (first.returncode, again.returncode) == (0, 0)
    assert "90 rows of counts" in first.stderr
    assert "0 new, 0 changed, 90 known already" in again.stderr
    state = json.loads(said(bench, "status", as_of="2025-02-04", timezone="UTC"))
    assert (state["complete_until"], state["forecast_set"], state["last_run"], state["running_alerts"]) == ("2025-02-04", None, None, 0)


def test_keys_are_made_listed_and_revoked(bench: Bench, typed: Typed) -> None:
    answer(typed, bench, "db", "upgrade")
    key = answer(typed, bench, "keys", "create", "--name", "duty desk", "--scope", "alerts:write").strip()
    assert key.startswith("weisu_")
    assert key.count("\n") == 0
    (line,) = answer(typed, bench, "keys", "list").splitlines()
    key_id = key.split("_")[1]
    assert line == f"{key_id}  duty desk  alerts:write  the whole city  valid  never used"
    assert key not in line, "a key is shown once"
    answer(typed, bench, "keys", "revoke", key_id)
    assert answer(typed, bench, "keys", "list").strip().endswith("revoked  never used")
    assert typed(bench, "keys", "revoke", key_id)[0] == 2


def test_a_key_is_replaced_with_an_overlap(bench: Bench, typed: Typed) -> None:
    at = {"as_of": "2025-11-09T12:00", "timezone": "UTC"}
    answer(typed, bench, "db", "upgrade")
    old = answer(typed, bench, "keys", "create", "--name", "bi", "--expires-in", "365d", **at).split("_")[1]
    new = answer(typed, bench, "keys", "rotate", old, "--overlap", "12h", **at).split("_")[1]
    state = {line.split()[0]: line.split("  ")[4] for line in answer(typed, bench, "keys", "list", **at).splitlines()}
    assert state == {old: f"valid until 2025-11-10 00:00, replaced by {new}", new: "valid until 2026-11-09 12:00"}
    later = answer(typed, bench, "keys", "list", as_of="2025-11-10T00:00", timezone="UTC")
    assert f"expired, replaced by {new}" in later


def test_the_page_of_this_machine_has_an_address_with_a_token_and_that_of_a_network_none(bench: Bench, typed: Typed) -> None:
    answer(typed, bench, "db", "upgrade")
    assert re.fullmatch(r"http://127\.0\.0\.1:8123/\?token=[\w-]{43}\n", answer(typed, bench, "keys", "page", api_port=8123))
    code, out, err = typed(bench, "keys", "page", host="0.0.0.0")
    assert (code, out) == (2, "")
    assert "use a key" in err


def test_a_night_by_hand(bench: Bench, typed: Typed) -> None:
    write_counts(bench, 45)
    until = FIRST + timedelta(days=44)
    settings = {"as_of": until, "timezone": "UTC", "country": "none"}
    answer(typed, bench, "ingest", "counts.csv", **settings)
    assert said(bench, "train", **settings) == "", "stdout is for answers"
    code, _, err = typed(bench, "train", **settings)
    assert code == 2
    assert err.count("\n") == 1
    assert "--force" in err

    rows = pd.DataFrame(json.loads(answer(typed, bench, "forecast", "--area", "North", "--format", "json", **settings)))
    assert len(rows) == 28
    assert list(rows["horizon"]) == list(range(1, 29))
    assert rows["date"].min() == f"{until + timedelta(days=1)}"
    assert (rows["q05"] <= rows["q50"]).all()
    assert (rows["q50"] <= rows["q95"]).all()
    table = answer(typed, bench, "forecast", "--format", "csv", **settings)
    assert table.splitlines()[0].startswith("area,category,date,horizon,mean")
    assert answer(typed, bench, "forecast", **settings).splitlines()[1].split()[0] == f"{until + timedelta(days=1)}"
    told = pd.DataFrame(json.loads(answer(typed, bench, "forecast", "--area", "North", "--explain", "--format", "json", **settings)))
    assert set(told["known_until"]) == {f"{until}"}
    np.testing.assert_allclose(told[list(explanation.NAMES)].sum(axis=1), told["mean"])
    lines = answer(typed, bench, "forecast", "--explain", **settings).splitlines()
    assert lines[0].split() == ["date", "horizon", "mean", *explanation.NAMES]
    assert lines[-1].startswith(f"known until {until}, run ")
    ahead = answer(typed, bench, "forecast", "--area", "North", "--granularity", "week", "--format", "json", **settings)
    weeks = pd.DataFrame(json.loads(ahead))
    assert list(weeks["week_ahead"]) == list(range(1, 14))
    assert abs(weeks["mean"][0] - rows["mean"][:7].sum()) < 1e-6
    assert answer(typed, bench, "forecast", "--granularity", "week", **settings).splitlines()[0].split()[:2] == ["date", "week_ahead"]
    assert json.loads(answer(typed, bench, "alerts", "--format", "json", "--status", "acknowledged", **settings)) == []
    told = json.loads(answer(typed, bench, "alerts", "--format", "json", **settings))
    data = json.loads(answer(typed, bench, "alerts", "--format", "json", "--kind", "SPIKE", "--kind", "DATA", **settings))
    assert data == [alert for alert in told if alert["kind"] in ("SPIKE", "DATA")]
    assert json.loads(answer(typed, bench, "status", **settings))["last_run"]["status"] == "done"

    for arguments, named in (
        (("--area", "Atlantis"), "Atlantis"),
        (("--category", "Gold"), "Gold"),
        (("--area", "South", "--category", "Noise"), "South"),
        (("--format", "xml"), "xml"),
        (("--granularity", "month"), "month"),
        (("--granularity", "hour"), "hour"),  # the counts came by whole days
    ):
        code, _, err = typed(bench, "forecast", *arguments, **settings)
        assert code == 2
        assert err.count("\n") == 1
        assert named in err


def test_whoever_reads_only_the_first_line_sees_no_complaint(bench: Bench) -> None:
    said(bench, "db", "upgrade")
    weisu = [sys.executable, "-m", "service.cli", "status"]
    with subprocess.Popen(
        weisu, cwd=bench.folder, env=bench.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as reader:
        assert reader.stdout is not None
        assert reader.stderr is not None
        reader.stdout.close()
        assert reader.stderr.read() == b""


def test_a_backtest_of_a_small_file(bench: Bench) -> None:
    write_counts(bench, 100)
    cutoffs = ("2025-03-02", "2025-04-15")  # after the second one the file has no actuals
    table = said(bench, "backtest", "--counts", "counts.csv", "--cutoffs", ",".join(cutoffs), "--horizon", "14", "--out", "out", "--country", "none")
    assert "champion" in table
    rows = pd.read_parquet(bench.folder / "out" / "forecasts.parquet")
    quantiles = ["q05", "q10", "q25", "q50", "q75", "q90", "q95"]
    assert list(rows.columns) == ["district", "category", "cutoff", "date", "horizon", "model", "mean", *quantiles]
    assert len(rows) == 2 * 14 * (3 + 2 + 2 + 1)
    assert not rows.duplicated(["district", "category", "cutoff", "horizon"]).any()
    assert (rows["date"] == rows["cutoff"] + pd.to_timedelta(rows["horizon"], unit="D")).all()
    assert np.isfinite(rows[["mean", *quantiles]]).all(axis=None)
    assert (rows[["mean", *quantiles]] >= 0).all(axis=None)
    assert (np.diff(rows[quantiles], axis=1) >= 0).all()
    wide = rows.pivot_table(index=["cutoff", "horizon"], columns=["district", "category"], values="mean")
    np.testing.assert_allclose(wide["North"]["Heat"] + wide["North"]["Noise"], wide["North"]["ALL"], atol=1e-6)
    np.testing.assert_allclose(wide["North"]["ALL"] + wide["South"]["ALL"], wide["ALL"]["ALL"], atol=1e-6)
    scores = pd.read_parquet(bench.folder / "out" / "scores.parquet")
    assert {"model", "level", "WAPE"} <= set(scores.columns)

    first = (bench.folder / "out" / "forecasts.parquet").read_bytes()
    text = said(bench, "backtest", "--counts", "counts.csv", "--cutoffs", ",".join(cutoffs), "--horizon", "14", "--out", "again", "--country", "none")
    assert text == table
    assert (bench.folder / "again" / "forecasts.parquet").read_bytes() == first, "the same inputs and seed give the same bytes"


def test_a_simulated_city_can_be_brought_in(bench: Bench) -> None:
    said(bench, "simulate", "--out", "city", "--scale", "0.002", "--start", "2025-01-01", "--end", "2025-03-05")
    files = [str(bench.folder / "city" / name) for name in ("areas.csv", "categories.csv", "drivers.parquet", "tickets.parquet")]
    done = bench.run("ingest", *files, as_of="2025-03-05")
    assert done.returncode == 0, done.stderr
    kinds = [line.split(" rows of ")[1].split(",")[0] for line in done.stderr.splitlines() if " rows of " in line]
    assert kinds == ["areas", "categories", "drivers", "tickets"]
    assert "rejected" not in done.stderr
    assert json.loads(said(bench, "status", as_of="2025-03-05"))["complete_until"] == "2025-03-05"
