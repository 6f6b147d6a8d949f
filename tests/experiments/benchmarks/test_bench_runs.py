"""Measured runs: kept while their inputs stay, honest about what failed."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from processes import until

from experiments.benchmarks import runs
from experiments.benchmarks.runs import Run

WRITES = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text('made'); pathlib.Path(sys.argv[2]).open('a').write('x')"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    out = tmp_path / "panel" / "model.parquet"
    return Run(out, (sys.executable, "-c", WRITES, str(out), str(tmp_path / "times")), "one")


def times(run: Run) -> int:
    return len((run.out.parents[1] / "times").read_text())


def test_what_is_there_is_not_run_again_until_its_inputs_change(run: Run) -> None:
    first = runs.ensure(run, str)
    assert first == runs.ensure(run, str) == runs.record(run.out)
    assert times(run) == 1
    assert runs.ensure(replace(run, fingerprint="two"), str).fingerprint == "two"
    assert times(run) == 2


def test_a_file_that_was_lost_is_made_again(run: Run) -> None:
    runs.ensure(run, str)
    run.out.unlink()
    runs.ensure(run, str)
    assert times(run) == 2


def test_a_run_that_fails_says_why_leaves_no_file_and_is_tried_again(run: Run) -> None:
    runs.ensure(run, str)
    fails = replace(run, command=(sys.executable, "-c", "raise SystemExit('no such thing')"), fingerprint="two")
    assert "no such thing" in runs.ensure(fails, str).error
    assert not run.out.exists()
    assert runs.ensure(replace(run, fingerprint="two"), str).error == ""


def test_a_command_that_ends_well_but_writes_nothing_has_failed(run: Run) -> None:
    assert runs.ensure(replace(run, command=(sys.executable, "-c", "pass")), str).error


def test_what_was_stopped_half_way_goes_on_where_it_was(run: Run) -> None:
    writes = (
        "import sys, pathlib, pandas; pathlib.Path(sys.argv[3]).open('a').write('x'); sys.argv[2] in ('a', 'mended') or sys.exit('stopped');"
        "pandas.DataFrame({'day': [sys.argv[2]]}).to_parquet(sys.argv[1])"
    )

    def whole(*days: str) -> Run:
        parts = []
        for i, day in enumerate(days):
            out = run.out.with_suffix("") / f"{i}.parquet"
            parts.append(Run(out, (sys.executable, "-c", writes, str(out), day, str(run.out.parents[1] / "times")), day))
        return replace(run, parts=tuple(parts))

    stopped = runs.ensure(whole("a", "b", "a"), str)
    assert "stopped" in stopped.error
    assert not run.out.exists()
    assert times(run) == 2
    made = runs.ensure(whole("a", "mended", "a"), str)
    assert times(run) == 4, "the first part was made once"
    assert pd.read_parquet(run.out)["day"].tolist() == ["a", "mended", "a"]
    seconds = [part.seconds for part in (runs.record(part.out) for part in whole("a", "mended", "a").parts) if part]
    assert made.seconds == pytest.approx(sum(seconds), abs=0.1)
    assert runs.ensure(whole("a", "mended", "a"), str) == made
    assert times(run) == 4


def test_memory_is_of_the_process_and_its_workers(tmp_path: Path) -> None:
    holds = "import subprocess, sys, time; b = b'x' * 60_000_000; {}; time.sleep(1.5)"
    alone = holds.format("pass")
    child = holds.format("p = subprocess.Popen([sys.executable, '-c', sys.argv[1]])")
    with (tmp_path / "log").open("w") as log:
        code, seconds, peak = runs.measured((sys.executable, "-c", child, alone), log.fileno())
    assert code == 0
    assert seconds >= 1.5
    assert 120 < peak < 400


def test_code_is_the_same_with_other_words_about_it_and_another_with_another_number(tmp_path: Path) -> None:
    path = tmp_path / "a.py"

    def code(text: str) -> str:
        path.write_text(text)
        return runs.code([path])

    before = code("x = 1\ndef f():\n    return 'a'\n")
    assert code('"""A module."""\n# why\nx = (1)\n"""A number."""\ndef f():\n    """Says a."""\n    return "a"\n') == before
    assert code("x = 2\ndef f():\n    return 'a'\n") != before
    assert code("x = 1\ndef f():\n    return 'b'\n") != before


def test_what_a_backtest_goes_through_is_followed_from_its_imports_and_nothing_else() -> None:
    def names(entry: str, without: tuple[str, ...] = ()) -> set[str]:
        return {str(path.relative_to(runs.ROOT)) for path in runs.behind(runs.ROOT / entry, without)}

    backtest = names("experiments/rolling.py", ("forecasting.explanation",))
    assert {"experiments/rolling.py", "forecasting/training.py", "forecasting/models/boosting.py", "forecasting/models/__init__.py"} <= backtest
    assert not {name for name in backtest if name.startswith(("forecasting/detection", "forecasting/city", "experiments/benchmarks"))}
    assert not {f"forecasting/{name}.py" for name in ("outlook", "intraday", "delay", "explanation")} & backtest
    night = names("experiments/benchmarks/accuracy/night.py", ("experiments.benchmarks",))
    assert {f"forecasting/{name}.py" for name in ("outlook", "intraday", "explanation")} | {"experiments/night.py"} <= night
    assert {name for name in night if "benchmarks" in name} == {"experiments/benchmarks/accuracy/night.py"}


def test_what_is_behind_a_file_is_what_python_loads_with_it() -> None:
    script = "import sys, experiments.rolling; print(*(m.__file__ for n, m in sys.modules.items() if n.startswith(('forecasting.', 'experiments.'))))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=runs.ROOT)
    assert {Path(name) for name in done.stdout.split()} <= runs.behind(runs.ROOT / "experiments" / "rolling.py")


def test_a_program_that_is_not_there_is_recorded_as_a_failure(run: Run) -> None:
    made = runs.ensure(replace(run, command=("/nowhere/python", "-c", "pass")), str)
    assert "/nowhere/python does not start: No such file or directory" in made.error
    assert runs.record(run.out) == made


def test_who_is_told_to_stop_ends_what_it_measures(tmp_path: Path) -> None:
    child = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(60)"
    script = (
        "import signal, sys; from experiments.benchmarks import runs\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        f"runs.measured((sys.executable, '-c', {child!r}, sys.argv[1]), 2)"
    )
    place = tmp_path / "pid"
    process = subprocess.Popen([sys.executable, "-c", script, str(place)], stderr=subprocess.DEVNULL)
    until("the child is at work", lambda: place.exists() and place.read_text() != "", 30)
    process.terminate()
    process.wait(30)
    until("the child has ended", lambda: not Path(f"/proc/{place.read_text()}").exists(), 30)
