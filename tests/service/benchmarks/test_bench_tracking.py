"""What MLflow costs is measured as it is: on real recordings, and a bar that is not reached is called so."""

import pickle
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from job_city import OLD_WAYS_OF_MLFLOW, counts

from experiments import night
from forecasting import recipe
from forecasting.hierarchy import Tree
from forecasting.models.base import Known
from forecasting.panel import from_counts
from service.benchmarks.tracking import measure, page, stores
from service.benchmarks.tracking.measure import Recorded

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)

WELL = Recorded(waited=6.0, total=6.5, writing=4.0, runs=8, mb=1.5, files=20, left=0)
ILL = Recorded(waited=12.5, total=float("nan"), writing=4.0, runs=0, mb=0.0, files=0, left=1)


def table(*rows: page.Row, path: Path) -> pd.DataFrame:
    return page.keep(rows, path)


def held(kept: pd.DataFrame) -> dict[str, bool | None]:
    return {bar.what.split(", ")[0]: bar.holds for bar in page.bars(kept) if bar.what.startswith("448")}


def test_a_bar_is_reached_by_all_or_not_at_all(tmp_path: Path) -> None:
    well = page.row(448, "SQLite", True, [WELL, replace(WELL, total=9.9), replace(WELL, total=5.0)], 0.5, "2026-01-01")
    assert (well.total, well.total_least, well.total_most) == (6.5, 5.0, 9.9)
    ill = page.row(448, "dead", False, [ILL], 0.5, "2026-01-01")
    kept = table(well, ill, path=tmp_path / "kept.csv")
    seconds, waits, runs, spool = held(kept)
    assert held(kept) == {seconds: True, waits: True, runs: True, spool: True}
    slower = page.row(448, "PostgreSQL", True, [replace(WELL, total=10.5, runs=13)], 0.5, "2026-01-01")
    never = page.row(448, "server", True, [replace(ILL, left=2, waited=15.5)], 0.5, "2026-01-01")
    lost = page.row(448, "full", False, [replace(ILL, left=0)], 0.5, "2026-01-01")
    for one, expected in ((slower, (False, True, False, True)), (never, (False, False, True, True)), (lost, (True, True, True, False))):
        worse = held(table(well, ill, one, path=tmp_path / f"{one.mlflow}.csv"))
        assert tuple(worse.values()) == expected, one.mlflow
    assert {bar.holds for bar in page.bars(kept) if bar.what.startswith("20,000") and "spool" not in bar.what} == {None}


def test_what_is_measured_anew_takes_the_place_of_what_was_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "kept.csv"
    for series, day in ((448, "2026-01-01"), (20_000, "2026-01-02"), (448, "2026-01-03")):
        kept = table(page.row(series, "SQLite", True, [WELL], 0.5, day), path=path)
    assert kept[["series", "measured"]].values.tolist() == [[448, "2026-01-03"], [20_000, "2026-01-02"]]
    text = page.page("2026-01-03", kept, pd.DataFrame({"what": ["x"]}))
    assert "| 448 | SQLite | 6.5 | 6.0 | 4.0 | 8 | 20 | 1.5 | 0.5 | 2026-01-03 |" in text


@contextmanager
def echo() -> Iterator[str]:
    """A server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send_back(caller: socket.socket) -> None:
            with caller:
                caller.sendall(caller.recv(100))

        stores._each_connection(server, send_back)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        stores._close([server])


def call(address: str, seconds: float, words: str = "is anybody there?") -> bytes:
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=seconds) as line:
        line.sendall(words.encode())
        return line.recv(100)


def test_the_slow_line_holds_each_answer_and_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "HELD", 0.3)
    with echo() as address, stores.slow(address) as line:
        began = time.monotonic()
        assert call(line, 30) == b"is anybody there?"
        assert time.monotonic() - began >= 0.3
        host = address.removeprefix("http://")
        assert call(line, 30, f"Host: {line.removeprefix('http://')}\r\n") == f"Host: {host}\r\n".encode(), "it answers to its own name only"


def test_the_silent_server_never_answers_and_at_the_dead_one_nobody_is() -> None:
    with stores.silent() as address, pytest.raises(TimeoutError):
        call(address, 0.2)
    with stores.dead() as address, pytest.raises(ConnectionRefusedError):
        call(address, 0.2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A night of nine series and the baselines."""
    known = Known(from_counts(counts(100)), Tree(), Tree(), None, "none")
    chosen = recipe.from_mapping({"windows": 2, "members": {"seasonal_naive": None, "usual_weeks": None}})
    path = tmp_path_factory.mktemp("night") / "night.pickle"
    path.write_bytes(pickle.dumps(night.train(known, chosen, 14)))
    return path


def test_a_night_of_two_trainings_is_recorded_whole_and_all_of_it_is_counted(trained: Path, tmp_path: Path) -> None:
    artifacts = tmp_path / "data" / "mlflow" / "artifacts"
    with stores.sqlite(tmp_path) as uri:
        made = measure.record(trained, uri, tmp_path / "data", artifacts, refused=True, well=True)
    assert made.runs == 5, "one for each training, for each member of the first, for the blend"
    assert made.left == 0
    assert 0 < made.writing < made.waited <= made.total
    kept = [path.stat().st_size for path in artifacts.rglob("*") if path.is_file()]
    assert (made.files, made.mb) == (len(kept), pytest.approx(sum(kept) / 1e6))


def test_what_nobody_takes_waits(trained: Path, tmp_path: Path) -> None:
    with stores.dead() as uri:
        made = measure.record(trained, uri, tmp_path / "data", tmp_path / "none", refused=False, well=False)
    assert (made.runs, made.files, made.left) == (0, 0, 1)
    assert np.isnan(made.total)
