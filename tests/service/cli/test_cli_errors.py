"""Whatever is wrong with what a person typed: exit code 2, one line that says what, where and how to mend it, nothing half done."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from processes import Bench

COUNTS = "district,category,date,count\nNorth,Heat,2025-01-06,3\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A machine with an empty store and some odd files."""
    bench = Bench(tmp_path_factory.mktemp("cli") / "machine")
    assert bench.run("db", "upgrade").returncode == 0
    (bench.folder / "counts.csv").write_text(COUNTS)
    (bench.folder / "folder.csv").mkdir()
    (bench.folder / "binary.csv").write_bytes(np.random.default_rng(0).bytes(5000))
    (bench.folder / "binary.parquet").write_bytes(b"PAR1" + b"\0" * 500)
    (bench.folder / "empty.csv").write_bytes(b"")
    (bench.folder / "header.csv").write_text("district,category,date,count\n")
    (bench.folder / "odd.csv").write_text("a,b\n1,2\n")
    (bench.folder / "letter.txt").write_text("Dear city")
    (bench.folder / "day.csv").write_text(COUNTS + "North,Heat,2025-13-01,4\n")
    (bench.folder / "recipe.yaml").write_text("members:\n  crystal_ball:\n")
    (bench.folder / "broken.yaml").write_text("members: [\n")
    yield bench
    assert bench.living() == {}


BACKTEST = ("backtest", "--counts", "counts.csv", "--out", "out", "--country", "none", "--cutoffs")
REPLAY = ("replay", "--counts", "counts.csv", "--start", "2025-01-06", "--out", "out", "--country", "none", "--end")

BAD = {
    "unknown command": (("foretell",), {}, "foretell"),
    "unknown flag": (("train", "--fast"), {}, "--fast"),
    "missing argument": (("ingest",), {}, "files"),
    "no number": (("simulate", "--out", "city", "--seed", "x"), {}, "--seed"),
    "missing file": (("ingest", "nothing.csv"), {}, "nothing.csv"),
    "one of two files is missing": (("ingest", "counts.csv", "nothing.csv"), {}, "nothing.csv"),
    "folder for a file": (("ingest", "folder.csv"), {}, "folder.csv"),
    "binary file": (("ingest", "binary.csv"), {}, "binary.csv"),
    "broken Parquet": (("ingest", "binary.parquet"), {}, "binary.parquet"),
    "empty file": (("ingest", "empty.csv"), {}, "empty.csv"),
    "header alone": (("ingest", "header.csv"), {}, "has no rows"),
    "unknown columns": (("ingest", "odd.csv"), {}, "odd.csv"),
    "another ending": (("ingest", "letter.txt"), {}, ".txt"),
    "train on an empty store": (("train",), {}, "weisu ingest"),
    "a challenger that is not set": (("train", "--challenger"), {}, "WEISU_CHALLENGER"),
    "a challenger by force": (("train", "--challenger", "--force"), {}, "--force"),
    "watch an empty store": (("watch",), {}, "weisu ingest"),
    "forecast before the first training": (("forecast",), {}, "weisu train"),
    "unknown status of alerts": (("alerts", "--status", "closed"), {}, "--status"),
    "unknown kind of alerts": (("alerts", "--kind", "FLOOD"), {}, "--kind"),
    "unknown format of alerts": (("alerts", "--format", "xml"), {}, "--format"),
    "unknown key": (("keys", "revoke", "nobody"), {}, "nobody"),
    "unknown scope": (("keys", "create", "--name", "x", "--scope", "everything"), {}, "everything"),
    "key for an unknown district": (("keys", "create", "--name", "x", "--district", "Atlantis"), {}, "Atlantis"),
    "no span of time": (("keys", "create", "--name", "x", "--expires-in", "a year"), {}, "7d, 12h or 30m"),
    "rotation of an unknown key": (("keys", "rotate", "nobody"), {}, "weisu keys list"),
    "tokens of an issuer for nobody": (("status",), {"oidc_issuer": "https://login.example.org"}, "WEISU_OIDC_AUDIENCE"),
    "missing database": (("status",), {"data_dir": "elsewhere"}, "weisu db upgrade"),
    "API without a database": (("api",), {"data_dir": "elsewhere", "api_port": 1024}, "weisu db upgrade"),
    "no address of a database": (("status",), {"database_url": "my database"}, "WEISU_DATABASE_URL"),
    "unknown kind of database": (("status",), {"database_url": "oracel://x/y"}, "WEISU_DATABASE_URL"),
    "setting out of range": (("status",), {"api_port": 0}, "WEISU_API_PORT"),
    "setting of another kind": (("status",), {"workers": "many"}, "WEISU_WORKERS"),
    "unknown time zone": (("status",), {"timezone": "Mars/Olympus"}, "Mars/Olympus"),
    "folder of time zones": (("status",), {"timezone": "Asia"}, "WEISU_TIMEZONE"),
    "no date to stand at": (("status",), {"as_of": "yesterday"}, "WEISU_AS_OF"),
    "date beyond all time": (("status",), {"as_of": "9999-12-31"}, "WEISU_AS_OF"),
    "unknown country": (("train",), {"country": "XX"}, "XX"),
    "scheduler with an unknown country": (("scheduler",), {"country": "XX"}, "XX"),
    "address that is not this machine's": (("api",), {"host": "192.0.2.1"}, "192.0.2.1"),
    "no files to backtest": (("backtest", "--cutoffs", "2025-01-06", "--out", "out"), {}, "--counts"),
    "missing file to backtest": (("backtest", "--counts", "no.csv", "--cutoffs", "2025-01-06", "--out", "out"), {}, "no.csv"),
    "folder to backtest": (("backtest", "--counts", "folder.csv", "--cutoffs", "2025-01-06", "--out", "out"), {}, "folder.csv"),
    "binary file to backtest": (("backtest", "--counts", "binary.csv", "--cutoffs", "2025-01-06", "--out", "out"), {}, "binary.csv"),
    "wrong date in a file to backtest": (("backtest", "--counts", "day.csv", "--cutoffs", "2025-01-06", "--out", "out"), {}, "2025-13-01"),
    "cutoff that is no date": ((*BACKTEST, "6.1.2025"), {}, "6.1.2025"),
    "cutoff outside the data": ((*BACKTEST, "2030-01-01"), {}, "2030-01-01"),
    "horizon out of range": ((*BACKTEST, "2025-01-06", "--horizon", "0"), {}, "--horizon"),
    "unknown model": ((*BACKTEST, "2025-01-06", "--models", "oracle"), {}, "oracle"),
    "unknown country to backtest": ((*BACKTEST, "2025-01-06", "--country", "XX"), {}, "XX"),
    "recipe with an unknown model": ((*BACKTEST, "2025-01-06", "--config", "recipe.yaml"), {}, "crystal_ball"),
    "broken recipe": ((*BACKTEST, "2025-01-06", "--config", "broken.yaml"), {}, "broken.yaml"),
    "missing recipe": ((*BACKTEST, "2025-01-06", "--config", "none.yaml"), {}, "none.yaml"),
    "results into a file": (("backtest", "--counts", "counts.csv", "--cutoffs", "2025-01-06", "--out", "counts.csv"), {}, "--out"),
    "no files to replay": (("replay", "--start", "2025-01-06", "--end", "2025-01-06", "--out", "out"), {}, "--counts"),
    "no days to replay": (("replay", "--counts", "counts.csv", "--end", "2025-01-06", "--out", "out"), {}, "--start"),
    "too short a history to replay": ((*REPLAY, "2025-01-06"), {}, "--start"),
    "replay of days outside the data": ((*REPLAY, "2030-01-01"), {}, "2030-01-01"),
    "trainings without days between them": ((*REPLAY, "2025-01-06", "--refit-days", "0"), {}, "--refit-days"),
    "budget below nothing": ((*REPLAY, "2025-01-06", "--budget", "-1"), {}, "--budget"),
    "replay into a file": ((*REPLAY, "2025-01-06", "--out", "counts.csv"), {}, "--out"),
    "simulated city that ends before it begins": (("simulate", "--out", "city", "--start", "2024-02-01", "--end", "2024-01-01"), {}, "2024-0"),
    "simulated city from no day": (("simulate", "--out", "city", "--start", "soon"), {}, "--start"),
    "simulated city without people": (("simulate", "--out", "city", "--scale", "0"), {}, "scale"),
    "demo on a missing file": (("demo", "--once", "--data", "no.csv"), {}, "no.csv"),
    "demo at an address that is not this machine's": (("demo", "--once", "--data", "counts.csv"), {"host": "192.0.2.1"}, "192.0.2.1"),
    "demo in no country": (("demo", "--once", "--data", "counts.csv", "--country", "XX"), {}, "XX"),
    "demo as of no day": (("demo", "--once", "--data", "counts.csv", "--as-of", "2011-13-01"), {}, "weisu: --as-of: '2011-13-01' is"),
    "demo in no time zone": (("demo", "--once", "--data", "counts.csv", "--tz", "Mars/X"), {}, "weisu: --tz: no time zone is named 'Mars/X'"),
}


AS_A_PROCESS = (
    "unknown command",
    "unknown flag",
    "missing file",
    "train on an empty store",
    "scheduler with an unknown country",
    "unknown time zone",
)


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_with_2_and_one_line_that_names_it(shared: Bench, typed: Callable[..., tuple[int, str, str]], case: str) -> None:
    arguments, settings, named = BAD[case]
    before = image(shared)
    if case in AS_A_PROCESS:
        done = shared.run(*arguments, **settings)
        code, out, err = done.returncode, done.stdout, done.stderr
    else:
        code, out, err = typed(shared, *arguments, **settings)
    assert code == 2, err
    assert out == ""
    assert err.startswith("weisu: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert named in err
    assert "Traceback" not in err
    assert image(shared) == before, "nothing is half done"


def image(bench: Bench) -> object:
    """What the store holds but the list of failed ingests, and the files beside it."""
    with sqlite3.connect(bench.folder / ".weisu" / "weisu.db") as store:
        tables = [name for (name,) in store.execute("select name from sqlite_master where type = 'table' order by name")]
        rows = {name: store.execute(f'select count(*) from "{name}"').fetchone() for name in tables if name not in ("ingests", "sqlite_sequence")}
        ingests = store.execute("select count(*) from ingests where status != 'failed'").fetchone()
    store.close()
    files = sorted(str(p.relative_to(bench.folder)) for p in bench.folder.rglob("*") if not p.name.endswith(("-wal", "-shm")))
    return rows, ingests, files


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("timezone = [", "weisu.toml"),
        ("time_zone = 'Asia/Shanghai'", "TIME_ZONE"),
        ("api_port = 'http'", "WEISU_API_PORT"),
        (b"\xff\xfe\x00", "weisu.toml"),
    ],
    ids=["no TOML", "unknown name", "another kind", "no text"],
)
def test_a_bad_settings_file_is_said_in_one_line(bench: Bench, text: str | bytes, named: str) -> None:
    (bench.folder / "weisu.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    done = bench.run("status")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert named in done.stderr
    assert [p.name for p in bench.folder.iterdir()] == ["weisu.toml"]


def test_wrong_rows_are_listed_and_the_others_taken(bench: Bench) -> None:
    (bench.folder / "day.csv").write_text(COUNTS + "North,Heat,2025-13-01,4\n")
    done = bench.run("ingest", "day.csv")
    assert done.returncode == 0
    assert "1 row rejected" in done.stderr
    (rejects,) = (bench.folder / ".weisu" / "rejects").iterdir()
    assert "3" in pd.read_csv(rejects)["line"].astype(str).tolist()


def test_a_fault_of_ours_ends_with_1_and_one_line_and_a_file_for_the_engineer(bench: Bench) -> None:
    folder = bench.folder / ".weisu"
    assert bench.run("db", "upgrade").returncode == 0
    with closing(sqlite3.connect(folder / "weisu.db")) as database:
        database.execute("DROP TABLE runs")
    done = bench.run("status")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    (details,) = (folder / "errors").iterdir()
    assert str(details.name) in done.stderr
    assert "Traceback" in details.read_text()


def test_a_folder_that_cannot_be_is_said(bench: Bench) -> None:
    (bench.folder / "file").write_text("")
    (bench.folder / "counts.csv").write_text(COUNTS)
    for arguments in (("db", "upgrade"), ("ingest", "counts.csv"), ("demo", "--once", "--data", "counts.csv")):
        done = bench.run(*arguments, data_dir=str(Path("file") / "data"))
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert "file" in done.stderr


def test_a_database_that_fails_meanwhile_is_told_as_such_and_what_can_be_done(bench: Bench) -> None:
    (bench.folder / "counts.csv").write_text(COUNTS)
    assert bench.run("db", "upgrade").returncode == 0
    with closing(sqlite3.connect(bench.folder / ".weisu" / "weisu.db")) as another:
        another.execute("BEGIN IMMEDIATE")
        done = bench.run("ingest", "counts.csv")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "the database failed meanwhile (database is locked)" in done.stderr
    assert "run the command again" in done.stderr
    assert bench.run("ingest", "counts.csv").returncode == 0
